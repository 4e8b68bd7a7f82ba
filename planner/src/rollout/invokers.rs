//! Who may call the services: members are granted and taken back; those that others granted are left alone.

use jiff::SignedDuration;
use orchestra_crds::Rollout;

use super::Observation;
use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use super::place::Ownership;
use crate::cloud::{Binding, Fault, FaultClass, PolicyView};
use crate::conditions::Overall;
use crate::names::Region;
use crate::plan::{Effect, POLL};

const INVOKER: &str = "roles/run.invoker";
/// When a policy that could not be read is read again.
const POLICY_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// The members that the Rollout asks for, or else its environment.
fn asked(seen: &Observation) -> Vec<String> {
    if seen.rollout.spec.traffic_only {
        return vec![];
    }
    let own = seen.rollout.spec.access.as_ref().and_then(|access| access.invokers.clone());
    let theirs = || seen.environment.as_ref()?.spec.access.as_ref()?.invokers.clone();
    own.or_else(theirs).unwrap_or_default()
}

/// Whether policies have to be read: something is to be granted, or was.
pub(super) fn matter(seen: &Observation, rollout: &Rollout) -> bool {
    let granted = rollout.status.as_ref().and_then(|status| status.granted.as_ref());
    !asked(seen).is_empty() || granted.is_some_and(|granted| !granted.invokers.is_empty())
}

/// Whether two members are the same. Google gives addresses in lower case; names of principals have a case.
fn same_member(a: &str, b: &str) -> bool {
    let (kind, other_kind) = (a.split(':').next(), b.split(':').next());
    match kind {
        Some("user" | "group" | "serviceAccount" | "domain") => kind == other_kind && a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

fn holds(members: &[String], member: &str) -> bool {
    members.iter().any(|known| same_member(known, member))
}

fn is_ours(binding: &Binding) -> bool {
    binding.role == INVOKER && binding.condition.is_none()
}

/// Adds what the policies need.
pub(super) fn add_invokers(pass: &Pass<'_>, memory: &mut Memory, decision: &mut Decision) {
    // Without the environment it isn't known what is wanted.
    if pass.seen.environment.is_none() {
        return;
    }
    if pass.seen.rollout.spec.traffic_only {
        memory.granted.invokers.clear();
        return;
    }
    let wanted = asked(pass.seen);
    // What was granted everywhere, and is asked for still, others have taken away.
    let was_granted = |member: &&String| memory.granted.invokers_in_effect && holds(&memory.granted.invokers, member);
    let mut granted = memory.granted.invokers.clone();
    let (mut extra, mut settled, mut present, mut unread) = (vec![], true, vec![], None);
    let mut is_seen = true;
    for place in pass.waves() {
        let policy = match (&place.seen.policy, place.ownership) {
            (Some(Ok(policy)), Ownership::Ours) => policy,
            (Some(Err(fault)), Ownership::Ours) => {
                settled = false;
                is_seen = false;
                unread.get_or_insert((place.region(), fault));
                continue;
            }
            _ => {
                settled = false;
                continue;
            }
        };
        let members: Vec<String> =
            policy.bindings.iter().filter(|b| is_ours(b)).flat_map(|b| b.members.clone()).collect();
        // What others granted before is theirs.
        granted.extend(wanted.iter().filter(|m| !holds(&members, m) && !holds(&memory.granted.invokers, m)).cloned());
        if let Some(policy) = with_members(policy, &wanted, &memory.granted.invokers) {
            let taken = wanted.iter().filter(|member| !holds(&members, member)).filter(was_granted);
            let taken: Vec<&str> = taken.map(String::as_str).collect();
            if !taken.is_empty() {
                let words = "invokers were taken away past Orchestra, and are granted again as the spec says";
                decision.corrected.push(format!("{}: {words}: {}", place.region(), taken.join(", ")));
            }
            extra.push(Effect::SetPolicy { service: place.seen.id.clone(), policy });
        }
        present.extend(members);
    }
    let pending = wanted.iter().any(|member| !holds(&memory.granted.invokers, member))
        || memory.granted.invokers.iter().any(|member| !holds(&wanted, member));
    if let Some((region, fault)) = unread {
        tell_unread(decision, region, fault, pending);
    }
    granted.sort();
    granted.dedup();
    if settled {
        // Forgotten once it is gone everywhere.
        granted.retain(|member| holds(&wanted, member) || holds(&present, member));
    }
    // What can't be read for a moment is what it was.
    if is_seen {
        memory.granted.invokers_in_effect = settled && extra.is_empty();
    }
    memory.granted.invokers = granted;
    if !extra.is_empty() {
        decision.extras.extend(extra);
        decision.next = decision.next.min(POLL);
    }
}

/// Who may call is not known in a region: told where something is to be granted or taken back, or where it will stay so.
fn tell_unread(decision: &mut Decision, region: &Region, fault: &Fault, pending: bool) {
    let lasts = matches!(fault.class, FaultClass::Denied | FaultClass::Permanent);
    if let (Overall::Ready(note), true) = (&decision.overall, pending || lasts) {
        let message = format!("{region}: who may call the service can't be read: {}. {}", fault.message, note.message);
        decision.overall = Overall::of_fault(fault, message);
        decision.next = decision.next.min(POLICY_AGAIN);
    }
}

/// The policy with our invokers in it, and those that were granted here and are no longer wanted out of it; none: it is
/// so already.
fn with_members(policy: &PolicyView, wanted: &[String], granted: &[String]) -> Option<PolicyView> {
    let mut after = policy.clone();
    if !after.bindings.iter().any(is_ours) {
        after.bindings.push(Binding { role: INVOKER.into(), members: vec![], condition: None });
    }
    if let Some(binding) = after.bindings.iter_mut().find(|b| is_ours(b)) {
        binding.members.retain(|member| holds(wanted, member) || !holds(granted, member));
        for member in wanted {
            if !holds(&binding.members, member) {
                binding.members.push(member.clone());
            }
        }
    }
    after.bindings.retain(|b| !b.members.is_empty());
    (after != *policy).then_some(after)
}
