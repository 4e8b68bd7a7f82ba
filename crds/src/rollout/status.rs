use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CanaryStep;

/// What was last seen of a rollout. It can be rebuilt from Google Cloud: deleting it loses no release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the release is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RolloutPhase>,
    /// What is going on, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Image of the release that is going on, or of stable, cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Region in which the release is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Share of requests that Cloud Run gives the candidate in that region, in percent, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Step of the canary in that region: `1/2` is the first of two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The revision that traffic goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<RevisionStatus>,
    /// The revision that is taking over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<CandidateStatus>,
    /// The revision that failed; it gets no traffic again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailureStatus>,
    /// Each region's traffic and step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["region".into()]))]
    pub regions: Vec<RegionStatus>,
    /// The evidence for and against the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisStatus>,
    /// How the last releases ended, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ReleaseRecord>,
    /// Operator requests that were acted on, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestRecord>,
    /// In a deletion: since when nothing of this rollout is found in Google Cloud, as far as one look tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Time>,
    /// IAM members that this rollout granted `roles/run.invoker`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted_invokers: Vec<String>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Where a release is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutPhase {
    /// Something must be in place before the release can start.
    Pending,
    /// The candidate is being created, without traffic.
    Deploying,
    /// The candidate is taking over, step by step.
    Progressing,
    /// Held by a person, or waiting for one.
    Paused,
    /// The candidate has all traffic in every region.
    Promoted,
    /// The candidate failed; traffic is going back to stable.
    RollingBack,
    /// The candidate failed; stable has all traffic in every region.
    RolledBack,
    /// The first candidate failed: there is no stable revision to go back to.
    Failed,
    /// The object is being deleted.
    Deleting,
}

/// A revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// Name of the revision; the same in every region.
    pub revision: String,
    /// Its image, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// The revision that is taking over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateStatus {
    /// Name of the revision; the same in every region.
    pub revision: String,
    /// Its image.
    pub image: String,
    /// When its release started.
    pub started_at: Time,
    /// The steps it takes, as they were when its release started: edited steps apply to the next candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<CanaryStep>,
    /// Value of the promote annotation that ends the current step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_token: Option<String>,
}

/// A revision that failed. Recorded before its traffic is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureStatus {
    /// Name of the revision.
    pub revision: String,
    /// Its image.
    pub image: String,
    /// Generation of the spec in which it failed.
    pub generation: i64,
    /// Why, as a CamelCase word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// When its release started.
    pub started_at: Time,
    /// When the failure was recorded.
    pub time: Time,
    /// Whether its traffic is gone, in every region, as last seen.
    #[serde(default)]
    pub rolled_back: bool,
}

/// One region's traffic and step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegionStatus {
    /// Name of the region.
    pub region: String,
    /// What is going on there.
    pub state: String,
    /// Address of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Share of requests that Cloud Run gives the candidate, in percent, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Number of the step that is in effect, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    /// Since when that step has been in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_started_at: Option<Time>,
    /// Since when it takes longer than `progressDeadlineSeconds`, as far as one look tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<Time>,
}

/// The evidence for and against a candidate. Closed minutes are counted once and never again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisStatus {
    /// The candidate that this is about.
    pub revision: String,
    /// Region that the minutes below come from.
    pub region: String,
    /// Step, counted from 1, that `stepRequests` is about.
    pub step: i32,
    /// End of the last minute counted.
    pub through: Time,
    /// Where the evidence stands.
    pub verdict: Verdict,
    /// How much of the evidence needed for a rollback there is.
    pub evidence_percent: i32,
    /// Requests that the candidate answered.
    pub candidate_requests: i64,
    /// Requests that it failed (5xx).
    pub candidate_errors: i64,
    /// Requests that stable answered in the same minutes.
    pub stable_requests: i64,
    /// Requests that it failed (5xx).
    pub stable_errors: i64,
    /// Requests that the candidate answered in the current step.
    pub step_requests: i64,
    /// Requests that stable answered in the current step; without any there is nothing to compare with.
    #[serde(default)]
    pub step_stable_requests: i64,
    /// Natural logarithm of each component of the test's e-value, in millionths.
    pub log_evidence_micros: Vec<i64>,
}

/// Where the evidence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// No minute is closed yet.
    NoData,
    /// Too few requests to say.
    Inconclusive,
    /// Enough requests, no sign of harm.
    Pass,
    /// The candidate fails more requests than stable.
    Fail,
}

/// How a release ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRecord {
    /// Name of the revision.
    pub revision: String,
    /// Its image.
    pub image: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, for people.
    pub message: String,
    /// When it started.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Time,
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The candidate has all traffic.
    Promoted,
    /// The candidate failed and stable has all traffic.
    RolledBack,
    /// Another candidate took its place.
    Superseded,
    /// The spec went back to the stable template.
    Returned,
}

/// An operator request that was acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// What was asked for: abort, retry, promote.
    pub request: String,
    /// What it was bound to.
    pub target: String,
    /// When it was acted on.
    pub time: Time,
}
