//! The cluster that a command is about.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::TypeMeta;
use kube::{Api, Client, Config};
use orchestra_controller::clock::Clock;
use orchestra_controller::respect_no_proxy;
use orchestra_crds::{Request, Rollout};
use serde_json::{Value, json};

use crate::args::{ClusterArgs, StatusArgs};
use crate::error::CliError;

/// What the cluster notes as the writer of a request.
const MANAGER: &str = "kubectl-orchestra";

/// The annotation of a template that kubectl restarts by.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Longest silence of the cluster.
const READ_LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

/// A cluster, and the namespace that is meant.
pub struct Cluster {
    client: Client,
    /// The namespace.
    pub namespace: String,
    /// The one that was asked for by a flag.
    pub asked_namespace: Option<String>,
}

/// What KUBECONFIG names: files in a list; those that are not there are passed by, as kubectl does. None: it names none that is.
fn of_environment() -> Result<Option<Kubeconfig>, CliError> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let there = std::env::split_paths(&named).filter(|path| path.is_file());
    let mut all: Option<Kubeconfig> = None;
    for path in there {
        let one = Kubeconfig::read_from(path)?;
        all = Some(match all {
            Some(before) => before.merge(one)?,
            None => one,
        });
    }
    Ok(all)
}

/// A token in a file often ends with a line; the library takes it as it is.
fn read_token(config: &mut Config) {
    let Some(path) = &config.auth_info.token_file else { return };
    if let Ok(token) = std::fs::read_to_string(path) {
        config.auth_info.token = Some(token.trim().to_string().into());
        config.auth_info.token_file = None;
    }
}

impl Cluster {
    /// The one that the flags mean.
    ///
    /// # Errors
    /// When there is no kubeconfig, or it can't be used.
    pub async fn connect(args: &ClusterArgs) -> Result<Self, CliError> {
        let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
        let named = match &args.kubeconfig {
            Some(path) => Some(Kubeconfig::read_from(path)?),
            None => of_environment()?,
        };
        let mut config = match named {
            Some(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await?,
            None if options.context.is_some() => Config::from_kubeconfig(&options).await?,
            None => Config::infer().await.map_err(|error| CliError::Cluster(kube::Error::InferConfig(error)))?,
        };
        respect_no_proxy(&mut config);
        read_token(&mut config);
        if let Some(user) = &args.impersonate {
            config.auth_info.impersonate = Some(user.clone());
        }
        config.read_timeout = Some(READ_LIMIT);
        let client = Client::try_from(config).map_err(CliError::Cluster)?;
        let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_string());
        Ok(Self { client, namespace, asked_namespace: args.namespace.clone() })
    }

    fn rollouts(&self) -> Api<Rollout> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A Rollout.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer.
    pub async fn rollout(&self, name: &str) -> Result<Rollout, CliError> {
        self.rollouts().get(name).await.map_err(|error| CliError::of(error, &self.namespace))
    }

    /// An object as it is stored; none: there is none.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer.
    pub async fn stored<K: kube::Resource<DynamicType = ()>>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, CliError> {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let found = api.get_opt(name).await.map_err(|error| CliError::of(error, namespace))?;
        found.map(serde_json::to_value).transpose().map_err(|error| CliError::Print(error.to_string()))
    }

    /// All objects of a kind in a namespace, as they are stored.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer.
    pub async fn all_stored<K: kube::Resource<DynamicType = ()>>(
        &self,
        namespace: &str,
    ) -> Result<Vec<Value>, CliError> {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let found = api.list(&ListParams::default()).await.map_err(|error| CliError::of(error, namespace))?;
        // Items of a list don't say what they are.
        let typed = |object: DynamicObject| {
            let types = TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
            serde_json::to_value(DynamicObject { types: Some(types), ..object })
        };
        let all: Result<Vec<Value>, _> = found.items.into_iter().map(typed).collect();
        all.map_err(|error| CliError::Print(error.to_string()))
    }

    /// Its version.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn version(&self) -> Result<Value, CliError> {
        let version = self.client.apiserver_version().await.map_err(|error| CliError::of(error, &self.namespace))?;
        Ok(json!(version.git_version))
    }

    /// The controllers that run in it, by the label of the chart: images, and how many are ready.
    ///
    /// # Errors
    /// When it refuses, or does not answer.
    pub async fn controllers(&self) -> Result<Value, CliError> {
        let api: Api<Deployment> = Api::all(self.client.clone());
        let ours = ListParams::default().labels("app.kubernetes.io/name=orchestra");
        let found = api.list(&ours).await.map_err(|error| CliError::of(error, "all"))?;
        let told = found.items.into_iter().map(|deployment| {
            let template = deployment.spec.unwrap_or_default().template.spec.unwrap_or_default();
            let images: Vec<String> = template.containers.into_iter().filter_map(|c| c.image).collect();
            let ready = deployment.status.and_then(|status| status.ready_replicas).unwrap_or(0);
            json!({"namespace": deployment.metadata.namespace, "name": deployment.metadata.name,
                   "images": images, "ready": ready})
        });
        Ok(told.collect())
    }

    /// Its time.
    ///
    /// # Errors
    /// When it refuses, or does not answer.
    pub async fn clock(&self) -> Result<Clock, CliError> {
        Clock::of_cluster(&self.client).await.map_err(|error| CliError::Offline(error.to_string()))
    }

    /// Those that are asked for.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer.
    pub async fn list(&self, args: &StatusArgs) -> Result<Vec<Rollout>, CliError> {
        let api = if args.all_namespaces { Api::all(self.client.clone()) } else { self.rollouts() };
        let mut parameters = ListParams::default();
        if let Some(labels) = &args.selector {
            parameters = parameters.labels(labels);
        }
        Ok(api.list(&parameters).await.map_err(|error| CliError::of(error, &self.namespace))?.items)
    }

    /// What was told of a Rollout, oldest first.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer.
    pub async fn events(&self, rollout: &Rollout) -> Result<Vec<Event>, CliError> {
        self.events_about(rollout.metadata.uid.as_deref().unwrap_or_default()).await
    }

    /// What was told of an object, by its UID.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer.
    pub async fn events_about(&self, uid: &str) -> Result<Vec<Event>, CliError> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let about = ListParams::default().fields(&format!("regarding.uid={uid}"));
        let mut events = api.list(&about).await.map_err(|error| CliError::of(error, &self.namespace))?.items;
        events.sort_by_key(crate::events::time);
        Ok(events)
    }

    /// Makes the template another one by an annotation, as kubectl does.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer.
    pub async fn restart(&self, name: &str, at: Timestamp) -> Result<(), CliError> {
        let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let patch = json!({"spec": {"template": {"annotations": {RESTARTED_AT: at}}}});
        let writer = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let sent = self.rollouts().patch(name, &writer, &Patch::Merge(patch)).await;
        sent.map(|_| ()).map_err(|error| CliError::of(error, &self.namespace))
    }

    /// Writes a request, or takes it off.
    ///
    /// # Errors
    /// When the cluster refuses, or can't be asked.
    pub async fn ask(&self, name: &str, request: Request, value: Option<&str>) -> Result<(), CliError> {
        let patch = json!({"metadata": {"annotations": {request.key(): value}}});
        let writer = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let sent = self.rollouts().patch(name, &writer, &Patch::Merge(patch)).await;
        sent.map(|_| ()).map_err(|error| CliError::of(error, &self.namespace))
    }
}
