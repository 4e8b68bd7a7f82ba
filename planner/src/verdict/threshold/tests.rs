use super::*;
use jiff::Timestamp;
use orchestra_crds::{CountStatus, ErrorLimits, LatencyLimits};

fn evidence(metric: Metric) -> EvidenceStatus {
    EvidenceStatus {
        metric,
        release: "api-x.1".into(),
        step: 1,
        through: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH),
        verdict: Verdict::NoData,
        evidence_percent: 0,
        candidate: CountStatus::default(),
        stable: CountStatus::default(),
        step_candidate: 0,
        step_stable: 0,
        requests_needed: None,
        slow_above_micros: None,
        delay_seconds: None,
        looks: None,
        state: String::new(),
        fault: None,
    }
}

fn minute(candidate: Tally, stable: Tally) -> Minute {
    Minute { start: Timestamp::UNIX_EPOCH, candidate, stable }
}

/// Minutes of 100 requests of which so many failed.
fn errors(bad: &[i64]) -> Vec<Minute> {
    bad.iter().map(|bad| minute(Tally::of_errors(100, *bad), Tally::of_errors(900, 1))).collect()
}

fn counted(known: &EvidenceStatus, limits: &Threshold, minutes: &[&Minute]) -> LooksStatus {
    count(known, limits, &Held::of(known.metric, &Analysis::default(), limits), minutes)
}

fn looks(metric: Metric, limits: &Threshold, minutes: &[Minute]) -> LooksStatus {
    let minutes: Vec<&Minute> = minutes.iter().collect();
    counted(&evidence(metric), limits, &minutes)
}

fn verdict_of(limits: &Threshold, minutes: &[Minute]) -> Verdict {
    verdict(&looks(Metric::ERRORS, limits, minutes), limits)
}

#[test]
fn five_percent_is_the_limit_and_one_look_above_it_is_enough() {
    let limits = Threshold::default();
    assert_eq!(verdict_of(&limits, &errors(&[5, 5, 0])), Verdict::Pass, "5 % is not above 5 %");
    assert_eq!(verdict_of(&limits, &errors(&[0, 6])), Verdict::Fail);
    let lenient = Threshold { failure_limit: 1, ..limits };
    assert_eq!(verdict_of(&lenient, &errors(&[0, 6, 0])), Verdict::Pass);
    assert_eq!(verdict_of(&lenient, &errors(&[0, 6, 6])), Verdict::Fail);
}

#[test]
fn a_number_of_looks_must_succeed_where_that_is_said() {
    let limits = Threshold { count: Some(3), ..Threshold::default() };
    assert_eq!(verdict_of(&limits, &errors(&[0, 0])), Verdict::Undecided);
    assert_eq!(verdict_of(&limits, &errors(&[0, 0, 0])), Verdict::Pass);
}

#[test]
fn between_what_passes_and_what_fails_a_look_is_inconclusive() {
    let between = ErrorLimits { fail_above_basis_points: 500, pass_at_most_basis_points: Some(100) };
    let limits = Threshold { errors: between, ..Threshold::default() };
    let told = looks(Metric::ERRORS, &limits, &errors(&[0, 3]));
    assert_eq!((told.succeeded, told.failed, told.inconclusive), (1, 0, 1));
    assert_eq!(verdict(&told, &limits), Verdict::Undecided);
}

#[test]
fn no_requests_are_no_data_once_there_are_too_many_looks_without_any() {
    let limits = Threshold { consecutive_error_limit: 1, ..Threshold::default() };
    let none = || minute(Tally::default(), Tally::of_errors(900, 1));
    assert_eq!(verdict_of(&limits, &[none()]), Verdict::NoData);
    let mut minutes = errors(&[0]);
    minutes.push(none());
    assert_eq!(verdict_of(&limits, &minutes), Verdict::Pass);
    minutes.push(none());
    assert_eq!(verdict_of(&limits, &minutes), Verdict::NoData);
    minutes.extend(errors(&[0]));
    assert_eq!(verdict_of(&limits, &minutes), Verdict::Pass, "they were not in a row");
}

#[test]
fn a_look_is_as_long_as_its_interval_whenever_its_minutes_come() {
    let limits = Threshold { interval_seconds: 180, ..Threshold::default() };
    let minutes = errors(&[9, 0, 0, 9, 9]);
    let at_once = looks(Metric::ERRORS, &limits, &minutes);
    assert_eq!((at_once.succeeded, at_once.failed), (1, 0), "3 % of three minutes");
    let mut known = evidence(Metric::ERRORS);
    for minute in &minutes {
        known.looks = Some(counted(&known, &limits, &[minute]));
    }
    assert_eq!(known.looks, Some(at_once));
}

#[test]
fn a_look_that_is_not_over_is_not_nothing() {
    let limits = Threshold { interval_seconds: 600, ..Threshold::default() };
    assert_eq!(verdict_of(&limits, &errors(&[9, 9])), Verdict::Undecided, "the step goes on until it is");
    assert_eq!(verdict_of(&limits, &errors(&[9; 10])), Verdict::Fail);
}

#[test]
fn looks_of_another_step_are_not_of_this_one() {
    let limits = Threshold::default();
    let mut known = evidence(Metric::ERRORS);
    known.looks = Some(looks(Metric::ERRORS, &limits, &errors(&[9])));
    known.step = 2;
    let next = counted(&known, &limits, &errors(&[0]).iter().collect::<Vec<_>>());
    assert_eq!((next.step, next.succeeded, next.failed), (2, 1, 0));
}

#[test]
fn a_latency_fails_above_twice_stables_or_above_a_number() {
    let tally = |slow: i64| Tally([(100_000, 100 - slow), (250_000, slow)].into());
    let at = |slow: i64| [minute(tally(slow), tally(0))];
    let failed = |limits: LatencyLimits, slow: i64| {
        let limits = Threshold { latency: limits, ..Threshold::default() };
        looks(Metric::LATENCY, &limits, &at(slow)).failed
    };
    assert_eq!(failed(LatencyLimits::default(), 5), 0, "the 95th percentile is as stable's");
    assert_eq!(failed(LatencyLimits::default(), 6), 1, "250 ms beside 100");
    let alone = LatencyLimits { fail_above_percent_of_stable: 0, ..LatencyLimits::default() };
    assert_eq!(failed(alone.clone(), 6), 0);
    assert_eq!(failed(LatencyLimits { fail_above_milliseconds: Some(200), ..alone }, 6), 1);
}

#[test]
fn more_than_a_tenth_of_the_probes_or_half_of_the_looks_at_instances_is_too_much() {
    let failed = |preset: Preset, bad: i64| {
        let minutes = [minute(Tally::of_errors(20, bad), Tally::of_errors(20, 0))];
        looks(Metric::Preset(preset), &Threshold::default(), &minutes).failed
    };
    for probes in [Preset::HealthChecks, Preset::StartupFailures] {
        assert_eq!([failed(probes, 2), failed(probes, 3)], [0, 1], "{probes:?}");
    }
    for looks in [Preset::CpuUtilization, Preset::MemoryUtilization] {
        assert_eq!([failed(looks, 10), failed(looks, 11)], [0, 1], "{looks:?}");
    }
}
