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

pub(super) fn progress(
    release: &Release<'_>,
    status: &RolloutStatus,
    region: &RegionView,
    candidate: &RevisionName,
) -> Progress {
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
    let stable_vanished = vanished(status, region, view, candidate);
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
    let stable = release.stable_in(region, status);
    let expected = shares(status, stable.as_ref(), candidate, mark.step, &view.traffic);
    if !traffic::same_shares(&expected, &view.traffic) {
        return if view.settled { Progress::Drifted(mark.step) } else { Progress::Moving(moving_since) };
    }
    if !view.settled || !traffic::same_shares(&expected, &view.serving) {
        return Progress::Moving(moving_since);
    }
    match mark.step {
        Step::Deployed if stable.is_some() => Progress::Ready,
        Step::Deployed | Step::Full => Progress::Done,
        Step::Weight(step) => Progress::On { step, since: in_effect_since(status, region, view, mark, step) },
    }
}

/// Whether stable has traffic here and yet was not found. One stale read must not count as having no stable revision: the
/// candidate would get everything.
fn vanished(status: &RolloutStatus, region: &RegionView, view: &ServiceView, candidate: &RevisionName) -> bool {
    let stable = status.stable.as_ref().and_then(|s| RevisionName::new(s.revision.as_str()).ok());
    stable.filter(|stable| stable != candidate && region.lacks(stable)).is_some_and(|stable| {
        let has_traffic = |targets| traffic::weight_of(&stable, targets) > Percent::NONE;
        has_traffic(&view.traffic) || has_traffic(&view.serving)
    })
}

/// Since when a step has been in effect: as first seen, or as Cloud Run's own clock tells.
fn in_effect_since(
    status: &RolloutStatus,
    region: &RegionView,
    view: &ServiceView,
    mark: &CandidateMark,
    step: u32,
) -> Timestamp {
    let recorded = status.regions.iter().find(|r| r.region == region.name()).and_then(|r| {
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

fn shares(
    status: &RolloutStatus,
    stable: Option<&RevisionName>,
    candidate: &RevisionName,
    step: Step,
    before: &[TrafficTarget],
) -> Vec<TrafficTarget> {
    match stable {
        Some(stable) if stable != candidate => traffic::split(stable, candidate, weight(status, step), before),
        _ => traffic::all_to(candidate, before),
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

/// The marks of a candidate on a step.
pub(super) fn marks(
    release: &Release<'_>,
    status: &RolloutStatus,
    before: Option<&Marks>,
    candidate: &RevisionName,
    step: Step,
) -> Marks {
    let (revision, at) = (candidate.clone(), release.seen.now);
    let weight = matches!(step, Step::Weight(_)).then(|| weight(status, step));
    Marks {
        owner: Some(release.owner()),
        stable: status.stable.as_ref().and_then(|s| RevisionName::new(s.revision.as_str()).ok()),
        candidate: Some(CandidateMark { revision, step, weight, at }),
        failed: before.map(|m| m.failed.clone()).unwrap_or_default(),
        others: before.map(|m| m.others.clone()).unwrap_or_default(),
    }
}

/// The write that puts a candidate on a step: traffic and marks together.
pub(super) fn put_on_step(
    release: &Release<'_>,
    status: &RolloutStatus,
    region: &RegionView,
    view: &ServiceView,
    candidate: &RevisionName,
    step: Step,
) -> Effect {
    let stable = release.stable_in(region, status);
    let change = ServiceChange {
        traffic: Some(shares(status, stable.as_ref(), candidate, step, &view.traffic)),
        marks: Some(marks(release, status, Some(&view.marks), candidate, step)),
        ..ServiceChange::default()
    };
    Effect::UpdateService(region.id.clone(), view.etag.clone(), Box::new(change))
}
