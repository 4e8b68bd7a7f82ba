use super::sequential::{RATIOS, log_ratio};
use super::*;
use crate::cloud::Count;
use crate::names::RevisionName;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn minute(n: i64, candidate: (i64, i64), stable: (i64, i64)) -> Minute {
    let count = |(total, bad)| Count { total, bad };
    Minute { start: at(n * 60), candidate: count(candidate), stable: count(stable) }
}

fn release() -> ReleaseId {
    ReleaseId { revision: RevisionName::new("api-x").unwrap(), number: 1 }
}

fn subject(release: &ReleaseId, since: i64) -> Subject<'_> {
    Subject { metric: Metric::Errors, release, step: 1, since: at(since) }
}

fn window_of(from: i64, to: i64) -> Window {
    Window { from: at(from), to: at(to) }
}

fn judge(minutes: &[Minute]) -> EvidenceStatus {
    let release = release();
    let window = window_of(0, 60 * minutes.len() as i64);
    count(None, &subject(&release, 0), &Analysis::default(), minutes, window)
}

#[test]
fn five_percent_errors_fail_in_the_first_minutes() {
    let status = judge(&[minute(0, (300, 15), (2700, 3))]);
    assert_eq!(status.verdict, Verdict::Fail, "{}", in_words(&status, &Analysis::default()));
}

#[test]
fn an_incident_that_hits_both_revisions_is_no_verdict() {
    let minutes: Vec<_> = (0..30).map(|n| minute(n, (300, 9), (2700, 81))).collect();
    assert_eq!(judge(&minutes).verdict, Verdict::Pass);
}

#[test]
fn no_requests_are_neither_pass_nor_fail() {
    assert_eq!(judge(&[minute(0, (0, 0), (100, 1))]).verdict, Verdict::NoData);
    assert_eq!(judge(&[minute(0, (20, 0), (100, 1))]).verdict, Verdict::Undecided);
}

#[test]
fn at_a_later_step_the_words_tell_what_was_counted_before_it() {
    let release = release();
    let first = judge(&[minute(0, (100, 1), (900, 1))]);
    let later = Subject { step: 2, ..subject(&release, 60) };
    let told =
        in_words(&count(Some(&first), &later, &Analysis::default(), &[], window_of(60, 120)), &Analysis::default());
    assert!(told.contains("at this step are counted yet; before it: candidate 1 of 100"), "{told}");
}

#[test]
fn a_difference_too_small_to_matter_is_no_failure() {
    let minutes: Vec<_> = (0..600).map(|n| minute(n, (10_000, 11), (10_000, 8))).collect();
    let judged = judge(&minutes);
    assert_ne!(judged.verdict, Verdict::Fail);
    assert!(
        !in_words(&judged, &Analysis::default()).contains("of what a rollback needs") || judged.evidence_percent < 100
    );
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
    let (release, settings) = (release(), Analysis::default());
    let subject = subject(&release, 61);
    assert_eq!(window(None, &subject, &settings, at(120 + 60 + 179)), None);
    assert_eq!(window(None, &subject, &settings, at(120 + 60 + 180)), Some(window_of(120, 180)));
    let before = judge(&[minute(0, (10, 0), (10, 0)), minute(1, (10, 0), (10, 0))]);
    assert_eq!(window(Some(&before), &subject, &settings, at(600)), Some(window_of(120, 420)));
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
        let (release, settings) = (release(), Analysis::default());
        let subject = subject(&release, 0);
        let (middle, end) = (60 * cut as i64, 60 * minutes.len() as i64);
        let half = count(None, &subject, &settings, &minutes, window_of(0, middle));
        let parts = count(Some(&half), &subject, &settings, &minutes, window_of(middle, end));
        prop_assert_eq!(parts, count(None, &subject, &settings, &minutes, window_of(0, end)));
    }
}

/// Cloud Monitoring may fill a minute late: it is counted then, and once.
#[test]
fn b2_a_minute_that_was_empty_is_counted_when_it_fills_and_once() {
    let (release, settings) = (release(), Analysis::default());
    let subject = subject(&release, 0);
    let empty = count(None, &subject, &settings, &[], window_of(0, 120));
    assert_eq!(window(Some(&empty), &subject, &settings, at(180 + 180)), Some(window_of(0, 180)));
    let late = [minute(0, (10, 5), (90, 0)), minute(2, (10, 0), (90, 0))];
    let filled = count(Some(&empty), &subject, &settings, &late, window_of(0, 180));
    assert_eq!((filled.candidate.total, filled.candidate.bad), (20, 5));
    let again = count(Some(&filled), &subject, &settings, &late, window_of(0, 240));
    assert_eq!(again.candidate, filled.candidate);
}

#[test]
fn evidence_that_leans_to_harm_passes_nothing() {
    let evidence = judge(&[minute(0, (1200, 480), (10_800, 540))]);
    assert_eq!(evidence.verdict, Verdict::Undecided, "{}", in_words(&evidence, &Analysis::default()));
    assert!(leans_to_harm(&evidence));
}

#[test]
fn a_state_of_another_version_counts_as_none() {
    assert_eq!(State::read("2;1,2,3,4;"), None);
    assert_eq!(State::read("1;1,2;"), None);
    assert!(State::read("1;1,2,3,4;7").is_some());
}
