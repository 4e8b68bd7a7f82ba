//! A cluster, and what is put into it and taken out again.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Failure;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// How the namespaces of runs begin.
pub const NAMESPACE: &str = "orchestra-e2e-";
pub const SYSTEM: &str = "orchestra-system";
const ACCOUNT: &str = "orchestra-controller";
/// Longest to wait for something that should happen.
const LIMIT: Duration = Duration::from_secs(180);
/// Longest to wait for a namespace that no controller manager looks after.
const UNMANAGED_LIMIT: Duration = Duration::from_secs(10);

/// A cluster with what was put into it.
pub struct Stage {
    pub client: Client,
    namespace: String,
    /// What was not there before, oldest first.
    made: Vec<(ApiResource, Option<String>, String)>,
}

fn resource(types: &TypeMeta) -> ApiResource {
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind))
}

fn documents(folder: &str) -> Result<Vec<Value>, Failure> {
    let path = Path::new(ROOT).join(folder);
    let mut files: Vec<PathBuf> = match path.is_dir() {
        true => std::fs::read_dir(&path)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?,
        false => vec![path],
    };
    files.sort();
    let mut all = vec![];
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "yaml")) {
        let text = std::fs::read_to_string(file)?;
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            let value: Value = serde::Deserialize::deserialize(document)?;
            if !value.is_null() {
                all.push(value);
            }
        }
    }
    Ok(all)
}

impl Stage {
    pub fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace, made: vec![] }
    }

    fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    pub fn ours(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("orchestra.cherry-ai.me", "v1alpha1", kind);
        self.api(&ApiResource::from_gvk(&kind), Some(&self.namespace))
    }

    /// Applies a document, and remembers it when it was not there before.
    async fn apply(&mut self, document: Value) -> Result<(), Failure> {
        let object: DynamicObject = serde_json::from_value(document)?;
        let types = object.types.clone().ok_or("a document without kind")?;
        let (resource, name, namespace) = (resource(&types), object.name_any(), object.namespace());
        let api = self.api(&resource, namespace.as_deref());
        if api.get_opt(&name).await?.is_none() {
            self.made.push((resource, namespace, name.clone()));
        }
        api.patch(&name, &PatchParams::apply("orchestra-e2e").force(), &Patch::Apply(&object)).await?;
        Ok(())
    }

    /// The controller under test acts on every object of the cluster, and finds none of their services in its
    /// simulated cloud: it must not meet those of somebody who uses Orchestra here.
    async fn refuse_where_in_use(&self) -> Result<(), Failure> {
        for kind in ["Rollout", "OrchestraEnvironment"] {
            let kind = GroupVersionKind::gvk("orchestra.cherry-ai.me", "v1alpha1", kind);
            let all = match self.api(&ApiResource::from_gvk(&kind), None).list(&Default::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                all => all?.items,
            };
            let of_another = |object: &&DynamicObject| !object.namespace().unwrap_or_default().starts_with(NAMESPACE);
            if let Some(object) = all.iter().find(of_another) {
                let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                return Err(format!(
                    "this cluster is in use: it has {} {namespace}/{name}, which the controller under test would act \
                     on; take another cluster, or delete it",
                    kind.kind
                )
                .into());
            }
        }
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), SYSTEM);
        let running = deployments.get_opt(ACCOUNT).await?.and_then(|d| d.spec?.replicas).unwrap_or(0);
        match running {
            0 => Ok(()),
            _ => {
                Err(format!("this cluster is in use: {SYSTEM}/{ACCOUNT} runs there; take another, or scale it to 0")
                    .into())
            }
        }
    }

    pub async fn install(&mut self) -> Result<(), Failure> {
        self.refuse_where_in_use().await?;
        for crd in documents("crds")? {
            self.apply(crd).await?;
        }
        self.until("the CRDs are established", async |stage| {
            let list = stage.ours("Rollout").list(&Default::default()).await;
            list.is_ok() && stage.ours("OrchestraEnvironment").list(&Default::default()).await.is_ok()
        })
        .await?;
        for mut document in documents("deploy/controller.yaml")? {
            if document["kind"] == "Deployment" {
                // The controller runs here, as the shipped program under the shipped service account.
                document["spec"]["replicas"] = json!(0);
            }
            self.apply(document).await?;
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        self.apply(namespace).await
    }

    async fn send(&self, method: http::Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        Ok(self.client.request(request.body(body.to_string().into_bytes())?).await?)
    }

    /// A kubeconfig for the controller's service account.
    pub async fn kubeconfig(&self, folder: &Path, own: Option<&Path>) -> Result<PathBuf, Failure> {
        let path = format!("/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}/token");
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
        let answer = self.send(http::Method::POST, &path, &body).await?;
        let token = answer["status"]["token"].as_str().ok_or("no token")?.to_string();
        let mut config = own.map_or_else(Kubeconfig::read, Kubeconfig::read_from)?;
        let context = config.current_context.clone().unwrap_or_default();
        for named in config.contexts.iter_mut().filter(|named| named.name == context) {
            if let Some(context) = &mut named.context {
                context.user = Some(ACCOUNT.into());
            }
        }
        let auth_info = Some(AuthInfo { token: Some(token.into()), ..AuthInfo::default() });
        config.auth_infos = vec![kube::config::NamedAuthInfo { name: ACCOUNT.into(), auth_info, ..Default::default() }];
        let file = folder.join("controller.kubeconfig");
        std::fs::write(&file, serde_yaml_ng::to_string(&config)?)?;
        Ok(file)
    }

    pub async fn until(&self, what: &str, so: impl AsyncFn(&Self) -> bool) -> Result<(), Failure> {
        let began = Instant::now();
        while !so(self).await {
            if began.elapsed() > LIMIT {
                return Err(format!("{what}: not within {} s", LIMIT.as_secs()).into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    pub async fn create(&self, kind: &str, name: &str, spec: Value) -> Result<(), kube::Error> {
        let object = json!({"apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": kind,
                            "metadata": {"name": name}, "spec": spec});
        let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
        self.ours(kind).create(&PostParams::default(), &object).await.map(|_| ())
    }

    pub async fn status(&self, kind: &str, name: &str) -> Value {
        let found = self.ours(kind).get_opt(name).await.ok().flatten();
        let data =
            found.map(|object| json!({"status": object.data["status"], "generation": object.metadata.generation}));
        let data = data.unwrap_or_default();
        if data["status"]["observedGeneration"] == data["generation"] { data["status"].clone() } else { Value::Null }
    }

    pub async fn until_phase(&self, name: &str, phase: &str) -> Result<(), Failure> {
        self.until(&format!("{name} {phase}"), async |stage| stage.status("Rollout", name).await["phase"] == phase)
            .await
    }

    pub async fn patch(&self, name: &str, patch: Value) -> Result<(), Failure> {
        self.ours("Rollout").patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes the scenarios' objects, and waits until the controller has let them go.
    pub async fn release(&self) -> Result<(), Failure> {
        for kind in ["Rollout", "OrchestraEnvironment"] {
            self.ours(kind).delete_collection(&DeleteParams::default(), &Default::default()).await?;
            self.until(&format!("no {kind} is left"), async |stage| {
                stage.ours(kind).list(&Default::default()).await.is_ok_and(|list| list.items.is_empty())
            })
            .await?;
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
