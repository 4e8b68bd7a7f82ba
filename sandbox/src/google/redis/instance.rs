//! What a Redis instance must look like, and what the service adds to it.

use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};

use crate::google::Context;
use crate::google::mask::Mask;
use crate::google::problem::Problem;
use crate::google::run::limits::check_labels;

/// Fields that an update may change, without those that need another version or call.
const MUTABLE: [&str; 11] = [
    "displayName",
    "labels",
    "memorySizeGb",
    "redisConfigs",
    "replicaCount",
    "readReplicasMode",
    "secondaryIpRange",
    "authEnabled",
    "maintenancePolicy",
    "maintenanceVersion",
    "persistenceConfig",
];
/// Versions, oldest first.
const VERSIONS: [&str; 7] = ["REDIS_3_2", "REDIS_4_0", "REDIS_5_0", "REDIS_6_X", "REDIS_7_0", "REDIS_7_2", "REDIS_7_4"];
const NEWEST: &str = "REDIS_7_2";

pub(super) fn is_highly_available(document: &Value) -> bool {
    document["tier"] == "STANDARD_HA"
}

/// The type of an instance inside an operation.
pub(super) fn typed(mut document: Value) -> Value {
    document["@type"] = json!("type.googleapis.com/google.cloud.redis.v1.Instance");
    document
}

/// A new instance, as it is shown while it is being created.
pub(super) fn create(name: &str, context: Context<'_>, random: &mut StdRng) -> Result<Value, Problem> {
    let mut document = context.body()?;
    if !matches!(document["tier"].as_str(), Some("BASIC" | "STANDARD_HA")) {
        return Err(Problem::field("instance.tier", format!("Invalid tier: {}", document["tier"])));
    }
    let place = name.split('/').nth(3).unwrap_or_default();
    let highly_available = is_highly_available(&document);
    let replicas = match (highly_available, document["readReplicasMode"] == "READ_REPLICAS_ENABLED") {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    };
    let address = random.random_range(2..250);
    let own = [
        ("name", json!(name)),
        ("state", json!("CREATING")),
        ("createTime", context.time()),
        (
            "persistenceIamIdentity",
            json!(format!("serviceAccount:redis-{address}@cloud-redis.iam.gserviceaccount.com")),
        ),
    ];
    let defaults = [
        ("locationId", json!(format!("{place}-a"))),
        ("connectMode", json!("DIRECT_PEERING")),
        ("transitEncryptionMode", json!("DISABLED")),
        ("persistenceConfig", json!({"persistenceMode": "DISABLED"})),
        ("readReplicasMode", json!("READ_REPLICAS_DISABLED")),
        ("replicaCount", json!(replicas)),
        ("redisVersion", json!(NEWEST)),
        ("reservedIpRange", json!(format!("10.91.{address}.0/29"))),
        ("authorizedNetwork", json!(format!("{}/global/networks/default", project_of(name)))),
    ];
    own.into_iter().for_each(|(field, value)| document[field] = value);
    if highly_available && document["alternativeLocationId"].is_null() {
        document["alternativeLocationId"] = json!(format!("{place}-b"));
    }
    for (field, value) in defaults {
        if document[field].is_null() || document[field] == "" {
            document[field] = value;
        }
    }
    document["currentLocationId"] = document["locationId"].clone();
    place_nodes(&mut document);
    check(&document)?;
    Ok(document)
}

/// A node for the primary and one for each replica, in turn in the zones of the instance.
fn place_nodes(document: &mut Value) {
    let zones: Vec<&Value> = ["locationId", "alternativeLocationId"]
        .map(|field| &document[field])
        .into_iter()
        .filter(|z| z.is_string())
        .collect();
    let replicas = usize::try_from(document["replicaCount"].as_i64().unwrap_or(0)).unwrap_or(0);
    let nodes: Vec<Value> = zones
        .iter()
        .cycle()
        .take(replicas.saturating_add(1).min(6))
        .enumerate()
        .map(|(n, zone)| json!({"id": format!("node-{n}"), "zone": zone}))
        .collect();
    document["nodes"] = json!(nodes);
}

/// The same instance when it can be reached.
pub(super) fn ready(mut document: Value) -> Value {
    let range = document["reservedIpRange"].as_str().unwrap_or_default().to_string();
    let host = range.rsplit_once('.').map(|(network, _)| format!("{network}.3")).unwrap_or_default();
    document["state"] = json!("READY");
    document["host"] = json!(host);
    document["port"] = json!(6379);
    document
}

fn project_of(name: &str) -> String {
    name.split('/').take(2).collect::<Vec<_>>().join("/")
}

fn check(document: &Value) -> Result<(), Problem> {
    check_labels(document)?;
    let size = document["memorySizeGb"].as_i64().unwrap_or(0);
    if !(1..=300).contains(&size) {
        let description = format!("Invalid memory size: {size} GB; it must be between 1 and 300");
        return Err(Problem::field("instance.memory_size_gb", description));
    }
    let replicas = document["replicaCount"].as_i64().unwrap_or(0);
    let reads_replicas = document["readReplicasMode"] == "READ_REPLICAS_ENABLED";
    if reads_replicas && (!is_highly_available(document) || size < 5) {
        let description = "read replicas need tier STANDARD_HA and at least 5 GB";
        return Err(Problem::field("instance.read_replicas_mode", description));
    }
    let fits = match (is_highly_available(document), reads_replicas) {
        (false, _) => 0..=0,
        (true, false) => 1..=1,
        (true, true) => 1..=5,
    };
    if !fits.contains(&replicas) {
        let description = format!("{replicas} replicas, and there may be {} to {}", fits.start(), fits.end());
        return Err(Problem::field("instance.replica_count", description));
    }
    let version = document["redisVersion"].as_str().unwrap_or_default();
    match VERSIONS.contains(&version) {
        true => Ok(()),
        false => Err(Problem::field("instance.redis_version", format!("{version} is not supported"))),
    }
}

/// The instance with the fields of an update.
pub(super) fn update(document: &Value, wanted: &Value, mask: &Mask) -> Result<Value, Problem> {
    if mask.is_empty() {
        return Err(Problem::field("update_mask", "it is required"));
    }
    if let Some(fixed) = mask.outside(&MUTABLE) {
        return Err(Problem::field("update_mask", format!("field '{fixed}' cannot be updated")));
    }
    let mut becomes = document.clone();
    mask.apply(wanted, &mut becomes)?;
    let enabled = |document: &Value| document["readReplicasMode"] == "READ_REPLICAS_ENABLED";
    if enabled(document) && !enabled(&becomes) {
        return Err(Problem::precondition("read replicas cannot be disabled once they are enabled"));
    }
    check(&becomes)?;
    place_nodes(&mut becomes);
    Ok(becomes)
}

/// The instance with a newer version.
pub(super) fn upgrade(document: &Value, version: &str) -> Result<Value, Problem> {
    let rank = |version: &str| VERSIONS.iter().position(|known| *known == version);
    let present = document["redisVersion"].as_str().unwrap_or_default();
    if rank(version).is_none_or(|wanted| Some(wanted) <= rank(present)) {
        return Err(Problem::field("redis_version", format!("cannot upgrade from {present} to {version:?}")));
    }
    let mut becomes = document.clone();
    becomes["redisVersion"] = json!(version);
    Ok(becomes)
}

/// The instance served from its other zone.
pub(super) fn failover(document: &Value) -> Result<Value, Problem> {
    if !is_highly_available(document) {
        return Err(Problem::precondition("failover needs an instance of tier STANDARD_HA"));
    }
    let mut becomes = document.clone();
    let (present, zones) =
        (&document["currentLocationId"], [&document["locationId"], &document["alternativeLocationId"]]);
    let other = zones.into_iter().find(|zone| *zone != present).cloned().unwrap_or_default();
    becomes["currentLocationId"] = other;
    Ok(becomes)
}
