//! Discovery, version and health.

use serde_json::{Value, json};

use super::kinds::{Kind, Kinds};
use super::openapi;
use crate::exchange::Reply;

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

pub(super) fn document(path: &str, kinds: &Kinds, accept: &str) -> Reply {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    Reply::ok(match parts.as_slice() {
        ["version"] => version(),
        ["healthz" | "readyz" | "livez", ..] => return Reply::Text { status: 200, body: "ok".into() },
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["api", "v1"] => resources("", "v1", kinds),
        ["apis"] => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups(kinds)}),
        ["apis", group] => {
            let mut found = groups(kinds).into_iter().find(|g| g["name"] == *group).unwrap_or_default();
            found["kind"] = json!("APIGroup");
            found["apiVersion"] = json!("v1");
            found
        }
        ["apis", group, version] => resources(group, version, kinds),
        ["openapi", "v3"] => openapi::index(kinds),
        ["openapi", "v3", "api", "v1"] => openapi::v3("", "v1", kinds),
        ["openapi", "v3", "apis", group, version] => openapi::v3(group, version, kinds),
        ["openapi", "v2"] if !accept.contains("json") => return openapi::v2_protobuf(),
        _ => openapi::v2(kinds),
    })
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "33", "gitVersion": concat!("v1.33.0-orchestra-sandbox.", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
}

fn groups(kinds: &Kinds) -> Vec<Value> {
    let pairs = kinds.group_versions().into_iter().filter(|(group, _)| !group.is_empty());
    pairs
        .map(|(group, version)| {
            let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
            json!({"name": group, "versions": [version], "preferredVersion": version})
        })
        .collect()
}

fn resources(group: &str, version: &str, kinds: &Kinds) -> Value {
    let here = kinds.all().filter(|k| k.group == group && k.version == version);
    let resources: Vec<Value> = here.flat_map(|kind| of_kind(kind)).collect();
    let group_version = if group.is_empty() { version.to_string() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

fn of_kind(kind: &Kind) -> Vec<Value> {
    let mut resource = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": VERBS,
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    let status = json!({
        "name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": ["get", "patch", "update"],
    });
    if kind.has_status { vec![resource, status] } else { vec![resource] }
}
