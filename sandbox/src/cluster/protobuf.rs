//! Bodies in Kubernetes' protobuf encoding, which kubectl sends when it creates built-in objects. The numbers are those
//! of the published `generated.proto` files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What an encoded object begins with.
const MAGIC: &[u8] = b"k8s\0";

/// How a field is encoded.
#[derive(Clone, Copy)]
enum Type {
    Text,
    /// In JSON as base 64.
    Bytes,
    Int,
    Bool,
    /// Seconds and nanoseconds.
    Time,
    MicroTime,
    Message(Message),
    /// Read by nobody: the server writes it.
    Skipped,
    List(&'static Type),
    Map(&'static Type),
}

/// The fields of a message that are understood: number, name in JSON, encoding.
type Message = &'static [(u64, &'static str, Type)];

const TEXTS: Type = Type::List(&Type::Text);
const TEXT_MAP: Type = Type::Map(&Type::Text);
const STATUS: (u64, &str, Type) = (3, "status", Type::Skipped);
const METADATA: (u64, &str, Type) = (1, "metadata", Type::Message(OBJECT_META));

const OBJECT_META: Message = &[
    (1, "name", Type::Text),
    (2, "generateName", Type::Text),
    (3, "namespace", Type::Text),
    (5, "uid", Type::Text),
    (6, "resourceVersion", Type::Text),
    (7, "generation", Type::Int),
    (8, "creationTimestamp", Type::Time),
    (9, "deletionTimestamp", Type::Time),
    (10, "deletionGracePeriodSeconds", Type::Int),
    (11, "labels", TEXT_MAP),
    (12, "annotations", TEXT_MAP),
    (13, "ownerReferences", Type::List(&Type::Message(OWNER_REFERENCE))),
    (14, "finalizers", TEXTS),
];
const OWNER_REFERENCE: Message = &[
    (1, "kind", Type::Text),
    (3, "name", Type::Text),
    (4, "uid", Type::Text),
    (5, "apiVersion", Type::Text),
    (6, "controller", Type::Bool),
    (7, "blockOwnerDeletion", Type::Bool),
];
const NAMESPACE: Message = &[
    METADATA,
    (2, "spec", Type::Message(&[(1, "finalizers", TEXTS)])),
    (3, "status", Type::Message(&[(1, "phase", Type::Text)])),
];
const CONFIG_MAP: Message =
    &[METADATA, (2, "data", TEXT_MAP), (3, "binaryData", Type::Map(&Type::Bytes)), (4, "immutable", Type::Bool)];
const SECRET: Message = &[
    METADATA,
    (2, "data", Type::Map(&Type::Bytes)),
    (3, "type", Type::Text),
    (4, "stringData", TEXT_MAP),
    (5, "immutable", Type::Bool),
];
const SERVICE_ACCOUNT: Message = &[
    METADATA,
    (3, "imagePullSecrets", Type::List(&Type::Message(&[(1, "name", Type::Text)]))),
    (4, "automountServiceAccountToken", Type::Bool),
];
const RULES: Type = Type::List(&Type::Message(&[
    (1, "verbs", TEXTS),
    (2, "apiGroups", TEXTS),
    (3, "resources", TEXTS),
    (4, "resourceNames", TEXTS),
    (5, "nonResourceURLs", TEXTS),
]));
const ROLE: Message = &[METADATA, (2, "rules", RULES)];
const SUBJECTS: Type = Type::List(&Type::Message(&[
    (1, "kind", Type::Text),
    (2, "apiGroup", Type::Text),
    (3, "name", Type::Text),
    (4, "namespace", Type::Text),
]));
const ROLE_REFERENCE: Type =
    Type::Message(&[(1, "apiGroup", Type::Text), (2, "kind", Type::Text), (3, "name", Type::Text)]);
const BINDING: Message = &[METADATA, (2, "subjects", SUBJECTS), (3, "roleRef", ROLE_REFERENCE)];
const LEASE: Message = &[
    METADATA,
    (
        2,
        "spec",
        Type::Message(&[
            (1, "holderIdentity", Type::Text),
            (2, "leaseDurationSeconds", Type::Int),
            (3, "acquireTime", Type::MicroTime),
            (4, "renewTime", Type::MicroTime),
            (5, "leaseTransitions", Type::Int),
        ]),
    ),
];
const TOKEN_REQUEST: Message =
    &[METADATA, (2, "spec", Type::Message(&[(1, "audiences", TEXTS), (4, "expirationSeconds", Type::Int)])), STATUS];
const RESOURCE_ATTRIBUTES: Type = Type::Message(&[
    (1, "namespace", Type::Text),
    (2, "verb", Type::Text),
    (3, "group", Type::Text),
    (4, "version", Type::Text),
    (5, "resource", Type::Text),
    (6, "subresource", Type::Text),
    (7, "name", Type::Text),
]);
const OTHER_ATTRIBUTES: Type = Type::Message(&[(1, "path", Type::Text), (2, "verb", Type::Text)]);
const ACCESS_REVIEW: Message = &[
    METADATA,
    (
        2,
        "spec",
        Type::Message(&[
            (1, "resourceAttributes", RESOURCE_ATTRIBUTES),
            (2, "nonResourceAttributes", OTHER_ATTRIBUTES),
        ]),
    ),
    STATUS,
];
const RULES_REVIEW: Message = &[METADATA, (2, "spec", Type::Message(&[(1, "namespace", Type::Text)])), STATUS];
const DELETE_OPTIONS: Message = &[
    (1, "gracePeriodSeconds", Type::Int),
    (2, "preconditions", Type::Message(&[(1, "uid", Type::Text), (2, "resourceVersion", Type::Text)])),
    (3, "orphanDependents", Type::Bool),
    (4, "propagationPolicy", Type::Text),
    (5, "dryRun", TEXTS),
];

/// The message of a kind, if it is understood.
fn message(kind: &str) -> Option<Message> {
    Some(match kind {
        "Namespace" => NAMESPACE,
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "Role" | "ClusterRole" => ROLE,
        "RoleBinding" | "ClusterRoleBinding" => BINDING,
        "Lease" => LEASE,
        "TokenRequest" => TOKEN_REQUEST,
        "SelfSubjectAccessReview" => ACCESS_REVIEW,
        "SelfSubjectRulesReview" => RULES_REVIEW,
        "DeleteOptions" => DELETE_OPTIONS,
        _ => return None,
    })
}

/// Reads an object. The error says what is wrong with it, or that its kind is not understood.
pub(super) fn object(bytes: &[u8]) -> Result<Value, String> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or("the object does not begin as one in protobuf does")?;
    let (mut types, mut raw) = (json!({}), &[][..]);
    for field in fields(envelope) {
        match field? {
            (1, Wire::Bytes(bytes)) => {
                types = read(&[(1, "apiVersion", Type::Text), (2, "kind", Type::Text)], bytes)?;
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let kind = types["kind"].as_str().unwrap_or_default().to_string();
    let message = message(&kind).ok_or_else(|| format!("the sandbox does not read {kind:?} in protobuf: send JSON"))?;
    let mut object = read(message, raw)?;
    object["apiVersion"] = types["apiVersion"].take();
    object["kind"] = json!(kind);
    Ok(object)
}

/// Fields of metadata that a client does not set: selfLink and managedFields.
const IGNORED: [u64; 2] = [4, 17];

/// A value on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, as they come.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<(u64, Wire<'_>), String>> {
    std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| {
            let found = field(&mut rest);
            if found.is_none() {
                rest = &[];
            }
            found.ok_or_else(|| "the protobuf message is broken".to_string())
        })
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Wire::Number(varint(rest)?),
        1 => Wire::Bytes(take(rest, 8)?),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Wire::Bytes(take(rest, length)?)
        }
        5 => Wire::Bytes(take(rest, 4)?),
        _ => return None,
    };
    Some((key >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn read(message: Message, bytes: &[u8]) -> Result<Value, String> {
    let mut object = Map::new();
    for field in fields(bytes) {
        let (number, wire) = field?;
        let Some((_, name, type_)) = message.iter().find(|(known, ..)| *known == number) else {
            if IGNORED.contains(&number) && std::ptr::eq(message, OBJECT_META) || is_empty(&wire) {
                continue;
            }
            return Err(format!("the sandbox does not read field {number} of this message in protobuf: send JSON"));
        };
        let value = value(*type_, &wire)?;
        match (object.get_mut(*name), value) {
            (_, Value::Null) => {}
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(Value::Object(map)), Value::Object(more)) => map.extend(more),
            // What is empty was not set.
            (_, Value::String(text)) if text.is_empty() => {}
            (_, Value::Number(_)) if *name == "generation" && is_empty(&wire) => {}
            (_, value) => drop(object.insert((*name).to_string(), value)),
        }
    }
    Ok(Value::Object(object))
}

fn is_empty(wire: &Wire<'_>) -> bool {
    match wire {
        Wire::Number(number) => *number == 0,
        Wire::Bytes(bytes) => bytes.is_empty(),
    }
}

fn value(type_: Type, wire: &Wire<'_>) -> Result<Value, String> {
    Ok(match (type_, wire) {
        (Type::Skipped, _) => Value::Null,
        (Type::Text, Wire::Bytes(bytes)) => json!(String::from_utf8_lossy(bytes)),
        (Type::Bytes, Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        (Type::Int, Wire::Number(number)) => json!(number.cast_signed()),
        (Type::Bool, Wire::Number(number)) => json!(*number != 0),
        (Type::Time, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
        (Type::MicroTime, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%S.%6fZ")?,
        (Type::Message(message), Wire::Bytes(bytes)) => read(message, bytes)?,
        (Type::List(of), wire) => json!([value(*of, wire)?]),
        (Type::Map(of), Wire::Bytes(bytes)) => {
            let (mut key, mut found) = (String::new(), Value::String(String::new()));
            for field in fields(bytes) {
                match field? {
                    (1, Wire::Bytes(bytes)) => key = String::from_utf8_lossy(bytes).into_owned(),
                    (_, wire) => found = value(*of, &wire)?,
                }
            }
            json!({key: found})
        }
        _ => return Err("a field of the protobuf message has another type than expected".into()),
    })
}

/// No time at all when neither seconds nor nanoseconds are set.
fn time(bytes: &[u8], format: &str) -> Result<Value, String> {
    let at = read(&[(1, "seconds", Type::Int), (2, "nanos", Type::Int)], bytes)?;
    let part = |name: &str| at[name].as_i64().unwrap_or(0);
    let nanos = i32::try_from(part("nanos")).map_err(|e| e.to_string())?;
    if (part("seconds"), nanos) == (0, 0) {
        return Ok(Value::Null);
    }
    let at = Timestamp::new(part("seconds"), nanos).map_err(|e| e.to_string())?;
    Ok(json!(at.strftime(format).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn a_config_map_is_read() {
        let labels = field(11, &[field(1, b"app"), field(2, b"shop")].concat());
        let metadata = [field(1, b"settings"), field(3, b""), field(8, b""), labels].concat();
        let data = [field(1, b"key"), field(2, b"value")].concat();
        let raw = [field(1, &metadata), field(2, &data), vec![4 << 3, 1]].concat();
        let types = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
        let bytes = [MAGIC, &field(1, &types), &field(2, &raw)].concat();
        let expected = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"key": "value"}, "immutable": true,
            "metadata": {"name": "settings", "labels": {"app": "shop"}},
        });
        assert_eq!(object(&bytes).unwrap(), expected);
        assert!(object(&bytes[..bytes.len() - 1]).is_err(), "cut short");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let types = [field(1, b"apps/v1"), field(2, b"Deployment")].concat();
        let refused = object(&[MAGIC, &field(1, &types)].concat()).unwrap_err();
        assert!(refused.contains("Deployment"), "{refused}");
        assert!(object(b"{}").is_err());
    }
}
