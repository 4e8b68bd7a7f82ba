//! The kinds that the cluster knows: a few built-in ones, and those of its CRDs.

use serde_json::Value;
use std::sync::Arc;

/// A kind of object.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) short_names: Vec<String>,
    pub(super) namespaced: bool,
    /// Whether status is a subresource, and the spec has a generation.
    pub(super) has_status: bool,
    pub(super) columns: Vec<Column>,
    /// The schema of a CRD's kind.
    pub(super) schema: Option<Schema>,
}

/// A printer column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_: String,
    pub(super) priority: i64,
    pub(super) path: serde_json_path::JsonPath,
}

/// A structural schema, with its CEL rules compiled.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) json: Value,
    pub(super) rules: kube_cel::CompiledSchema,
}

impl Kind {
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `rollouts.orchestra.cherry-ai.me`, as messages name it.
    pub(super) fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    fn built_in(group: &str, kind: &str, plural: &str, short: &[&str], namespaced: bool, has_status: bool) -> Self {
        Self {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            plural: plural.into(),
            singular: kind.to_lowercase(),
            short_names: short.iter().map(ToString::to_string).collect(),
            namespaced,
            has_status,
            columns: vec![],
            schema: None,
        }
    }
}

/// All kinds.
#[derive(Debug)]
pub(super) struct Kinds(Vec<Arc<Kind>>);

impl Kinds {
    pub(super) fn built_in() -> Self {
        let kinds = [
            Kind::built_in("", "Namespace", "namespaces", &["ns"], false, true),
            Kind::built_in("", "ConfigMap", "configmaps", &["cm"], true, false),
            Kind::built_in("", "Secret", "secrets", &[], true, false),
            Kind::built_in("", "ServiceAccount", "serviceaccounts", &["sa"], true, false),
            Kind::built_in("", "Event", "events", &["ev"], true, false),
            Kind::built_in("events.k8s.io", "Event", "events", &["ev"], true, false),
            Kind::built_in("coordination.k8s.io", "Lease", "leases", &[], true, false),
            Kind::built_in(
                "apiextensions.k8s.io",
                "CustomResourceDefinition",
                "customresourcedefinitions",
                &["crd", "crds"],
                false,
                true,
            ),
        ];
        Self(kinds.into_iter().map(Arc::new).collect())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.iter()
    }

    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        self.0.iter().find(|k| k.group == group && k.version == version && k.plural == plural).cloned()
    }

    /// Group and version pairs, in order, each once.
    pub(super) fn group_versions(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = vec![];
        for kind in &self.0 {
            let pair = (kind.group.clone(), kind.version.clone());
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        pairs
    }

    pub(super) fn register(&mut self, kind: Kind) {
        self.forget(&kind.group, &kind.plural);
        self.0.push(Arc::new(kind));
    }

    pub(super) fn forget(&mut self, group: &str, plural: &str) {
        self.0.retain(|k| k.group != group || k.plural != plural);
    }
}
