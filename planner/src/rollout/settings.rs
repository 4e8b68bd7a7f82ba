//! Settings of a service beside its template: they change the service and start no release. What was set here and is no
//! longer wanted goes back to Cloud Run's default; what others set stays.

use orchestra_crds::{GrantedStatus, Scaling};
use std::collections::{BTreeMap, BTreeSet};

use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use super::place::{Ownership, Place};
use super::{Observation, past};
use crate::cloud::{ServiceSettings, ServiceView, Setting};
use crate::conditions::note;
use crate::difference::of_settings;
use crate::marks::Marks;
use crate::plan::{Effect, POLL, ServiceChange};
use crate::reason::Reason;
use crate::template::Gate;

/// The label that says who looks after a service.
const MANAGED_BY: (&str, &str) = ("managed-by", "orchestra");

/// What is taken back of a service that is let go: it says that it is Orchestra's no more, and is otherwise left as it is.
pub(super) fn let_go(view: &ServiceView) -> Vec<Setting> {
    let (key, value) = MANAGED_BY;
    let mut labels = view.settings.labels.clone();
    labels.retain(|known, of| known != key || of != value);
    if labels == view.settings.labels { vec![] } else { vec![Setting::Labels(labels)] }
}

/// What the Rollout and its environment ask for, the Rollout first.
fn asked(seen: &Observation) -> GrantedStatus {
    let spec = &seen.rollout.spec;
    let shared = seen.environment.as_ref().map(|e| &e.spec).filter(|_| !spec.traffic_only);
    let Some(shared) = shared else { return GrantedStatus::default() };
    let scaling = scaling(spec.scaling.as_ref(), shared.defaults.as_ref().and_then(|d| d.scaling.as_ref()));
    let access: Vec<_> = [&spec.access, &shared.access].into_iter().flatten().collect();
    let mut labels = shared.labels.clone();
    labels.extend(spec.labels.clone());
    let (key, value) = MANAGED_BY;
    labels.insert(key.into(), value.into());
    GrantedStatus {
        invokers: vec![],
        labels,
        annotations: spec.annotations.keys().cloned().collect(),
        min_instances: scaling.min_instances,
        max_instances: scaling.max_instances,
        manual_instances: scaling.manual_instances,
        ingress: access.iter().find_map(|access| access.ingress),
        description: spec.description.clone(),
        invoker_iam_check: access.iter().find_map(|access| access.invoker_iam_check),
        default_address: access.iter().find_map(|access| access.default_address),
        iap: access.iter().find_map(|access| access.iap),
        custom_audiences: access.iter().find_map(|access| access.custom_audiences.clone()).unwrap_or_default(),
        binary_authorization: spec.binary_authorization.clone(),
        in_effect: false,
        invokers_in_effect: false,
    }
}

/// Instances by hand exclude the others: who asks for one kind takes nothing of the other kind from the environment.
fn scaling(own: Option<&Scaling>, theirs: Option<&Scaling>) -> Scaling {
    let (own, theirs) = (own.cloned().unwrap_or_default(), theirs.cloned().unwrap_or_default());
    let by_requests = own.min_instances.is_some() || own.max_instances.is_some();
    let manual_instances = own.manual_instances.or(theirs.manual_instances.filter(|_| !by_requests));
    let range = |own: Option<i32>, theirs: Option<i32>| own.or(theirs).filter(|_| manual_instances.is_none());
    Scaling {
        min_instances: range(own.min_instances, theirs.min_instances),
        max_instances: range(own.max_instances, theirs.max_instances),
        manual_instances,
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
    target(&asked(seen), &GrantedStatus::default(), &ServiceSettings::default())
}

/// What is to change of what was read: what is wanted is set, and what is no longer wanted taken back.
pub(super) fn changes(pass: &Pass<'_>, memory: &Memory, read: &ServiceSettings) -> Vec<Setting> {
    if pass.seen.rollout.spec.traffic_only {
        return vec![];
    }
    read.changes_to(&target(&asked(pass.seen), &memory.granted, read))
}

/// The annotations of a service beside Orchestra's marks, with those of the spec put over what was read. They are written
/// with the marks, and by nothing that moves traffic alone: what Google refuses of them keeps no way back.
pub(super) fn annotations(pass: &Pass<'_>, memory: &Memory, view: &ServiceView) -> BTreeMap<String, String> {
    let (spec, mut all) = (&pass.seen.rollout.spec, view.marks.others.clone());
    all.retain(|key, _| spec.traffic_only || !memory.granted.annotations.contains(key));
    all.extend(spec.annotations.clone());
    all
}

/// What is asked for; else what others set. What was set here, and is asked for no longer, is the default again.
fn settle<T: Clone + PartialEq>(asked: Option<T>, granted: Option<T>, read: &T, default: T) -> T {
    let is_ours = granted.as_ref() == Some(read);
    asked.unwrap_or_else(|| if is_ours { default } else { read.clone() })
}

/// Each of them by itself: what is asked for, and of what was read all that is not ours.
fn settle_each<T: Clone + Ord>(asked: &[T], granted: &[T], read: &BTreeSet<T>) -> BTreeSet<T> {
    let others = read.iter().filter(|item| !granted.contains(item));
    others.chain(asked).cloned().collect()
}

fn target(asked: &GrantedStatus, granted: &GrantedStatus, read: &ServiceSettings) -> ServiceSettings {
    let default = ServiceSettings::default();
    let still_ours = |key: &String, value: &String| granted.labels.get(key) == Some(value);
    let mut labels: BTreeMap<String, String> =
        read.labels.iter().filter(|(k, v)| !still_ours(k, v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    labels.extend(asked.labels.clone());
    let count = |asked: Option<i32>, granted: Option<i32>, read: &Option<i32>| {
        settle(asked.map(Some), granted.map(Some), read, None)
    };
    // Who asks for one kind of scaling ends the other, whoever has set that.
    let by_hand = asked.manual_instances.is_some();
    let by_requests = !by_hand && (asked.min_instances.is_some() || asked.max_instances.is_some());
    let (binary, was) = (asked.binary_authorization.clone(), granted.binary_authorization.clone());
    ServiceSettings {
        labels,
        description: settle(
            asked.description.clone(),
            granted.description.clone(),
            &read.description,
            default.description,
        ),
        min_instances: match by_hand {
            true => default.min_instances,
            false => settle(asked.min_instances, granted.min_instances, &read.min_instances, default.min_instances),
        },
        max_instances: count(asked.max_instances, granted.max_instances, &read.max_instances).filter(|_| !by_hand),
        manual_instances: count(asked.manual_instances, granted.manual_instances, &read.manual_instances)
            .filter(|_| !by_requests),
        ingress: settle(asked.ingress.map(Some), granted.ingress.map(Some), &read.ingress, default.ingress),
        invoker_iam_check: settle(
            asked.invoker_iam_check,
            granted.invoker_iam_check,
            &read.invoker_iam_check,
            default.invoker_iam_check,
        ),
        default_address: settle(
            asked.default_address,
            granted.default_address,
            &read.default_address,
            default.default_address,
        ),
        iap: settle(asked.iap, granted.iap, &read.iap, default.iap),
        custom_audiences: settle_each(&asked.custom_audiences, &granted.custom_audiences, &read.custom_audiences),
        binary_authorization: settle(binary.map(Some), was.map(Some), &read.binary_authorization, None),
    }
}

/// Adds what the service-level settings need, where the release writes nothing else.
pub(super) fn add_settings(pass: &Pass<'_>, memory: &mut Memory, decision: &mut Decision) {
    if pass.seen.rollout.spec.traffic_only {
        // What is left to others is theirs, as it is.
        memory.granted = GrantedStatus::default();
        return;
    }
    let mut everywhere = pass.built.is_ok() && pass.unread().next().is_none();
    // What was in effect everywhere, and is asked for still, others have changed.
    let is_drift = memory.granted.in_effect && granted(&asked(pass.seen), &memory.granted, true) == memory.granted;
    let mut extra = vec![];
    for place in pass.waves().filter(|place| place.ownership == Ownership::Ours && place.marks.unknown.is_none()) {
        let Some(view) = place.view() else { continue };
        let settings = changes(pass, memory, &view.settings);
        let others = annotations(pass, memory, view);
        let marks = (others != view.marks.others).then(|| Marks { others, ..place.marks.clone() });
        if settings.is_empty() && marks.is_none() {
            continue;
        }
        everywhere = false;
        if is_drift && !settings.is_empty() {
            decision.corrected.push(told(place, view, &settings));
        }
        let service = place.seen.id.clone();
        let resource = crate::resource::ResourceId::Service(service.clone());
        if !decision.writes(&resource) && view.settled && pass.built.is_ok() {
            let change = ServiceChange { settings, marks, ..ServiceChange::default() };
            extra.push(Effect::UpdateService { service, etag: view.etag.clone(), change: Box::new(change) });
        }
    }
    remember(pass, memory, everywhere);
    if !extra.is_empty() {
        decision.extras.extend(extra);
        decision.next = decision.next.min(POLL);
    }
}

/// What others changed in a region, for people.
fn told(place: &Place<'_>, view: &ServiceView, settings: &[Setting]) -> String {
    let changes = of_settings(settings, Some(&view.settings));
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    format!(
        "{}: settings were changed past Orchestra{}, and go back to what the spec says: {}",
        place.region(),
        past::last_written(place),
        changes.join("; ")
    )
}

/// What is set is remembered before it is written, and forgotten once it is gone everywhere: what was set here can
/// always be taken back.
fn remember(pass: &Pass<'_>, memory: &mut Memory, everywhere: bool) {
    if pass.seen.environment.is_none() {
        return;
    }
    let (asked, before) = (asked(pass.seen), std::mem::take(&mut memory.granted));
    memory.granted = granted(&asked, &before, everywhere);
    let is_ours = |place: &Place<'_>| place.ownership == Ownership::Ours && place.view().is_some();
    memory.granted.in_effect = everywhere && pass.waves().all(is_ours);
}

/// What is set, or may be set still where not all of it was seen everywhere.
fn granted(asked: &GrantedStatus, before: &GrantedStatus, everywhere: bool) -> GrantedStatus {
    let asked = asked.clone();
    let kept = if everywhere { GrantedStatus::default() } else { before.clone() };
    let mut labels = kept.labels;
    labels.extend(asked.labels);
    GrantedStatus {
        invokers: before.invokers.clone(),
        in_effect: before.in_effect,
        invokers_in_effect: before.invokers_in_effect,
        labels,
        annotations: united(kept.annotations, asked.annotations),
        min_instances: asked.min_instances.or(kept.min_instances),
        max_instances: asked.max_instances.or(kept.max_instances),
        manual_instances: asked.manual_instances.or(kept.manual_instances),
        ingress: asked.ingress.or(kept.ingress),
        description: asked.description.or(kept.description),
        invoker_iam_check: asked.invoker_iam_check.or(kept.invoker_iam_check),
        default_address: asked.default_address.or(kept.default_address),
        iap: asked.iap.or(kept.iap),
        custom_audiences: united(kept.custom_audiences, asked.custom_audiences),
        binary_authorization: asked.binary_authorization.or(kept.binary_authorization),
    }
}

fn united(kept: Vec<String>, asked: Vec<String>) -> Vec<String> {
    kept.into_iter().chain(asked).collect::<BTreeSet<_>>().into_iter().collect()
}
