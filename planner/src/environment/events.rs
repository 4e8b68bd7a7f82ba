//! One event for each condition that changed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use orchestra_crds::EnvironmentStatus;
use orchestra_crds::condition::{READY, RECONCILING, STALLED};

use crate::plan::{Event, Severity};

/// What changed between two statuses, told once.
pub(super) fn between(old: &EnvironmentStatus, new: &EnvironmentStatus) -> Vec<Event> {
    let changed = |now: &&Condition| {
        let before = old.conditions.iter().find(|c| c.type_ == now.type_);
        before.is_none_or(|b| b.status != now.status || (b.reason != now.reason && now.status == "False"))
    };
    let stalled = new.conditions.iter().find(|c| c.type_ == STALLED && c.status == "True");
    let event = |now: &Condition| match (now.type_.as_str(), now.status.as_str()) {
        (RECONCILING, _) | (READY | STALLED, "False") => None,
        (STALLED, _) => Some(Event::told(Severity::Warning, &now.reason, STALLED, &now.message)),
        (type_, "True") => Some(Event::told(Severity::Normal, type_, &now.reason, &now.message)),
        // What stalls the whole is told as that.
        (_, _) if stalled.is_some_and(|s| s.reason == now.reason) => None,
        (type_, _) => Some(Event::told(Severity::Normal, &now.reason, type_, &now.message)),
    };
    new.conditions.iter().filter(changed).filter_map(event).collect()
}
