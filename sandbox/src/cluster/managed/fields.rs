//! Sets of fields, as managed fields name them.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A set of paths below one node. Steps are written as FieldsV1 has them: `f:NAME`, `k:{KEYS}`, `v:VALUE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// The node itself is in the set.
    pub(super) here: bool,
    pub(super) under: BTreeMap<String, Fields>,
}

impl Fields {
    pub(super) fn is_empty(&self) -> bool {
        !self.here && self.under.is_empty()
    }

    /// Puts a set below a step, unless it is empty.
    pub(super) fn put(&mut self, step: String, fields: Fields) {
        if !fields.is_empty() {
            self.under.insert(step, fields);
        }
    }

    /// Joins two sets path by path.
    fn combine(&self, other: &Self, rule: fn(bool, bool) -> bool) -> Self {
        let empty = Self::default();
        let mut combined = Self { here: rule(self.here, other.here), under: BTreeMap::new() };
        for step in self.under.keys().chain(other.under.keys()) {
            if !combined.under.contains_key(step) {
                let (mine, theirs) = (self.under.get(step), other.under.get(step));
                combined.put(step.clone(), mine.unwrap_or(&empty).combine(theirs.unwrap_or(&empty), rule));
            }
        }
        combined
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a || b)
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a && !b)
    }

    pub(super) fn both(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a && b)
    }

    /// Only what lies below the node, in the fields to keep.
    pub(super) fn below(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.here = false;
        self.under.retain(|step, _| keep(step.trim_start_matches("f:")));
        self
    }

    /// Every path of the set, as messages write it: `.spec.parts[name="a"].value`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = vec![];
        self.collect("", &mut paths);
        paths
    }

    /// What is owned here, then what is owned further below.
    fn collect(&self, path: &str, paths: &mut Vec<String>) {
        let below = |step: &str| format!("{path}{}", in_words(step));
        paths.extend(self.under.iter().filter(|(_, node)| node.here).map(|(step, _)| below(step)));
        for (step, node) in &self.under {
            node.collect(&below(step), paths);
        }
    }

    pub(super) fn to_v1(&self) -> Value {
        let mut fields = Map::new();
        if self.here && !self.under.is_empty() {
            fields.insert(".".into(), json!({}));
        }
        for (step, below) in &self.under {
            fields.insert(step.clone(), below.to_v1());
        }
        Value::Object(fields)
    }

    /// The root itself is never in a set.
    pub(super) fn from_v1(value: &Value) -> Self {
        Self { here: false, ..Self::node(value) }
    }

    fn node(value: &Value) -> Self {
        let fields = value.as_object();
        let here = fields.is_none_or(|fields| fields.is_empty() || fields.contains_key("."));
        let below = fields
            .into_iter()
            .flatten()
            .filter(|(step, _)| *step != ".")
            .map(|(step, v)| (step.clone(), Self::node(v)));
        Self { here, under: below.collect() }
    }
}

fn in_words(step: &str) -> String {
    match step.split_once(':') {
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let each: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", each.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        Some((_, name)) => format!(".{name}"),
        None => step.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_and_read_back() {
        let v1 = json!({"f:spec": {".": {}, "f:a": {}, "f:parts": {"k:{\"name\":\"a\"}": {".": {}, "f:value": {}}}}});
        let fields = Fields::from_v1(&v1);
        assert_eq!(fields.to_v1(), v1);
        let paths = [".spec", ".spec.a", ".spec.parts[name=\"a\"]", ".spec.parts[name=\"a\"].value"];
        assert_eq!(fields.paths(), paths);
        let less = fields.minus(&Fields::from_v1(&json!({"f:spec": {"f:parts": {"k:{\"name\":\"a\"}": {}}}})));
        assert_eq!(less.paths(), [".spec", ".spec.a", ".spec.parts[name=\"a\"].value"]);
    }
}
