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
    /// A part that objects of a kind don't have.
    NoSuchPart(Arc<Kind>, String),
    /// Something in a group that is known, but not this.
    NoSuchResource,
}

/// A part of an object with its own path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Status,
    Scale,
    Finalize,
    Token,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Finalize => "finalize",
            Self::Token => "token",
        }
    }
}

/// Objects that a path means.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) kind: Arc<Kind>,
    /// None: all namespaces, or a kind without.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) part: Option<Part>,
}

impl Target {
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// None: there is no such thing.
pub(super) fn parse(path: &str, kinds: &Kinds) -> Option<Route> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let document = || Some(Route::Document(path.to_string()));
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        ["api"] | ["apis"] | ["api", "v1"] | ["version"] | ["healthz" | "readyz" | "livez", ..] => return document(),
        ["openapi", "v2"] => return document(),
        ["openapi", "v3", rest @ ..] => {
            let known = match rest {
                [] | ["api", "v1"] => true,
                ["apis", group, version] => has(kinds, group, version),
                _ => false,
            };
            return known.then(document).flatten();
        }
        ["apis", group] => return kinds.all().any(|k| k.group == *group).then(document).flatten(),
        ["apis", group, version] => return has(kinds, group, version).then(document).flatten(),
        _ => return None,
    };
    let known = has(kinds, group, version);
    known.then(|| resource(group, version, rest, kinds).unwrap_or(Route::NoSuchResource))
}

fn has(kinds: &Kinds, group: &str, version: &str) -> bool {
    kinds.all().any(|kind| kind.group == group && kind.version == version)
}

fn resource(group: &str, version: &str, rest: &[&str], kinds: &Kinds) -> Option<Route> {
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !is_namespace_itself(group, rest) => {
            (Some(namespace.to_string()), rest)
        }
        rest => (None, rest),
    };
    let (plural, name, part) = match rest {
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, Some(name.to_string()), None),
        [plural, name, part] => (*plural, Some(name.to_string()), Some(*part)),
        _ => return None,
    };
    let kind = kinds.find(group, version, plural)?;
    let part = match part {
        None => None,
        Some("status") if kind.has_status => Some(Part::Status),
        Some("scale") if kind.scale.is_some() => Some(Part::Scale),
        Some("finalize") if kind.plural == "namespaces" => Some(Part::Finalize),
        Some("token") if kind.plural == "serviceaccounts" => Some(Part::Token),
        Some(_) if kind.is_custom() => return name.map(|name| Route::NoSuchPart(kind, name)),
        Some(_) => return None,
    };
    let fits = kind.namespaced || namespace.is_none();
    fits.then_some(Route::Resource(Target { kind, namespace, name, part }))
}

/// `/api/v1/namespaces/NAME/status` is about the namespace, not about something in it.
fn is_namespace_itself(group: &str, rest: &[&str]) -> bool {
    group.is_empty() && matches!(rest, ["status" | "finalize"])
}
