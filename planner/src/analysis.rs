//! The verdict: a sequential two-sample test of error rates.
//!
//! Each closed minute, conditional on its number of errors, every error falls on the candidate with a probability that
//! depends only on how many requests each revision had, if both fail equally often. The test multiplies likelihood
//! ratios against a few worse candidates; by Ville's inequality the product of a good candidate ever exceeds 1/α with
//! probability α at most, however often it is looked at. A disturbance that hits both revisions cancels.
//! Errors within a minute may be correlated, so each minute counts with a power below 1.
//! Source: safe anytime-valid inference (Ramdas, Grünwald, Vovk, Shafer 2023), conditioned on the number of errors.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{Analysis, AnalysisStatus, Verdict};

use crate::cloud::Minute;
use crate::names::{Region, RevisionName};

/// How much worse the candidates are that the test is good at finding: odds ratios.
const RATIOS: [f64; 4] = [2.5, 6.0, 20.0, 300.0];
/// Correlation of errors within a minute that the test allows for.
const BURST: f64 = 0.1;
const MICROS: f64 = 1e6;

/// What a window of evidence is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The candidate.
    pub revision: &'a RevisionName,
    /// Where the step is.
    pub region: &'a Region,
    /// The step, counted from 1.
    pub step: u32,
    /// Since when it has been in effect.
    pub since: Timestamp,
}

/// The first whole minute at or after a time.
fn minute_from(time: Timestamp) -> Timestamp {
    let seconds = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds.div_euclid(60) * 60 + if seconds.rem_euclid(60) > 0 { 60 } else { 0 })
        .unwrap_or(time)
}

/// The last minute's end at or before a time.
fn minute_to(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second().div_euclid(60) * 60).unwrap_or(time)
}

/// The minutes that are closed and not counted yet: from and to, or none.
pub fn window(
    before: Option<&AnalysisStatus>,
    subject: &Subject<'_>,
    settings: &Analysis,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let first = minute_from(subject.since);
    let from = match before {
        Some(b) if b.revision == subject.revision.as_str() && b.region == subject.region.as_str() => b.through.0,
        _ => first,
    };
    let delay = SignedDuration::from_secs(settings.metrics_delay_seconds.into());
    let to = minute_to(now.checked_sub(delay).unwrap_or(Timestamp::MIN));
    (from < to).then_some((from, to))
}

/// The evidence with the minutes of that window counted, each once and for ever.
pub fn count(
    before: Option<&AnalysisStatus>,
    subject: &Subject<'_>,
    settings: &Analysis,
    minutes: &[Minute],
    window: (Timestamp, Timestamp),
) -> AnalysisStatus {
    let step = i32::try_from(subject.step).unwrap_or(i32::MAX);
    let mut after = match before {
        Some(b) if b.revision == subject.revision.as_str() => b.clone(),
        _ => empty(subject),
    };
    if after.step != step || after.region != subject.region.as_str() {
        after.step = step;
        after.step_requests = 0;
        after.step_stable_requests = 0;
    }
    after.region = subject.region.to_string();
    after.through = Time(window.1);
    let closed = minutes.iter().filter(|m| m.start >= window.0 && m.start < window.1);
    for minute in closed {
        after.candidate_requests += minute.candidate.requests;
        after.candidate_errors += minute.candidate.errors;
        after.stable_requests += minute.stable.requests;
        after.stable_errors += minute.stable.errors;
        if minute.start >= subject.since {
            after.step_requests += minute.candidate.requests;
            after.step_stable_requests += minute.stable.requests;
        }
        for (sum, ratio) in after.log_evidence_micros.iter_mut().zip(RATIOS) {
            // Rounded down, so that rounding never adds evidence.
            *sum += (log_ratio(minute, ratio) * MICROS).floor() as i64;
        }
    }
    after.evidence_percent = evidence_percent(&after, settings);
    after.verdict = verdict(&after, settings);
    after
}

fn empty(subject: &Subject<'_>) -> AnalysisStatus {
    AnalysisStatus {
        revision: subject.revision.to_string(),
        region: subject.region.to_string(),
        step: 0,
        through: Time(subject.since),
        verdict: Verdict::NoData,
        evidence_percent: 0,
        candidate_requests: 0,
        candidate_errors: 0,
        stable_requests: 0,
        stable_errors: 0,
        step_requests: 0,
        step_stable_requests: 0,
        log_evidence_micros: vec![0; RATIOS.len()],
    }
}

/// Logarithm of one minute's likelihood ratio of a candidate with `ratio` times the odds against an equal one.
fn log_ratio(minute: &Minute, ratio: f64) -> f64 {
    let (candidate, stable) = (minute.candidate.requests as f64, minute.stable.requests as f64);
    let errors = (minute.candidate.errors + minute.stable.errors) as f64;
    if errors == 0.0 || candidate == 0.0 || stable == 0.0 {
        return 0.0;
    }
    let equal = candidate / (candidate + stable);
    let worse = ratio * candidate / (ratio * candidate + stable);
    let sum = minute.candidate.errors as f64 * (worse / equal).ln()
        + minute.stable.errors as f64 * ((1.0 - worse) / (1.0 - equal)).ln();
    sum / (1.0 + BURST * (errors - 1.0))
}

/// How far the mean of the components is on its way to 1/α, in percent of the logarithm.
fn evidence_percent(status: &AnalysisStatus, settings: &Analysis) -> i32 {
    let logs = || status.log_evidence_micros.iter().map(|&micros| micros as f64 / MICROS);
    let largest = logs().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return 0;
    }
    let mean = largest + (logs().map(|l| (l - largest).exp()).sum::<f64>() / RATIOS.len() as f64).ln();
    let alpha = f64::from(100 - settings.confidence_percent.clamp(0, 99)) / 100.0;
    (mean / (1.0 / alpha).ln() * 100.0).floor().clamp(0.0, 1000.0) as i32
}

fn verdict(status: &AnalysisStatus, settings: &Analysis) -> Verdict {
    if status.step_requests == 0 && status.evidence_percent < 100 {
        return Verdict::NoData;
    }
    if status.evidence_percent >= 100 && clearly_higher(status, settings) {
        return Verdict::Fail;
    }
    let compared = status.step_requests >= i64::from(settings.minimum_requests) && status.step_stable_requests > 0;
    if compared { Verdict::Pass } else { Verdict::Inconclusive }
}

/// Whether the difference is large enough to matter: significance alone is not harm.
fn clearly_higher(status: &AnalysisStatus, settings: &Analysis) -> bool {
    let rate = |errors: i64, requests: i64| {
        if requests > 0 { errors as f64 / requests as f64 } else { 0.0 }
    };
    let candidate = rate(status.candidate_errors, status.candidate_requests);
    let stable = rate(status.stable_errors, status.stable_requests);
    candidate > stable * (1.0 + f64::from(settings.relative_increase_percent) / 100.0)
        && candidate > stable + f64::from(settings.minimum_increase_basis_points) / 10_000.0
}

/// The evidence in one line, for people.
pub fn in_words(status: &AnalysisStatus) -> String {
    let rate = |errors: i64, requests: i64| match requests {
        0 => "no requests".to_string(),
        _ => format!("{errors} of {requests} failed ({:.2} %)", errors as f64 * 100.0 / requests as f64),
    };
    format!(
        "verdict {:?}: candidate {}; stable at the same time {}; evidence against the candidate {} % of what a rollback \
         needs",
        status.verdict,
        rate(status.candidate_errors, status.candidate_requests),
        rate(status.stable_errors, status.stable_requests),
        status.evidence_percent,
    )
}

#[cfg(test)]
mod tests;
