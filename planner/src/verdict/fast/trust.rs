//! Whether split and logs can be trusted.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::EvidenceStatus;

use super::state::{Check, Memory};
use super::{Counted, Failed};
use crate::cloud::Measured;
use crate::names::Percent;
use crate::verdict::judgement::minute_of;
use crate::verdict::{MINUTE, Subject, later};

/// How many failed requests it takes to compare logs with metrics.
pub(super) const COMPARABLE: i64 = 20;
/// The least of what the metrics count that logs must have.
pub(super) const LEAST_LOGGED: f64 = 0.5;
/// How much the two arms may differ in that.
const UNEVEN: f64 = 0.2;
/// How sure a difference must be, in standard deviations.
const SURE: f64 = 3.0;
/// How long the lane is off once logs were found to lack entries.
pub(super) const OFF: SignedDuration = SignedDuration::from_mins(30);
/// The most entries that may be of no revision, or of another.
const STRANGE: f64 = 0.05;
/// How many times its weight a candidate's measured share may be.
const SHARE: f64 = 1.2;
/// How many clients must have met the candidate's failures.
const CLIENTS: usize = 3;
/// Minutes of logged requests that are kept, until metrics tell of them.
const KEPT: usize = 16;
/// Windows in a minute.
const WINDOWS: u32 = 6;

/// Why the split is not what the weight says, where it is not.
pub fn distrusted(has_affinity: bool, share: Percent, errors: Option<&EvidenceStatus>) -> Option<String> {
    if has_affinity {
        return Some("with session affinity users do not follow the split".into());
    }
    let evidence = errors?;
    let (candidate, all) =
        (evidence.step_candidate as f64, evidence.step_candidate.saturating_add(evidence.step_stable) as f64);
    let weight = f64::from(share.get()) / 100.0;
    let deviation = (all * weight * (1.0 - weight)).sqrt();
    let is_more = candidate > all * weight * SHARE && candidate - all * weight > SURE * deviation;
    is_more.then(|| {
        let measured = candidate * 100.0 / all;
        format!("the candidate got {measured:.1} % of the requests, by the metrics, and its weight is {share}")
    })
}

impl Memory {
    /// Notes what a window's logs hold, to compare it with the metrics once those are there.
    pub(super) fn note_logged(&mut self, start: Timestamp, logged: Failed) {
        let known = self.logged.entry(minute_of(start)).or_default();
        *known = (known.0 + 1, known.1.plus(logged));
        while self.logged.len() > KEPT {
            self.logged.pop_first();
        }
    }

    /// Compares the minutes that metrics tell of with what the logs held.
    pub(super) fn compare(&mut self, measured: &Measured, subject: &Subject<'_>) {
        for minute in measured.minutes.iter().filter(|minute| minute.start >= subject.since) {
            let Some((WINDOWS, logged)) = self.logged.remove(&minute_of(minute.start)) else { continue };
            let told = Failed { candidate: minute.candidate.above(0).bad, stable: minute.stable.above(0).bad };
            self.check = Check { logged: self.check.logged.plus(logged), told: self.check.told.plus(told) };
            let until = later(minute.start, MINUTE);
            if self.check.told.candidate + self.check.told.stable >= COMPARABLE {
                self.checked = true;
                if self.check.lacks() {
                    self.off_until = Some(later(until, OFF).as_second());
                    self.forget();
                }
                self.check = Check::default();
            }
        }
    }

    /// Forgets what such logs said.
    fn forget(&mut self) {
        (self.worse, self.matters, self.leads) = Default::default();
        (self.windows, self.informative) = (0, 0);
        self.clients = Default::default();
    }

    /// Why the lane is off, where logs lack entries or have strange ones.
    pub(super) fn incomplete(&self, now: Timestamp) -> Option<String> {
        if let Some(until) = self.off_until.filter(|until| *until > now.as_second()) {
            let until = Timestamp::from_second(until).unwrap_or(now);
            return Some(format!(
                "the request logs lack failed requests that the metrics count; looked at again at {until}"
            ));
        }
        let is_strange = self.strange.1 >= COMPARABLE && self.strange.0 as f64 > STRANGE * self.strange.1 as f64;
        is_strange.then(|| "too many log entries are of no revision, or of another".into())
    }

    /// Whether the logs were found to be complete.
    pub(super) fn is_complete(&self) -> bool {
        self.checked
    }

    /// Notes who met failures, and of which revisions.
    pub(super) fn note_clients(&mut self, counted: &Counted) {
        let known = [&counted.clients, &counted.stable_clients];
        for (kept, told) in self.clients.iter_mut().zip(known) {
            kept.extend(told);
            while kept.len() > CLIENTS {
                kept.pop_last();
            }
        }
        let all = counted.logged.candidate + counted.logged.stable + counted.strange;
        self.strange = (self.strange.0 + counted.strange, self.strange.1 + all);
    }

    /// Whether more than one client tells of failures, or only one is known at all.
    pub(super) fn tells_of_many(&self) -> bool {
        let [candidate, stable] = &self.clients;
        candidate.len() >= CLIENTS || (candidate.len() == 1 && stable.len() == 1)
    }
}

impl Check {
    fn lacks(&self) -> bool {
        let Self { logged, told } = self;
        let all = (told.candidate + told.stable) as f64;
        if ((logged.candidate + logged.stable) as f64) < LEAST_LOGGED * all {
            return true;
        }
        if told.candidate == 0 || told.stable == 0 {
            return false;
        }
        // Logs that have more than the metrics lack nothing: those of a load test are not in all metrics.
        let share = |logged: i64, told: i64| (logged as f64 / told as f64).min(1.0);
        let (candidate, stable) = (share(logged.candidate, told.candidate), share(logged.stable, told.stable));
        let pooled = ((logged.candidate + logged.stable) as f64 / all).clamp(0.01, 0.99);
        let deviation = (pooled * (1.0 - pooled) * (1.0 / told.candidate as f64 + 1.0 / told.stable as f64)).sqrt();
        (candidate - stable).abs() > UNEVEN && (candidate - stable).abs() > SURE * deviation
    }
}
