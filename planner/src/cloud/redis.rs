//! Memorystore for Redis.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::names::{ProjectId, Region};

/// A Memorystore instance of an environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RedisId {
    /// Its project.
    pub project: ProjectId,
    /// Its region.
    pub region: Region,
    /// Its name.
    pub name: String,
}

/// A Memorystore instance as last read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisView {
    /// READY, CREATING, UPDATING, …
    pub state: String,
    /// Its tier, when it is one that we know.
    pub tier: Option<orchestra_crds::RedisTier>,
    /// Its memory, in GiB.
    pub memory_size_gb: i32,
    /// The version of Redis that it runs.
    pub version: Option<String>,
    /// Address for clients.
    pub host: Option<String>,
    /// Port for clients.
    pub port: Option<i32>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}
