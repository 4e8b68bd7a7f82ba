//! Many runs of one cell, over both cores, each with a seed of its own.

use std::thread::scope;

/// Outcomes of runs.
pub fn runs<T: Send>(runs: u64, one: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|part| {
                let one = &one;
                scope.spawn(move || (0..runs).filter(|n| n % threads == part).map(one).collect::<Vec<T>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

/// Standard deviations of a one-sided limit at 99.9 %.
const DEVIATIONS: f64 = 3.090;

/// A mean, and its standard error.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    pub of: f64,
    error: f64,
}

impl Mean {
    pub fn new(values: impl Iterator<Item = f64> + Clone) -> Self {
        let number = values.clone().count().max(1) as f64;
        let mean = values.clone().sum::<f64>() / number;
        let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / number;
        Self { of: mean, error: (variance / number).sqrt() }
    }

    /// The lower limit, one-sided at 99.9 %, of this less so many times another.
    pub fn surely_more_than(self, times: f64, other: Self) -> bool {
        let error = (self.error.powi(2) + (times * other.error).powi(2)).sqrt();
        self.of - times * other.of > DEVIATIONS * error
    }

    /// Whether it is more than a number, surely.
    pub fn surely_above(self, number: f64) -> bool {
        self.surely_more_than(1.0, Self { of: number, error: 0.0 })
    }
}

/// The lower limit, one-sided at 99.9 %, of a share of which so many of so many were seen (Wilson).
pub fn lower_limit(seen: usize, of: usize) -> f64 {
    let (n, p, z) = (of as f64, seen as f64 / of as f64, DEVIATIONS * DEVIATIONS);
    ((p + z / (2.0 * n) - DEVIATIONS * (p * (1.0 - p) / n + z / (4.0 * n * n)).sqrt()) / (1.0 + z / n)).max(0.0)
}

/// The middle one; none of none.
pub fn median(mut values: Vec<usize>) -> Option<usize> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
