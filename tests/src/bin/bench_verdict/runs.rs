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

/// The lower limit, one-sided at 99.9 %, of a share of which so many of so many were seen (Wilson).
pub fn lower_limit(seen: usize, of: usize) -> f64 {
    const DEVIATIONS: f64 = 3.090;
    let (n, p, z) = (of as f64, seen as f64 / of as f64, DEVIATIONS * DEVIATIONS);
    ((p + z / (2.0 * n) - DEVIATIONS * (p * (1.0 - p) / n + z / (4.0 * n * n)).sqrt()) / (1.0 + z / n)).max(0.0)
}

/// The middle one; none of none.
pub fn median(mut values: Vec<usize>) -> Option<usize> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
