//! Containers.

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::{Problem, items, probe, resources, text, within};

/// What names an image, by the grammar of github.com/distribution/reference.
static IMAGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let label = "[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?";
    let part = "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*";
    let tag = "[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}";
    let host = format!("{label}([.]{label})*(:[0-9]+)?");
    Regex::new(&format!("^({host}/)?{part}(/{part})*(:{tag})?(@sha256:[0-9a-f]{{64}})?$")).ok()
});
/// What a container may be called.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$").ok());
/// Names that Cloud Run sets itself.
const RESERVED_VARIABLES: [&str; 4] = ["PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"];
const LONGEST_VALUE: usize = 32768;

pub(super) fn check(at: usize, container: &Value, template: &Value) -> Result<(), Problem> {
    let refuse = |name: &str, why: String| Err(Problem::field(&format!("template.containers[{at}].{name}"), why));
    let image = text(container, "image");
    if !IMAGE.as_ref().is_some_and(|grammar| grammar.is_match(image)) {
        let why = format!("Expected an image path like [host/]repo-path[:tag and/or @digest], but obtained {image}");
        return refuse("image", why);
    }
    let name = text(container, "name");
    if !name.is_empty() && (name.len() > 63 || !NAME.as_ref().is_some_and(|grammar| grammar.is_match(name))) {
        let rule = "Must conform to RFC 1123: only lowercase letters, digits, hyphens, and periods are allowed, must begin \
                    and end with a letter or digit, and be less than 64 characters";
        return refuse("name", format!("Invalid container name '{name}'. {rule}"));
    }
    let ports = items(container, "ports");
    if ports.len() > 1 {
        return refuse("ports", "ports should contain 0 or 1 port.".into());
    }
    for port in ports {
        within(&format!("template.containers[{at}].ports[0].container_port"), &port["containerPort"], 1..=65535)?;
        if !["", "http1", "h2c"].contains(&text(port, "name")) {
            return refuse("ports[0].name", "must be one of empty, 'http1' or 'h2c'".into());
        }
    }
    check_variables(at, items(container, "env"))?;
    let own_field = |field: &str| format!("template.containers[{at}].{field}");
    probe::check_startup(&own_field("startup_probe"), &container["startupProbe"])?;
    probe::check_liveness(&own_field("liveness_probe"), &container["livenessProbe"])?;
    probe::check_readiness(&own_field("readiness_probe"), &container["readinessProbe"])?;
    check_mounts(at, container, template)?;
    resources::check(at, &container["resources"]["limits"])
}

fn check_variables(at: usize, env: &[Value]) -> Result<(), Problem> {
    let refuse = |why: String| Err(Problem::field(&format!("template.containers[{at}].env"), why));
    let mut names = BTreeSet::new();
    for variable in env {
        let name = text(variable, "name");
        if RESERVED_VARIABLES.contains(&name) {
            return refuse(format!(
                "The following reserved env names were provided: {name}. These values are automatically set by the system."
            ));
        }
        if name.is_empty() || !names.insert(name) {
            return refuse(format!("{name:?} is empty, or given twice"));
        }
        if text(variable, "value").len() > LONGEST_VALUE {
            return refuse(format!("length cannot exceed {LONGEST_VALUE}"));
        }
        let reference = &variable["valueSource"]["secretKeyRef"];
        if !reference.is_null() && text(reference, "version").is_empty() {
            return refuse("secret_key_ref.version: should have only alphanumeric characters".into());
        }
    }
    Ok(())
}

fn check_mounts(at: usize, container: &Value, template: &Value) -> Result<(), Problem> {
    let refuse = |why: String| Err(Problem::field(&format!("template.containers[{at}].volume_mounts"), why));
    for mount in items(container, "volumeMounts") {
        let (name, path) = (text(mount, "name"), text(mount, "mountPath"));
        let Some(volume) = items(template, "volumes").iter().find(|volume| text(volume, "name") == name) else {
            return refuse(format!("volume mounts: [{name}] which were not found in volumes list"));
        };
        if !path.starts_with('/') || path.contains(':') {
            return refuse(format!("'{path}' must be a valid unix absolute path"));
        }
        let top = path.split('/').find(|part| !part.is_empty() && *part != ".").unwrap_or_default();
        if ["dev", "proc", "sys"].contains(&top) {
            return refuse(format!("'{path}' are in one of disallowed mount points"));
        }
        if !text(mount, "subPath").is_empty() && !volume["secret"].is_null() {
            return refuse(format!("a mount of the secret volume '{name}' cannot have sub_path set"));
        }
    }
    Ok(())
}
