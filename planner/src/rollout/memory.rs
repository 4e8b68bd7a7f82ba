//! What is known of a Rollout, typed: read from its status once, completed from the marks, and written out once.

mod judged;
mod status;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{
    Analysis, EvidenceStatus, FastStatus, GrantedStatus, Metric, Outcome, ReleaseRecord, Request, RequestRecord,
    StepKind, Template,
};
use std::collections::{BTreeMap, BTreeSet};

use super::steps::Steps;
use super::undo::Held;
use crate::cloud::SecretVersionId;
use crate::marks::{News, PROMOTED_KEPT, PromotedMark};
use crate::names::{Fingerprint, Region, ReleaseId, RevisionName, TemplateHash};
use crate::reason::Reason;

const HISTORY_KEPT: usize = 10;
/// Of how many of them it is kept what was counted, and how much of what was said: a status has a limit.
const EVIDENCE_KEPT: usize = 3;
const MESSAGE_KEPT: usize = 300;
const REQUESTS_KEPT: usize = 10;
const LATCHES_KEPT: usize = 5;
/// Revisions that are still to be deleted; one that is forgotten stays.
const OUTDATED_KEPT: usize = 10;
/// What is known of a Rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    /// The revision that traffic goes back to.
    pub(super) stable: Option<Stable>,
    /// The revision that is taking over.
    pub(super) candidate: Option<Candidate>,
    /// The release that failed last.
    pub(super) failure: Option<Failure>,
    /// What failed and is still asked for, newest first.
    pub(super) latches: Vec<Latch>,
    /// Revisions that were promoted, newest first.
    pub(super) promoted: Vec<PromotedMark>,
    /// What a person went back to.
    pub(super) held: Option<Held>,
    pub(super) regions: BTreeMap<Region, RegionMemory>,
    /// Regions that left the spec and are let go, as of this pass.
    pub(super) departed: BTreeSet<Region>,
    /// Revisions that are kept no more, oldest first, until they are gone.
    pub(super) outdated: Vec<RevisionName>,
    pub(super) history: Vec<ReleaseRecord>,
    pub(super) requests: Vec<RequestRecord>,
    pub(super) deleting_since: Option<Timestamp>,
    pub(super) absent_since: Option<Timestamp>,
    pub(super) granted: GrantedStatus,
    /// Since when a service is Orchestra's that others had made.
    pub(super) adopted_since: Option<Timestamp>,
    /// Requests that mean nothing here, by name.
    pub(super) ignored_requests: BTreeMap<String, String>,
}

/// The revision that traffic goes back to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stable {
    pub(super) revision: RevisionName,
    pub(super) image: Option<String>,
    pub(super) template_hash: Option<TemplateHash>,
    pub(super) inputs: BTreeSet<Fingerprint>,
    pub(super) template: Option<Template>,
    /// Versions of secrets that it reads, and that were last seen to be disabled or gone.
    pub(super) missing_secrets: BTreeSet<SecretVersionId>,
}

/// The revision that is taking over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) release: ReleaseId,
    pub(super) image: String,
    pub(super) started_at: Timestamp,
    pub(super) template_hash: TemplateHash,
    pub(super) inputs: BTreeSet<Fingerprint>,
    pub(super) news: News,
    /// How it takes over; none: lost.
    pub(super) course: Option<Course>,
}

/// How a release takes over, frozen when it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Course {
    pub(super) steps: Steps,
    pub(super) analysis: Analysis,
    pub(super) regions: Vec<Region>,
}

/// A release that failed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) release: ReleaseId,
    pub(super) image: String,
    pub(super) news: News,
    pub(super) generation: i64,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) started_at: Timestamp,
    pub(super) time: Timestamp,
    pub(super) rolled_back: bool,
}

/// What failed, and is not released again until it changes or a retry is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Latch {
    pub(super) release: ReleaseId,
    pub(super) news: News,
    pub(super) reason: String,
    pub(super) message: String,
}

/// What is known of one region.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RegionMemory {
    pub(super) url: Option<String>,
    pub(super) candidate_url: Option<String>,
    pub(super) service_uid: Option<String>,
    pub(super) step: Option<StepMemory>,
    pub(super) evidence: Vec<EvidenceStatus>,
    pub(super) fast: Option<FastStatus>,
    /// The identity of a service that was seen to belong to another Rollout.
    pub(super) others_service_uid: Option<String>,
    /// The revision that others deployed last past Orchestra, and who they are.
    pub(super) deployed_by_others: Option<String>,
    /// The release that is known not to have come here.
    pub(super) untouched_by: Option<ReleaseId>,
    /// Since when a candidate waits: one that is ready for a change of the service to end, one that has had
    /// traffic to be ready again.
    pub(super) waiting_since: Option<Timestamp>,
    /// Since when a change of the traffic is under way that was not seen to take effect.
    pub(super) moving_since: Option<Timestamp>,
    pub(super) overdue_since: Option<Timestamp>,
    pub(super) unreadable_since: Option<Timestamp>,
    pub(super) absent_since: Option<Timestamp>,
}

/// The step that is in effect in a region.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepMemory {
    pub(super) release: ReleaseId,
    pub(super) number: u32,
    pub(super) kind: StepKind,
    pub(super) started_at: Timestamp,
}

impl Memory {
    pub(super) fn region(&self, region: &Region) -> RegionMemory {
        self.regions.get(region).cloned().unwrap_or_default()
    }

    pub(super) fn region_mut(&mut self, region: &Region) -> &mut RegionMemory {
        self.regions.entry(region.clone()).or_default()
    }

    /// Whether that revision is stable.
    pub(super) fn is_stable(&self, revision: &RevisionName) -> bool {
        self.stable.as_ref().is_some_and(|stable| stable.revision == *revision)
    }

    /// A candidate that is stable: it is brought to a region where it is not yet. That is no release: there is nothing
    /// to go back to.
    pub(super) fn spreads_stable(&self) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| self.is_stable(&candidate.release.revision))
    }

    /// A revision was promoted.
    pub(super) fn note_promoted(&mut self, revision: &RevisionName, template: Option<TemplateHash>) {
        // What a revision runs never changes.
        let runs = self.promoted.iter().find(|p| p.revision == *revision).and_then(|known| known.runs.clone());
        self.promoted.retain(|p| p.revision != *revision);
        self.promoted.insert(0, PromotedMark { revision: revision.clone(), template, runs });
        let dropped = self.promoted.split_off(self.promoted.len().min(PROMOTED_KEPT));
        self.outdated.extend(dropped.into_iter().map(|promoted| promoted.revision));
        self.outdated.retain(|known| known != revision);
        let most = self.outdated.len().saturating_sub(OUTDATED_KEPT);
        self.outdated.drain(..most);
    }

    /// Something failed, and is not released again until it changes.
    pub(super) fn latch(&mut self, latch: Latch) {
        self.latches.retain(|known| known.release != latch.release && known.news != latch.news);
        self.latches.insert(0, latch);
        self.latches.truncate(LATCHES_KEPT);
    }

    /// What failed and is not forgotten: the marks know of it, too.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&ReleaseId, &News)> {
        let latched = self.latches.iter().map(|latch| (&latch.release, &latch.news));
        latched.chain(self.failure.iter().map(|failure| (&failure.release, &failure.news)))
    }

    /// Forgets the services that were, and what ran on them: they are no more. What was released stays on record.
    pub(super) fn forget_services(&mut self, now: Timestamp) {
        if let Some(candidate) = self.candidate.take() {
            let times = (candidate.started_at, now);
            let message = "the services were deleted and made anew".to_string();
            self.note_end((&candidate.release, candidate.image), Outcome::Superseded, message, times);
        }
        // What a person went back from is not released by itself, nor what has failed.
        if let Some(held) = self.held.take() {
            self.latch(Latch {
                release: held.release,
                news: News::Template(held.template),
                reason: Reason::HeldByPerson.into(),
                message: "a person had gone back from it when the services were made anew".into(),
            });
        }
        (self.stable, self.failure, self.adopted_since) = (None, None, None);
        (self.promoted, self.outdated, self.granted) = (vec![], vec![], GrantedStatus::default());
        self.regions.clear();
    }

    /// Notes a request that was acted on, and who wrote it.
    pub(super) fn note_request(&mut self, request: Request, target: &str, by: Option<String>, now: Timestamp) {
        if self.requests.iter().any(|r| r.request == request.name() && r.target == target) {
            return;
        }
        self.put_request(request, target, (by, None), now);
    }

    /// Notes a request that is refused, and why: it is not asked again.
    pub(super) fn refuse_request(
        &mut self,
        request: Request,
        target: &str,
        (by, why): (Option<String>, String),
        now: Timestamp,
    ) {
        self.put_request(request, target, (by, Some(why)), now);
    }

    fn put_request(
        &mut self,
        request: Request,
        target: &str,
        (by, refused): (Option<String>, Option<String>),
        now: Timestamp,
    ) {
        let (request, target) = (request.name().into(), target.into());
        self.requests.insert(0, RequestRecord { request, target, by, refused, time: Time(now) });
        self.requests.truncate(REQUESTS_KEPT);
    }

    /// Whether a person has asked for another try of what had failed since then.
    pub(super) fn was_retried_since(&self, then: Timestamp) -> bool {
        // A status has whole seconds.
        let since = |record: &RequestRecord| record.time.0.as_second() >= then.as_second();
        self.requests.iter().any(|record| record.request == Request::Retry.name() && since(record))
    }

    /// Puts the end of a release into the history.
    pub(super) fn note_end(
        &mut self,
        (release, image): (&ReleaseId, String),
        outcome: Outcome,
        message: String,
        (started_at, finished_at): (Timestamp, Timestamp),
    ) {
        // An old read may show a release under way again that is over: its end is told once.
        let id = release.to_string();
        if self.history.iter().any(|last| last.release == id && last.outcome == outcome) {
            return;
        }
        let record = ReleaseRecord {
            release: id,
            revision: release.revision.to_string(),
            image,
            outcome,
            message: shortened(message),
            started_at: Time(started_at),
            finished_at: Time(finished_at),
            evidence: judged::of(self, release),
        };
        self.history.insert(0, record);
        self.history.truncate(HISTORY_KEPT);
        self.history.iter_mut().skip(EVIDENCE_KEPT).for_each(|old| old.evidence.clear());
    }

    /// The highest number that any release had.
    pub(super) fn last_release(&self) -> u32 {
        let recorded = self.history.iter().filter_map(|r| ReleaseId::parse(&r.release));
        let held = self.held.iter().map(|held| held.release.number);
        let known = self.candidate.iter().map(|c| c.release.number);
        let known = known.chain(self.failure.iter().map(|f| f.release.number)).chain(held);
        recorded.map(|release| release.number).chain(known).max().unwrap_or(0)
    }
}

/// A message as it is kept for long.
fn shortened(message: String) -> String {
    match message.char_indices().nth(MESSAGE_KEPT) {
        Some((end, _)) => format!("{} …", message[..end].trim_end()),
        None => message,
    }
}

impl Candidate {
    /// What it is once it is stable; its template where that is known.
    pub(super) fn as_stable(&self, template: Option<Template>) -> Stable {
        Stable {
            revision: self.release.revision.clone(),
            image: Some(self.image.clone()),
            template_hash: Some(self.template_hash.clone()),
            inputs: self.inputs.clone(),
            template,
            missing_secrets: BTreeSet::new(),
        }
    }

    /// Its steps; none where they are lost.
    pub(super) fn steps(&self) -> Steps {
        self.course.as_ref().map(|course| course.steps.clone()).unwrap_or_default()
    }
}

impl RegionMemory {
    /// The evidence about a release, by each metric.
    pub(super) fn evidence_about(&self, release: &ReleaseId) -> impl Iterator<Item = &EvidenceStatus> {
        let id = release.to_string();
        self.evidence.iter().filter(move |evidence| evidence.release == id)
    }

    /// The evidence about a release by one metric.
    pub(super) fn evidence_of(&self, release: &ReleaseId, metric: Metric) -> Option<&EvidenceStatus> {
        self.evidence_about(release).find(|evidence| evidence.metric == metric)
    }

    /// Puts evidence in the place of what was known by that metric.
    pub(super) fn set_evidence(&mut self, evidence: EvidenceStatus) {
        self.evidence.retain(|known| known.metric != evidence.metric);
        self.evidence.push(evidence);
        self.evidence.sort_by_key(|evidence| evidence.metric);
    }
}
