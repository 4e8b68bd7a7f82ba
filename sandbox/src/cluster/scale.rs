//! The scale subresource.

use http::Method;
use serde_json::{Value, json};

use super::call::Call;
use super::refusal::Refusal;
use super::route::Target;
use super::store::Store;
use super::{managed, options, patch, read, write};

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

fn view(target: &Target, object: &Value) -> Value {
    let at = |path: &str| object.pointer(&pointer(path)).and_then(Value::as_i64).unwrap_or(0);
    let scale = target.kind.scale.as_ref();
    let metadata = &object["metadata"];
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": scale.map_or(0, |s| at(&s.spec))},
        "status": {"replicas": scale.map_or(0, |s| at(&s.status))},
    })
}

/// Reads or writes the scale of an object.
pub(super) fn answer(store: &mut Store, target: &Target, call: &Call<'_>) -> Result<Value, Refusal> {
    let before = read::get(store, target)?;
    let now = view(target, &before);
    if call.request.method != Method::GET {
        options::check_write(call.request)?;
    }
    let asked = match call.request.method {
        Method::GET => return Ok(now),
        Method::PUT => super::body::object(call.request, &target.kind)?.value,
        Method::PATCH => patch::read(&target.kind, call.request)?.0.on(&target.kind, &now)?,
        _ => return Err(Refusal::method_not_allowed()),
    };
    let mut object = before.clone();
    object["metadata"]["resourceVersion"] = asked["metadata"]["resourceVersion"].clone();
    let Some(scale) = &target.kind.scale else { return Err(Refusal::no_such_resource()) };
    let replicas = asked["spec"]["replicas"].clone();
    match object.pointer_mut(&pointer(&scale.spec)) {
        Some(place) => *place = replicas,
        None => {
            let (parent, name) = scale.spec.rsplit_once('.').unwrap_or(("spec", "replicas"));
            if let Some(parent) = object.pointer_mut(&pointer(parent)) {
                parent[name] = replicas;
            }
        }
    }
    let writer = call.writer(store, target);
    let object = write::update(store, target, call, before, object, |kind, before, object| {
        managed::note(kind, &writer, Some(before), object);
    })?;
    Ok(view(target, &object))
}
