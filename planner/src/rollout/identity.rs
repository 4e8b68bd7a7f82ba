//! Which revision is stable, which is the candidate, which failed: from the status, and where that is gone, from the
//! marks on the services.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{CanaryStep, CandidateStatus, FailureStatus, Outcome, RevisionStatus, RolloutStatus, requests};
use std::collections::BTreeSet;

use super::{Observation, RegionView};
use crate::cloud::ServiceView;
use crate::conditions::note;
use crate::marks::{Marks, Owner, Step};
use crate::names::{Percent, RevisionName, ServiceName, TemplateHash};
use crate::template::{EffectiveTemplate, Gate};
use crate::traffic;

/// One pass over a Rollout: what was seen, and what it means.
pub(super) struct Release<'a> {
    pub(super) seen: &'a Observation,
    /// What should run, or why that is not known.
    pub(super) desired: Result<Desired, Gate>,
    status: RolloutStatus,
    /// Whether the status knew which revision is which; otherwise the marks have to tell.
    pub(super) remembers: bool,
}

/// What should run.
pub(super) struct Desired {
    pub(super) template: EffectiveTemplate,
    pub(super) service: ServiceName,
    pub(super) hash: TemplateHash,
}

impl Desired {
    pub(super) fn is(&self, revision: &str) -> bool {
        RevisionName::new(revision).is_ok_and(|r| r.is_of(&self.service, &self.hash))
    }
}

/// Whose a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// This very object's.
    Ours,
    /// Let go by an object of the same name.
    Released,
    /// Another's, or nobody's.
    Foreign,
}

impl<'a> Release<'a> {
    pub(super) fn recover(seen: &'a Observation) -> Self {
        let desired = desired(seen);
        let mut status = seen.rollout.status.clone().unwrap_or_default();
        let remembers = status.stable.is_some() || status.candidate.is_some() || status.failed.is_some();
        if !remembers && seen.regions.iter().any(|region| region.service.is_err()) {
            // With one region's marks missing, stable and candidate could be mistaken for each other.
            return Self { seen, desired, status, remembers };
        }
        let views: Vec<&ServiceView> = ours(seen).map(|(_, _, view)| view).collect();
        let marks = || views.iter().map(|view| &view.marks);
        if status.stable.is_none() {
            status.stable = recover_stable(seen, &views)
                .map(|r| RevisionStatus { image: image_of(seen, &r), revision: r.to_string() });
        }
        let stable = status.stable.as_ref().map(|s| s.revision.clone());
        let serves = |revision: &str| Some(revision) == stable.as_deref();
        if status.candidate.is_none() && status.failed.is_none() {
            let failed: BTreeSet<&RevisionName> = marks().flat_map(|m| &m.failed).collect();
            status.candidate = views
                .iter()
                .filter_map(|view| recover_candidate(seen, view, &desired))
                .find(|c| !serves(&c.revision) && !failed.iter().any(|f| f.as_str() == c.revision));
        }
        if !remembers && status.candidate.is_none() {
            let retried =
                |r: &RevisionName| seen.annotation(requests::RETRY) == Some(r.as_str()) && was_asked(&status, r);
            let wanted = |revision: &str| desired.as_ref().is_ok_and(|d| d.is(revision));
            status.failed = marks()
                .filter_map(|m| m.failed.last())
                .filter(|r| !retried(r))
                .find(|r| wanted(r.as_str()) && !stable.as_deref().is_some_and(wanted))
                .map(|r| recover_failure(seen, r));
        }
        Self { seen, desired, status, remembers }
    }

    /// The status to start from: what is remembered or recovered, the rest to be filled in.
    pub(super) fn remembered(&self) -> RolloutStatus {
        self.status.clone()
    }

    /// The next name for the desired template: the first attempt that has not failed.
    pub(super) fn fresh_name(&self, desired: &Desired, status: &RolloutStatus) -> RevisionName {
        let mut failed: BTreeSet<&str> =
            self.ours().flat_map(|(_, _, view)| &view.marks.failed).map(RevisionName::as_str).collect();
        failed.extend(status.failed.iter().map(|f| f.revision.as_str()));
        let rolled_back = status.history.iter().filter(|r| r.outcome == Outcome::RolledBack);
        failed.extend(rolled_back.map(|r| r.revision.as_str()));
        let names = (1u32..).map(|attempt| RevisionName::for_template(&desired.service, &desired.hash, attempt));
        let fallback = RevisionName::for_template(&desired.service, &desired.hash, 1);
        names.take(1000).find(|name| !failed.contains(name.as_str())).unwrap_or(fallback)
    }

    pub(super) fn ownership(&self, marks: &Marks) -> Ownership {
        ownership(self.seen, marks)
    }

    /// Our owner mark.
    pub(super) fn owner(&self) -> Owner {
        Owner { name: self.seen.full_name(), uid: Some(self.seen.uid().to_string()) }
    }

    /// The regions' services that may be written, with their index.
    pub(super) fn ours(&self) -> impl Iterator<Item = (usize, &RegionView, &ServiceView)> {
        ours(self.seen)
    }

    /// The stable revision, where it exists in that region or may exist.
    pub(super) fn stable_in(&self, region: &RegionView, status: &RolloutStatus) -> Option<RevisionName> {
        let stable = RevisionName::new(status.stable.as_ref()?.revision.as_str()).ok()?;
        (!region.lacks(&stable)).then_some(stable)
    }
}

fn ownership(seen: &Observation, marks: &Marks) -> Ownership {
    match &marks.owner {
        Some(owner) if owner.name == seen.full_name() => match &owner.uid {
            Some(uid) if uid == seen.uid() => Ownership::Ours,
            None => Ownership::Released,
            Some(_) => Ownership::Foreign,
        },
        _ => Ownership::Foreign,
    }
}

/// The services that are ours or were let go, with their region's index: what another's says is none of our past.
fn ours(seen: &Observation) -> impl Iterator<Item = (usize, &RegionView, &ServiceView)> {
    let views = seen.regions.iter().enumerate().filter_map(|(index, region)| Some((index, region, region.view()?)));
    views.filter(|(_, _, view)| ownership(seen, &view.marks) != Ownership::Foreign)
}

/// Whether a retry of that revision was acted on already.
fn was_asked(status: &RolloutStatus, revision: &RevisionName) -> bool {
    status.requests.iter().any(|r| r.request == "retry" && r.target == revision.as_str())
}

fn desired(seen: &Observation) -> Result<Desired, Gate> {
    let reference = &seen.rollout.spec.environment_ref.name;
    let environment = seen.environment.as_ref().ok_or_else(|| {
        Gate::Blocked(note(
            "EnvironmentMissing",
            format!("spec.environmentRef: there is no OrchestraEnvironment `{reference}` in this namespace: create it"),
        ))
    })?;
    let service = ServiceName::new(seen.rollout.spec.service_name.as_str())
        .map_err(|bad| Gate::Blocked(note("InvalidSpec", format!("spec.serviceName: {bad}"))))?;
    let template = EffectiveTemplate::build(&seen.rollout, environment)?;
    let hash = template.hash();
    Ok(Desired { template, service, hash })
}

/// The revision that has everything everywhere; while a release is going on, the one that the marks name.
fn recover_stable(seen: &Observation, views: &[&ServiceView]) -> Option<RevisionName> {
    let first = views.first()?;
    let status = seen.rollout.status.as_ref();
    let on_trial = |revision: &RevisionName| {
        let candidate = status.and_then(|s| s.candidate.as_ref()).map(|c| c.revision.as_str());
        let failed = status.and_then(|s| s.failed.as_ref()).map(|f| f.revision.as_str());
        candidate == Some(revision.as_str()) || failed == Some(revision.as_str())
    };
    let everywhere = traffic::sole(&first.serving).filter(|sole| !on_trial(sole)).filter(|sole| {
        seen.regions.iter().all(|region| region.service.is_ok())
            && views.iter().all(|v| {
                let done = v.marks.candidate_named(sole).is_none_or(|c| c.step == Step::Full);
                traffic::sole(&v.serving) == Some(sole) && v.trouble.is_none() && done && !v.marks.failed.contains(sole)
            })
    });
    everywhere.cloned().or_else(|| views.iter().find_map(|v| v.marks.stable.clone()))
}

fn recover_candidate(
    seen: &Observation,
    view: &ServiceView,
    desired: &Result<Desired, Gate>,
) -> Option<CandidateStatus> {
    let mark = view.marks.candidate.as_ref()?;
    let has_traffic = traffic::weight_of(&mark.revision, &view.traffic) > Percent::NONE;
    let wanted = desired.as_ref().is_ok_and(|d| d.is(mark.revision.as_str()));
    (has_traffic || wanted).then(|| CandidateStatus {
        revision: mark.revision.to_string(),
        image: image_of(seen, &mark.revision).unwrap_or_else(|| seen.rollout.spec.template.image.clone()),
        started_at: Time(mark.at),
        steps: recover_steps(seen, &mark.revision),
        promote_token: None,
    })
}

/// The steps that a candidate started with. The spec may have other ones by now: the step that it is on keeps its number
/// and weight, those before and after it come from the spec.
fn recover_steps(seen: &Observation, candidate: &RevisionName) -> Vec<CanaryStep> {
    let wanted = seen.rollout.spec.strategy.canary.as_ref().map(|c| c.steps.clone()).unwrap_or_default();
    let on_step = ours(seen).find_map(|(_, _, view)| {
        let mark = view.marks.candidate_named(candidate)?;
        let Step::Weight(number) = mark.step else { return None };
        Some((usize::try_from(number).ok()?.checked_sub(1)?, mark.weight?.get()))
    });
    let Some((index, weight)) = on_step else { return wanted };
    if wanted.get(index).is_some_and(|step| step.weight == weight) {
        return wanted;
    }
    let (before, after): (Vec<CanaryStep>, Vec<CanaryStep>) = wanted.into_iter().partition(|s| s.weight < weight);
    let hold_seconds = after.first().or(before.last()).map_or(0, |nearest| nearest.hold_seconds);
    let present = CanaryStep { weight, hold_seconds };
    let missing = index.saturating_sub(before.len());
    let earlier = before.into_iter().take(index).chain(std::iter::repeat_n(present.clone(), missing));
    let later = after.into_iter().filter(|step| step.weight > weight);
    earlier.chain([present.clone()]).chain(later).collect()
}

fn recover_failure(seen: &Observation, revision: &RevisionName) -> FailureStatus {
    FailureStatus {
        revision: revision.to_string(),
        image: image_of(seen, revision).unwrap_or_else(|| seen.rollout.spec.template.image.clone()),
        generation: seen.generation(),
        reason: "FailedBefore".into(),
        message: "the service is marked: this revision failed before".into(),
        started_at: Time(seen.now),
        time: Time(seen.now),
        rolled_back: false,
    }
}

fn image_of(seen: &Observation, revision: &RevisionName) -> Option<String> {
    let read = seen.regions.iter().filter_map(|region| region.revisions.get(revision));
    read.filter_map(|reading| reading.as_ref().ok()?.as_ref()?.image.clone()).next()
}
