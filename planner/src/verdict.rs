//! The verdict: whether a candidate is worse than the stable revision, at the same time, in one region and by one
//! metric. Each closed minute is counted once and for ever.

mod sequential;
mod state;
mod words;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{Analysis, CountStatus, EvidenceStatus, Metric, Verdict};

use crate::cloud::{Count, Minute, Window};
use crate::names::ReleaseId;
use state::State;
pub use words::{in_words, standing};

/// The least that Cloud Run's metrics have to be waited for: they arrive so late at most, by Google's documentation.
const LEAST_DELAY_SECONDS: i32 = 180;

/// What evidence is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// What is counted.
    pub metric: Metric,
    /// The candidate's release.
    pub release: &'a ReleaseId,
    /// The step whose weight is in effect, counted from 1.
    pub step: u32,
    /// Since when it has been in effect.
    pub since: Timestamp,
}

impl Subject<'_> {
    fn owns(&self, evidence: &EvidenceStatus) -> bool {
        evidence.metric == self.metric && evidence.release == self.release.to_string()
    }

    fn step_number(&self) -> i32 {
        i32::try_from(self.step).unwrap_or(i32::MAX)
    }
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

/// The minutes that are closed and not counted yet, and those that were empty and may have filled since; none: there is
/// nothing to ask for.
pub fn window(
    before: Option<&EvidenceStatus>,
    subject: &Subject<'_>,
    settings: &Analysis,
    now: Timestamp,
) -> Option<Window> {
    let to = minute_to(now.checked_sub(delay(settings)).unwrap_or(Timestamp::MIN));
    let known = before.filter(|b| subject.owns(b));
    let from = known.map_or_else(|| minute_from(subject.since), |b| b.through.0);
    if from >= to {
        return None;
    }
    let empty = known.and_then(|b| State::read(&b.state)).and_then(|state| state.first_empty(from));
    Some(Window { from: empty.unwrap_or(from).min(from), to })
}

/// The evidence with the minutes of that window counted, each once.
pub fn count(
    before: Option<&EvidenceStatus>,
    subject: &Subject<'_>,
    settings: &Analysis,
    minutes: &[Minute],
    window: Window,
) -> EvidenceStatus {
    let mut after = before.filter(|b| subject.owns(b)).cloned().unwrap_or_else(|| empty(subject));
    let mut state = State::read(&after.state).unwrap_or_default();
    if after.step != subject.step_number() {
        (after.step, after.step_candidate, after.step_stable) = (subject.step_number(), 0, 0);
    }
    let known_until = after.through.0;
    let is_new = |start: Timestamp, state: &State| start >= known_until || state.was_empty(start);
    for minute in minutes.iter().filter(|m| m.start >= window.from && m.start < window.to) {
        let told = minute.candidate.total > 0 || minute.stable.total > 0;
        if told && is_new(minute.start, &state) {
            add(&mut after, subject, minute);
            state.add(minute);
        }
    }
    state.note_empty(minutes, known_until.max(window.from), window.to);
    after.through = Time(window.to.max(known_until));
    after.evidence_percent = state.percent(settings);
    after.verdict = verdict(&after, settings);
    after.state = state.write();
    after.fault = None;
    after
}

fn add(after: &mut EvidenceStatus, subject: &Subject<'_>, minute: &Minute) {
    let sum = |so_far: CountStatus, more: Count| CountStatus {
        total: so_far.total.saturating_add(more.total),
        bad: so_far.bad.saturating_add(more.bad),
    };
    after.candidate = sum(after.candidate, minute.candidate);
    after.stable = sum(after.stable, minute.stable);
    if minute.start >= subject.since {
        after.step_candidate += minute.candidate.total;
        after.step_stable += minute.stable.total;
    }
}

/// The evidence when it could not be asked for: nothing is counted, and why is told.
pub fn unknown(before: Option<&EvidenceStatus>, subject: &Subject<'_>, fault: &str) -> EvidenceStatus {
    let known = before.filter(|b| subject.owns(b)).cloned().unwrap_or_else(|| empty(subject));
    EvidenceStatus { fault: Some(fault.to_string()), ..known }
}

fn empty(subject: &Subject<'_>) -> EvidenceStatus {
    EvidenceStatus {
        metric: subject.metric,
        release: subject.release.to_string(),
        step: subject.step_number(),
        through: Time(minute_from(subject.since)),
        verdict: Verdict::NoData,
        evidence_percent: 0,
        candidate: CountStatus::default(),
        stable: CountStatus::default(),
        step_candidate: 0,
        step_stable: 0,
        state: State::default().write(),
        fault: None,
    }
}

/// Whether the evidence leans to harm: more speaks for a worse candidate than for an equal one. Such evidence never
/// passes a step, whatever the number of requests.
pub fn leans_to_harm(evidence: &EvidenceStatus) -> bool {
    evidence.evidence_percent > 0
}

fn verdict(evidence: &EvidenceStatus, settings: &Analysis) -> Verdict {
    if evidence.step_candidate == 0 && evidence.evidence_percent < 100 {
        return Verdict::NoData;
    }
    if evidence.evidence_percent >= 100 && clearly_higher(evidence, settings) {
        return Verdict::Fail;
    }
    let compared = evidence.step_candidate >= i64::from(settings.minimum_requests) && evidence.step_stable > 0;
    if compared && !leans_to_harm(evidence) { Verdict::Pass } else { Verdict::Undecided }
}

/// Whether the difference is large enough to matter: significance alone is not harm.
fn clearly_higher(evidence: &EvidenceStatus, settings: &Analysis) -> bool {
    let rate = |count: CountStatus| if count.total > 0 { count.bad as f64 / count.total as f64 } else { 0.0 };
    let (candidate, stable) = (rate(evidence.candidate), rate(evidence.stable));
    candidate > stable * (1.0 + f64::from(settings.relative_increase_percent) / 100.0)
        && candidate > stable + f64::from(settings.minimum_increase_basis_points) / 10_000.0
}

#[cfg(test)]
mod tests;
