//! How far a candidate is in one region, and the writes that take it on.

use jiff::Timestamp;
use orchestra_crds::RolloutStatus;

use super::RegionView;
use super::identity::{Ownership, Release};
use crate::cloud::{Fault, Readiness, ServiceView, TrafficTarget, Trouble};
use crate::marks::{CandidateMark, Marks, Step};
use crate::names::{Percent, RevisionName};
use crate::plan::{Effect, ServiceChange};
use crate::traffic;

/// How far a candidate is in one region.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Progress {
    /// Not known.
    Unreadable(Fault),
    /// The service is another's.
    Foreign,
    /// There is no service.
    Missing,
    /// The service speaks of a stable revision that was not found: nothing may move until it is.
    StableMissing,
    /// There is no such revision, and none on its way.
    NotDeployed,
    /// It is being made, since then.
    Starting(Timestamp),
    /// It can't serve.
    Broken(Trouble),
    /// It can serve, and has no traffic.
    Ready,
    /// Its traffic is not yet as it was written, then.
    Moving(Timestamp),
    /// Somebody else changed the traffic.
    Drifted(Step),
    /// A step is in effect.
    On {
        /// Counted from 1.
        step: u32,
        /// Since when.
        since: Timestamp,
    },
    /// It has all traffic.
    Done,
}

/// A candidate, as far as one region is concerned.
#[derive(Clone, Copy)]
pub(super) struct Placement<'a> {
    pub(super) release: &'a Release<'a>,
    pub(super) status: &'a RolloutStatus,
    pub(super) region: &'a RegionView,
    pub(super) candidate: &'a RevisionName,
}

impl Placement<'_> {
    pub(super) fn progress(&self) -> Progress {
        let Self { release, status, region, candidate } = *self;
        let view = match &region.service {
            Err(fault) => return Progress::Unreadable(fault.clone()),
            Ok(None) => return Progress::Missing,
            Ok(Some(view)) => view,
        };
        if release.ownership(&view.marks) == Ownership::Foreign {
            return Progress::Foreign;
        }
        let mark = view.marks.candidate_named(candidate);
        let started = status.candidate.as_ref().map_or(release.seen.now, |c| c.started_at.0);
        let since = mark.map_or(started, |m| m.at);
        let stable_vanished = self.vanished(view);
        match region.revisions.get(candidate) {
            None | Some(Ok(None)) if view.template_revision.as_ref() == Some(candidate) => {
                return Progress::Starting(since);
            }
            None | Some(Ok(None)) if stable_vanished => return Progress::StableMissing,
            None | Some(Ok(None)) => return Progress::NotDeployed,
            Some(Err(fault)) => return Progress::Unreadable(fault.clone()),
            Some(Ok(Some(revision))) => match &revision.readiness {
                Readiness::Pending => return Progress::Starting(since),
                Readiness::Failed(trouble) => return Progress::Broken(trouble.clone()),
                Readiness::Ready => {}
            },
        }
        if stable_vanished {
            return Progress::StableMissing;
        }
        let Some(mark) = mark else { return Progress::Ready };
        // A write of somebody else makes the service move again: the deadline is not about the step then.
        let moving_since = view.written_at.map_or(mark.at, |written| written.max(mark.at));
        let stable = self.stable();
        let expected = self.shares(stable.as_ref(), mark.step, &view.traffic);
        if !traffic::same_shares(&expected, &view.traffic) {
            return if view.settled { Progress::Drifted(mark.step) } else { Progress::Moving(moving_since) };
        }
        if !view.settled || !traffic::same_shares(&expected, &view.serving) {
            return Progress::Moving(moving_since);
        }
        match mark.step {
            Step::Deployed if stable.is_some() => Progress::Ready,
            Step::Deployed | Step::Full => Progress::Done,
            Step::Weight(step) => Progress::On { step, since: self.in_effect_since(view, mark, step) },
        }
    }

    /// Whether stable has traffic here and yet was not found. One stale read must not count as having no stable revision: the
    /// candidate would get everything.
    fn vanished(&self, view: &ServiceView) -> bool {
        let Self { status, region, candidate, .. } = *self;
        let stable = status.stable.as_ref().and_then(|s| RevisionName::new(s.revision.as_str()).ok());
        stable.filter(|stable| stable != candidate && region.lacks(stable)).is_some_and(|stable| {
            let has_traffic = |targets| traffic::weight_of(&stable, targets) > Percent::NONE;
            has_traffic(&view.traffic) || has_traffic(&view.serving)
        })
    }

    /// Since when a step has been in effect: as first seen, or as Cloud Run's own clock tells.
    fn in_effect_since(&self, view: &ServiceView, mark: &CandidateMark, step: u32) -> Timestamp {
        let recorded = self.status.regions.iter().find(|r| r.region == self.region.name()).and_then(|r| {
            let same = r.step.is_some_and(|s| u32::try_from(s) == Ok(step));
            r.step_started_at.as_ref().filter(|_| same).map(|t| t.0)
        });
        match recorded {
            // Of an earlier candidate on the same step.
            Some(at) if at.as_second() < mark.at.as_second() => mark.at,
            Some(at) => at,
            None => view.settled_at.map_or(mark.at, |settled| settled.max(mark.at)),
        }
    }

    /// The revision that this region can go back to.
    pub(super) fn stable(&self) -> Option<RevisionName> {
        self.release.stable_in(self.region, self.status)
    }

    fn shares(&self, stable: Option<&RevisionName>, step: Step, before: &[TrafficTarget]) -> Vec<TrafficTarget> {
        match stable {
            Some(stable) if stable != self.candidate => {
                traffic::split(stable, self.candidate, weight(self.status, step), before)
            }
            _ => traffic::all_to(self.candidate, before),
        }
    }

    /// The marks of the candidate on a step.
    pub(super) fn marks(&self, before: Option<&Marks>, step: Step) -> Marks {
        let (revision, at) = (self.candidate.clone(), self.release.seen.now);
        let weight = matches!(step, Step::Weight(_)).then(|| weight(self.status, step));
        Marks {
            owner: Some(self.release.owner()),
            stable: self.status.stable.as_ref().and_then(|s| RevisionName::new(s.revision.as_str()).ok()),
            candidate: Some(CandidateMark { revision, step, weight, at }),
            failed: before.map(|m| m.failed.clone()).unwrap_or_default(),
            others: before.map(|m| m.others.clone()).unwrap_or_default(),
        }
    }

    /// The write that puts the candidate on a step: traffic and marks together.
    pub(super) fn put_on_step(&self, view: &ServiceView, step: Step) -> Effect {
        let change = ServiceChange {
            traffic: Some(self.shares(self.stable().as_ref(), step, &view.traffic)),
            marks: Some(self.marks(Some(&view.marks), step)),
            ..ServiceChange::default()
        };
        Effect::UpdateService(self.region.id.clone(), view.etag.clone(), Box::new(change))
    }
}

/// The weight of a step, by the steps that the candidate started with.
pub(super) fn weight(status: &RolloutStatus, step: Step) -> Percent {
    let steps = status.candidate.iter().flat_map(|c| &c.steps);
    match step {
        Step::Deployed => Percent::NONE,
        Step::Full => Percent::ALL,
        Step::Weight(number) => {
            let index = usize::try_from(number).unwrap_or(1).saturating_sub(1);
            steps.map(|s| Percent::clamped(s.weight)).nth(index).unwrap_or(Percent::NONE)
        }
    }
}

/// The step after the one that a candidate is on.
pub(super) fn step_after(status: &RolloutStatus, step: Step) -> Step {
    let count = status.candidate.as_ref().map_or(0, |c| c.steps.len());
    let next = match step {
        Step::Deployed => 1,
        Step::Weight(number) => number.saturating_add(1),
        Step::Full => return Step::Full,
    };
    if usize::try_from(next).is_ok_and(|next| next <= count) { Step::Weight(next) } else { Step::Full }
}
