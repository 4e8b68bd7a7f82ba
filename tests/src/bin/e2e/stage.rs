//! A cluster, and what is put into it.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Failure, guard};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// How the namespaces of runs begin.
pub const NAMESPACE: &str = "orchestra-e2e-";
pub const SYSTEM: &str = "orchestra-system";
/// Name of the service account, of the Deployment, and of the lease.
pub const ACCOUNT: &str = "orchestra-controller";
/// Who applies.
pub const MANAGER: &str = "orchestra-e2e";
/// Marks what runs put into a cluster, for the next one to clean up after one that was cut short.
pub const LABEL: &str = "orchestra.cherry-ai.me/e2e";
/// Longest to wait for something that should happen.
pub const LIMIT: Duration = Duration::from_secs(180);

/// A cluster with what was put into it.
pub struct Stage {
    pub client: Client,
    namespace: String,
    /// What was not there before, oldest first.
    pub made: Vec<(ApiResource, Option<String>, String)>,
}

fn resource(types: &TypeMeta) -> ApiResource {
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind))
}

/// Of a kind of Orchestra.
pub fn resource_of(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("orchestra.cherry-ai.me", "v1alpha1", kind))
}

fn is_ours(object: &DynamicObject) -> bool {
    object.labels().contains_key(LABEL)
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

    pub fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    pub fn ours(&self, kind: &str) -> Api<DynamicObject> {
        self.api(&resource_of(kind), Some(&self.namespace))
    }

    /// Applies a document, and remembers it for the end; what somebody else put there stays as it is.
    async fn apply(&mut self, mut document: Value) -> Result<(), Failure> {
        document["metadata"]["labels"][LABEL] = json!("true");
        let object: DynamicObject = serde_json::from_value(document)?;
        let types = object.types.clone().ok_or("a document without kind")?;
        let (resource, name, namespace) = (resource(&types), object.name_any(), object.namespace());
        let api = self.api(&resource, namespace.as_deref());
        match api.get_opt(&name).await? {
            Some(live) if !is_ours(&live) => return guard::check_equal(&api, &object, &live).await,
            _ => self.made.push((resource, namespace, name.clone())),
        }
        api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await?;
        Ok(())
    }

    /// The namespaces of runs: this one's, and those of runs that were cut short.
    pub async fn namespaces(&self) -> Result<Vec<String>, Failure> {
        let labelled = ListParams::default().labels(LABEL);
        let all = Api::<Namespace>::all(self.client.clone()).list(&labelled).await?;
        Ok(all.items.iter().map(ResourceExt::name_any).filter(|name| name.starts_with(NAMESPACE)).collect())
    }

    pub async fn install(&mut self) -> Result<(), Failure> {
        guard::refuse_where_in_use(&self.client).await?;
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
        // The controller makes it.
        let lease = ApiResource::erase::<Lease>(&());
        if self.api(&lease, Some(SYSTEM)).get_opt(ACCOUNT).await?.is_none() {
            self.made.push((lease, Some(SYSTEM.into()), ACCOUNT.into()));
        }
        for name in self.namespaces().await?.into_iter().chain([self.namespace.clone()]) {
            self.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await?;
        }
        Ok(())
    }

    pub async fn send(&self, method: http::Method, path: &str, body: &Value) -> Result<Value, Failure> {
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
        let reached = async |stage: &Self| stage.status("Rollout", name).await["phase"] == phase;
        let Err(why) = self.until(&format!("{name} {phase}"), reached).await else { return Ok(()) };
        let found = self.ours("Rollout").get(name).await?;
        Err(format!("{why}: {}", found.data["status"]).into())
    }

    pub async fn patch(&self, name: &str, patch: Value) -> Result<(), Failure> {
        self.ours("Rollout").patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }
}
