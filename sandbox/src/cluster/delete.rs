//! Deletion: finalizers, preconditions, propagation; and what the garbage collector then does.

use serde_json::{Value, json};

use super::built_in::CRD;
use super::call::Call;
use super::crd;
use super::events::{shown_as, stored_as};
use super::kinds::Kind;
use super::metadata::finalizers;
use super::options::{self, Deletion, Propagation};
use super::read;
use super::refusal::Refusal;
use super::route::Target;
use super::select::Selector;
use super::store::{Key, Store, key, place};
use super::write::{text, unset};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Whether nothing holds a deleted object any longer.
pub(super) fn is_due(kind: &Kind, object: &Value) -> bool {
    let deleted = !object["metadata"]["deletionTimestamp"].is_null();
    deleted && finalizers(object).is_empty() && !has_spec_finalizers(kind, object)
}

/// A namespace is held by what is in it.
fn has_spec_finalizers(kind: &Kind, object: &Value) -> bool {
    kind.plural == "namespaces" && object["spec"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
}

/// Namespaces that the real server keeps.
const PROTECTED: [&str; 3] = ["default", "kube-system", "kube-public"];

fn check(kind: &Kind, name: &str, object: &Value, asked: &Deletion) -> Result<(), Refusal> {
    for (field, sent, what, ending) in [
        ("uid", &asked.uid, "UID", "deleted and then recreated"),
        ("resourceVersion", &asked.version, "ResourceVersion", "modified"),
    ] {
        let is = text(&object["metadata"][field]);
        if let Some(sent) = sent.as_ref().filter(|sent| *sent != is) {
            let why = format!(
                "the {what} in the precondition ({sent}) does not match the {what} in record ({is}). The object might \
                 have been {ending}"
            );
            return Err(Refusal::precondition(kind, name, &why));
        }
    }
    Ok(())
}

/// Deletes, or marks as being deleted while something holds the object.
pub(super) fn delete(store: &mut Store, target: &Target, call: &Call<'_>) -> Result<Value, Refusal> {
    let asked = options::of_deletion(call.request)?;
    delete_one(store, target, &asked)
}

fn delete_one(store: &mut Store, target: &Target, asked: &Deletion) -> Result<Value, Refusal> {
    let (kind, name) = (&target.kind, target.name());
    let mut object = read::get(store, target)?;
    if kind.plural == "namespaces" && PROTECTED.contains(&name) {
        return Err(Refusal::forbidden(kind, name, "this namespace may not be deleted"));
    }
    check(kind, name, &object, asked)?;
    let hold = match asked.propagation {
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
        Propagation::Background => None,
    };
    // A CRD goes after its objects, however it is deleted.
    let hold = if kind.plural == CRD { Some(crd::CLEANUP) } else { hold };
    let key = key(kind, target.namespace.as_deref(), name);
    let mut held: Vec<&str> = finalizers(&object);
    held.extend(hold.filter(|hold| !held.contains(hold)));
    if !held.is_empty() || has_spec_finalizers(kind, &object) {
        let held = json!(held);
        if object["metadata"]["deletionTimestamp"].is_null() {
            mark(kind, &mut object, held, &store.timestamp());
            if !asked.is_dry {
                object = shown_as(kind, store.put(key, stored_as(kind, object)));
            }
        }
        return Ok(object);
    }
    let uid = object["metadata"]["uid"].clone();
    if !asked.is_dry {
        remove(store, kind, &key);
    }
    let mut details = json!({"name": name, "kind": kind.plural, "uid": uid});
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}))
}

fn mark(kind: &Kind, object: &mut Value, held: Value, time: &str) {
    let metadata = &mut object["metadata"];
    metadata["deletionTimestamp"] = json!(time);
    if held.as_array().is_some_and(|held| !held.is_empty()) {
        metadata["finalizers"] = held;
    }
    if kind.plural == "namespaces" {
        object["status"]["phase"] = json!("Terminating");
        return;
    }
    if kind.plural == CRD {
        crd::terminate(object, time);
        return;
    }
    metadata["deletionGracePeriodSeconds"] = json!(0);
    if let Some(generation) = metadata["generation"].as_i64() {
        metadata["generation"] = json!(generation + 1);
    }
}

/// Removes an object; with a CRD, its kind.
pub(super) fn remove(store: &mut Store, kind: &Kind, key: &Key) {
    let Some(object) = store.remove(key) else { return };
    if kind.plural == CRD {
        let (group, plural) = (text(&object["spec"]["group"]), text(&object["spec"]["names"]["plural"]));
        store.kinds_mut().forget(group, plural);
    }
}

pub(super) fn delete_all(store: &mut Store, target: &Target, call: &Call<'_>) -> Result<Value, Refusal> {
    let kind = &target.kind;
    let asked = options::of_deletion(call.request)?;
    let selector = Selector::parse(kind, call.request.param("labelSelector"), call.request.param("fieldSelector"))?;
    let place = place(kind);
    let selected = store.list(&place, target.namespace.as_deref()).filter(|(_, object)| selector.matches(object));
    let keys: Vec<Key> = selected.map(|(key, _)| key.clone()).collect();
    let mut items = vec![];
    for (_, namespace, name) in keys {
        let namespace = (!namespace.is_empty()).then_some(namespace);
        let one = Target { namespace, name: Some(name), ..target.clone() };
        items.push(read::get(store, &one)?);
        delete_one(store, &one, &asked)?;
    }
    Ok(read::list_of(kind, items, json!({"resourceVersion": store.version().to_string()})))
}

/// One round of what the garbage collector and the namespace controller do; whether there was something to do.
pub(super) fn collect(store: &mut Store) -> bool {
    let doomed = store.everything().find_map(|(kind, key, object)| {
        let fate = fate(store, &kind, key, object)?;
        Some((kind, key.clone(), object.clone(), fate))
    });
    let Some((kind, key, mut object, fate)) = doomed else { return false };
    match fate {
        Fate::Delete if finalizers(&object).is_empty() => remove(store, &kind, &key),
        Fate::Delete => {
            let held = json!(finalizers(&object));
            mark(&kind, &mut object, held, &store.timestamp());
            store.put(key, object);
        }
        Fate::Release(finalizer) => {
            if let Some(list) = object["metadata"]["finalizers"].as_array_mut() {
                list.retain(|f| f != finalizer);
            }
            if finalizer == ORPHAN {
                orphan(store, &object);
            }
            match is_due(&kind, &object) {
                true => remove(store, &kind, &key),
                false => drop(store.put(key, object)),
            }
        }
        Fate::Empty => remove(store, &kind, &key),
    }
    true
}

/// What is to happen to an object.
enum Fate {
    /// Its owner is gone, or its namespace or its kind ends.
    Delete,
    /// A finalizer of the collector has done its work.
    Release(&'static str),
    /// A namespace with nothing left in it.
    Empty,
}

fn fate(store: &Store, kind: &Kind, key: &Key, object: &Value) -> Option<Fate> {
    let deleted = !object["metadata"]["deletionTimestamp"].is_null();
    let uid = text(&object["metadata"]["uid"]);
    if deleted && finalizers(object).contains(&ORPHAN) {
        return Some(Fate::Release(ORPHAN));
    }
    if deleted && finalizers(object).contains(&FOREGROUND) {
        let blocks = |owner: &Value| text(&owner["uid"]) == uid && owner["blockOwnerDeletion"] == true;
        let blocked = store.everything().any(|(_, _, o)| owners(o).any(blocks));
        return (!blocked).then_some(Fate::Release(FOREGROUND));
    }
    if deleted && finalizers(object).contains(&crd::CLEANUP) {
        let of_kind = format!("{}/{}", text(&object["spec"]["group"]), text(&object["spec"]["names"]["plural"]));
        return store.list(&of_kind, None).next().is_none().then_some(Fate::Release(crd::CLEANUP));
    }
    if deleted && kind.plural == "namespaces" {
        let empty = !store.everything().any(|(_, k, _)| k.1 == key.2);
        return empty.then_some(Fate::Empty);
    }
    let ends = (!key.1.is_empty() && store.is_terminating(&key.1)) || crd::is_terminating(store, kind);
    (!deleted && (ends || is_abandoned(store, object))).then_some(Fate::Delete)
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten()
}

/// All owners of an object are gone, or one of them waits in the foreground for its dependents.
fn is_abandoned(store: &Store, object: &Value) -> bool {
    let mut all = owners(object).peekable();
    if all.peek().is_none() {
        return false;
    }
    let found: Vec<&Value> = all
        .filter_map(|owner| {
            let uid = text(&owner["uid"]).to_string();
            store.everything().map(|(_, _, o)| o).find(|o| text(&o["metadata"]["uid"]) == uid)
        })
        .collect();
    let leaving = |o: &&Value| !o["metadata"]["deletionTimestamp"].is_null() && finalizers(o).contains(&FOREGROUND);
    found.is_empty() || found.iter().all(leaving)
}

/// Takes an owner out of what it owns.
fn orphan(store: &mut Store, owner: &Value) {
    let uid = text(&owner["metadata"]["uid"]).to_string();
    let owned: Vec<(Key, Value)> = store
        .everything()
        .filter(|(_, _, o)| owners(o).any(|owner| text(&owner["uid"]) == uid))
        .map(|(_, key, o)| (key.clone(), o.clone()))
        .collect();
    for (key, mut object) in owned {
        if let Some(list) = object["metadata"]["ownerReferences"].as_array_mut() {
            list.retain(|owner| text(&owner["uid"]) != uid);
        }
        if object["metadata"]["ownerReferences"].as_array().is_some_and(Vec::is_empty) {
            unset(&mut object["metadata"], "ownerReferences");
        }
        store.put(key, object);
    }
}
