//! One comparison: a candidate with the stable revision beside it, in one region, by one count of good and bad.
//!
//! A closed minute is taken in once; what is then said about later ones is decided by earlier ones only.

use super::Pair;
use super::instances;
use super::likelihood::{is_informative, log_ratio, log_ratio_alone};
use super::restarts::{Restarts, log_sum, weight_of_start};
use super::spread::{Limits, Spread};
use crate::cloud::Count;

/// How many alternatives a test has.
pub(super) const ALTERNATIVES: usize = 4;
/// How much harm a pass rules out: at most one in 20 of the releases that have it passes.
const PASS: f64 = 20.0;
/// How far beyond that evidence for a pass is kept, in nats: a break undoes it soon.
const PASS_KEPT: f64 = 3.0;
/// How sure it must be that the candidate's own rate is above what matters.
const FLOOR: f64 = 20.0;
/// The most of stable's past rate that a pass by an absolute bound supposes, as a share of the bound.
const SUPPOSED: f64 = 1.0 / 3.0;
/// What a candidate without a stable revision beside it is held against at least, as a rate.
pub(super) const LEAST_CEILING: f64 = 0.05;
/// How many times the ceiling a candidate may be that is sure to be found.
const ABOVE_CEILING: [f64; ALTERNATIVES] = [1.5, 2.5, 5.0, 10.0];
/// The highest rate that is supposed.
const HIGHEST: f64 = 0.95;
/// How much a rate varies that has none beside it to compare with.
const ALONE: f64 = 0.3;
/// What the rates above the ceiling weigh, in shares.
pub(super) const ABOVE_WEIGHTS: [f64; ALTERNATIVES] = [11.0, 6.0, 2.0, 1.0];
/// How much the odds of a minute vary in which stable has trouble of its own.
const TROUBLED: f64 = 1.0;
/// For how many minutes it is supposed to go on: bursts hide it in some.
const TROUBLE_LASTS: i64 = 5;
/// From how many bad ones in a minute stable's trouble can be told.
const TELLING: i64 = 3;
/// From how many its end can: fewer fall to a third by chance.
const END_TELLING: i64 = 10;

/// What is asked of a test, by metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// How many times stable's odds the candidates have that are sure to be found.
    pub(super) ratios: [f64; ALTERNATIVES],
    /// What each of them weighs, in shares: those that are near take longest to find, and get most.
    pub(super) weights: [f64; ALTERNATIVES],
    /// Between which limits the measured spread is taken.
    pub(super) limits: Limits,
    /// The rate above which a candidate must be to matter.
    pub(super) floor: Option<f64>,
    /// How many times stable's rate it must be to matter, by what was counted since it went wrong.
    pub(super) times: f64,
    /// How far above stable's rate.
    pub(super) above: f64,
    /// How many times stable's odds a pass rules out.
    pub(super) harm_ratio: f64,
    /// Which rate a pass rules out, where that is enough.
    pub(super) harm_rate: f64,
    /// Of values of instances. None: each is by itself.
    pub(super) instances: Option<OfInstances>,
    /// For how many minutes the release is planned.
    pub(super) planned_minutes: u32,
}

/// What is supposed of the values of an instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OfInstances {
    /// How many of one that is bad follow each other, on average, at most.
    pub(super) in_a_row: f64,
    /// Whether there are values only when something happens: a breach is over, then, though nothing more is heard. Else silence
    /// says nothing.
    pub(super) are_rare: bool,
}

/// What was counted since an alternative began to lead.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Since {
    /// What was said for it since, as a logarithm, and of instances for how many minutes; never below zero.
    pub(super) said: f64,
    /// What was counted since.
    pub(super) counted: Pair,
}

/// Everything that is remembered of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Trial {
    /// Minutes in which both served.
    pub(super) compared: u32,
    /// Those that told the two apart.
    pub(super) informative: u32,
    /// For a failure.
    pub(super) worse: Restarts<ALTERNATIVES>,
    /// For the candidate's own rate being above what matters.
    pub(super) matters: Restarts<ALTERNATIVES>,
    /// Since when which alternative leads.
    pub(super) since: [Since; ALTERNATIVES],
    /// Against relative harm, as a logarithm.
    pub(super) not_relative: f64,
    /// Against absolute harm, as a logarithm.
    pub(super) not_absolute: f64,
    /// How stable's minutes vary.
    pub(super) stable: Spread,
    /// How the candidate's do.
    pub(super) candidate: Spread,
    /// All of stable's so far, with its history.
    pub(super) known: Count,
    /// The last minute in which stable had trouble of its own, since 1970.
    pub(super) troubled_at: Option<i64>,
    /// Minutes in which only one of them served, until the other does: they are one with that.
    pub(super) open: Pair,
    /// The rate that a candidate alone is held against, where known.
    pub(super) ceiling: Option<f64>,
    /// Minutes in which it was alone.
    pub(super) alone: u32,
    /// For it being above that.
    pub(super) above: Restarts<ALTERNATIVES>,
}

/// A count in the minute of that number since 1970.
pub(super) type Past = (i64, Count);

impl Trial {
    /// One that knows all of stable's history: instances are few.
    pub(super) fn of_instances(minutes: &[Past], all: Count) -> Self {
        let trial = Self::with_history(minutes, all, false);
        let known = if all.total > trial.known.total { all } else { trial.known };
        Self { known, ..trial }
    }

    /// One that knows stable's minutes before the release, and its last day by the hour.
    pub(super) fn with_history(minutes: &[Past], day: Count, day_is_known: bool) -> Self {
        let mut trial = Self::default();
        for (minute, count) in minutes {
            trial.stable.learn(*minute, *count);
            trial.known = trial.known.plus(*count);
        }
        let ceiling = LEAST_CEILING.max(2.0 * upper_limit(day));
        // Above a ceiling that is too high nothing could be.
        trial.ceiling = Some(ceiling).filter(|ceiling| day_is_known && ceiling * ABOVE_CEILING[0] < HIGHEST);
        trial
    }

    /// Takes in a minute in which one weight was in effect. A candidate that has all requests is compared with nothing.
    pub(super) fn add(&mut self, number: i64, minute: &Pair, question: &Question, has_all: bool) {
        if let Some(instances) = question.instances {
            if !has_all {
                self.compare_instances(number, minute, question, instances);
            }
            return self.learn(number, minute);
        }
        let both = self.open.plus(minute);
        if minute.stable.bad >= TELLING && minute.stable.rate() > 3.0 * self.known.rate() {
            self.troubled_at = Some(number);
        }
        if has_all {
            self.open = Pair::default();
        } else if both.candidate.total > 0 && both.stable.total > 0 {
            self.compare(number, &both, minute, question);
            self.open = Pair::default();
        } else {
            self.open = both;
        }
        if has_all || minute.stable.total == 0 {
            self.add_alone(minute.candidate);
        }
        self.learn(number, minute);
    }

    fn learn(&mut self, number: i64, minute: &Pair) {
        self.stable.learn(number, minute.stable);
        self.candidate.learn(number, minute.candidate);
        self.known = self.known.plus(minute.stable);
    }

    /// Another weight is in effect: what was open belongs to no minute of it.
    pub(super) fn close(&mut self) {
        self.open = Pair::default();
    }

    /// Holds a candidate that none is beside against the ceiling.
    pub(super) fn add_alone(&mut self, count: Count) {
        let Some(ceiling) = self.ceiling.filter(|_| count.total > 0) else { return };
        self.alone = self.alone.saturating_add(1);
        let said = ABOVE_CEILING.map(|times| log_ratio_alone(count, (times * ceiling).min(HIGHEST), ceiling, ALONE));
        self.above.add(said, weight_of_start(self.alone, 0));
    }

    fn compare(&mut self, number: i64, both: &Pair, minute: &Pair, question: &Question) {
        let spread = Spread::of(&self.stable, &self.candidate, question.limits);
        let start = |number| weight_of_start(number, question.planned_minutes);
        self.compared = self.compared.saturating_add(1);
        if is_informative(both) {
            self.informative = self.informative.saturating_add(1);
            let said = question.ratios.map(|ratio| self.said_for(number, both, minute.stable, ratio, spread));
            self.worse.add(said, start(self.informative));
            for (since, said) in self.since.iter_mut().zip(said) {
                since.add(said, both);
            }
        }
        if let Some(floor) = question.floor {
            let said = question
                .ratios
                .map(|ratio| log_ratio_alone(both.candidate, (floor * ratio).min(HIGHEST), floor, spread));
            self.matters.add(said, start(self.compared));
        }
        let most = PASS.ln() + PASS_KEPT;
        let relative = log_ratio(both, 1.0, question.harm_ratio, spread);
        self.not_relative = (self.not_relative + relative).min(most);
        let supposed = self.supposed(question.harm_rate);
        let absolute = log_ratio_alone(both.candidate, supposed, question.harm_rate, spread);
        self.not_absolute = (self.not_absolute + absolute).min(most);
    }

    /// As of a minute.
    pub(super) fn at(&self, number: i64, instances: OfInstances) -> Self {
        let mut then = *self;
        let heard = self.candidate.last.filter(|_| instances.are_rare).map_or(number, |(last, _)| last);
        then.since[0].fade(number - heard);
        then
    }

    /// Adds what a minute says of instances to the only sum that there is of them. Where stable has none of them at the time, a
    /// breach may be of both.
    fn compare_instances(&mut self, number: i64, minute: &Pair, question: &Question, instances: OfInstances) {
        if minute.candidate.total == 0 {
            return;
        }
        let last = self.stable.last.filter(|(last, _)| number - last <= 2).map(|(_, count)| count).unwrap_or_default();
        let share = instances::beyond(minute, last);
        let is_breach = share > question.above;
        self.since = self.at(number - 1, instances).since;
        self.since[0].note_breach(is_breach, minute);
        self.compared = self.compared.saturating_add(1);
        if is_breach && minute.stable.total > 0 {
            self.informative = self.informative.saturating_add(1);
            let known = (self.known.plus(minute.stable), instances.in_a_row);
            let said = instances::said(self.compared, share, known, question.planned_minutes);
            self.worse.0[0] = log_sum([self.worse.0[0], said]);
        }
    }

    /// What a minute says for an alternative. Stable's own trouble can only lower it.
    fn said_for(&self, number: i64, both: &Pair, stable: Count, ratio: f64, spread: f64) -> f64 {
        let said = log_ratio(both, ratio, 1.0, spread);
        let last = self.stable.last.map(|(_, count)| count).unwrap_or_default();
        let troubled = self.troubled_at.is_some_and(|at| number - at <= TROUBLE_LASTS);
        let recovers = last.bad >= END_TELLING && stable.rate() < last.rate() / 3.0;
        match (troubled, recovers) {
            (_, true) => said.min(0.0),
            (true, false) => said.min(log_ratio(both, ratio, 1.0, spread.max(TROUBLED))),
            (false, false) => said,
        }
    }

    /// The rate that a good candidate is supposed to have.
    fn supposed(&self, harm: f64) -> f64 {
        let past = (self.known.bad as f64 + 0.5) / (self.known.total as f64 + 1.0);
        past.min(harm * SUPPOSED)
    }

    /// What was counted since the alternative began to lead that leads now.
    pub(super) fn since_wrong(&self) -> &Since {
        &self.since[self.worse.leading()]
    }

    /// Whether a difference matters that the candidate's rate shows.
    pub(super) fn is_large(&self, question: &Question) -> bool {
        let since = self.since_wrong();
        let (candidate, stable) = (since.counted.candidate.rate(), since.counted.stable.rate());
        let high = question.floor.is_none() || self.matters.log_mean(&question.weights) >= FLOOR.ln();
        let lasts = question.instances.is_none() || since.said >= instances::LEAST_BREACH;
        high && lasts && candidate > question.times * stable && candidate > stable + question.above
    }

    /// Whether harm of the size that a pass rules out is ruled out.
    pub(super) fn is_ruled_out(&self) -> bool {
        log_sum([self.not_relative, self.not_absolute]) - 2.0_f64.ln() >= PASS.ln()
    }

    /// About how many requests of the candidate a pass still needs, if it is as good as stable was; none: that can't be
    /// told.
    pub(super) fn requests_needed(&self, question: &Question, candidate: Count) -> Option<i64> {
        if self.is_ruled_out() {
            return Some(0);
        }
        let target = (2.0 * PASS).ln();
        let (harm, supposed) = (question.harm_rate, self.supposed(question.harm_rate));
        let absolute = (target - self.not_absolute) / (harm - supposed + supposed * (supposed / harm).ln());
        let so_far = self.not_relative / candidate.total.max(1) as f64;
        let relative = (so_far > 0.0).then(|| (target - self.not_relative) / so_far);
        let least = relative.map_or(absolute, |relative| absolute.min(relative));
        least.is_finite().then(|| least.ceil() as i64)
    }
}

impl Since {
    fn add(&mut self, said: f64, minute: &Pair) {
        self.said = (self.said + said).max(0.0);
        *self = match self.said > 0.0 {
            true => Self { counted: self.counted.plus(minute), ..*self },
            false => Self::default(),
        };
    }
}

/// The highest rate that a count is compatible with, about three standard deviations up.
fn upper_limit(count: Count) -> f64 {
    match count.total {
        0 => 0.0,
        total => (count.bad as f64 + 3.0 * (count.bad as f64).sqrt() + 5.0) / total as f64,
    }
}
