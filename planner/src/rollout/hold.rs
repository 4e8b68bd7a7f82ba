//! What keeps a step from passing that is no evidence.

use orchestra_crds::AnalysisMode;

use super::memory::{Candidate, RegionMemory};
use super::pass::Pass;
use super::place::Place;
use super::progress::Standing;
use super::steps::Hold;
use super::{alerts, capacity, judge};
use crate::conditions::note;
use crate::reason::Reason;

/// What keeps the step that is in effect in a region.
pub(super) fn of(
    pass: &Pass<'_>,
    candidate: &Candidate,
    place: &Place<'_>,
    standing: &Standing,
    known: &RegionMemory,
) -> Option<Hold> {
    if judge::analysis(pass, candidate).mode == AnalysisMode::Observe {
        return None;
    }
    let limited =
        standing.weight.and_then(|weight| capacity::limited(candidate, known, place, (weight, pass.seen.now)));
    let limited = limited.map(|why| Hold { why: note(Reason::CapacityLimited, why), excuses: true });
    let alerted = || alerts::holds(pass, candidate, place);
    limited.or_else(|| alerted().map(|why| Hold { why, excuses: false }))
}
