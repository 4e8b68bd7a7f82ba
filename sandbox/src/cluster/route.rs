//! Paths of the Kubernetes API.

use std::sync::Arc;

use super::kinds::{Kind, Kinds};

/// What a path means.
#[derive(Debug)]
pub(super) enum Route {
    /// Objects.
    Resource(Target),
    /// Discovery, OpenAPI, health.
    Document(String),
}

/// Objects that a path means.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) kind: Arc<Kind>,
    /// None: all namespaces, or a kind without.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) status: bool,
}

/// None: there is no such thing.
pub(super) fn parse(path: &str, kinds: &Kinds) -> Option<Route> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        ["api"] | ["apis"] | ["api", "v1"] | ["version"] | ["healthz" | "readyz" | "livez", ..] => {
            return Some(Route::Document(path.to_string()));
        }
        ["openapi", "v2"] => return Some(Route::Document(path.to_string())),
        ["openapi", "v3", rest @ ..] => {
            let known = match rest {
                [] | ["api", "v1"] => true,
                ["apis", group, version] => has(kinds, group, version),
                _ => false,
            };
            return known.then(|| Route::Document(path.to_string()));
        }
        ["apis", group] => {
            let known = kinds.all().any(|k| k.group == *group);
            return known.then(|| Route::Document(path.to_string()));
        }
        ["apis", group, version] => return has(kinds, group, version).then(|| Route::Document(path.to_string())),
        _ => return None,
    };
    resource(group, version, rest, kinds).map(Route::Resource)
}

fn has(kinds: &Kinds, group: &str, version: &str) -> bool {
    kinds.group_versions().iter().any(|(g, v)| g == group && v == version)
}

fn resource(group: &str, version: &str, rest: &[&str], kinds: &Kinds) -> Option<Target> {
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !is_namespace_itself(group, rest) => {
            (Some(namespace.to_string()), rest)
        }
        rest => (None, rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, Some(name.to_string()), None),
        [plural, name, sub] => (*plural, Some(name.to_string()), Some(*sub)),
        _ => return None,
    };
    let kind = kinds.find(group, version, plural)?;
    let status = match subresource {
        None => false,
        Some("status") if kind.has_status => true,
        Some("finalize") if kind.plural == "namespaces" => false,
        Some(_) => return None,
    };
    (kind.namespaced || namespace.is_none()).then_some(Target { kind, namespace, name, status })
}

/// `/api/v1/namespaces/NAME/status` is about the namespace, not about something in it.
fn is_namespace_itself(group: &str, rest: &[&str]) -> bool {
    group.is_empty() && matches!(rest, ["status" | "finalize"])
}
