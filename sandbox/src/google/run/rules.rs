//! What a service must look like.

use serde_json::Value;
use std::collections::BTreeSet;

use super::super::problem::Problem;
use super::revision::Usable;

/// Prefixes that annotations and labels may not have.
const RESERVED: [&str; 4] =
    ["run.googleapis.com/", "cloud.googleapis.com/", "serving.knative.dev/", "autoscaling.knative.dev/"];

pub(super) fn check_annotations(spec: &Value) -> Result<(), Problem> {
    for (place, holder) in [("", spec), ("template.", &spec["template"])] {
        for field in ["annotations", "labels"] {
            let mut keys = holder[field].as_object().into_iter().flat_map(|all| all.keys());
            if let Some(key) = keys.find(|key| RESERVED.iter().any(|prefix| key.starts_with(prefix))) {
                let rule = format!("system {field} are not supported in Cloud Run API v2.");
                return Err(Problem::field(&format!("{place}{field}[{key}]"), rule));
            }
        }
    }
    Ok(())
}

/// Most characters of a tag and the service's name together.
const TAG_AND_NAME: usize = 46;

/// Each tag is used once, and makes an address with the service's name.
fn check_tags(targets: &[Value], service: &str) -> Result<(), Problem> {
    let mut known = BTreeSet::new();
    for tag in targets.iter().filter_map(|target| target["tag"].as_str()).filter(|tag| !tag.is_empty()) {
        if !known.insert(tag) {
            return Err(Problem::field("traffic.tag", format!("traffic tag '{tag}' is used more than once.")));
        }
        if tag.len() + service.len() > TAG_AND_NAME {
            let rule = format!(
                "traffic tag '{tag}' and service name '{service}' together are too long. Combined traffic tag and service name \
                 cannot exceed 46 characters."
            );
            return Err(Problem::field("spec.traffic.tag", rule));
        }
    }
    Ok(())
}

pub(super) fn check_traffic(traffic: &Value, service: &str) -> Result<(), Problem> {
    let Some(targets) = traffic.as_array().filter(|t| !t.is_empty()) else { return Ok(()) };
    check_tags(targets, service)?;
    let mut sum = 0;
    for target in targets {
        if !target.is_object() {
            return Err(Problem::field("traffic", "a target must be a message"));
        }
        let percent = &target["percent"];
        let percent = if percent.is_null() { Some(0) } else { percent.as_i64() };
        let percent = percent.filter(|p| (0..=100).contains(p));
        sum += percent.ok_or_else(|| Problem::field("traffic.percent", "it must be an integer from 0 to 100"))?;
        let named = target["revision"].as_str().is_some_and(|r| !r.is_empty());
        if named != (target["type"] == "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION") {
            let description = "a target of type REVISION names a revision, one of type LATEST does not";
            return Err(Problem::field("traffic", description));
        }
    }
    if sum == 100 {
        Ok(())
    } else {
        Err(Problem::field("traffic", format!("the percentages must add up to 100, and add up to {sum}")))
    }
}

pub(super) fn unusable_secret(template: &Value, usable: Usable<'_>) -> Option<String> {
    let containers = template["containers"].as_array().into_iter().flatten();
    let variables = containers.flat_map(|container| container["env"].as_array().into_iter().flatten());
    let variables = variables.filter_map(|variable| {
        let reference = variable["valueSource"].get("secretKeyRef")?;
        Some((reference["secret"].as_str()?.to_string(), reference["version"].as_str().unwrap_or("latest").to_string()))
    });
    let secrets = template["volumes"].as_array().into_iter().flatten().filter_map(|volume| volume.get("secret"));
    let volumes = secrets.flat_map(|secret| {
        let name = secret["secret"].as_str().unwrap_or_default();
        let items = secret["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let versions = items.iter().map(|item| item["version"].as_str().unwrap_or("latest"));
        // Without items it is the newest.
        let newest = items.is_empty().then_some("latest");
        versions.chain(newest).map(|version| (name.to_string(), version.to_string())).collect::<Vec<_>>()
    });
    variables
        .chain(volumes)
        .find(|(secret, version)| !usable(secret, version))
        .map(|(s, v)| format!("{s}/versions/{v}"))
}
