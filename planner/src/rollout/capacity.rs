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
use crate::verdict::fast::{Failing, LATELY, Told, Unserved};

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
    let share = share_of(candidate, weight.step)?;
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
    let share = share_of(candidate, weight.step)?;
    // Those that keep the step from passing now are some of them.
    let since = weight.since.min(now.checked_sub(LATELY).unwrap_or(weight.since));
    let (most, unserved) = (too_few(place, share)?, unserved(candidate, known)?.since(since));
    (unserved > 0).then(|| {
        format!(
            "of the candidate {unserved} met no free instance lately, and what minutes with such say is not counted: of \
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
    let share = u32::try_from(failing.step).ok().and_then(|step| share_of(candidate, step));
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
    // Where the service can't be read, it is what it was.
    let is_short = match place.view() {
        Some(_) => share_of(candidate, subject.step).is_some_and(|share| too_few(place, share).is_some()),
        None => unserved.is_short_still(),
    };
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
        (Told::Unknown { at_most }, Preset::Errors) if minute.candidate.above(0).bad > at_most => {
            let candidate = without_errors(&minute.candidate, Failing { unserved: at_most, own: 0 }, 0);
            Minute { candidate, ..minute.clone() }
        }
        (Told::Unknown { .. }, _) => silent(minute),
        (Told::Exactly { candidate, refused, stable }, Preset::Errors) => Minute {
            candidate: without_errors(&minute.candidate, candidate, refused),
            stable: without_errors(&minute.stable, stable, 0),
            ..minute.clone()
        },
        (Told::Part { unserved, failed }, Preset::Errors) => {
            let bad = minute.candidate.above(0).bad;
            let share = i128::from(unserved) * i128::from(bad) / i128::from(failed.max(1));
            let part = Failing { unserved: i64::try_from(share).unwrap_or(bad), own: 0 };
            Minute { candidate: without_errors(&minute.candidate, part, 0), ..minute.clone() }
        }
        (Told::Exactly { candidate: Failing { unserved: 0, .. }, refused: 0, .. }, _) => minute.clone(),
        // They waited for an instance before they were refused, and so did others.
        (Told::Exactly { candidate, refused, .. }, Preset::Latency | Preset::ClientErrors)
            if candidate.unserved.saturating_add(refused).saturating_mul(BLURS) < all =>
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

/// Without the errors that met no instance, and without so many requests that were refused: they are none of the service's.
/// Google's words on whether its metric has them at all differ: what logs know to be the service's own stays, and of refused
/// requests no more go than it has answers with 4xx.
fn without_errors(tally: &Tally, failing: Failing, refused: i64) -> Tally {
    let all = tally.above(0);
    let bad = all.bad.saturating_sub(failing.unserved).max(failing.own.min(all.bad)).max(0);
    let good = all.total.saturating_sub(all.bad).saturating_sub(refused.min(tally.client_errors())).max(0);
    Tally::of_errors(good.saturating_add(bad), bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(good: i64, client_errors: i64, bad: i64) -> Tally {
        let mut tally = Tally::of_errors(good + bad, bad);
        tally.add(Tally::CLIENT_ERROR, client_errors);
        tally
    }

    #[test]
    fn what_met_no_instance_is_taken_out_whether_the_metric_has_it_or_not() {
        let failing = Failing { unserved: 99, own: 100 };
        let own = |tally: Tally, refused| without_errors(&tally, failing, refused).above(0);
        let wanted = crate::cloud::Count { total: 500, bad: 100 };
        assert_eq!(own(answers(400, 0, 199), 0), wanted, "it has them");
        assert_eq!(own(answers(400, 0, 100), 0), wanted, "it has them not");
        assert_eq!(own(answers(400, 590, 199), 590), wanted, "it has those that were refused, too");
        assert_eq!(own(answers(400, 0, 100), 590), wanted, "and not");
    }
}
