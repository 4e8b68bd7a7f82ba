//! The fast lane of a release: which request logs to read, and what they count for.

use jiff::SignedDuration;
use orchestra_crds::{AnalysisMode, FastLane, FastStatus, Metric, Verdict};

use super::capacity;
use super::judge::{last_weight, terms};
use super::memory::{Candidate, Memory, RegionMemory};
use super::pass::Pass;
use super::place::Place;
use super::progress::{InEffect, Placement, Progress};
use crate::cloud::{FailuresQuery, ServiceView};
use crate::names::{Percent, RevisionName};
use crate::traffic::weight_of;
use crate::verdict::Subject;
use crate::verdict::fast::{self, Look};

/// A weight that requests are split by: also while the candidate, which is seen to have them, is not said to be ready.
fn split(
    candidate: &Candidate,
    known: &RegionMemory,
    (place, state): (&Place<'_>, &Progress),
) -> Option<(InEffect, Percent)> {
    let weight = match state {
        Progress::Starting(_) => last_weight(candidate, known)?,
        state => state.weight()?,
    };
    let share = candidate.steps().at(weight.step)?.share()?;
    if matches!(state, Progress::Starting(_)) {
        let serves =
            |view: &&ServiceView| view.settled && weight_of(&candidate.release.revision, &view.serving) == share;
        place.view().filter(serves)?;
    }
    (share > Percent::NONE && share < Percent::ALL).then_some((weight, share))
}

fn subject(candidate: &Candidate, weight: InEffect) -> Subject<'_> {
    let InEffect { step, written_at, since } = weight;
    Subject { metric: Metric::ERRORS, release: &candidate.release, step, written_at, since, has_all: false }
}

fn is_on(pass: &Pass<'_>, candidate: &Candidate) -> bool {
    let settings = terms(pass, candidate).settings;
    // Fixed limits know no share of failures that chance explains.
    settings.fast_lane == FastLane::Auto && settings.mode != AnalysisMode::Threshold
}

/// Whether somebody changed the split, or nobody knows it.
fn is_drifted(state: &Progress) -> bool {
    matches!(state, Progress::Drifted(_) | Progress::Unreadable(_))
}

/// Whether users' sessions stay with a revision.
fn has_affinity(pass: &Pass<'_>) -> bool {
    let own = pass.seen.rollout.spec.template.session_affinity;
    pass.built.as_ref().map_or(own, |wanted| wanted.template.session_affinity)
}

/// The logs to read about a region; none: nothing is open, or the lane is off there.
pub(super) fn question(pass: &Pass<'_>, memory: &Memory, place: &Place<'_>) -> Option<FailuresQuery> {
    let candidate = memory.candidate.as_ref().filter(|candidate| is_on(pass, candidate))?;
    if place.seen.failures.is_some() {
        return None;
    }
    let stable = stable(memory, place)?;
    let known = memory.region(place.region());
    let (weight, share) = split(candidate, &known, (place, &Placement { pass, memory, place, candidate }.progress()))?;
    let errors = known.evidence_of(&candidate.release, Metric::ERRORS);
    if fast::distrusted(has_affinity(pass), share, errors).is_some() {
        return None;
    }
    let (settings, subject) = (terms(pass, candidate).settings, subject(candidate, weight));
    let begun = begun(&known, candidate);
    let window = match begun {
        None => fast::history_window(&subject),
        Some(_) => {
            let is_short = capacity::too_few(place, share).is_some();
            fast::open_windows(begun, (&subject, is_short), settings, pass.seen.now)?
        }
    };
    let candidate = candidate.release.revision.clone();
    Some(FailuresQuery { candidate, stable, window, is_history: begun.is_none() })
}

/// Whether the logs of a region are read, or about to be.
pub(super) fn reads(
    pass: &Pass<'_>,
    memory: &Memory,
    candidate: &Candidate,
    (place, state): (&Place<'_>, &Progress),
) -> bool {
    let known = memory.region(place.region());
    let errors = known.evidence_of(&candidate.release, Metric::ERRORS);
    let split =
        split(candidate, &known, (place, state)).filter(|_| is_on(pass, candidate) && stable(memory, place).is_some());
    split.is_some_and(|(_, share)| fast::distrusted(has_affinity(pass), share, errors).is_none())
}

/// The lane of this release, once it has begun.
fn begun<'k>(known: &'k RegionMemory, candidate: &Candidate) -> Option<&'k FastStatus> {
    known.fast.as_ref().filter(|fast| fast.release == candidate.release.to_string())
}

/// The stable revision beside the candidate.
fn stable(memory: &Memory, place: &Place<'_>) -> Option<RevisionName> {
    place.stable(memory).filter(|stable| memory.candidate.as_ref().is_some_and(|c| c.release.revision != *stable))
}

/// Counts what the logs of each region tell.
pub(super) fn count(pass: &Pass<'_>, memory: &mut Memory, candidate: &Candidate, states: &[(&Place<'_>, Progress)]) {
    if !is_on(pass, candidate) {
        return;
    }
    for (place, state) in states {
        let mut known = memory.region(place.region());
        compare(&mut known, place, candidate, state);
        let (before, now) = (known.fast.as_ref(), pass.seen.now);
        let release = &candidate.release;
        let Some((weight, share)) = split(candidate, &known, (place, state)) else {
            // What failed while the split was another, or not known, is counted by the minutes alone.
            if is_drifted(state) && before.is_some_and(|before| before.release == release.to_string()) {
                let why = match state {
                    Progress::Unreadable(_) => "how the traffic is split can't be read",
                    _ => "the traffic is not split as the step says",
                };
                let off = fast::suspended(before, release, now, why.into());
                memory.region_mut(place.region()).fast = Some(off);
            }
            continue;
        };
        let Some(stable) = stable(memory, place) else { continue };
        let subject = subject(candidate, weight);
        let errors = known.evidence_of(release, Metric::ERRORS);
        let is_short = capacity::too_few(place, share).is_some();
        let look = Look { subject: &subject, share, is_short, candidate: &release.revision, stable: &stable };
        let after = match (fast::distrusted(has_affinity(pass), share, errors), &place.seen.failures) {
            (Some(why), _) => fast::suspended(before, release, now, why),
            (None, _) if before.is_some_and(|before| before.suspended) => match before {
                Some(before) => fast::resumed(before, now),
                None => continue,
            },
            (None, Some(logged)) => match &logged.failures {
                Ok(failures) if logged.query.is_history => {
                    fast::begin(&look, terms(pass, candidate).settings, (failures, logged.query.window), errors)
                }
                Ok(failures) => {
                    let told = (failures, logged.query.window);
                    fast::count_failures(before, &look, &terms(pass, candidate), told, errors)
                }
                Err(fault) => {
                    let why = fault.unread("the request logs", "roles/logging.viewer");
                    fast::idle(before, release, logged.query.window.to, why)
                }
            },
            (None, None) => {
                memory.region_mut(place.region()).fast = known.fast;
                continue;
            }
        };
        memory.region_mut(place.region()).fast = Some(after);
    }
}

/// Compares the logs with the metrics that came in this pass.
fn compare(known: &mut RegionMemory, place: &Place<'_>, candidate: &Candidate, state: &Progress) {
    let measured = place.seen.counts.get(&Metric::ERRORS).and_then(|counts| counts.measured.as_ref().ok());
    let weight = split(candidate, known, (place, state)).map(|(weight, _)| weight);
    if let (Some(fast), Some(measured), Some(weight)) = (&known.fast, measured, weight)
        && fast.release == candidate.release.to_string()
    {
        known.fast = Some(fast::compared(fast, &subject(candidate, weight), measured));
    }
}

/// Why the logs say to roll back, in any region.
pub(super) fn failing(
    pass: &Pass<'_>,
    memory: &Memory,
    candidate: &Candidate,
    states: &[(&Place<'_>, Progress)],
) -> Option<String> {
    let settings = terms(pass, candidate).settings;
    if settings.mode != AnalysisMode::Sequential || settings.fast_lane == FastLane::Disabled {
        return None;
    }
    let own = |fast: &&orchestra_crds::FastStatus| fast.release == candidate.release.to_string();
    memory.regions.iter().find_map(|(region, known)| {
        let fast = known.fast.as_ref().filter(own).filter(|fast| fast.verdict == Verdict::Fail)?;
        let state = states.iter().find(|(place, _)| place.region() == region);
        let share = state.and_then(|(place, state)| split(candidate, known, (place, state))).map(|(_, share)| format!(", which gets {share} of all"));
        Some(format!(
            "{region}: sure enough that it is worse, by request logs up to {}: {} failed requests of the candidate{}, {} of \
             stable at the same time",
            fast.through.0,
            fast.candidate_failed,
            share.unwrap_or_default(),
            fast.stable_failed
        ))
    })
}

/// When the logs are to be looked at again.
pub(super) fn next_look(
    pass: &Pass<'_>,
    memory: &Memory,
    candidate: &Candidate,
    states: &[(&Place<'_>, Progress)],
) -> Option<SignedDuration> {
    let next = |(place, state): &(&Place<'_>, Progress)| {
        let known = memory.region(place.region());
        split(candidate, &known, (place, state))?;
        match known.fast.filter(|fast| fast.release == candidate.release.to_string()) {
            Some(fast) if fast.suspended => None,
            Some(fast) => Some(fast::closes_after(fast.through.0).duration_since(pass.seen.now)),
            // The first window closes when the split has settled.
            None => Some(fast::WINDOW),
        }
    };
    let next = states.iter().filter_map(next).min().filter(|_| is_on(pass, candidate))?;
    Some(next.max(SignedDuration::from_secs(1)))
}
