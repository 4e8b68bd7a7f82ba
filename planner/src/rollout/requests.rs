//! What people ask of a release, as typed as it can be: each request names the release or step that it means.

use orchestra_crds::{Request, Rollout};
use std::collections::BTreeMap;

use super::pass::Pass;
use super::place::{Ownership, Place};
use crate::names::{Region, ReleaseId};

/// The value of the promote annotation that ends a step: it fits no other step, region or release.
pub(super) fn step_token(release: &ReleaseId, region: &Region, step: u32) -> String {
    format!("{release}/{region}/{step}")
}

/// The value of the promote annotation that lets a release go on whose strategy was lost: by the one in the spec.
pub(super) fn strategy_token(release: &ReleaseId) -> String {
    format!("{release}/strategy")
}

fn annotation(rollout: &Rollout, request: Request) -> Option<&str> {
    rollout.metadata.annotations.as_ref()?.get(&request.key()).map(String::as_str)
}

pub(super) fn value(rollout: &Rollout, request: Request) -> Option<&str> {
    let ignored = rollout.status.as_ref().and_then(|status| status.ignored_requests.get(request.name()));
    annotation(rollout, request).filter(|value| ignored.map(String::as_str) != Some(*value))
}

/// The requests that are ignored and still there.
pub(super) fn ignored(rollout: &Rollout) -> BTreeMap<String, String> {
    let known = rollout.status.as_ref().map(|status| status.ignored_requests.clone()).unwrap_or_default();
    let still = |(name, value): &(String, String)| {
        Request::ALL.iter().any(|r| r.name() == name && annotation(rollout, *r) == Some(value.as_str()))
    };
    known.into_iter().filter(still).collect()
}

/// Requests that an object brings along which is looked at for the first time: they were meant for another of its name.
pub(super) fn brought_along(pass: &Pass<'_>) -> Option<BTreeMap<String, String>> {
    let rollout = &pass.seen.rollout;
    // With the status lost, the service knows this very object.
    let may_be_ours = |place: &Place<'_>| place.seen.service.is_err() || place.ownership == Ownership::Ours;
    if rollout.status.is_some() || pass.places.iter().any(may_be_ours) {
        return None;
    }
    let there = |request: &Request| Some((request.name().to_string(), annotation(rollout, *request)?.to_string()));
    let all: BTreeMap<String, String> = Request::ALL.iter().filter_map(there).collect();
    (!all.is_empty()).then_some(all)
}

/// Whether a request is there that means this.
pub fn is_asked(rollout: &Rollout, request: Request, target: &str) -> bool {
    value(rollout, request) == Some(target)
}

/// Whether a request is there that means this release.
pub(super) fn means(rollout: &Rollout, request: Request, release: &ReleaseId) -> bool {
    value(rollout, request).and_then(ReleaseId::parse).as_ref() == Some(release)
}

/// Which client wrote a request, as the cluster's managed fields tell.
pub(super) fn written_by(rollout: &Rollout, request: Request) -> Option<String> {
    let field = format!("f:{}", request.key());
    let managed = rollout.metadata.managed_fields.as_ref()?;
    let wrote = |fields: &serde_json::Value| !fields["f:metadata"]["f:annotations"][&field].is_null();
    managed.iter().find(|entry| entry.fields_v1.as_ref().is_some_and(|fields| wrote(&fields.0)))?.manager.clone()
}

/// How a person holds a release, if one does.
pub(crate) fn paused(rollout: &Rollout, candidate: Option<&ReleaseId>) -> Option<&'static str> {
    if rollout.spec.paused {
        Some("spec.paused is true")
    } else if candidate.is_some_and(|release| means(rollout, Request::Pause, release)) {
        Some("the pause annotation is set")
    } else {
        None
    }
}
