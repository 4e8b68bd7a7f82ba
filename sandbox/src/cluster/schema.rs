//! Structural schemas: defaulting, pruning, validation, and CEL rules.

use kube_cel::ValidationError;
use regex::Regex;
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

use super::go;
use super::kinds::{Kind, Scale, Schema};
use super::metadata::fields::METADATA;
use super::refusal::Cause;
use super::route::Part;

/// Which nulls count as absent, where the schema does not allow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nulls {
    /// All of them.
    Absent,
    /// Those of fields with a default: so it is with what is applied.
    Defaulted,
}

/// Fills defaults in, takes unknown fields out, and names those.
pub(super) fn admit(schema: &Schema, object: &mut Value, nulls: Nulls) -> Vec<String> {
    let mut unknown = vec![];
    prune(&schema.json, object, "", true, &mut unknown);
    drop_nulls(&schema.json, object, nulls);
    *object = kube_cel::apply_defaults(&schema.json, object);
    unknown
}

fn drop_nulls(schema: &Value, value: &mut Value, nulls: Nulls) {
    if let (Some(fields), Some(properties)) = (value.as_object_mut(), schema["properties"].as_object()) {
        let stays = |property: &Value| {
            property["nullable"] == true || (nulls == Nulls::Defaulted && property["default"].is_null())
        };
        fields.retain(|name, value| !value.is_null() || properties.get(name).is_none_or(stays));
        for (name, value) in fields.iter_mut() {
            if let Some(property) = properties.get(name) {
                drop_nulls(property, value, nulls);
            }
        }
    }
    if let (Some(items), schema @ Value::Object(_)) = (value.as_array_mut(), &schema["items"]) {
        items.iter_mut().for_each(|item| drop_nulls(schema, item, nulls));
    }
}

/// The object as rules see it: what is null is not there.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let there = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(there.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        scalar => scalar.clone(),
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
        for cause in &mut causes {
            let inside = cause.field.strip_prefix("status.").unwrap_or(&cause.field);
            cause.message =
                cause.message.replacen(&format!("{} in body", cause.field), &format!("{inside} in body"), 1);
        }
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
    let (seen, seen_before) = (without_nulls(object), before.map(without_nulls));
    if let Err(errors) = kube_cel::Validator::new().validate_compiled(&schema.rules, &seen, seen_before.as_ref()) {
        causes.extend(errors.as_slice().iter().map(|error| broken_rule(&schema.json, object, error)));
    }
    causes
}

/// A rule that does not hold. What it is about is shown, unless that is an object or a list; a rule may name another
/// field than the one it is about.
fn broken_rule(schema: &Value, object: &Value, error: &ValidationError) -> Cause {
    let path: Vec<&str> = error
        .field_path
        .split(['.', '['])
        .map(|part| part.trim_end_matches(']'))
        .filter(|part| !part.is_empty())
        .collect();
    let (mut schema, mut value) = (schema, object);
    for part in path {
        let index = part.parse::<usize>().ok().filter(|_| value.is_array());
        let below = index.map_or_else(|| value.get(part), |index| value.get(index));
        let of = match index {
            Some(_) => schema.get("items"),
            None => schema["properties"].get(part).or_else(|| schema.get("additionalProperties")),
        };
        (schema, value) = (of.unwrap_or(&Value::Null), below.unwrap_or(&Value::Null));
    }
    let rules = schema["x-kubernetes-validations"].as_array();
    let is_own = rules.into_iter().flatten().any(|rule| rule["rule"] == error.rule.as_str());
    let shown = is_own && !matches!(value, Value::Object(_) | Value::Array(_));
    let message = if shown { format!("{value}: {}", error.message) } else { error.message.clone() };
    Cause::invalid(&error.field_path, message)
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
    if let Some(message) = wrong_type(schema, value, path) {
        causes.push(Cause { reason: "FieldValueTypeInvalid", ..Cause::invalid(path, message) });
    }
    check_enum(schema, value, path, causes);
    match value {
        Value::Object(fields) => check_fields(schema, fields, path, causes),
        Value::Array(items) => check_items(schema, items, path, causes),
        Value::String(text) => check_text(schema, text, path, causes),
        Value::Number(number) => check_number(schema, number, path, causes),
        _ => {}
    }
}

/// What is wrong with the type of a value. Numbers are told by their format, where the schema has one.
fn wrong_type(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let wanted = schema["type"].as_str().filter(|_| schema["x-kubernetes-int-or-string"] != true)?;
    let fits = match wanted {
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        wanted => type_of(value) == wanted,
    };
    if fits {
        return None;
    }
    let by_format = !(value.is_null() || value.is_string() || value.is_array());
    let (wanted, found) = match schema["format"].as_str().filter(|_| by_format) {
        Some(format) => (format, format_of(value)),
        None => (wanted, type_of(value)),
    };
    Some(format!("{found:?}: {path} in body must be of type {wanted}: {found:?}"))
}

fn format_of(value: &Value) -> &'static str {
    match value {
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        _ => "",
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
        if !keys.is_empty() && !item.is_object() {
            let wrong = format!("{item}: must be an object for an array of list-type map");
            causes.extend((!item.is_null()).then(|| Cause::invalid(&inner, wrong)));
            continue;
        }
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

/// The first that is wrong: length, then pattern, then format.
fn check_text(schema: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", field: path.into(), message });
        return;
    }
    let wrong = match (schema["minLength"].as_u64(), schema["pattern"].as_str()) {
        (Some(least), _) if length < least => Some(format!("should be at least {least} chars long")),
        (_, Some(pattern)) if !fits(pattern, text) => Some(format!("should match '{pattern}'")),
        _ if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() => {
            Some(format!("must be of type date-time: {text:?}"))
        }
        _ => None,
    };
    causes.extend(wrong.map(|wrong| Cause::invalid(path, format!("{text:?}: {path} in body {wrong}"))));
}

fn check_number(schema: &Value, number: &Number, path: &str, causes: &mut Vec<Cause>) {
    let shown = go::plain(&Value::Number(number.clone()));
    let value = number.as_f64().unwrap_or_default();
    if schema["type"] == "integer" {
        let format = schema["format"].as_str();
        let fits = match format {
            Some("int32") => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            _ => number.is_i64(),
        };
        if !fits {
            let format = format.map_or("(default format)".into(), |format| format!("with format {format}"));
            let message = format!("\"\": Checked value must be of type integer {format} in {path}");
            causes.push(Cause::invalid("<nil>", message));
        }
    }
    if let Some(most) = schema["maximum"].as_f64().filter(|most| value > *most) {
        causes.push(Cause::invalid(path, format!("{shown}: {path} in body should be less than or equal to {most}")));
    }
    if let Some(least) = schema["minimum"].as_f64().filter(|least| value < *least) {
        let message = format!("{shown}: {path} in body should be greater than or equal to {least}");
        causes.push(Cause::invalid(path, message));
    }
}
