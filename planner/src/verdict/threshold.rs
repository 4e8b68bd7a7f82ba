//! Looks against fixed limits, as other tools take them: no statement about chance is made.
//!
//! A look is the sum of an interval's closed minutes. Those of a step are counted: one failure more than `failureLimit`
//! fails the candidate, `count` successes pass the step, and too many looks in a row without requests are no data.

use orchestra_crds::{
    Analysis, ErrorLimits, EvidenceStatus, LatencyLimits, LooksStatus, Metric, Preset, Threshold, Verdict,
};

use super::judgement::quantile;
use super::kind::Kind;
use super::words::{bad_of, milliseconds};
use crate::cloud::{Count, Minute, Tally};

/// Microseconds of a millisecond.
const MILLISECOND: i64 = 1_000;

/// The share of failed probes above which a look fails, in basis points: more than one in ten.
const PROBES: i32 = 1_000;
/// The share of looks at instances above which they breach, in basis points: more than half.
const BREACH: i32 = 5_000;

/// What the looks at a metric are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// The share of bad ones, and how they are called.
    Share(ErrorLimits, String),
    /// How long they take.
    Duration(LatencyLimits),
}

impl Held {
    /// Of a metric, as the analysis says.
    pub(super) fn of(metric: Metric, settings: &Analysis, limits: &Threshold) -> Self {
        let fixed = |fail_above_basis_points| ErrorLimits { fail_above_basis_points, pass_at_most_basis_points: None };
        let own = settings.promql(metric).and_then(|promql| promql.limits.as_ref().map(ErrorLimits::from));
        let limit = match (metric, Kind::of(metric, settings)) {
            (_, Kind::Durations) => return Self::Duration(limits.latency.clone()),
            (Metric::Preset(Preset::HealthChecks | Preset::StartupFailures), _) => fixed(PROBES),
            (_, Kind::Looks) => own.unwrap_or_else(|| fixed(BREACH)),
            _ => own.unwrap_or_else(|| limits.errors.clone()),
        };
        Self::Share(limit, bad_of(metric, settings, None))
    }
}

/// What one look saw.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    Succeeded,
    /// What it saw, and the limit that this is above.
    Failed(String),
    /// It is between what succeeds and what fails.
    Inconclusive,
    /// There were no requests of the candidate.
    Empty,
}

/// The looks of the evidence's step, with some minutes more, each once and in order.
pub(super) fn count(evidence: &EvidenceStatus, limits: &Threshold, held: &Held, minutes: &[&Minute]) -> LooksStatus {
    let known = evidence.looks.as_ref().filter(|looks| looks.step == evidence.step).cloned();
    let mut looks = known.unwrap_or_else(|| LooksStatus { step: evidence.step, ..LooksStatus::default() });
    let mut open = Open::read(&looks.open).unwrap_or_default();
    for minute in minutes {
        open.add(minute);
        if open.minutes * 60 >= i64::from(limits.interval_seconds) {
            note(&mut looks, open.look(held));
            open = Open::default();
        }
    }
    looks.open = open.write();
    looks
}

fn note(looks: &mut LooksStatus, look: Look) {
    if look != Look::Empty {
        looks.empty_in_a_row = 0;
    }
    let counter = match look {
        Look::Succeeded => &mut looks.succeeded,
        Look::Failed(why) => {
            looks.last_failure = Some(why);
            &mut looks.failed
        }
        Look::Inconclusive => &mut looks.inconclusive,
        Look::Empty => &mut looks.empty_in_a_row,
    };
    *counter = counter.saturating_add(1);
}

/// Whether something speaks against it: a look that was inconclusive, or one that is not over and would not succeed now.
pub(super) fn leans(looks: &LooksStatus, held: &Held) -> bool {
    looks.inconclusive > 0 || open_is_bad(looks, held)
}

/// Whether a look that is not over would not succeed now.
pub(super) fn open_is_bad(looks: &LooksStatus, held: &Held) -> bool {
    let open = Open::read(&looks.open).map(|open| open.look(held));
    matches!(open, Some(Look::Failed(_) | Look::Inconclusive))
}

/// Where a step's looks stand.
pub(super) fn verdict(looks: &LooksStatus, limits: &Threshold) -> Verdict {
    if looks.failed > limits.failure_limit {
        return Verdict::Fail;
    }
    let is_empty = seen(looks) == 0 && Open::read(&looks.open).is_none_or(|open| open.candidate.is_empty());
    if is_empty || is_silent(looks, limits) {
        return Verdict::NoData;
    }
    let enough = match limits.count {
        Some(count) => looks.succeeded >= count,
        None => looks.succeeded > 0 && looks.inconclusive == 0,
    };
    if enough { Verdict::Pass } else { Verdict::Undecided }
}

/// How many looks are over that saw requests.
fn seen(looks: &LooksStatus) -> i32 {
    looks.succeeded + looks.failed + looks.inconclusive
}

/// Whether more looks in a row than may be saw no requests.
pub(super) fn is_silent(looks: &LooksStatus, limits: &Threshold) -> bool {
    looks.empty_in_a_row > limits.consecutive_error_limit
}

/// Why a candidate fails at the end of all time that there was for a look, and none is over: by what the first one saw; none:
/// it doesn't. Beside looks that are over, a part of one says nothing.
pub(super) fn fails_at_end(looks: &LooksStatus, limits: &Threshold, held: &Held) -> Option<String> {
    match Open::read(&looks.open)?.look(held) {
        Look::Failed(why) if seen(looks) == 0 && limits.failure_limit == 0 => Some(why),
        _ => None,
    }
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

    fn look(&self, held: &Held) -> Look {
        if self.candidate.is_empty() {
            return Look::Empty;
        }
        match held {
            Held::Share(limits, called) => self.look_at_share(limits, called),
            Held::Duration(limits) => self.look_at_latency(limits),
        }
    }

    fn look_at_share(&self, limits: &ErrorLimits, called: &str) -> Look {
        let Count { total, bad } = self.candidate.above(0);
        let is_above = |limit: i32| bad.saturating_mul(10_000) > total.saturating_mul(limit.into());
        let limit = limits.fail_above_basis_points;
        let fails = is_above(limit).then(|| {
            let (rate, limit) = (bad as f64 * 100.0 / total as f64, f64::from(limit) / 100.0);
            format!("{bad} of {total} {called} ({rate:.2} %), above {limit:.2} %")
        });
        look(fails, limits.pass_at_most_basis_points.map(is_above))
    }

    fn look_at_latency(&self, limits: &LatencyLimits) -> Look {
        let percentile = i64::from(limits.percentile);
        // None: it is above every bound.
        let own = quantile(&self.candidate, percentile).unwrap_or(i64::MAX);
        let is_above = |limit: i32| own > i64::from(limit).saturating_mul(MILLISECOND);
        let times = i64::from(limits.fail_above_percent_of_stable);
        let is_slower = |stable: &i64| times > 0 && own.saturating_mul(100) > stable.saturating_mul(times);
        let slower = quantile(&self.stable, percentile).filter(is_slower);
        let above = limits.fail_above_milliseconds.filter(|limit| is_above(*limit));
        let limit = match (above, slower) {
            (Some(limit), _) => Some(format!("{limit} ms")),
            (None, Some(stable)) => Some(format!("{times} % of stable's {}", milliseconds(stable))),
            (None, None) => None,
        };
        let saw = match own {
            i64::MAX => "longer than the largest bucket".to_string(),
            own => milliseconds(own),
        };
        let fails = limit.map(|limit| format!("the {percentile}th percentile was {saw}, above {limit}"));
        look(fails, limits.pass_at_most_milliseconds.map(is_above))
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

/// What a look is that fails, by some words, or not, and is above what succeeds or not, where that is said.
fn look(fails: Option<String>, is_above: Option<bool>) -> Look {
    match (fails, is_above) {
        (Some(why), _) => Look::Failed(why),
        (None, Some(true)) => Look::Inconclusive,
        (None, _) => Look::Succeeded,
    }
}

#[cfg(test)]
mod tests;
