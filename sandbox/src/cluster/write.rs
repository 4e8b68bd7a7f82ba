//! create, replace, patch and delete.

use serde_json::{Value, json};

use super::crd;
use super::events::{shown_as, stored_as};
use super::kinds::Kind;
use super::read;
use super::refusal::{Cause, Refusal};
use super::route::Target;
use super::schema;
use super::select::Selector;
use super::store::{Key, Store, key, place};
use crate::exchange::Request;

const CRD: &str = "customresourcedefinitions";
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

fn body(request: &Request, kind: &Kind) -> Result<Value, Refusal> {
    let unreadable = |why: String| {
        Refusal::bad_request(format!("the object provided is unrecognized (must be of type {}): {why}", kind.kind))
    };
    if request.content_type.contains("yaml") {
        return serde_yaml_ng::from_slice(&request.body).map_err(|e| unreadable(e.to_string()));
    }
    if request.content_type.is_empty() || request.content_type.starts_with("application/json") {
        return serde_json::from_slice(&request.body).map_err(|e| unreadable(e.to_string()));
    }
    Err(Refusal::unsupported_media_type("application/json, application/yaml"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn create(store: &mut Store, target: &Target, request: &Request) -> Result<Value, Refusal> {
    let kind = &target.kind;
    let mut object = stored_as(kind, body(request, kind)?);
    check_identity(kind, target, &mut object)?;
    if text(&object["metadata"]["name"]).is_empty() {
        let prefix = text(&object["metadata"]["generateName"]).to_string();
        if prefix.is_empty() {
            let message = "Required value: name or generateName is required".to_string();
            let cause = Cause { reason: "FieldValueRequired", field: "metadata.name".into(), message };
            return Err(Refusal::invalid(kind, "", &[cause]));
        }
        object["metadata"]["name"] = json!(format!("{prefix}{}", store.new_suffix()));
    }
    let name = text(&object["metadata"]["name"]).to_string();
    check_namespace(store, target)?;
    let key = key(kind, target.namespace.as_deref(), &name);
    if store.get(&key).is_some() {
        return Err(Refusal::already_exists(kind, &name));
    }
    let (uid, time) = (store.new_uid(), store.timestamp());
    let metadata = &mut object["metadata"];
    metadata["uid"] = json!(uid);
    metadata["creationTimestamp"] = json!(time);
    for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        remove(metadata, field);
    }
    if kind.has_status {
        if kind.schema.is_some() || kind.plural == CRD {
            remove(&mut object, "status");
        }
        object["metadata"]["generation"] = json!(1);
    }
    built_in_defaults(kind, &name, &mut object);
    admit(store, kind, &name, &mut object, None, request)?;
    if request.param("dryRun").is_some() {
        return Ok(shown_as(kind, object));
    }
    let object = store.put(key, object);
    Ok(shown_as(kind, object))
}

fn remove(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

/// apiVersion, kind, name and namespace must be what the path says.
fn check_identity(kind: &Kind, target: &Target, object: &mut Value) -> Result<(), Refusal> {
    if !object.is_object() {
        return Err(Refusal::bad_request("the object provided is unrecognized: it is no JSON object"));
    }
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let (sent, expected) = (text(&object["apiVersion"]).to_string(), stored_version(kind));
    if sent != expected && !sent.is_empty() {
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({sent}) does not match the expected API version ({expected})"
        )));
    }
    if !object["kind"].is_null() && object["kind"] != kind.kind.as_str() {
        let cause = Cause::invalid("kind", format!("{}: must be {}", object["kind"], kind.kind));
        return Err(Refusal::invalid(kind, text(&object["metadata"]["name"]), &[cause]));
    }
    object["apiVersion"] = json!(expected);
    object["kind"] = json!(kind.kind);
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

fn stored_version(kind: &Kind) -> String {
    if kind.group == "events.k8s.io" { "v1".into() } else { kind.api_version() }
}

fn check_namespace(store: &Store, target: &Target) -> Result<(), Refusal> {
    let Some(namespace) = &target.namespace else { return Ok(()) };
    let place: Key = ("/namespaces".into(), String::new(), namespace.clone());
    let kind = store.kinds().find("", "v1", "namespaces");
    match (store.get(&place), kind) {
        (None, Some(kind)) => Err(Refusal::not_found(&kind, namespace)),
        _ => Ok(()),
    }
}

fn built_in_defaults(kind: &Kind, name: &str, object: &mut Value) {
    match kind.plural.as_str() {
        "namespaces" => {
            object["status"] = json!({"phase": "Active"});
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
        }
        "secrets" => secret_data(object),
        _ => {}
    }
}

fn secret_data(object: &mut Value) {
    use base64::Engine;
    if object["type"].is_null() {
        object["type"] = json!("Opaque");
    }
    let plain = object["stringData"].as_object().cloned().unwrap_or_default();
    for (key, value) in plain {
        object["data"][key] = json!(base64::engine::general_purpose::STANDARD.encode(text(&value)));
    }
    remove(object, "stringData");
}

/// Defaults, prunes and validates an object, and makes the kind that a CRD defines.
fn admit(
    store: &mut Store,
    kind: &Kind,
    name: &str,
    object: &mut Value,
    before: Option<&Value>,
    request: &Request,
) -> Result<(), Refusal> {
    if let Some(schema) = &kind.schema {
        let unknown = schema::admit(schema, object);
        if !unknown.is_empty() && request.param("fieldValidation") == Some("Strict") {
            let each: Vec<String> = unknown.iter().map(|f| format!("unknown field {f:?}")).collect();
            return Err(Refusal::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
                kind.kind,
                kind.version,
                kind.kind,
                each.join(", ")
            )));
        }
    }
    let causes = schema::validate(kind, object, before);
    if !causes.is_empty() {
        return Err(Refusal::invalid(kind, name, &causes));
    }
    if kind.plural == CRD {
        let defined = crd::kind_of(object).map_err(|causes| Refusal::invalid(kind, name, &causes))?;
        crd::establish(object, &store.timestamp());
        if request.param("dryRun").is_none() {
            store.kinds_mut().register(defined);
        }
    }
    Ok(())
}

pub(super) fn replace(store: &mut Store, target: &Target, request: &Request) -> Result<Value, Refusal> {
    let (kind, name) = (&target.kind, target.name.clone().unwrap_or_default());
    let mut object = stored_as(kind, body(request, kind)?);
    check_identity(kind, target, &mut object)?;
    let sent = text(&object["metadata"]["name"]);
    if sent != name {
        let message = format!("the name of the object ({sent}) does not match the name on the URL ({name})");
        return Err(Refusal::bad_request(message));
    }
    let before = stored_as(kind, read::get(store, target)?);
    if kind.schema.is_some() && text(&object["metadata"]["resourceVersion"]).is_empty() {
        let cause = Cause::invalid("metadata.resourceVersion", "0: must be specified for an update".into());
        return Err(Refusal::invalid(kind, &name, &[cause]));
    }
    update(store, target, before, object, request)
}

pub(super) fn patch(store: &mut Store, target: &Target, request: &Request) -> Result<Value, Refusal> {
    let kind = &target.kind;
    let before = stored_as(kind, read::get(store, target)?);
    let mut object = shown_as(kind, before.clone());
    let unreadable = |e: String| Refusal::bad_request(format!("the patch could not be read: {e}"));
    match request.content_type.split(';').next().unwrap_or_default() {
        JSON_PATCH => {
            let patch: json_patch::Patch =
                serde_json::from_slice(&request.body).map_err(|e| unreadable(e.to_string()))?;
            let failed = |e: json_patch::PatchError| {
                let message = format!("{}: the patch did not apply: {e}", object["metadata"]["name"]);
                Refusal::invalid(kind, target.name.as_deref().unwrap_or_default(), &[Cause::invalid("patch", message)])
            };
            let mut patched = object.clone();
            json_patch::patch(&mut patched, &patch).map_err(failed)?;
            object = patched;
        }
        // Of the built-in kinds here, none has a list that is merged by a key.
        content if content == MERGE_PATCH || (content == STRATEGIC_PATCH && kind.schema.is_none()) => {
            let patch: Value = serde_json::from_slice(&request.body).map_err(|e| unreadable(e.to_string()))?;
            json_patch::merge(&mut object, &patch);
        }
        _ => return Err(Refusal::unsupported_media_type(&format!("{JSON_PATCH}, {MERGE_PATCH}"))),
    }
    update(store, target, before, stored_as(kind, object), request)
}

/// Puts a changed object in the place of the one before.
fn update(
    store: &mut Store,
    target: &Target,
    before: Value,
    mut object: Value,
    request: &Request,
) -> Result<Value, Refusal> {
    let (kind, name) = (&target.kind, target.name.clone().unwrap_or_default());
    check_preconditions(kind, &name, &before, &object)?;
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        match before["metadata"].get(field) {
            Some(value) => object["metadata"][field] = value.clone(),
            None => remove(&mut object["metadata"], field),
        }
    }
    object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
    keep_the_other_half(target, &before, &mut object);
    built_in_defaults_on_update(kind, &mut object);
    check_finalizers(kind, &name, &before, &object)?;
    admit(store, kind, &name, &mut object, Some(&before), request)?;
    if kind.has_status && changed_outside_status(&before, &object) {
        let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
        object["metadata"]["generation"] = json!(generation + 1);
    }
    if object == before || request.param("dryRun").is_some() {
        return Ok(shown_as(kind, object));
    }
    let key = key(kind, target.namespace.as_deref(), &name);
    let deleted = !object["metadata"]["deletionTimestamp"].is_null();
    if deleted && finalizers(&object).is_empty() {
        remove_object(store, kind, &key);
        return Ok(shown_as(kind, object));
    }
    let object = store.put(key, object);
    Ok(shown_as(kind, object))
}

fn check_preconditions(kind: &Kind, name: &str, before: &Value, object: &Value) -> Result<(), Refusal> {
    let sent = text(&object["metadata"]["resourceVersion"]);
    if !sent.is_empty() && sent != text(&before["metadata"]["resourceVersion"]) {
        return Err(Refusal::modified(kind, name));
    }
    let (sent, is) = (text(&object["metadata"]["uid"]), text(&before["metadata"]["uid"]));
    if !sent.is_empty() && sent != is {
        let why = format!("Precondition failed: UID in precondition: {sent}, UID in object meta: {is}");
        return Err(Refusal::conflict(kind, name, &why));
    }
    Ok(())
}

/// Where status is a subresource, each path changes its own half.
fn keep_the_other_half(target: &Target, before: &Value, object: &mut Value) {
    if !target.kind.has_status {
        return;
    }
    if target.status {
        let status = object.get("status").cloned();
        *object = before.clone();
        match status {
            Some(status) => object["status"] = status,
            None => remove(object, "status"),
        }
    } else {
        match before.get("status") {
            Some(status) => object["status"] = status.clone(),
            None => remove(object, "status"),
        }
    }
}

fn built_in_defaults_on_update(kind: &Kind, object: &mut Value) {
    if kind.plural == "secrets" {
        secret_data(object);
    }
}

fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn check_finalizers(kind: &Kind, name: &str, before: &Value, object: &Value) -> Result<(), Refusal> {
    if before["metadata"]["deletionTimestamp"].is_null() {
        return Ok(());
    }
    let known = finalizers(before);
    let new: Vec<String> = finalizers(object).iter().filter(|f| !known.contains(f)).map(|f| format!("{f:?}")).collect();
    if new.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        new.join(", ")
    );
    let cause = Cause { reason: "FieldValueForbidden", field: "metadata.finalizers".into(), message };
    Err(Refusal::invalid(kind, name, &[cause]))
}

fn changed_outside_status(before: &Value, object: &Value) -> bool {
    let strip = |object: &Value| {
        let mut object = object.clone();
        remove(&mut object, "status");
        remove(&mut object, "metadata");
        object
    };
    strip(before) != strip(object)
}

/// Deletes, or marks as being deleted while there are finalizers.
pub(super) fn delete(store: &mut Store, target: &Target, request: &Request) -> Result<Value, Refusal> {
    let (kind, name) = (&target.kind, target.name.clone().unwrap_or_default());
    let mut object = stored_as(kind, read::get(store, target)?);
    let options: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    for (field, what) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let (sent, is) = (text(&options["preconditions"][field]), text(&object["metadata"][field]));
        if !sent.is_empty() && sent != is {
            let why = format!("the {what} in the precondition ({sent}) does not match the {what} in record ({is})");
            return Err(Refusal::conflict(kind, &name, &why));
        }
    }
    let dry = request.param("dryRun").is_some() || !options["dryRun"].is_null();
    let key = key(kind, target.namespace.as_deref(), &name);
    if !finalizers(&object).is_empty() {
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = json!(store.timestamp());
            object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
            let generation = object["metadata"]["generation"].as_i64();
            if let Some(generation) = generation {
                object["metadata"]["generation"] = json!(generation + 1);
            }
            if !dry {
                object = store.put(key, object);
            }
        }
        return Ok(shown_as(kind, object));
    }
    let uid = object["metadata"]["uid"].clone();
    if !dry {
        remove_object(store, kind, &key);
    }
    Ok(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": name, "group": kind.group, "kind": kind.plural, "uid": uid},
    }))
}

/// Removes an object, and what goes with it: what is in a namespace, or is of a CRD's kind.
fn remove_object(store: &mut Store, kind: &Kind, key: &Key) {
    let Some(object) = store.remove(key) else { return };
    let gone: Vec<Key> = match kind.plural.as_str() {
        "namespaces" => {
            let places: Vec<String> = store.kinds().all().map(|k| place(k)).collect();
            places
                .iter()
                .flat_map(|p| store.list(p, Some(&key.2)).map(|(k, _)| k.clone()).collect::<Vec<_>>())
                .collect()
        }
        CRD => {
            let (group, plural) = (text(&object["spec"]["group"]), text(&object["spec"]["names"]["plural"]));
            store.kinds_mut().forget(group, plural);
            store.list(&format!("{group}/{plural}"), None).map(|(k, _)| k.clone()).collect()
        }
        _ => vec![],
    };
    for key in gone {
        store.remove(&key);
    }
}

pub(super) fn delete_all(store: &mut Store, target: &Target, request: &Request) -> Result<Value, Refusal> {
    let selector = Selector::parse(request.param("labelSelector"), request.param("fieldSelector"))?;
    let place = place(&target.kind);
    let selected = store.list(&place, target.namespace.as_deref()).filter(|(_, object)| selector.matches(object));
    let keys: Vec<Key> = selected.map(|(key, _)| key.clone()).collect();
    let mut items = vec![];
    for (_, namespace, name) in keys {
        let namespace = (!namespace.is_empty()).then_some(namespace);
        let one = Target { namespace, name: Some(name), ..target.clone() };
        items.push(read::get(store, &one)?);
        delete(store, &one, request)?;
    }
    let kind = &target.kind;
    let metadata = json!({"resourceVersion": store.version().to_string()});
    Ok(json!({
        "apiVersion": kind.api_version(), "kind": format!("{}List", kind.kind), "metadata": metadata, "items": items,
    }))
}
