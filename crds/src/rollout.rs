use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod status;
pub use status::*;

use crate::{Access, EnvVar, Resources, Scaling};

/// One Cloud Run service in an environment, and how a new revision of it takes over.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "orchestra.cherry-ai.me",
    version = "v1alpha1",
    kind = "Rollout",
    plural = "rollouts",
    shortname = "oro",
    namespaced,
    status = "RolloutStatus",
    derive = "PartialEq",
    doc = "One Cloud Run service in an environment: its revision template, and how a new revision takes over.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".status.weight"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step"),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Region", type_ = "string", json_path = ".status.region", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
pub struct RolloutSpec {
    /// The OrchestraEnvironment, in the same namespace, that this service belongs to. Immutable.
    #[x_kube(validation = (
        "self.name == oldSelf.name",
        "environmentRef is immutable: create another Rollout in the other environment"
    ))]
    pub environment_ref: EnvironmentRef,
    /// Name of the Cloud Run service. Immutable.
    #[schemars(regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 49))]
    #[x_kube(validation = (
        "self == oldSelf",
        "serviceName is immutable: create another Rollout for another service"
    ))]
    pub service_name: String,
    /// What a revision runs. A change here is a release.
    pub template: Template,
    /// Number of instances; a change starts no release. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Who may reach and call the service; a change starts no release. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// How a new revision takes over.
    pub strategy: Strategy,
    /// How the candidate is judged while it takes over.
    #[serde(default)]
    pub analysis: Analysis,
    /// How long a candidate may take to become ready, before it is given up.
    #[serde(default = "default_progress_deadline")]
    #[schemars(range(min = 60, max = 86400))]
    pub progress_deadline_seconds: i32,
    /// Stops all traffic changes until it is false again. An abort still works.
    #[serde(default)]
    pub paused: bool,
}

fn default_progress_deadline() -> i32 {
    600
}

/// Names an OrchestraEnvironment in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentRef {
    /// Name of the OrchestraEnvironment.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What a revision runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Container image, best by digest.
    #[schemars(regex(pattern = r"^[^\s@]+(@sha256:[0-9a-f]{64})?$"), length(min = 1, max = 500))]
    pub image: String,
    /// Replaces the image's entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub command: Vec<String>,
    /// Arguments of the entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub args: Vec<String>,
    /// Port that the container listens on; Cloud Run sets PORT to it. Default: 8080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Environment variables. They win over the environment's defaults of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Secrets of the environment, as variables or files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub secrets: Vec<SecretUse>,
    /// CPU and memory of an instance. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Requests that one instance handles at once. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: Option<i32>,
    /// Longest time a request may take. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<i32>,
    /// Whether a client's requests go to the same instance where possible. It distorts traffic splits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub session_affinity: bool,
    /// Whether the container gets REDIS_HOST and REDIS_PORT of the environment's Redis.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redis: bool,
}

/// A secret of the environment, given to the container as a variable or a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.env) != has(self.path)", "set exactly one of env and path"))]
pub struct SecretUse {
    /// Name of the secret in the environment's `secrets`.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Variable that holds the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"), length(min = 1, max = 200))]
    pub env: Option<String>,
    /// Absolute path of the file that holds the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[^/]+(/[^/]+)+$"), length(max = 300))]
    pub path: Option<String>,
}

/// How a new revision takes over. Exactly one is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.canary) != has(self.immediate)",
    "set exactly one strategy: canary or immediate"
))]
pub struct Strategy {
    /// Step by step, judged all the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// At once, as soon as the new revision is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immediate: Option<Immediate>,
}

/// Step by step: the candidate starts at 0 %, then gets the weight of each step in turn, then all traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The steps, in order; 100 % follows the last one by itself.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (
        "self.map(s, s.weight).isSorted()",
        "weights must not go down from one step to the next: order the steps by weight"
    ))]
    pub steps: Vec<CanaryStep>,
}

/// One step of a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// Share of requests that the candidate gets, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// How long it stays at that share, at least.
    #[serde(default = "default_hold")]
    #[schemars(range(min = 0, max = 604800))]
    pub hold_seconds: i32,
}

fn default_hold() -> i32 {
    300
}

/// At once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Immediate {}

/// How the candidate is judged: against the stable revision, at the same time, from Cloud Monitoring's closed minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// Sequential acts on the verdict; Observe records it and never acts.
    #[serde(default)]
    pub mode: AnalysisMode,
    /// How sure a rollback must be: at 99, at most 1 of 100 good releases is rolled back, however often it is looked at.
    #[serde(default = "default_confidence")]
    #[schemars(range(min = 80, max = 99))]
    pub confidence_percent: i32,
    /// How long after its end a minute's metrics count as complete. Cloud Run's arrive up to 180 s late.
    #[serde(default = "default_metrics_delay")]
    #[schemars(range(min = 0, max = 1800))]
    pub metrics_delay_seconds: i32,
    /// Requests of the candidate that a step must have judged to pass; with fewer, it ends Inconclusive.
    #[serde(default = "default_minimum_requests")]
    #[schemars(range(min = 0, max = 1000000))]
    pub minimum_requests: i32,
    /// How much higher than stable's the candidate's error rate must be to act on it, as a share of stable's.
    #[serde(default = "default_relative_increase")]
    #[schemars(range(min = 0, max = 1000))]
    pub relative_increase_percent: i32,
    /// How much higher than stable's the candidate's error rate must be to act on it, in hundredths of a percent point.
    #[serde(default = "default_minimum_increase")]
    #[schemars(range(min = 0, max = 10000))]
    pub minimum_increase_basis_points: i32,
    /// What to do when a step ends with too few requests for a verdict.
    #[serde(default = "default_on_inconclusive")]
    pub on_inconclusive: Fallback,
    /// What to do when a step ends without any metrics of the candidate.
    #[serde(default = "default_on_no_data")]
    pub on_no_data: Fallback,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            mode: AnalysisMode::default(),
            confidence_percent: default_confidence(),
            metrics_delay_seconds: default_metrics_delay(),
            minimum_requests: default_minimum_requests(),
            relative_increase_percent: default_relative_increase(),
            minimum_increase_basis_points: default_minimum_increase(),
            on_inconclusive: default_on_inconclusive(),
            on_no_data: default_on_no_data(),
        }
    }
}

fn default_confidence() -> i32 {
    99
}
fn default_metrics_delay() -> i32 {
    180
}
fn default_minimum_requests() -> i32 {
    500
}
fn default_relative_increase() -> i32 {
    50
}
fn default_minimum_increase() -> i32 {
    10
}
fn default_on_inconclusive() -> Fallback {
    Fallback::Promote
}
fn default_on_no_data() -> Fallback {
    Fallback::Pause
}

/// Whether a verdict is acted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AnalysisMode {
    /// An anytime-valid two-sample test; a bad verdict rolls back.
    #[default]
    Sequential,
    /// The same test, recorded only.
    Observe,
}

/// What to do when a step ends without a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Fallback {
    /// Go on to the next step.
    Promote,
    /// Wait for a person.
    Pause,
    /// Go back to stable.
    Rollback,
}
