//! The Rollout: one Cloud Run service in an environment.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod container;
mod evidence;
mod metric;
mod probe;
mod service;
mod status;
mod strategy;
mod template;
mod threshold;
mod volume;
pub use container::*;
pub use evidence::*;
pub use metric::*;
pub use probe::*;
pub use service::*;
pub use status::*;
pub use strategy::*;
pub use template::*;
pub use threshold::*;
pub use volume::*;

use crate::{Access, Scaling};

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
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".status.weight"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step"),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Region", type_ = "string", json_path = ".status.region", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[x_kube(validation = (
    "self.analysis.mode != 'Threshold' || !has(self.strategy.canary) || !has(self.analysis.threshold) || \
     self.strategy.canary.steps.all(s, !has(s.weight) || \
     (has(self.analysis.threshold.count) ? self.analysis.threshold.count : 1) * self.analysis.threshold.intervalSeconds <= \
     (has(s.holdSeconds) && s.holdSeconds < 60 ? 60 : has(s.holdSeconds) ? s.holdSeconds : 300) + self.analysis.extendSeconds)",
    "analysis.threshold: a step has no time for its looks: count times intervalSeconds fits into its holdSeconds and \
     extendSeconds"
), validation = (
    "!has(self.adopt) || self.adopt.service == self.serviceName",
    "adopt.service: name the service that serviceName names"
), validation = (
    "self.trafficOnly != has(self.template)",
    "set template, or trafficOnly: true where others deploy the revisions: not both"
), validation = (
    "!self.trafficOnly || has(self.adopt)",
    "trafficOnly: the service is others': take it over with adopt.service"
), validation = (
    "!self.trafficOnly || !(has(self.description) || has(self.labels) || has(self.annotations) || has(self.scaling) || \
     has(self.access) || has(self.binaryAuthorization))",
    "trafficOnly: description, labels, annotations, scaling, access and binaryAuthorization are left to others, too"
), validation = (
    "!has(self.history) || !has(self.history.keepWarmSeconds) || self.history.keepWarmSeconds == 0 || self.trafficOnly || \
     (has(self.template.scaling) && has(self.template.scaling.minInstances) && self.template.scaling.minInstances > 0)",
    "history.keepWarmSeconds: without requests a revision keeps its own instances alone: set template.scaling.minInstances"
), validation = (
    "!has(self.history) || !has(self.history.keepWarmSeconds) || self.history.keepWarmSeconds == 0 || size(self.serviceName) <= 37",
    "history.keepWarmSeconds: serviceName is too long for it: with the tag kept-warm Cloud Run takes 46 characters"
))]
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
    /// Takes a service over that is there already and that no Rollout owns. The revision that serves becomes stable as it is; what
    /// the template says otherwise is the first release. Not needed any more once that is done. A service that was made by
    /// others is released, never deleted, when the Rollout is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adopt>,
    /// Whether others deploy: CI, or Terraform. The template and the settings of the service are left to them; each new revision that
    /// appears is released, from 0 % on. Its name is its identity. Default: false.
    #[serde(default)]
    pub traffic_only: bool,
    /// What a revision runs. A change here is a release. Required, but where others deploy.
    #[serde(default, skip_serializing_if = "Template::is_absent")]
    pub template: Template,
    /// What the service is, for people; a change starts no release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub description: Option<String>,
    /// Labels of the service, beside those of the environment; a change starts no release. What is taken out is taken off, what
    /// others put there stays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::labels::labels_of_resources")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the service; a change starts no release. What is taken out is taken off, what others put there stays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::labels::annotations")]
    pub annotations: BTreeMap<String, String>,
    /// What says which images may run; a change starts no release. Default: what is set on the service stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_authorization: Option<BinaryAuthorization>,
    /// Number of instances; a change starts no release. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Who may reach and call the service; a change starts no release. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// How a new revision takes over. Frozen with a release: an edit applies to the next one.
    pub strategy: Strategy,
    /// How the candidate is judged while it takes over.
    #[serde(default)]
    pub analysis: Analysis,
    /// What of the past is kept at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// How long a candidate may take to become ready, and each of its traffic changes to take effect, before it is
    /// given up.
    #[serde(default = "default_progress_deadline")]
    #[schemars(range(min = 60, max = 86400))]
    pub progress_deadline_seconds: i32,
    /// Holds every forward move until it is false again. A candidate that fails is still taken back, and an abort works.
    #[serde(default)]
    pub paused: bool,
}

/// What of the past is kept at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// How long after a promotion the revision before it keeps the instances of its `template.scaling.minInstances`, under the
    /// tag `kept-warm`, so that `undo` meets no cold start. They cost what they cost. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604800))]
    pub keep_warm_seconds: Option<i32>,
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

/// Where a release is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutPhase {
    /// Something must be in place before the release can start.
    Pending,
    /// The candidate is being created, without traffic.
    Deploying,
    /// The candidate is taking over, step by step.
    Progressing,
    /// Held by a person, or waiting for one.
    Paused,
    /// The candidate has all traffic in every region.
    Promoted,
    /// The candidate failed; traffic is going back to stable.
    RollingBack,
    /// The candidate failed; stable has all traffic in every region.
    RolledBack,
    /// The first candidate failed: there is no stable revision to go back to.
    Failed,
    /// The object is being deleted.
    Deleting,
}
