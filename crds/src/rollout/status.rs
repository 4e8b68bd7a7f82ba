//! What was last seen of a rollout. It can be rebuilt from Google Cloud: deleting it loses no release.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Analysis, EvidenceStatus, FastStatus, GrantedStatus, JudgedRecord, RolloutPhase, Step};
use crate::known;

/// What was last seen of a rollout. What this version of the controller can't read counts as lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the release is.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub phase: Option<RolloutPhase>,
    /// What is going on, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Image whose share `weight` is, cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Region in which the release is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Share of requests that Cloud Run gives that image in that region, in percent, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Step of the release in that region: `1/2` is the first of two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The revision that traffic goes back to.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub stable: Option<StableStatus>,
    /// The revision that is taking over.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub candidate: Option<CandidateStatus>,
    /// The release that failed last.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailureStatus>,
    /// What failed and is still asked for: it gets no traffic until it changes or a retry is asked for. Newest first.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    pub latches: Vec<LatchStatus>,
    /// The last revisions that were promoted, newest first: going back to one of them waits for nothing.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    pub promoted: Vec<PromotedStatus>,
    /// Since when a service is Orchestra's that others had made: it is released when this object is deleted, whatever the
    /// environment's policy.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub adopted_since: Option<Time>,
    /// The revision that a person went back to: it stays until the template changes.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldStatus>,
    /// Each region's traffic, step and evidence; a region that left the spec too, until it is let go.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["region".into()]))]
    pub regions: Vec<RegionStatus>,
    /// How the last releases ended, newest first.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ReleaseRecord>,
    /// Revisions that were promoted before those that are kept, oldest first: each is deleted once nothing uses it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outdated: Vec<String>,
    /// Operator requests that were there before the first release, by name: they mean none of this object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ignored_requests: BTreeMap<String, String>,
    /// Operator requests that were acted on, newest first.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestRecord>,
    /// Since when it is being deleted, by the controller's clock.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub deleting_since: Option<Time>,
    /// In a deletion: since when nothing of this rollout is found in Google Cloud, as far as one look tells.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Time>,
    /// What this rollout set or granted: it is taken back when it is no longer wanted.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub granted: Option<GrantedStatus>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The revision that traffic goes back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StableStatus {
    /// Name of the revision; the same in every region.
    pub revision: String,
    /// Its image, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Hash of the Rollout's template that it runs, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_hash: Option<String>,
    /// Fingerprints of what the environment added to it: secret versions, defaults, addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// That template, if it is small enough to be kept: what the environment changes goes out on it while a newer one
    /// has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub template: Option<serde_json::Value>,
    /// Versions of secrets that it reads and that were last seen to be disabled or gone, as `SECRET/versions/NUMBER`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_secrets: Vec<String>,
}

/// The revision that is taking over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateStatus {
    /// Its release: what requests are bound to.
    pub release: String,
    /// Name of the revision; the same in every region.
    pub revision: String,
    /// Its image.
    pub image: String,
    /// When its release started.
    pub started_at: Time,
    /// Hash of the Rollout's template that it runs.
    pub template_hash: String,
    /// Fingerprints of what the environment added to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// What is new in it: `template:…`, or `inputs:…` where only the environment's part changed. A failure is held
    /// against this, and nothing else.
    pub news: String,
    /// How it takes over, as it was when its release started: an edit applies to the next release. None: lost, and a
    /// person has to say how to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<CourseStatus>,
    /// Value of the promote annotation that ends the current step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_token: Option<String>,
}

/// How a release takes over, frozen when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CourseStatus {
    /// Its steps, as in the spec; none: at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub steps: Vec<Step>,
    /// How it is judged, as in the spec.
    #[schemars(schema_with = "any_object")]
    pub analysis: Analysis,
    /// The regions, in the order in which it reaches them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// A release that failed. Recorded before its traffic is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureStatus {
    /// The release: what a retry is bound to.
    pub release: String,
    /// Name of the revision.
    pub revision: String,
    /// Its image.
    pub image: String,
    /// What was new in it.
    pub news: String,
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

/// What failed, and is not released again until it changes or a retry is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatchStatus {
    /// The release that failed.
    pub release: String,
    /// What was new in it.
    pub news: String,
    /// Why it failed, as a CamelCase word.
    pub reason: String,
    /// Why it failed, for people.
    pub message: String,
}

/// A revision that a person went back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldStatus {
    /// The way back, as a release: the revision and its number.
    pub release: String,
    /// Hash of the Rollout's template of then: another one ends the hold.
    pub template_hash: String,
    /// Field manager that asked for it, where the cluster tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Since when.
    pub since: Time,
}

/// A revision that was promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotedStatus {
    /// Name of the revision.
    pub revision: String,
    /// Its image, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When it last got all requests, where known.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Time>,
    /// Until when it is kept warm, as seen in a region at least.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub kept_warm_until: Option<Time>,
    /// What was known of it then, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The value of the undo annotation that goes back to it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_token: Option<String>,
    /// Hash of the Rollout's template that it runs, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_hash: Option<String>,
    /// Of a revision that others had made: the hash that it would have in its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
}

/// A part of a spec as it was written, whatever the schema says by now: the rules of a spec are none of a status.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-map-type": "atomic",
    })
}

fn any_objects(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": any_object(generator), "x-kubernetes-list-type": "atomic"})
}

/// One region's traffic, step and evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegionStatus {
    /// Name of the region.
    pub region: String,
    /// What is going on there, for people.
    #[serde(default)]
    pub message: String,
    /// Address of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Address of the candidate alone, past the split: for looks and tests before users meet it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_url: Option<String>,
    /// Cloud Run's UID of the service that was last seen to be ours: with its marks stripped it is still known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_uid: Option<String>,
    /// Share of requests that Cloud Run gives the revision that `status.image` is of, in percent, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// The step that is in effect.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub step: Option<StepStatus>,
    /// The evidence for and against the candidate here.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["metric".into()]))]
    pub evidence: Vec<EvidenceStatus>,
    /// What request logs say about the candidate here, within seconds.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub fast: Option<FastStatus>,
    /// Cloud Run's identity of a service that was seen to belong to another Rollout: it stays that one's, also while its marks are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others_service_uid: Option<String>,
    /// The revision that others deployed last past Orchestra, and who they are. It has no requests, and is no release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_by_others: Option<String>,
    /// The release under way, or taken back, that did not come here. Without a word it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untouched_by: Option<String>,
    /// Since when a candidate that is ready waits for a change of the service to end.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Time>,
    /// Since when a change of the traffic is under way that was not seen to take effect.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub moving_since: Option<Time>,
    /// Since when it takes longer than `progressDeadlineSeconds`, as far as one look tells.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<Time>,
    /// Since when the service can't be read.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub unreadable_since: Option<Time>,
    /// Since when nothing of ours is found there, though there was or the region left the environment, as far as one look tells.
    #[serde(default, deserialize_with = "known::value", skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Time>,
}

/// The step that is in effect in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Its release.
    pub release: String,
    /// Its number, counted from 1.
    pub number: i32,
    /// Its kind.
    pub kind: StepKind,
    /// Since when it has been in effect.
    pub started_at: Time,
}

/// A kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StepKind {
    /// A share of the requests.
    Weight,
    /// A planned wait.
    Pause,
    /// All requests, before it counts as promoted.
    Watch,
}

/// How a release ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRecord {
    /// The release.
    pub release: String,
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
    /// What was counted of it until then, over all regions, of the last three: what says most against it comes first.
    #[serde(default, deserialize_with = "known::items", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["metric".into(), "lane".into()]))]
    pub evidence: Vec<JudgedRecord>,
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The candidate has all traffic.
    Promoted,
    /// The candidate failed and stable has all traffic.
    RolledBack,
    /// The candidate failed, and there was nothing to go back to everywhere.
    Failed,
    /// Another candidate took its place.
    Superseded,
    /// The spec went back to the stable template.
    Returned,
    /// A service that was there was taken over, with the revision that served.
    Adopted,
}

/// An operator request that was acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// What was asked for: abort, retry, promote, undo.
    pub request: String,
    /// What it was bound to.
    pub target: String,
    /// Which client wrote it, as the cluster's managed fields tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why it was not done; not set: it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// When it was acted on.
    pub time: Time,
}
