//! No release is going on: start one if what should run is new, otherwise keep what is there.

use orchestra_crds::RolloutPhase;
use std::collections::BTreeSet;

use super::decision::Decision;
use super::desire::Desire;
use super::memory::{Candidate, Course, Memory, Stable};
use super::pass::Pass;
use super::place::Place;
use super::steps::{Steps, analysis_of};
use super::{Turn, adopt, failure, keep, reach};
use crate::cloud::Fault;
use crate::marks::News;
use crate::names::{ReleaseId, RevisionName};
use crate::reason::Reason;
use crate::template::{Wanted, allowed};

/// Starts a release, or keeps what is there.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory, desire: &Desire) -> Turn {
    if let Some(stable) = memory.stable.clone().filter(|stable| desire.wants_stable(pass, stable)) {
        learn_stable(memory, desire);
        let lacks = |place: &Place<'_>| place.seen.lacks(&stable.revision);
        let spreads = desire.built.as_ref().ok().filter(|_| pass.waves().any(lacks));
        let blocked = match spreads {
            Some(_) => in_the_way(pass, memory, desire),
            None => {
                let lasting = keep::unread_for_long(pass, memory).next();
                let lasting = lasting.map(|unread| unreadable(pass, memory, desire, unread));
                lasting.or_else(|| foreign(pass, memory, desire))
            }
        };
        return match (spreads, blocked) {
            (Some(wanted), None) => start(pass, memory, desire, wanted, &stable.revision),
            (_, blocked) => beside(keep::decide(pass, memory, desire, &stable), blocked).into(),
        };
    }
    let promoted_before = desire.promoted_before(pass, memory);
    if let (Some(decision), None) = (in_the_way(pass, memory, desire), &promoted_before) {
        return decision.into();
    }
    match (&desire.built, promoted_before) {
        (Ok(wanted), Some(revision)) => start(pass, memory, desire, wanted, &revision),
        (Ok(wanted), None) => match pass.fresh_name(wanted, memory) {
            Some(revision) => start(pass, memory, desire, wanted, &revision),
            None if wanted.made.is_some() => {
                let message =
                    "what was deployed last has failed, and a revision that failed is never used again: deploy another";
                let phase = if memory.stable.is_some() { RolloutPhase::RolledBack } else { RolloutPhase::Pending };
                let told = Decision::stalled(phase, Reason::NoNameLeft, message);
                match memory.stable.clone() {
                    Some(stable) => beside(keep::decide(pass, memory, desire, &stable), Some(told)).into(),
                    None => told.into(),
                }
            }
            None => {
                let message = "a thousand attempts at this template have failed: change the template";
                Decision::stalled(RolloutPhase::Pending, Reason::NoNameLeft, message).into()
            }
        },
        (Err(_), Some(revision)) => return_to(pass, memory, desire, &revision),
        (Err(gate), None) => match &desire.latch {
            Some(latch) => failure::latched(pass, memory, latch).into(),
            None => Decision::closed(RolloutPhase::Pending, gate).into(),
        },
    }
}

/// What is in the way in one region stops nothing in the others: what is to be done there is done and told first.
fn beside(kept: Decision, blocked: Option<Decision>) -> Decision {
    match blocked {
        Some(blocked) if kept.effects.is_empty() => {
            let next = blocked.next.min(kept.next);
            blocked.look_again_in(next)
        }
        _ => kept,
    }
}

/// What nothing new is started beside: a region that can't be read, or whose service is another's.
fn in_the_way(pass: &Pass<'_>, memory: &Memory, desire: &Desire) -> Option<Decision> {
    let unread = pass.unread_waves().next().map(|unread| unreadable(pass, memory, desire, unread));
    unread.or_else(|| foreign(pass, memory, desire))
}

/// A region that can't be read. What failed is told with it: its cause, and the way on.
fn unreadable(pass: &Pass<'_>, memory: &Memory, desire: &Desire, (place, fault): (&Place<'_>, &Fault)) -> Decision {
    let since = memory.region(place.region()).unreadable_since.unwrap_or(pass.seen.now);
    let decision = match &desire.latch {
        Some(latch) => failure::latched(pass, memory, latch),
        None => Decision::unreadable(phase(pass, memory, desire), &format!("the service in {}", place.region()), fault),
    };
    decision.look_again_in(crate::plan::read_again(since, pass.seen.now))
}

/// A region whose service is another's.
fn foreign(pass: &Pass<'_>, memory: &Memory, desire: &Desire) -> Option<Decision> {
    let is_foreign = |place: &&Place<'_>| place.view().is_some() && place.is_others();
    let unowned = pass.waves().find(is_foreign)?;
    let latched = desire.latch.as_ref().map(|latch| failure::latched(pass, memory, latch));
    Some(latched.unwrap_or_else(|| adopt::foreign(unowned)))
}

/// The phase while nothing is known anew: it is about the spec that we see.
fn phase(pass: &Pass<'_>, memory: &Memory, desire: &Desire) -> RolloutPhase {
    if desire.latch.is_some() && memory.stable.is_some() {
        return RolloutPhase::RolledBack;
    }
    let promoted = memory.stable.as_ref().is_some_and(|stable| match &pass.built {
        Ok(wanted) => pass.is_of(&stable.revision, wanted),
        Err(_) => stable.template_hash.as_ref() == Some(&pass.own),
    });
    if promoted { RolloutPhase::Promoted } else { RolloutPhase::Pending }
}

/// What stable runs is known from what should run: they are the same.
fn learn_stable(memory: &mut Memory, desire: &Desire) {
    let (Ok(wanted), Some(stable)) = (&desire.built, memory.stable.as_mut()) else { return };
    stable.template_hash = Some(wanted.own.clone());
    stable.inputs = wanted.inputs.clone();
    stable.template = Some(desire.template.clone()).filter(|template| !template.is_absent());
    stable.image.get_or_insert_with(|| wanted.template.image().to_string());
    let revision = stable.revision.clone();
    if let Some(promoted) = memory.promoted.iter_mut().find(|p| p.revision == revision) {
        promoted.template = Some(wanted.own.clone());
    }
}

/// Starts a release, if nothing is in the way.
fn start(pass: &Pass<'_>, memory: &mut Memory, desire: &Desire, wanted: &Wanted, revision: &RevisionName) -> Turn {
    let spreads_stable = memory.is_stable(revision);
    let promoted = memory.promoted.iter().any(|p| p.revision == *revision);
    let returning = promoted || desire.template_was_promoted(memory);
    let image = wanted.template.image();
    if !returning
        && !spreads_stable
        && let Some(Err(gate)) = pass.seen.environment.as_ref().map(|e| allowed(image, e))
    {
        return Decision::closed(RolloutPhase::Pending, &gate).into();
    }
    if let Some(how) = pass.paused(None).filter(|_| !returning) {
        // What somebody sent elsewhere meanwhile is told first.
        if let Some(stable) = memory.stable.clone().filter(|_| keep::is_moved(pass, memory)) {
            return keep::decide(pass, memory, desire, &stable).into();
        }
        let mut decision = Decision::held(format!("a release of `{revision}` ({image}) is held, {how}"));
        decision.waits = Some(image.to_string());
        return decision.into();
    }
    // A service is made in a region when those that are there know of it.
    let effects = keep::mark_regions(pass, memory);
    if spreads_stable && !effects.is_empty() {
        let message = "the services are marked with the region that is new";
        return Decision::working(RolloutPhase::Promoted, Reason::Correcting, message).with_effects(effects).into();
    }
    let steps = if returning || spreads_stable || memory.stable.is_none() {
        Steps::default()
    } else {
        Steps::of(&pass.seen.rollout.spec.strategy, &analysis_of(&pass.seen.rollout.spec))
    };
    begin(pass, memory, revision, steps, image.to_string(), (&wanted.own, &wanted.inputs))
}

/// Back to a revision that was promoted, though what the environment adds is not known now: a change of traffic needs
/// none of it.
fn return_to(pass: &Pass<'_>, memory: &mut Memory, desire: &Desire, revision: &RevisionName) -> Turn {
    let missing = pass.waves().find(|place| place.seen.lacks(revision));
    if let (Some(_), Err(gate)) = (missing, &desire.built) {
        return Decision::closed(RolloutPhase::Pending, gate).into();
    }
    let image = desire.template.image().to_string();
    begin(pass, memory, revision, Steps::default(), image, (&desire.own, &BTreeSet::new()))
}

fn begin(
    pass: &Pass<'_>,
    memory: &mut Memory,
    revision: &RevisionName,
    steps: Steps,
    image: String,
    (own, inputs): (&crate::names::TemplateHash, &BTreeSet<crate::names::Fingerprint>),
) -> Turn {
    let before = memory.stable.as_ref().and_then(|s: &Stable| Some((s.template_hash.as_ref()?, &s.inputs)));
    let news = News::between(before, own, inputs);
    let release = ReleaseId { revision: revision.clone(), number: pass.next_release(memory) };
    reach::begins(pass, memory, &release);
    memory.candidate = Some(Candidate {
        release,
        image,
        started_at: pass.seen.now,
        template_hash: own.clone(),
        inputs: inputs.clone(),
        news,
        course: Some(Course {
            steps,
            analysis: analysis_of(&pass.seen.rollout.spec).into_owned(),
            regions: pass.waves().map(|place| place.region().clone()).collect(),
        }),
    });
    for known in memory.regions.values_mut() {
        known.evidence.clear();
        known.fast = None;
        known.step = None;
    }
    Turn::Again
}
