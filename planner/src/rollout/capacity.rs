//! A candidate that gets too few instances: Cloud Run divides the service's maximum by the share of the traffic, and answers
//! requests that find no free instance itself. That is not the code's fault, and not held against it.

use orchestra_crds::{EvidenceStatus, FastStatus, Metric, Preset};
use std::borrow::Cow;

use super::memory::{Candidate, RegionMemory};
use super::place::Place;
use super::progress::InEffect;
use super::steps::Step;
use crate::cloud::{Measured, Minute, Tally, Window};
use crate::names::Percent;
use crate::verdict::Subject;
use crate::verdict::fast::{LATELY, Told, Unserved};

/// How many instances a share of the traffic must leave, at least, for what is missing to be the code's fault.
const ENOUGH: i32 = 2;
/// From one in how many of a minute's requests on its latencies say nothing.
const BLURS: i64 = 100;

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

/// Why minutes of a step may say nothing: requests met no free instance in it. None: they didn't.
pub(super) fn excuse(
    candidate: &Candidate,
    known: &RegionMemory,
    place: &Place<'_>,
    (weight, now): (InEffect, jiff::Timestamp),
) -> Option<String> {
    let share = candidate.steps().at(weight.step)?.share()?;
    // Those that keep the step from passing now are some of them.
    let since = weight.since.min(now.checked_sub(LATELY).unwrap_or(weight.since));
    let (most, unserved) = (too_few(place, share)?, unserved(candidate, known)?.since(since));
    (unserved > 0).then(|| {
        format!(
            "{unserved} requests of the candidate met no free instance lately, and what minutes with such say is not counted: of \
             at most {most} instances, {share} leaves less than {ENOUGH}. Raise spec.scaling, or begin the next release with a larger \
             weight"
        )
    })
}

/// What to know about a failure: it may be of the instances, which no request logs tell. Empty: it can't be, or they do.
pub(super) fn suspicion(
    candidate: &Candidate,
    known: &RegionMemory,
    place: &Place<'_>,
    failing: &EvidenceStatus,
) -> String {
    let share = u32::try_from(failing.step).ok().and_then(|step| candidate.steps().at(step)?.share());
    let is_read = lane(candidate, known).is_some_and(|fast| fast.off_because.is_none() && !fast.suspended);
    match share.and_then(|share| Some((share, too_few(place, share)?))) {
        Some((share, most)) if !is_read && failing.metric == Metric::ERRORS => format!(
            "; of at most {most} instances, {share} leaves less than {ENOUGH}, and no request logs tell which requests met no free \
             instance"
        ),
        _ => String::new(),
    }
}

fn lane<'k>(candidate: &Candidate, known: &'k RegionMemory) -> Option<&'k FastStatus> {
    let release = candidate.release.to_string();
    known.fast.as_ref().filter(|fast| fast.release == release)
}

fn unserved(candidate: &Candidate, known: &RegionMemory) -> Option<Unserved> {
    lane(candidate, known).map(Unserved::of)
}

/// What was measured, without what the code can't help: requests that met no free instance are no errors of it, and where they
/// would blur what else a minute tells, or nobody knows how many they were, that says nothing of either revision.
pub(super) fn served<'m>(
    candidate: &Candidate,
    known: &RegionMemory,
    (place, subject): (&Place<'_>, &Subject<'_>),
    measured: &'m Measured,
) -> Cow<'m, Measured> {
    let Metric::Preset(preset) = subject.metric else { return Cow::Borrowed(measured) };
    let tells = matches!(preset, Preset::Errors | Preset::Latency | Preset::TooManyRequests | Preset::ClientErrors);
    let Some(unserved) = unserved(candidate, known).filter(|unserved| tells && !unserved.is_empty()) else {
        return Cow::Borrowed(measured);
    };
    let is_short = share_of(candidate, subject.step).is_some_and(|share| too_few(place, share).is_some());
    let of_minute = |minute: &Minute| without(preset, minute, unserved.told_of(minute.start, is_short));
    Cow::Owned(Measured { minutes: measured.minutes.iter().map(of_minute).collect(), ..measured.clone() })
}

fn silent(minute: &Minute) -> Minute {
    Minute { candidate: Tally::default(), stable: Tally::default(), ..minute.clone() }
}

fn without(preset: Preset, minute: &Minute, told: Told) -> Minute {
    let all = minute.candidate.above(i64::MIN).total;
    match (told, preset) {
        (Told::AsItIs, _) => minute.clone(),
        (Told::Unknown, _) => silent(minute),
        (Told::Exactly { unserved, refused }, Preset::Errors) => without_errors(minute, unserved, refused),
        (Told::Part { unserved, failed }, Preset::Errors) => {
            let bad = minute.candidate.above(0).bad;
            let share = i128::from(unserved) * i128::from(bad) / i128::from(failed.max(1));
            without_errors(minute, i64::try_from(share).unwrap_or(bad), 0)
        }
        // They waited for an instance before they were refused, and so did others.
        (Told::Exactly { unserved, refused }, Preset::Latency)
            if unserved.saturating_add(refused).saturating_mul(BLURS) < all =>
        {
            minute.clone()
        }
        // Of latencies and of what clients do nobody knows what that part is.
        (Told::Exactly { .. } | Told::Part { .. }, _) => silent(minute),
    }
}

/// The share of a step that has stable beside it.
fn share_of(candidate: &Candidate, step: u32) -> Option<Percent> {
    candidate.steps().at(step).and_then(Step::share).filter(|share| *share < Percent::ALL)
}

/// The minutes of a window that request logs have told of, while a share may be too small: what met no free instance is known by
/// then. All of them, where no logs are read.
pub(super) fn told_of(
    candidate: &Candidate,
    known: &RegionMemory,
    (place, step): (&Place<'_>, u32),
    reads_logs: bool,
    window: Window,
) -> Window {
    if !reads_logs || share_of(candidate, step).is_none_or(|share| too_few(place, share).is_none()) {
        return window;
    }
    // The lane begins with the first look at the logs.
    let through = match lane(candidate, known) {
        Some(fast) if fast.suspended => return window,
        Some(fast) => fast.through.0,
        None => window.from,
    };
    Window { to: window.to.min(through).max(window.from), ..window }
}

/// Without so many errors, and without so many requests that were refused: they are none of the service's.
fn without_errors(minute: &Minute, unserved: i64, refused: i64) -> Minute {
    let all = minute.candidate.above(0);
    let bad = all.bad.saturating_sub(unserved).max(0);
    let good = all.total.saturating_sub(all.bad).saturating_sub(refused).max(0);
    Minute { candidate: Tally::of_errors(good.saturating_add(bad), bad), ..minute.clone() }
}
