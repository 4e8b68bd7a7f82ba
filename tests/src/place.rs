//! A sandbox on loopback with controllers as processes of their own.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, CustomResourceExt};
use orchestra_controller::clock::{Clock, ClockReading};
use orchestra_crds::{OrchestraEnvironment, Rollout, RolloutPhase};
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::process::Controller;
use orchestra_sandbox::serve::Servers;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longest to wait for something that should happen.
const LIMIT: Duration = Duration::from_secs(120);

pub struct Place {
    pub sandbox: Sandbox,
    pub client: Client,
    pub google: SocketAddr,
    pub folder: tempfile::TempDir,
    logs: usize,
}

impl Place {
    pub async fn new() -> Self {
        Self::at_speed(120).await
    }

    /// One where so many of the cloud's seconds pass in one real second.
    pub async fn at_speed(speed: u32) -> Self {
        // Another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::starting_at(ClockReading { now: Timestamp::now(), speed });
        let sandbox = Sandbox::new(Clock::of_this_machine(), clock, 9);
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let servers = Servers::listen(Some(any), any).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        servers.write_kubeconfig(&folder.path().join("kubeconfig")).unwrap();
        let url = format!("http://{}", servers.kube_address.unwrap());
        let google = servers.google_address;
        tokio::spawn(servers.run(sandbox.clone()));
        let client = Client::try_from(orchestra_sandbox::serve::kube_config(url.parse().unwrap())).unwrap();
        Self { sandbox, client, google, folder, logs: 0 }
    }

    pub async fn install_crds(&self) {
        let crds = Api::all(self.client.clone());
        for crd in [OrchestraEnvironment::crd(), Rollout::crd()] {
            let name = crd.metadata.name.clone().unwrap();
            crds.patch(&name, &PatchParams::default(), &Patch::Merge(&crd)).await.ok();
            crds.create(&PostParams::default(), &crd).await.ok();
        }
    }

    pub fn start(&mut self) -> (Controller, PathBuf) {
        self.logs += 1;
        let log = self.folder.path().join(format!("{}.log", self.logs));
        let kubeconfig = self.folder.path().join("kubeconfig");
        (Controller::start(&kubeconfig, self.google, &log).unwrap(), log)
    }

    pub async fn create(&self, kind: &str, name: &str, spec: Value) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("orchestra.cherry-ai.me", "v1alpha1", kind));
        let api: Api<DynamicObject> = Api::default_namespaced_with(self.client.clone(), &resource);
        let object = json!({"apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    pub fn rollouts(&self) -> Api<Rollout> {
        Api::default_namespaced(self.client.clone())
    }

    pub async fn release(&self, image: &str) {
        let patch = Patch::Merge(json!({"spec": {"template": {"containers": [{"image": image}]}}}));
        self.rollouts().patch("api", &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn until(&self, what: &str, so: impl AsyncFn(&Self) -> bool) {
        let began = Instant::now();
        while !so(self).await {
            let told = || format!("{:#}\n{}", self.sandbox.cluster.state()["rollouts"], self.last_logged());
            assert!(began.elapsed() < LIMIT, "{what} did not happen: {}", told());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last lines of each process's log.
    fn last_logged(&self) -> String {
        let paths = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten().map(|entry| entry.path());
        let logs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        let tail = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("{}:\n{}\n", path.display(), lines[lines.len().saturating_sub(30)..].join("\n"))
        };
        logs.map(tail).collect()
    }

    pub async fn until_promoted(&self, name: &str, image: &str) {
        self.until(&format!("{image} promoted"), async |place| {
            let status = place.rollouts().get(name).await.unwrap().status.unwrap_or_default();
            let runs = status.stable.and_then(|s| s.image).as_deref() == Some(image);
            status.phase == Some(RolloutPhase::Promoted) && runs
        })
        .await;
    }

    pub async fn leader(&self) -> Option<String> {
        let leases: Api<Lease> = Api::default_namespaced(self.client.clone());
        leases.get_opt("orchestra-controller").await.unwrap()?.spec?.holder_identity
    }

    /// Writes to Cloud Run, by method.
    pub fn cloud_run_writes(&self, method: &str) -> usize {
        let of = |c: &&orchestra_sandbox::journal::Call| {
            c.method == method && c.path.contains("/services") && c.status == 200
        };
        self.sandbox.journal.calls().iter().filter(of).filter(|c| !c.path.contains("IamPolicy")).count()
    }
}
