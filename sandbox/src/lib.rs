//! A cluster API and a Google Cloud on loopback, for people without a cluster or a cloud account, and for tests.
//!
//! It is one state machine with two faces: HTTP ([`serve`]), and in-process ([`Sandbox::cluster`], [`Sandbox::google`])
//! for the deterministic simulation under a virtual clock.

pub mod cluster;
pub mod demo;
pub mod exchange;
pub mod google;
pub mod in_process;
pub mod journal;
pub mod process;
pub mod serve;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use orchestra_controller::clock::Clock;
use orchestra_crds::{OrchestraEnvironment, Rollout};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// Both APIs, their call log and their faults.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The Kubernetes API.
    pub cluster: Arc<cluster::Cluster>,
    /// Every Google API.
    pub google: Arc<google::Google>,
    /// Calls made and faults to come.
    pub journal: Arc<journal::Journal>,
}

impl Sandbox {
    /// An empty cluster, on its own time, and an empty cloud, on the world's time. The same seed gives the same names,
    /// the same traffic and the same delays.
    pub fn new(cluster_clock: Clock, world_clock: Clock, seed: u64) -> Self {
        Self {
            cluster: Arc::new(cluster::Cluster::new(cluster_clock, seed)),
            google: Arc::new(google::Google::new(world_clock, seed)),
            journal: Arc::new(journal::Journal::new(world_clock)),
        }
    }

    /// Installs the CRDs as `kubectl apply` would, so that applying them again changes nothing.
    ///
    /// # Errors
    /// When they can't be written as JSON, which would be a mistake in them.
    pub fn install_crds(&self) -> Result<(), SandboxError> {
        for body in CRDS.as_ref().map_err(|why| SandboxError::Crds(why.clone()))? {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            self.cluster.handle(&exchange::Request::new(http::Method::POST, path, body.clone()));
        }
        Ok(())
    }
}

/// The CRDs as `kubectl apply` sends them; why not, when they can't be written.
static CRDS: LazyLock<Result<Vec<bytes::Bytes>, String>> =
    LazyLock::new(|| [OrchestraEnvironment::crd(), Rollout::crd()].into_iter().map(applied).collect());

fn applied(mut crd: CustomResourceDefinition) -> Result<bytes::Bytes, String> {
    const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let mut applied = serde_json::to_value(&crd).map_err(|e| e.to_string())?;
    applied["metadata"]["annotations"] = serde_json::json!({});
    crd.metadata.annotations = Some([(LAST_APPLIED.to_string(), format!("{applied}\n"))].into());
    serde_json::to_vec(&crd).map(Into::into).map_err(|e| e.to_string())
}

/// Why the sandbox or its demo ended.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It could not be served.
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
    /// A secret on the command line is not written as it should be.
    #[error("--secret {0}: write PROJECT/SECRET")]
    BadSecret(String),
    /// The controller is not built.
    #[error("{} is not there: build it with `cargo build --workspace`", .0.display())]
    NoController(PathBuf),
    /// The controller can't be started.
    #[error("{}: {source}", program.display())]
    Start {
        /// Which program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The controller ended.
    #[error("the controller ended ({how}): its log is in {}", log.display())]
    ControllerEnded {
        /// How it ended.
        how: String,
        /// Where it says why.
        log: PathBuf,
    },
    /// The cluster refused something in the demo.
    #[error("{doing}: {source}")]
    Cluster {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: Box<kube::Error>,
    },
    /// The CRDs can't be written.
    #[error("the CRDs can't be installed: {0}")]
    Crds(String),
    /// An example can't be read.
    #[error("{file}: {source}")]
    Example {
        /// Which file.
        file: &'static str,
        /// Why.
        source: serde_yaml_ng::Error,
    },
    /// Something did not happen in time, or not as it should.
    #[error("the demo failed: {0}")]
    Failed(String),
    /// A file can't be written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
