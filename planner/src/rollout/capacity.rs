//! A candidate that gets too few instances: Cloud Run divides the service's maximum by the share of the traffic, and answers
//! requests that find no free instance itself. That is not the code's fault, and not held against it.

use orchestra_crds::{EvidenceStatus, Metric, Preset};

use super::memory::{Candidate, RegionMemory};
use super::place::Place;
use super::progress::InEffect;

/// How many instances a share of the traffic must leave, at least, for what is missing to be the code's fault.
const ENOUGH: i32 = 2;

/// Why failed requests of the candidate in a region say nothing about it; none: they do.
pub(super) fn limited(
    candidate: &Candidate,
    known: &RegionMemory,
    place: &Place<'_>,
    weight: InEffect,
) -> Option<String> {
    let share = candidate.steps().at(weight.step)?.share()?;
    let most = place.view()?.settings.max_instances?;
    let is_short = most.saturating_mul(share.get()) < ENOUGH * 100;
    let release = candidate.release.to_string();
    let unserved = known.fast.as_ref().filter(|fast| fast.release == release)?.candidate_unserved;
    let failed = known.evidence_of(&candidate.release, Metric::ERRORS).map_or(0, |errors| errors.candidate.bad);
    let is_most = unserved > 0 && unserved.saturating_mul(2) >= failed;
    (is_short && is_most).then(|| {
        format!(
            "{unserved} of its requests met no free instance: of maxInstances {most}, {share} leaves less than {ENOUGH}. Raise \
             maxInstances, or the weight of the step"
        )
    })
}

/// Whether evidence is about what too few instances do.
pub(super) fn is_of_capacity(evidence: &EvidenceStatus) -> bool {
    matches!(evidence.metric, Metric::Preset(Preset::Errors | Preset::TooManyRequests))
}
