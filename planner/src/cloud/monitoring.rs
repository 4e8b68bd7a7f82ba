//! Cloud Monitoring: counts by revision and minute.

use jiff::Timestamp;
use orchestra_crds::Metric;
use serde::{Deserialize, Serialize};

use crate::names::RevisionName;

/// A count of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// All of them.
    pub total: i64,
    /// The bad ones.
    pub bad: i64,
}

/// Counts of candidate and stable in one closed minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// When it began.
    pub start: Timestamp,
    /// The candidate's.
    pub candidate: Count,
    /// Stable's.
    pub stable: Count,
}

/// From when to when: whole minutes, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

/// A question about the counts of two revisions by minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsQuery {
    /// What to count.
    pub metric: Metric,
    /// The candidate.
    pub candidate: RevisionName,
    /// Stable.
    pub stable: RevisionName,
    /// When.
    pub window: Window,
}
