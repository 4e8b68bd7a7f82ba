//! Discovery, version and health.

use serde_json::{Value, json};

use super::kinds::{Kind, Kinds};
use super::openapi;
use crate::exchange::Reply;

const VERBS_OF_CUSTOM_KINDS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

pub(super) fn document(path: &str, kinds: &Kinds, accept: &str) -> Reply {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let aggregated = accept.split(',').find(|form| form.contains("as=APIGroupDiscoveryList"));
    if let (["api" | "apis"], Some(form)) = (parts.as_slice(), aggregated) {
        let version = if form.contains("v=v2beta1") { "v2beta1" } else { "v2" };
        let content_type = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
        return Reply::ok(aggregate(kinds, parts == ["api"], version)).with("content-type", content_type);
    }
    Reply::ok(match parts.as_slice() {
        ["version"] => version(),
        ["healthz" | "readyz" | "livez", ..] => return Reply::text(200, "ok"),
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
        "major": "1", "minor": "36", "gitVersion": concat!("v1.36.2-orchestra-sandbox.", env!("CARGO_PKG_VERSION")),
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
    let mut resources: Vec<Value> = here.flat_map(|kind| of_kind(kind)).collect();
    resources.sort_by_key(|r| r["name"].as_str().unwrap_or_default().split('/').next().map(ToString::to_string));
    if group.is_empty() {
        return json!({"kind": "APIResourceList", "groupVersion": version, "resources": resources});
    }
    let group_version = format!("{group}/{version}");
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

fn verbs(kind: &Kind) -> Value {
    match (kind.is_custom(), kind.plural.as_str()) {
        (true, _) => json!(VERBS_OF_CUSTOM_KINDS),
        _ if kind.is_review() => json!(["create"]),
        (false, "namespaces") => json!(VERBS.iter().filter(|verb| **verb != "deletecollection").collect::<Vec<_>>()),
        (false, _) => json!(VERBS),
    }
}

/// A part of a kind with its own path: name, kind, verbs.
struct Subresource {
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: String,
    verbs: &'static [&'static str],
}

fn parts(kind: &Kind) -> Vec<Subresource> {
    const READ_WRITE: &[&str] = &["get", "patch", "update"];
    let own = |name, verbs| Subresource { name, group: "", version: "", kind: kind.kind.clone(), verbs };
    let mut parts = vec![];
    match kind.plural.as_str() {
        "namespaces" => parts.push(own("finalize", &["update"])),
        "serviceaccounts" => parts.push(Subresource {
            name: "token",
            group: "authentication.k8s.io",
            version: "v1",
            kind: "TokenRequest".into(),
            verbs: &["create"],
        }),
        _ => {}
    }
    if kind.has_status && !kind.is_review() {
        parts.push(own("status", READ_WRITE));
    }
    if kind.scale.is_some() {
        let kind = "Scale".to_string();
        parts.push(Subresource { name: "scale", group: "autoscaling", version: "v1", kind, verbs: READ_WRITE });
    }
    parts
}

/// What the real server makes of where a kind is stored.
fn storage_hash(kind: &Kind) -> Option<String> {
    use base64::Engine;
    use sha2::Digest;
    // Both event APIs show what the core group stores.
    let group = if kind.plural == "events" { "" } else { &kind.group };
    let digest = sha2::Sha256::digest(format!("{group}/{}/{}", kind.version, kind.kind));
    digest.get(..8).map(|start| base64::engine::general_purpose::STANDARD.encode(start))
}

fn of_kind(kind: &Kind) -> Vec<Value> {
    let mut resource = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": verbs(kind),
    });
    for (field, list) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
        if !list.is_empty() {
            resource[field] = json!(list);
        }
    }
    if let Some(hash) = storage_hash(kind).filter(|_| !kind.is_review()) {
        resource["storageVersionHash"] = json!(hash);
    }
    let parts = parts(kind).into_iter().map(|part| {
        let mut resource = json!({
            "name": format!("{}/{}", kind.plural, part.name), "singularName": "", "namespaced": kind.namespaced,
            "kind": part.kind, "verbs": part.verbs,
        });
        for (field, value) in [("group", part.group), ("version", part.version)] {
            if !value.is_empty() {
                resource[field] = json!(value);
            }
        }
        resource
    });
    std::iter::once(resource).chain(parts).collect()
}

/// All groups with their versions and kinds in one document.
fn aggregate(kinds: &Kinds, core: bool, version: &str) -> Value {
    let pairs = kinds.group_versions().into_iter().filter(|(group, _)| group.is_empty() == core);
    let items: Vec<Value> = pairs
        .map(|(group, version)| {
            let mut here: Vec<_> = kinds.all().filter(|k| k.group == group && k.version == version).collect();
            here.sort_by_key(|kind| kind.plural.clone());
            let resources: Vec<Value> = here.into_iter().map(|kind| aggregated(kind)).collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            let versions = json!([{"version": version, "resources": resources, "freshness": "Current"}]);
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let api_version = format!("apidiscovery.k8s.io/{version}");
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items})
}

fn aggregated(kind: &Kind) -> Value {
    // Built-in kinds leave out what their group already says.
    let (group, version) = if kind.is_custom() { (kind.group.as_str(), kind.version.as_str()) } else { ("", "") };
    let mut resource = json!({
        "resource": kind.plural, "responseKind": {"group": group, "version": version, "kind": kind.kind},
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "singularResource": kind.singular,
        "verbs": verbs(kind),
    });
    for (field, list) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
        if !list.is_empty() {
            resource[field] = json!(list);
        }
    }
    let parts: Vec<Value> = parts(kind)
        .into_iter()
        .map(|part| {
            let (group, version) = if part.group.is_empty() { (group, version) } else { (part.group, part.version) };
            json!({"subresource": part.name, "verbs": part.verbs,
                   "responseKind": {"group": group, "version": version, "kind": part.kind}})
        })
        .collect();
    if !parts.is_empty() {
        resource["subresources"] = json!(parts);
    }
    resource
}
