//! The fields of metadata: their types and meaning, and the schema that follows from them.

use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// What a field of metadata is in Go.
#[derive(Clone, Copy)]
pub(super) enum Type {
    Text,
    Uid,
    Number,
    Switch,
    Time,
    Texts,
    /// A list that holds each text once.
    Set,
    Owners,
    Managers,
    /// The fields of a manager: any object.
    Fields,
}

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) type_: Type,
    meaning: &'static str,
}

const fn field(name: &'static str, type_: Type, meaning: &'static str) -> Field {
    Field { name, type_, meaning }
}

pub(super) const OBJECT: &[Field] = &[
    field("annotations", Type::Texts, "Unstructured key value map for tools to store and retrieve arbitrary metadata."),
    field("creationTimestamp", Type::Time, "When the object was created. Set by the server."),
    field("deletionGracePeriodSeconds", Type::Number, "Seconds that the object may take to end. Set by the server."),
    field(
        "deletionTimestamp",
        Type::Time,
        "When the object is to be gone, once it is being deleted. Set by the server.",
    ),
    field("finalizers", Type::Set, "What must be done before the object goes; each entry is taken out by who did it."),
    field("generateName", Type::Text, "Prefix of a name that the server makes, when none is given."),
    field("generation", Type::Number, "Number of the state that is wanted. Set by the server."),
    field("labels", Type::Texts, "Map of keys and values to organize and select objects."),
    field("managedFields", Type::Managers, "Which manager set which fields. Set by the server."),
    field("name", Type::Text, "Unique within a namespace. Cannot be changed."),
    field("namespace", Type::Text, "Where the name is unique. Cannot be changed."),
    field("ownerReferences", Type::Owners, "Objects that this one depends on: it goes when all of them are gone."),
    field("resourceVersion", Type::Text, "Version of the object, to notice that it changed. Set by the server."),
    field("selfLink", Type::Text, "No longer set."),
    field("uid", Type::Uid, "Unique in time and space. Set by the server."),
];

pub(super) const OWNER: &[Field] = &[
    field("apiVersion", Type::Text, "API version of the owner."),
    field(
        "blockOwnerDeletion",
        Type::Switch,
        "Whether the owner can't go in the foreground before this object is gone.",
    ),
    field("controller", Type::Switch, "Whether the owner manages this object."),
    field("kind", Type::Text, "Kind of the owner."),
    field("name", Type::Text, "Name of the owner."),
    field("uid", Type::Uid, "UID of the owner."),
];

pub(super) const MANAGER: &[Field] = &[
    field("apiVersion", Type::Text, "API version that the fields are named by."),
    field("fieldsType", Type::Text, "How the fields are written: FieldsV1."),
    field("fieldsV1", Type::Fields, "The fields."),
    field("manager", Type::Text, "Who set them."),
    field("operation", Type::Text, "How: Apply or Update."),
    field("subresource", Type::Text, "Through which subresource, if any."),
    field("time", Type::Time, "When the manager last changed them."),
];

fn schema_of(type_: Type) -> Value {
    match type_ {
        Type::Text | Type::Uid => json!({"type": "string"}),
        Type::Number => json!({"type": "integer", "format": "int64"}),
        Type::Switch => json!({"type": "boolean"}),
        Type::Time => json!({"type": "string", "format": "date-time"}),
        Type::Texts => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Type::Set => json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
        Type::Owners => json!({
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"],
            "items": {"type": "object", "properties": properties(OWNER)},
        }),
        Type::Managers => json!({
            "type": "array", "x-kubernetes-list-type": "atomic",
            "items": {"type": "object", "properties": properties(MANAGER)},
        }),
        Type::Fields => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    }
}

fn properties(fields: &[Field]) -> Map<String, Value> {
    let property = |field: &Field| {
        let mut schema = schema_of(field.type_);
        schema["description"] = json!(field.meaning);
        (field.name.to_string(), schema)
    };
    fields.iter().map(property).collect()
}

/// The schema of metadata: for `kubectl explain`, for merging, and for what is unknown.
pub(in super::super) static METADATA: LazyLock<Value> = LazyLock::new(
    || json!({"type": "object", "description": "Metadata that all objects have.", "properties": properties(OBJECT)}),
);
