//! The verdict: whether a candidate is worse than the stable revision, at the same time, in one region and by one
//! metric. Each closed minute is counted once and for ever.
//!
//! **Fail.** If in every counted minute the candidate's odds of a bad request are at most stable's, apart from bursts of
//! single minutes no larger than those measured before, a release is rolled back with at most the probability that
//! `confidencePercent` leaves, over any number of looks, weights, regions, metrics and hours. A failure must also matter:
//! the candidate's own rate is above a floor, and above stable's by a stated factor and distance, since it went wrong.
//! **Pass.** A step passes only when harm of the size `analysis.harm` is ruled out: of the releases that have it from
//! their start, at most one in 20 passes. Between the two it is undecided. No data is neither.
//!
//! Each part is a file: what a minute says (`likelihood`), how much minutes vary (`spread`), a test that any minute may
//! start (`restarts`), a comparison of one count (`trial`), values of instances, which follow each other (`instances`), all of
//! one metric (`judgement`), its constants (`question`). `fast` judges errors from request logs within seconds.

mod by_limits;
pub mod fast;
mod instances;
mod judgement;
mod kind;
mod likelihood;
mod question;
pub mod replay;
mod restarts;
mod spread;
mod state;
mod threshold;
mod trial;
mod words;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{Analysis, CountStatus, EvidenceStatus, Metric, Verdict};
use std::collections::BTreeSet;

use crate::cloud::{Count, Measured, Window};
use crate::names::ReleaseId;
use by_limits::by_looks;
pub use by_limits::{fails_at_end, has_bad_open_look, is_silent};
pub use judgement::Judgement;
use judgement::minute_of;
pub use kind::Kind;
use kind::Need;
pub use question::Terms;
pub use trial::Question;
pub use words::{all_in_words, counts_requests, decisive, in_words, standing};

/// The least that Cloud Run's metrics have to be waited for: they arrive so late at most, by Google's documentation.
const LEAST_DELAY_SECONDS: i32 = 180;
/// The most that they are waited for, whatever is said of them.
const LONGEST_DELAY_SECONDS: i64 = 1_800;
/// The most that is asked for at once: what was missed for longer is caught up with in parts.
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// For how many minutes a gauge may have no values.
const SILENT_MINUTES: i64 = 4;

/// Candidate and stable at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The candidate's.
    pub candidate: Count,
    /// Stable's.
    pub stable: Count,
}

impl Pair {
    /// Both together.
    #[must_use]
    fn plus(self, other: &Self) -> Self {
        Self { candidate: self.candidate.plus(other.candidate), stable: self.stable.plus(other.stable) }
    }
}

/// What evidence is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// What is measured.
    pub metric: Metric,
    /// The candidate's release.
    pub release: &'a ReleaseId,
    /// The step whose weight is in effect, counted from 1.
    pub step: u32,
    /// When that weight was written: until it is in effect, users met a mixture.
    pub written_at: Timestamp,
    /// Since when it has been in effect.
    pub since: Timestamp,
    /// Whether that weight is all requests.
    pub has_all: bool,
}

impl Subject<'_> {
    fn owns(&self, evidence: &EvidenceStatus) -> bool {
        evidence.metric == self.metric && evidence.release == self.release.to_string()
    }

    fn step_number(&self) -> i32 {
        i32::try_from(self.step).unwrap_or(i32::MAX)
    }

    /// Whether one weight was in effect all through a minute, as far as this step tells.
    fn is_whole(&self, start: Timestamp) -> bool {
        start >= self.since || later(start, MINUTE) <= self.written_at
    }
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The first whole minute at or after a time.
fn minute_from(time: Timestamp) -> Timestamp {
    let seconds = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds.div_euclid(60) * 60 + if seconds.rem_euclid(60) > 0 { 60 } else { 0 })
        .unwrap_or(time)
}

/// The last minute's end at or before a time.
fn minute_to(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second().div_euclid(60) * 60).unwrap_or(time)
}

/// How long after its end a minute counts as complete.
pub fn delay(settings: &Analysis) -> SignedDuration {
    SignedDuration::from_secs(settings.metrics_delay_seconds.max(LEAST_DELAY_SECONDS).into())
}

/// How long after its end a minute of that evidence counts as complete: longer where Google says that its metric is later.
fn delay_of(known: Option<&EvidenceStatus>, settings: &Analysis) -> SignedDuration {
    let told = known.and_then(|known| known.delay_seconds).map_or(SignedDuration::ZERO, SignedDuration::from_secs);
    delay(settings).max(told)
}

/// The same of all evidence of a step.
pub fn longest_delay(evidence: &[&EvidenceStatus], settings: &Analysis) -> SignedDuration {
    let told = evidence.iter().map(|evidence| delay_of(Some(evidence), settings));
    told.max().unwrap_or(SignedDuration::ZERO).max(delay(settings))
}

/// How long a new revision's first users are not counted: its instances start cold.
fn warm_up(settings: &Analysis) -> SignedDuration {
    SignedDuration::from_secs(settings.warmup_seconds.into())
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// The minutes that are closed and not counted yet, and those that were empty and may have filled since.
    pub window: Window,
    /// Stable's history up to then, while that isn't known.
    pub history_until: Option<Timestamp>,
}

/// What is still to be asked for; none: nothing.
pub fn open(
    before: Option<&EvidenceStatus>,
    subject: &Subject<'_>,
    settings: &Analysis,
    now: Timestamp,
) -> Option<Open> {
    let known = before.filter(|b| subject.owns(b));
    let to = minute_to(now.checked_sub(delay_of(known, settings)).unwrap_or(Timestamp::MIN));
    let from = known.map_or_else(|| first_minute(subject, settings), |b| b.through.0);
    if from >= to {
        // Stable's history is there at once, and says how many requests there are.
        let nothing = Window { from, to: from };
        return known.is_none().then_some(Open { window: nothing, history_until: Some(from) });
    }
    let judgement = known.and_then(|b| Judgement::read(&b.state)).unwrap_or_default();
    let to = to.min(later(from, LONGEST_WINDOW));
    let empty = judgement.first_empty(from);
    let history_until = judgement.told_bound().is_none().then_some(from);
    Some(Open { window: Window { from: empty.unwrap_or(from).min(from), to }, history_until })
}

/// The windows of stable's history: the last hour by minutes, and the last day by hours; of instances, of which there are few, the
/// last week.
pub fn history_windows(metric: Metric, until: Timestamp) -> (Window, Window) {
    let before = |by: SignedDuration| until.checked_sub(by).unwrap_or(Timestamp::MIN);
    let days = if Kind::of(metric, &Analysis::default()).is_of_instances() { 7 } else { 1 };
    (Window { from: before(HOUR), to: until }, Window { from: before(HOUR * 24 * days), to: until })
}

/// The first minute that counts of a revision whose first users come now.
fn first_minute(subject: &Subject<'_>, settings: &Analysis) -> Timestamp {
    minute_from(later(subject.since, warm_up(settings)))
}

/// The evidence with the minutes of that window counted, each once.
pub fn count(
    before: Option<&EvidenceStatus>,
    subject: &Subject<'_>,
    terms: &Terms<'_>,
    measured: &Measured,
    window: Window,
) -> EvidenceStatus {
    let known_before = before.filter(|b| subject.owns(b));
    let mut after = known_before.cloned().unwrap_or_else(|| empty(subject, terms.settings));
    let mut judgement = Judgement::read(&after.state).unwrap_or_default();
    if let (None, Some(history)) = (judgement.told_bound(), &measured.history) {
        judgement.begin(terms.kind(subject.metric), history);
    }
    if let Some(seconds) = measured.delay_seconds {
        let is_later = SignedDuration::from_secs(seconds) > delay(terms.settings);
        after.delay_seconds = is_later.then_some(seconds.min(LONGEST_DELAY_SECONDS));
    }
    // A minute that was asked for before that was known is not complete yet.
    let not_yet = delay_of(Some(&after), terms.settings) - delay_of(known_before, terms.settings);
    let not_yet = not_yet.max(SignedDuration::ZERO);
    let window = Window { to: minute_to(window.to - not_yet).max(window.from), ..window };
    begin_step(&mut after, subject, &mut judgement);
    let question = terms.question(subject.metric);
    let known_until = after.through.0;
    let (mut told, mut counted) = (BTreeSet::new(), vec![]);
    for minute in measured.minutes.iter().filter(|m| m.start >= window.from && m.start < window.to) {
        if minute.candidate.is_empty() && minute.stable.is_empty() {
            continue;
        }
        told.insert(minute_of(minute.start));
        let is_new = minute.start >= known_until || judgement.was_empty(minute.start);
        if is_new && subject.is_whole(minute.start) {
            // One of a weight before, that filled late, had stable beside it.
            judgement.add(minute, &question, subject.has_all && minute.start >= subject.since);
            counted.extend((minute.start >= subject.since).then_some(minute));
            let bound = judgement.told_bound().unwrap_or(i64::MAX);
            let pair = Pair { candidate: minute.candidate.above(bound), stable: minute.stable.above(bound) };
            add(&mut after, subject, minute.start, pair);
        }
    }
    judgement.note_empty(&told, known_until.max(window.from), window.to);
    after.through = Time(window.to.max(known_until));
    match terms.settings.limits() {
        Some(limits) => by_looks(&mut after, &limits, terms.settings, &counted),
        None => by_test(&mut after, &judgement, terms),
    }
    after.slow_above_micros = judgement.told_bound().filter(|_| terms.kind(subject.metric) == Kind::Durations);
    after.state = judgement.write();
    after.fault = None;
    after
}

/// Another weight is in effect: what is of one step begins anew.
fn begin_step(after: &mut EvidenceStatus, subject: &Subject<'_>, judgement: &mut Judgement) {
    if after.step != subject.step_number() {
        (after.step, after.step_candidate, after.step_stable) = (subject.step_number(), 0, 0);
        judgement.close();
    }
}

/// Holds the minutes of the whole release against stable's.
fn by_test(after: &mut EvidenceStatus, judgement: &Judgement, terms: &Terms<'_>) {
    let question = terms.question(after.metric);
    let judgement = &judgement.at(after.through.0, &question);
    let evidence = judgement.evidence(&question);
    let beside = percent(evidence, terms.needed() - terms.weight(after.metric));
    let beside = match terms.kind(after.metric).is_of_instances() {
        true => instances::in_breach(beside, judgement.minutes_in_breach()),
        false => beside,
    };
    after.evidence_percent = beside.max(percent(judgement.evidence_alone(), terms.needed_alone()));
    if !is_beside_stable(after) && after.candidate.bad > 0 {
        // Nothing to compare with is no health.
        after.evidence_percent = after.evidence_percent.max(1);
    }
    after.verdict = verdict(after, judgement, terms);
    after.requests_needed = requests_needed(after, judgement, terms);
}

/// Whether stable has anything of a metric that it may lack: a release may bring a metric of its own. Of instances that Cloud Run
/// knows a breach tells, whether stable has any at the time or not.
fn is_beside_stable(evidence: &EvidenceStatus) -> bool {
    !matches!(evidence.metric, Metric::Named(_)) || evidence.stable.total > 0
}

/// Whether all of both is bad by a metric of the user's own: a query that finds nothing else tells nothing.
fn is_all_bad(evidence: &EvidenceStatus) -> bool {
    let all = |count: CountStatus| count.total > 0 && count.bad == count.total;
    matches!(evidence.metric, Metric::Named(_)) && all(evidence.candidate) && all(evidence.stable)
}

/// Whether a gauge that had values has had none for a while.
fn fell_silent(evidence: &EvidenceStatus, judgement: &Judgement, terms: &Terms<'_>) -> bool {
    let is_gauge = matches!(evidence.metric, Metric::Named(_)) && terms.kind(evidence.metric) == Kind::Looks;
    let last = judgement.candidates_last_minute();
    is_gauge && last.is_some_and(|last| minute_of(evidence.through.0) - last > SILENT_MINUTES)
}

/// About how many requests a pass still needs; none: that can't be told.
fn requests_needed(after: &EvidenceStatus, judgement: &Judgement, terms: &Terms<'_>) -> Option<i64> {
    let candidate = Count { total: after.candidate.total, bad: after.candidate.bad };
    // Where it is sure already that it is worse, no pass is on its way.
    if terms.need(after.metric) < Need::NoHarm || after.evidence_percent >= 100 {
        return None;
    }
    let statistic = judgement.requests_needed(&terms.question(after.metric), candidate)?;
    let least = least_to_judge(after.metric, terms) - after.step_candidate;
    Some(statistic.max(least).max(0))
}

/// When the first minute of a weight that can count is over, of evidence about it.
pub fn first_minute_ends(since: Timestamp, evidence: &[&EvidenceStatus], settings: &Analysis) -> Timestamp {
    let is_warm = evidence.iter().any(|evidence| evidence.candidate.total > evidence.step_candidate);
    let warm_up = if is_warm { SignedDuration::ZERO } else { warm_up(settings) };
    later(minute_from(later(since, warm_up)), MINUTE)
}

fn add(after: &mut EvidenceStatus, subject: &Subject<'_>, start: Timestamp, pair: Pair) {
    let sum = |so_far: CountStatus, more: Count| CountStatus {
        total: so_far.total.saturating_add(more.total),
        bad: so_far.bad.saturating_add(more.bad),
    };
    after.candidate = sum(after.candidate, pair.candidate);
    after.stable = sum(after.stable, pair.stable);
    if start >= subject.since {
        after.step_candidate = after.step_candidate.saturating_add(pair.candidate.total);
        after.step_stable = after.step_stable.saturating_add(pair.stable.total);
    }
}

/// The evidence when it could not be asked for: nothing is counted, and why is told.
pub fn unknown(
    before: Option<&EvidenceStatus>,
    subject: &Subject<'_>,
    settings: &Analysis,
    fault: &str,
) -> EvidenceStatus {
    let mut after = before.filter(|b| subject.owns(b)).cloned().unwrap_or_else(|| empty(subject, settings));
    if after.step != subject.step_number() {
        let mut judgement = Judgement::read(&after.state).unwrap_or_default();
        begin_step(&mut after, subject, &mut judgement);
        (after.state, after.verdict, after.requests_needed) = (judgement.write(), Verdict::NoData, None);
    }
    EvidenceStatus { fault: Some(fault.to_string()), ..after }
}

fn empty(subject: &Subject<'_>, settings: &Analysis) -> EvidenceStatus {
    EvidenceStatus {
        metric: subject.metric,
        release: subject.release.to_string(),
        step: subject.step_number(),
        through: Time(first_minute(subject, settings)),
        verdict: Verdict::NoData,
        evidence_percent: 0,
        candidate: CountStatus::default(),
        stable: CountStatus::default(),
        step_candidate: 0,
        step_stable: 0,
        requests_needed: None,
        slow_above_micros: None,
        delay_seconds: None,
        looks: None,
        state: Judgement::default().write(),
        fault: None,
    }
}

/// Whether the evidence leans to harm: more speaks for a worse candidate than for an equal one. Such evidence never
/// passes a step, whatever the number of requests.
pub fn leans_to_harm(evidence: &EvidenceStatus) -> bool {
    evidence.evidence_percent > 0
}

/// How far evidence is on its way to what is needed, in percent of the logarithm. Above 0, more speaks for a worse
/// candidate than for an equal one.
fn percent(evidence: f64, needed: f64) -> i32 {
    let percent = evidence / needed * 100.0;
    // A hundred is all that is needed, and less than that never counts as all.
    let rounded = if percent > 0.0 && percent < 1.0 { 1.0 } else { percent.floor() };
    rounded.clamp(0.0, 1000.0) as i32
}

fn verdict(evidence: &EvidenceStatus, judgement: &Judgement, terms: &Terms<'_>) -> Verdict {
    let question = terms.question(evidence.metric);
    if judgement.evidence_alone() >= terms.needed_alone() {
        return Verdict::Fail;
    }
    if terms.weight(evidence.metric) + judgement.evidence_that_matters(&question) >= terms.needed() {
        return Verdict::Fail;
    }
    let need = terms.need(evidence.metric);
    let lacks = evidence.step_candidate == 0 || fell_silent(evidence, judgement, terms);
    if lacks && need > Need::Nothing {
        return Verdict::NoData;
    }
    let compared = evidence.step_candidate >= least_to_judge(evidence.metric, terms) && evidence.step_stable > 0;
    let is_fine = need < Need::NoHarm || compared && judgement.is_ruled_out() && !is_all_bad(evidence);
    match is_fine && !leans_to_harm(evidence) {
        true => Verdict::Pass,
        false => Verdict::Undecided,
    }
}

/// How many of the candidate's a step must have judged to pass.
fn least_to_judge(metric: Metric, terms: &Terms<'_>) -> i64 {
    match metric {
        Metric::Preset(_) => terms.settings.minimum_requests.into(),
        // It counts something else than requests.
        Metric::Named(_) => 1,
    }
}

/// The evidence of all metrics and regions of a release together: the one that says most, if all together say enough for a
/// rollback. A weighted mean of evidence is evidence, whatever the parts have to do with each other.
pub fn together<'e>(all: &[&'e EvidenceStatus], terms: &Terms<'_>) -> Option<&'e EvidenceStatus> {
    if let Some(failing) = all.iter().find(|evidence| evidence.verdict == Verdict::Fail) {
        return Some(failing);
    }
    if terms.settings.limits().is_some() {
        return None;
    }
    let part = |evidence: &EvidenceStatus| {
        let question = terms.question(evidence.metric);
        let judgement = Judgement::read(&evidence.state)?.at(evidence.through.0, &question);
        let matters = judgement.evidence_that_matters(&question);
        Some(terms.weight(evidence.metric) + matters)
    };
    let parts: Vec<f64> = all.iter().filter_map(|evidence| part(evidence)).collect();
    let most = all.iter().max_by_key(|evidence| evidence.evidence_percent).copied();
    most.filter(|_| restarts::log_sum(parts) >= terms.needed())
}

#[cfg(test)]
mod tests;
