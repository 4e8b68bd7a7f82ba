//! All that is remembered of one metric in one region: a comparison for each bound above which a value is bad.

use jiff::Timestamp;
use std::collections::BTreeSet;

use super::Pair;
use super::kind::Kind;
use super::restarts::log_sum;
use super::trial::{ABOVE_WEIGHTS, Question, Trial};
use crate::cloud::{Count, History, Minute, Tally};

/// How many empty minutes are kept in mind: what arrives later than that is not counted.
const EMPTY_KEPT: i64 = 15;
/// Minutes with requests of which an hour has this many at least.
const AN_HOUR: usize = 45;
/// Above which of stable's quantiles a latency is slow, in percent.
const SLOW: [i64; 3] = [75, 90, 95];

/// The judgement of one metric in one region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Above which a value is bad, of each trial.
    pub(super) bounds: Vec<i64>,
    pub(super) trials: Vec<Trial>,
    /// Minutes that were closed without any data, since 1970.
    pub(super) empty: BTreeSet<i64>,
}

/// The number of a minute since 1970.
pub(super) fn minute_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

/// The bounds at or above stable's quantiles, each once; none: it had no values.
fn bounds_of(kind: Kind, history: &History) -> Vec<i64> {
    match kind {
        Kind::Errors | Kind::Events | Kind::Probes | Kind::Looks => vec![0],
        Kind::Durations => {
            let mut all = Tally::default();
            let known = if history.hours.is_empty() { &history.minutes } else { &history.hours };
            known.values().flat_map(|tally| &tally.0).for_each(|(bound, values)| all.add(*bound, *values));
            let mut bounds: Vec<i64> = SLOW.iter().filter_map(|percent| quantile(&all, *percent)).collect();
            bounds.dedup();
            // A bound that nothing was above tells little; it stays where there is no other.
            let telling: Vec<i64> = bounds.iter().copied().filter(|bound| all.above(*bound).bad > 0).collect();
            if telling.is_empty() { bounds } else { telling }
        }
    }
}

/// The upper bound of the bucket in which a quantile is. None where that bucket has none: nothing could be above it.
pub(super) fn quantile(tally: &Tally, percent: i64) -> Option<i64> {
    let total = tally.above(i64::MIN).total;
    let mut below = 0_i64;
    let bucket = tally.0.iter().find(|(_, values)| {
        below = below.saturating_add(**values);
        below.saturating_mul(100) >= total.saturating_mul(percent)
    });
    bucket.map(|(bound, _)| *bound).filter(|bound| *bound < i64::MAX)
}

impl Judgement {
    /// Learns stable's history, before anything is compared.
    pub fn begin(&mut self, kind: Kind, history: &History) {
        let bounds = bounds_of(kind, history);
        let trial = |bound: &i64| {
            let minutes: Vec<(i64, Count)> =
                history.minutes.iter().map(|(start, tally)| (minute_of(*start), tally.above(*bound))).collect();
            let hours: Vec<Count> = history.hours.values().map(|tally| tally.above(*bound)).collect();
            let served = |counts: &mut dyn Iterator<Item = i64>| counts.filter(|total| *total > 0).count();
            let is_known = served(&mut hours.iter().map(|hour| hour.total)) > 1
                || served(&mut minutes.iter().map(|(_, minute)| minute.total)) >= AN_HOUR;
            let day = hours.into_iter().fold(Count::default(), Count::plus);
            match kind.is_of_instances() {
                true => Trial::of_instances(&minutes, day),
                false => Trial::with_history(&minutes, day, is_known && kind == Kind::Errors),
            }
        };
        (self.trials, self.bounds) = (bounds.iter().map(trial).collect(), bounds);
    }

    /// Takes in a minute.
    pub fn add(&mut self, minute: &Minute, question: &Question, has_all: bool) {
        let number = minute_of(minute.start);
        self.empty.remove(&number);
        for (bound, trial) in self.bounds.iter().zip(&mut self.trials) {
            let pair = Pair { candidate: minute.candidate.above(*bound), stable: minute.stable.above(*bound) };
            trial.add(number, &pair, question, has_all);
            trial.round();
        }
    }

    /// As of the end of the last closed minute.
    #[must_use]
    pub fn at(&self, through: Timestamp, question: &Question) -> Self {
        let mut then = self.clone();
        if let Some(instances) = question.instances {
            then.trials.iter_mut().for_each(|trial| *trial = trial.at(minute_of(through) - 1, instances));
        }
        then
    }

    /// Another weight is in effect.
    pub fn close(&mut self) {
        self.trials.iter_mut().for_each(Trial::close);
    }

    /// Above which a value is told to be bad.
    pub(super) fn told_bound(&self) -> Option<i64> {
        self.bounds.get(self.bounds.len() / 2).copied()
    }

    /// The logarithm of the evidence that the candidate is worse.
    pub fn evidence(&self, question: &Question) -> f64 {
        self.mean(question, |_| true)
    }

    /// The part of it that is about differences that matter.
    pub fn evidence_that_matters(&self, question: &Question) -> f64 {
        self.mean(question, |trial| trial.is_large(question))
    }

    /// For how many minutes the candidate's instances have been in a breach.
    pub fn minutes_in_breach(&self) -> f64 {
        self.trials.iter().map(|trial| trial.since[0].said).fold(0.0, f64::max)
    }

    /// The bound that tells that the candidate is worse, and what was counted by it since it went wrong: the one that is told,
    /// unless another says far more.
    pub(super) fn since_wrong(&self) -> Option<(i64, Pair)> {
        let said = |trial: &Trial| trial.worse.log_mean(&ABOVE_WEIGHTS);
        let all = || self.bounds.iter().zip(&self.trials);
        let told = all().nth(self.bounds.len() / 2)?;
        let most = all().max_by(|(_, one), (_, other)| said(one).total_cmp(&said(other)))?;
        let (bound, trial) = if said(told.1) < said(most.1) / 2.0 { most } else { told };
        Some((*bound, trial.since_wrong().counted))
    }

    /// The logarithm of the evidence that it is above a ceiling, where none is beside it.
    pub fn evidence_alone(&self) -> f64 {
        let logs: Vec<f64> = self.trials.iter().map(|trial| trial.above.log_mean(&ABOVE_WEIGHTS)).collect();
        log_sum(logs)
    }

    /// The rate that a candidate alone is held against; none: stable has no history to take it from.
    pub(super) fn ceiling(&self) -> Option<f64> {
        self.trials.get(self.bounds.len() / 2)?.ceiling
    }

    /// That rate, if it says more against it than stable beside it does.
    pub(super) fn ceiling_that_tells(&self) -> Option<f64> {
        let trial = self.trials.get(self.bounds.len() / 2)?;
        let alone = trial.above.log_mean(&ABOVE_WEIGHTS) > trial.worse.log_mean(&ABOVE_WEIGHTS);
        trial.ceiling.filter(|_| alone)
    }

    fn mean(&self, question: &Question, counts: impl Fn(&Trial) -> bool) -> f64 {
        let said = |trial: &Trial| trial.worse.log_mean(&question.weights);
        let logs: Vec<f64> = self.trials.iter().filter(|t| counts(t)).map(said).collect();
        log_sum(logs) - (self.trials.len().max(1) as f64).ln()
    }

    /// Whether harm of the size that a pass rules out is ruled out.
    pub fn is_ruled_out(&self) -> bool {
        !self.trials.is_empty() && self.trials.iter().all(Trial::is_ruled_out)
    }

    /// About how many requests of the candidate a pass still needs; none: that can't be told.
    pub(super) fn requests_needed(&self, question: &Question, candidate: Count) -> Option<i64> {
        let needed: Vec<Option<i64>> = self.trials.iter().map(|t| t.requests_needed(question, candidate)).collect();
        needed.into_iter().collect::<Option<Vec<i64>>>()?.into_iter().max()
    }

    /// The last minute in which the candidate had any values.
    pub(super) fn candidates_last_minute(&self) -> Option<i64> {
        self.trials.first()?.candidate.last.map(|(minute, _)| minute)
    }

    /// Whether minutes were closed without data lately.
    pub(super) fn has_empty(&self) -> bool {
        !self.empty.is_empty()
    }

    /// Whether a minute was closed without data and may still fill.
    pub(super) fn was_empty(&self, start: Timestamp) -> bool {
        self.empty.contains(&minute_of(start))
    }

    /// The first minute that may still fill, if it is before a time.
    pub(super) fn first_empty(&self, before: Timestamp) -> Option<Timestamp> {
        let first = self.empty.first().and_then(|minute| Timestamp::from_second(minute.checked_mul(60)?).ok());
        first.filter(|first| *first < before)
    }

    /// Keeps in mind which minutes from then to then have no data.
    pub(super) fn note_empty(&mut self, told: &BTreeSet<i64>, from: Timestamp, to: Timestamp) {
        let last = minute_of(to);
        let first = minute_of(from).max(last - EMPTY_KEPT);
        self.empty.extend((first..last).filter(|minute| !told.contains(minute)));
        self.empty.retain(|minute| *minute >= last - EMPTY_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_slow_above_the_bucket_of_a_quantile() {
        let mut tally = Tally::default();
        [(10, 50), (20, 30), (40, 12), (80, 5), (i64::MAX, 3)]
            .iter()
            .for_each(|(bound, values)| tally.add(*bound, *values));
        assert_eq!(SLOW.map(|percent| quantile(&tally, percent)), [Some(20), Some(40), Some(80)]);
        assert_eq!(tally.above(20), Count { total: 100, bad: 20 });
        assert_eq!(quantile(&tally, 99), None, "that bucket has no bound");
        assert_eq!(quantile(&Tally::default(), 75), None);
    }
}
