//! Revisions that were promoted before those that are kept: they are deleted, each once nothing uses it. Only what Orchestra
//! made itself; what others had made is theirs.

use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use super::place::{Ownership, Place};
use crate::cloud::FaultClass;
use crate::names::RevisionName;
use crate::plan::{Effect, POLL, Urgency};
use crate::resource::{FailedWrite, ResourceId};
use crate::traffic::revisions;

/// The oldest of them that is still to be looked for in a region; none: nothing is due.
pub(super) fn revision_to_read<'m>(pass: &Pass<'_>, memory: &'m Memory) -> Option<&'m RevisionName> {
    if memory.candidate.is_some() || memory.failure.as_ref().is_some_and(|failure| !failure.rolled_back) {
        return None;
    }
    memory.outdated.first().filter(|name| !is_kept(pass, memory, name))
}

/// Whether anything speaks of it still.
fn is_kept(pass: &Pass<'_>, memory: &Memory, name: &RevisionName) -> bool {
    let is_promoted = memory.promoted.iter().any(|promoted| promoted.revision == *name);
    let is_held = memory.held.as_ref().is_some_and(|held| held.release.revision == *name);
    let is_wanted = pass.built.as_ref().is_ok_and(|wanted| pass.is_of(name, wanted));
    memory.is_stable(name) || is_promoted || is_held || is_wanted
}

/// Whether a service speaks of it: in its traffic, as it is or as it was asked for, tags among them, or in its template.
fn is_used(place: &Place<'_>, name: &RevisionName) -> bool {
    place.view().is_none_or(|view| {
        let spoken = [view.template_revision.as_ref(), view.newest.as_ref(), view.marks.stable.as_ref()];
        let candidate = view.marks.candidate.as_ref().map(|mark| &mark.release.revision);
        revisions(&view.traffic).chain(revisions(&view.serving)).any(|used| used == name)
            || spoken.into_iter().flatten().chain(candidate).any(|used| used == name)
    })
}

/// A deletion that failed, and has not succeeded since.
fn refused<'a>(pass: &Pass<'a>) -> Option<&'a FailedWrite> {
    pass.waves().find_map(|place| pass.seen.failed_writes.get(&ResourceId::Revisions(place.seen.id.clone())))
}

/// Adds the deletion of the oldest one, region by region, where nothing else goes on. One that something uses again is let be,
/// as is one that is gone everywhere.
pub(super) fn add_deletions(pass: &Pass<'_>, memory: &mut Memory, decision: &mut Decision) {
    let is_quiet = decision.urgency == Urgency::Quiet && decision.effects.is_empty() && decision.extras.is_empty();
    let Some(name) = memory.outdated.first().cloned().filter(|_| is_quiet) else { return };
    let is_ours = pass.service().is_some_and(|service| name.is_made_for(&service));
    if !is_ours
        || is_kept(pass, memory, &name)
        || pass.waves().any(|place| is_used(place, &name) && place.view().is_some())
    {
        memory.outdated.remove(0);
        return;
    }
    if pass.unread().next().is_some() || revision_to_read(pass, memory).is_none() {
        return;
    }
    if let Some(write) = refused(pass) {
        // It is in nobody's way: nothing waits for it, and nothing is told.
        let left = write.left(pass.seen.now, false).filter(|_| write.fault.class == FaultClass::Retryable);
        decision.next = left.map_or(decision.next, |left| decision.next.min(left));
        if write.fault.class != FaultClass::Retryable || left.is_some() {
            return;
        }
    }
    let there = pass.waves().filter(|place| place.ownership == Ownership::Ours && place.revision(&name).is_some());
    let effects: Vec<Effect> =
        there.map(|place| Effect::DeleteRevision { service: place.seen.id.clone(), revision: name.clone() }).collect();
    let is_read = |place: &Place<'_>| place.view().is_none() || place.seen.revisions.contains_key(&name);
    if effects.is_empty() && pass.waves().all(is_read) {
        memory.outdated.remove(0);
    }
    if !effects.is_empty() || !memory.outdated.is_empty() {
        decision.next = decision.next.min(POLL);
    }
    decision.extras.extend(effects);
}
