//! Scaling, ingress and labels: they change the service and start no release. What was set here and is no longer wanted
//! goes back to Cloud Run's default; what others set stays.

use orchestra_crds::{GrantedStatus, Ingress};
use std::collections::BTreeMap;

use super::Observation;
use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use super::place::Ownership;
use crate::cloud::ServiceSettings;
use crate::conditions::note;
use crate::plan::{Effect, POLL, ServiceChange};
use crate::reason::Reason;
use crate::template::Gate;

/// What the Rollout and its environment ask for, the Rollout first.
fn asked(seen: &Observation) -> GrantedStatus {
    let spec = &seen.rollout.spec;
    let Some(shared) = seen.environment.as_ref().map(|e| &e.spec) else { return GrantedStatus::default() };
    let own = spec.scaling.clone().unwrap_or_default();
    let theirs = shared.defaults.as_ref().and_then(|d| d.scaling.clone()).unwrap_or_default();
    let ingress = [&spec.access, &shared.access].into_iter().find_map(|access| access.as_ref()?.ingress);
    let mut labels = shared.labels.clone();
    labels.insert("managed-by".into(), "orchestra".into());
    GrantedStatus {
        invokers: vec![],
        labels,
        min_instances: own.min_instances.or(theirs.min_instances),
        max_instances: own.max_instances.or(theirs.max_instances),
        ingress,
    }
}

/// Whether what the two objects ask for goes together.
///
/// # Errors
/// A gate that names both fields.
pub(super) fn check(seen: &Observation) -> Result<(), Gate> {
    let asked = asked(seen);
    match (asked.min_instances, asked.max_instances) {
        (Some(min), Some(max)) if min > max => {
            let message = format!(
                "minInstances is {min} and maxInstances {max}, by spec.scaling and the environment's spec.defaults.scaling: \
                 raise one, or lower the other"
            );
            Err(Gate::Blocked(note(Reason::InvalidScaling, message)))
        }
        _ => Ok(()),
    }
}

/// Settings of a service that is made.
pub(super) fn wanted(seen: &Observation) -> ServiceSettings {
    let fresh = ServiceSettings { ingress: Some(Ingress::All), ..ServiceSettings::default() };
    target(&asked(seen), &GrantedStatus::default(), &fresh)
}

/// What was read, with what is wanted put over it and what is no longer wanted taken back.
pub(super) fn with_wanted(pass: &Pass<'_>, memory: &Memory, read: &ServiceSettings) -> ServiceSettings {
    target(&asked(pass.seen), &memory.granted, read)
}

fn target(asked: &GrantedStatus, granted: &GrantedStatus, read: &ServiceSettings) -> ServiceSettings {
    let still_ours = |key: &String, value: &String| granted.labels.get(key) == Some(value);
    let mut labels: BTreeMap<String, String> =
        read.labels.iter().filter(|(k, v)| !still_ours(k, v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    labels.extend(asked.labels.clone());
    let min_taken_back = granted.min_instances == Some(read.min_instances);
    let max_taken_back = granted.max_instances.is_some() && granted.max_instances == read.max_instances;
    let ingress_taken_back = granted.ingress.is_some() && granted.ingress == read.ingress;
    ServiceSettings {
        min_instances: asked.min_instances.unwrap_or(if min_taken_back { 0 } else { read.min_instances }),
        max_instances: asked.max_instances.or(read.max_instances.filter(|_| !max_taken_back)),
        ingress: asked.ingress.or(if ingress_taken_back { Some(Ingress::All) } else { read.ingress }),
        labels,
    }
}

/// Adds what the service-level settings need, where the release writes nothing else.
pub(super) fn add_settings(pass: &Pass<'_>, memory: &mut Memory, decision: &mut Decision) {
    let mut everywhere = pass.built.is_ok() && pass.unread().next().is_none();
    let mut extra = vec![];
    for place in pass.waves().filter(|place| place.ownership == Ownership::Ours && place.marks.unknown.is_none()) {
        let Some(view) = place.view() else { continue };
        let target = with_wanted(pass, memory, &view.settings);
        if target == view.settings {
            continue;
        }
        everywhere = false;
        let service = place.seen.id.clone();
        let resource = crate::resource::ResourceId::Service(service.clone());
        if !decision.writes(&resource) && view.settled && pass.built.is_ok() {
            let change = ServiceChange { settings: Some(target), ..ServiceChange::default() };
            extra.push(Effect::UpdateService { service, etag: view.etag.clone(), change: Box::new(change) });
        }
    }
    remember(pass, memory, everywhere);
    if !extra.is_empty() {
        decision.extras.extend(extra);
        decision.next = decision.next.min(POLL);
    }
}

/// What is set is remembered before it is written, and forgotten once it is gone everywhere: what was set here can
/// always be taken back.
fn remember(pass: &Pass<'_>, memory: &mut Memory, everywhere: bool) {
    if pass.seen.environment.is_none() {
        return;
    }
    let (asked, before) = (asked(pass.seen), std::mem::take(&mut memory.granted));
    let kept = if everywhere { GrantedStatus::default() } else { before.clone() };
    let mut labels = kept.labels;
    labels.extend(asked.labels);
    memory.granted = GrantedStatus {
        invokers: before.invokers,
        labels,
        min_instances: asked.min_instances.or(kept.min_instances),
        max_instances: asked.max_instances.or(kept.max_instances),
        ingress: asked.ingress.or(kept.ingress),
    };
}
