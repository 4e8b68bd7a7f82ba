//! Volumes.

use serde_json::Value;
use std::collections::BTreeSet;

use super::{Problem, items, resources, text};

const SOURCES: [&str; 5] = ["secret", "cloudSqlInstance", "emptyDir", "nfs", "gcs"];
const MODES: std::ops::RangeInclusive<i64> = 0..=0o777;

pub(super) fn check(template: &Value) -> Result<(), Problem> {
    let mut names = BTreeSet::new();
    for (at, volume) in items(template, "volumes").iter().enumerate() {
        let refuse = |field: &str, why: &str| Err(Problem::field(&format!("template.volumes[{at}]{field}"), why));
        if !names.insert(text(volume, "name")) {
            return refuse(".name", "Duplicate volume name");
        }
        if SOURCES.iter().filter(|source| !volume[**source].is_null()).count() > 1 {
            return Err(Problem::invalid("oneof field 'volume_type' is already set."));
        }
        let (secret, sql) = (&volume["secret"], &volume["cloudSqlInstance"]);
        let has_mode = |value: &Value, field: &str| MODES.contains(&value[field].as_i64().unwrap_or(0));
        if !has_mode(secret, "defaultMode") || !items(secret, "items").iter().all(|item| has_mode(item, "mode")) {
            return refuse(".secret", "default_mode: if present, must be a supported unix chmod bitmask");
        }
        if items(secret, "items").iter().any(|item| text(item, "version").is_empty()) {
            return refuse(".secret", "items[0].version: should have only alphanumeric characters");
        }
        if sql.is_null() == (text(volume, "name") == "cloudsql") {
            let rule = "Cloud SQL volume must be named 'cloudsql', and 'cloudsql' is reserved for Cloud SQL volumes.";
            return refuse(".name", rule);
        }
        let connection = |name: &Value| name.as_str().is_some_and(|name| name.split(':').count() >= 3);
        if !items(sql, "instances").iter().all(connection) {
            return refuse(".cloud_sql_instance", "must be in the format project:location:instance");
        }
        if !volume["gcs"].is_null() && text(&volume["gcs"], "bucket").is_empty() {
            return refuse(".gcs", "Bucket name must be specified");
        }
        let limit = text(&volume["emptyDir"], "sizeLimit");
        if !limit.is_empty() && resources::mebibytes(limit).is_none() {
            return refuse(".empty_dir", "size_limit: Could not parse Quantity");
        }
    }
    Ok(())
}
