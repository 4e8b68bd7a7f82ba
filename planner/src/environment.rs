//! The environment: a small graph of parts, each with its own planner, condition, operations and faults. A part that
//! fails stops no other.

mod deletion;
mod events;
mod observed;
mod operations;
mod part;
mod parts;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{EnvironmentStatus, FINALIZER, OrchestraEnvironment, Unread};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::cloud::{AccountView, OperationView, Reading, RedisView, VersionView};
use crate::conditions::{self, Note, Overall, note};
use crate::names::{ProjectId, Region};
use crate::plan::{BRIEFLY, Effect, Finalizer, NOW, POLL, Plan, QUIET, Urgency, hold_back, read_again, with_way_out};
use crate::reason::Reason;
use crate::resource::{FailedWrites, ResourceId};
use part::{Part, State};

pub(crate) use observed::is_only_observed;
pub use operations::absorb;
pub use parts::identity::account_to_ask;
pub use parts::redis::instance_to_ask;
pub use parts::secrets::{SecretQuery, secrets_to_resolve};

/// Everything that the plan of an environment depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// The time in the world.
    pub now: Timestamp,
    /// The object, as the cluster has it now.
    pub environment: OrchestraEnvironment,
    /// What of it can't be read, and is left out.
    #[serde(default)]
    pub unread: Vec<Unread>,
    /// Names of the Rollouts that refer to it.
    pub rollouts: Vec<String>,
    /// Whether Google lets us see Cloud Run in each region of the spec.
    pub regions: BTreeMap<Region, Reading<()>>,
    /// The service account that its spec names, if it was asked for; none: there is no such account.
    #[serde(default)]
    pub account: Option<Reading<Option<AccountView>>>,
    /// Its Redis instance.
    pub redis: Reading<Option<RedisView>>,
    /// The operations whose names are in the status.
    pub operations: BTreeMap<ResourceId, Reading<OperationView>>,
    /// The version of each of its secrets, by name; none: no such secret or version.
    pub secrets: BTreeMap<String, Reading<Option<VersionView>>>,
    /// Writes that failed, by resource, until one to the same succeeds.
    pub failed_writes: FailedWrites,
}

impl Observation {
    fn generation(&self) -> i64 {
        self.environment.metadata.generation.unwrap_or_default()
    }

    fn uid(&self) -> String {
        self.environment.metadata.uid.clone().unwrap_or_default()
    }

    fn old_status(&self) -> EnvironmentStatus {
        self.environment.status.clone().unwrap_or_default()
    }
}

/// `namespace/name`.
fn full_name(environment: &OrchestraEnvironment) -> String {
    let meta = &environment.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// The project. The CRD has checked it; an object that slipped past it has none.
pub fn project(environment: &OrchestraEnvironment) -> Option<ProjectId> {
    ProjectId::new(environment.spec.project.as_str()).ok()
}

/// The regions of the spec.
pub fn regions(environment: &OrchestraEnvironment) -> Vec<Region> {
    environment.spec.regions.iter().filter_map(|region| Region::new(region.as_str()).ok()).collect()
}

/// The operations to ask about: those in the status that have a name and have not failed.
pub fn operations_to_ask(environment: &OrchestraEnvironment) -> Vec<(ResourceId, String)> {
    let known = environment.status.iter().flat_map(|status| &status.operations);
    let under_way = known.filter(|operation| operation.failure.is_none());
    under_way.filter_map(|o| Some((ResourceId::try_from(o.resource.clone()).ok()?, o.name.clone()?))).collect()
}

/// Decides what to do about an environment.
pub fn plan(seen: &Observation) -> Plan<EnvironmentStatus> {
    let meta = &seen.environment.metadata;
    let has_finalizer = meta.finalizers.iter().flatten().any(|f| f == FINALIZER);
    if !seen.unread.is_empty() {
        return unreadable(seen);
    }
    if meta.deletion_timestamp.is_some() {
        return if has_finalizer { deletion::plan(seen) } else { unchanged(seen, Finalizer::Keep) };
    }
    if !has_finalizer {
        return unchanged(seen, Finalizer::Add);
    }
    let mut status = EnvironmentStatus { observed_generation: meta.generation, ..seen.old_status() };
    let mut plans: Vec<(Part, part::PartPlan)> =
        Part::ALL.into_iter().map(|part| (part, part.plan(seen, &mut status))).collect();
    if is_only_observed(&seen.environment) {
        observed::only_tell(seen, &mut status, &mut plans);
    }
    finish(seen, status, plans)
}

/// Of an object of which a part can't be read nothing is made, changed or let go: what is left out may be what matters.
fn unreadable(seen: &Observation) -> Plan<EnvironmentStatus> {
    let fields: Vec<String> = seen.unread.iter().map(ToString::to_string).collect();
    let message = format!("this environment can't be read in full: {}: correct it", fields.join("; "));
    let message = if seen.environment.metadata.deletion_timestamp.is_some() { with_way_out(&message) } else { message };
    let overall = Overall::Stalled(note(Reason::Unreadable, message.clone()));
    let generation = seen.environment.metadata.generation;
    let mut status = EnvironmentStatus { observed_generation: generation, ..seen.old_status() };
    status.conditions = conditions::update(&status.conditions, overall.conditions(), generation, seen.now);
    status.message = Some(message);
    let events = events::between(&seen.old_status(), &status);
    Plan { status, events, next: QUIET, ..unchanged(seen, Finalizer::Keep) }
}

/// A plan that changes nothing but the finalizer.
fn unchanged(seen: &Observation, finalizer: Finalizer) -> Plan<EnvironmentStatus> {
    let next = if finalizer == Finalizer::Keep { QUIET } else { NOW };
    let urgency = Urgency::Quiet;
    Plan { finalizer, status: seen.old_status(), effects: vec![], events: vec![], next, urgency }
}

/// Takes the parts together.
fn finish(
    seen: &Observation,
    mut status: EnvironmentStatus,
    mut plans: Vec<(Part, part::PartPlan)>,
) -> Plan<EnvironmentStatus> {
    let unread = plans.iter().any(|(_, plan)| plan.unread);
    let since = status.unreadable_since.as_ref().map_or(seen.now, |at| at.0);
    status.unreadable_since = unread.then_some(Time(since));
    let generation = seen.environment.metadata.generation;
    if unread && seen.now.duration_since(since) < BRIEFLY {
        plans.iter_mut().for_each(|(part, plan)| plan.keep_what_was_told(*part, &status.conditions, generation));
    }
    let mut effects: Vec<Effect> = plans.iter().flat_map(|(_, plan)| plan.effects.clone()).collect();
    let overall = refused(seen, &effects).unwrap_or_else(|| together(&plans));
    let each = plans.iter().map(|(part, plan)| (part.condition(), plan.state == State::Ready, plan.note.clone()));
    let all = overall.conditions().into_iter().chain(each);
    status.conditions = conditions::update(&status.conditions, all, generation, seen.now);
    status.message = Some(overall.note().message.clone());
    let held = hold_back(&mut effects, &seen.failed_writes, seen.now, false).map(|(_, left)| left);
    // What is only told goes on by nothing of ours.
    let working = matches!(&overall, Overall::Reconciling(note) if note.reason != Reason::OnlyObserved.word());
    let next = match (unread, held) {
        (true, _) => read_again(since, seen.now),
        (false, Some(left)) => left,
        (false, None) if working || !effects.is_empty() => POLL,
        (false, None) => QUIET,
    };
    let urgency = if working { Urgency::Work } else { Urgency::Quiet };
    let events = events::between(&seen.old_status(), &status);
    Plan { finalizer: Finalizer::Keep, status, effects, events, next, urgency }
}

/// The worst of the parts, with what each of those as bad says.
fn together(plans: &[(Part, part::PartPlan)]) -> Overall {
    let worst = plans.iter().map(|(_, plan)| plan.state).max().unwrap_or(State::Ready);
    let mut those = plans.iter().filter(|(_, plan)| plan.state == worst).map(|(_, plan)| &plan.note);
    let Some(first) = those.next().filter(|_| worst != State::Ready) else {
        return Overall::Ready(note(Reason::Ready, "everything is as the spec says"));
    };
    let message = those.fold(first.message.clone(), |so_far, more| format!("{so_far}; {}", more.message));
    match worst {
        State::Stalled => Overall::Stalled(Note::told(first.reason.clone(), message)),
        _ => Overall::Reconciling(Note::told(first.reason.clone(), message)),
    }
}

/// What Google said when one of these writes was last tried.
fn refused(seen: &Observation, effects: &[Effect]) -> Option<Overall> {
    let failed = effects.iter().find_map(|effect| seen.failed_writes.get(&effect.resource()))?;
    Some(match Overall::of_fault(&failed.fault, failed.fault.message.clone()) {
        Overall::Reconciling(_) => {
            Overall::Reconciling(note(Reason::Retrying, format!("trying again after: {}", failed.fault.message)))
        }
        Overall::Stalled(mut refusal) if seen.environment.metadata.deletion_timestamp.is_some() => {
            refusal.message = with_way_out(&refusal.message);
            Overall::Stalled(refusal)
        }
        other => other,
    })
}

#[cfg(test)]
mod tests;
