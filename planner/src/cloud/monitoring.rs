//! Cloud Monitoring: how what was measured of each revision is distributed, by minute.

use jiff::Timestamp;
use orchestra_crds::{Metric, Promql};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::names::RevisionName;

/// A count of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// All of them.
    pub total: i64,
    /// The bad ones.
    pub bad: i64,
}

impl Count {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { total: self.total.saturating_add(other.total), bad: self.bad.saturating_add(other.bad) }
    }

    /// The share of the bad ones; 0 where there are none at all.
    pub fn rate(self) -> f64 {
        if self.total > 0 { self.bad as f64 / self.total as f64 } else { 0.0 }
    }
}

/// How many values were in each bucket, by the bucket's upper bound. Of errors, a request that was answered with 5xx is
/// 1, one with 4xx -1 and any other 0; latencies are in microseconds. The last bucket of a distribution has no bound: `i64::MAX`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally(pub BTreeMap<i64, i64>);

impl Tally {
    /// Of errors, an answer with 4xx: it is the client's.
    pub const CLIENT_ERROR: i64 = -1;

    /// Of errors, how many were answered with 4xx.
    pub fn client_errors(&self) -> i64 {
        self.0.get(&Self::CLIENT_ERROR).copied().unwrap_or_default()
    }

    /// Of so many requests, so many with 5xx.
    pub fn of_errors(total: i64, bad: i64) -> Self {
        let mut tally = Self::default();
        tally.add(0, total - bad);
        tally.add(1, bad);
        tally
    }

    /// Adds values to a bucket.
    pub fn add(&mut self, upper_bound: i64, values: i64) {
        if values > 0 {
            let known = self.0.entry(upper_bound).or_default();
            *known = known.saturating_add(values);
        }
    }

    /// All values, and those above a bound.
    pub fn above(&self, bound: i64) -> Count {
        let sum = |from: i64| self.0.range(from..).map(|(_, values)| *values).fold(0_i64, i64::saturating_add);
        Count { total: sum(i64::MIN), bad: bound.checked_add(1).map(sum).unwrap_or(0) }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What was measured of candidate and stable in one closed minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// When it began.
    pub start: Timestamp,
    /// Of the candidate.
    pub candidate: Tally,
    /// Of stable.
    pub stable: Tally,
}

/// From when to when: whole minutes, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

/// What was measured of stable before the release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Minute by minute, by when each began: of the last hour.
    pub minutes: BTreeMap<Timestamp, Tally>,
    /// Hour by hour: of the last day, or of a week where that is asked.
    pub hours: BTreeMap<Timestamp, Tally>,
}

/// A question about two revisions by minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsQuery {
    /// What to measure.
    pub metric: Metric,
    /// The candidate.
    pub candidate: RevisionName,
    /// Stable.
    pub stable: RevisionName,
    /// When.
    pub window: Window,
    /// Stable's history up to then, too, where it isn't known yet.
    #[serde(default)]
    pub history_until: Option<Timestamp>,
    /// How to ask for it, where Cloud Monitoring has no metric for it.
    #[serde(default)]
    pub promql: Option<Box<Promql>>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Minutes in which anything was measured.
    pub minutes: Vec<Minute>,
    /// Stable's history, where it was asked for.
    #[serde(default)]
    pub history: Option<History>,
    /// How late they come at most, in seconds, as Google says of the metric, where it was asked with the history.
    #[serde(default)]
    pub delay_seconds: Option<i64>,
}
