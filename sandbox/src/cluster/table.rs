//! Tables, as `kubectl get` asks for them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kinds::{Column, Kind};
use crate::exchange::Request;

/// How a client would like objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Table,
    /// Only the metadata.
    Partial,
}

impl Form {
    pub(super) fn wanted(accept: &str) -> Self {
        let first = accept.split(',').next().unwrap_or_default();
        match first {
            _ if first.contains("as=Table") => Self::Table,
            _ if first.contains("as=PartialObjectMetadata") => Self::Partial,
            _ => Self::Whole,
        }
    }
}

/// An object in the form that the client would like.
pub(super) fn shown(kind: &Kind, object: Value, request: &Request, now: Timestamp) -> Value {
    match Form::wanted(&request.accept) {
        Form::Whole => object,
        Form::Partial => partial(&object),
        Form::Table => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            of(kind, &[object], metadata, request, now)
        }
    }
}

/// The metadata of an object.
pub(super) fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

struct Header<'a> {
    name: &'a str,
    type_: &'a str,
    format: &'a str,
    description: &'a str,
    priority: i64,
}

/// A built-in kind's column: name, priority, and how a cell comes about.
type BuiltIn = (&'static str, i64, fn(&Value, Timestamp) -> Value);

fn at(object: &Value, pointer: &str) -> Value {
    object.pointer(pointer).cloned().unwrap_or(Value::Null)
}

fn created(object: &Value, now: Timestamp) -> Value {
    age(&at(object, "/metadata/creationTimestamp"), now)
}

fn entries(object: &Value, _: Timestamp) -> Value {
    json!(object["data"].as_object().map_or(0, serde_json::Map::len))
}

const NAME: BuiltIn = ("Name", 0, |o, _| o["metadata"]["name"].clone());
const AGE: BuiltIn = ("Age", 0, created);

fn built_in(kind: &Kind) -> Vec<BuiltIn> {
    match kind.plural.as_str() {
        "namespaces" => vec![NAME, ("Status", 0, |o, _| at(o, "/status/phase")), AGE],
        "secrets" => vec![NAME, ("Type", 0, |o, _| at(o, "/type")), ("Data", 0, entries), AGE],
        "configmaps" => vec![NAME, ("Data", 0, entries), AGE],
        "leases" => vec![NAME, ("Holder", 0, |o, _| at(o, "/spec/holderIdentity")), AGE],
        "customresourcedefinitions" => vec![NAME, ("Created At", 0, |o, _| at(o, "/metadata/creationTimestamp"))],
        "events" => vec![
            ("Last Seen", 0, |o, now| age(&last_seen(o), now)),
            ("Type", 0, |o, _| at(o, "/type")),
            ("Reason", 0, |o, _| at(o, "/reason")),
            ("Object", 0, |o, _| {
                let text = |key: &str| about(o)[key].as_str().unwrap_or_default();
                json!(format!("{}/{}", text("kind").to_lowercase(), text("name")))
            }),
            ("Subobject", 1, |o, _| json!(about(o)["fieldPath"].as_str().unwrap_or_default())),
            ("Source", 1, |o, _| json!(source(o))),
            ("Message", 0, |o, _| first_of(o, &["/message", "/note"])),
            ("First Seen", 1, |o, now| {
                let times = ["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"];
                age(&first_of(o, &times), now)
            }),
            ("Count", 1, |o, _| match first_of(o, &["/series/count", "/count", "/deprecatedCount"]) {
                Value::Null => json!(1),
                count => count,
            }),
            ("Name", 1, NAME.2),
        ],
        _ => vec![NAME, AGE],
    }
}

fn first_of(object: &Value, pointers: &[&str]) -> Value {
    pointers.iter().map(|p| at(object, p)).find(|v| !v.is_null()).unwrap_or(Value::Null)
}

/// What an event is about, in the words of either event API.
fn about(event: &Value) -> &Value {
    if event["regarding"].is_null() { &event["involvedObject"] } else { &event["regarding"] }
}

fn source(event: &Value) -> String {
    let of = |pointers: &[&str]| first_of(event, pointers).as_str().unwrap_or_default().to_string();
    let component =
        of(&["/source/component", "/deprecatedSource/component", "/reportingComponent", "/reportingController"]);
    let instance = of(&["/source/host", "/deprecatedSource/host", "/reportingInstance"]);
    if instance.is_empty() { component } else { format!("{component}, {instance}") }
}

fn last_seen(event: &Value) -> Value {
    first_of(event, &["/series/lastObservedTime", "/lastTimestamp", "/deprecatedLastTimestamp", "/eventTime"])
}

/// A table of objects.
pub(super) fn of(kind: &Kind, items: &[Value], metadata: Value, request: &Request, now: Timestamp) -> Value {
    let own: Vec<BuiltIn> = match (kind.is_custom(), kind.columns.is_empty()) {
        (false, _) => built_in(kind),
        (true, true) => vec![NAME, AGE],
        (true, false) => vec![NAME],
    };
    let format = |name: &str| if name == "Name" { "name" } else { "" };
    let built_in = own.iter().map(|(name, priority, _)| Header {
        name,
        type_: if kind.is_custom() && *name == "Age" { "date" } else { "string" },
        format: format(name),
        description: "",
        priority: *priority,
    });
    let custom = kind.columns.iter().map(|c| Header {
        name: &c.name,
        type_: &c.type_,
        format: "",
        description: &c.description,
        priority: c.priority,
    });
    let definitions: Vec<Value> = built_in
        .chain(custom)
        .map(|h| {
            json!({
                "name": h.name, "type": h.type_, "format": h.format, "description": h.description,
                "priority": h.priority,
            })
        })
        .collect();
    let rows: Vec<Value> = items.iter().map(|item| row(kind, &own, item, request, now)).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

fn row(kind: &Kind, own: &[BuiltIn], object: &Value, request: &Request, now: Timestamp) -> Value {
    let mut cells: Vec<Value> = own.iter().map(|(_, _, cell)| cell(object, now)).collect();
    cells.extend(kind.columns.iter().map(|column| cell(column, object, now)));
    let object = match request.param("includeObject") {
        Some("Object") => object.clone(),
        Some("None") => Value::Null,
        _ => partial(object),
    };
    json!({"cells": cells, "object": object})
}

fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let found = column.path.query(object);
    let Some(first) = found.first() else { return Value::Null };
    match column.type_.as_str() {
        "date" => age(first, now),
        "string" => match first {
            Value::String(_) | Value::Null => first.clone(),
            other => json!(other.to_string()),
        },
        _ => first.clone(),
    }
}

/// How long ago, as kubectl says it: `5s`, `3m20s`, `4h5m`, `9d`.
fn age(time: &Value, now: Timestamp) -> Value {
    let Some(then) = time.as_str().and_then(|t| t.parse::<Timestamp>().ok()) else { return json!("<unknown>") };
    let seconds = now.duration_since(then).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |large: i64, unit: &str, rest: i64, small: &str| match rest {
        0 => format!("{large}{unit}"),
        rest => format!("{large}{unit}{rest}{small}"),
    };
    json!(match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10800 => format!("{minutes}m"),
        10800..28800 => pair(hours, "h", minutes % 60, "m"),
        28800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        _ => format!("{days}d"),
    })
}
