//! What is known of a candidate: the evidence by metric, and by request logs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Metric;

/// The evidence for and against a candidate in one region, by one metric. Closed minutes are counted once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceStatus {
    /// What is counted.
    pub metric: Metric,
    /// The release that this is about.
    pub release: String,
    /// Number of the step that put the weight in effect which `stepTotal` is about.
    pub step: i32,
    /// End of the last minute counted.
    pub through: Time,
    /// Where the evidence stands.
    pub verdict: Verdict,
    /// How much of the evidence needed for a rollback there is.
    pub evidence_percent: i32,
    /// Of the candidate, over the release.
    pub candidate: CountStatus,
    /// Of stable, in the same minutes.
    pub stable: CountStatus,
    /// The candidate's in the current step.
    pub step_candidate: i64,
    /// Stable's in the current step; without any there is nothing to compare with.
    pub step_stable: i64,
    /// About how many requests of the candidate a pass still needs, if it is as good as stable; none: that can't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_needed: Option<i64>,
    /// Of Latency: from when on a request counts as slow, in microseconds: a bound taken from stable's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_above_micros: Option<i64>,
    /// How long after its end a minute counts as complete, in seconds, where Google says that this metric comes later than the
    /// analysis waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<i64>,
    /// In mode Threshold: the looks of this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<LooksStatus>,
    /// What the test has to remember, with the version of its form.
    pub state: String,
    /// Why nothing is counted, while Google does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Looks against fixed limits, of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LooksStatus {
    /// The step's number.
    pub step: i32,
    /// Looks that succeeded.
    pub succeeded: i32,
    /// Looks that failed.
    pub failed: i32,
    /// Looks that were between what succeeds and what fails.
    pub inconclusive: i32,
    /// The last looks in a row that saw no requests of the candidate.
    pub empty_in_a_row: i32,
    /// What the last look that failed saw, and the limit that it was above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// Minutes of a look that is not over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub open: String,
}

/// The fast lane: failed requests from Cloud Run's request logs, each window of ten seconds counted once. It can fail a
/// candidate, and never pass one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FastStatus {
    /// The release that this is about.
    pub release: String,
    /// End of the last window counted.
    pub through: Time,
    /// Where the evidence stands: NoData while it is off.
    pub verdict: Verdict,
    /// How much of the evidence needed for a rollback there is.
    pub evidence_percent: i32,
    /// Failed requests of the candidate that count.
    pub candidate_failed: i64,
    /// Failed requests of stable that count.
    pub stable_failed: i64,
    /// Minutes in which requests of the candidate met no free instance, because its share of the instances is too small: they are
    /// not held against it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unserved: String,
    /// What a rollback still waits for where the evidence suffices for one; none: it doesn't, or nothing is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Why the lane is off; none: it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_because: Option<String>,
    /// Whether no logs are read at all, until requests are split as the step says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// What the test has to remember, with the version of its form.
    pub state: String,
}

/// What was counted of a release that has ended, by one metric and lane, over all regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct JudgedRecord {
    /// What was measured.
    pub metric: Metric,
    /// What it was counted by.
    pub lane: Lane,
    /// Where the evidence stood, in the region where it said most.
    pub verdict: Verdict,
    /// How much of the evidence needed for a rollback there was, in the region where it said most.
    pub evidence_percent: i32,
    /// The candidate's bad ones.
    pub candidate_bad: i64,
    /// Stable's bad ones, at the same time.
    pub stable_bad: i64,
    /// All of the candidate's; none: logs tell of those that failed only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_total: Option<i64>,
    /// All of stable's; none: logs tell of those that failed only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_total: Option<i64>,
    /// In mode Threshold: looks of the last step that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_looks: Option<i32>,
}

/// What a release is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Lane {
    /// Closed minutes of a metric, compared with stable's.
    Minutes,
    /// Looks at a metric, held against fixed limits.
    Looks,
    /// Request logs, within seconds.
    RequestLogs,
}

/// A count of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountStatus {
    /// All of them.
    pub total: i64,
    /// The bad ones.
    pub bad: i64,
}

/// Where the evidence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// No minute is closed yet.
    NoData,
    /// Too few requests to rule harm out, or signs of it that don't suffice for a rollback.
    Undecided,
    /// Enough requests, harm of the size that matters ruled out, and no sign of it.
    Pass,
    /// The candidate is worse than stable.
    Fail,
}
