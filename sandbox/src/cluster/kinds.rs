//! The kinds that the cluster knows: the built-in ones, and those of its CRDs.

use serde_json::Value;
use std::sync::Arc;

use super::built_in;

/// A kind of object.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) namespaced: bool,
    /// Whether status is a subresource.
    pub(super) has_status: bool,
    /// Whether objects count the generations of their spec.
    pub(super) has_generation: bool,
    pub(super) scale: Option<Scale>,
    pub(super) columns: Vec<Column>,
    /// Fields that field selectors may name, besides name and namespace.
    pub(super) selectable: Vec<String>,
    /// The schema of a CRD's kind.
    pub(super) schema: Option<Schema>,
    /// The schema as far as merging goes, metadata included.
    pub(super) merging: Value,
    /// What an empty object of a built-in kind has.
    pub(super) empty: Value,
    /// The version since when changes are kept for watches.
    pub(super) since: u64,
}

/// Where the scale subresource of a kind is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) spec: String,
    pub(super) status: String,
}

/// A printer column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) description: String,
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
    /// Whether there are rules about the status, or about the whole object.
    pub(super) status_rules: bool,
}

impl Kind {
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `rollouts.orchestra.cherry-ai.me`, as messages name it.
    pub(super) fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Rollout.orchestra.cherry-ai.me`
    pub(super) fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Whether it is a question that is answered without keeping anything.
    pub(super) fn is_review(&self) -> bool {
        matches!(self.plural.as_str(), built_in::ACCESS_REVIEW | built_in::RULES_REVIEW)
    }

    /// Whether a CRD made it.
    pub(super) fn is_custom(&self) -> bool {
        self.schema.is_some()
    }
}

/// All kinds.
#[derive(Debug)]
pub(super) struct Kinds(Vec<Arc<Kind>>);

impl Kinds {
    pub(super) fn built_in() -> Self {
        Self(built_in::kinds().into_iter().map(Arc::new).collect())
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Kind>> {
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

    pub(super) fn register(&mut self, mut kind: Kind) {
        let known = self.0.iter().find(|k| k.group == kind.group && k.plural == kind.plural);
        kind.since = known.map_or(kind.since, |known| known.since);
        self.forget(&kind.group, &kind.plural);
        self.0.push(Arc::new(kind));
    }

    pub(super) fn forget(&mut self, group: &str, plural: &str) {
        self.0.retain(|k| k.group != group || k.plural != plural);
    }
}
