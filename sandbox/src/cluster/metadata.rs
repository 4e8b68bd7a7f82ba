//! What holds for every object: identity, names, preconditions, finalizers.

pub(super) mod decoded;
pub(super) mod fields;
pub(super) mod names;

use regex::Regex;
use serde_json::{Value, json};
use std::sync::LazyLock;

use super::kinds::Kind;
use super::refusal::{Cause, Refusal};
use super::route::Target;
use super::store::{Key, Store, place};
use super::write::{text, unset};

const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

static IS_SUBDOMAIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("^{SUBDOMAIN}$")).ok());
static IS_LABEL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("^{LABEL}$")).ok());

/// The object is of this version.
pub(super) fn check_version(kind: &Kind, object: &Value) -> Result<(), Refusal> {
    if !object.is_object() {
        return Err(Refusal::bad_request("the object provided is unrecognized: it is no JSON object"));
    }
    let (sent, expected) = (text(&object["apiVersion"]), kind.api_version());
    if sent == expected || (sent.is_empty() && !kind.is_custom()) {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "the API version in the data ({sent}) does not match the expected API version ({expected})"
    )))
}

/// What the path says of kind and namespace, written into the object.
pub(super) fn check_identity(target: &Target, object: &mut Value) -> Result<(), Refusal> {
    let kind = &target.kind;
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    if let Some(fields) = object["metadata"].as_object_mut() {
        fields.retain(|_, value| !is_empty(value));
    }
    if object["kind"].is_null() || text(&object["kind"]).is_empty() {
        object["kind"] = json!(kind.kind);
    }
    object["apiVersion"] = json!(kind.api_version());
    if object["kind"] != kind.kind.as_str() {
        let cause = Cause::invalid("kind", format!("{}: must be {}", object["kind"], kind.kind));
        let name = text(&object["metadata"]["name"]);
        return Err(Refusal::invalid_as(&kind.group, text(&object["kind"]), name, &[cause]));
    }
    if let Some(namespace) = &target.namespace {
        let sent = text(&object["metadata"]["namespace"]);
        if !sent.is_empty() && sent != namespace {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Refusal::bad_request(message));
        }
        object["metadata"]["namespace"] = json!(namespace);
    }
    Ok(())
}

/// The namespace is there, and stays.
pub(super) fn check_namespace(store: &Store, target: &Target, name: &str) -> Result<(), Refusal> {
    let Some(namespace) = &target.namespace else { return Ok(()) };
    let key: Key = ("/namespaces".into(), String::new(), namespace.clone());
    match (store.get(&key), store.kinds().find("", "v1", "namespaces")) {
        (None, Some(kind)) => Err(Refusal::not_found(&kind, namespace)),
        (Some(found), _) if !found["metadata"]["deletionTimestamp"].is_null() => {
            Err(Refusal::terminating(&target.kind, name, namespace))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_preconditions(target: &Target, before: &Value, object: &Value) -> Result<(), Refusal> {
    let (kind, name) = (&target.kind, target.name());
    let sent = text(&object["metadata"]["resourceVersion"]);
    if !sent.is_empty() && sent != text(&before["metadata"]["resourceVersion"]) {
        return Err(Refusal::modified(kind, name));
    }
    let (sent, is) = (text(&object["metadata"]["uid"]), text(&before["metadata"]["uid"]));
    if !sent.is_empty() && sent != is {
        let namespace = target.namespace.as_ref().map(|n| format!("/{n}")).unwrap_or_default();
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}{namespace}/{name}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {sent}, UID in object meta: {is}",
            place(kind).trim_start_matches('/')
        );
        return Err(Refusal::conflict(kind, name, &why));
    }
    Ok(())
}

/// What an update can't change.
pub(super) fn carry_over(before: &Value, object: &mut Value) {
    for field in
        ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"]
    {
        match before["metadata"].get(field) {
            Some(value) => object["metadata"][field] = value.clone(),
            None => unset(&mut object["metadata"], field),
        }
    }
}

/// What Go leaves out of metadata.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

pub(super) fn validate(kind: &Kind, object: &Value, before: Option<&Value>) -> Vec<Cause> {
    let metadata = &object["metadata"];
    let Some(before) = before else {
        let prefix = text(&metadata["generateName"]);
        // The real server checks a prefix with its last two characters as one letter.
        let masked = prefix.strip_suffix('-').and_then(|rest| rest.char_indices().last().map(|(at, _)| &rest[..at]));
        let made = masked.map_or_else(|| prefix.to_string(), |rest| format!("{rest}a"));
        let prefix = (!prefix.is_empty()).then(|| name(kind, "metadata.generateName", &made, prefix)).flatten();
        let own = text(&metadata["name"]);
        let mut causes: Vec<Cause> = prefix.into_iter().chain(name(kind, "metadata.name", own, own)).collect();
        causes.extend(names::check(metadata));
        causes.extend(names::finalizers(&finalizers(object)));
        return causes;
    };
    let mut causes = new_finalizers(before, object);
    causes.extend(names::check(metadata));
    // The real server looks twice at the metadata of a custom resource.
    let again = if kind.is_custom() { causes.clone() } else { vec![] };
    causes.into_iter().chain(again).collect()
}

/// What is wrong with a name in a field, shown as it was sent.
fn name(kind: &Kind, field: &str, name: &str, sent: &str) -> Option<Cause> {
    let example = |pattern: &str, what: &str, example: &str| {
        let message = format!(
            "{sent:?}: {what}, and must start and end with an alphanumeric character (e.g. {example}, regex used for \
             validation is '{pattern}')"
        );
        Some(Cause::invalid(field, message))
    };
    let fits = |pattern: &LazyLock<Option<Regex>>| pattern.as_ref().is_some_and(|p| p.is_match(name));
    match kind.plural.as_str() {
        _ if name.is_empty() => Some(Cause::required(field, "name or generateName is required")),
        // Names of roles are any path segment.
        "roles" | "clusterroles" | "rolebindings" | "clusterrolebindings" => None,
        "namespaces" if name.len() <= 63 && fits(&IS_LABEL) => None,
        "namespaces" => {
            let what = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'";
            example(LABEL, what, "'my-name',  or '123-abc'")
        }
        _ if name.len() > 253 => Some(Cause::invalid(field, format!("{sent:?}: must be no more than 253 bytes"))),
        _ if fits(&IS_SUBDOMAIN) => None,
        _ => {
            let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'";
            example(SUBDOMAIN, what, "'example.com'")
        }
    }
}

fn new_finalizers(before: &Value, object: &Value) -> Vec<Cause> {
    if before["metadata"]["deletionTimestamp"].is_null() {
        return vec![];
    }
    let known = finalizers(before);
    let new: Vec<String> = finalizers(object).iter().filter(|f| !known.contains(f)).map(|f| format!("{f:?}")).collect();
    if new.is_empty() {
        return vec![];
    }
    let message = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        new.join(", ")
    );
    vec![Cause::forbidden("metadata.finalizers", message)]
}
