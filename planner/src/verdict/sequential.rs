//! A sequential two-sample test of rates.
//!
//! Each closed minute, conditional on its number of bad ones, every bad one falls on the candidate with a probability
//! that depends only on how many each revision had in all, if both are equally good. The test multiplies likelihood
//! ratios against a few worse candidates; by Ville's inequality the product of a good candidate ever exceeds 1/α with
//! probability α at most, however often it is looked at. A disturbance that hits both revisions cancels.
//! Bad ones within a minute may be correlated, so each minute counts with a power below 1.
//! Source: safe anytime-valid inference (Ramdas, Grünwald, Vovk, Shafer 2023), conditioned on the number of bad ones.

use crate::cloud::Minute;

/// How much worse the candidates are that the test is good at finding: odds ratios.
pub(super) const RATIOS: [f64; 4] = [2.5, 6.0, 20.0, 300.0];
/// Correlation within a minute that the test allows for.
const BURST: f64 = 0.1;

/// Logarithm of one minute's likelihood ratio of a candidate with `ratio` times the odds against an equal one.
pub(super) fn log_ratio(minute: &Minute, ratio: f64) -> f64 {
    let (candidate, stable) = (minute.candidate.total as f64, minute.stable.total as f64);
    let bad = (minute.candidate.bad + minute.stable.bad) as f64;
    if bad == 0.0 || candidate == 0.0 || stable == 0.0 {
        return 0.0;
    }
    let equal = candidate / (candidate + stable);
    let worse = ratio * candidate / (ratio * candidate + stable);
    let sum = minute.candidate.bad as f64 * (worse / equal).ln()
        + minute.stable.bad as f64 * ((1.0 - worse) / (1.0 - equal)).ln();
    sum / (1.0 + BURST * (bad - 1.0))
}

/// How far the mean of the components is on its way to 1/α, in percent of the logarithm. Above 0, more speaks for a
/// worse candidate than for an equal one.
pub(super) fn percent(logs: [f64; 4], confidence_percent: i32) -> i32 {
    let largest = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return 0;
    }
    let mean = largest + (logs.iter().map(|l| (l - largest).exp()).sum::<f64>() / RATIOS.len() as f64).ln();
    let alpha = f64::from(100 - confidence_percent.clamp(0, 99)) / 100.0;
    let percent = mean / (1.0 / alpha).ln() * 100.0;
    // A hundred is all that is needed, and less than that never counts as all.
    let rounded = if percent > 0.0 && percent < 1.0 { 1.0 } else { percent.floor() };
    rounded.clamp(0.0, 1000.0) as i32
}
