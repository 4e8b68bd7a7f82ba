//! What was last seen of an environment.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::known;

/// What was last seen of an environment. What this version of the controller can't read counts as lost.
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
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisStatus>,
    /// Secrets, with the version that services use now.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub secrets: Vec<ResolvedSecret>,
    /// Long-running operations of Google Cloud that are under way, or failed last.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["resource".into()]))]
    pub operations: Vec<OperationStatus>,
    /// Since when something could not be read, without a look at which everything could.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub unreadable_since: Option<Time>,
    /// Since when it is being deleted, by the controller's clock.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub deleting_since: Option<Time>,
    /// In a deletion: since when nothing of this environment is found in Google Cloud, as far as one look tells.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Time>,
    /// Ready, Reconciling, Stalled, and one condition for each part.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
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
    /// The size of the confirmation that has been used: less memory again waits for another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_memory_size_gb: Option<i32>,
    /// Labels that this environment put on it.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    pub granted_labels: Vec<String>,
}

/// A long-running operation on one resource: under way, or the one that failed last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationStatus {
    /// The resource that it changes, such as `redis/us-central1/orchestra-shop-0123456789`.
    pub resource: String,
    /// What it does to it.
    pub verb: OperationVerb,
    /// Name of the operation; none: it was asked for, and no answer came yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was asked for.
    pub started_at: Time,
    /// How it failed; none: it is under way.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub failure: Option<OperationFailure>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperationVerb {
    /// Creates the resource.
    Create,
    /// Changes its size.
    Resize,
    /// Changes its labels.
    Label,
    /// Deletes it.
    Delete,
}

/// How an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationFailure {
    /// Generation of the spec that it was for.
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
    /// When that version was created: a secret that is deleted and made anew counts its versions from 1 again.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
}
