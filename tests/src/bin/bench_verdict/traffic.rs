//! Minutes of simulated traffic: Poisson arrivals, binomial errors, and bursts as an independent gamma factor of each
//! arm's rate in each minute.

use orchestra_planner::cloud::Count;
use orchestra_planner::verdict::Pair;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution, Gamma, Poisson};

/// What happens in a minute.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Requests a second of the whole service.
    pub requests_per_second: f64,
    /// The candidate's share of them.
    pub share: f64,
    /// Stable's rate of bad ones.
    pub stable: f64,
    /// The candidate's.
    pub candidate: f64,
    /// Squared coefficient of variation of each arm's burst factor.
    pub bursts: f64,
}

/// A source of minutes; the same seed gives the same.
pub struct Traffic(StdRng);

impl Traffic {
    pub fn new(cell: u64, run: u64) -> Self {
        Self(StdRng::seed_from_u64(cell.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ run))
    }

    /// A minute.
    pub fn minute(&mut self, rates: &Rates) -> Pair {
        self.seconds(60.0, rates)
    }

    /// Some seconds, with bursts of their own.
    pub fn seconds(&mut self, seconds: f64, rates: &Rates) -> Pair {
        let all = rates.requests_per_second * seconds;
        let candidate = self.arm(all * rates.share, rates.candidate, rates.bursts);
        let stable = self.arm(all * (1.0 - rates.share), rates.stable, rates.bursts);
        Pair { candidate, stable }
    }

    fn arm(&mut self, mean: f64, rate: f64, bursts: f64) -> Count {
        let total = if mean > 0.0 { Poisson::new(mean).map_or(0.0, |p| p.sample(&mut self.0)) } else { 0.0 };
        let factor = match bursts > 0.0 {
            true => Gamma::new(1.0 / bursts, bursts).map_or(1.0, |gamma| gamma.sample(&mut self.0)),
            false => 1.0,
        };
        let bad = Binomial::new(total as u64, (rate * factor).clamp(0.0, 1.0)).map_or(0, |b| b.sample(&mut self.0));
        Count { total: total as i64, bad: i64::try_from(bad).unwrap_or(0) }
    }
}
