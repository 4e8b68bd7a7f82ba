//! Looks against fixed limits, as other tools take them: no statement about chance is made.
//!
//! A look is the sum of an interval's closed minutes. Those of a step are counted: one failure more than `failureLimit`
//! fails the candidate, `count` successes pass the step, and too many looks in a row without requests are no data.

use orchestra_crds::{EvidenceStatus, LooksStatus, Metric, Threshold, Verdict};

use super::judgement::quantile;
use crate::cloud::{Minute, Tally};

/// Microseconds of a millisecond.
const MILLISECOND: i64 = 1_000;

/// What one look saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Succeeded,
    Failed,
    Inconclusive,
    /// There were no requests of the candidate.
    Empty,
}

/// The looks of the evidence's step, with some minutes more, each once and in order.
pub(super) fn count(evidence: &EvidenceStatus, limits: &Threshold, minutes: &[&Minute]) -> LooksStatus {
    let known = evidence.looks.as_ref().filter(|looks| looks.step == evidence.step).cloned();
    let mut looks = known.unwrap_or_else(|| LooksStatus { step: evidence.step, ..LooksStatus::default() });
    let mut open = Open::read(&looks.open).unwrap_or_default();
    for minute in minutes {
        open.add(minute);
        if open.minutes * 60 >= i64::from(limits.interval_seconds) {
            note(&mut looks, open.look(evidence.metric, limits));
            open = Open::default();
        }
    }
    looks.open = open.write();
    looks
}

fn note(looks: &mut LooksStatus, look: Look) {
    let counter = match look {
        Look::Succeeded => &mut looks.succeeded,
        Look::Failed => &mut looks.failed,
        Look::Inconclusive => &mut looks.inconclusive,
        Look::Empty => &mut looks.empty_in_a_row,
    };
    *counter = counter.saturating_add(1);
    if look != Look::Empty {
        looks.empty_in_a_row = 0;
    }
}

/// Whether something speaks against it: a look that was inconclusive, or one that is not over and would not succeed now.
pub(super) fn leans(looks: &LooksStatus, limits: &Threshold, metric: Metric) -> bool {
    let open = Open::read(&looks.open).map(|open| open.look(metric, limits));
    looks.inconclusive > 0 || matches!(open, Some(Look::Failed | Look::Inconclusive))
}

/// Where a step's looks stand.
pub(super) fn verdict(looks: &LooksStatus, limits: &Threshold) -> Verdict {
    if looks.failed > limits.failure_limit {
        return Verdict::Fail;
    }
    let seen = looks.succeeded + looks.failed + looks.inconclusive;
    let is_empty = seen == 0 && Open::read(&looks.open).is_none_or(|open| open.candidate.is_empty());
    if is_empty || looks.empty_in_a_row > limits.consecutive_error_limit {
        return Verdict::NoData;
    }
    let enough = match limits.count {
        Some(count) => looks.succeeded >= count,
        None => looks.succeeded > 0 && looks.inconclusive == 0,
    };
    if enough { Verdict::Pass } else { Verdict::Undecided }
}

/// Minutes of a look that is not over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Open {
    minutes: i64,
    candidate: Tally,
    stable: Tally,
}

impl Open {
    fn add(&mut self, minute: &Minute) {
        self.minutes += 1;
        minute.candidate.0.iter().for_each(|(bound, values)| self.candidate.add(*bound, *values));
        minute.stable.0.iter().for_each(|(bound, values)| self.stable.add(*bound, *values));
    }

    fn look(&self, metric: Metric, limits: &Threshold) -> Look {
        if self.candidate.is_empty() {
            return Look::Empty;
        }
        match metric {
            Metric::Errors => {
                let bad = self.candidate.above(0);
                let is_above = |limit: i32| bad.bad.saturating_mul(10_000) > bad.total.saturating_mul(limit.into());
                look(
                    is_above(limits.errors.fail_above_basis_points),
                    limits.errors.pass_at_most_basis_points.map(is_above),
                )
            }
            Metric::Latency => {
                let limits = &limits.latency;
                let percentile = i64::from(limits.percentile);
                // None: it is above every bound.
                let own = quantile(&self.candidate, percentile).unwrap_or(i64::MAX);
                let stable = quantile(&self.stable, percentile);
                let is_above = |limit: i32| own > i64::from(limit).saturating_mul(MILLISECOND);
                let times = i64::from(limits.fail_above_percent_of_stable);
                let is_slower =
                    times > 0 && stable.is_some_and(|stable| own.saturating_mul(100) > stable.saturating_mul(times));
                let fails = is_slower || limits.fail_above_milliseconds.is_some_and(is_above);
                look(fails, limits.pass_at_most_milliseconds.map(is_above))
            }
        }
    }

    /// `MINUTES;BOUND:VALUES …;BOUND:VALUES …`; empty: there are none.
    fn write(&self) -> String {
        let tally = |tally: &Tally| {
            tally.0.iter().map(|(bound, values)| format!("{bound}:{values}")).collect::<Vec<_>>().join(" ")
        };
        match self.minutes {
            0 => String::new(),
            minutes => format!("{minutes};{};{}", tally(&self.candidate), tally(&self.stable)),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(';').collect();
        let [minutes, candidate, stable] = parts.as_slice() else { return None };
        let tally = |text: &str| {
            let bucket = |part: &str| {
                let (bound, values) = part.split_once(':')?;
                Some((bound.parse().ok()?, values.parse().ok()?))
            };
            text.split(' ').filter(|part| !part.is_empty()).map(bucket).collect::<Option<_>>().map(Tally)
        };
        Some(Self { minutes: minutes.parse().ok()?, candidate: tally(candidate)?, stable: tally(stable)? })
    }
}

/// What a look is that fails or not, and is above what succeeds or not, where that is said.
fn look(fails: bool, is_above: Option<bool>) -> Look {
    match (fails, is_above) {
        (true, _) => Look::Failed,
        (false, Some(true)) => Look::Inconclusive,
        (false, _) => Look::Succeeded,
    }
}

#[cfg(test)]
mod tests;
