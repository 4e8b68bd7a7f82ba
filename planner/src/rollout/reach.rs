//! Where a release may be. A region counts as one that it came to until it is on record that it did not: with the record
//! lost, what can't be read may still serve it.

use super::memory::{Memory, RegionMemory};
use super::pass::Pass;
use super::place::Place;
use crate::cloud::Fault;
use crate::names::{Region, ReleaseId};

/// A release begins: it is nowhere yet.
pub(super) fn begins(pass: &Pass<'_>, memory: &mut Memory, release: &ReleaseId) {
    for place in &pass.places {
        memory.region_mut(place.region()).untouched_by = Some(release.clone());
    }
}

/// It comes to a region: from the first write on it may be there.
pub(super) fn comes_to(memory: &mut Memory, region: &Region) {
    memory.region_mut(region).untouched_by = None;
}

/// Whether it may have come to a region.
pub(super) fn may_be_in(memory: &Memory, region: &Region, release: &ReleaseId) -> bool {
    memory.region(region).untouched_by.as_ref() != Some(release)
}

/// What is kept on record of a region: the release that did not come there, as long as it matters and nothing of it is
/// seen there.
pub(super) fn record(memory: &Memory, place: &Place<'_>, known: &RegionMemory) -> Option<ReleaseId> {
    let candidate = memory.candidate.as_ref();
    let failing = memory.failure.as_ref().filter(|failure| !failure.rolled_back).map(|failure| &failure.release);
    let release = candidate.map(|candidate| &candidate.release).or(failing)?;
    let course = candidate.and_then(|candidate| candidate.course.as_ref());
    // A region that is new waits for the end of the release.
    let is_new = course.is_some_and(|c| !c.regions.is_empty() && !c.regions.contains(place.region()));
    let untouched = is_new || known.untouched_by.as_ref() == Some(release);
    (untouched && !is_seen(memory, place, release)).then(|| release.clone())
}

/// Whether something of a release is seen in a region.
pub(super) fn is_seen(memory: &Memory, place: &Place<'_>, release: &ReleaseId) -> bool {
    let marked = place.marks.candidate_named(&release.revision).is_some_and(|mark| mark.release == *release);
    marked || (place.uses(&release.revision) && !memory.is_stable(&release.revision))
}

/// A region that can't be read, in words.
pub(super) fn unread_words(region: &Region, fault: &Fault) -> String {
    format!("{region} (its service can't be read: {})", fault.message.trim_end_matches('.'))
}
