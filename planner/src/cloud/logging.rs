//! Cloud Logging: requests that failed, as their log entries tell within seconds.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Window;
use crate::names::RevisionName;

/// A request that was answered with 5xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRequest {
    /// Of its entry: one that is told twice has the same.
    pub id: String,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: SignedDuration,
    /// Which revision it was routed to; empty: the entry doesn't say.
    pub revision: String,
    /// The host that it was sent to.
    pub host: String,
    /// Its status.
    pub status: i32,
    /// From whom, as a fingerprint that tells nothing but that two are the same.
    pub client: u32,
    /// What Cloud Run itself says of it; empty: the service answered.
    pub platform: String,
}

/// A question about failed requests of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailuresQuery {
    /// The candidate.
    pub candidate: RevisionName,
    /// Stable.
    pub stable: RevisionName,
    /// When they began.
    pub window: Window,
    /// It is stable's time before the release: what is not told of it is not needed.
    #[serde(default)]
    pub is_history: bool,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// Those that began in the window, of all revisions, in any order.
    pub requests: Vec<FailedRequest>,
    /// There are more than were read.
    pub is_cut: bool,
}
