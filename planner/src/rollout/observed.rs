//! `managementPolicy: Observe` of the environment: what would be done is told, write by write, and nothing is done.

use orchestra_crds::RolloutPhase;

use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use super::{Observation, before, beside, decide, past, settings};
use crate::conditions::Overall;
use crate::difference::differences;
use crate::environment::is_only_observed;
use crate::plan::{Effect, Urgency, only_told};
use crate::reason::Reason;
use crate::resource::ResourceId;

/// Whether nothing may be written.
pub(super) fn is_on(seen: &Observation) -> bool {
    seen.environment.as_ref().is_some_and(is_only_observed) || is_unread(seen)
}

/// Whether the policy can't be read: it may say that nothing is to be written.
pub(super) fn is_unread(seen: &Observation) -> bool {
    seen.environment_unread.iter().any(|unread| unread.field.contains("managementPolicy"))
}

/// What would be decided, with nothing of it done. What is known stays what it was: a release that is not begun is none.
pub(super) fn decide_nothing(pass: &Pass<'_>, memory: &mut Memory) -> Decision {
    let mut imagined = memory.clone();
    let mut would = decide(pass, &mut imagined);
    beside(pass, &mut imagined, &mut would);
    let all = would.effects.drain(..).chain(would.extras.drain(..)).map(|effect| in_full(pass, memory, effect));
    let writes: Vec<String> = all.map(|effect| in_words(pass, &effect)).collect();
    // What was looked for and not found was seen.
    for (region, known) in &imagined.regions {
        memory.region_mut(region).absent_since = known.absent_since;
    }
    match &would.overall {
        // All of it was seen, the end of a release with it.
        Overall::Ready(_) if writes.is_empty() => {
            *memory = imagined;
            return Decision { urgency: Urgency::Quiet, corrected: vec![], ..would };
        }
        // A person is needed, whoever writes.
        Overall::Stalled(_) if writes.is_empty() && would.phase != RolloutPhase::RollingBack => {
            return Decision { urgency: Urgency::Quiet, corrected: vec![], ..would };
        }
        _ => {}
    }
    // Beside a release words count seconds and requests, and each would be a write of the status.
    let told = would.overall.note();
    let goes_back = imagined.failure.as_ref().is_some_and(|failure| !failure.rolled_back);
    let words = match memory.candidate.is_some() && !goes_back {
        true => would.region.iter().map(|region| format!("{region}: ")).chain([told.reason.clone()]).collect(),
        false => told.message.clone(),
    };
    let message = only_told(&words, &writes);
    let reason = if goes_back { Reason::RollbackNotDone } else { Reason::OnlyObserved };
    let is_known = memory.stable.is_some() || memory.candidate.is_some();
    let held = Decision::held(message.clone());
    let phase = if is_known { held.phase } else { RolloutPhase::Pending };
    Decision {
        region: would.region,
        next: held.next,
        urgency: held.urgency,
        ..Decision::working(phase, reason, message)
    }
}

/// A write with the settings that would follow it: in one pass a service is written once.
fn in_full(pass: &Pass<'_>, memory: &Memory, effect: Effect) -> Effect {
    match effect {
        Effect::UpdateService { service, etag, mut change } if change.settings.is_empty() => {
            let place = pass.places.iter().find(|place| place.seen.id == service && !place.leaves);
            let view = place.and_then(|place| place.ours());
            change.settings = view.map(|view| settings::changes(pass, memory, &view.settings)).unwrap_or_default();
            Effect::UpdateService { service, etag, change }
        }
        other => other,
    }
}

/// What a write would change: where, what, and who wrote that last.
fn in_words(pass: &Pass<'_>, effect: &Effect) -> String {
    let changes: Vec<String> = differences(effect, before(pass.seen, effect)).iter().map(ToString::to_string).collect();
    let changes = changes.join("; ");
    let verb = effect.verb().replace('_', " ");
    let place = match effect.resource() {
        ResourceId::Service(id) | ResourceId::Policy(id) | ResourceId::Revisions(id) => {
            pass.places.iter().find(|place| place.seen.id == id)
        }
        ResourceId::Redis(_) => None,
    };
    match place {
        // Who changed a policy, the service doesn't tell.
        Some(place) if matches!(effect, Effect::UpdateService { .. }) => {
            format!("{}: {verb}{}: {changes}", place.region(), past::last_written(place))
        }
        Some(place) => format!("{}: {verb}: {changes}", place.region()),
        None => format!("{verb}: {changes}"),
    }
}
