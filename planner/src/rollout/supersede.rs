//! Another template is wanted: the old candidate loses its traffic before anything new gets any.

use orchestra_crds::{Outcome, RolloutPhase};

use super::decision::Decision;
use super::desire::Desire;
use super::memory::{Candidate, Memory};
use super::pass::Pass;
use super::place::Place;
use super::progress::Progress;
use super::rollback::{Withdrawn, is_blocked, withdraw};
use super::{Turn, advance, judge};
use crate::reason::Reason;
use crate::resource::ROLLBACK_AGAIN;
use crate::traffic::only_revision;

/// Takes a candidate back that is not wanted any more. None: there is none.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory, desire: &Desire) -> Option<Turn> {
    let candidate = memory.candidate.clone().filter(|candidate| leaves(pass, memory, desire, candidate))?;
    let release = &candidate.release;
    if memory.spreads_stable() {
        memory.candidate = None;
        return Some(Turn::Again);
    }
    let back = withdraw(pass, memory, &Withdrawn { release, failed: None });
    let returned = memory.stable.as_ref().is_some_and(|stable| desire.wants_stable(pass, stable));
    if !back.remaining.is_empty() {
        let why = format!("`{}` is superseded", release.revision);
        if let Some(aborted) = judge::aborted(pass, memory, &candidate) {
            return Some(aborted);
        }
        // A new template waits; going back to what was promoted is no move forward. Where somebody took its share, there is
        // nothing to hold.
        let serves = pass.places.iter().any(|place| place.uses(&release.revision) || place.seen.service.is_err());
        if let Some(how) = pass.paused(Some(release)).filter(|_| serves && !desire.goes_back(pass, memory)) {
            if let Some(failed) = judge::held(pass, memory, &candidate) {
                return Some(failed);
            }
            return Some(Decision::held(format!("{why}; its traffic stays where it is: held, {how}")).into());
        }
        let message = format!("{why}; its traffic goes back to stable in {}", back.remaining.join(", "));
        let decision = match is_blocked(pass, memory, release) {
            false => Decision::working(RolloutPhase::RollingBack, Reason::Superseding, message),
            true => {
                Decision::stalled(RolloutPhase::RollingBack, Reason::RollbackBlocked, format!("{message}. It goes on"))
            }
        };
        return Some(decision.with_effects(back.effects).urgent(ROLLBACK_AGAIN).into());
    }
    if memory.stable.is_none() && serves_alone(pass, &candidate) {
        // The first revision has users: the next one is judged against it.
        memory.stable = Some(candidate.as_stable(None));
        memory.note_promoted(&release.revision, Some(candidate.template_hash.clone()));
    }
    let (outcome, message) = match returned {
        true if desire.own == candidate.template_hash => {
            (Outcome::Returned, "what the environment adds went back to what the stable revision runs with")
        }
        true => (Outcome::Returned, "the spec went back to the stable template"),
        false if desire.own == candidate.template_hash => {
            (Outcome::Superseded, "what the environment adds changed: a secret's version, a default or an address")
        }
        false if was_retried(memory, &candidate) => (Outcome::Superseded, "a retry of what had failed was asked for"),
        false if pass.seen.rollout.spec.traffic_only => (Outcome::Superseded, "another revision was deployed"),
        false => (Outcome::Superseded, "the spec changed"),
    };
    let times = (candidate.started_at, pass.seen.now);
    memory.note_end((release, candidate.image.clone()), outcome, message.into(), times);
    memory.candidate = None;
    Some(Turn::Again)
}

/// Whether a candidate makes room for what is wanted.
fn leaves(pass: &Pass<'_>, memory: &Memory, desire: &Desire, candidate: &Candidate) -> bool {
    !desire.wants(pass, candidate) && (desire.goes_back(pass, memory) || !ends_first(pass, memory, candidate))
}

/// A way back that needs nothing but traffic, or is held up by a region that can't be read. What it leads away from may be
/// what somebody fled from: users stay where it has brought them, and what is new starts from there.
fn ends_first(pass: &Pass<'_>, memory: &Memory, candidate: &Candidate) -> bool {
    let states = judge::states(pass, memory, candidate);
    let is_traffic = |state: &Progress| {
        matches!(state, Progress::Ready | Progress::Moving(_) | Progress::Done | Progress::Unreadable(_))
    };
    let has_come = states.iter().any(|(_, state)| matches!(state, Progress::Moving(_) | Progress::Done));
    !memory.spreads_stable()
        && advance::goes_back(memory, candidate)
        && has_come
        && states.iter().all(|(_, state)| is_traffic(state))
}

/// Whether a candidate that is not wanted any more can be taken out of the traffic somewhere now: that waits for nothing.
pub(super) fn can_be_taken_back(pass: &Pass<'_>, memory: &Memory, desire: &Desire) -> bool {
    let Some(candidate) = memory.candidate.as_ref().filter(|candidate| leaves(pass, memory, desire, candidate)) else {
        return false;
    };
    let serves = pass.places.iter().any(|place| place.uses(&candidate.release.revision));
    let held = serves && pass.paused(Some(&candidate.release)).is_some() && !desire.goes_back(pass, memory);
    let back = || withdraw(pass, memory, &Withdrawn { release: &candidate.release, failed: None });
    !memory.spreads_stable() && !held && !back().effects.is_empty()
}

/// Whether it stood in for what had failed, with stable's template, and a person has asked for another try of that.
fn was_retried(memory: &Memory, candidate: &Candidate) -> bool {
    let stands_in = memory.stable.as_ref().is_some_and(|s| s.template_hash.as_ref() == Some(&candidate.template_hash));
    stands_in && memory.was_retried_since(candidate.started_at)
}

/// Whether a first revision has all requests of a region.
fn serves_alone(pass: &Pass<'_>, candidate: &Candidate) -> bool {
    let revision = &candidate.release.revision;
    let serves = |place: &Place<'_>| place.ours().is_some_and(|view| only_revision(&view.serving) == Some(revision));
    pass.waves().any(serves)
}

/// A candidate none of whose regions is in the environment any more: it was proven nowhere, and is not promoted.
pub(super) fn nowhere(pass: &Pass<'_>, memory: &mut Memory, candidate: &Candidate) -> Turn {
    let message = "every region of the release left the environment";
    let times = (candidate.started_at, pass.seen.now);
    memory.note_end((&candidate.release, candidate.image.clone()), Outcome::Superseded, message.into(), times);
    memory.candidate = None;
    Turn::Again
}
