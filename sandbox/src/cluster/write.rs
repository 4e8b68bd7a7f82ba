//! create, replace, patch and apply: each makes an object, which is then admitted and stored.

use serde_json::{Value, json};

use super::built_in::{self, CRD};
use super::call::Call;
use super::events::{shown_as, stored_as};
use super::kinds::Kind;
use super::refusal::{Cause, Refusal};
use super::route::{Part, Target};
use super::store::{Key, Store, key};
use super::{body, crd, delete, managed, metadata, patch, read, schema};

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn unset(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

pub(super) fn create(store: &mut Store, target: &Target, call: &mut Call<'_>) -> Result<Value, Refusal> {
    let body = body::object(call.request, &target.kind)?;
    let mut object = body.value;
    let twice = body.duplicates.iter().map(|field| format!("duplicate field {field:?}")).collect();
    decode(target, &mut object, twice, call)?;
    let writer = call.writer(store, target);
    create_decoded(store, target, call, object, |kind, object| managed::note(kind, &writer, None, object))
}

/// Stores a new object that is decoded, after noting who owns its fields.
fn create_decoded(
    store: &mut Store,
    target: &Target,
    call: &Call<'_>,
    mut object: Value,
    note: impl FnOnce(&Kind, &mut Value),
) -> Result<Value, Refusal> {
    let kind = &target.kind;
    for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"] {
        // An apply has already noted what it owns.
        if field != "managedFields" || text(&object["metadata"]["managedFields"][0]["operation"]) != "Apply" {
            unset(&mut object["metadata"], field);
        }
    }
    let prefix = text(&object["metadata"]["generateName"]).to_string();
    if text(&object["metadata"]["name"]).is_empty() && !prefix.is_empty() {
        object["metadata"]["name"] = json!(format!("{prefix}{}", store.new_suffix()));
    }
    let name = text(&object["metadata"]["name"]).to_string();
    metadata::check_namespace(store, target, &name)?;
    let (uid, time) = (store.new_uid(), store.timestamp());
    object["metadata"]["uid"] = json!(uid);
    object["metadata"]["creationTimestamp"] = json!(time);
    if kind.has_status {
        unset(&mut object, "status");
    }
    if kind.has_generation {
        object["metadata"]["generation"] = json!(1);
    }
    note(kind, &mut object);
    let defined = validate(target, &name, &object, None)?;
    built_in::prepare(kind, &mut object);
    let key = key(kind, target.namespace.as_deref(), &name);
    if store.get(&key).is_some() {
        return Err(Refusal::already_exists(kind, &name));
    }
    if call.is_dry() {
        return Ok(object);
    }
    let object = store.put(key.clone(), stored_as(kind, object));
    if let Some(defined) = defined {
        let version = store.put(key, crd::established(kind, &object, &time));
        store.define(defined, &version);
    }
    Ok(shown_as(kind, object))
}

/// apiVersion, kind, name and namespace as the path says; what the schema does not have is told and taken out;
/// defaults are filled in.
fn decode(target: &Target, object: &mut Value, mut mistakes: Vec<String>, call: &mut Call<'_>) -> Result<(), Refusal> {
    let kind = &target.kind;
    if let Err(refusal) = metadata::check_version(kind, object) {
        // The real server then knows no schema, and so no field of the object.
        let fields = object.as_object().into_iter().flatten().map(|(name, _)| name);
        let unknown = fields.filter(|name| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
        call.misread(target, unknown.map(|name| format!("unknown field {name:?}")).collect())?;
        return Err(refusal);
    }
    if let Some(schema) = &kind.schema {
        let unknown = schema::admit(schema, object);
        mistakes.extend(unknown.iter().map(|field| format!("unknown field {field:?}")));
    } else {
        built_in::decode(kind, object)?;
    }
    call.misread(target, mistakes)?;
    metadata::check_identity(target, object)
}

/// Refuses what is wrong with an object; the kind that a CRD defines.
fn validate(target: &Target, name: &str, object: &Value, before: Option<&Value>) -> Result<Option<Kind>, Refusal> {
    let kind = &target.kind;
    let mut causes = metadata::validate(kind, object, before);
    if kind.is_custom() {
        causes.extend(schema::validate(kind, object, before, target.part, &causes));
    } else {
        causes.extend(built_in::validate(kind, object, before));
    }
    if !causes.is_empty() {
        // Both event APIs check the object of the core group.
        let group = if kind.plural == "events" { "" } else { &kind.group };
        return Err(Refusal::invalid_as(group, &kind.kind, name, &causes));
    }
    if kind.plural != CRD {
        return Ok(None);
    }
    crd::kind_of(object).map(Some).map_err(|causes| Refusal::invalid(kind, name, &causes))
}

pub(super) fn replace(store: &mut Store, target: &Target, call: &mut Call<'_>) -> Result<Value, Refusal> {
    let (kind, name) = (&target.kind, target.name());
    let body = body::object(call.request, kind)?;
    let mut object = body.value;
    let twice = body.duplicates.iter().map(|field| format!("duplicate field {field:?}")).collect();
    decode(target, &mut object, twice, call)?;
    let sent = text(&object["metadata"]["name"]);
    if sent != name {
        let message = format!("the name of the object ({sent}) does not match the name on the URL ({name})");
        return Err(Refusal::bad_request(message));
    }
    let before = read::get(store, target)?;
    if kind.is_custom() && text(&object["metadata"]["resourceVersion"]).is_empty() {
        let cause = Cause::invalid("metadata.resourceVersion", "0: must be specified for an update");
        return Err(Refusal::invalid_as(&kind.group, &kind.plural, name, &[cause]));
    }
    let writer = call.writer(store, target);
    update(store, target, call, before, object, |kind, before, object| {
        managed::note(kind, &writer, Some(before), object);
    })
}

pub(super) fn patch(store: &mut Store, target: &Target, call: &mut Call<'_>) -> Result<(u16, Value), Refusal> {
    let kind = &target.kind;
    if body::content_type(call.request) == patch::APPLY {
        return apply(store, target, call);
    }
    let patch = patch::read(kind, call.request)?;
    let before = read::get(store, target)?;
    let mut object = patch.on(kind, &before)?;
    decode(target, &mut object, vec![], call)?;
    let writer = call.writer(store, target);
    let object = update(store, target, call, before, object, |kind, before, object| {
        managed::note(kind, &writer, Some(before), object);
    })?;
    Ok((200, object))
}

fn apply(store: &mut Store, target: &Target, call: &mut Call<'_>) -> Result<(u16, Value), Refusal> {
    let kind = &target.kind;
    call.check_manager()?;
    let mut config = body::yaml(call.request, kind)?.value;
    if !config["metadata"]["managedFields"].is_null() {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    metadata::check_version(kind, &config)?;
    let writer = call.writer(store, target);
    let live = read::get(store, target).ok();
    if live.is_none() && target.part.is_some() {
        return Err(Refusal::not_found(kind, target.name()));
    }
    config["kind"] = json!(kind.kind);
    let mut object = managed::apply(kind, &writer, live.as_ref(), &config)?;
    object["metadata"]["name"] = json!(target.name());
    decode(target, &mut object, vec![], call)?;
    match live {
        None => create_decoded(store, target, call, object, |_, _| {}).map(|object| (201, object)),
        Some(before) => update(store, target, call, before, object, |_, _, _| {}).map(|object| (200, object)),
    }
}

/// Puts a changed object in the place of the one before, after noting who owns its fields.
pub(super) fn update(
    store: &mut Store,
    target: &Target,
    call: &Call<'_>,
    before: Value,
    mut object: Value,
    note: impl FnOnce(&Kind, &Value, &mut Value),
) -> Result<Value, Refusal> {
    let (kind, name) = (&target.kind, target.name());
    metadata::check_preconditions(target, &before, &object)?;
    metadata::carry_over(&before, &mut object);
    keep_the_other_half(target, &before, &mut object);
    note(kind, &before, &mut object);
    let defined = validate(target, name, &object, Some(&before))?;
    if kind.has_generation && changed_outside_status(&before, &object) {
        let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
        object["metadata"]["generation"] = json!(generation + 1);
    }
    if object == before || call.is_dry() {
        return Ok(object);
    }
    let key: Key = key(kind, target.namespace.as_deref(), name);
    if delete::is_due(kind, &object) {
        delete::remove(store, kind, &key);
        return Ok(object);
    }
    let object = store.put(key, stored_as(kind, object));
    if let Some(defined) = defined {
        store.define(defined, &object);
    }
    Ok(shown_as(kind, object))
}

/// Where status is a subresource, each path changes its own half.
fn keep_the_other_half(target: &Target, before: &Value, object: &mut Value) {
    if !target.kind.has_status {
        return;
    }
    match target.part {
        Some(Part::Status) => {
            let status = object.get("status").cloned();
            let fields = object["metadata"]["managedFields"].clone();
            *object = before.clone();
            if !fields.is_null() {
                object["metadata"]["managedFields"] = fields;
            }
            match status {
                Some(status) => object["status"] = status,
                None => unset(object, "status"),
            }
        }
        _ => match before.get("status") {
            Some(status) => object["status"] = status.clone(),
            None => unset(object, "status"),
        },
    }
}

fn changed_outside_status(before: &Value, object: &Value) -> bool {
    let strip = |object: &Value| {
        let fields = object.as_object().into_iter().flatten();
        fields
            .filter(|(name, _)| !matches!(name.as_str(), "status" | "metadata"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<serde_json::Map<_, _>>()
    };
    strip(before) != strip(object)
}
