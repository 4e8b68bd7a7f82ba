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

/// Puts a value at a path, and makes the objects on the way; the error is Go's.
fn put(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let mut place = object;
    let mut above = String::new();
    for name in path.split('.').filter(|name| !name.is_empty()) {
        if place.is_null() {
            *place = json!({});
        }
        let Some(fields) = place.as_object_mut() else {
            return Err(format!("value cannot be set because {above} is not a map[string]interface {{}}"));
        };
        place = fields.entry(name).or_insert(Value::Null);
        above = format!("{above}.{name}");
    }
    *place = value;
    Ok(())
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
    put(&mut object, &scale.spec, replicas).map_err(Refusal::internal)?;
    let writer = call.writer(store, target);
    let object = write::update(store, target, call, before, object, |kind, before, object| {
        managed::note(kind, &writer, Some(before), object);
    })?;
    Ok(view(target, &object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_put_where_there_was_nothing_and_refused_where_something_else_is() {
        let mut object = json!({"kind": "Pool"});
        assert_eq!(put(&mut object, ".spec.size.replicas", json!(3)), Ok(()));
        assert_eq!(object["spec"]["size"]["replicas"], 3);
        let why = "value cannot be set because .spec is not a map[string]interface {}";
        assert_eq!(put(&mut json!({"spec": "x"}), ".spec.replicas", json!(3)), Err(why.into()));
    }
}
