//! A service that vanished, past Orchestra: its users are without one. It is made again with what was proven, whatever else
//! is going on; the candidate comes to it by its steps, as ever.

use orchestra_crds::RolloutPhase;

use super::decision::Decision;
use super::memory::{Memory, Stable};
use super::pass::Pass;
use super::place::Place;
use super::{Turn, judge, settings};
use crate::conditions::note;
use crate::marks::{FailedMark, Marks};
use crate::plan::{Effect, NewService};
use crate::template::{EffectiveTemplate, Wanted};
use crate::traffic::all_to;

/// Makes stable's services again. None: none has vanished, or a release of stable's template has to bring it back.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    let stable = memory.stable.clone().filter(|_| !memory.spreads_stable())?;
    let gone: Vec<&Place<'_>> = pass.waves().filter(|place| has_vanished(memory, place)).collect();
    let region = gone.first()?.region();
    // What is taken back waits for nothing.
    if let Some(candidate) = memory.candidate.clone()
        && let Some(back) = judge::held(pass, memory, &candidate)
    {
        return Some(back);
    }
    let Some(template) = as_it_was(pass, &stable) else {
        let candidate = memory.candidate.as_ref()?;
        let message = format!(
            "{region}: somebody deleted the service, and `{}` can't be made again: the environment has changed since. Abort \
             `{}` to release stable's template with what the environment adds now",
            stable.revision, candidate.release
        );
        return Some(Decision::ask_person(note("ServiceGone", message)).in_region(region).into());
    };
    let message = format!("{region}: somebody deleted the service; it is made again with `{}`", stable.revision);
    let phase = if memory.candidate.is_some() { RolloutPhase::Progressing } else { RolloutPhase::Deploying };
    let effects = gone.iter().map(|place| create(pass, memory, &stable, place, &template)).collect();
    Some(Decision::working(phase, "ServiceGone", message).with_effects(effects).in_region(region).into())
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
    let failed = memory
        .latches
        .iter()
        .map(|latch| FailedMark { release: latch.release.clone(), news: Some(latch.news.clone()) });
    let marks = Marks {
        owner: Some(pass.seen.owner()),
        stable: Some(stable.revision.clone()),
        last_release: memory.last_release(),
        failed: failed.collect(),
        promoted: memory.promoted.clone(),
        regions: pass.waves().map(|place| place.region().clone()).collect(),
        ..Marks::default()
    };
    let new = NewService {
        template: template.clone(),
        traffic: all_to(&stable.revision, &[]),
        marks,
        settings: settings::wanted(pass.seen),
        revision: stable.revision.clone(),
    };
    Effect::CreateService { service: place.seen.id.clone(), new: Box::new(new) }
}
