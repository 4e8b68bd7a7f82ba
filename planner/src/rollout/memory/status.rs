//! The form in which memory stands in the status: what can't be understood counts as lost.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{
    CandidateStatus, CourseStatus, FailureStatus, GrantedStatus, HeldStatus, LatchStatus, PromotedStatus, RegionStatus,
    Rollout, RolloutStatus, StableStatus, StepStatus,
};
use std::collections::{BTreeMap, BTreeSet};

use super::{Candidate, Course, Failure, Latch, Memory, RegionMemory, Stable, StepMemory};
use crate::marks::{News, PromotedMark};
use crate::names::{Fingerprint, Region, ReleaseId, RevisionName, TemplateHash};
use crate::rollout::requests;
use crate::rollout::steps::Steps;
use crate::rollout::undo::Held;

/// The largest template that is kept for what the environment changes while a newer one has failed, as JSON.
const TEMPLATE_KEPT_BYTES: usize = 8 * 1024;

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
    /// Reads a status.
    pub(in crate::rollout) fn of(rollout: &Rollout) -> Self {
        let memory = rollout.status.as_ref().map(Self::read).unwrap_or_default();
        Self { ignored_requests: requests::ignored(rollout), ..memory }
    }

    fn read(status: &RolloutStatus) -> Self {
        let promoted = |p: &PromotedStatus| {
            let revision = RevisionName::new(p.revision.as_str()).ok()?;
            let (template, runs) = (p.template_hash.as_deref().and_then(hash), p.runs.as_deref().and_then(hash));
            Some(PromotedMark { revision, template, runs })
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
            held: status.held.as_ref().and_then(Held::read),
            regions: status.regions.iter().filter_map(region).collect(),
            departed: BTreeSet::new(),
            outdated: status.outdated.iter().filter_map(|name| RevisionName::new(name.as_str()).ok()).collect(),
            history: status.history.clone(),
            requests: status.requests.clone(),
            deleting_since: time(status.deleting_since.as_ref()),
            absent_since: time(status.absent_since.as_ref()),
            granted: status.granted.clone().unwrap_or_default(),
            adopted_since: time(status.adopted_since.as_ref()),
            ignored_requests: BTreeMap::new(),
        }
    }

    /// Writes what is remembered into a status; what is seen is added by the report.
    pub(in crate::rollout) fn write(self, status: &mut RolloutStatus) {
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
            image: None,
            promoted_at: None,
            kept_warm_until: None,
            verdict: None,
            revision: p.revision.to_string(),
            undo_token: None,
            template_hash: p.template.map(|hash| hash.to_string()),
            runs: p.runs.map(|hash| hash.to_string()),
        };
        status.promoted = self.promoted.into_iter().map(promoted).collect();
        status.outdated = self.outdated.iter().map(ToString::to_string).collect();
        status.held = self.held.map(Held::write);
        status.history = self.history;
        status.requests = self.requests;
        status.ignored_requests = self.ignored_requests;
        status.deleting_since = self.deleting_since.map(Time);
        status.absent_since = self.absent_since.map(Time);
        status.adopted_since = self.adopted_since.map(Time);
        status.granted = (self.granted != GrantedStatus::default()).then_some(self.granted);
    }
}

impl Held {
    fn read(status: &HeldStatus) -> Option<Self> {
        Some(Self {
            release: ReleaseId::parse(&status.release)?,
            template: hash(&status.template_hash)?,
            by: status.by.clone(),
            since: status.since.0,
        })
    }

    fn write(self) -> HeldStatus {
        HeldStatus {
            release: self.release.to_string(),
            template_hash: self.template.to_string(),
            by: self.by,
            since: Time(self.since),
        }
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
            missing_secrets: status.missing_secrets.iter().filter_map(|id| id.clone().try_into().ok()).collect(),
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
            missing_secrets: self.missing_secrets.iter().map(ToString::to_string).collect(),
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
            candidate_url: status.candidate_url.clone(),
            service_uid: status.service_uid.clone(),
            others_service_uid: status.others_service_uid.clone(),
            deployed_by_others: status.deployed_by_others.clone(),
            step: status.step.as_ref().and_then(StepMemory::read),
            evidence: status.evidence.clone(),
            fast: status.fast.clone(),
            untouched_by: status.untouched_by.as_deref().and_then(ReleaseId::parse),
            waiting_since: time(status.waiting_since.as_ref()),
            moving_since: time(status.moving_since.as_ref()),
            overdue_since: time(status.overdue_since.as_ref()),
            unreadable_since: time(status.unreadable_since.as_ref()),
            absent_since: time(status.absent_since.as_ref()),
        }
    }

    /// The part of a region's status that is remembered.
    pub(in crate::rollout) fn write(self, region: &Region) -> RegionStatus {
        RegionStatus {
            region: region.to_string(),
            url: self.url,
            candidate_url: self.candidate_url,
            service_uid: self.service_uid,
            others_service_uid: self.others_service_uid,
            deployed_by_others: self.deployed_by_others,
            step: self.step.map(StepMemory::write),
            evidence: self.evidence,
            fast: self.fast,
            untouched_by: self.untouched_by.map(|release| release.to_string()),
            waiting_since: self.waiting_since.map(Time),
            moving_since: self.moving_since.map(Time),
            overdue_since: self.overdue_since.map(Time),
            unreadable_since: self.unreadable_since.map(Time),
            absent_since: self.absent_since.map(Time),
            ..RegionStatus::default()
        }
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
