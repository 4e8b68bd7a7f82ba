//! Restarted mixtures: a test that finds a late break about as fast as one at the start.
//!
//! For each alternative `q`, `R ← e (R + γ)`: the sum over all starts of the product of what was said since, each start
//! weighted by its γ. The γ sum to 1, so the mean of `R` over alternatives is at most 1 in expectation at any time, and by
//! Ville's inequality it ever reaches 1/α with probability α at most (e-detectors: Shin, Ramdas, Rinaldo 2024; Shekhar
//! and Ramdas, ICML 2023, arXiv 2309.09111).

/// What the first start weighs.
const FIRST: f64 = 0.75;
/// What all starts within the planned time weigh together; those after it weigh as much again.
const PLANNED: f64 = 0.125;
/// The fewest minutes that a release is planned to have.
const LEAST_PLANNED: u32 = 20;
/// The logarithm of nothing.
pub(super) const NOTHING: f64 = -1000.0;

/// What a start at the `number`-th informative minute, from 1, weighs in a release planned to have so many.
pub(super) fn weight_of_start(number: u32, planned_minutes: u32) -> f64 {
    let (planned, number) = (f64::from(planned_minutes.max(LEAST_PLANNED)), f64::from(number.max(1)));
    let first = if number <= 1.0 { FIRST } else { 0.0 };
    let later = if number <= planned { PLANNED / planned } else { PLANNED * planned / (number * (number + 1.0)) };
    first + later
}

/// Logarithms of `R`, by alternative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Restarts<const N: usize>(pub(super) [f64; N]);

impl<const N: usize> Default for Restarts<N> {
    fn default() -> Self {
        Self([NOTHING; N])
    }
}

impl<const N: usize> Restarts<N> {
    /// Takes in what a minute says about each alternative, as logarithms; a test that may start in it weighs `start`.
    pub(super) fn add(&mut self, said: [f64; N], start: f64) {
        for (sum, said) in self.0.iter_mut().zip(said) {
            *sum = (log_sum([*sum, start.ln()]) + said).max(NOTHING);
        }
    }

    /// The logarithm of the mean, in which each alternative has its weight.
    pub(super) fn log_mean(&self, weights: &[f64; N]) -> f64 {
        let mut parts = self.0;
        parts.iter_mut().zip(weights).for_each(|(part, weight)| *part += weight.ln());
        log_sum(parts) - weights.iter().sum::<f64>().ln()
    }

    /// The alternative that is furthest.
    pub(super) fn leading(&self) -> usize {
        (0..N).max_by(|a, b| self.0[*a].total_cmp(&self.0[*b])).unwrap_or(0)
    }
}

/// The logarithm of a sum, of its terms' logarithms.
pub(super) fn log_sum(logs: impl IntoIterator<Item = f64> + Clone) -> f64 {
    let largest = logs.clone().into_iter().fold(f64::NEG_INFINITY, f64::max);
    match largest.is_finite() {
        true => largest + logs.into_iter().map(|log| (log - largest).exp()).sum::<f64>().ln(),
        false => largest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_starts_together_weigh_1() {
        for planned in [1, 20, 60, 1_000] {
            let sum: f64 = (1..=10_000_000).map(|number| weight_of_start(number, planned)).sum();
            assert!(sum <= 1.0 && sum > 0.99, "{planned}: {sum}");
        }
    }

    #[test]
    fn what_speaks_for_nothing_stays_below_1() {
        let mut sum = Restarts::<4>::default();
        for number in 1..=100 {
            sum.add([0.0; 4], weight_of_start(number, 20));
            assert!(sum.log_mean(&[1.0; 4]) < 0.0);
        }
    }

    #[test]
    fn a_late_break_is_found_nearly_as_fast_as_an_early_one() {
        let minutes_until = |healthy: u32| {
            let mut sum = Restarts::<1>::default();
            for number in 1..=healthy {
                sum.add([-1.0], weight_of_start(number, 20));
            }
            let broken = healthy + 1..;
            let found = broken.clone().position(|number| {
                sum.add([1.5], weight_of_start(number, 20));
                sum.log_mean(&[1.0]) >= 143.0_f64.ln()
            });
            found.unwrap() + 1
        };
        assert_eq!((minutes_until(0), minutes_until(20), minutes_until(1_440)), (4, 7, 12));
    }
}
