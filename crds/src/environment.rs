//! The OrchestraEnvironment: one environment of a Google Cloud project.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod images;
mod network;
mod redis;
mod secrets;
mod status;
pub use images::*;
pub use network::*;
pub use redis::*;
pub use secrets::*;
pub use status::*;

use crate::{Access, DeletionPolicy, EnvVar, ManagementPolicy, Resources, Scaling};

/// One environment (development, staging, production) of a Google Cloud project.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "orchestra.cherry-ai.me",
    version = "v1alpha1",
    kind = "OrchestraEnvironment",
    plural = "orchestraenvironments",
    shortname = "oenv",
    namespaced,
    status = "EnvironmentStatus",
    derive = "PartialEq",
    doc = "One environment (development, staging, production) of a Google Cloud project: identity, network, Memorystore Redis, secrets, access, and the rules for releasing into it.",
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Redis", type_ = "string", json_path = ".status.redis.state"),
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct OrchestraEnvironmentSpec {
    /// Google Cloud project ID. Immutable.
    #[schemars(regex(pattern = r"^[a-z][-a-z0-9]{4,28}[a-z0-9]$"), length(max = 30))]
    #[x_kube(validation = (
        "self == oldSelf",
        "project is immutable: create another OrchestraEnvironment for another project"
    ))]
    pub project: String,
    /// What the environment is for.
    pub stage: Stage,
    /// Cloud Run regions, in the order in which releases reach them. The first is the primary one: Redis runs there.
    #[schemars(length(min = 1, max = 10), inner(regex(pattern = r"^[a-z]+-[a-z]+[0-9]+$"), length(max = 40)))]
    #[x_kube(merge_strategy = ListMerge::Atomic, validation = (
        "self.all(r, self.exists_one(o, o == r))",
        "each region may be named once"
    ), validation = (
        "self[0] == oldSelf[0]",
        "the first region is immutable, because Redis is there: create another OrchestraEnvironment"
    ))]
    pub regions: Vec<String>,
    /// Labels put on everything created in Google Cloud; what is taken out is taken off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::labels::labels_of_resources")]
    pub labels: BTreeMap<String, String>,
    /// What Orchestra does about what it sees of this environment and its Rollouts. Observe tells what it would do and writes
    /// nothing, a rollback included: for a look before what runs is taken over. What is deleted meanwhile is left as it is.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// What happens in Google Cloud when this object, or a Rollout in it, is deleted from the cluster.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Which container images may be released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImagePolicy>,
    /// Service account that the containers run as: a name in the project, or a whole e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(
            pattern = r"^([a-z]([-a-z0-9]{4,28}[a-z0-9])|[a-z0-9]([-a-z0-9.]*[a-z0-9])?@[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$"
        ),
        length(min = 6, max = 100)
    )]
    pub service_account: Option<String>,
    /// Who may reach and call the services. A Rollout may override it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// How the services reach the VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The environment's Memorystore for Redis instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
    /// Secret Manager secrets that Rollouts may use, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub secrets: Vec<EnvironmentSecret>,
    /// Defaults for the services of this environment; what a Rollout says itself wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ServiceDefaults>,
}

/// Google's labels, 32 at most: Orchestra's own and others' have to fit, too.
/// What an environment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// For developers.
    Development,
    /// For tests before production.
    Staging,
    /// For users.
    Production,
}

/// Defaults for the services of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDefaults {
    /// CPU and memory of an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Number of instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Requests that one instance handles at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: Option<i32>,
    /// Longest time a request may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<i32>,
    /// Environment variables of every service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]), validation = (
        "self.all(e, !has(e.valueFrom))",
        "defaults.env holds values only: a secret belongs to the Rollouts that use it"
    ))]
    pub env: Vec<EnvVar>,
}
