//! What a service must look like, and how a mask changes it.

use serde_json::{Value, json};

use super::super::problem::Problem;
use super::service::Usable;

/// Prefixes that annotations may not have.
const RESERVED: [&str; 4] =
    ["run.googleapis.com/", "cloud.googleapis.com/", "serving.knative.dev/", "autoscaling.knative.dev/"];

/// Sets or removes a field by its path.
pub(super) fn put(spec: &mut Value, path: &[&str], value: Option<Value>) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut place = spec;
    for parent in parents {
        if !place[*parent].is_object() {
            place[*parent] = json!({});
        }
        place = &mut place[*parent];
    }
    match (value, place.as_object_mut()) {
        (Some(value), Some(fields)) if !value.is_null() => drop(fields.insert((*last).to_string(), value)),
        (_, Some(fields)) => drop(fields.remove(*last)),
        _ => {}
    }
}

pub(super) fn check_annotations(spec: &Value) -> Result<(), Problem> {
    let keys = spec["annotations"].as_object().into_iter().flat_map(|a| a.keys());
    match keys.into_iter().find(|key| RESERVED.iter().any(|prefix| key.starts_with(prefix))) {
        Some(key) => Err(Problem::invalid(format!("annotations: '{key}' is in a reserved namespace"))),
        None => Ok(()),
    }
}

pub(super) fn check_traffic(traffic: &Value) -> Result<(), Problem> {
    let Some(targets) = traffic.as_array().filter(|t| !t.is_empty()) else { return Ok(()) };
    let mut sum = 0;
    for target in targets {
        let percent = &target["percent"];
        let percent = if percent.is_null() { Some(0) } else { percent.as_i64() };
        let percent = percent.filter(|p| (0..=100).contains(p));
        sum += percent.ok_or_else(|| Problem::invalid("traffic.percent must be an integer from 0 to 100"))?;
        let named = target["revision"].as_str().is_some_and(|r| !r.is_empty());
        if named != (target["type"] == "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION") {
            return Err(Problem::invalid(
                "traffic: a target of type REVISION names a revision, one of type LATEST does not",
            ));
        }
    }
    if sum == 100 {
        Ok(())
    } else {
        Err(Problem::invalid(format!("traffic percentages must add up to 100, and add up to {sum}")))
    }
}

pub(super) fn unusable_secret(template: &Value, usable: Usable<'_>) -> Option<String> {
    let container = &template["containers"][0];
    let variables = container["env"].as_array().into_iter().flatten().filter_map(|variable| {
        let reference = variable["valueSource"].get("secretKeyRef")?;
        Some((reference["secret"].as_str()?.to_string(), reference["version"].as_str().unwrap_or("latest").to_string()))
    });
    let volumes = template["volumes"].as_array().into_iter().flatten().filter_map(|volume| {
        let secret = volume.get("secret")?;
        let version = secret["items"][0]["version"].as_str().unwrap_or("latest");
        Some((secret["secret"].as_str()?.to_string(), version.to_string()))
    });
    variables
        .chain(volumes)
        .find(|(secret, version)| !usable(secret, version))
        .map(|(s, v)| format!("{s}/versions/{v}"))
}
