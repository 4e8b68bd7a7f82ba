//! Memorystore for Redis.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Memorystore for Redis instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Basic has one node; StandardHa has a replica in another zone. A change would need a new, empty instance and
    /// is refused.
    pub tier: RedisTier,
    /// Memory, in GiB. May be raised; connections are reset for up to some minutes. Less memory may lose data, and waits
    /// for the annotation `orchestra.cherry-ai.me/confirm-redis-memory-size-gb` with the new size.
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
