//! What a Rollout asks of its service beside the template. A change starts no release.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{Ingress, Switch, known};

/// What says which images may run: exactly one of the project's default policy and a named one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "(has(self.useDefault) && self.useDefault) != has(self.policy)",
    "binaryAuthorization: set exactly one of useDefault: true and policy"
))]
pub struct BinaryAuthorization {
    /// Whether the project's default policy says it. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_default: bool,
    /// A policy: projects/P/platforms/cloudRun/NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^projects/[^/]+/platforms/cloudRun/[^/]+$"), length(max = 256))]
    pub policy: Option<String>,
    /// Why what the policy refuses runs all the same. Google writes it into the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub breakglass_justification: Option<String>,
}

/// A service that is there and is taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adopt {
    /// The service's name, once more: who takes something over says so.
    #[schemars(length(min = 1, max = 49))]
    pub service: String,
}

/// What a rollout set on its services or granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantedStatus {
    /// IAM members that got `roles/run.invoker` from it, and had it not before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invokers: Vec<String>,
    /// Whether every service had all of it when it was last looked at: what differs then was changed past Orchestra.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_effect: bool,
    /// Whether all invokers were granted everywhere when that was looked at last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invokers_in_effect: bool,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Fewest instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_instances: Option<i32>,
    /// Most instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<i32>,
    /// Networks.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Keys of annotations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<String>,
    /// Instances by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_instances: Option<i32>,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether invokers are checked.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub invoker_iam_check: Option<Switch>,
    /// Whether there is an address of Cloud Run's.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub default_address: Option<Switch>,
    /// Whether Identity-Aware Proxy asks.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub iap: Option<Switch>,
    /// Audiences of tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_audiences: Vec<String>,
    /// Binary Authorization.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub binary_authorization: Option<BinaryAuthorization>,
}
