//! create, replace, patch and apply: each makes an object, which is then admitted and stored.

use serde_json::{Value, json};

use super::admission::{self, Attempt};
use super::body::Body;
use super::built_in::{self, CRD};
use super::call::Call;
use super::events::{shown_as, stored_as};
use super::kinds::Kind;
use super::refusal::{Cause, Refusal};
use super::route::{Part, Target};
use super::schema::Nulls;
use super::store::{Key, Store, key};
use super::{body, crd, delete, managed, metadata, options, patch, read, schema};
use crate::exchange::Request;

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn unset(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

/// Where an object comes from: what is wrong with it is told in other words.
enum Source {
    Body,
    /// A configuration that was applied, and merged with what was there.
    Configuration,
    /// With what it makes of the object, as text.
    Patch(String),
}

impl Source {
    fn nulls(&self) -> Nulls {
        if matches!(self, Self::Configuration) { Nulls::Defaulted } else { Nulls::Absent }
    }

    fn refuse(&self, kind: &Kind, why: &str) -> Refusal {
        let (name, version) = (&kind.kind, &kind.version);
        match self {
            Self::Body | Self::Configuration => {
                Refusal::bad_request(format!("{name} in version {version:?} cannot be handled as a {name}: {why}"))
            }
            Self::Patch(made) => Refusal::bad_outcome(made, why),
        }
    }

    /// Nothing is known of an object without version and kind.
    fn unrecognized(&self, request: &Request, kind: &Kind, why: &str) -> Refusal {
        match self {
            Self::Body | Self::Configuration => body::unrecognized(request, kind, why),
            Self::Patch(made) => Refusal::bad_outcome(made, why),
        }
    }

    /// A custom resource always names its kind.
    fn has_kind(&self, request: &Request, kind: &Kind, object: &Value) -> Result<(), String> {
        if !kind.is_custom() || !text(&object["kind"]).is_empty() {
            return Ok(());
        }
        let sent = match self {
            Self::Patch(made) => made.into(),
            Self::Body | Self::Configuration => String::from_utf8_lossy(&request.body),
        };
        Err(format!("Object 'Kind' is missing in '{sent}'"))
    }

    /// Tells of fields that the schema does not have, or that appear twice.
    fn misread(&self, kind: &Kind, call: &mut Call<'_>, mistakes: Vec<String>) -> Result<(), Refusal> {
        let told = call.misread(mistakes);
        told.map_err(|mistakes| self.refuse(kind, &format!("strict decoding error: {}", mistakes.join(", "))))
    }
}

pub(super) fn create(store: &mut Store, target: &Target, call: &mut Call<'_>) -> Result<Value, Refusal> {
    options::check_write(call.request)?;
    let body = body::object(call.request, &target.kind)?;
    let twice = body.mistakes();
    let mut object = body.value;
    decode(target, &mut object, twice, call, &Source::Body)?;
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
    if crd::is_terminating(store, kind) {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(Refusal::forbidden(kind, text(&object["metadata"]["name"]), why));
    }
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
    admit(store, target, call, &name, None, &object)?;
    built_in::prepare(kind, &mut object);
    let key = key(kind, target.namespace.as_deref(), &name);
    if let Some(there) = store.get(&key) {
        let is_ending = !there["metadata"]["deletionTimestamp"].is_null();
        return Err(Refusal::already_exists(kind, &name, is_ending));
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
fn decode(
    target: &Target,
    object: &mut Value,
    mut mistakes: Vec<String>,
    call: &mut Call<'_>,
    source: &Source,
) -> Result<(), Refusal> {
    let kind = &target.kind;
    let unreadable = |why: String| format!("couldn't get version/kind; json parse error: {why}");
    let typed = metadata::decoded::check_type(object).map_err(unreadable);
    typed
        .and_then(|()| source.has_kind(call.request, kind, object))
        .map_err(|why| source.unrecognized(call.request, kind, &why))?;
    if let Err(refusal) = metadata::check_version(kind, object) {
        // The real server then knows no schema, and so no field of the object.
        let fields = object.as_object().into_iter().flatten().map(|(name, _)| name);
        let unknown = fields.filter(|name| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
        source.misread(kind, call, unknown.map(|name| format!("unknown field {name:?}")).collect())?;
        return Err(refusal);
    }
    metadata::decoded::check(&object["metadata"]).map_err(|why| source.refuse(kind, &why))?;
    if let Some(schema) = &kind.schema {
        let unknown = schema::admit(schema, object, source.nulls());
        mistakes.extend(unknown.iter().map(|field| format!("unknown field {field:?}")));
    } else {
        built_in::decode(kind, object)?;
    }
    source.misread(kind, call, mistakes)?;
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

/// Refuses what a policy refuses.
fn admit(
    store: &Store,
    target: &Target,
    call: &Call<'_>,
    name: &str,
    before: Option<&Value>,
    object: &Value,
) -> Result<(), Refusal> {
    let (user, is_dry) = (&call.user, call.is_dry());
    admission::check(store, &Attempt { user, target, name, before, object, is_dry })
}

pub(super) fn replace(store: &mut Store, target: &Target, call: &mut Call<'_>) -> Result<Value, Refusal> {
    let (kind, name) = (&target.kind, target.name());
    options::check_write(call.request)?;
    let body = body::object(call.request, kind)?;
    let twice = body.mistakes();
    let mut object = body.value;
    decode(target, &mut object, twice, call, &Source::Body)?;
    check_name(name, &object)?;
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

fn check_name(name: &str, object: &Value) -> Result<(), Refusal> {
    match text(&object["metadata"]["name"]) {
        sent if sent == name => Ok(()),
        "" => Err(Refusal::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        sent => Err(Refusal::bad_request(format!(
            "the name of the object ({sent}) does not match the name on the URL ({name})"
        ))),
    }
}

/// A configuration names its kind and version.
fn check_kind(kind: &Kind, config: &Value) -> Result<(), Refusal> {
    let (version, named) = (text(&config["apiVersion"]), text(&config["kind"]));
    if version == kind.api_version() && named == kind.kind {
        return Ok(());
    }
    let slash = if version.contains('/') { "" } else { "/" };
    Err(Refusal::bad_request(format!("invalid object type: {slash}{version}, Kind={named}")))
}

pub(super) fn patch(store: &mut Store, target: &Target, call: &mut Call<'_>) -> Result<(u16, Value), Refusal> {
    let kind = &target.kind;
    patch::check_type(kind, call.request)?;
    options::check_write(call.request)?;
    if body::content_type(call.request) == patch::APPLY {
        return apply(store, target, call);
    }
    let before = read::get(store, target)?;
    let (patch, twice) = patch::read(kind, call.request)?;
    let mut object = patch.on(kind, &before)?;
    let source = Source::Patch(object.to_string());
    decode(target, &mut object, twice, call, &source)?;
    check_name(target.name(), &object)?;
    let writer = call.writer(store, target);
    let object = update(store, target, call, before, object, |kind, before, object| {
        managed::note(kind, &writer, Some(before), object);
    })?;
    Ok((200, object))
}

fn apply(store: &mut Store, target: &Target, call: &mut Call<'_>) -> Result<(u16, Value), Refusal> {
    let kind = &target.kind;
    let Body { value: config, duplicates } = body::yaml(call.request, kind)?;
    if !config["metadata"]["managedFields"].is_null() {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    let writer = call.writer(store, target);
    let live = read::get(store, target).ok();
    if live.is_none() && target.part.is_some() {
        return Err(Refusal::not_found(kind, target.name()));
    }
    check_kind(kind, &config)?;
    let mut object = managed::apply(kind, &writer, live.as_ref(), &config)?;
    let twice = duplicates.iter().map(|twice| format!("key {:?} already set in map", twice.name));
    call.misread(twice.collect()).map_err(|why| {
        let errors = "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:";
        Refusal::bad_request(format!("{errors}\n  {}", why.join("\n  ")))
    })?;
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    check_name(target.name(), &object)?;
    decode(target, &mut object, vec![], call, &Source::Configuration)?;
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
    admit(store, target, call, name, Some(&before), &object)?;
    if kind.has_generation && changed_outside_status(&before, &object) {
        let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
        object["metadata"]["generation"] = json!(generation + 1);
    }
    // What changes only the times of managed fields changes nothing.
    if managed::same_but_times(&object, &before) {
        return Ok(before);
    }
    if call.is_dry() {
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
            let status = object.get_mut("status").map(Value::take);
            let fields = object["metadata"]["managedFields"].take();
            let others = before.as_object().into_iter().flatten().filter(|(name, _)| *name != "status");
            *object = Value::Object(others.map(|(name, value)| (name.clone(), value.clone())).collect());
            if !fields.is_null() {
                object["metadata"]["managedFields"] = fields;
            }
            if let Some(status) = status {
                object["status"] = status;
            }
        }
        _ => match before.get("status") {
            Some(status) => object["status"] = status.clone(),
            None => unset(object, "status"),
        },
    }
}

fn changed_outside_status(before: &Value, object: &Value) -> bool {
    fields_outside_status(before).ne(fields_outside_status(object))
}

fn fields_outside_status(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !matches!(name.as_str(), "status" | "metadata"))
}
