//! Errors in Google's form.

use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    http: u16,
    status: &'static str,
    message: String,
}

impl Problem {
    fn new(http: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { http, status, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    pub(super) fn precondition(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", message)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(404, "NOT_FOUND", format!("Resource '{what}' was not found"))
    }

    pub(super) fn already_exists(message: impl Into<String>) -> Self {
        Self::new(409, "ALREADY_EXISTS", message)
    }

    pub(super) fn aborted(message: impl Into<String>) -> Self {
        Self::new(409, "ABORTED", message)
    }

    pub(super) fn unimplemented(what: &str) -> Self {
        Self::new(501, "UNIMPLEMENTED", format!("{what} is not supported by the sandbox"))
    }

    pub(super) fn unknown_path(path: &str) -> Self {
        Self::new(404, "NOT_FOUND", format!("The sandbox serves nothing at {path}"))
    }

    pub(super) fn status(&self) -> u16 {
        self.http
    }

    pub(super) fn body(&self) -> Value {
        json!({"error": {"code": self.http, "message": self.message, "status": self.status}})
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
