//! Structural schemas: defaulting, pruning, validation, and CEL rules.

use regex::Regex;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

use super::kinds::{Kind, METADATA, Scale, Schema};
use super::refusal::Cause;
use super::route::Part;

/// Fills defaults in, takes unknown fields out, and names those.
pub(super) fn admit(schema: &Schema, object: &mut Value) -> Vec<String> {
    let mut unknown = vec![];
    prune(&schema.json, object, "", true, &mut unknown);
    drop_nulls(&schema.json, object);
    *object = kube_cel::apply_defaults(&schema.json, object);
    unknown
}

/// A null counts as absent where the schema does not allow it but has a default; so does the real server.
fn drop_nulls(schema: &Value, value: &mut Value) {
    if let (Some(fields), Some(properties)) = (value.as_object_mut(), schema["properties"].as_object()) {
        fields.retain(|name, value| {
            !value.is_null() || properties.get(name).is_none_or(|property| property["nullable"] == true)
        });
        for (name, value) in fields.iter_mut() {
            if let Some(property) = properties.get(name) {
                drop_nulls(property, value);
            }
        }
    }
    if let (Some(items), schema @ Value::Object(_)) = (value.as_array_mut(), &schema["items"]) {
        items.iter_mut().for_each(|item| drop_nulls(schema, item));
    }
}

fn prune(schema: &Value, value: &mut Value, path: &str, root: bool, unknown: &mut Vec<String>) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    match value {
        Value::Object(fields) => prune_fields(schema, fields, path, root, unknown),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                prune(&schema["items"], item, &format!("{path}[{index}]"), false, unknown);
            }
        }
        _ => {}
    }
}

fn prune_fields(schema: &Value, fields: &mut Map<String, Value>, path: &str, root: bool, unknown: &mut Vec<String>) {
    let names: Vec<String> = fields.keys().cloned().collect();
    for name in names {
        if root && matches!(name.as_str(), "apiVersion" | "kind") {
            continue;
        }
        if root && name == "metadata" {
            if let Some(metadata) = fields.get_mut(&name) {
                prune(&METADATA, metadata, &name, false, unknown);
            }
            continue;
        }
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let property = schema["properties"].get(&name).or_else(|| schema.get("additionalProperties"));
        match (property, fields.get_mut(&name)) {
            (Some(property), Some(value)) if property.is_object() => prune(property, value, &inner, false, unknown),
            (Some(Value::Bool(true)), _) => {}
            _ => {
                fields.remove(&name);
                unknown.push(inner);
            }
        }
    }
}

const NOT_ALL_CHECKED: &str = "null: some validation rules were not checked because the object was invalid; correct the existing errors to \
     complete validation";

/// What is wrong with an object, by its schema and its rules; after what was found wrong already.
pub(super) fn validate(
    kind: &Kind,
    object: &Value,
    before: Option<&Value>,
    part: Option<Part>,
    found: &[Cause],
) -> Vec<Cause> {
    let Some(schema) = &kind.schema else { return vec![] };
    let mut causes = vec![];
    check(&schema.json, object, "", &mut causes);
    if part == Some(Part::Status) {
        // The real server names fields of the status by their path in it.
        causes.iter_mut().for_each(|cause| cause.message = cause.message.replace("status.", ""));
    }
    causes.extend(kind.scale.iter().filter_map(|scale| check_scale(scale, object)));
    if found.iter().chain(&causes).any(Cause::blocks_rules) {
        causes.push(Cause::invalid("<nil>", NOT_ALL_CHECKED));
        return causes;
    }
    // Rules about a spec that has not changed can't fail anew: the real server lets them be.
    if part == Some(Part::Status)
        && before.is_some_and(|before| before["spec"] == object["spec"])
        && !schema.status_rules
    {
        return causes;
    }
    if let Err(errors) = kube_cel::Validator::new().validate_compiled(&schema.rules, object, before) {
        causes.extend(errors.into_vec().into_iter().map(|e| Cause::invalid(&e.field_path, e.message)));
    }
    causes
}

/// The scale subresource reads replicas as a number.
fn check_scale(scale: &Scale, object: &Value) -> Option<Cause> {
    let found = object.pointer(&format!("/{}", scale.spec.replace('.', "/")))?;
    let type_ = if found.is_i64() { None } else { Some(type_of(found)) }?;
    let text = found.as_str().map_or_else(|| found.to_string(), ToString::to_string);
    let path = format!(".{}", scale.spec);
    let message = format!("0: {path} accessor error: {text} is of the type {type_}, expected int64");
    Some(Cause::invalid(&path, message))
}

fn check(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    if let Some(wanted) = schema["type"].as_str()
        && !is_type(wanted, value)
        && schema["x-kubernetes-int-or-string"] != true
    {
        let found = type_of(value);
        let message = format!("\"{found}\": {path} in body must be of type {wanted}: \"{found}\"");
        causes.push(Cause { reason: "FieldValueTypeInvalid", ..Cause::invalid(path, message) });
        return;
    }
    check_enum(schema, value, path, causes);
    match value {
        Value::Object(fields) => check_fields(schema, fields, path, causes),
        Value::Array(items) => check_items(schema, items, path, causes),
        Value::String(text) => check_text(schema, text, path, causes),
        Value::Number(number) => check_number(schema, number.as_f64().unwrap_or_default(), value, path, causes),
        _ => {}
    }
}

fn is_type(wanted: &str, value: &Value) -> bool {
    match wanted {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        wanted => type_of(value) == wanted,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_enum(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) else { return };
    let allowed: Vec<String> = allowed.iter().filter(|v| !v.is_null()).map(Value::to_string).collect();
    let message = format!("Unsupported value: {value}: supported values: {}", allowed.join(", "));
    causes.push(Cause { reason: "FieldValueNotSupported", field: path.into(), message });
}

fn check_fields(schema: &Value, fields: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    let inner = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            causes.push(Cause::required(&inner(name), ""));
        }
    }
    for (name, value) in fields {
        if let Some(property) = schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
            check(property, value, &inner(name), causes);
        }
    }
}

fn check_items(schema: &Value, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let count = items.len() as u64;
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} items");
        causes.push(Cause { reason: "FieldValueTooMany", field: path.into(), message });
    }
    if let Some(least) = schema["minItems"].as_u64().filter(|least| count < *least) {
        causes.push(Cause::invalid(path, format!("{count}: {path} in body should have at least {least} items")));
    }
    let keys: Option<Vec<&str>> = match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => Some(
            schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
        ),
        Some("set") => Some(vec![]),
        _ => None,
    };
    let identity = |item: &Value, keys: &[&str]| match keys {
        [] => item.clone(),
        keys => keys.iter().map(|key| (key.to_string(), item[*key].clone())).collect::<Map<_, _>>().into(),
    };
    let mut known: Vec<Value> = vec![];
    for (index, item) in items.iter().enumerate() {
        let inner = format!("{path}[{index}]");
        check(&schema["items"], item, &inner, causes);
        let Some(keys) = &keys else { continue };
        let identity = identity(item, keys);
        if known.contains(&identity) {
            let message = format!("Duplicate value: {identity}");
            causes.push(Cause { reason: "FieldValueDuplicate", field: inner, message });
        }
        known.push(identity);
    }
}

thread_local! {
    /// Patterns of schemas, compiled once.
    static PATTERNS: RefCell<BTreeMap<String, Option<Regex>>> = const { RefCell::new(BTreeMap::new()) };
}

fn fits(pattern: &str, text: &str) -> bool {
    PATTERNS.with_borrow_mut(|patterns| {
        if !patterns.contains_key(pattern) {
            patterns.insert(pattern.to_string(), Regex::new(pattern).ok());
        }
        patterns.get(pattern).is_some_and(|known| known.as_ref().is_some_and(|regex| regex.is_match(text)))
    })
}

fn check_text(schema: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", field: path.into(), message });
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        let message = format!("{text:?}: {path} in body should be at least {least} chars long");
        causes.push(Cause::invalid(path, message));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !fits(pattern, text)
    {
        causes.push(Cause::invalid(path, format!("{text:?}: {path} in body should match '{pattern}'")));
    }
    if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
        causes.push(Cause::invalid(path, format!("{text:?}: {path} in body must be of type date-time: {text:?}")));
    }
}

fn check_number(schema: &Value, number: f64, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if let Some(most) = schema["maximum"].as_f64().filter(|most| number > *most) {
        causes.push(Cause::invalid(path, format!("{value}: {path} in body should be less than or equal to {most}")));
    }
    if let Some(least) = schema["minimum"].as_f64().filter(|least| number < *least) {
        causes
            .push(Cause::invalid(path, format!("{value}: {path} in body should be greater than or equal to {least}")));
    }
}
