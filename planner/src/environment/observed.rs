//! `managementPolicy: Observe`: what the parts would do is told, and nothing is done.

use orchestra_crds::{EnvironmentStatus, ManagementPolicy, OrchestraEnvironment};

use super::Observation;
use super::part::{Part, PartPlan, State};
use crate::conditions::note;
use crate::difference::{Before, differences};
use crate::plan::{Effect, only_told};
use crate::reason::Reason;

/// Whether nothing may be written of an environment and its Rollouts.
pub(crate) fn is_only_observed(environment: &OrchestraEnvironment) -> bool {
    environment.spec.management_policy == ManagementPolicy::Observe
}

/// Takes the writes out of the parts' plans and tells them; what was begun or granted is what it was.
pub(super) fn only_tell(seen: &Observation, status: &mut EnvironmentStatus, plans: &mut [(Part, PartPlan)]) {
    if plans.iter().all(|(_, plan)| plan.effects.is_empty()) {
        return;
    }
    let before = seen.old_status();
    status.operations = before.operations;
    if let Some(redis) = status.redis.as_mut() {
        redis.granted_labels = before.redis.map(|known| known.granted_labels).unwrap_or_default();
    }
    for (_, plan) in plans.iter_mut().filter(|(_, plan)| !plan.effects.is_empty()) {
        let writes: Vec<String> = plan.effects.drain(..).map(|effect| in_words(seen, &effect)).collect();
        plan.note = note(Reason::OnlyObserved, only_told(&plan.note.message, &writes));
        plan.state = State::Working;
    }
}

fn in_words(seen: &Observation, effect: &Effect) -> String {
    let before = Before { redis: seen.redis.as_ref().ok().and_then(Option::as_ref), ..Before::default() };
    let changes: Vec<String> = differences(effect, before).iter().map(ToString::to_string).collect();
    format!("{}: {}", effect.verb().replace('_', " "), changes.join("; "))
}
