//! Another template is wanted: the old candidate loses its traffic before anything new gets any.

use orchestra_crds::{Outcome, RolloutPhase};

use super::decision::Decision;
use super::desire::Desire;
use super::memory::{Candidate, Memory};
use super::pass::Pass;
use super::place::Place;
use super::rollback::{Withdrawn, is_blocked, withdraw};
use super::{Turn, judge};
use crate::resource::ROLLBACK_AGAIN;
use crate::traffic::only_revision;

/// Takes a candidate back that is not wanted any more. None: there is none.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory, desire: &Desire) -> Option<Turn> {
    let candidate = memory.candidate.clone().filter(|candidate| !desire.wants(pass, candidate))?;
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
        // A new template waits; going back to what was promoted is no move forward.
        if let Some(how) = pass.paused(Some(release)).filter(|_| !desire.goes_back(pass, memory)) {
            if let Some(failed) = judge::held(pass, memory, &candidate) {
                return Some(failed);
            }
            return Some(Decision::held(format!("{why}; its traffic stays where it is: held, {how}")).into());
        }
        let message = format!("{why}; its traffic goes back to stable in {}", back.remaining.join(", "));
        let decision = match is_blocked(pass, memory, release) {
            false => Decision::working(RolloutPhase::RollingBack, "Superseding", message),
            true => Decision::stalled(RolloutPhase::RollingBack, "RollbackBlocked", format!("{message}. It goes on")),
        };
        return Some(decision.with_effects(back.effects).urgent(ROLLBACK_AGAIN).into());
    }
    if memory.stable.is_none() && serves_alone(pass, &candidate) {
        // The first revision has users: the next one is judged against it.
        memory.stable = Some(candidate.as_stable(None));
        memory.note_promoted(&release.revision, Some(candidate.template_hash.clone()));
    }
    let (outcome, message) = match returned {
        true => (Outcome::Returned, "the spec went back to the stable template"),
        false if desire.own == candidate.template_hash => {
            (Outcome::Superseded, "what the environment adds changed: a secret's version, a default or an address")
        }
        false if memory.was_retried_since(candidate.started_at) => {
            (Outcome::Superseded, "a retry of what had failed was asked for")
        }
        false => (Outcome::Superseded, "the spec changed"),
    };
    let times = (candidate.started_at, pass.seen.now);
    memory.note_end((release, candidate.image.clone()), outcome, message.into(), times);
    memory.candidate = None;
    Some(Turn::Again)
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
