//! The schema of metadata, for `kubectl explain`.

use serde_json::{Map, Value, json};

/// Name, type and meaning of its fields; `[]` marks a list and `{}` a map of strings.
const FIELDS: [(&str, &str, &str); 15] = [
    ("annotations", "{}", "Unstructured key value map for tools to store and retrieve arbitrary metadata."),
    ("creationTimestamp", "time", "When the object was created. Set by the server."),
    ("deletionGracePeriodSeconds", "integer", "Seconds that the object may take to end. Set by the server."),
    ("deletionTimestamp", "time", "When the object is to be gone, once it is being deleted. Set by the server."),
    ("finalizers", "[]", "What must be done before the object goes; each entry is taken out by who did it."),
    ("generateName", "string", "Prefix of a name that the server makes, when none is given."),
    ("generation", "integer", "Number of the state that is wanted. Set by the server."),
    ("labels", "{}", "Map of keys and values to organize and select objects."),
    ("managedFields", "objects", "Which manager set which fields. Set by the server."),
    ("name", "string", "Unique within a namespace. Cannot be changed."),
    ("namespace", "string", "Where the name is unique. Cannot be changed."),
    ("ownerReferences", "owners", "Objects that this one depends on: it goes when all of them are gone."),
    ("resourceVersion", "string", "Version of the object, to notice that it changed. Set by the server."),
    ("selfLink", "string", "No longer set."),
    ("uid", "string", "Unique in time and space. Set by the server."),
];

const OWNER: [(&str, &str, &str); 6] = [
    ("apiVersion", "string", "API version of the owner."),
    ("blockOwnerDeletion", "boolean", "Whether the owner can't go in the foreground before this object is gone."),
    ("controller", "boolean", "Whether the owner manages this object."),
    ("kind", "string", "Kind of the owner."),
    ("name", "string", "Name of the owner."),
    ("uid", "string", "UID of the owner."),
];

fn property(type_: &str, description: &str) -> Value {
    let text = json!({"type": "string"});
    let mut schema = match type_ {
        "{}" => json!({"type": "object", "additionalProperties": text}),
        "[]" => json!({"type": "array", "items": text}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "integer" => json!({"type": "integer", "format": "int64"}),
        "objects" => json!({"type": "array", "items": {"type": "object"}}),
        "owners" => json!({"type": "array", "items": {"type": "object", "properties": properties(&OWNER)}}),
        other => json!({"type": other}),
    };
    schema["description"] = json!(description);
    schema
}

fn properties(fields: &[(&str, &str, &str)]) -> Map<String, Value> {
    fields.iter().map(|(name, type_, description)| ((*name).to_string(), property(type_, description))).collect()
}

pub(super) fn schema() -> Value {
    json!({
        "type": "object", "description": "Metadata that all objects have.", "properties": properties(&FIELDS),
    })
}
