//! Secret Manager.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

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
