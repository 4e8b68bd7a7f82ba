//! What keeps a step from passing that is no evidence.

use orchestra_crds::AnalysisMode;

use super::memory::{Candidate, RegionMemory};
use super::pass::Pass;
use super::place::Place;
use super::progress::Standing;
use super::{alerts, capacity, judge};
use crate::conditions::{Note, note};
use crate::reason::Reason;

/// What keeps the step that is in effect in a region.
pub(super) fn of(
    pass: &Pass<'_>,
    candidate: &Candidate,
    place: &Place<'_>,
    standing: &Standing,
    known: &RegionMemory,
) -> Option<Note> {
    if judge::analysis(pass, candidate).mode == AnalysisMode::Observe {
        return None;
    }
    let limited =
        standing.weight.and_then(|weight| capacity::limited(candidate, known, place, (weight, pass.seen.now)));
    limited.map(|why| note(Reason::CapacityLimited, why)).or_else(|| alerts::holds(pass, candidate, place))
}

/// Why there may be nothing of the candidate to count, and no metrics are to blame.
pub(super) fn excuse(
    pass: &Pass<'_>,
    candidate: &Candidate,
    place: &Place<'_>,
    standing: &Standing,
    known: &RegionMemory,
) -> Option<Note> {
    let excuse = standing.weight.and_then(|weight| capacity::excuse(candidate, known, place, (weight, pass.seen.now)));
    excuse.map(|why| note(Reason::CapacityLimited, why))
}
