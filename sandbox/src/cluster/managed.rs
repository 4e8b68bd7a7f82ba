//! Managed fields: who last set which field, and server-side apply.

mod check;
mod fields;
mod typed;

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::refusal::Refusal;
use fields::Fields;
use typed::Changes;

/// Who writes, and where.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) manager: String,
    pub(super) subresource: Option<&'static str>,
    /// Now, as objects carry it.
    pub(super) time: String,
    /// Whether an apply takes fields that others own.
    pub(super) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Apply,
    Update,
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    operation: Operation,
    /// Empty, when it never changed the object.
    time: String,
    manager: String,
    subresource: String,
    api_version: String,
    fields: Fields,
}

/// Metadata that nobody owns.
const OWNED_BY_NOBODY: [&str; 9] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "generation",
    "managedFields",
    "resourceVersion",
    "deletionGracePeriodSeconds",
];

fn entries(object: Option<&Value>) -> Vec<Entry> {
    let all = object.and_then(|object| object["metadata"].as_object()).map_or(&[][..], managers);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    all.iter()
        .map(|entry| Entry {
            operation: if entry["operation"] == "Apply" { Operation::Apply } else { Operation::Update },
            time: text(&entry["time"]),
            manager: text(&entry["manager"]),
            subresource: text(&entry["subresource"]),
            api_version: text(&entry["apiVersion"]),
            fields: Fields::from_v1(&entry["fieldsV1"]),
        })
        .collect()
}

fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| {
        let key = |e: &Entry| (e.operation, e.time.clone(), e.manager.clone(), e.subresource.clone());
        key(a).cmp(&key(b))
    });
    let all: Vec<Value> = entries.iter().map(Entry::to_json).collect();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if !all.is_empty() {
            metadata.insert("managedFields".into(), Value::Array(all));
        }
    }
}

/// Whether two objects differ in nothing but the times at which their managers wrote.
pub(super) fn same_but_times(a: &Value, b: &Value) -> bool {
    let same_fields = |a: &Map<String, Value>, b: &Map<String, Value>, except: &str| {
        let fields = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key(except));
        fields(a) == fields(b) && a.iter().all(|(name, value)| name == except || b.get(name) == Some(value))
    };
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return a == b };
    let (Some(Value::Object(of_a)), Some(Value::Object(of_b))) = (a.get("metadata"), b.get("metadata")) else {
        return a == b;
    };
    let (of_managers_a, of_managers_b) = (managers(of_a), managers(of_b));
    let same_entry = |a: &Value, b: &Value| match (a, b) {
        (Value::Object(a), Value::Object(b)) => same_fields(a, b, "time"),
        _ => a == b,
    };
    same_fields(a, b, "metadata")
        && same_fields(of_a, of_b, "managedFields")
        && of_managers_a.len() == of_managers_b.len()
        && of_managers_a.iter().zip(of_managers_b).all(|(a, b)| same_entry(a, b))
}

fn managers(metadata: &Map<String, Value>) -> &[Value] {
    metadata.get("managedFields").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl Entry {
    fn to_json(&self) -> Value {
        let operation = if self.operation == Operation::Apply { "Apply" } else { "Update" };
        let mut entry = json!({
            "manager": self.manager, "operation": operation, "apiVersion": self.api_version,
            "fieldsType": "FieldsV1", "fieldsV1": self.fields.to_v1(),
        });
        if !self.time.is_empty() {
            entry["time"] = json!(self.time);
        }
        if !self.subresource.is_empty() {
            entry["subresource"] = json!(self.subresource);
        }
        entry
    }

    fn is_of(&self, writer: &Writer, operation: Operation) -> bool {
        self.operation == operation
            && self.manager == writer.manager
            && self.subresource == writer.subresource.unwrap_or_default()
    }

    /// As conflicts name it.
    fn in_words(&self) -> String {
        let mut words = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            words = format!("{words} with subresource {:?}", self.subresource);
        }
        match self.operation {
            Operation::Apply => words,
            Operation::Update => format!("{words} using {}", self.api_version),
        }
    }
}

/// What of a set this writer can own.
fn ownable(kind: &Kind, writer: &Writer, fields: Fields) -> Fields {
    let mut fields = match (writer.subresource, kind.has_status) {
        (Some("status"), _) => fields.below(|top| top == "status"),
        (_, true) => fields.below(|top| !matches!(top, "status" | "apiVersion" | "kind")),
        (_, false) => fields.below(|top| !matches!(top, "apiVersion" | "kind")),
    };
    let metadata = fields.under.remove("f:metadata").unwrap_or_default();
    fields.put("f:metadata".into(), metadata.below(|name| !OWNED_BY_NOBODY.contains(&name)));
    fields
}

/// Takes from everyone what the changes took; the fields of others that the changes touch.
fn settle(entries: &mut [Entry], changes: &Changes, is_own: impl Fn(&Entry) -> bool) -> Vec<(Entry, Fields)> {
    let touched = changes.modified.union(&changes.added);
    let mut conflicts = vec![];
    for entry in entries.iter_mut().filter(|entry| !is_own(entry)) {
        let lost = entry.fields.both(&touched);
        if !lost.is_empty() {
            conflicts.push((entry.clone(), lost.clone()));
        }
        entry.fields = entry.fields.minus(&lost).minus(&changes.removed);
    }
    conflicts
}

fn changes(kind: &Kind, writer: &Writer, before: Option<&Value>, object: &Value) -> Changes {
    // A new object of a built-in kind starts from the kind's empty structs, a custom one from nothing.
    let start = if kind.schema.is_some() { json!({"metadata": {}}) } else { kind.empty.clone() };
    typed::compare(&kind.merging, Some(before.unwrap_or(&start)), Some(object))
        .map(|fields| ownable(kind, writer, fields))
}

/// Notes in a written object who owns what now.
pub(super) fn note(kind: &Kind, writer: &Writer, before: Option<&Value>, object: &mut Value) {
    let mut entries = entries(before);
    let changes = changes(kind, writer, before, object);
    let own = |entry: &Entry| entry.is_of(writer, Operation::Update);
    settle(&mut entries, &changes, own);
    let took = changes.modified.union(&changes.added);
    if !entries.iter().any(own) {
        entries.push(Entry::new(kind, writer, Operation::Update));
    }
    for entry in entries.iter_mut().filter(|entry| own(entry)) {
        entry.fields = entry.fields.minus(&changes.removed).union(&took);
        if !took.is_empty() {
            entry.time.clone_from(&writer.time);
        }
    }
    write(object, entries);
}

impl Entry {
    fn new(kind: &Kind, writer: &Writer, operation: Operation) -> Self {
        Self {
            operation,
            time: writer.time.clone(),
            manager: writer.manager.clone(),
            subresource: writer.subresource.unwrap_or_default().into(),
            api_version: kind.api_version(),
            fields: Fields::default(),
        }
    }
}

/// Server-side apply: a live object with a configuration laid over it, without what the manager no longer names and
/// nobody else owns.
pub(super) fn apply(kind: &Kind, writer: &Writer, live: Option<&Value>, config: &Value) -> Result<Value, Refusal> {
    let schema = &kind.merging;
    if let Some(why) = check::check(schema, config) {
        return Err(untyped(kind, config, &why));
    }
    let named = ownable(kind, writer, typed::named(schema, config));
    let mut entries = entries(live);
    let own = |entry: &Entry| entry.is_of(writer, Operation::Apply);
    let last = entries.iter().find(|e| own(e)).map(|e| e.fields.clone()).unwrap_or_default();
    let time = entries.iter().find(|e| own(e)).map(|e| e.time.clone()).unwrap_or_default();
    entries.retain(|entry| !own(entry));
    entries.push(Entry { fields: named, time, ..Entry::new(kind, writer, Operation::Apply) });

    let empty = Value::Object(Map::new());
    let before = live.cloned().unwrap_or(empty);
    let merged = typed::merge(schema, &before, config);
    let kept = entries.iter().fold(Fields::default(), |all, entry| all.union(&entry.fields));
    let mut gone = typed::with_parents(schema, &last).minus(&typed::with_parents(schema, &kept));
    // An object always has metadata.
    if let Some(metadata) = gone.under.get_mut("f:metadata") {
        metadata.here = false;
    }
    let mut object = typed::remove(schema, &merged, &gone);

    let changes = typed::compare(schema, Some(&before), Some(&object)).map(|f| ownable(kind, writer, f));
    let conflicts = settle(&mut entries, &changes, own);
    if !writer.force && !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    // Who only comes to own what is there already has no time.
    let without_owners = |object: &Value| {
        let mut object = object.clone();
        write(&mut object, vec![]);
        object
    };
    if live.map(without_owners) != Some(without_owners(&object)) {
        for entry in entries.iter_mut().filter(|entry| own(entry)) {
            entry.time.clone_from(&writer.time);
        }
    }
    write(&mut object, entries);
    Ok(object)
}

fn untyped(kind: &Kind, config: &Value, why: &str) -> Refusal {
    let text = |field: &str| config["metadata"][field].as_str().unwrap_or_default();
    Refusal::internal(format!(
        "failed to create typed patch object ({}/{}; {}, Kind={}): {why}",
        text("namespace"),
        text("name"),
        kind.api_version(),
        kind.kind
    ))
}

fn conflict(conflicts: &[(Entry, Fields)]) -> Refusal {
    let mut conflicts: Vec<(String, Vec<String>)> =
        conflicts.iter().map(|(entry, fields)| (entry.in_words(), fields.paths())).collect();
    conflicts.sort();
    let each: Vec<(String, String)> = conflicts
        .iter()
        .flat_map(|(who, paths)| paths.iter().map(move |path| (format!("conflict with {who}"), path.clone())))
        .collect();
    let message = match each.as_slice() {
        [(who, path)] => format!("Apply failed with 1 conflict: {who}: {path}"),
        each => {
            let all: Vec<String> = conflicts
                .iter()
                .map(|(who, paths)| format!("conflicts with {who}:\n- {}", paths.join("\n- ")))
                .collect();
            format!("Apply failed with {} conflicts: {}", each.len(), all.join("\n"))
        }
    };
    Refusal::apply_conflict(message, &each)
}
