//! Everything is as it should be, or is put back to that.

use orchestra_crds::RolloutPhase;

use super::decision::Decision;
use super::desire::Desire;
use super::memory::{Candidate, Memory, Stable};
use super::pass::Pass;
use super::place::{Ownership, Place};
use super::rollback::written_long_ago;
use super::{advance, failure, past, reach};
use crate::cloud::{Fault, FaultClass, ServiceView, TrafficTarget, Trouble};
use crate::conditions::{Note, Overall, note};
use crate::difference::shares;
use crate::names::{Percent, Region};
use crate::plan::{BRIEFLY, Effect, ServiceChange, read_again};
use crate::reason::Reason;
use crate::resource::ResourceId;
use crate::template::Gate;
use crate::traffic::{all_to, same_shares, weight_of};

/// Whether a fault in reading has lasted only for a moment, and may pass by itself.
pub(super) fn is_brief(pass: &Pass<'_>, memory: &Memory, place: &Place<'_>, fault: &Fault) -> bool {
    let since = memory.region(place.region()).unreadable_since.unwrap_or(pass.seen.now);
    matches!(fault.class, FaultClass::Retryable | FaultClass::Conflict) && pass.seen.now.duration_since(since) < BRIEFLY
}

/// The places that can't be read, and not only for a moment.
pub(super) fn unread_for_long<'p, 'a>(
    pass: &'p Pass<'a>,
    memory: &'p Memory,
) -> impl Iterator<Item = (&'p Place<'a>, &'p Fault)> {
    pass.unread_waves().filter(|(place, fault)| !is_brief(pass, memory, place, fault))
}

/// Keeps stable where it is.
pub(super) fn decide(pass: &Pass<'_>, memory: &Memory, desire: &Desire, stable: &Stable) -> Decision {
    let upkeep = upkeep(pass, memory);
    let phase = if desire.latch.is_some() { RolloutPhase::RolledBack } else { RolloutPhase::Promoted };
    let decision = if let (Some(how), true) = (pass.paused(None), upkeep.held) {
        let place = pass.waves().find(|place| moved_away(place, memory).is_some());
        let serves = place.and_then(|place| Some((place.region(), shares(&place.view()?.serving))));
        let message = format!(
            "the traffic was changed past Orchestra{}, and stays as it is{}: held, {how}",
            place.map_or(String::new(), past::last_written),
            serves.map_or(String::new(), |(region, shares)| format!(", in {region} {shares}, judged by nobody"))
        );
        let told = Overall::Reconciling(note(Reason::TrafficChanged, message.clone()));
        Decision { overall: told, ..Decision::held(message) }
    } else if let Some(region) = &upkeep.drifted {
        let place = pass.waves().find(|place| place.region().as_str() == region);
        let message = format!(
            "{region}: the traffic was changed past Orchestra{}; it goes back to `{}` (to keep a change made by hand, set \
             spec.paused)",
            place.map_or(String::new(), past::last_written),
            stable.revision
        );
        Decision::working(phase, Reason::TrafficCorrected, message)
    } else if let Some(region) = &upkeep.undone {
        let message = format!(
            "{region}: Cloud Run took the traffic for `{}`, and does not send it there{}; it is asked for again each minute",
            stable.revision,
            said(pass, region)
        );
        Decision::stalled(phase, Reason::TrafficNotInEffect, message)
    } else if upkeep.moving {
        Decision::working(phase, Reason::Correcting, format!("traffic goes back to `{}`", stable.revision))
    } else if let Some(held) = &memory.held {
        let message = format!("{}; {}", held_where(pass, stable), held.words(&pass.seen.rollout.spec));
        Decision {
            overall: Overall::Reconciling(note(Reason::HeldByPerson, message.clone())),
            ..Decision::held(message)
        }
    } else if let Some(latch) = &desire.latch {
        failure::latched(pass, memory, latch)
    } else if !upkeep.effects.is_empty() {
        Decision::working(phase, Reason::Correcting, "the marks on the services are brought up to date")
    } else {
        quiet(pass, memory, desire, stable)
    };
    let unread = pass.unread().next().map(|(place, _)| memory.region(place.region()).unreadable_since);
    match unread {
        Some(since) => {
            let next = read_again(since.unwrap_or(pass.seen.now), pass.seen.now);
            decision.with_effects(upkeep.effects).look_again_in(next)
        }
        None => decision.with_effects(upkeep.effects),
    }
}

/// What there is to do to keep it.
#[derive(Default)]
struct Upkeep {
    effects: Vec<Effect>,
    /// Where somebody changed the traffic.
    drifted: Option<String>,
    /// Where the traffic that was asked for long ago is not in effect.
    undone: Option<String>,
    moving: bool,
    /// Somewhere a person holds it.
    held: bool,
}

/// The writes that keep stable where it is, while something is in the way of all else. Beside a release there are none.
pub(super) fn meanwhile(pass: &Pass<'_>, memory: &Memory) -> Vec<Effect> {
    if memory.candidate.is_some() { vec![] } else { upkeep(pass, memory).effects }
}

/// The writes that keep stable where it is, while it does not get into a region that is new to it.
pub(super) fn elsewhere(pass: &Pass<'_>, memory: &Memory) -> Vec<Effect> {
    let spreads = memory.candidate.as_ref().map(|candidate| &candidate.release);
    let is_new = |place: &Place<'_>| spreads.is_none_or(|release| reach::may_be_in(memory, place.region(), release));
    let written: Vec<ResourceId> =
        pass.waves().filter(|place| is_new(place)).map(|place| ResourceId::Service(place.seen.id.clone())).collect();
    upkeep(pass, memory).effects.into_iter().filter(|effect| !written.contains(&effect.resource())).collect()
}

/// A region that the candidate has not come to, and the write that puts its traffic back to stable: somebody changed it.
pub(super) fn moved_ahead<'p, 'a>(
    pass: &'p Pass<'a>,
    memory: &'p Memory,
    candidate: &'p Candidate,
) -> impl Iterator<Item = (&'p Place<'a>, Effect)> {
    let held = pass.paused(Some(&candidate.release)).is_some() || memory.spreads_stable();
    pass.waves().filter(move |place| !reach::is_seen(memory, place, &candidate.release)).filter_map(move |place| {
        let view = place.ours().filter(|view| view.settled && (!held || has_failed(place, view)))?;
        let traffic = Some(moved_away(place, memory)?);
        let marks = Some(place.owned_marks(pass.seen, memory));
        let change = ServiceChange { traffic, marks, ..ServiceChange::default() };
        let (service, etag) = (place.seen.id.clone(), view.etag.clone());
        Some((place, Effect::UpdateService { service, etag, change: Box::new(change) }))
    })
}

/// The traffic that a region should have, if somebody asked for another. Where stable can't serve there is nothing to
/// give the traffic to.
fn moved_away(place: &Place<'_>, memory: &Memory) -> Option<Vec<TrafficTarget>> {
    let view = place.ours()?;
    let wanted = all_to(&place.stable(memory)?, &view.traffic);
    (!same_shares(&wanted, &view.traffic)).then_some(wanted)
}

/// Whether somebody changed the traffic in any region.
pub(super) fn is_moved(pass: &Pass<'_>, memory: &Memory) -> bool {
    pass.waves().any(|place| moved_away(place, memory).is_some())
}

/// Whether a revision that failed has requests: no pause holds the way back from it.
fn has_failed(place: &Place<'_>, view: &ServiceView) -> bool {
    let has_requests = |name| weight_of(name, &view.traffic).max(weight_of(name, &view.serving)) > Percent::NONE;
    place.marks.failed.iter().any(|failed| has_requests(&failed.release.revision))
}

fn upkeep(pass: &Pass<'_>, memory: &Memory) -> Upkeep {
    let mut upkeep = Upkeep::default();
    let paused = pass.paused(None).is_some();
    for place in pass.waves() {
        let Some(view) = place.ours() else { continue };
        let home = place.stable(memory);
        let wanted = home.as_ref().map(|home| all_to(home, &view.traffic));
        let drifted = moved_away(place, memory).is_some();
        let unmarked = matches!(place.ownership, Ownership::Released | Ownership::Stripped)
            || !place.knows_regions(pass)
            || !place.knows_failures(memory)
            || place.marks.held != super::undo::mark(memory);
        let has_all = home.as_ref().is_none_or(|home| weight_of(home, &view.serving).get() == 100);
        // A write that Cloud Run accepted may still fail.
        let undone = view.settled && !drifted && !has_all && written_long_ago(view, pass.seen.now);
        let stuck = (advance::is_stuck(pass, view) && home.is_some()) || undone;
        let held = paused && drifted && !has_failed(place, view);
        let arrived = view.settled && has_all;
        upkeep.moving |= home.is_some() && !arrived && !held;
        upkeep.held |= held;
        if undone {
            upkeep.undone.get_or_insert(place.region().to_string());
        }
        if drifted && view.settled {
            upkeep.drifted.get_or_insert(place.region().to_string());
        }
        let move_back = ((drifted && view.settled) || stuck) && (!paused || has_failed(place, view));
        if move_back || unmarked {
            let traffic = wanted.filter(|_| move_back);
            let marks = Some(place.marks_with_regions(pass, memory));
            let change = ServiceChange { traffic, marks, ..ServiceChange::default() };
            let (service, etag) = (place.seen.id.clone(), view.etag.clone());
            upkeep.effects.push(Effect::UpdateService { service, etag, change: Box::new(change) });
        }
    }
    upkeep
}

/// What Cloud Run says is wrong with the service there.
fn said(pass: &Pass<'_>, region: &str) -> String {
    let place = pass.waves().find(|place| place.region().as_str() == region);
    let trouble = place.and_then(|place| place.view()?.trouble.as_ref());
    trouble.map(|trouble| format!(" ({}: {})", trouble.reason, trouble.message)).unwrap_or_default()
}

/// Writes that name every region in the marks of the services that are there.
pub(super) fn mark_regions(pass: &Pass<'_>, memory: &Memory) -> Vec<Effect> {
    let unaware = pass.waves().filter(|place| !place.knows_regions(pass));
    let write = |place: &Place<'_>| {
        let change = ServiceChange { marks: Some(place.marks_with_regions(pass, memory)), ..ServiceChange::default() };
        let (service, etag) = (place.seen.id.clone(), place.ours()?.etag.clone());
        Some(Effect::UpdateService { service, etag, change: Box::new(change) })
    };
    unaware.filter_map(write).collect()
}

/// Nothing is to do: what is told.
fn quiet(pass: &Pass<'_>, memory: &Memory, desire: &Desire, stable: &Stable) -> Decision {
    if let Some((region, trouble)) = troubled(pass, stable) {
        let message =
            format!("{region}: Cloud Run says that the service is not ready ({}): {}", trouble.reason, trouble.message);
        return Decision::stalled(RolloutPhase::Promoted, Reason::ServiceNotReady, message);
    }
    if let (Some(region), Err(gate)) = (without_service(pass), &desire.built) {
        let message = format!("{region}: there is no service, and none can be made now: {}", gate.note().message);
        return match gate {
            Gate::Waiting(_) => Decision::working(RolloutPhase::Deploying, Reason::ServiceGone, message),
            Gate::Blocked(_) => Decision::stalled(RolloutPhase::Deploying, Reason::ServiceGone, message),
        };
    }
    let mut message = format!("`{}` gets all requests", stable.revision);
    if let Some(last) = memory.history.first().filter(|last| last.revision == stable.revision.as_str()) {
        message = format!("{message}; {}", last.message);
    }
    message.push_str(&past::told(pass, memory));
    match &desire.built {
        Ok(_) => Decision::new(RolloutPhase::Promoted, Overall::Ready(note(Reason::Promoted, message))),
        Err(gate) => {
            let (closed, words) = (gate.note(), format!("{message}; {}", gate.note().message));
            let overall = match gate {
                Gate::Waiting(_) => Overall::Reconciling(Note::told(closed.reason.clone(), words)),
                Gate::Blocked(_) => Overall::Stalled(Note::told(closed.reason.clone(), words)),
            };
            Decision::new(RolloutPhase::Promoted, overall)
        }
    }
}

/// Where the requests go while a person holds stable.
fn held_where(pass: &Pass<'_>, stable: &Stable) -> String {
    let requests = format!("`{}` gets all requests", stable.revision);
    if let Some(region) = without_service(pass) {
        return format!("{requests} but in {region}, where there is no service: the next template makes one");
    }
    match troubled(pass, stable) {
        Some((region, trouble)) => {
            format!("{requests}, and {region} is not ready, says Cloud Run ({}): {}", trouble.reason, trouble.message)
        }
        None => requests,
    }
}

/// The first region in which there is no service.
pub(super) fn without_service<'p>(pass: &'p Pass<'_>) -> Option<&'p Region> {
    pass.waves().find(|place| matches!(place.seen.service, Ok(None))).map(Place::region)
}

/// A service that is not ready though it runs stable.
fn troubled<'p>(pass: &'p Pass<'_>, stable: &Stable) -> Option<(String, &'p Trouble)> {
    pass.waves().find_map(|place| {
        let view = place.ours()?;
        let trouble = view.trouble.as_ref()?;
        (view.template_revision.as_ref() == Some(&stable.revision)).then(|| (place.region().to_string(), trouble))
    })
}
