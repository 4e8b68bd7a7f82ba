//! Scaling, ingress, labels and invokers: they change the service and start no release.

use orchestra_crds::{Access, RolloutStatus};

use super::Decision;
use super::identity::{Ownership, Release};
use crate::cloud::{Binding, PolicyView, ServiceSettings};
use crate::plan::{Effect, ServiceChange};

const INVOKER: &str = "roles/run.invoker";

/// What the Rollout and its environment want, the Rollout first.
pub(super) fn settings(release: &Release<'_>) -> ServiceSettings {
    let spec = &release.seen.rollout.spec;
    let Some(shared) = release.seen.environment.as_ref().map(|e| &e.spec) else { return ServiceSettings::default() };
    let own = spec.scaling.clone().unwrap_or_default();
    let theirs = shared.defaults.as_ref().and_then(|d| d.scaling.clone()).unwrap_or_default();
    let mut labels = shared.labels.clone();
    labels.insert("managed-by".into(), "orchestra".into());
    ServiceSettings {
        min_instances: own.min_instances.or(theirs.min_instances),
        max_instances: own.max_instances.or(theirs.max_instances),
        ingress: access(release).ingress,
        labels,
    }
}

fn access(release: &Release<'_>) -> Access {
    let own = release.seen.rollout.spec.access.clone().unwrap_or_default();
    let theirs = release.seen.environment.as_ref().and_then(|e| e.spec.access.clone()).unwrap_or_default();
    Access { ingress: own.ingress.or(theirs.ingress), invokers: own.invokers.or(theirs.invokers) }
}

/// Adds what the service-level settings need, where the release writes nothing else.
pub(super) fn also(release: &Release<'_>, status: &mut RolloutStatus, mut decision: Decision) -> Decision {
    let unfinished = status.candidate.is_some() || status.failed.as_ref().is_some_and(|f| !f.rolled_back);
    if unfinished && release.seen.last_fault.is_some() {
        // What is refused here must not slow down the judgement of a release.
        return decision;
    }
    let wanted = settings(release);
    let (mut extra, mut granted) = (vec![], 0);
    for (_, region, view) in release.ours() {
        let busy = decision.effects.iter().any(|e| matches!(e, Effect::UpdateService(id, ..) if *id == region.id));
        let ours = release.ownership(&view.marks) == Ownership::Ours;
        if ours && !busy && view.settled && release.desired.is_ok() && !wanted.satisfied_by(&view.settings) {
            let settings = Some(wanted.over(&view.settings));
            let change = ServiceChange { settings, ..ServiceChange::default() };
            extra.push(Effect::UpdateService(region.id.clone(), view.etag.clone(), Box::new(change)));
        }
        let Some(members) = access(release).invokers.filter(|_| ours) else { continue };
        match &region.policy {
            Some(Ok(policy)) => match invokers(policy, &members, &status.granted_invokers) {
                Some(policy) => extra.push(Effect::SetPolicy(region.id.clone(), policy)),
                None => granted += 1,
            },
            _ => continue,
        }
    }
    remember_invokers(release, status, granted);
    if !extra.is_empty() {
        decision.effects.extend(extra);
        decision.next = decision.next.min(crate::plan::POLL);
    }
    decision
}

/// Members are remembered before they are granted, and forgotten once they are gone everywhere: what was granted here
/// can always be taken back.
fn remember_invokers(release: &Release<'_>, status: &mut RolloutStatus, settled_regions: usize) {
    let Some(members) = access(release).invokers else { return };
    let everywhere = settled_regions == release.seen.regions.len();
    let mut known = if everywhere { vec![] } else { std::mem::take(&mut status.granted_invokers) };
    known.extend(members.into_iter().filter(|m| !known.contains(m)).collect::<Vec<_>>());
    status.granted_invokers = known;
}

/// The policy with our invokers in it, and those that we granted before and no longer want out of it.
fn invokers(policy: &PolicyView, wanted: &[String], granted: &[String]) -> Option<PolicyView> {
    let mut after = policy.clone();
    let is_ours = |b: &Binding| b.role == INVOKER && b.condition.is_none();
    if !after.bindings.iter().any(is_ours) {
        after.bindings.push(Binding { role: INVOKER.into(), members: vec![], condition: None });
    }
    if let Some(binding) = after.bindings.iter_mut().find(|b| is_ours(b)) {
        binding.members.retain(|member| wanted.contains(member) || !granted.contains(member));
        for member in wanted {
            if !binding.members.contains(member) {
                binding.members.push(member.clone());
            }
        }
    }
    after.bindings.retain(|b| !b.members.is_empty());
    (after != *policy).then_some(after)
}
