//! A region that leaves the spec, and every region of an object that is deleted: its service is let go, by policy.

use jiff::SignedDuration;
use orchestra_crds::DeletionPolicy;

use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use super::place::{Ownership, Place};
use super::{settings, tags};
use crate::cloud::ServiceView;
use crate::conditions::{Overall, note};
use crate::marks::{Marks, Owner, Position};
use crate::plan::{Effect, POLL, ServiceChange};
use crate::reason::Reason;
use crate::second_look;
use crate::traffic::{all_to, same_shares};

/// How long a service that is to be deleted may take to settle first.
const SETTLES_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// What happens to services that are let go.
pub(super) fn policy(pass: &Pass<'_>) -> DeletionPolicy {
    pass.seen.environment.as_ref().map(|e| e.spec.deletion_policy).unwrap_or_default()
}

/// What happens to a service: one that others had made is never deleted.
pub(super) fn policy_of(pass: &Pass<'_>, place: &Place<'_>) -> DeletionPolicy {
    if place.marks.adopted.is_some() { DeletionPolicy::Retain } else { policy(pass) }
}

/// Whether a service is this very object's.
pub(super) fn is_mine(place: &Place<'_>) -> bool {
    place.view().is_some() && matches!(place.ownership, Ownership::Ours | Ownership::Stripped)
}

/// The write that lets a service go; none: it has to settle first.
pub(super) fn let_go(pass: &Pass<'_>, memory: &Memory, place: &Place<'_>, view: &ServiceView) -> Option<Effect> {
    let (service, etag) = (place.seen.id.clone(), view.etag.clone());
    match policy_of(pass, place) {
        DeletionPolicy::Delete => {
            let long_ago = view.written_at.is_none_or(|at| pass.seen.now.duration_since(at) >= SETTLES_WITHIN);
            (view.settled || long_ago).then_some(Effect::DeleteService { service, etag })
        }
        DeletionPolicy::Retain => {
            let change = Box::new(released(pass, memory, place, view));
            Some(Effect::UpdateService { service, etag, change })
        }
    }
}

/// Takes our UID off, for an object of the same name to take the service over. A release that is half way goes back:
/// nobody watches a candidate whose object is gone.
fn released(pass: &Pass<'_>, memory: &Memory, place: &Place<'_>, view: &ServiceView) -> ServiceChange {
    let begun = memory.candidate.is_some() || memory.failure.as_ref().is_some_and(|f| !f.rolled_back);
    let on_trial = place.marks.candidate.as_ref().filter(|mark| mark.position != Position::Full);
    let half_way = begun || on_trial.is_some();
    // The candidate may have become stable elsewhere: here, it goes back to what it was to replace.
    let before = on_trial.and(place.marks.stable.clone()).filter(|stable| place.uses(stable));
    let stable = before.or_else(|| place.stable(memory)).filter(|_| half_way);
    let traffic = stable.clone().map(|s| all_to(&s, &view.traffic)).filter(|t| !same_shares(t, &view.traffic));
    let traffic = tags::let_go(pass.seen, view, traffic);
    let owner = Some(Owner { uid: None, ..pass.seen.owner() });
    let candidate = place.marks.candidate.clone().filter(|_| !half_way || stable.is_none());
    let marks = Marks { owner, candidate, ..place.marks.clone() }.knowing(memory.failures());
    ServiceChange { traffic, marks: Some(marks), settings: settings::let_go(view), ..ServiceChange::default() }
}

/// Adds what regions that left the spec need, where the release writes nothing there.
pub(super) fn add_departures(pass: &Pass<'_>, memory: &mut Memory, decision: &mut Decision) {
    let (mut leaving, mut deletes) = (vec![], policy(pass) == DeletionPolicy::Delete);
    for place in pass.places.iter().filter(|place| place.leaves) {
        let region = place.region().clone();
        let Ok(view) = &place.seen.service else {
            leaving.push(format!("{region} (it can't be read)"));
            continue;
        };
        let Some(view) = view.as_ref().filter(|_| is_mine(place)) else {
            if decision.writes(&service_of(place)) || !is_over(pass, memory, place) {
                leaving.push(region.to_string());
            }
            continue;
        };
        memory.region_mut(&region).absent_since = None;
        leaving.push(region.to_string());
        deletes &= policy_of(pass, place) == DeletionPolicy::Delete;
        if !decision.writes(&service_of(place)) && place.marks.unknown.is_none() {
            decision.effects.extend(let_go(pass, memory, place, view));
        }
    }
    if !leaving.is_empty() {
        decision.next = decision.next.min(POLL);
        if let Overall::Ready(ready) = &decision.overall {
            let what = if deletes { "deleted" } else { "released" };
            let message = format!("{}; left the environment and being {what}: {}", ready.message, leaving.join(", "));
            decision.overall = Overall::Reconciling(note(Reason::RegionLeaving, message));
        }
    }
}

fn service_of(place: &Place<'_>) -> crate::resource::ResourceId {
    crate::resource::ResourceId::Service(place.seen.id.clone())
}

/// Whether two looks have found nothing of ours there: the region is forgotten then.
fn is_over(pass: &Pass<'_>, memory: &mut Memory, place: &Place<'_>) -> bool {
    let known = memory.region_mut(place.region());
    let first = second_look::first(known.absent_since, pass.seen.now);
    known.absent_since = Some(first);
    let over = second_look::wait(first, pass.seen.now).is_none();
    if over {
        memory.departed.insert(place.region().clone());
    }
    over
}
