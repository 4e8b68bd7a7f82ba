//! The VPC.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
