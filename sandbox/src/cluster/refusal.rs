//! `Status` errors, worded as the real server words them.

use serde_json::{Map, Value, json};

use super::kinds::Kind;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    details: Option<Map<String, Value>>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) field: String,
    pub(super) message: String,
}

impl Cause {
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        let message = format!("Invalid value: {}", message.into());
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    pub(super) fn required(field: &str, message: &str) -> Self {
        let more = if message.is_empty() { String::new() } else { format!(": {message}") };
        Self { reason: "FieldValueRequired", field: field.into(), message: format!("Required value{more}") }
    }

    /// A value that is none of those that there are.
    pub(super) fn not_supported(field: &str, value: &Value, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self { reason: "FieldValueNotSupported", field: field.into(), message }
    }

    pub(super) fn forbidden(field: &str, message: impl Into<String>) -> Self {
        let message = format!("Forbidden: {}", message.into());
        Self { reason: "FieldValueForbidden", field: field.into(), message }
    }

    /// Whether the rules of a schema are not tried on an object with this mistake.
    pub(super) fn blocks_rules(&self) -> bool {
        matches!(
            self.reason,
            "FieldValueRequired"
                | "FieldValueNotSupported"
                | "FieldValueTooLong"
                | "FieldValueTooMany"
                | "FieldValueTypeInvalid"
        )
    }

    fn to_json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

fn details(name: &str, group: &str, kind: &str) -> Map<String, Value> {
    let fields = [("name", name), ("group", group), ("kind", kind)];
    fields.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k.to_string(), json!(v))).collect()
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = Some(details(name, &kind.group, &kind.plural));
        self
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        self.details.get_or_insert_default().insert(field.into(), value);
        self
    }

    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// Seconds until another try.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.details.as_ref()?.get("retryAfterSeconds")?.as_u64()
    }

    pub(super) fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(fields) = status.as_object_mut() {
            if !self.reason.is_empty() {
                fields.insert("reason".into(), self.reason.into());
            }
            if let Some(details) = &self.details {
                fields.insert("details".into(), Value::Object(details.clone()));
            }
        }
        status
    }

    pub(super) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.group_resource())).about(kind, name)
    }

    pub(super) fn no_such_resource() -> Self {
        let mut refusal = Self::new(404, "NotFound", "the server could not find the requested resource");
        refusal.details = Some(Map::new());
        refusal
    }

    pub(super) fn already_exists(kind: &Kind, name: &str, is_ending: bool) -> Self {
        let ending = if is_ending { "object is being deleted: " } else { "" };
        let message = format!("{ending}{} \"{name}\" already exists", kind.group_resource());
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    fn cannot(resource: &str, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"))
    }

    pub(super) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        Self::cannot(&kind.group_resource(), name, why).about(kind, name)
    }

    pub(super) fn modified(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    /// A precondition of a deletion does not hold.
    pub(super) fn precondition(kind: &Kind, name: &str, why: &str) -> Self {
        let mut refusal = Self::cannot(&kind.group_kind(), name, why);
        refusal.details = Some(details(name, &kind.group, &kind.kind));
        refusal
    }

    /// An apply meets fields of others; each with who owns it.
    pub(super) fn apply_conflict(message: String, each: &[(String, String)]) -> Self {
        let cause = |(who, path): &(String, String)| {
            Cause { reason: "FieldManagerConflict", field: path.clone(), message: who.clone() }.to_json()
        };
        Self::new(409, "Conflict", message).with("causes", each.iter().map(cause).collect())
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        Self::forbidden_resource(&kind.group, &kind.plural, name, why)
    }

    /// Of a resource that may have no objects, as users have none.
    pub(super) fn forbidden_resource(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let named = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        let dot = if group.is_empty() { "" } else { "." };
        let mut refusal = Self::new(403, "Forbidden", format!("{plural}{dot}{group}{named} is forbidden: {why}"));
        refusal.details = Some(details(name, group, plural));
        refusal
    }

    /// A ValidatingAdmissionPolicy said no, for that reason.
    pub(super) fn denied_by_policy(kind: &Kind, name: &str, why: &str, reason: &str) -> Self {
        let (code, reason) = match reason {
            "Unauthorized" => (401, "Unauthorized"),
            "Forbidden" => (403, "Forbidden"),
            "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
            _ => (422, "Invalid"),
        };
        let refusal = Self { code, reason, ..Self::forbidden(kind, name, why) };
        refusal.with("causes", json!([{"message": why}]))
    }

    pub(super) fn terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = Cause {
            reason: "NamespaceTerminating",
            field: "metadata.namespace".into(),
            message: format!("namespace {namespace} is being terminated"),
        };
        Self::forbidden(kind, name, &why).with("causes", json!([cause.to_json()]))
    }

    pub(super) fn unsupported_media_type(accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut refusal = Self::new(405, "MethodNotAllowed", message);
        refusal.details = Some(Map::new());
        refusal
    }

    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// A list as it was at a version that is not kept.
    pub(super) fn no_longer_listed() -> Self {
        Self::new(410, "Expired", "The resourceVersion for the provided list is too old.")
    }

    pub(super) fn too_new(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        Self::new(504, "Timeout", message).with("causes", json!([cause])).with("retryAfterSeconds", json!(1))
    }

    /// An object that a patch makes, and that can't be read.
    pub(super) fn bad_outcome(patched: &str, why: &str) -> Self {
        Self::invalid_as("", "", "", &[Cause::invalid("patch", format!("{patched:?}: {why}"))])
    }

    /// A JSON patch that can't be applied.
    pub(super) fn bad_patch() -> Self {
        let mut refusal = Self::new(422, "Invalid", "the server rejected our request due to an error in our request");
        refusal.details = Some(Map::new());
        refusal
    }

    pub(super) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_as(&kind.group, &kind.kind, name, causes)
    }

    /// An invalid object of a kind that is named by hand.
    pub(super) fn invalid_as(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let mut each: Vec<String> = vec![];
        for cause in causes {
            let text = format!("{}: {}", cause.field, cause.message);
            if !each.contains(&text) {
                each.push(text);
            }
        }
        let list = if each.len() == 1 { each.concat() } else { format!("[{}]", each.join(", ")) };
        let dot = if group.is_empty() { "" } else { "." };
        let mut refusal = Self::new(422, "Invalid", format!("{kind}{dot}{group} {name:?} is invalid: {list}"));
        refusal.details = Some(details(name, group, kind));
        refusal.with("causes", causes.iter().map(Cause::to_json).collect())
    }
}
