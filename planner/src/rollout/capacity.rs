//! A candidate that gets too few instances: Cloud Run divides the service's maximum by the share of the traffic, and answers
//! requests that find no free instance itself. That is not the code's fault, and not held against it.

use orchestra_crds::{EvidenceStatus, Metric, Preset};
use std::borrow::Cow;

use super::memory::{Candidate, RegionMemory};
use super::place::Place;
use super::progress::InEffect;
use super::steps::Step;
use crate::cloud::{Measured, Minute, Tally, Window};
use crate::names::Percent;
use crate::verdict::fast::Unserved;

/// How many instances a share of the traffic must leave, at least, for what is missing to be the code's fault.
const ENOUGH: i32 = 2;

/// Most instances of a service of which a share leaves too few; none: it doesn't.
pub(super) fn too_few(place: &Place<'_>, share: Percent) -> Option<i32> {
    let settings = &place.view()?.settings;
    let most = settings.manual_instances.or(settings.max_instances)?;
    (most.saturating_mul(share.get()) < ENOUGH * 100).then_some(most)
}

/// Why no step passes: lately most failed requests of the candidate met no free instance. None: they didn't.
pub(super) fn limited(
    candidate: &Candidate,
    known: &RegionMemory,
    place: &Place<'_>,
    (weight, now): (InEffect, jiff::Timestamp),
) -> Option<String> {
    let share = candidate.steps().at(weight.step)?.share()?;
    let most = too_few(place, share)?;
    let unserved = unserved(candidate, known)?.lately(now)?;
    Some(format!(
        "{unserved} of its requests met no free instance in the last minutes: of at most {most} instances, {share} leaves less than \
         {ENOUGH}. Raise spec.scaling, or begin the next release with a larger weight"
    ))
}

/// What to know about a failure: it may be of the instances, which no request logs tell. Empty: it can't be, or they do.
pub(super) fn suspicion(
    candidate: &Candidate,
    known: &RegionMemory,
    place: &Place<'_>,
    failing: &EvidenceStatus,
) -> String {
    let share = u32::try_from(failing.step).ok().and_then(|step| candidate.steps().at(step)?.share());
    let is_read = unserved(candidate, known).is_some();
    match share.and_then(|share| Some((share, too_few(place, share)?))) {
        Some((share, most)) if !is_read && failing.metric == Metric::ERRORS => format!(
            "; of at most {most} instances, {share} leaves less than {ENOUGH}, and no request logs tell which requests met no free \
             instance"
        ),
        _ => String::new(),
    }
}

fn unserved(candidate: &Candidate, known: &RegionMemory) -> Option<Unserved> {
    let release = candidate.release.to_string();
    known.fast.as_ref().filter(|fast| fast.release == release).map(Unserved::of)
}

/// What was measured, without the candidate's requests that met no free instance. How long the others of such a minute waited for
/// one says nothing either.
pub(super) fn served<'m>(
    candidate: &Candidate,
    known: &RegionMemory,
    metric: Metric,
    measured: &'m Measured,
) -> Cow<'m, Measured> {
    let Some(unserved) = unserved(candidate, known) else { return Cow::Borrowed(measured) };
    let without: fn(&Tally, i64) -> Tally = match metric {
        Metric::Preset(Preset::Errors) => without_errors,
        Metric::Preset(Preset::TooManyRequests | Preset::ClientErrors) => |tally, _| without_errors(tally, i64::MAX),
        Metric::Preset(Preset::Latency) => |_, _| Tally::default(),
        _ => return Cow::Borrowed(measured),
    };
    let of_minute = |minute: &Minute| match unserved.in_minute(minute.start) {
        0 => minute.clone(),
        count => Minute { candidate: without(&minute.candidate, count), ..minute.clone() },
    };
    Cow::Owned(Measured { minutes: measured.minutes.iter().map(of_minute).collect(), ..measured.clone() })
}

/// The minutes of a window that request logs have told of, while a share may be too small: what met no free instance is known by
/// then. All of them, where no logs are read.
pub(super) fn told_of(
    candidate: &Candidate,
    known: &RegionMemory,
    (place, step): (&Place<'_>, u32),
    window: Window,
) -> Window {
    let release = candidate.release.to_string();
    let lane = known.fast.as_ref().filter(|fast| fast.release == release && !fast.suspended);
    let share = candidate.steps().at(step).and_then(Step::share).filter(|share| *share < Percent::ALL);
    match lane.filter(|_| share.is_some_and(|share| too_few(place, share).is_some())) {
        Some(fast) => Window { to: window.to.min(fast.through.0).max(window.from), ..window },
        None => window,
    }
}

/// Without so many bad ones.
fn without_errors(tally: &Tally, count: i64) -> Tally {
    let all = tally.above(0);
    let bad = all.bad.saturating_sub(count).max(0);
    Tally::of_errors(all.total - all.bad + bad, bad)
}
