use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{Access, DeletionPolicy, EnvVar, Resources, Scaling};

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
    #[x_kube(validation = (
        "self.all(r, self.exists_one(o, o == r))",
        "each region may be named once"
    ), validation = (
        "self[0] == oldSelf[0]",
        "the first region is immutable, because Redis is there: create another OrchestraEnvironment"
    ))]
    pub regions: Vec<String>,
    /// Labels put on everything created in Google Cloud.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What happens in Google Cloud when this object, or a Rollout in it, is deleted from the cluster.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Which container images may be released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImagePolicy>,
    /// Service account that the containers run as: a name in the project, or a whole e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 6, max = 100))]
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

/// Which container images may be released.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicy {
    /// Repositories that images must come from, for example `us-central1-docker.pkg.dev/my-project/apps`. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 300)))]
    pub repositories: Vec<String>,
    /// Whether images must be named by digest (`…@sha256:…`), so that what was tested is what runs.
    #[serde(default)]
    pub digest_required: bool,
}

/// How the services reach the VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Name of an existing Serverless VPC Access connector in each region.
    #[schemars(regex(pattern = r"^[a-z][-a-z0-9]{0,23}[a-z0-9]$"), length(max = 25))]
    pub connector: String,
    /// Which traffic goes through it.
    #[serde(default)]
    pub egress: Egress,
}

/// Which outbound traffic goes through the VPC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Egress {
    /// Only to private address ranges.
    #[default]
    PrivateRangesOnly,
    /// All of it.
    AllTraffic,
}

/// A Memorystore for Redis instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Basic has one node; StandardHa has a replica in another zone. A change would need a new, empty instance and
    /// is refused.
    pub tier: RedisTier,
    /// Memory, in GiB. May be changed; connections are reset for up to some minutes.
    #[schemars(range(min = 1, max = 300))]
    pub memory_size_gb: i32,
    /// Redis version at creation, for example `REDIS_7_2`. Default: Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^REDIS_[0-9]+_[0-9X]+$"), length(max = 20))]
    pub version: Option<String>,
}

/// Service tier of a Redis instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RedisTier {
    /// One node.
    Basic,
    /// Two nodes in two zones, with automatic failover.
    StandardHa,
}

/// A Secret Manager secret that Rollouts may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSecret {
    /// Name by which Rollouts refer to it.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"), length(min = 1, max = 255))]
    pub name: String,
    /// ID of the secret in Secret Manager, when it differs from the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"), length(min = 1, max = 255))]
    pub secret: Option<String>,
    /// Version to use. Default: the newest enabled one; services that use it get a new revision, with canary, when
    /// that changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<i64>,
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
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
}

/// What was last seen of an environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is going on, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The Redis instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisStatus>,
    /// Secrets, with the version that services use now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub secrets: Vec<ResolvedSecret>,
    /// In a deletion: since when nothing of this environment is found in Google Cloud, as far as one look tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Time>,
    /// Ready, Reconciling, Stalled, and one condition for each part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What was last seen of the Redis instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisStatus {
    /// Name of the instance.
    pub instance: String,
    /// State, as Memorystore gives it: CREATING, READY, UPDATING, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Address for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Memory, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_size_gb: Option<i32>,
    /// The operation under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<RedisOperation>,
    /// The operation that failed last, until the spec changes or the instance is as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RedisFailure>,
}

/// A long-running operation on the Redis instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisOperation {
    /// What it does.
    pub verb: RedisVerb,
    /// Name by which Google knows it; absent until Google has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was asked for.
    pub started_at: Time,
}

/// What an operation does to the Redis instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RedisVerb {
    /// Creates it.
    Create,
    /// Changes its memory.
    Resize,
    /// Deletes it.
    Delete,
}

/// An operation on the Redis instance that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisFailure {
    /// What it should have done.
    pub verb: RedisVerb,
    /// Generation of the spec it was for.
    pub generation: i64,
    /// What Google said.
    pub message: String,
    /// When it was seen.
    pub time: Time,
}

/// A secret and the version that services use now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedSecret {
    /// Name by which Rollouts refer to it.
    pub name: String,
    /// ID of the secret in Secret Manager.
    pub secret: String,
    /// Number of the version.
    pub version: i64,
}
