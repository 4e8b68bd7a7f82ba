//! What one minute says: likelihood ratios of counts.
//!
//! Given the number of bad ones in a minute, how they fall on candidate and stable depends only on how many each served
//! and on the ratio of their odds; what hits both alike cancels (Lindon and Malek, NeurIPS 2022, arXiv 2011.03567). Bad
//! ones come in bursts, so each arm's rate carries an independent gamma factor of mean 1 and variance `spread` (squared
//! coefficient of variation), which is integrated out: what a minute can say is bounded by that, however many it counts.

use super::Pair;
use crate::cloud::Count;

/// Nodes of the quadrature on each side of the mode, one standard deviation apart: past ten of them nothing is left.
const NODES: i32 = 10;
/// Steps of Newton's method; the integrand is log-concave, and it takes fewer than ten.
const STEPS: usize = 60;
/// Below this, bursts change nothing that double precision shows.
const LEAST_SPREAD: f64 = 1e-5;

/// The logarithm of how much likelier a minute is if the candidate's odds are `ratio` times stable's than if they are
/// `base` times. Nothing is said where one of them served none, or none was bad.
pub(super) fn log_ratio(minute: &Pair, ratio: f64, base: f64, spread: f64) -> f64 {
    match is_informative(minute) {
        true => log_likelihood(minute, ratio, spread) - log_likelihood(minute, base, spread),
        false => 0.0,
    }
}

/// Whether a minute tells candidate and stable apart.
pub(super) fn is_informative(minute: &Pair) -> bool {
    let (candidate, stable) = (minute.candidate, minute.stable);
    candidate.total > 0 && stable.total > 0 && (candidate.bad > 0 || stable.bad > 0)
}

/// Up to a constant that the ratio doesn't change.
fn log_likelihood(minute: &Pair, ratio: f64, spread: f64) -> f64 {
    let integrand = Integrand::of(minute, ratio, spread);
    let mode = integrand.mode();
    let width = 1.0 / integrand.curvature(mode).sqrt();
    let top = integrand.log_at(mode);
    let sum: f64 = (-NODES..=NODES).map(|node| (integrand.log_at(mode + f64::from(node) * width) - top).exp()).sum();
    top + (sum * width).ln()
}

/// The likelihood of a minute times the density of `y`, the logarithm of the ratio of the arms' burst factors.
struct Integrand {
    candidate_bad: f64,
    stable_bad: f64,
    /// The candidate's log odds of being the one that a bad one falls on, without bursts.
    offset: f64,
    /// How sharp the density of `y` is.
    sharpness: f64,
}

impl Integrand {
    fn of(minute: &Pair, ratio: f64, spread: f64) -> Self {
        let share = minute.candidate.total as f64 / minute.stable.total as f64;
        Self {
            candidate_bad: minute.candidate.bad as f64,
            stable_bad: minute.stable.bad as f64,
            offset: share.ln() + ratio.ln(),
            sharpness: 1.0 / spread.max(LEAST_SPREAD),
        }
    }

    fn log_at(&self, y: f64) -> f64 {
        let odds = self.offset + y;
        -self.candidate_bad * log_1_plus_exp(-odds)
            - self.stable_bad * log_1_plus_exp(odds)
            - 2.0 * self.sharpness * log_2_cosh(y / 2.0)
    }

    fn slope(&self, y: f64) -> f64 {
        let all = self.candidate_bad + self.stable_bad;
        self.candidate_bad - all * logistic(self.offset + y) - self.sharpness * (y / 2.0).tanh()
    }

    /// How fast the slope falls; above zero everywhere.
    fn curvature(&self, y: f64) -> f64 {
        let all = self.candidate_bad + self.stable_bad;
        let hit = logistic(self.offset + y);
        let flat = 1.0 / (y / 2.0).cosh().powi(2);
        (all * hit * (1.0 - hit) + self.sharpness * flat / 2.0).max(1e-12)
    }

    fn mode(&self) -> f64 {
        let mut y = 0.0;
        for _ in 0..STEPS {
            let step = (self.slope(y) / self.curvature(y)).clamp(-2.0, 2.0);
            y += step;
            if step.abs() < 1e-9 {
                break;
            }
        }
        y
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + e^x)`, without overflow.
fn log_1_plus_exp(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `ln(2 cosh x)`, without overflow.
fn log_2_cosh(x: f64) -> f64 {
    x.abs() + (-2.0 * x.abs()).exp().ln_1p()
}

/// The logarithm of how much likelier a count is at one rate than at another, where its number of bad ones is negative
/// binomial with that spread: bursts of one arm alone, without another beside it.
pub(super) fn log_ratio_alone(count: Count, rate: f64, base: f64, spread: f64) -> f64 {
    let (all, bad) = (count.total as f64, count.bad as f64);
    if all == 0.0 || rate <= 0.0 || base <= 0.0 {
        return 0.0;
    }
    let shape = 1.0 / spread.max(LEAST_SPREAD);
    bad * (rate / base).ln() - (bad + shape) * ((shape + all * rate) / (shape + all * base)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(candidate: (i64, i64), stable: (i64, i64)) -> Pair {
        let count = |(total, bad)| Count { total, bad };
        Pair { candidate: count(candidate), stable: count(stable) }
    }

    /// Of one number of bad ones, all the ways in which they fall, each with its probability if both are equally good.
    fn every_split(bad: i64, candidate: i64, stable: i64) -> Vec<(f64, Pair)> {
        let share = candidate as f64 / (candidate + stable) as f64;
        let ways = |hit: i64| (1..=hit).map(|k| ((bad - hit + k) as f64 / k as f64).ln()).sum::<f64>();
        let of = |hit: i64| {
            let log = ways(hit) + hit as f64 * share.ln() + (bad - hit) as f64 * (1.0 - share).ln();
            (log.exp(), minute((candidate, hit), (stable, bad - hit)))
        };
        (0..=bad).map(of).collect()
    }

    #[test]
    fn without_bursts_it_is_the_conditional_binomial_and_its_mean_is_1() {
        for (candidate, stable) in [(60, 540), (1, 9), (500, 500), (3, 100)] {
            for bad in [1, 2, 7, 30] {
                for ratio in [1.25, 2.5, 6.0, 20.0, 300.0] {
                    let splits = every_split(bad, candidate, stable);
                    let share = candidate as f64 / (candidate + stable) as f64;
                    let worse = ratio * candidate as f64 / (ratio * candidate as f64 + stable as f64);
                    for (_, split) in &splits {
                        let exact = split.candidate.bad as f64 * (worse / share).ln()
                            + split.stable.bad as f64 * ((1.0 - worse) / (1.0 - share)).ln();
                        let ours = log_ratio(split, ratio, 1.0, 0.0);
                        assert!((ours - exact).abs() < 0.02 + 0.001 * exact.abs(), "{split:?} {ratio}: {ours} {exact}");
                    }
                    let mean: f64 = splits.iter().map(|(p, split)| p * log_ratio(split, ratio, 1.0, 0.0).exp()).sum();
                    assert!((mean - 1.0).abs() < 0.02, "{candidate}/{stable} {bad} bad, {ratio}: {mean}");
                }
            }
        }
    }

    #[test]
    fn a_minute_can_say_no_more_than_bursts_allow() {
        // `(2/v) ln cosh(ln(r)/2)` for an observed ratio r.
        let spread: f64 = 0.25;
        let bound = 2.0 / spread * ((9.0_f64).ln() / 2.0).cosh().ln();
        let much = log_ratio(&minute((1_000_000, 90_000), (1_000_000, 10_000)), 9.0, 1.0, spread);
        assert!((much - bound).abs() < 0.2, "{much} {bound}");
        assert!(log_ratio(&minute((100, 9), (100, 1)), 9.0, 1.0, spread) < much);
    }

    #[test]
    fn nothing_is_said_where_one_served_none_or_none_was_bad() {
        for silent in [minute((0, 0), (100, 5)), minute((100, 5), (0, 0)), minute((100, 0), (100, 0))] {
            assert_eq!(log_ratio(&silent, 6.0, 1.0, 0.05), 0.0);
        }
        assert_eq!(log_ratio_alone(Count::default(), 0.1, 0.05, 0.3), 0.0);
    }

    #[test]
    fn a_count_alone_speaks_for_the_rate_that_it_is_nearer_to() {
        let near = |bad| log_ratio_alone(Count { total: 1000, bad }, 0.1, 0.01, 0.3);
        assert!(near(100) > 1.0 && near(10) < -0.5, "{} {}", near(100), near(10));
        // The mean of the ratio under the base rate is 1: summed over all counts that matter.
        let (all, base, rate, spread) = (200.0, 0.02_f64, 0.1_f64, 0.3);
        let shape = 1.0 / spread;
        let mut log = shape * (shape / (shape + all * base)).ln();
        let mut mean = 0.0;
        for bad in 0..2_000_i32 {
            mean += (log + log_ratio_alone(Count { total: 200, bad: bad.into() }, rate, base, spread)).exp();
            log += ((f64::from(bad) + shape) / f64::from(bad + 1)).ln() + (all * base / (shape + all * base)).ln();
        }
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
    }
}
