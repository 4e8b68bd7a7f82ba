//! Tables, as `kubectl get` asks for them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::events::shown_as;
use super::kinds::{Column, Kind};
use crate::exchange::Request;

/// Whether the client prefers a table.
pub(super) fn wanted(accept: &str) -> bool {
    accept.split(',').next().is_some_and(|first| first.contains("as=Table"))
}

struct Header<'a> {
    name: &'a str,
    type_: &'a str,
    priority: i64,
}

/// A built-in kind's columns besides its name: name, type, and how a cell comes about.
type BuiltIn = (&'static str, &'static str, fn(&Value, Timestamp) -> Value);

fn at(object: &Value, pointer: &str) -> Value {
    object.pointer(pointer).cloned().unwrap_or(Value::Null)
}

fn created(object: &Value, now: Timestamp) -> Value {
    age(&at(object, "/metadata/creationTimestamp"), now)
}

const AGE: BuiltIn = ("Age", "string", created);

fn built_in(kind: &Kind) -> Vec<BuiltIn> {
    match kind.plural.as_str() {
        "namespaces" => vec![("Status", "string", |o, _| at(o, "/status/phase")), AGE],
        "secrets" => vec![
            ("Type", "string", |o, _| at(o, "/type")),
            ("Data", "string", |o, _| json!(o["data"].as_object().map_or(0, serde_json::Map::len))),
            AGE,
        ],
        "configmaps" => {
            vec![("Data", "string", |o, _| json!(o["data"].as_object().map_or(0, serde_json::Map::len))), AGE]
        }
        "leases" => vec![("Holder", "string", |o, _| at(o, "/spec/holderIdentity")), AGE],
        "customresourcedefinitions" => vec![("Created At", "date", |o, _| at(o, "/metadata/creationTimestamp"))],
        "events" => vec![
            ("Last Seen", "string", |o, now| age(&last_seen(o), now)),
            ("Type", "string", |o, _| at(o, "/type")),
            ("Reason", "string", |o, _| at(o, "/reason")),
            ("Object", "string", |o, _| {
                let about = &o["involvedObject"];
                let text = |key: &str| about[key].as_str().unwrap_or_default().to_lowercase();
                json!(format!("{}/{}", text("kind"), text("name")))
            }),
            ("Message", "string", |o, _| at(o, "/message")),
        ],
        _ => vec![AGE],
    }
}

fn last_seen(event: &Value) -> Value {
    let candidates = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    candidates.iter().map(|p| at(event, p)).find(|v| !v.is_null()).unwrap_or(Value::Null)
}

/// A table of objects.
pub(super) fn of(kind: &Kind, items: &[Value], metadata: Value, request: &Request, now: Timestamp) -> Value {
    let own: Vec<BuiltIn> = if kind.schema.is_none() { built_in(kind) } else { vec![] };
    let mut headers = vec![Header { name: "Name", type_: "string", priority: 0 }];
    headers.extend(own.iter().map(|(name, type_, _)| Header { name, type_, priority: 0 }));
    headers.extend(kind.columns.iter().map(|c| Header { name: &c.name, type_: &c.type_, priority: c.priority }));
    if kind.schema.is_some() && kind.columns.is_empty() {
        headers.push(Header { name: "Age", type_: "date", priority: 0 });
    }
    let rows: Vec<Value> = items.iter().map(|item| row(kind, &own, item, request, now)).collect();
    let definitions: Vec<Value> = headers
        .iter()
        .map(|h| {
            let format = if h.name == "Name" { "name" } else { "" };
            json!({"name": h.name, "type": h.type_, "format": format, "description": "", "priority": h.priority})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

/// A table of one object.
pub(super) fn of_one(kind: &Kind, object: &Value, request: &Request, now: Timestamp) -> Value {
    let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    of(kind, std::slice::from_ref(object), metadata, request, now)
}

fn row(kind: &Kind, own: &[BuiltIn], object: &Value, request: &Request, now: Timestamp) -> Value {
    let mut cells = vec![object["metadata"]["name"].clone()];
    cells.extend(own.iter().map(|(_, _, cell)| cell(object, now)));
    cells.extend(kind.columns.iter().map(|column| cell(column, object, now)));
    if kind.schema.is_some() && kind.columns.is_empty() {
        cells.push(created(object, now));
    }
    let object = match request.param("includeObject") {
        Some("Object") => shown_as(kind, object.clone()),
        Some("None") => Value::Null,
        _ => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        }),
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
