use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::Code;
use orchestra_crds::Metric;
use orchestra_planner::cloud::{Fault, FaultClass};

/// Why a call to Google Cloud failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct CloudError {
    operation: &'static str,
    message: String,
    class: FaultClass,
    missing: bool,
}

impl CloudError {
    pub(crate) fn new(operation: &'static str, error: &Error) -> Self {
        let missing = error.status().is_some_and(|s| s.code == Code::NotFound) || error.http_status_code() == Some(404);
        Self { operation, message: describe(error), class: classify(error), missing }
    }

    pub(crate) fn late(operation: &'static str) -> Self {
        let message = "no answer within the time limit".into();
        Self { operation, message, class: FaultClass::Retryable, missing: false }
    }

    pub(crate) fn endless(operation: &'static str) -> Self {
        let message = "the list has more pages than any sensible one".into();
        Self { operation, message, class: FaultClass::Permanent, missing: false }
    }

    pub(crate) fn setup(what: &'static str, error: &dyn std::error::Error) -> Self {
        let message = format!("the client could not be set up: {error}; check the credentials and ca-certificates");
        Self { operation: what, message, class: FaultClass::Permanent, missing: false }
    }

    /// Of a metric that Cloud Monitoring does not have of a service.
    pub(crate) fn unmeasured(metric: Metric) -> Self {
        let message = format!("Cloud Monitoring has no metric for {metric}");
        Self { operation: "list time series", message, class: FaultClass::Permanent, missing: false }
    }

    /// Of an answer that lacks what each has.
    pub(crate) fn incomplete(operation: &'static str, what: &str) -> Self {
        let message = format!("the answer has no {what}");
        Self { operation, message, class: FaultClass::Retryable, missing: false }
    }

    /// A failure that a finished operation reports.
    pub(crate) fn of_operation(operation: &'static str, code: i32, message: String) -> Self {
        Self { operation, message, class: of_code(Code::from(code)), missing: false }
    }

    /// What to do about it.
    pub fn class(&self) -> FaultClass {
        self.class
    }

    /// Whether the resource does not exist.
    pub fn is_missing(&self) -> bool {
        self.missing
    }
}

impl From<CloudError> for Fault {
    fn from(error: CloudError) -> Self {
        Self { class: error.class, message: error.to_string() }
    }
}

/// Google's own message, or the kind of failure; never a header or a payload.
fn describe(error: &Error) -> String {
    match (error.status(), error.http_status_code()) {
        (Some(status), _) if !status.message.is_empty() => status.message.clone(),
        (Some(status), _) => status.code.name().to_string(),
        (None, Some(code)) => format!("HTTP status {code}"),
        (None, None) if error.is_timeout() => "no answer within the time limit".into(),
        (None, None) if error.is_connect() => "no connection".into(),
        (None, None) if error.is_authentication() => "no access token could be had".into(),
        (None, None) if error.is_deserialization() => "the answer could not be understood".into(),
        (None, None) => "the connection broke".into(),
    }
}

/// Google's canonical code for a failure, as https://google.aip.dev/193 maps them from HTTP.
pub(crate) fn code(error: &Error) -> &'static str {
    match (error.status(), error.http_status_code()) {
        (Some(status), _) => NAMES.iter().find(|(code, _)| *code == status.code).map_or("UNKNOWN", |(_, name)| name),
        (None, Some(400)) => "INVALID_ARGUMENT",
        (None, Some(401)) => "UNAUTHENTICATED",
        (None, Some(403)) => "PERMISSION_DENIED",
        (None, Some(404)) => "NOT_FOUND",
        (None, Some(409)) => "ABORTED",
        (None, Some(412)) => "FAILED_PRECONDITION",
        (None, Some(429)) => "RESOURCE_EXHAUSTED",
        (None, Some(503)) => "UNAVAILABLE",
        (None, Some(504)) => "DEADLINE_EXCEEDED",
        (None, Some(500..)) => "INTERNAL",
        (None, Some(_)) => "UNKNOWN",
        (None, None) if error.is_timeout() => "DEADLINE_EXCEEDED",
        (None, None) if error.is_authentication() => "UNAUTHENTICATED",
        (None, None) => "UNAVAILABLE",
    }
}

/// Codes as metrics name them.
const NAMES: [(Code, &str); 16] = [
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

fn classify(error: &Error) -> FaultClass {
    if let Some(status) = error.status() {
        return of_code(status.code);
    }
    match error.http_status_code() {
        Some(409 | 412) => FaultClass::Conflict,
        Some(401 | 403) => FaultClass::Denied,
        Some(408 | 425 | 429 | 500..) => FaultClass::Retryable,
        Some(_) => FaultClass::Permanent,
        None if error.is_binding() || error.is_serialization() => FaultClass::Permanent,
        None => FaultClass::Retryable,
    }
}

fn of_code(code: Code) -> FaultClass {
    match code {
        Code::Aborted | Code::AlreadyExists => FaultClass::Conflict,
        Code::PermissionDenied | Code::Unauthenticated => FaultClass::Denied,
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::OutOfRange | Code::Unimplemented => {
            FaultClass::Permanent
        }
        _ => FaultClass::Retryable,
    }
}
