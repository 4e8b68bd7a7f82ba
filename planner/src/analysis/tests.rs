use super::*;
use crate::cloud::Count;
use crate::names::{Region, RevisionName};
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn minute(n: i64, candidate: (i64, i64), stable: (i64, i64)) -> Minute {
    let count = |(requests, errors)| Count { requests, errors };
    Minute { start: at(n * 60), candidate: count(candidate), stable: count(stable) }
}

fn judge(minutes: &[Minute]) -> AnalysisStatus {
    let (revision, region) = (RevisionName::new("api-x").unwrap(), Region::new("us-central1").unwrap());
    let subject = Subject { revision: &revision, region: &region, step: 1, since: at(0) };
    count(None, &subject, &Analysis::default(), minutes, (at(0), at(60 * minutes.len() as i64)))
}

#[test]
fn five_percent_errors_fail_in_the_first_minutes() {
    let status = judge(&[minute(0, (300, 15), (2700, 3))]);
    assert_eq!(status.verdict, Verdict::Fail, "{}", in_words(&status));
}

#[test]
fn an_incident_that_hits_both_revisions_is_no_verdict() {
    let minutes: Vec<_> = (0..30).map(|n| minute(n, (300, 9), (2700, 81))).collect();
    assert_eq!(judge(&minutes).verdict, Verdict::Pass);
}

#[test]
fn no_requests_are_neither_pass_nor_fail() {
    assert_eq!(judge(&[minute(0, (0, 0), (100, 1))]).verdict, Verdict::NoData);
    assert_eq!(judge(&[minute(0, (20, 0), (100, 1))]).verdict, Verdict::Inconclusive);
}

#[test]
fn a_difference_too_small_to_matter_is_no_failure() {
    let minutes: Vec<_> = (0..600).map(|n| minute(n, (10_000, 11), (10_000, 8))).collect();
    assert_ne!(judge(&minutes).verdict, Verdict::Fail);
}

/// Ville: under equality the expected likelihood ratio of a minute is 1 at most. Checked by summing over every way
/// that the errors of a minute can fall.
#[test]
fn the_expected_ratio_of_an_equal_candidate_is_at_most_one() {
    for (candidate, stable, errors) in [(10, 90, 5), (50, 50, 8), (1, 999, 3), (300, 2700, 12)] {
        let p = candidate as f64 / (candidate + stable) as f64;
        for ratio in RATIOS {
            let mut expectation = 0.0;
            let mut probability = (1.0 - p).powi(errors);
            for x in 0..=errors {
                let m = minute(0, (candidate, x.into()), (stable, (errors - x).into()));
                expectation += probability * log_ratio(&m, ratio).exp();
                probability *= p / (1.0 - p) * f64::from(errors - x) / f64::from(x + 1);
            }
            assert!(expectation <= 1.0 + 1e-9, "{candidate} {stable} {errors} {ratio}: {expectation}");
        }
    }
}

#[test]
fn only_whole_closed_minutes_after_the_step_took_effect_are_counted() {
    let (revision, region) = (RevisionName::new("api-x").unwrap(), Region::new("us-central1").unwrap());
    let subject = Subject { revision: &revision, region: &region, step: 1, since: at(61) };
    let settings = Analysis::default();
    assert_eq!(window(None, &subject, &settings, at(120 + 60 + 179)), None);
    assert_eq!(window(None, &subject, &settings, at(120 + 60 + 180)), Some((at(120), at(180))));
    let before = judge(&[minute(0, (10, 0), (10, 0)), minute(1, (10, 0), (10, 0))]);
    assert_eq!(window(Some(&before), &subject, &settings, at(600)), Some((at(120), at(420))));
}

proptest! {
    /// A restart between any two minutes changes nothing.
    #[test]
    fn counting_in_parts_is_counting_at_once(
        counts in proptest::collection::vec(((0..500i64, 0..20i64), (0..5000i64, 0..20i64)), 1..20), cut in 0..20usize
    ) {
        let minutes: Vec<_> = counts.iter().enumerate()
            .map(|(n, &((r, e), (sr, se)))| minute(n as i64, (r, e.min(r)), (sr, se.min(sr)))).collect();
        let cut = cut.min(minutes.len());
        let (revision, region) = (RevisionName::new("api-x").unwrap(), Region::new("us-central1").unwrap());
        let subject = Subject { revision: &revision, region: &region, step: 1, since: at(0) };
        let (settings, end) = (Analysis::default(), at(60 * minutes.len() as i64));
        let middle = at(60 * cut as i64);
        let half = count(None, &subject, &settings, &minutes, (at(0), middle));
        let parts = count(Some(&half), &subject, &settings, &minutes, (middle, end));
        prop_assert_eq!(parts, count(None, &subject, &settings, &minutes, (at(0), end)));
    }
}
