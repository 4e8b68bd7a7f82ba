//! What Cloud Run allows a service and its revisions to ask for, one file a thing. Texts are Google's own where they are
//! known.

mod container;
mod probe;
mod resources;
mod volume;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::super::problem::Problem;
pub(super) use resources::{DEFAULT_CPU, DEFAULT_MEMORY, default_concurrency};

/// Most containers, and most variables and arguments of all of them.
const CONTAINERS: usize = 10;
const ENTRIES: usize = 1000;
const DESCRIPTION: usize = 512;

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn is_set(value: &Value) -> bool {
    !(value.is_null() || *value == Value::Bool(false) || *value == 0 || *value == "")
}

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

/// The container that takes the requests.
pub(in crate::google) fn ingress(template: &Value) -> &Value {
    let containers = items(template, "containers");
    containers.iter().find(|c| !items(c, "ports").is_empty()).or_else(|| containers.first()).unwrap_or(&Value::Null)
}

pub(super) fn check_scaling(spec: &Value) -> Result<(), Problem> {
    for (scaling, field) in [(&spec["scaling"], "scaling"), (&spec["template"]["scaling"], "template.scaling")] {
        let count = |name: &str| scaling[name].as_i64().unwrap_or(0);
        let (least, most) = (count("minInstanceCount"), count("maxInstanceCount"));
        if least < 0 || most < 0 || (most > 0 && least > most) {
            return Err(Problem::field(field, format!("at least {least} and at most {most} instances can't be")));
        }
    }
    if spec["scaling"]["manualInstanceCount"].is_i64() && spec["scaling"]["scalingMode"] != "MANUAL" {
        return Err(Problem::field("scaling.manual_instance_count", "scaling mode must be set to MANUAL"));
    }
    Ok(())
}

/// Settings of a service that make no revision.
pub(super) fn check_service(spec: &Value) -> Result<(), Problem> {
    if text(spec, "description").chars().count() > DESCRIPTION {
        return Err(Problem::field("description", format!("length cannot exceed {DESCRIPTION}")));
    }
    let binary = &spec["binaryAuthorization"];
    let policy = text(binary, "policy");
    let is_policy = |policy: &str| {
        matches!(policy.split('/').collect::<Vec<_>>().as_slice(), ["projects", _, "platforms", "cloudRun", _])
    };
    if is_set(&binary["useDefault"]) && !policy.is_empty() {
        return Err(Problem::invalid("oneof field 'binauthz_method' is already set. Cannot set 'policy'"));
    }
    if !policy.is_empty() && !is_policy(policy) {
        let rule = "must be in form projects/{project}/platforms/cloudRun/{policy-name}";
        return Err(Problem::field("binary_authorization.policy", rule));
    }
    Ok(())
}

/// Keys and values of labels.
pub(in crate::google) fn check_labels(spec: &Value) -> Result<(), Problem> {
    labels(&spec["labels"], "labels")
}

/// A key may have a domain before it, as Kubernetes' labels have.
fn labels(labels: &Value, field: &str) -> Result<(), Problem> {
    let fits = |text: &str| {
        let allowed = |c: char| c == '-' || c == '_' || (c.is_alphanumeric() && !c.is_uppercase());
        text.chars().count() <= 63 && text.chars().all(allowed)
    };
    let domain = |text: &str| text.split('.').all(|part| !part.is_empty() && fits(part));
    let name = |key: &str| fits(key) && key.starts_with(char::is_alphabetic);
    let is_key = |key: &str| key.split_once('/').map_or(name(key), |(prefix, key)| domain(prefix) && name(key));
    let mut all = labels.as_object().into_iter().flatten();
    match all.find(|(key, value)| !is_key(key) || !value.as_str().is_some_and(fits)) {
        Some((key, _)) => {
            let rule = "lowercase letters, digits, _ and -, 63 at most";
            Err(Problem::field(field, format!("'{key}' or its value is no label: {rule}")))
        }
        None => Ok(()),
    }
}

/// What a revision may ask for.
pub(super) fn check_template(template: &Value) -> Result<(), Problem> {
    labels(&template["labels"], "template.labels")?;
    let containers = items(template, "containers");
    let with_port = containers.iter().filter(|container| !items(container, "ports").is_empty()).count();
    let refuse = |why: String| Err(Problem::field("template.containers", why));
    match containers.len() {
        0 => return refuse("must contain at least one container".into()),
        n if n > CONTAINERS => return refuse(format!("at most {CONTAINERS} containers")),
        n if n > 1 && with_port != 1 => {
            return refuse("Revision template should contain exactly one container with an exposed port.".into());
        }
        _ => {}
    }
    for (field, what) in [("env", "EnvVars"), ("args", "args")] {
        let all: usize = containers.iter().map(|container| items(container, field).len()).sum();
        if all > ENTRIES {
            return refuse(format!("exceeds the limit on {what} across all containers: {ENTRIES}"));
        }
    }
    check_names(containers)?;
    let timeout = template["timeout"].as_str().map(|text| text.strip_suffix('s').and_then(|t| t.parse::<f64>().ok()));
    if timeout.is_some_and(|timeout| !timeout.is_some_and(|t| (1.0..=3600.0).contains(&t))) {
        return Err(Problem::field("template.timeout", "it must be between 1 and 3600 seconds"));
    }
    let concurrency = &template["maxInstanceRequestConcurrency"];
    within("template.max_instance_request_concurrency", concurrency, 1..=1000)?;
    check_network(&template["vpcAccess"])?;
    check_key(template)?;
    containers.iter().enumerate().try_for_each(|(at, c)| container::check(at, c, template))?;
    volume::check(template)?;
    resources::check_total(template)
}

/// Names of containers, and which waits for which.
fn check_names(containers: &[Value]) -> Result<(), Problem> {
    let names: Vec<&str> = containers.iter().map(|c| text(c, "name")).filter(|name| !name.is_empty()).collect();
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return Err(Problem::field("template.containers", "duplicate container names"));
    }
    let mut after: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (at, container) in containers.iter().enumerate() {
        let field = format!("template.containers[{at}].depends_on");
        for name in items(container, "dependsOn").iter().filter_map(Value::as_str) {
            match containers.iter().find(|other| text(other, "name") == name) {
                None => return Err(Problem::field(&field, format!("Dependent container '{name}' does not exist"))),
                Some(other) if other["startupProbe"].is_null() => {
                    let why = format!("Dependent container '{name}' must have startup probe specified");
                    return Err(Problem::field(&field, why));
                }
                Some(_) => after.entry(text(container, "name")).or_default().push(name),
            }
        }
    }
    // Who waits for nobody that is left has started; when nobody has, those that are left wait for each other.
    while !after.is_empty() {
        let waiting: BTreeSet<&str> = after.keys().copied().collect();
        let before = after.len();
        after.retain(|_, names| names.iter().any(|name| waiting.contains(name)));
        if after.len() == before {
            return Err(Problem::field("template.containers", "dependency cycle detected"));
        }
    }
    Ok(())
}

fn check_network(access: &Value) -> Result<(), Problem> {
    if access.is_null() {
        return Ok(());
    }
    let (connector, interfaces) = (text(access, "connector"), items(access, "networkInterfaces"));
    if connector.is_empty() == interfaces.is_empty() {
        let rule = "one and only one of connector and network_interfaces must be set.";
        return Err(Problem::field("template.vpc_access.connector", rule));
    }
    if interfaces.len() > 1 {
        return Err(Problem::field("template.vpc_access.network_interfaces", "only 1 network interface is allowed"));
    }
    if interfaces.iter().any(|i| text(i, "network").is_empty() && text(i, "subnetwork").is_empty()) {
        let rule = "at least one of network or subnetwork should not be empty";
        return Err(Problem::field("template.vpc_access.network_interfaces[0]", rule));
    }
    Ok(())
}

fn check_key(template: &Value) -> Result<(), Problem> {
    let key = text(template, "encryptionKey");
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        [""] if is_set(&template["encryptionKeyRevocationAction"]) => Err(Problem::field(
            "template.encryption_key_revocation_action",
            "encryption_key must be set if this field is set",
        )),
        [""] | ["projects", _, "locations", _, "keyRings", _, "cryptoKeys", _] => Ok(()),
        _ => {
            let rule = "must conform to projects/{P}/locations/{L}/keyRings/{R}/cryptoKeys/{K}";
            Err(Problem::field("template.encryption_key", rule))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cloud_run_refuses_is_refused() {
        let template = |field: &str, value: Value| {
            let mut template =
                json!({"containers": [{"image": "app:1", "resources": {"limits": {}, "cpuIdle": true}}]});
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
            let container = json!({"image": "app:1", "resources": {"limits": {"cpu": cpu}, "cpuIdle": true}});
            check_template(&json!({"containers": [container], "maxInstanceRequestConcurrency": 80})).is_ok()
        };
        assert!(crowded("1") && !crowded("0.5"), "less than a CPU takes one request at a time");
        let with_a_sidecar = json!({"maxInstanceRequestConcurrency": 80, "containers": [
            {"image": "app:1", "ports": [{"containerPort": 8080}]},
            {"image": "proxy:1", "resources": {"limits": {"cpu": "0.5"}, "cpuIdle": true}},
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
