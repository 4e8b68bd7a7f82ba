//! What Cloud Run allows a service and its containers to ask for.

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use super::super::problem::Problem;

/// What names an image, by the grammar of github.com/distribution/reference.
static IMAGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let label = "[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?";
    let part = "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*";
    let tag = "[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}";
    let host = format!("{label}([.]{label})*(:[0-9]+)?");
    Regex::new(&format!("^({host}/)?{part}(/{part})*(:{tag})?(@sha256:[0-9a-f]{{64}})?$")).ok()
});
/// Names that Cloud Run sets itself.
const RESERVED_VARIABLES: [&str; 4] = ["PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"];
/// Thousandths of a CPU that a container can have, and the mebibytes that go with them.
const SIZES: [(RangeInclusive<i64>, RangeInclusive<f64>); 7] = [
    (80..=499, 128.0..=512.0),
    (500..=999, 128.0..=1024.0),
    (1000..=1000, 128.0..=4.0 * 1024.0),
    (2000..=2000, 128.0..=8.0 * 1024.0),
    (4000..=4000, 2.0 * 1024.0..=16.0 * 1024.0),
    (6000..=6000, 4.0 * 1024.0..=24.0 * 1024.0),
    (8000..=8000, 4.0 * 1024.0..=32.0 * 1024.0),
];
pub(super) const DEFAULT_CPU: &str = "1000m";
pub(super) const DEFAULT_MEMORY: &str = "512Mi";

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
pub(in crate::google) fn check_labels(spec: &Value) -> Result<(), Problem> {
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
    if default_concurrency(template) == 1 && concurrency.as_i64() > Some(1) {
        let description = "Total cpu < 1 is not supported with concurrency > 1.";
        return Err(Problem::field("template.containers[0].resources.limits.cpu", description));
    }
    containers.iter().try_for_each(check_container)
}

fn check_container(container: &Value) -> Result<(), Problem> {
    let refuse = |name: &str, why: String| Err(Problem::field(&format!("template.containers[0].{name}"), why));
    let image = container["image"].as_str().unwrap_or_default();
    if !IMAGE.as_ref().is_some_and(|grammar| grammar.is_match(image)) {
        let why = format!("Expected an image path like [host/]repo-path[:tag and/or @digest], but obtained {image}");
        return refuse("image", why);
    }
    within("template.containers[0].ports[0].container_port", &container["ports"][0]["containerPort"], 1..=65535)?;
    let mut names = BTreeSet::new();
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default();
        if name.is_empty() || RESERVED_VARIABLES.contains(&name) || !names.insert(name) {
            return refuse("env", format!("{name:?} is empty, reserved, or given twice"));
        }
    }
    check_resources(&container["resources"]["limits"])
}

fn check_resources(limits: &Value) -> Result<(), Problem> {
    let refuse =
        |name: &str, why: String| Err(Problem::field(&format!("template.containers[0].resources.limits.{name}"), why));
    let cpu = millis(limits["cpu"].as_str().unwrap_or(DEFAULT_CPU));
    let Some((cpu, memory)) = cpu.and_then(|cpu| Some((cpu, memory_with(cpu)?))) else {
        return refuse(
            "cpu",
            "Invalid value specified for cpu. It must be between 0.08 and 1, or 2, 4, 6 or 8.".into(),
        );
    };
    let wanted = mebibytes(limits["memory"].as_str().unwrap_or(DEFAULT_MEMORY));
    if wanted.is_some_and(|wanted| memory.contains(&wanted)) {
        return Ok(());
    }
    let (cpu, least, most) = (cpu as f64 / 1000.0, amount(*memory.start()), amount(*memory.end()));
    let rule = format!("For {cpu:?} CPU, memory must be between {least} and {most} inclusive.");
    refuse("memory", format!("Invalid value specified for memory. {rule}"))
}

fn memory_with(cpu: i64) -> Option<RangeInclusive<f64>> {
    SIZES.into_iter().find(|(cpus, _)| cpus.contains(&cpu)).map(|(_, memory)| memory)
}

/// `512Mi`, `4Gi`.
fn amount(mebibytes: f64) -> String {
    if mebibytes < 1024.0 { format!("{mebibytes}Mi") } else { format!("{}Gi", mebibytes / 1024.0) }
}

/// Requests that an instance takes at once, if it is not said: one, where its containers have less than a CPU.
pub(super) fn default_concurrency(template: &Value) -> i64 {
    let containers = template["containers"].as_array().into_iter().flatten();
    let cpu = |container: &Value| millis(container["resources"]["limits"]["cpu"].as_str().unwrap_or(DEFAULT_CPU));
    if containers.filter_map(cpu).fold(0, i64::saturating_add) < 1000 { 1 } else { 80 }
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
        for (cpu, memory) in [("3", "512Mi"), ("1", "64Gi"), ("many", "1Gi"), ("8", "512Mi"), ("400m", "1Gi")] {
            assert!(template(limits, json!({"cpu": cpu, "memory": memory})).is_err(), "{cpu} {memory}");
        }
        for (cpu, memory) in [("500m", "512Mi"), ("1", "4Gi"), ("8", "32Gi"), ("0.08", "128Mi")] {
            assert!(template(limits, json!({"cpu": cpu, "memory": memory})).is_ok(), "{cpu} {memory}");
        }
        assert!(template(limits, json!({"cpu": "4"})).is_err(), "the default memory is too little for four CPUs");
        let crowded = |cpu: &str| {
            let container = json!({"image": "app:1", "resources": {"limits": {"cpu": cpu}}});
            check_template(&json!({"containers": [container], "maxInstanceRequestConcurrency": 80})).is_ok()
        };
        assert!(crowded("1") && !crowded("0.5"), "less than a CPU takes one request at a time");
        let with_a_sidecar = json!({"maxInstanceRequestConcurrency": 80, "containers": [
            {"image": "app:1", "ports": [{"containerPort": 8080}]},
            {"image": "proxy:1", "resources": {"limits": {"cpu": "0.5"}}},
        ]});
        assert!(check_template(&with_a_sidecar).is_ok());
        for image in ["", "a b", "-", "a:b:c", "http://x/y", "App", "a@sha256:0"] {
            assert!(template("/containers/0/image", json!(image)).is_err(), "{image}");
        }
        let env = |names: &[&str]| {
            let env: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            check_template(&json!({"containers": [{"image": "app:1", "env": env}]})).is_ok()
        };
        assert!(env(&["A", "B"]) && !env(&["A", "A"]) && !env(&["PORT"]));
        assert!(check_scaling(&json!({"scaling": {"minInstanceCount": 5, "maxInstanceCount": 2}})).is_err());
        assert!(check_labels(&json!({"labels": {"BAD KEY": "x"}})).is_err());
    }
}
