//! What is known of a Rollout, typed: read from its status once, completed from the marks, and written out once.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{
    Analysis, CandidateStatus, CourseStatus, EvidenceStatus, FailureStatus, GrantedStatus, LatchStatus, Outcome,
    PromotedStatus, RegionStatus, ReleaseRecord, Request, RequestRecord, Rollout, RolloutStatus, StableStatus,
    StepKind, StepStatus, Template,
};
use std::collections::{BTreeMap, BTreeSet};

use super::steps::Steps;
use crate::marks::{News, PROMOTED_KEPT, PromotedMark};
use crate::names::{Fingerprint, Region, ReleaseId, RevisionName, TemplateHash};

const HISTORY_KEPT: usize = 10;
const REQUESTS_KEPT: usize = 10;
const LATCHES_KEPT: usize = 5;
/// The largest template that is kept for what the environment changes while a newer one has failed, as JSON.
const TEMPLATE_KEPT_BYTES: usize = 8 * 1024;

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
    pub(super) regions: BTreeMap<Region, RegionMemory>,
    /// Regions that left the spec and are let go, as of this pass.
    pub(super) departed: BTreeSet<Region>,
    pub(super) history: Vec<ReleaseRecord>,
    pub(super) requests: Vec<RequestRecord>,
    pub(super) absent_since: Option<Timestamp>,
    pub(super) granted: GrantedStatus,
}

/// The revision that traffic goes back to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stable {
    pub(super) revision: RevisionName,
    pub(super) image: Option<String>,
    pub(super) template_hash: Option<TemplateHash>,
    pub(super) inputs: BTreeSet<Fingerprint>,
    pub(super) template: Option<Template>,
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
    pub(super) service_uid: Option<String>,
    pub(super) step: Option<StepMemory>,
    pub(super) evidence: Vec<EvidenceStatus>,
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

fn time(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

fn fingerprints(list: &[String]) -> BTreeSet<Fingerprint> {
    list.iter().filter_map(|text| Fingerprint::new(text.as_str()).ok()).collect()
}

fn texts(set: &BTreeSet<Fingerprint>) -> Vec<String> {
    set.iter().map(ToString::to_string).collect()
}

fn hash(text: &str) -> Option<TemplateHash> {
    TemplateHash::new(text).ok()
}

impl Memory {
    /// Reads a status. What can't be understood counts as lost.
    pub(super) fn of(rollout: &Rollout) -> Self {
        rollout.status.as_ref().map(Self::read).unwrap_or_default()
    }

    fn read(status: &RolloutStatus) -> Self {
        let promoted = |p: &PromotedStatus| {
            let revision = RevisionName::new(p.revision.as_str()).ok()?;
            Some(PromotedMark { revision, template: p.template_hash.as_deref().and_then(hash) })
        };
        let latch = |l: &LatchStatus| {
            let (release, news) = (ReleaseId::parse(&l.release)?, News::parse(&l.news)?);
            Some(Latch { release, news, reason: l.reason.clone(), message: l.message.clone() })
        };
        let region = |r: &RegionStatus| Some((Region::new(r.region.as_str()).ok()?, RegionMemory::read(r)));
        Self {
            stable: status.stable.as_ref().and_then(Stable::read),
            candidate: status.candidate.as_ref().and_then(Candidate::read),
            failure: status.failed.as_ref().and_then(Failure::read),
            latches: status.latches.iter().filter_map(latch).collect(),
            promoted: status.promoted.iter().filter_map(promoted).collect(),
            regions: status.regions.iter().filter_map(region).collect(),
            departed: BTreeSet::new(),
            history: status.history.clone(),
            requests: status.requests.clone(),
            absent_since: time(status.absent_since.as_ref()),
            granted: status.granted.clone().unwrap_or_default(),
        }
    }

    /// Writes what is remembered into a status; what is seen is added by the report.
    pub(super) fn write(self, status: &mut RolloutStatus) {
        status.stable = self.stable.map(Stable::write);
        status.candidate = self.candidate.map(Candidate::write);
        status.failed = self.failure.map(Failure::write);
        let latch = |l: Latch| LatchStatus {
            release: l.release.to_string(),
            news: l.news.to_string(),
            reason: l.reason,
            message: l.message,
        };
        status.latches = self.latches.into_iter().map(latch).collect();
        let promoted = |p: PromotedMark| PromotedStatus {
            revision: p.revision.to_string(),
            template_hash: p.template.map(|hash| hash.to_string()),
        };
        status.promoted = self.promoted.into_iter().map(promoted).collect();
        status.history = self.history;
        status.requests = self.requests;
        status.absent_since = self.absent_since.map(Time);
        status.granted = (self.granted != GrantedStatus::default()).then_some(self.granted);
    }

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
        self.promoted.retain(|p| p.revision != *revision);
        self.promoted.insert(0, PromotedMark { revision: revision.clone(), template });
        self.promoted.truncate(PROMOTED_KEPT);
    }

    /// Something failed, and is not released again until it changes.
    pub(super) fn latch(&mut self, latch: Latch) {
        self.latches.retain(|known| known.release != latch.release && known.news != latch.news);
        self.latches.insert(0, latch);
        self.latches.truncate(LATCHES_KEPT);
    }

    /// Notes a request that was acted on, and who wrote it.
    pub(super) fn note_request(&mut self, request: Request, target: &str, by: Option<String>, now: Timestamp) {
        if self.requests.iter().any(|r| r.request == request.name() && r.target == target) {
            return;
        }
        let record = RequestRecord { request: request.name().into(), target: target.into(), by, time: Time(now) };
        self.requests.insert(0, record);
        self.requests.truncate(REQUESTS_KEPT);
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
            message,
            started_at: Time(started_at),
            finished_at: Time(finished_at),
        };
        self.history.insert(0, record);
        self.history.truncate(HISTORY_KEPT);
    }

    /// The highest number that any release had.
    pub(super) fn last_release(&self) -> u32 {
        let recorded = self.history.iter().filter_map(|r| ReleaseId::parse(&r.release));
        let known =
            self.candidate.iter().map(|c| c.release.number).chain(self.failure.iter().map(|f| f.release.number));
        recorded.map(|release| release.number).chain(known).max().unwrap_or(0)
    }
}

impl Stable {
    fn read(status: &StableStatus) -> Option<Self> {
        Some(Self {
            revision: RevisionName::new(status.revision.as_str()).ok()?,
            image: status.image.clone(),
            template_hash: status.template_hash.as_deref().and_then(hash),
            inputs: fingerprints(&status.inputs),
            template: status.template.clone().and_then(|template| serde_json::from_value(template).ok()),
        })
    }

    fn write(self) -> StableStatus {
        let template = self.template.and_then(|template| serde_json::to_value(template).ok());
        StableStatus {
            revision: self.revision.to_string(),
            image: self.image,
            template_hash: self.template_hash.map(|hash| hash.to_string()),
            inputs: texts(&self.inputs),
            template: template.filter(|template| template.to_string().len() <= TEMPLATE_KEPT_BYTES),
        }
    }
}

impl Candidate {
    fn read(status: &CandidateStatus) -> Option<Self> {
        Some(Self {
            release: ReleaseId::parse(&status.release)?,
            image: status.image.clone(),
            started_at: status.started_at.0,
            template_hash: hash(&status.template_hash)?,
            inputs: fingerprints(&status.inputs),
            news: News::parse(&status.news)?,
            course: status.course.as_ref().map(Course::read),
        })
    }

    fn write(self) -> CandidateStatus {
        CandidateStatus {
            release: self.release.to_string(),
            revision: self.release.revision.to_string(),
            image: self.image,
            started_at: Time(self.started_at),
            template_hash: self.template_hash.to_string(),
            inputs: texts(&self.inputs),
            news: self.news.to_string(),
            course: self.course.map(Course::write),
            promote_token: None,
        }
    }

    /// Its steps; none where they are lost.
    pub(super) fn steps(&self) -> Steps {
        self.course.as_ref().map(|course| course.steps.clone()).unwrap_or_default()
    }
}

impl Course {
    fn read(status: &CourseStatus) -> Self {
        let region = |name: &String| Region::new(name.as_str()).ok();
        Self {
            steps: Steps::read(&status.steps),
            analysis: status.analysis.clone(),
            regions: status.regions.iter().filter_map(region).collect(),
        }
    }

    fn write(self) -> CourseStatus {
        CourseStatus {
            steps: self.steps.write(),
            analysis: self.analysis,
            regions: self.regions.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Failure {
    fn read(status: &FailureStatus) -> Option<Self> {
        Some(Self {
            release: ReleaseId::parse(&status.release)?,
            image: status.image.clone(),
            news: News::parse(&status.news)?,
            generation: status.generation,
            reason: status.reason.clone(),
            message: status.message.clone(),
            started_at: status.started_at.0,
            time: status.time.0,
            rolled_back: status.rolled_back,
        })
    }

    fn write(self) -> FailureStatus {
        FailureStatus {
            release: self.release.to_string(),
            revision: self.release.revision.to_string(),
            image: self.image,
            news: self.news.to_string(),
            generation: self.generation,
            reason: self.reason,
            message: self.message,
            started_at: Time(self.started_at),
            time: Time(self.time),
            rolled_back: self.rolled_back,
        }
    }
}

impl RegionMemory {
    fn read(status: &RegionStatus) -> Self {
        Self {
            url: status.url.clone(),
            service_uid: status.service_uid.clone(),
            step: status.step.as_ref().and_then(StepMemory::read),
            evidence: status.evidence.clone(),
            overdue_since: time(status.overdue_since.as_ref()),
            unreadable_since: time(status.unreadable_since.as_ref()),
            absent_since: time(status.absent_since.as_ref()),
        }
    }

    /// The part of a region's status that is remembered.
    pub(super) fn write(self, region: &Region) -> RegionStatus {
        RegionStatus {
            region: region.to_string(),
            url: self.url,
            service_uid: self.service_uid,
            step: self.step.map(StepMemory::write),
            evidence: self.evidence,
            overdue_since: self.overdue_since.map(Time),
            unreadable_since: self.unreadable_since.map(Time),
            absent_since: self.absent_since.map(Time),
            ..RegionStatus::default()
        }
    }

    /// The evidence about a release.
    pub(super) fn evidence_of(&self, release: &ReleaseId) -> Option<&EvidenceStatus> {
        let id = release.to_string();
        self.evidence.iter().find(|evidence| evidence.release == id)
    }

    /// Puts evidence in the place of what was known by that metric.
    pub(super) fn set_evidence(&mut self, evidence: EvidenceStatus) {
        self.evidence.retain(|known| known.metric != evidence.metric);
        self.evidence.push(evidence);
        self.evidence.sort_by_key(|evidence| evidence.metric);
    }
}

impl StepMemory {
    fn read(status: &StepStatus) -> Option<Self> {
        Some(Self {
            release: ReleaseId::parse(&status.release)?,
            number: u32::try_from(status.number).ok()?,
            kind: status.kind,
            started_at: status.started_at.0,
        })
    }

    fn write(self) -> StepStatus {
        StepStatus {
            release: self.release.to_string(),
            number: i32::try_from(self.number).unwrap_or(i32::MAX),
            kind: self.kind,
            started_at: Time(self.started_at),
        }
    }
}
