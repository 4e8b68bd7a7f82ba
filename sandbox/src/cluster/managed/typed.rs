//! Values as their schema merges them: what changed between two, what one names, one laid over another. The rules are
//! those of structured-merge-diff, which the real server uses.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

use super::fields::Fields;

/// How a value merges.
enum Shape<'a> {
    /// As a whole.
    Leaf,
    /// Field by field.
    Fields,
    /// Item by item; with keys, or by the value itself.
    Items { keys: Option<Vec<&'a str>>, of: &'a Value },
}

pub(super) const UNKNOWN: &Value = &Value::Null;

pub(super) fn is_open(schema: &Value) -> bool {
    schema.is_null() || schema["x-kubernetes-preserve-unknown-fields"] == true
}

fn shape<'a>(schema: &'a Value, value: &Value) -> Shape<'a> {
    match value {
        Value::Object(_) if schema["x-kubernetes-map-type"] == "atomic" => Shape::Leaf,
        Value::Object(_) => Shape::Fields,
        Value::Array(_) => match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => Shape::Items { keys: None, of: &schema["items"] },
            Some("map") => {
                let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
                Shape::Items { keys: Some(keys.filter_map(Value::as_str).collect()), of: &schema["items"] }
            }
            _ => Shape::Leaf,
        },
        _ => Shape::Leaf,
    }
}

/// The schema of a field; None when the schema does not have it.
pub(super) fn field<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(property) = schema["properties"].get(name) {
        return Some(property);
    }
    match &schema["additionalProperties"] {
        Value::Null | Value::Bool(false) => is_open(schema).then_some(UNKNOWN),
        Value::Bool(true) => Some(UNKNOWN),
        of => Some(of),
    }
}

/// How a list item is named in a set of fields.
fn step(keys: Option<&[&str]>, item: &Value, of: &Value) -> String {
    match keys {
        None => format!("v:{item}"),
        Some(keys) => {
            let named = |key: &&str| {
                let value = item.get(*key).or_else(|| of["properties"][*key].get("default"));
                value.map(|value| (key.to_string(), value.clone()))
            };
            let mut named: Vec<(String, Value)> = keys.iter().filter_map(named).collect();
            named.sort_by(|a, b| a.0.cmp(&b.0));
            format!("k:{}", Value::Object(named.into_iter().collect()))
        }
    }
}

/// What changed from one value to another.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) added: Fields,
    pub(super) modified: Fields,
    pub(super) removed: Fields,
}

impl Changes {
    fn put(&mut self, step: &str, below: Changes) {
        self.added.put(step.to_string(), below.added);
        self.modified.put(step.to_string(), below.modified);
        self.removed.put(step.to_string(), below.removed);
    }

    pub(super) fn map(self, change: impl Fn(Fields) -> Fields) -> Self {
        Self { added: change(self.added), modified: change(self.modified), removed: change(self.removed) }
    }
}

fn is_hollow(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

pub(super) fn compare(schema: &Value, old: Option<&Value>, new: Option<&Value>) -> Changes {
    let mut changes = Changes::default();
    if old == new {
        return changes;
    }
    let shape_of = new.filter(|v| !v.is_null()).or(old).map_or(Shape::Leaf, |value| shape(schema, value));
    let is_leaf = is_hollow(old) && is_hollow(new);
    match shape_of {
        Shape::Fields if !is_leaf => compare_fields(schema, old, new, &mut changes),
        Shape::Items { keys, of } if !is_leaf => compare_items(keys.as_deref(), of, old, new, &mut changes),
        _ => {
            changes.modified.here = old.is_some() && new.is_some() && old != new;
        }
    }
    changes.added.here = old.is_none() && new.is_some();
    changes.removed.here = old.is_some() && new.is_none();
    changes
}

fn compare_fields(schema: &Value, old: Option<&Value>, new: Option<&Value>, changes: &mut Changes) {
    let both = [old, new].into_iter().flatten().filter_map(Value::as_object);
    let names: BTreeSet<&String> = both.flat_map(|fields| fields.keys()).collect();
    for name in names {
        let schema = field(schema, name).unwrap_or(UNKNOWN);
        let below = compare(schema, old.and_then(|v| v.get(name)), new.and_then(|v| v.get(name)));
        changes.put(&format!("f:{name}"), below);
    }
}

fn compare_items(keys: Option<&[&str]>, of: &Value, old: Option<&Value>, new: Option<&Value>, changes: &mut Changes) {
    let (old, new) = (steps(keys, of, old), steps(keys, of, new));
    let all: BTreeSet<&String> = old.iter().chain(&new).map(|(step, _)| step).collect();
    for step in all {
        changes.put(step, compare(of, item_at(&old, step), item_at(&new, step)));
    }
}

/// The items of a list, by the steps that lead to them.
fn steps<'v>(keys: Option<&[&str]>, of: &Value, value: Option<&'v Value>) -> Vec<(String, &'v Value)> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.map(|item| (step(keys, item, of), item)).collect()
}

fn item_at<'v>(items: &[(String, &'v Value)], step: &str) -> Option<&'v Value> {
    items.iter().find(|(known, _)| known == step).map(|(_, item)| *item)
}

/// The fields that an object names: its leaves, and the items of its lists.
pub(super) fn named(schema: &Value, object: &Value) -> Fields {
    let mut fields = below(schema, object);
    fields.here = false;
    fields
}

fn below(schema: &Value, value: &Value) -> Fields {
    let mut fields = Fields::default();
    match (shape(schema, value), value) {
        (Shape::Fields, Value::Object(values)) => {
            fields.here = values.is_empty();
            for (name, value) in values {
                fields.put(format!("f:{name}"), below(field(schema, name).unwrap_or(UNKNOWN), value));
            }
        }
        (Shape::Items { keys, of }, Value::Array(items)) => {
            for item in items {
                let mut below = below(of, item);
                below.here = true;
                fields.put(step(keys.as_deref(), item, of), below);
            }
        }
        _ => fields.here = true,
    }
    fields
}

/// Lays a configuration over a live value.
pub(super) fn merge(schema: &Value, live: &Value, config: &Value) -> Value {
    match (shape(schema, config), live, config) {
        (Shape::Fields, Value::Object(old), Value::Object(new)) => {
            let mut merged = old.clone();
            for (name, value) in new {
                let live = old.get(name).unwrap_or(&Value::Null);
                merged.insert(name.clone(), merge(field(schema, name).unwrap_or(UNKNOWN), live, value));
            }
            Value::Object(merged)
        }
        (Shape::Items { keys, of }, Value::Array(old), Value::Array(new)) => {
            Value::Array(merge_items(keys.as_deref(), of, old, new))
        }
        _ => config.clone(),
    }
}

/// The configuration's order holds for what both have; what only the live list has stays where it was.
fn merge_items(keys: Option<&[&str]>, of: &Value, old: &[Value], new: &[Value]) -> Vec<Value> {
    let steps = |items: &[Value]| items.iter().map(|item| step(keys, item, of)).collect::<Vec<_>>();
    let (old_steps, new_steps) = (steps(old), steps(new));
    let live = |step: &String| old_steps.iter().position(|s| s == step).and_then(|at| old.get(at));
    let mut shared = new_steps.iter().filter(|step| old_steps.contains(step)).peekable();
    let mut merged = vec![];
    let (mut left, mut right) = (0, 0);
    while left < old.len() || right < new.len() {
        if let (Some(l), Some(item)) = (old_steps.get(left), old.get(left)) {
            if !new_steps.contains(l) {
                merged.push(item.clone());
                left += 1;
                continue;
            }
            if right >= new.len() || shared.peek().is_some_and(|next| *next != l) {
                left += 1;
                continue;
            }
            if new_steps.get(right) == Some(l) {
                left += 1;
            }
        }
        let (Some(step), Some(item)) = (new_steps.get(right), new.get(right)) else { continue };
        merged.push(live(step).map_or_else(|| item.clone(), |live| merge(of, live, item)));
        if shared.peek() == Some(&step) {
            shared.next();
        }
        right += 1;
    }
    merged
}

/// Takes fields out of a value. What has nothing left then is null.
pub(super) fn remove(schema: &Value, value: &Value, gone: &Fields) -> Value {
    if gone.under.is_empty() {
        return value.clone();
    }
    match (shape(schema, value), value) {
        (Shape::Fields, Value::Object(values)) => {
            let mut left = Map::new();
            for (name, value) in values {
                let below = gone.under.get(&format!("f:{name}"));
                if below.is_some_and(|below| below.here) {
                    continue;
                }
                let schema = field(schema, name).unwrap_or(UNKNOWN);
                left.insert(name.clone(), below.map_or_else(|| value.clone(), |below| remove(schema, value, below)));
            }
            if left.is_empty() { Value::Null } else { Value::Object(left) }
        }
        (Shape::Items { keys, of }, Value::Array(items)) => {
            let below = |item: &Value| gone.under.get(&step(keys.as_deref(), item, of));
            let left = items.iter().filter(|item| below(item).is_none_or(|below| !below.here));
            let left: Vec<Value> =
                left.map(|item| below(item).map_or_else(|| item.clone(), |b| remove(of, item, b))).collect();
            if left.is_empty() { Value::Null } else { Value::Array(left) }
        }
        _ => value.clone(),
    }
}

/// The set with every node on the way to its paths that the schema names.
pub(super) fn with_parents(schema: &Value, fields: &Fields) -> Fields {
    let mut all = fields.clone();
    for (step, below) in &mut all.under {
        match step.strip_prefix("f:") {
            Some(name) => {
                *below = with_parents(field(schema, name).unwrap_or(UNKNOWN), below);
                below.here |= schema["properties"].get(name).is_some();
            }
            None => *below = with_parents(&schema["items"], below),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_by_key_merge_in_the_order_of_the_configuration() {
        let schema = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]});
        let list = |names: &[&str]| Value::Array(names.iter().map(|n| json!({"n": n})).collect());
        for (live, config, merged) in [
            (vec!["a"], vec!["b"], vec!["a", "b"]),
            (vec!["a", "b"], vec!["b", "a"], vec!["b", "a"]),
            (vec!["a", "b", "c"], vec!["c", "d"], vec!["a", "b", "c", "d"]),
            (vec![], vec!["x"], vec!["x"]),
            (vec!["a", "b"], vec![], vec!["a", "b"]),
        ] {
            assert_eq!(merge(&schema, &list(&live), &list(&config)), list(&merged), "{live:?} {config:?}");
        }
    }
}
