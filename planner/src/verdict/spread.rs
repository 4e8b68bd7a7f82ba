//! How much a rate varies from minute to minute, beyond what chance alone does: measured, and from earlier minutes only.
//!
//! Each pair of successive minutes of one arm gives a moment estimate of the variance of its burst factor. A level that
//! drifts over hours hardly shows in such pairs, and a break adds a single one, so it does not hide itself.

use crate::cloud::Count;

/// Sums over pairs of successive minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spread {
    /// Variance beyond chance, weighted.
    pub(super) excess: f64,
    /// What it is weighted by.
    pub(super) weight: f64,
    /// Variance of `excess` if there are no bursts.
    pub(super) noise: f64,
    /// The last minute, counted since 1970, and what it counted.
    pub(super) last: Option<(i64, Count)>,
}

/// Between which limits a spread is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    /// The least, however even the minutes are.
    pub(super) least: f64,
    /// The most that is taken without proof: above it, only what the minutes prove.
    pub(super) unproven: f64,
}

/// No rate is believed to vary more than this, in squared coefficients of variation.
const MOST: f64 = 16.0;

impl Spread {
    /// Learns from a minute. One that doesn't follow the last is no pair with it, and one without values is none.
    pub(super) fn learn(&mut self, minute: i64, count: Count) {
        if count.total == 0 || self.last.is_some_and(|(last, _)| minute <= last) {
            return;
        }
        if let Some((last, before)) = self.last
            && last + 1 == minute
        {
            self.pair(before, count);
        }
        self.last = Some((minute, count));
    }

    fn pair(&mut self, before: Count, after: Count) {
        let (n, x, m, y) = (before.total as f64, before.bad as f64, after.total as f64, after.bad as f64);
        if n == 0.0 || m == 0.0 {
            return;
        }
        let (difference, pooled) = (x / n - y / m, (x + y) / (n + m));
        self.excess += n * m * (difference * difference - pooled * (1.0 / n + 1.0 / m)) / 2.0;
        self.weight += x * y;
        self.noise += 2.0 * x * y + (x + y) / 2.0;
    }

    /// The spread of a metric whose stable revision varies so, and whose candidate varies so.
    pub(super) fn of(stable: &Self, candidate: &Self, limits: Limits) -> f64 {
        let over = |sum: f64, weight: f64| if weight > 0.0 { sum / weight } else { f64::INFINITY };
        let most = limits.unproven.max(proven(stable, 1.0));
        let likely = over(stable.excess.max(0.0) + stable.noise.sqrt(), stable.weight);
        likely.max(limits.least).min(most).max(proven(candidate, 0.5)).min(MOST)
    }
}

/// What the minutes prove, less some standard deviations.
fn proven(spread: &Spread, deviations: f64) -> f64 {
    match spread.weight > 0.0 {
        true => (spread.excess - deviations * spread.noise.sqrt()) / spread.weight,
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { least: 0.03, unproven: 0.05 };

    fn learnt(counts: &[(i64, i64)]) -> Spread {
        let mut spread = Spread::default();
        for (minute, (total, bad)) in counts.iter().enumerate() {
            spread.learn(minute as i64, Count { total: *total, bad: *bad });
        }
        spread
    }

    #[test]
    fn even_minutes_have_the_least_and_uneven_ones_what_they_prove() {
        let even = learnt(&[(10_000, 100); 60]);
        assert!((Spread::of(&even, &Spread::default(), LIMITS) - 0.03).abs() < 1e-9);
        let uneven: Vec<(i64, i64)> = (0..60).map(|n| (10_000, if n % 2 == 0 { 50 } else { 150 })).collect();
        // A pair's two halves lie 50 from their mean of 100: as two draws, a variance of 2 · 0.25.
        let spread = Spread::of(&learnt(&uneven), &Spread::default(), LIMITS);
        assert!((0.4..1.1).contains(&spread), "{spread}");
    }

    #[test]
    fn nothing_known_is_what_is_taken_without_proof() {
        let nothing = Spread::default();
        assert!((Spread::of(&nothing, &nothing, LIMITS) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn a_candidate_that_varies_by_itself_counts_and_a_break_hardly_does() {
        let stable = learnt(&[(9_000, 90); 60]);
        let uneven: Vec<(i64, i64)> = (0..20).map(|n| (1_000, if n % 2 == 0 { 2 } else { 30 })).collect();
        assert!(Spread::of(&stable, &learnt(&uneven), LIMITS) > 0.4);
        let broken: Vec<(i64, i64)> = (0..20).map(|n| (1_000, if n < 10 { 10 } else { 50 })).collect();
        assert!(Spread::of(&stable, &learnt(&broken), LIMITS) < 0.15);
    }

    #[test]
    fn a_minute_apart_is_no_pair_and_one_counted_twice_neither() {
        let mut spread = Spread::default();
        spread.learn(1, Count { total: 100, bad: 1 });
        spread.learn(3, Count { total: 100, bad: 50 });
        spread.learn(3, Count { total: 100, bad: 1 });
        assert_eq!((spread.excess, spread.weight), (0.0, 0.0));
        assert_eq!(spread.last, Some((3, Count { total: 100, bad: 50 })));
    }
}
