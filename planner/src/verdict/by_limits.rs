//! Evidence held against fixed limits, in mode Threshold.

use orchestra_crds::{Analysis, EvidenceStatus, LooksStatus, Threshold, Verdict};

use super::kind::Need;
use super::threshold::{self, Held};
use crate::cloud::Minute;

/// Holds the step's minutes against fixed limits.
pub(super) fn by_looks(after: &mut EvidenceStatus, limits: &Threshold, settings: &Analysis, minutes: &[&Minute]) {
    let held = Held::of(after.metric, settings, limits);
    let looks = threshold::count(after, limits, &held, minutes);
    let failed = looks.failed.saturating_mul(100) / limits.failure_limit.saturating_add(1);
    // What is not within its limits is no sign of health: it never promotes by itself.
    after.evidence_percent = failed.max(i32::from(threshold::leans(&looks, &held)));
    let is_needed = Need::of(after.metric, settings) > Need::Nothing;
    after.verdict = match threshold::verdict(&looks, limits) {
        Verdict::NoData | Verdict::Undecided if !is_needed && looks.inconclusive == 0 => Verdict::Pass,
        verdict => verdict,
    };
    (after.looks, after.requests_needed) = (Some(looks), None);
}

/// The limits and a step's looks against them; none: the test judges it.
fn looks_of<'e>(evidence: &'e EvidenceStatus, settings: &Analysis) -> Option<(Threshold, &'e LooksStatus)> {
    settings.limits().zip(evidence.looks.as_ref())
}

/// Whether a look that is not over is bad so far: a step does not pass before it is.
pub fn has_bad_open_look(evidence: &EvidenceStatus, settings: &Analysis) -> bool {
    let held = |limits: &Threshold| Held::of(evidence.metric, settings, limits);
    let is_bad = |(limits, looks): (Threshold, &LooksStatus)| threshold::open_is_bad(looks, &held(&limits));
    looks_of(evidence, settings).is_some_and(is_bad)
}

/// Why a candidate fails at the end of all time that a step has: by a look that was not over; none: it doesn't.
pub fn fails_at_end(evidence: &EvidenceStatus, settings: &Analysis) -> Option<String> {
    let (limits, looks) = looks_of(evidence, settings)?;
    let why = threshold::fails_at_end(looks, &limits, &Held::of(evidence.metric, settings, &limits))?;
    Some(format!("its only look, which was not over yet, is above the limits: {why}"))
}

/// Whether looks saw no requests of the candidate for longer than they may: the end of the step is not waited for.
pub fn is_silent(evidence: &EvidenceStatus, settings: &Analysis) -> bool {
    let is_needed = Need::of(evidence.metric, settings) > Need::Nothing;
    is_needed && looks_of(evidence, settings).is_some_and(|(limits, looks)| threshold::is_silent(looks, &limits))
}
