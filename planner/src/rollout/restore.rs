//! A service that vanished, past Orchestra: its users are without one. It is made again with what was proven, whatever else
//! is going on; the candidate comes to it by its steps, as ever.

use jiff::SignedDuration;
use orchestra_crds::RolloutPhase;

use super::decision::Decision;
use super::desire::Desire;
use super::memory::{Memory, Stable};
use super::pass::Pass;
use super::place::Place;
use super::{Turn, judge, keep, settings, supersede};
use crate::conditions::note;
use crate::marks::Marks;
use crate::names::Region;
use crate::plan::{Effect, NewService, POLL};
use crate::reason::Reason;
use crate::second_look;
use crate::template::{EffectiveTemplate, Wanted};
use crate::traffic::all_to;

/// Makes stable's services again. None: none has vanished, or a release of stable's template has to bring it back.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    let stable = memory.stable.clone()?;
    let gone: Vec<&Place<'_>> = pass.waves().filter(|place| has_vanished(memory, place)).collect();
    let region = gone.first()?.region();
    // What is taken back waits for nothing.
    if let Some(candidate) = memory.candidate.clone().filter(|_| !memory.spreads_stable())
        && let Some(back) = judge::held(pass, memory, &candidate)
    {
        return Some(back);
    }
    if supersede::can_be_taken_back(pass, memory, &Desire::of(pass, memory)) {
        return None;
    }
    if let Some(left) = in_doubt(pass, memory, &gone) {
        let message = format!("{region}: the service is not found any more: looking once more");
        let doubt = Decision::working(RolloutPhase::Progressing, Reason::ConfirmingAbsence, message);
        return Some(doubt.in_region(region).look_again_in(left).into());
    }
    if pass.seen.rollout.spec.adopt.is_some() && memory.adopted_since.is_some() {
        return Some(not_made_again(pass, memory, region).into());
    }
    let Some(template) = as_it_was(pass, &stable) else {
        let candidate = memory.candidate.as_ref()?;
        let message = format!(
            "{region}: somebody deleted the service, and `{}` can't be made again: the environment has changed since. Abort \
             `{}` to release stable's template with what the environment adds now",
            stable.revision, candidate.release
        );
        return Some(Decision::ask_person(note(Reason::ServiceGone, message)).in_region(region).into());
    };
    let message = format!("{region}: somebody deleted the service; it is made again with `{}`", stable.revision);
    let phase = if memory.candidate.is_some() { RolloutPhase::Progressing } else { RolloutPhase::Deploying };
    let effects = gone.iter().map(|place| create(pass, memory, &stable, place, &template)).collect();
    Some(Decision::working(phase, Reason::ServiceGone, message).with_effects(effects).in_region(region).into())
}

/// What others had made is not made again while the spec names it: who may call it, its labels and what else was theirs are not
/// known here.
fn not_made_again(pass: &Pass<'_>, memory: &Memory, region: &Region) -> Decision {
    let what_else = match pass.seen.rollout.spec.traffic_only {
        true => "",
        false => "; or take spec.adopt out, and it is made of what the spec says",
    };
    let message = format!(
        "{region}: somebody deleted the service, which others had made: make it again, and it is taken over{what_else}"
    );
    // The other regions are kept, and the candidate is judged there, meanwhile.
    let gone = Decision::stalled(RolloutPhase::Pending, Reason::ServiceGone, message).in_region(region);
    let gone = gone.with_effects(keep::meanwhile(pass, memory));
    if memory.candidate.is_some() { gone.by(POLL) } else { gone }
}

/// How long until the absence of the first of them is sure: one old read is none.
fn in_doubt(pass: &Pass<'_>, memory: &mut Memory, gone: &[&Place<'_>]) -> Option<SignedDuration> {
    let waits = gone.iter().map(|place| {
        let known = memory.region_mut(place.region());
        let first = second_look::first(known.absent_since, pass.seen.now);
        known.absent_since = Some(first);
        second_look::wait(first, pass.seen.now)
    });
    waits.max().flatten()
}

/// Whether there was a service of ours, and is none.
fn has_vanished(memory: &Memory, place: &Place<'_>) -> bool {
    matches!(place.seen.service, Ok(None)) && memory.region(place.region()).service_uid.is_some()
}

/// What stable runs, if the same still comes of it.
fn as_it_was(pass: &Pass<'_>, stable: &Stable) -> Option<EffectiveTemplate> {
    let wanted = Wanted::build(stable.template.as_ref()?, pass.seen.environment.as_ref()?).ok()?;
    pass.is_of(&stable.revision, &wanted).then_some(wanted.template)
}

fn create(
    pass: &Pass<'_>,
    memory: &Memory,
    stable: &Stable,
    place: &Place<'_>,
    template: &EffectiveTemplate,
) -> Effect {
    let marks = Marks {
        owner: Some(pass.seen.owner()),
        stable: Some(stable.revision.clone()),
        last_release: memory.last_release(),
        promoted: memory.promoted.clone(),
        adopted: memory.adopted_since,
        regions: pass.waves().map(|place| place.region().clone()).collect(),
        others: pass.seen.rollout.spec.annotations.clone(),
        ..Marks::default()
    }
    .knowing(memory.failures());
    let new = NewService {
        template: template.clone(),
        traffic: all_to(&stable.revision, &[]),
        marks,
        settings: settings::wanted(pass.seen),
        revision: stable.revision.clone(),
    };
    Effect::CreateService { service: place.seen.id.clone(), new: Box::new(new) }
}
