//! What was put into a cluster is taken out again.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::stage::{LIMIT, Stage, resource_of};

/// Longest to wait for a namespace that no controller manager looks after.
const UNMANAGED_LIMIT: Duration = Duration::from_secs(10);

impl Stage {
    /// Deletes the scenarios' objects, and waits until the controller has let them go.
    pub async fn release(&self) -> Result<(), Failure> {
        for namespace in self.namespaces().await? {
            for kind in ["Rollout", "OrchestraEnvironment"] {
                let api = self.api(&resource_of(kind), Some(&namespace));
                api.delete_collection(&DeleteParams::default(), &Default::default()).await?;
                self.until(&format!("no {kind} is left in {namespace}"), async |_| {
                    api.list(&Default::default()).await.is_ok_and(|list| list.items.is_empty())
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Deletes what was made, newest first; what is gone already is no failure, and none keeps the others.
    pub async fn clean_up(&mut self) -> Result<(), Failure> {
        let mut failures = vec![];
        while let Some((resource, namespace, name)) = self.made.pop() {
            let is_namespace = resource.kind == "Namespace";
            let managed = is_namespace && self.is_managed(&name).await;
            let api = self.api(&resource, namespace.as_deref());
            match api.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => failures.push(format!("{} {name}: {error}", resource.kind)),
                Ok(_) if is_namespace => {
                    if let Err(error) = self.see_off(&name, managed).await {
                        failures.push(format!("Namespace {name}: {error}"));
                    }
                }
                // A CRD goes some seconds after its objects.
                Ok(_) => {
                    let gone = async |_: &Self| matches!(api.get_opt(&name).await, Ok(None));
                    if let Err(error) = self.until("it is gone", gone).await {
                        failures.push(format!("{} {name}: {error}", resource.kind));
                    }
                }
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(format!("left behind: {}", failures.join("; ")).into()) }
    }

    /// Whether a controller manager looks after a namespace: it puts the certificates of the cluster there.
    async fn is_managed(&self, name: &str) -> bool {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), name);
        !matches!(maps.get_opt("kube-root-ca.crt").await, Ok(None))
    }

    /// Waits for the end of a namespace. An API server without a controller manager never ends one: then this deletes
    /// what the controller left there, and lets the namespace go.
    async fn see_off(&self, name: &str, managed: bool) -> Result<(), Failure> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let limit = if managed { LIMIT } else { UNMANAGED_LIMIT };
        let began = Instant::now();
        while namespaces.get_opt(name).await?.is_some() {
            if began.elapsed() > limit {
                return match managed {
                    true => Err(format!("it is still there after {} s", limit.as_secs()).into()),
                    false => self.let_go(name).await,
                };
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    async fn let_go(&self, name: &str) -> Result<(), Failure> {
        let all = Default::default();
        Api::<Event>::namespaced(self.client.clone(), name).delete_collection(&DeleteParams::default(), &all).await?;
        Api::<Lease>::namespaced(self.client.clone(), name).delete_collection(&DeleteParams::default(), &all).await?;
        let body =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}});
        self.send(http::Method::PUT, &format!("/api/v1/namespaces/{name}/finalize"), &body).await?;
        Ok(())
    }
}
