//! The VPC.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How services reach the VPC: exactly one of `connector` and `directEgress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.connector) != has(self.directEgress)",
    "a network is exactly one of connector and directEgress"
))]
pub struct Network {
    /// Name of an existing Serverless VPC Access connector in each region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z][-a-z0-9]{0,23}[a-z0-9]$"), length(max = 25))]
    pub connector: Option<String>,
    /// An address of a subnetwork for each instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_egress: Option<DirectEgress>,
    /// Which traffic goes through it.
    #[serde(default)]
    pub egress: Egress,
}

/// An address of a subnetwork for each instance: `network`, `subnetwork` or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.network) || has(self.subnetwork)",
    "directEgress needs network, subnetwork or both: Cloud Run finds the other by the one"
))]
pub struct DirectEgress {
    /// The network: its name, or projects/P/global/networks/N. Default: that of the subnetwork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(projects/[^/]+/global/networks/)?[a-z]([-a-z0-9]*[a-z0-9])?$"), length(max = 200))]
    pub network: Option<String>,
    /// The subnetwork, in each region: its name, or projects/P/regions/R/subnetworks/S. Default: that of the network's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^(projects/[^/]+/regions/[^/]+/subnetworks/)?[a-z]([-a-z0-9]*[a-z0-9])?$"),
        length(max = 200)
    )]
    pub subnetwork: Option<String>,
    /// Network tags of the instances, which firewall rules go by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"), length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub tags: Vec<String>,
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
