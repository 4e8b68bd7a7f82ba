//! Metadata as Go decodes it: the first field of a wrong type, in its words.

use serde_json::{Map, Value};

use super::super::go;
use super::fields::{Field, MANAGER, OBJECT, OWNER, Type};

/// Where a field is: the struct it is of, and its path from metadata.
struct Place {
    owner: &'static str,
    path: String,
}

impl Place {
    fn refuse(&self, value: &Value, wanted: &str) -> Result<(), String> {
        let found = match value {
            Value::Number(number) if wanted == "int64" => {
                format!("number {}", go::float(number.as_f64().unwrap_or(0.0)))
            }
            value => go::kind(value).to_string(),
        };
        let place = format!("Go struct field {}.{}", self.owner, self.path);
        Err(format!("json: cannot unmarshal {found} into {place} of type {wanted}"))
    }
}

/// What Go says of a version or kind that is no text.
pub(in super::super) fn check_type(object: &Value) -> Result<(), String> {
    let is_wrong = |field: &&str| object.get(*field).is_some_and(|value| !value.is_null() && !value.is_string());
    match ["apiVersion", "kind"].into_iter().find(is_wrong) {
        Some(field) => {
            let found = go::kind(&object[field]);
            Err(format!("json: cannot unmarshal {found} into Go struct field .{field} of type string"))
        }
        None => Ok(()),
    }
}

/// What Go says of metadata that it can't decode. Null is nothing everywhere.
pub(in super::super) fn check(metadata: &Value) -> Result<(), String> {
    match metadata {
        Value::Null => Ok(()),
        Value::Object(fields) => check_fields(fields, OBJECT, "ObjectMeta", ""),
        other => Err(format!("json: cannot unmarshal {} into Go value of type v1.ObjectMeta", go::kind(other))),
    }
}

fn check_fields(fields: &Map<String, Value>, known: &[Field], owner: &'static str, above: &str) -> Result<(), String> {
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        if let Some(field) = known.iter().find(|field| field.name == name) {
            check_field(value, field.type_, &Place { owner, path: format!("{above}{name}") })?;
        }
    }
    Ok(())
}

fn check_field(value: &Value, type_: Type, place: &Place) -> Result<(), String> {
    match (type_, value) {
        (Type::Text | Type::Uid, Value::String(_)) | (Type::Switch, Value::Bool(_)) | (Type::Fields, _) => Ok(()),
        (Type::Number, Value::Number(number)) if number.is_i64() => Ok(()),
        (Type::Time, Value::String(text)) => check_time(text),
        (Type::Texts, Value::Object(texts)) => texts.values().try_for_each(|text| check_text(text, place)),
        (Type::Set, Value::Array(items)) => items.iter().try_for_each(|item| check_text(item, place)),
        (Type::Owners, Value::Array(items)) => check_structs(items, OWNER, "OwnerReference", place),
        (Type::Managers, Value::Array(items)) => check_structs(items, MANAGER, "ManagedFieldsEntry", place),
        (Type::Text | Type::Time, other) => place.refuse(other, "string"),
        (Type::Uid, other) => place.refuse(other, "types.UID"),
        (Type::Switch, other) => place.refuse(other, "bool"),
        (Type::Number, other) => place.refuse(other, "int64"),
        (Type::Texts, other) => place.refuse(other, "map[string]string"),
        (Type::Set, other) => place.refuse(other, "[]string"),
        (Type::Owners, other) => place.refuse(other, "[]v1.OwnerReference"),
        (Type::Managers, other) => place.refuse(other, "[]v1.ManagedFieldsEntry"),
    }
}

fn check_text(value: &Value, place: &Place) -> Result<(), String> {
    if value.is_string() || value.is_null() { Ok(()) } else { place.refuse(value, "string") }
}

fn check_structs(items: &[Value], known: &[Field], name: &'static str, place: &Place) -> Result<(), String> {
    for item in items.iter().filter(|item| !item.is_null()) {
        match item.as_object() {
            Some(fields) => check_fields(fields, known, name, &format!("{}.", place.path))?,
            None => place.refuse(item, &format!("v1.{name}"))?,
        }
    }
    Ok(())
}

fn check_time(text: &str) -> Result<(), String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(());
    }
    Err(format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_field_of_a_wrong_type_is_named_as_the_real_server_names_it() {
        for (metadata, said) in [
            (json!({"name": 5}), "json: cannot unmarshal number into Go struct field ObjectMeta.name of type string"),
            (
                json!({"labels": {"a": 1}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string",
            ),
            (
                json!({"ownerReferences": [{"apiVersion": 1}]}),
                "json: cannot unmarshal number into Go struct field OwnerReference.ownerReferences.apiVersion of type string",
            ),
            (
                json!({"ownerReferences": ["a"]}),
                "json: cannot unmarshal string into Go struct field ObjectMeta.ownerReferences of type v1.OwnerReference",
            ),
            (
                json!({"generation": 1.5}),
                "json: cannot unmarshal number 1.5 into Go struct field ObjectMeta.generation of type int64",
            ),
            (json!(["a"]), "json: cannot unmarshal array into Go value of type v1.ObjectMeta"),
        ] {
            assert_eq!(check(&metadata), Err(said.into()));
        }
        assert_eq!(check(&json!({"name": "x", "labels": {"a": null}, "annotations": null})), Ok(()));
    }
}
