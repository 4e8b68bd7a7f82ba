//! The end of a Rollout: its services are released or deleted, by the environment's policy.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{DeletionPolicy, RegionStatus, RolloutPhase};

use super::decision::Decision;
use super::leave::{is_mine, let_go, policy_of};
use super::memory::Memory;
use super::pass::Pass;
use super::place::Place;
use super::{observed, unknown_marks, unread};
use crate::cloud::{Fault, FaultClass};
use crate::conditions::{Overall, note};
use crate::plan::Effect;
use crate::reason::Reason;
use crate::resource::ResourceId;
use crate::second_look;

/// How long a deletion may take before a person is told what is in the way. It goes on all the same.
const DEADLINE: SignedDuration = SignedDuration::from_mins(30);

/// What is left to do; none: nothing of ours is left.
pub(super) fn decide(pass: &Pass<'_>, memory: &mut Memory) -> Option<Decision> {
    // The cluster's clock may be another than ours.
    let since = *memory.deleting_since.get_or_insert(pass.seen.now);
    let is_known = pass.seen.environment.is_some() && !observed::is_unread(pass.seen);
    if let (false, Some(told)) = (is_known, unread::told(pass.seen)) {
        return Some(Decision::new(RolloutPhase::Deleting, Overall::Stalled(told)).with_way_out());
    }
    if pass.seen.environment.is_none() && pass.remembers {
        let message = format!(
            "environment `{}` is gone, and with it where the services are: create it again, or remove the finalizer `{}` with \
             kubectl edit and look after the services yourself",
            pass.seen.rollout.spec.environment_ref.name,
            orchestra_crds::FINALIZER
        );
        return Some(Decision::stalled(RolloutPhase::Deleting, Reason::EnvironmentMissing, message));
    }
    if let Some(decision) = unknown_marks(pass, RolloutPhase::Deleting) {
        return Some(decision.with_way_out());
    }
    let mine: Vec<&Place<'_>> = pass.places.iter().filter(|place| is_mine(place)).collect();
    let effects: Vec<Effect> = mine.iter().filter_map(|place| let_go(pass, memory, place, place.view()?)).collect();
    let may_matter = |(_, fault): &(&Place<'_>, &Fault)| {
        !(nothing_was_made(pass) && matches!(fault.class, FaultClass::Denied | FaultClass::Permanent))
    };
    if let Some((place, fault)) = pass.unread().find(may_matter) {
        let what = format!("the service in {}", place.region());
        let unread = Decision::unreadable(RolloutPhase::Deleting, &what, fault).with_way_out();
        return Some(blamed(pass, since, unread.with_effects(effects)));
    }
    if mine.is_empty() {
        return unless_seen_twice(pass, memory);
    }
    memory.absent_since = None;
    let deletes = |place: &&&Place<'_>| policy_of(pass, place) == DeletionPolicy::Delete;
    let what = match mine.iter().filter(deletes).count() {
        0 => "released",
        all if all == mine.len() => "deleted",
        _ => "deleted, or released where others had made them",
    };
    let regions: Vec<String> = mine.iter().map(|place| left(pass, place)).collect();
    let message = format!("the Cloud Run services are being {what}: {}", regions.join(", "));
    let decision = Decision::working(RolloutPhase::Deleting, Reason::Deleting, message);
    Some(blamed(pass, since, decision.with_effects(effects)))
}

/// Whether nothing was ever made or taken over, by a status that was not lost: what can't be seen need not be let go.
fn nothing_was_made(pass: &Pass<'_>) -> bool {
    // Of a status that was lost and written anew nobody knows it: what would be deleted is not let go by that.
    let is_kept = super::leave::policy(pass) == DeletionPolicy::Retain;
    let status = pass.seen.rollout.status.as_ref().filter(|status| is_kept && !status.conditions.is_empty());
    status.is_some_and(|status| {
        let is_known = |region: &RegionStatus| region.service_uid.is_some() || region.step.is_some();
        let never = status.stable.is_none() && status.candidate.is_none() && status.failed.is_none();
        never && status.history.is_empty() && status.promoted.is_empty() && !status.regions.iter().any(is_known)
    })
}

/// A region that is left, and what is known to be in the way there.
fn left(pass: &Pass<'_>, place: &Place<'_>) -> String {
    let failed = pass.seen.failed_writes.get(&ResourceId::Service(place.seen.id.clone()));
    let settles = place.view().is_some_and(|view| !view.settled);
    match (failed, settles) {
        (Some(failed), _) => format!("{} ({})", place.region(), failed.fault.message),
        (None, true) => format!("{} (Cloud Run is still changing it)", place.region()),
        (None, false) => place.region().to_string(),
    }
}

/// What takes too long needs a person.
fn blamed(pass: &Pass<'_>, since: Timestamp, mut decision: Decision) -> Decision {
    let late = pass.seen.now.duration_since(since) > DEADLINE;
    if let (true, Overall::Reconciling(going_on)) = (late, &decision.overall) {
        let message = format!("for more than {} minutes {}", DEADLINE.as_mins(), going_on.message);
        decision.overall = Overall::Stalled(note(Reason::DeletionBlocked, message));
    }
    decision
}

/// Lets go of what we knew of only when a second look finds nothing of ours, either.
fn unless_seen_twice(pass: &Pass<'_>, memory: &mut Memory) -> Option<Decision> {
    let first = second_look::first(memory.absent_since, pass.seen.now);
    memory.absent_since = Some(first);
    let left = second_look::wait(first, pass.seen.now).filter(|_| pass.remembers)?;
    let message = "none of the services is ours any more: looking once more before letting go";
    Some(Decision::working(RolloutPhase::Deleting, Reason::ConfirmingAbsence, message).look_again_in(left))
}
