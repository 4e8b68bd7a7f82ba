//! What others do to a service past Orchestra, and who they are, as far as Google tells.

use super::memory::Memory;
use super::pass::Pass;
use super::place::Place;
use crate::names::RevisionName;

/// Who wrote a service last, which may be who changed it; empty: Google doesn't tell.
pub(super) fn last_written(place: &Place<'_>) -> String {
    let by = place.view().and_then(|view| view.modified_by.as_ref());
    by.map(|by| format!(" (last written by {by})")).unwrap_or_default()
}

/// The revision that others deployed last where the template is Orchestra's: it has no requests, and is no release.
pub(super) fn deployed<'p>(pass: &Pass<'_>, memory: &Memory, place: &'p Place<'_>) -> Option<&'p RevisionName> {
    if pass.seen.rollout.spec.traffic_only {
        return None;
    }
    let newest = place.ours()?.newest.as_ref()?;
    let is_known = memory.is_stable(newest)
        || memory.promoted.iter().any(|promoted| promoted.revision == *newest)
        || memory.candidate.as_ref().is_some_and(|candidate| candidate.release.revision == *newest)
        || place.marks.has_failed(newest);
    let is_ours = pass.service().is_none_or(|service| newest.is_made_for(&service));
    (!is_known && !is_ours).then_some(newest)
}

/// That revision with who made it, for people.
pub(super) fn deployed_words(pass: &Pass<'_>, memory: &Memory, place: &Place<'_>) -> Option<String> {
    let name = deployed(pass, memory, place)?;
    let by = place.revision(name).and_then(|read| read.created_by.clone());
    Some(format!("`{name}` by {}", by.unwrap_or_else(|| "somebody".into())))
}

/// The same of every region, as a part of a message; empty: nobody has.
pub(super) fn told(pass: &Pass<'_>, memory: &Memory) -> String {
    let of = |place: &Place<'_>| {
        let words = deployed_words(pass, memory, place)?;
        Some(format!("; {}: deployed past Orchestra, and without requests: {words}", place.region()))
    };
    pass.waves().filter_map(of).collect()
}
