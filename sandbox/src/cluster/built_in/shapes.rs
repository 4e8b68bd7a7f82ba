//! Which fields of built-in kinds are objects and lists, as far as the sandbox looks into them.

use serde_json::{Map, Value, json};

use super::CRD;
use crate::cluster::go;
use crate::cluster::kinds::Kind;
use crate::cluster::refusal::Refusal;

/// Maps of texts, and what such a text is in Go.
const TEXTS: [(&str, &str, &str); 4] = [
    ("configmaps", "data", "string"),
    ("configmaps", "binaryData", "[]uint8"),
    ("secrets", "data", "[]uint8"),
    ("secrets", "stringData", "string"),
];

/// Objects, or lists of objects.
const OBJECTS: [(&str, &str); 8] = [
    ("", "/spec"),
    ("", "/status"),
    (CRD, "/spec/names"),
    (CRD, "/spec/conversion"),
    (CRD, "/spec/versions"),
    ("deployments", "/spec/template"),
    ("events", "/series"),
    ("events", "/source"),
];

/// The object can be looked into.
pub(super) fn check(kind: &Kind, object: &Value) -> Result<(), Refusal> {
    let own = OBJECTS.iter().filter(|(plural, _)| plural.is_empty() || *plural == kind.plural);
    for (_, pointer) in own {
        let found = object.pointer(pointer).unwrap_or(&Value::Null);
        let is_list = *pointer == "/spec/versions";
        let fits = if is_list { is_list_of_objects(found) } else { is_object(found) };
        if !fits {
            return Err(refuse(kind, pointer, found));
        }
    }
    for (_, field, type_) in TEXTS.iter().filter(|(plural, ..)| *plural == kind.plural) {
        check_texts(kind, &object[field], field, type_)?;
    }
    if kind.plural != CRD {
        return Ok(());
    }
    for version in object["spec"]["versions"].as_array().into_iter().flatten() {
        let fits = is_object(&version["schema"])
            && is_schema(&version["schema"]["openAPIV3Schema"])
            && is_list_of_objects(&version["additionalPrinterColumns"]);
        if !fits {
            return Err(refuse(kind, "/spec/versions", version));
        }
    }
    Ok(())
}

/// A null is nothing, and an empty text in a map of texts.
pub(super) fn drop_nulls(kind: &Kind, object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    for (_, field, _) in TEXTS.iter().filter(|(plural, ..)| *plural == kind.plural) {
        let texts = object.get_mut(*field).and_then(Value::as_object_mut);
        for text in texts.into_iter().flat_map(Map::values_mut).filter(|text| text.is_null()) {
            *text = json!("");
        }
    }
}

fn check_texts(kind: &Kind, texts: &Value, field: &str, type_: &str) -> Result<(), Refusal> {
    let is_text = |value: &&Value| value.is_null() || value.is_string();
    let wrong = match texts {
        Value::Null => None,
        Value::Object(texts) => texts.values().find(|value| !is_text(value)).map(|value| (value, type_.to_string())),
        other => Some((other, format!("map[string]{type_}"))),
    };
    let Some((found, type_)) = wrong else { return Ok(()) };
    let (name, version, found) = (&kind.kind, &kind.version, go::kind(found));
    Err(Refusal::bad_request(format!(
        "{name} in version {version:?} cannot be handled as a {name}: json: cannot unmarshal {found} into Go struct \
         field {name}.{field} of type {type_}"
    )))
}

fn refuse(kind: &Kind, pointer: &str, found: &Value) -> Refusal {
    let (name, version, found) = (&kind.kind, &kind.version, go::kind(found));
    let path = pointer.trim_start_matches('/').replace('/', ".");
    Refusal::bad_request(format!(
        "{name} in version {version:?} cannot be handled as a {name}: json: cannot unmarshal {found} into Go struct \
         field {name}.{path} or what is below it"
    ))
}

fn is_object(value: &Value) -> bool {
    value.is_null() || value.is_object()
}

fn is_list_of_objects(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(|items| items.iter().all(Value::is_object))
}

fn is_schema(schema: &Value) -> bool {
    let Some(fields) = schema.as_object() else { return schema.is_null() };
    let is = |name: &str, fits: fn(&Value) -> bool| fields.get(name).is_none_or(fits);
    is("properties", |all| all.is_null() || all.as_object().is_some_and(|all| all.values().all(is_schema)))
        && is("items", is_schema)
        && is("additionalProperties", |of| of.is_boolean() || is_schema(of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::kinds::Kinds;

    #[test]
    fn a_null_is_nothing() {
        let maps = Kinds::built_in().find("", "v1", "configmaps").unwrap();
        let mut object = json!({"data": {"a": null}, "binaryData": null});
        drop_nulls(&maps, &mut object);
        assert_eq!(object, json!({"data": {"a": ""}}));
    }

    #[test]
    fn what_can_not_be_looked_into_is_refused() {
        let kinds = Kinds::built_in();
        let find = |group: &str, plural: &str| kinds.find(group, "v1", plural).unwrap();
        let crd = |version: Value| json!({"spec": {"names": {}, "versions": [version]}});
        let definitions = find("apiextensions.k8s.io", CRD);
        for (kind, object) in [
            (find("", "namespaces"), json!({"spec": "x"})),
            (find("", "namespaces"), json!({"status": "x"})),
            (find("", "secrets"), json!({"data": "x", "stringData": {"a": "b"}})),
            (find("", "secrets"), json!({"data": {"a": 5}})),
            (find("", "configmaps"), json!({"data": {"a": {}}})),
            (definitions.clone(), json!({"spec": {"names": "x"}})),
            (definitions.clone(), crd(json!("x"))),
            (definitions.clone(), crd(json!({"schema": {"openAPIV3Schema": {"properties": []}}}))),
        ] {
            let refusal = check(&kind, &object).unwrap_err().to_status();
            assert!(refusal["code"] == 400 && refusal["message"].as_str().unwrap().contains("cannot unmarshal"));
        }
        let good = crd(json!({"schema": {"openAPIV3Schema": {"properties": {"a": {"type": "string"}}}}}));
        assert!(check(&definitions, &good).is_ok());
        assert!(check(&find("", "configmaps"), &json!({"data": {"a": "b"}})).is_ok());
    }
}
