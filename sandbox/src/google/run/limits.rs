//! What Cloud Run allows a service and its containers to ask for.

use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::super::problem::Problem;

/// Names that Cloud Run sets itself.
const RESERVED_VARIABLES: [&str; 4] = ["PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"];
/// Thousandths of a CPU that a container can have, besides fractions of one.
const CPUS: [i64; 5] = [1000, 2000, 4000, 6000, 8000];
/// Mebibytes that a container can have.
const MEMORY: RangeInclusive<f64> = 128.0..=32.0 * 1024.0;

fn within(field: &str, value: &Value, allowed: RangeInclusive<i64>) -> Result<(), Problem> {
    // Zero is not set.
    match value.as_i64().filter(|value| *value != 0 && !allowed.contains(value)) {
        Some(bad) => {
            let description = format!("{bad} is not between {} and {}", allowed.start(), allowed.end());
            Err(Problem::field(field, description))
        }
        None => Ok(()),
    }
}

pub(super) fn check_scaling(spec: &Value) -> Result<(), Problem> {
    for (scaling, field) in [(&spec["scaling"], "scaling"), (&spec["template"]["scaling"], "template.scaling")] {
        let count = |name: &str| scaling[name].as_i64().unwrap_or(0);
        let (least, most) = (count("minInstanceCount"), count("maxInstanceCount"));
        if least < 0 || most < 0 || (most > 0 && least > most) {
            return Err(Problem::field(field, format!("at least {least} and at most {most} instances can't be")));
        }
    }
    Ok(())
}

/// Keys and values of labels.
pub(super) fn check_labels(spec: &Value) -> Result<(), Problem> {
    let fits = |text: &str| {
        let allowed = |c: char| c == '-' || c == '_' || (c.is_alphanumeric() && !c.is_uppercase());
        text.chars().count() <= 63 && text.chars().all(allowed)
    };
    let is_key = |key: &str| fits(key) && key.starts_with(char::is_alphabetic);
    let mut labels = spec["labels"].as_object().into_iter().flatten();
    match labels.find(|(key, value)| !is_key(key) || !value.as_str().is_some_and(fits)) {
        Some((key, _)) => {
            let rule = "lowercase letters, digits, _ and -, 63 at most";
            Err(Problem::field("labels", format!("'{key}' or its value is no label: {rule}")))
        }
        None => Ok(()),
    }
}

/// What a revision may ask for.
pub(super) fn check_template(template: &Value) -> Result<(), Problem> {
    let containers = template["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has_port = |container: &&Value| container["ports"].as_array().is_some_and(|ports| !ports.is_empty());
    match containers {
        [] => return Err(Problem::field("template.containers", "a container is required")),
        [_, _, ..] if containers.iter().filter(has_port).count() != 1 => {
            return Err(Problem::field("template.containers", "exactly one of several containers must have a port"));
        }
        _ => {}
    }
    let timeout = template["timeout"].as_str().map(|text| text.strip_suffix('s').and_then(|t| t.parse::<f64>().ok()));
    if timeout.is_some_and(|timeout| !timeout.is_some_and(|t| (1.0..=3600.0).contains(&t))) {
        return Err(Problem::field("template.timeout", "it must be between 1 and 3600 seconds"));
    }
    let concurrency = &template["maxInstanceRequestConcurrency"];
    within("template.max_instance_request_concurrency", concurrency, 1..=1000)?;
    containers.iter().try_for_each(check_container)
}

fn check_container(container: &Value) -> Result<(), Problem> {
    let refuse = |name: &str, why: String| Err(Problem::field(&format!("template.containers[0].{name}"), why));
    let image = container["image"].as_str().unwrap_or_default();
    if image.is_empty() || image.contains(char::is_whitespace) {
        return refuse("image", format!("{image:?} is no image"));
    }
    within("template.containers[0].ports[0].container_port", &container["ports"][0]["containerPort"], 1..=65535)?;
    let mut names = BTreeSet::new();
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default();
        if name.is_empty() || RESERVED_VARIABLES.contains(&name) || !names.insert(name) {
            return refuse("env", format!("{name:?} is empty, reserved, or given twice"));
        }
    }
    let limits = &container["resources"]["limits"];
    let fits_cpu = |cpu: i64| (80..1000).contains(&cpu) || CPUS.contains(&cpu);
    if limits["cpu"].as_str().is_some_and(|text| !millis(text).is_some_and(fits_cpu)) {
        return refuse("resources.limits.cpu", "it must be below 1, or 1, 2, 4, 6 or 8".into());
    }
    let fits_memory = |memory: f64| MEMORY.contains(&memory);
    if limits["memory"].as_str().is_some_and(|text| !mebibytes(text).is_some_and(fits_memory)) {
        return refuse("resources.limits.memory", "it must be between 128Mi and 32Gi".into());
    }
    Ok(())
}

/// `2` or `500m`.
fn millis(text: &str) -> Option<i64> {
    match text.strip_suffix('m') {
        Some(millis) => millis.parse().ok(),
        None => text.parse::<f64>().ok().map(|cpu| (cpu * 1000.0).round() as i64),
    }
}

/// `512Mi`, `2Gi`, `1G`.
fn mebibytes(text: &str) -> Option<f64> {
    const MEBIBYTE: f64 = 1024.0 * 1024.0;
    let units =
        [("Ki", 1024.0), ("Mi", MEBIBYTE), ("Gi", 1024.0 * MEBIBYTE), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("", 1.0)];
    let (number, unit) = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)))?;
    number.parse::<f64>().ok().map(|number| number * unit / MEBIBYTE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cloud_run_refuses_is_refused() {
        let template = |field: &str, value: Value| {
            let mut template = json!({"containers": [{"image": "app:1", "resources": {"limits": {}}}]});
            *template.pointer_mut(field).unwrap() = value;
            check_template(&template)
        };
        let limits = "/containers/0/resources/limits";
        for limit in [json!({"cpu": "3"}), json!({"memory": "64Gi"}), json!({"cpu": "many"})] {
            assert!(template(limits, limit.clone()).is_err(), "{limit}");
        }
        assert!(template(limits, json!({"cpu": "500m", "memory": "512Mi"})).is_ok());
        assert!(template("/containers/0/image", json!("a b")).is_err());
        let env = |names: &[&str]| {
            let env: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            check_template(&json!({"containers": [{"image": "app:1", "env": env}]})).is_ok()
        };
        assert!(env(&["A", "B"]) && !env(&["A", "A"]) && !env(&["PORT"]));
        assert!(check_scaling(&json!({"scaling": {"minInstanceCount": 5, "maxInstanceCount": 2}})).is_err());
        assert!(check_labels(&json!({"labels": {"BAD KEY": "x"}})).is_err());
    }
}
