//! The fast lane: errors alone, from request logs, within seconds.
//!
//! Cloud Monitoring's closed minutes arrive up to three minutes late, and users meet a broken release meanwhile. Given the
//! number of failed requests of a window of ten seconds, each is the candidate's with the probability of its share of the
//! traffic, if both are equally good: the test of `likelihood`, with the known split in place of counted requests. It has
//! its own small part of the error budget, can fail a release and never pass one, and its evidence is never multiplied with
//! that of the minutes. It is off, and says why, wherever logs or split can't be trusted.

mod entries;
mod history;
mod state;
mod trust;
mod unserved;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{Analysis, EvidenceStatus, FastStatus, Metric, Verdict};

use super::likelihood::{is_informative, log_ratio, log_ratio_alone};
use super::restarts::weight_of_start;
use super::spread::{Limits, Spread};
use super::trial::ALTERNATIVES;
use super::{Judgement, Pair, Subject, Terms, later, percent};
use crate::cloud::{Count, Failures, Measured, Window};
use crate::names::{Percent, ReleaseId, RevisionName};
use entries::Counted;
pub use history::{begin, history_window};
pub(super) use state::Memory;
pub use trust::distrusted;
pub use unserved::{Failing, LATELY, Told, Unserved};

/// How long a window is.
pub const WINDOW: SignedDuration = SignedDuration::from_secs(10);
/// How long after its end a window is closed. Entries come within a second or two of a request's end, and longer requests
/// than a part of this are not counted, of either revision: nothing that counts is late, however slow one of them is.
const LATE: SignedDuration = SignedDuration::from_secs(6);
/// How long after a write of the traffic requests are not counted, at least: the split takes a while to be everywhere, and
/// new instances start cold. A warm-up that is longer than usual is longer here, too.
const SETTLES: SignedDuration = SignedDuration::from_secs(30);
/// How long after it was seen to be another a split is not trusted.
const DRIFTED: SignedDuration = SignedDuration::from_secs(60);
/// The most that is asked about in one look.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// How sure it must be that the candidate's own rate is above what matters.
const FLOOR: f64 = 20.0;
/// Between which limits the spread of windows is taken: they are short, and bursts of seconds are usual.
const LIMITS: Limits = Limits { least: 0.03, unproven: 0.25 };
/// Windows of a minute: bursts of seconds are hidden in minutes by as much.
const OF_MINUTE: f64 = 6.0;
/// How many times stable's odds the candidates have that are sure to be found, and what each weighs: who is hurt within
/// seconds is hurt much.
const RATIOS: [f64; ALTERNATIVES] = [2.5, 8.0, 25.0, 300.0];
const SHARES: [f64; ALTERNATIVES] = [4.0, 11.0, 4.0, 1.0];
/// How much evidence is halved by while nothing shows that the logs are complete.
const UNPROVEN: f64 = 0.5;

/// What the lane looks at.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// The step whose weight is in effect.
    pub subject: &'a Subject<'a>,
    /// That weight: the candidate's share of the requests.
    pub share: Percent,
    /// Whether it leaves the candidate too few instances.
    pub is_short: bool,
    /// The candidate.
    pub candidate: &'a RevisionName,
    /// Stable.
    pub stable: &'a RevisionName,
}

/// How long after a write of the traffic nothing is counted.
fn settles(settings: &Analysis) -> SignedDuration {
    SETTLES.max(SignedDuration::from_secs(settings.warmup_seconds.into()) - SETTLES)
}

/// From when on failures are evidence.
fn counts_from(subject: &Subject<'_>, settings: &Analysis) -> Timestamp {
    window_after(subject.since.max(later(subject.written_at, settles(settings))))
}

/// The windows that are closed and not counted yet; none: there is nothing to ask for. Where the share is too small for the
/// instances that it leaves, those right after the write are among them: the minutes count by then.
pub fn open_windows(
    before: Option<&FastStatus>,
    (subject, is_short): (&Subject<'_>, bool),
    settings: &Analysis,
    now: Timestamp,
) -> Option<Window> {
    if before.is_some_and(|before| before.suspended && before.release == subject.release.to_string()) {
        return None;
    }
    let to = window_before(now.checked_sub(LATE).unwrap_or(Timestamp::MIN));
    let known = before.filter(|before| before.release == subject.release.to_string()).map(|before| before.through.0);
    let begins = if is_short { window_after(subject.since) } else { counts_from(subject, settings) };
    let from = known.unwrap_or(Timestamp::MIN).max(begins);
    let to = to.min(later(from, LONGEST));
    (from < to).then_some(Window { from, to })
}

/// When the window after a time is closed.
pub fn closes_after(time: Timestamp) -> Timestamp {
    later(time, WINDOW + LATE)
}

fn window_before(time: Timestamp) -> Timestamp {
    let size = WINDOW.as_secs();
    Timestamp::from_second(time.as_second().div_euclid(size) * size).unwrap_or(time)
}

fn window_after(time: Timestamp) -> Timestamp {
    let before = window_before(time);
    if before < time { later(before, WINDOW) } else { before }
}

/// A lane that has not counted what was until then.
pub fn idle(before: Option<&FastStatus>, release: &ReleaseId, until: Timestamp, why: String) -> FastStatus {
    let known = before.filter(|before| before.release == release.to_string()).cloned();
    let known = known.unwrap_or_else(|| empty(release, until));
    let through = Time(known.through.0.max(window_after(until)));
    FastStatus { through, off_because: Some(why), waits_for: None, verdict: Verdict::NoData, ..known }
}

/// A lane for which nothing is read: the split is not what the weight says. It stays as it is until that is over.
pub fn suspended(before: Option<&FastStatus>, release: &ReleaseId, now: Timestamp, why: String) -> FastStatus {
    match before.filter(|before| before.release == release.to_string() && before.suspended) {
        Some(before) if before.off_because.as_ref() == Some(&why) => before.clone(),
        _ => FastStatus { suspended: true, ..idle(before, release, now, why) },
    }
}

/// The lane once the split is as it should be: what was before, and a while after, is not counted.
pub fn resumed(before: &FastStatus, now: Timestamp) -> FastStatus {
    let through = Time(before.through.0.max(window_after(later(now, DRIFTED))));
    FastStatus { through, off_because: None, suspended: false, verdict: Verdict::Undecided, ..before.clone() }
}

fn empty(release: &ReleaseId, from: Timestamp) -> FastStatus {
    FastStatus {
        release: release.to_string(),
        through: Time(from),
        verdict: Verdict::NoData,
        evidence_percent: 0,
        candidate_failed: 0,
        stable_failed: 0,
        unserved: String::new(),
        waits_for: None,
        off_because: None,
        suspended: false,
        state: Memory::default().write(),
    }
}

/// The lane with the windows of that span counted, each once.
pub fn count_failures(
    before: Option<&FastStatus>,
    look: &Look<'_>,
    terms: &Terms<'_>,
    (failures, window): (&Failures, Window),
    errors: Option<&EvidenceStatus>,
) -> FastStatus {
    let own = before.filter(|before| before.release == look.subject.release.to_string()).cloned();
    let mut after = own.unwrap_or_else(|| empty(look.subject.release, window.from));
    let mut memory = Memory::read(&after.state).unwrap_or_default();
    let mut unserved = Unserved::of(&after);
    if failures.is_cut {
        note_what_was_told(&mut unserved, failures, look, window);
        let why = "more requests of the project's releases fail than one read of the logs tells of, or more releases are under way \
                   than the read quota has pages for";
        let idle = idle(before, look.subject.release, window.to, why.into());
        return FastStatus { unserved: unserved.write(), ..idle };
    }
    let beside = errors.and_then(Beside::of);
    let evidence_from = counts_from(look.subject, terms.settings);
    let mut start = window.from.max(after.through.0);
    while start < window.to {
        let end = later(start, WINDOW);
        let counted = Counted::of(failures, look, Window { from: start, to: end });
        if start < evidence_from {
            unserved.note(start, &counted, look.is_short, memory.incomplete(end).is_some());
            start = end;
            continue;
        }
        memory.note_logged(start, counted.logged);
        // What can't be trusted is no evidence, later neither.
        if memory.incomplete(end).is_none() {
            memory.add(start, &counted, look.share, beside, terms);
        }
        after.candidate_failed = after.candidate_failed.saturating_add(counted.failed.candidate);
        after.stable_failed = after.stable_failed.saturating_add(counted.failed.stable);
        unserved.note(start, &counted, look.is_short, memory.incomplete(end).is_some());
        start = end;
    }
    after.through = Time(window.to.max(after.through.0));
    after.off_because = memory.incomplete(window.to);
    let needed = terms.needed_fast() - if memory.is_complete() { 0.0 } else { UNPROVEN.ln() };
    let evidence = memory.worse.log_mean(&SHARES);
    after.evidence_percent = percent(evidence, needed);
    let missing = memory.missing(look.share, beside, terms);
    after.verdict = match (&after.off_because, missing) {
        (Some(_), _) => Verdict::NoData,
        (None, None) if evidence >= needed => Verdict::Fail,
        (None, _) => Verdict::Undecided,
    };
    let is_on = after.off_because.is_none();
    after.waits_for = missing.filter(|_| is_on && evidence >= needed).map(|missing| missing.words().to_string());
    (after.state, after.unserved) = (memory.write(), unserved.write());
    after
}

/// Takes in the windows of which a part was told.
fn note_what_was_told(unserved: &mut Unserved, failures: &Failures, look: &Look<'_>, window: Window) {
    let mut start = window.from;
    while start < window.to {
        let end = later(start, WINDOW);
        let counted = Counted::of(failures, look, Window { from: start, to: end });
        if counted != Counted::default() {
            unserved.note(start, &counted, look.is_short, true);
        }
        start = end;
    }
}

/// The lane with its logs compared to what metrics tell of the same minutes.
pub fn compared(before: &FastStatus, subject: &Subject<'_>, measured: &Measured) -> FastStatus {
    let mut memory = Memory::read(&before.state).unwrap_or_default();
    memory.compare(measured, subject);
    FastStatus { state: memory.write(), ..before.clone() }
}

/// What the minutes tell of stable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    /// How many requests it answers in a minute, by the last closed one.
    per_minute: f64,
    /// How much windows may vary, by how much minutes do.
    spread: f64,
    /// The rate at which it has failed requests so far.
    rate: f64,
    /// How many it has failed so far, the hour before the release included.
    failed: i64,
}

impl Beside {
    fn of(evidence: &EvidenceStatus) -> Option<Self> {
        let judgement = Judgement::read(&evidence.state)?;
        let trial = judgement.trials.first()?;
        let stable = &trial.stable;
        let per_minute = stable.last.map(|(_, count)| count.total as f64).filter(|total| *total > 0.0)?;
        let limits = Limits { least: 0.0, unproven: LIMITS.unproven / OF_MINUTE };
        let spread = Spread::of(stable, &Spread::default(), limits) * OF_MINUTE;
        Some(Self { per_minute, spread, rate: trial.known.rate(), failed: trial.known.bad })
    }
}

/// How many failed, of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) candidate: i64,
    pub(super) stable: i64,
}

impl Failed {
    fn plus(self, other: Self) -> Self {
        Self {
            candidate: self.candidate.saturating_add(other.candidate),
            stable: self.stable.saturating_add(other.stable),
        }
    }
}

/// What failed since an alternative began to lead, and in how many windows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Leads {
    pub(super) said: f64,
    pub(super) failed: Failed,
    pub(super) windows: i64,
}

/// What a rollback by request logs is not done without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// How many requests there are.
    Minutes,
    /// A difference that matters.
    Size,
    /// Failures of more than one client.
    Clients,
}

impl Missing {
    fn words(self) -> &'static str {
        match self {
            Self::Minutes => "the first minute of Cloud Monitoring that tells how many requests stable answers",
            Self::Size => "a difference that surely matters (minimumIncreaseBasisPoints, relativeIncreasePercent)",
            Self::Clients => "failed requests of more than one client",
        }
    }
}

/// A share as counts that stand in the same ratio.
fn split(share: Percent, failed: Failed) -> Pair {
    /// Large enough that rounding is nothing.
    const ALL: i64 = 1_000_000;
    let candidate = ALL / 100 * i64::from(share.get());
    Pair {
        candidate: Count { total: candidate, bad: failed.candidate },
        stable: Count { total: ALL - candidate, bad: failed.stable },
    }
}

/// The number of a window since 1970.
fn number_of(start: Timestamp) -> i64 {
    start.as_second().div_euclid(WINDOW.as_secs())
}

/// A window's failures as a share of a number that is the same in each: what varies is how many fail.
fn whole(bad: i64) -> Count {
    Count { total: 1_000_000, bad }
}

/// How many requests the candidate answers in a window, by what stable answers in a minute.
fn candidate_per_window(share: Percent, stable_per_minute: f64) -> f64 {
    let share = f64::from(share.get()) / 100.0;
    stable_per_minute / OF_MINUTE * share / (1.0 - share).max(0.01)
}

impl Memory {
    /// Takes in a window.
    fn add(&mut self, start: Timestamp, counted: &Counted, share: Percent, beside: Option<Beside>, terms: &Terms<'_>) {
        let number = number_of(start);
        self.windows = self.windows.saturating_add(1);
        let question = terms.question(Metric::ERRORS);
        let unproven = beside.map_or(LIMITS.unproven, |beside| beside.spread.max(LIMITS.least));
        let spread = Spread::of(&self.stable, &self.candidate, Limits { unproven, ..LIMITS });
        let planned = terms.planned_minutes.saturating_mul(6);
        let pair = split(share, counted.failed);
        if is_informative(&pair) {
            self.informative = self.informative.saturating_add(1);
            let said = RATIOS.map(|ratio| log_ratio(&pair, ratio, 1.0, spread));
            self.worse.add(said, weight_of_start(self.informative, planned));
            for (leads, said) in self.leads.iter_mut().zip(said) {
                leads.said = (leads.said + said).max(0.0);
                let failed = leads.failed.plus(counted.failed);
                *leads = if leads.said > 0.0 { Leads { failed, ..*leads } } else { Leads::default() };
            }
            if self.leads[0].said <= 0.0 {
                self.clients = Default::default();
            }
        }
        self.leads.iter_mut().filter(|leads| leads.said > 0.0).for_each(|leads| leads.windows += 1);
        self.note_clients(counted);
        if let (Some(floor), Some(Beside { per_minute, .. })) = (question.floor, beside) {
            let total = candidate_per_window(share, per_minute).ceil() as i64;
            let count = Count { total, bad: counted.failed.candidate };
            let said = RATIOS.map(|ratio| log_ratio_alone(count, (floor * ratio).min(0.95), floor, spread));
            self.matters.add(said, weight_of_start(self.windows, planned));
        }
        self.stable.learn(number, whole(counted.failed.stable));
        self.candidate.learn(number, whole(counted.failed.candidate));
        self.round();
    }

    /// What evidence is not enough without: a difference that matters, of which more than one client tells; none: it is
    /// all there.
    fn missing(&self, share: Percent, beside: Option<Beside>, terms: &Terms<'_>) -> Option<Missing> {
        let question = terms.question(Metric::ERRORS);
        let leads = &self.leads[self.worse.leading()];
        let Some(Beside { per_minute, rate, .. }) = beside else { return Some(Missing::Minutes) };
        if leads.windows == 0 {
            return Some(Missing::Size);
        }
        let windows = leads.windows as f64;
        let candidate = leads.failed.candidate as f64 / (candidate_per_window(share, per_minute) * windows);
        // Failures of stable that take long are in no window: its rate is at least what the minutes know.
        let stable = rate.max(leads.failed.stable as f64 / (per_minute / OF_MINUTE * windows));
        let high = question.floor.is_none() || self.matters.log_mean(&SHARES) >= FLOOR.ln();
        let large = candidate > question.times * stable && candidate > stable + question.above;
        match (high && large, self.tells_of_many()) {
            (false, _) => Some(Missing::Size),
            (true, false) => Some(Missing::Clients),
            (true, true) => None,
        }
    }
}

#[cfg(test)]
mod tests;
