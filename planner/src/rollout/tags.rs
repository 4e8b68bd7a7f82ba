//! Orchestra's own tags, and their end. By `history.keepWarmSeconds` the revision before stable keeps one for a time after a promotion,
//! and by that the instances that its own minimum says (a revision without requests has none by the service's). The candidate's
//! address is put on by the steps' writes (`progress`), and taken off here.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Outcome, ReleaseRecord};

use super::Observation;
use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use super::place::{Ownership, Place};
use crate::cloud::{FaultClass, Readiness, ServiceView, Target, TrafficTarget};
use crate::names::{Percent, RevisionName, ServiceName};
use crate::plan::{Effect, ServiceChange, Urgency};
use crate::resource::ResourceId;
use crate::traffic::{keeping_warm, kept_warm, only_revision, weight_of, without_address};

/// The revision that is kept warm now, and until when; none: none is.
fn kept(pass: &Pass<'_>, memory: &Memory) -> Option<(RevisionName, Timestamp)> {
    let seconds = pass.seen.rollout.spec.history.as_ref()?.keep_warm_seconds?;
    let stable = memory.stable.as_ref().filter(|_| memory.held.is_none())?;
    let status = pass.seen.rollout.status.as_ref()?;
    let promoted = status.promoted.iter().find(|promoted| promoted.revision == stable.revision.as_str())?;
    let until = promoted.promoted_at.as_ref()?.0.checked_add(SignedDuration::from_secs(seconds.into())).ok()?;
    let before = memory.promoted.iter().skip_while(|promoted| promoted.revision != stable.revision).nth(1)?;
    let has_failed = pass.places.iter().any(|place| place.marks.has_failed(&before.revision));
    // Somebody went back from it: what is stable now had all requests before it did.
    let had_all = |record: &&ReleaseRecord| matches!(record.outcome, Outcome::Promoted | Outcome::Adopted);
    let records = || memory.history.iter().filter(had_all);
    let of_before = records().find(|record| record.revision == before.revision.as_str());
    let was_left = of_before.is_some_and(|of_before| {
        let earlier = |record: &ReleaseRecord| record.finished_at.0 < of_before.finished_at.0;
        records().any(|record| record.revision == stable.revision.as_str() && earlier(record))
    });
    (pass.seen.now < until && !has_failed && !was_left).then(|| (before.revision.clone(), until))
}

/// Whether the tag is Orchestra's here: it is asked for, or was put on.
fn is_ours(seen: &Observation) -> bool {
    let asked = seen.rollout.spec.history.as_ref().and_then(|history| history.keep_warm_seconds).is_some();
    let mut promoted = seen.rollout.status.iter().flat_map(|status| &status.promoted);
    asked || promoted.any(|promoted| promoted.kept_warm_until.is_some())
}

/// The traffic of a service that is let go: nothing is kept warm there, and no candidate has an address.
pub(super) fn let_go(
    seen: &Observation,
    view: &ServiceView,
    traffic: Option<Vec<TrafficTarget>>,
) -> Option<Vec<TrafficTarget>> {
    let service = ServiceName::new(seen.rollout.spec.service_name.as_str()).ok();
    let Some(service) = service.filter(|_| !seen.rollout.spec.traffic_only) else { return traffic };
    let before = without_address(traffic.as_ref().unwrap_or(&view.traffic), &service, None);
    let after = if is_ours(seen) && kept_warm(&before).is_some() { keeping_warm(None, &before) } else { before };
    // What others asked for is not asked for once more.
    let is_pinned = after.iter().all(|target| target.to != Target::Latest || target.percent == Percent::NONE);
    if after == view.traffic || !is_pinned { traffic } else { Some(after) }
}

/// Takes the addresses of candidates out of what is written, but that of the one that the write is for, until it has everything.
pub(super) fn take_addresses_off(pass: &Pass<'_>, decision: &mut Decision) {
    if pass.seen.rollout.spec.traffic_only {
        return;
    }
    for effect in decision.effects.iter_mut().chain(&mut decision.extras) {
        let Effect::UpdateService { service, change, .. } = effect else { continue };
        let Some(traffic) = &change.traffic else { continue };
        let candidate = change.marks.as_ref().and_then(|marks| marks.candidate.as_ref());
        let revision = candidate.map(|mark| &mark.release.revision);
        let beside = revision.filter(|revision| weight_of(revision, traffic) < Percent::ALL);
        change.traffic = Some(without_address(traffic, &service.name, beside));
    }
}

fn is_tagged(place: &Place<'_>, name: &RevisionName) -> bool {
    place.view().is_some_and(|view| kept_warm(&view.traffic) == Some(name))
}

/// The revision to read where it is to get the tag: one that is not there can't.
pub(super) fn revision_to_read(pass: &Pass<'_>, memory: &Memory) -> Option<RevisionName> {
    let (name, _) = kept(pass, memory).filter(|_| memory.candidate.is_none())?;
    pass.waves().any(|place| place.ours().is_some() && !is_tagged(place, &name)).then_some(name)
}

/// Until when a revision that has the tag in any region is kept.
pub(super) fn warm_until(pass: &Pass<'_>, memory: &Memory, name: &RevisionName) -> Option<Timestamp> {
    let (_, until) = kept(pass, memory).filter(|(kept, _)| kept == name)?;
    pass.waves().any(|place| is_tagged(place, name)).then_some(until)
}

/// Adds the writes that put own tags on and take them off, where nothing else goes on.
pub(super) fn settle(pass: &Pass<'_>, memory: &Memory, decision: &mut Decision) {
    let is_quiet = decision.urgency == Urgency::Quiet && decision.effects.is_empty() && decision.extras.is_empty();
    if !is_quiet || memory.candidate.is_some() || pass.paused(None).is_some() {
        return;
    }
    let (kept, is_ours) = (kept(pass, memory), is_ours(pass.seen));
    let may_be_written = |place: &&Place<'_>| place.ownership == Ownership::Ours && place.marks.unknown.is_none();
    for place in pass.waves().filter(may_be_written) {
        // Where others moved the traffic, that is put right first.
        let is_home = |view: &&ServiceView| {
            view.settled && only_revision(&view.traffic).is_some_and(|only| memory.is_stable(only))
        };
        let Some(view) = place.view().filter(is_home) else { continue };
        let may_have = |name: &&RevisionName| {
            is_tagged(place, name) || place.revision(name).is_some_and(|read| read.readiness == Readiness::Ready)
        };
        let wanted = kept.as_ref().map(|(name, _)| name).filter(may_have);
        // What is left of a release that was given up before it had requests.
        let mut traffic = match pass.seen.rollout.spec.traffic_only {
            true => view.traffic.clone(),
            false => without_address(&view.traffic, &place.seen.id.name, None),
        };
        if is_ours && kept_warm(&traffic) != wanted {
            traffic = keeping_warm(wanted, &traffic);
        }
        if traffic == view.traffic {
            continue;
        }
        // A tag that Google refuses is in nobody's way, and nothing is told.
        if let Some(write) = pass.seen.failed_writes.get(&ResourceId::Service(place.seen.id.clone())) {
            let may_pass = matches!(write.fault.class, FaultClass::Retryable | FaultClass::Conflict);
            let left = write.left(pass.seen.now, false);
            if let Some(left) = left.filter(|_| may_pass) {
                decision.next = decision.next.min(left);
            }
            if !may_pass || left.is_some() {
                continue;
            }
        }
        let change = ServiceChange { traffic: Some(traffic), ..ServiceChange::default() };
        let (service, etag) = (place.seen.id.clone(), view.etag.clone());
        decision.extras.push(Effect::UpdateService { service, etag, change: Box::new(change) });
    }
    if let Some((_, until)) = kept {
        decision.next = decision.next.min(until.duration_since(pass.seen.now));
    }
}
