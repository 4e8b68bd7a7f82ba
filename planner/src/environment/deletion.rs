//! The end of an environment: after its Rollouts, part after part in reverse, with what it made or without, by policy.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::condition::RECONCILING;
use orchestra_crds::{DeletionPolicy, EnvironmentStatus};

use super::part::{LetGo, Part, PartPlan, State};
use super::{Observation, events, is_only_observed, operations, refused, unchanged};
use crate::cloud::FaultClass;
use crate::conditions::{self, Note, Overall, note};
use crate::plan::{Effect, Finalizer, POLL, Plan, QUIET, Urgency, hold_back, with_way_out};
use crate::reason::Reason;
use crate::second_look;

/// Something that does not end is in the way of a deletion.
const BLOCKED: Reason = Reason::DeletionBlocked;
/// How long the deletion of its Rollouts may take before a person is told.
const ROLLOUTS_TAKE: SignedDuration = SignedDuration::from_mins(10);
const ROLLOUTS_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// Decides about an environment that is being deleted.
pub(super) fn plan(seen: &Observation) -> Plan<EnvironmentStatus> {
    let mut status = seen.old_status();
    // The cluster's clock may be another than ours.
    status.deleting_since.get_or_insert(Time(seen.now));
    if !seen.rollouts.is_empty() {
        return after_rollouts(seen, status);
    }
    if is_only_observed(&seen.environment) {
        return unchanged(seen, Finalizer::Remove);
    }
    let mut doubtful = false;
    for part in Part::ALL.into_iter().rev() {
        match part.let_go(seen, &mut status) {
            LetGo::Never => {}
            LetGo::NothingFound => doubtful = true,
            LetGo::Write(effect, message) => {
                let overall = Overall::Reconciling(note(reason(seen), message));
                return going_on(seen, status, overall, vec![effect], POLL);
            }
            LetGo::Wait(message) => return waits(seen, status, message),
            LetGo::Unreadable(what, fault) => {
                let unreadable = PartPlan::unreadable(&what, &fault);
                if unreadable.state != State::Stalled {
                    return waits(seen, status, unreadable.note.message);
                }
                if nothing_was_made(seen, fault.class) {
                    continue;
                }
                let stalled = Note::told(unreadable.note.reason, with_way_out(&unreadable.note.message));
                return going_on(seen, status, Overall::Stalled(stalled), vec![], QUIET);
            }
        }
    }
    if doubtful { unless_seen_twice(seen, status) } else { unchanged(seen, Finalizer::Remove) }
}

/// Whether nothing was ever made there, by a status that was not lost: what can't be seen need not be let go.
fn nothing_was_made(seen: &Observation, class: FaultClass) -> bool {
    let known = seen.environment.status.as_ref().filter(|status| !status.conditions.is_empty());
    let never = known.is_some_and(|status| status.redis.is_none() && status.operations.is_empty());
    never && matches!(class, FaultClass::Denied | FaultClass::Permanent)
}

fn reason(seen: &Observation) -> Reason {
    if seen.environment.spec.deletion_policy == DeletionPolicy::Delete { Reason::Deleting } else { Reason::Releasing }
}

/// Its Rollouts go first: that is as it should be, until it takes long.
fn after_rollouts(seen: &Observation, status: EnvironmentStatus) -> Plan<EnvironmentStatus> {
    let message = format!("waiting for the deletion of its Rollouts: {}", seen.rollouts.join(", "));
    let long = status.deleting_since.as_ref().is_some_and(|at| seen.now.duration_since(at.0) > ROLLOUTS_TAKE);
    let known = note(Reason::RolloutsRemain, message);
    let overall = if long { Overall::Stalled(known) } else { Overall::Reconciling(known) };
    going_on(seen, status, overall, vec![], ROLLOUTS_AGAIN)
}

/// Something is under way; what takes too long is told.
fn waits(seen: &Observation, mut status: EnvironmentStatus, message: String) -> Plan<EnvironmentStatus> {
    status.absent_since = None;
    let overall = if takes_too_long(seen, &status) {
        let minutes = operations::DEADLINE.as_mins();
        let message = format!("{message}, for more than {minutes} minutes: look at it in Google Cloud");
        Overall::Stalled(note(BLOCKED, message))
    } else {
        Overall::Reconciling(note(reason(seen), message))
    };
    going_on(seen, status, overall, vec![], POLL)
}

/// Lets go of what there may have been only when a second look finds nothing of ours, either.
fn unless_seen_twice(seen: &Observation, mut status: EnvironmentStatus) -> Plan<EnvironmentStatus> {
    let first = second_look::first(status.absent_since.as_ref().map(|at| at.0), seen.now);
    status.absent_since = Some(Time(first));
    match second_look::wait(first, seen.now) {
        None => unchanged(seen, Finalizer::Remove),
        Some(left) => {
            let message = "nothing of ours is found any more: looking once more before letting go";
            going_on(seen, status, Overall::Reconciling(note(Reason::ConfirmingAbsence, message)), vec![], left)
        }
    }
}

/// Whether a deletion has waited longer than any operation should take: since it was asked for, or since what was
/// wrong before it is over. After a time without a controller that is said early; the deletion goes on all the same.
fn takes_too_long(seen: &Observation, status: &EnvironmentStatus) -> bool {
    let asked = status.deleting_since.as_ref().map(|at| at.0);
    let known = status.conditions.iter().find(|c| c.type_ == RECONCILING && c.status == "True");
    let since = known.map(|condition| condition.last_transition_time.0).max(asked);
    let waited = known.and(since).map(|since| seen.now.duration_since(since));
    conditions::are_about(&status.conditions, BLOCKED) || waited.is_some_and(|waited| waited > operations::DEADLINE)
}

fn going_on(
    seen: &Observation,
    mut status: EnvironmentStatus,
    overall: Overall,
    mut effects: Vec<Effect>,
    next: SignedDuration,
) -> Plan<EnvironmentStatus> {
    if !effects.is_empty() {
        status.absent_since = None;
    }
    let overall = refused(seen, &effects).unwrap_or(overall);
    let held = hold_back(&mut effects, &seen.failed_writes, seen.now, false).map(|(_, left)| left);
    let generation = seen.environment.metadata.generation;
    status.observed_generation = generation;
    status.message = Some(overall.note().message.clone());
    let parts: Vec<_> = status
        .conditions
        .iter()
        .filter(|c| Part::ALL.iter().any(|part| part.condition() == c.type_))
        .cloned()
        .collect();
    status.conditions = conditions::update(&status.conditions, overall.conditions(), generation, seen.now);
    status.conditions.extend(parts);
    let events = events::between(&seen.old_status(), &status);
    let next = held.unwrap_or(next);
    Plan { finalizer: Finalizer::Keep, status, effects, events, next, urgency: Urgency::Work }
}
