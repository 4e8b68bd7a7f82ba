//! Patches: JSON, merge and strategic merge.

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::refusal::Refusal;
use super::{body, go};
use crate::exchange::Request;

pub(super) const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A patch that was read.
pub(super) enum Patch {
    Json(Vec<Value>),
    Merge(Value),
    Strategic(Value),
}

/// The kind of patch is one that objects of this kind take.
pub(super) fn check_type(kind: &Kind, request: &Request) -> Result<(), Refusal> {
    match body::content_type(request) {
        JSON | MERGE | APPLY => Ok(()),
        STRATEGIC if !kind.is_custom() => Ok(()),
        _ if kind.is_custom() => Err(Refusal::unsupported_media_type(&[JSON, MERGE, APPLY].join(", "))),
        _ => Err(Refusal::unsupported_media_type(&[JSON, MERGE, STRATEGIC, APPLY].join(", "))),
    }
}

/// Reads a patch; with what appears in it more than once.
pub(super) fn read(kind: &Kind, request: &Request) -> Result<(Patch, Vec<String>), Refusal> {
    check_type(kind, request)?;
    let unreadable = |why: String| Refusal::bad_request(format!("error decoding patch: {why}"));
    let body = body::json(&request.body).map_err(unreadable)?;
    let wrong_type = |found: &Value, wanted: &str| {
        let found = go::kind(found);
        unreadable(format!("json: cannot unmarshal {found} into Go value of type {wanted}"))
    };
    let (type_, mistakes) = (body::content_type(request), body.mistakes());
    let patch = match (type_, body.value) {
        (JSON, Value::Array(operations)) => {
            operations.iter().try_for_each(check_operation).map_err(Refusal::bad_request)?;
            Patch::Json(operations)
        }
        (JSON, ref other) => return Err(wrong_type(other, "[]handlers.jsonPatchOp")),
        (STRATEGIC, patch) => Patch::Strategic(patch),
        (MERGE, patch @ Value::Object(_)) => Patch::Merge(patch),
        (MERGE, ref other) => return Err(wrong_type(other, "map[string]interface {}")),
        _ => return Err(Refusal::unsupported_media_type(&[JSON, MERGE].join(", "))),
    };
    let list = if type_ == JSON { "json patch " } else { "" };
    Ok((patch, mistakes.iter().map(|mistake| format!("{list}{mistake}")).collect()))
}

fn check_operation(operation: &Value) -> Result<(), String> {
    let has_text = |field: &str| operation[field].is_string();
    let missing = |field: &str| {
        let comma = if field == "path" { "" } else { "," };
        format!("failed to decode '{field}': operation{comma} missing {field} field: missing value")
    };
    let wrong = match operation["op"].as_str() {
        Some("add" | "replace") if operation.get("value").is_none() => Some(missing("value")),
        Some("move" | "copy") if !has_text("from") => Some(missing("from")),
        Some("add" | "replace" | "move" | "copy" | "remove" | "test") => (!has_text("path")).then(|| missing("path")),
        _ => Some("unsupported operation".into()),
    };
    wrong.map_or(Ok(()), |wrong| Err(format!("invalid operation {operation}: {wrong}")))
}

impl Patch {
    /// The object with the patch applied.
    pub(super) fn on(&self, kind: &Kind, object: &Value) -> Result<Value, Refusal> {
        let mut patched = object.clone();
        match self {
            Self::Json(operations) => {
                for operation in operations {
                    step(&mut patched, operation)?;
                }
            }
            Self::Merge(patch) => json_patch::merge(&mut patched, patch),
            Self::Strategic(patch) => patched = strategic(&kind.merging, &patched, patch),
        }
        Ok(patched)
    }
}

/// One operation. A test for null holds where there is nothing.
fn step(object: &mut Value, operation: &Value) -> Result<(), Refusal> {
    let path = operation["path"].as_str().unwrap_or_default();
    if operation["op"] == "test" && operation["value"].is_null() && object.pointer(path).is_none() {
        return Ok(());
    }
    let operation = serde_json::from_value(operation.clone()).map_err(|_| Refusal::bad_patch())?;
    json_patch::patch(object, &[operation]).map_err(|_| Refusal::bad_patch())
}

/// Strategic merge: as a merge patch, but lists that have a key merge item by item, and directives say what goes.
fn strategic(schema: &Value, live: &Value, patch: &Value) -> Value {
    let (Some(fields), true) = (patch.as_object(), patch["$patch"] != "replace") else {
        let mut patch = patch.clone();
        clean(&mut patch);
        return patch;
    };
    let mut merged = live.as_object().cloned().unwrap_or_default();
    if let Some(keep) = patch["$retainKeys"].as_array() {
        merged.retain(|name, _| keep.contains(&json!(name)));
    }
    for (name, value) in fields {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let Some(items) = merged.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !value.as_array().is_some_and(|gone| gone.contains(item)));
            }
            continue;
        }
        if name.starts_with('$') {
            continue;
        }
        if value.is_null() {
            merged.remove(name);
            continue;
        }
        let schema = &schema["properties"][name];
        let old = merged.get(name).cloned().unwrap_or_default();
        let order = fields.get(&format!("$setElementOrder/{name}"));
        let new = match (value.as_array(), key_of(schema)) {
            (Some(items), Some(key)) => items_by_key(schema, key, &old, items, order),
            (Some(items), None) if schema["x-kubernetes-list-type"] == "set" => set_of(&old, items, order),
            _ => strategic(schema, &old, value),
        };
        merged.insert(name.clone(), new);
    }
    Value::Object(merged)
}

fn key_of(schema: &Value) -> Option<&str> {
    schema["x-kubernetes-list-map-keys"][0].as_str()
}

/// Single values are added to those that are there.
fn set_of(old: &Value, items: &[Value], order: Option<&Value>) -> Value {
    let mut merged = old.as_array().cloned().unwrap_or_default();
    for item in items {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    in_order(merged, order, |item, other| item == other)
}

fn in_order(mut items: Vec<Value>, order: Option<&Value>, is: impl Fn(&Value, &Value) -> bool) -> Value {
    if let Some(order) = order.and_then(Value::as_array) {
        items.sort_by_key(|item| order.iter().position(|o| is(item, o)).unwrap_or(usize::MAX));
    }
    Value::Array(items)
}

fn items_by_key(schema: &Value, key: &str, old: &Value, items: &[Value], order: Option<&Value>) -> Value {
    let mut merged = old.as_array().cloned().unwrap_or_default();
    for item in items {
        let at = merged.iter().position(|m| m[key] == item[key]);
        match (at, item["$patch"] == "delete") {
            (Some(at), true) => drop(merged.remove(at)),
            (None, true) => {}
            (at, false) => {
                let live = at.and_then(|at| merged.get(at)).cloned().unwrap_or(Value::Object(Map::new()));
                let new = strategic(&schema["items"], &live, item);
                match at.and_then(|at| merged.get_mut(at)) {
                    Some(place) => *place = new,
                    None => merged.push(new),
                }
            }
        }
    }
    in_order(merged, order, |item, other| item[key] == other[key])
}

/// Takes directives out of what is put in whole.
fn clean(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| !name.starts_with('$') && !value.is_null());
            fields.values_mut().for_each(clean);
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_refused_in_the_words_of_the_real_server() {
        for (operation, said) in [
            (json!({"op": "foo", "path": "/a"}), "unsupported operation"),
            (
                json!({"op": "add", "path": "/a"}),
                "failed to decode 'value': operation, missing value field: missing value",
            ),
            (
                json!({"op": "move", "path": "/a"}),
                "failed to decode 'from': operation, missing from field: missing value",
            ),
            (json!({"op": "remove"}), "failed to decode 'path': operation missing path field: missing value"),
        ] {
            assert_eq!(check_operation(&operation), Err(format!("invalid operation {operation}: {said}")));
        }
        assert_eq!(check_operation(&json!({"op": "add", "path": "/a", "value": null})), Ok(()));
    }

    #[test]
    fn strategic_merge_keeps_what_it_does_not_name() {
        let by_name = json!({"x-kubernetes-list-map-keys": ["name"], "items": {}});
        let schema = json!({"properties": {"containers": by_name}});
        let live = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "other": 1});
        let patch = json!({
            "containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
            "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
        });
        let merged = json!({"containers": [{"name": "c"}, {"name": "a", "image": "2"}], "other": 1});
        assert_eq!(strategic(&schema, &live, &patch), merged);
        let schema = json!({"properties": {"finalizers": {"x-kubernetes-list-type": "set"}}});
        let patch = json!({"finalizers": ["b"], "$setElementOrder/finalizers": ["a", "b"]});
        assert_eq!(strategic(&schema, &json!({"finalizers": ["a"]}), &patch), json!({"finalizers": ["a", "b"]}));
    }
}
