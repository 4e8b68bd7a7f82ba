//! Errors in Google's form.

use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    http: u16,
    status: &'static str,
    message: String,
    details: Vec<Value>,
}

impl Problem {
    fn new(http: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { http, status, message: message.into(), details: vec![] }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    /// A field that can't be as it is.
    pub(super) fn field(field: &str, description: impl Into<String>) -> Self {
        let description = description.into();
        let violation = json!({"field": field, "description": description});
        let mut problem = Self::invalid(format!("{field}: {description}"));
        problem.details =
            vec![json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})];
        problem
    }

    pub(super) fn precondition(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", message)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(404, "NOT_FOUND", format!("Resource '{what}' was not found"))
    }

    /// What is not there, in the words of its API.
    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(404, "NOT_FOUND", message)
    }

    pub(super) fn already_exists(message: impl Into<String>) -> Self {
        Self::new(409, "ALREADY_EXISTS", message)
    }

    pub(super) fn aborted(message: impl Into<String>) -> Self {
        Self::new(409, "ABORTED", message)
    }

    /// A quota that is used up: a limit for each minute, of which API and where.
    pub(super) fn exhausted(service: &str, limit: &str, value: u32, consumer: &str, location: &str) -> Self {
        let message = format!(
            "Quota exceeded for quota metric '{limit}' and limit '{limit} per minute' of service '{service}' for \
             consumer '{consumer}'."
        );
        let mut problem = Self::new(429, "RESOURCE_EXHAUSTED", message);
        problem.details = vec![json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": {"service": service, "quota_limit": limit, "quota_limit_value": value.to_string(),
                         "consumer": consumer, "quota_location": location, "quota_unit": "1/min/{project}/{region}"},
        })];
        problem
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(403, "PERMISSION_DENIED", message)
    }

    pub(super) fn unimplemented(what: &str) -> Self {
        Self::new(501, "UNIMPLEMENTED", format!("{what} is not supported by the sandbox"))
    }

    pub(super) fn unknown_path(path: &str) -> Self {
        Self::new(501, "UNIMPLEMENTED", format!("The sandbox serves nothing at {path}"))
    }

    /// A precondition of Cloud Storage that does not hold.
    pub(super) fn changed() -> Self {
        Self::new(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
    }

    /// Cloud Storage: what was read before is still so.
    pub(super) fn unchanged() -> Self {
        Self::new(304, "notModified", "Not Modified")
    }

    pub(super) fn status(&self) -> u16 {
        self.http
    }

    pub(super) fn body(&self) -> Value {
        let mut error = json!({"code": self.http, "message": self.message, "status": self.status});
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        json!({"error": error})
    }

    /// As Cloud Storage tells it.
    pub(super) fn storage_body(&self) -> Value {
        let reason = match self.http {
            400 => "invalid",
            404 => "notFound",
            409 => "conflict",
            _ => self.status,
        };
        let errors = json!([{"message": self.message, "domain": "global", "reason": reason}]);
        json!({"error": {"code": self.http, "message": self.message, "errors": errors}})
    }
}

/// The body of an HTTP error that was ordered.
pub(crate) fn ordered(status: u16) -> Value {
    let name = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "UNKNOWN",
    };
    Problem::new(status, name, "ordered by /sandbox/faults").body()
}
