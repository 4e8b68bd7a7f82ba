//! Events: stored as core/v1 has them, shown as either API has them.

use serde_json::Value;

use super::kinds::Kind;

/// core/v1 and events.k8s.io/v1 names of the same fields.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn rename(object: &mut Value, names: impl Iterator<Item = (&'static str, &'static str)>) {
    let Some(fields) = object.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_string(), value);
        }
    }
}

/// An object as its kind shows it.
pub(super) fn shown_as(kind: &Kind, mut object: Value) -> Value {
    if kind.group == "events.k8s.io" {
        rename(&mut object, NAMES.into_iter());
        object["apiVersion"] = "events.k8s.io/v1".into();
    }
    object
}

/// An object as it is stored.
pub(super) fn stored_as(kind: &Kind, mut object: Value) -> Value {
    if kind.group == "events.k8s.io" {
        rename(&mut object, NAMES.into_iter().map(|(core, new)| (new, core)));
        object["apiVersion"] = "v1".into();
    }
    object
}
