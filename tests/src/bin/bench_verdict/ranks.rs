//! The rank test of Mann and Whitney, two-sided, in its normal approximation with ties: what Kayenta and PipeCD use.

/// Whether the first are higher than the second, surely enough.
pub fn is_higher(first: &[f64], second: &[f64], certainty: f64) -> bool {
    let (n, m) = (first.len() as f64, second.len() as f64);
    if n == 0.0 || m == 0.0 {
        return false;
    }
    let mut all: Vec<(f64, bool)> =
        first.iter().map(|x| (*x, true)).chain(second.iter().map(|x| (*x, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut ties, mut below) = (0.0, 0.0, 0.0);
    for same in all.chunk_by(|a, b| a.0 == b.0) {
        let size = same.len() as f64;
        ranks += same.iter().filter(|(_, is_first)| *is_first).count() as f64 * (below + (size + 1.0) / 2.0);
        ties += size.powi(3) - size;
        below += size;
    }
    let higher = ranks - n * (n + 1.0) / 2.0;
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    let deviations = (higher - n * m / 2.0 - 0.5) / variance.sqrt();
    // Quantiles of the normal distribution for two-sided 95 % and 98 %.
    let needed = if certainty >= 0.98 { 2.326 } else { 1.960 };
    variance > 0.0 && deviations >= needed
}
