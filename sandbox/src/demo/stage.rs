//! The stage: a sandbox, the controller as a process of its own, and a client of the cluster.

use jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::{Api, Client, CustomResourceExt, ResourceExt};
use orchestra_controller::clock::{Clock, ClockReading};
use orchestra_crds::{OrchestraEnvironment, Rollout, condition};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

use super::{DemoSettings, changed_container, failed};
use crate::process::Controller;
use crate::serve::Servers;
use crate::{Sandbox, SandboxError};

const EXAMPLES: [(&str, &str); 3] = [
    ("examples/development.yaml", include_str!("../../../examples/development.yaml")),
    ("examples/staging.yaml", include_str!("../../../examples/staging.yaml")),
    ("examples/production.yaml", include_str!("../../../examples/production.yaml")),
];
const PROJECT: &str = "cherry-ai-project";
const REPOSITORY: &str = "us-central1-docker.pkg.dev/cherry-ai.me/orchestra";
/// Requests per second of the simulated users of the service that the demo releases.
const REQUESTS_PER_SECOND: (&str, &str) = ("SANDBOX_REQUESTS_PER_SECOND", "50");
/// How often to look.
pub(super) const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Stage {
    pub(super) sandbox: Sandbox,
    pub(super) client: Client,
    controller: Mutex<Controller>,
    servers: tokio::task::JoinHandle<SandboxError>,
}

/// A release that the demo made.
pub(super) struct Release {
    pub(super) image: String,
    pub(super) applied: Timestamp,
}

fn cluster(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> SandboxError {
    let doing = doing.into();
    move |source| SandboxError::Cluster { doing, source: Box::new(source) }
}

impl Stage {
    pub(super) async fn set_up(settings: &DemoSettings) -> Result<Self, SandboxError> {
        let clock = Clock::starting_at(ClockReading { now: Timestamp::now(), speed: settings.speed });
        let sandbox = Sandbox::new(Clock::of_this_machine(), clock, 7);
        for secret in ["openai-api-key", "anthropic-api-key"] {
            sandbox.google.seed_secret(PROJECT, secret);
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let servers = Servers::listen(Some(any), any).await?;
        let google = servers.google_address;
        let kubeconfig = settings.folder.join("kubeconfig");
        servers.write_kubeconfig(&kubeconfig)?;
        let url = servers.kube_address.map(|a| format!("http://{a}")).unwrap_or_default();
        let served = sandbox.clone();
        let servers = tokio::spawn(async move {
            let ended = servers.run(served).await;
            ended.map_or_else(SandboxError::from, |()| failed("the sandbox ended"))
        });
        let controller = Controller::start(&kubeconfig, google, &settings.folder.join("controller.log"))?;
        let url = url.parse().map_err(|e| failed(format!("the cluster's address: {e}")))?;
        let client = Client::try_from(crate::serve::kube_config(url)).map_err(cluster("make a client"))?;
        Ok(Self { sandbox, client, controller: Mutex::new(controller), servers })
    }

    /// Waits for the end of something that should not end.
    pub(super) async fn broken(&self) -> SandboxError {
        self.controller.lock().await.ended().await
    }

    pub(super) async fn tear_down(self) {
        self.controller.into_inner().stop().await;
        self.servers.abort();
    }

    /// Applies the CRDs and the examples, as `kubectl apply` would.
    pub(super) async fn apply_examples(&self) -> Result<(), SandboxError> {
        let crds = Api::all(self.client.clone());
        for crd in [OrchestraEnvironment::crd(), Rollout::crd()] {
            crds.create(&PostParams::default(), &crd).await.map_err(cluster("create a CRD"))?;
        }
        for (file, text) in EXAMPLES {
            for document in serde_yaml_ng::Deserializer::from_str(text) {
                let read = DynamicObject::deserialize(document);
                let object = read.map_err(|source| SandboxError::Example { file, source })?;
                self.create(object).await?;
            }
        }
        let environments = self.environments().await?;
        for environment in environments {
            let (spec, redis) = (&environment.spec, environment.spec.redis.as_ref());
            println!(
                "  {:18} {:12} {:24} Redis {} {} GiB",
                environment.name_any(),
                format!("{:?}", spec.stage),
                spec.regions.join(", "),
                redis.map_or("none".into(), |r| format!("{:?}", r.tier)),
                redis.map_or(0, |r| r.memory_size_gb)
            );
        }
        Ok(())
    }

    async fn create(&self, mut object: DynamicObject) -> Result<(), SandboxError> {
        let types = object.types.clone().unwrap_or_default();
        let kind = GroupVersionKind::try_from(&types).map_err(|e| failed(format!("an example: {e}")))?;
        let resource = kube::core::ApiResource::from_gvk(&kind);
        if object.name_any() == "api" && object.namespace().as_deref() == Some("production") {
            let container = &mut object.data["spec"]["template"]["containers"][0];
            let image = container["image"].as_str().unwrap_or_default().to_string();
            *container = changed_container(container, &image, &[REQUESTS_PER_SECOND]);
        }
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let doing = format!("create {} {}", kind.kind, object.name_any());
        object.metadata = ObjectMeta { managed_fields: None, ..object.metadata };
        api.create(&PostParams::default(), &object).await.map(|_| ()).map_err(cluster(doing))
    }

    async fn environments(&self) -> Result<Vec<OrchestraEnvironment>, SandboxError> {
        let api: Api<OrchestraEnvironment> = Api::all(self.client.clone());
        let mut all = api.list(&Default::default()).await.map_err(cluster("list environments"))?.items;
        all.sort_by_key(|e| e.spec.stage as u8);
        Ok(all)
    }

    pub(super) async fn rollouts(&self) -> Result<Vec<Rollout>, SandboxError> {
        let api: Api<Rollout> = Api::all(self.client.clone());
        Ok(api.list(&Default::default()).await.map_err(cluster("list Rollouts"))?.items)
    }

    /// Waits until all environments are Ready.
    pub(super) async fn environments_ready(&self, limit: Duration) -> Result<String, SandboxError> {
        let (began, mut told, bar) = (Instant::now(), vec![], super::follow::spinner());
        loop {
            let environments = self.environments().await?;
            for environment in &environments {
                let name = environment.name_any();
                let status = environment.status.clone().unwrap_or_default();
                let ready = is_ready(&status.conditions);
                if ready && !told.contains(&name) {
                    let redis = status.redis.and_then(|r| Some(format!("{}:{}", r.host?, r.port?)));
                    super::follow::print(&bar, &format!("  {name:18} Ready; Redis at {}", redis.unwrap_or_default()));
                    told.push(name);
                } else if !ready {
                    bar.set_message(format!("{name}: {}", status.message.unwrap_or_default()));
                }
            }
            bar.tick();
            if told.len() == EXAMPLES.len() {
                bar.finish_and_clear();
                return Ok("three environments are Ready: Redis made, secrets bound to versions".into());
            }
            if began.elapsed() > limit {
                return Err(failed(format!("only these environments became Ready: {told:?}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until every service has its first revision.
    pub(super) async fn first_deployments(&self, limit: Duration) -> Result<(), SandboxError> {
        let (began, bar) = (Instant::now(), super::follow::spinner());
        loop {
            let rollouts = self.rollouts().await?;
            let phase = |r: &Rollout| r.status.as_ref().and_then(|s| s.phase);
            let done = rollouts.iter().filter(|r| super::ended(phase(r)) == Some(super::Ending::Promoted)).count();
            bar.set_message(format!("first deployments: {done} of {} services run", rollouts.len()));
            bar.tick();
            if done == rollouts.len() {
                bar.finish_and_clear();
                println!("  {done} services run their first revision");
                return Ok(());
            }
            if began.elapsed() > limit {
                return Err(failed(format!("only {done} of {} services run", rollouts.len())));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Changes the image, and how it behaves.
    pub(super) async fn release(
        &self,
        (namespace, name): (&str, &str),
        label: &str,
        env: &[(&str, &str)],
    ) -> Result<Release, SandboxError> {
        let digest: String = label.bytes().cycle().take(32).map(|b| format!("{b:02x}")).collect();
        let image = format!("{REPOSITORY}/{name}@sha256:{digest}");
        let env: Vec<(&str, &str)> = [REQUESTS_PER_SECOND].into_iter().chain(env.iter().copied()).collect();
        let applied = self.sandbox.journal.clock().now();
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), namespace);
        let now = api.get(name).await.map_err(cluster("read the Rollout"))?;
        let container = serde_json::to_value(now.spec.template.serving()).unwrap_or_default();
        let containers = [changed_container(&container, &image, &env)];
        let patch = Patch::Merge(serde_json::json!({"spec": {"template": {"containers": containers}}}));
        api.patch(name, &PatchParams::default(), &patch).await.map_err(cluster("change the image"))?;
        println!("  kubectl patch: image {name}@sha256:{}…", &digest[..12]);
        Ok(Release { image, applied })
    }
}

fn is_ready(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> bool {
    conditions.iter().any(|c| c.type_ == condition::READY && c.status == "True")
}
