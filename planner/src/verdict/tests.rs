use super::*;
use crate::cloud::{History, Minute, Tally};
use crate::names::RevisionName;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn minute(n: i64, candidate: (i64, i64), stable: (i64, i64)) -> Minute {
    let tally = |(total, bad)| Tally::of_errors(total, bad);
    Minute { start: at(n * 60), candidate: tally(candidate), stable: tally(stable) }
}

fn release() -> ReleaseId {
    ReleaseId { revision: RevisionName::new("api-x").unwrap(), number: 1 }
}

fn subject(release: &ReleaseId, since: i64) -> Subject<'_> {
    Subject { metric: Metric::ERRORS, release, step: 1, written_at: at(since), since: at(since), has_all: false }
}

fn window_of(from: i64, to: i64) -> Window {
    Window { from: at(from), to: at(to) }
}

fn settings() -> Analysis {
    Analysis { warmup_seconds: 0, ..Analysis::default() }
}

fn terms(settings: &Analysis) -> Terms<'_> {
    Terms { settings, planned_minutes: 20, regions: 1 }
}

/// A day in which so many of 1,000 requests failed.
fn history(of_thousand: i64) -> History {
    let minutes = (-60..0).map(|n| (at(n * 60), Tally::of_errors(3_000, 3 * of_thousand))).collect();
    let hours = (-24..0).map(|n| (at(n * 3_600), Tally::of_errors(180_000, 180 * of_thousand))).collect();
    History { minutes, hours }
}

fn measured(minutes: &[Minute]) -> Measured {
    Measured { minutes: minutes.to_vec(), history: Some(history(1)), delay_seconds: None }
}

/// Judged beside a stable that has failed so many of 1,000 requests for a day.
fn judge_beside(of_thousand: i64, minutes: &[Minute]) -> EvidenceStatus {
    let (release, settings) = (release(), settings());
    let measured = Measured { minutes: minutes.to_vec(), history: Some(history(of_thousand)), delay_seconds: None };
    count(None, &subject(&release, 0), &terms(&settings), &measured, window_of(0, 60 * minutes.len() as i64))
}

fn judge(minutes: &[Minute]) -> EvidenceStatus {
    judge_by(minutes, &settings())
}

fn judge_by(minutes: &[Minute], settings: &Analysis) -> EvidenceStatus {
    let release = release();
    let window = window_of(0, 60 * minutes.len() as i64);
    count(None, &subject(&release, 0), &terms(settings), &measured(minutes), window)
}

fn told(evidence: &EvidenceStatus) -> String {
    in_words(evidence, &settings())
}

#[test]
fn five_percent_errors_fail_in_the_first_minutes() {
    let status = judge(&[minute(0, (300, 15), (2700, 3))]);
    assert_eq!(status.verdict, Verdict::Fail, "{}", told(&status));
}

#[test]
fn an_incident_that_hits_both_revisions_is_no_failure() {
    let minutes: Vec<_> = (0..30).map(|n| minute(n, (300, 9), (2700, 81))).collect();
    assert_ne!(judge(&minutes).verdict, Verdict::Fail);
}

#[test]
fn no_requests_are_neither_pass_nor_fail() {
    assert_eq!(judge(&[minute(0, (0, 0), (100, 1))]).verdict, Verdict::NoData);
    assert_eq!(judge(&[minute(0, (20, 0), (100, 1))]).verdict, Verdict::Undecided);
}

#[test]
fn a_pass_rules_harm_out_and_is_more_than_enough_requests() {
    let minutes: Vec<_> = (0..3).map(|n| minute(n, (300, 0), (2700, 3))).collect();
    let passed = judge(&minutes);
    assert_eq!((passed.verdict, passed.requests_needed), (Verdict::Pass, Some(0)), "{}", told(&passed));
    // As many requests, and as many of them fail as the pass has to rule out.
    let harmed: Vec<_> = (0..3).map(|n| minute(n, (300, 3), (2700, 3))).collect();
    assert_ne!(judge(&harmed).verdict, Verdict::Pass);
    let few = judge(&minutes[..1]);
    let needed = few.requests_needed.unwrap();
    assert!((200..400).contains(&needed), "{needed}");
    // Enough requests, as good as stable, and yet 1 % is not ruled out.
    let even: Vec<_> = (0..3).map(|n| minute(n, (200, i64::from(n == 0)), (1_800, 4))).collect();
    let even = judge_beside(2, &even);
    assert!(even.step_candidate >= settings().minimum_requests.into() && !leans_to_harm(&even), "{}", told(&even));
    assert!(even.verdict == Verdict::Undecided && even.requests_needed > Some(0), "{}", told(&even));
}

/// A3: fails 40 % where stable fails 5 %, on a hold of a minute; and all where stable fails 20 %.
#[test]
fn a3_a_bad_candidate_beside_a_bad_stable_is_never_passed() {
    for (bad, stable_bad, of_thousand) in [(480, 540, 50), (1_200, 2_160, 200)] {
        let minutes: Vec<_> = (0..4).map(|n| minute(n, (1_200, bad), (10_800, stable_bad))).collect();
        for looked in 1..=minutes.len() {
            let verdict = judge_beside(of_thousand, &minutes[..looked]).verdict;
            assert_ne!(verdict, Verdict::Pass);
            assert!(looked < minutes.len() || verdict == Verdict::Fail, "{bad}: {verdict:?}");
        }
    }
}

/// A4: both are rarely in the same minute.
#[test]
fn a4_minutes_in_which_only_one_served_count_together() {
    let one = |n: i64| if n % 2 == 0 { minute(n, (3, 3), (0, 0)) } else { minute(n, (0, 0), (30, 0)) };
    let minutes: Vec<_> = (0..12).map(one).collect();
    let judged = judge(&minutes);
    assert_eq!(judged.verdict, Verdict::Fail, "{}", told(&judged));
    let good = |n: i64| if n % 2 == 0 { minute(n, (3, 0), (0, 0)) } else { minute(n, (0, 0), (30, 0)) };
    let judged = judge(&(0..12).map(good).collect::<Vec<_>>());
    assert_eq!((judged.verdict, judged.evidence_percent), (Verdict::Undecided, 0));
}

#[test]
fn beside_an_idle_stable_a_candidate_is_held_against_a_ceiling() {
    let failing: Vec<_> = (0..5).map(|n| minute(n, (60, 30), (0, 0))).collect();
    assert_eq!(judge(&failing).verdict, Verdict::Fail);
    let good: Vec<_> = (0..500).map(|n| minute(n, (60, if n % 3 == 0 { 3 } else { 1 }), (0, 0))).collect();
    assert_ne!(judge(&good).verdict, Verdict::Fail);
    // A stable that nothing is known of sets no ceiling.
    let (release, settings) = (release(), settings());
    let unknown = Measured { minutes: failing.clone(), history: Some(History::default()), delay_seconds: None };
    let judged = count(None, &subject(&release, 0), &terms(&settings), &unknown, window_of(0, 300));
    assert_eq!(judged.verdict, Verdict::Undecided);
}

/// Stable failed everything for a day: nothing could be above that, and what mends it is not taken back.
#[test]
fn beside_a_stable_that_fails_everything_there_is_no_ceiling() {
    let (release, settings) = (release(), settings());
    let minutes: Vec<_> = (0..30).map(|n| minute(n, (1_000, 0), (0, 0))).collect();
    for of_thousand in [500, 1_000] {
        let measured = Measured { minutes: minutes.clone(), history: Some(history(of_thousand)), delay_seconds: None };
        let subject = Subject { has_all: true, ..subject(&release, 0) };
        let judged = count(None, &subject, &terms(&settings), &measured, window_of(0, 1_800));
        assert_ne!(judged.verdict, Verdict::Fail);
    }
}

/// A request now and then on stable's own address does not blind the watch.
#[test]
fn a_candidate_with_all_requests_is_held_against_the_ceiling_whatever_stable_gets() {
    let (release, settings) = (release(), settings());
    let minutes: Vec<_> = (0..5).map(|n| minute(n, (600, 300), (1, 0))).collect();
    let subject = Subject { has_all: true, ..subject(&release, 0) };
    let judged = count(None, &subject, &terms(&settings), &measured(&minutes), window_of(0, 300));
    assert_eq!(judged.verdict, Verdict::Fail);
}

#[test]
fn a_break_after_a_day_of_health_is_found_within_minutes() {
    let day = 24 * 60;
    let minutes: Vec<_> =
        (0..day + 12).map(|n| minute(n, (600, if n < day { i64::from(n % 2 == 0) } else { 6 }), (5_400, 5))).collect();
    assert_ne!(judge(&minutes[..day as usize]).verdict, Verdict::Fail);
    let judged = judge(&minutes);
    assert_eq!(judged.verdict, Verdict::Fail, "{}", told(&judged));
}

#[test]
fn at_a_later_step_the_words_tell_what_was_counted_before_it() {
    let (release, settings) = (release(), settings());
    let first = judge(&[minute(0, (100, 1), (900, 1))]);
    let later = Subject { step: 2, ..subject(&release, 60) };
    let none = Measured::default();
    let told = told(&count(Some(&first), &later, &terms(&settings), &none, window_of(60, 120)));
    assert!(told.contains("at this step are counted yet; before it: candidate 1 of 100"), "{told}");
}

#[test]
fn a_difference_too_small_to_matter_is_no_failure() {
    let minutes: Vec<_> = (0..600).map(|n| minute(n, (10_000, 11), (10_000, 8))).collect();
    assert_ne!(judge(&minutes).verdict, Verdict::Fail);
}

#[test]
fn only_whole_closed_minutes_after_the_step_took_effect_are_counted() {
    let (release, settings) = (release(), settings());
    let subject = subject(&release, 61);
    let window = |before, now| open(before, &subject, &settings, at(now)).map(|open| open.window);
    assert_eq!(window(None, 120 + 60 + 179), Some(window_of(120, 120)), "the history alone");
    assert_eq!(window(None, 120 + 60 + 180), Some(window_of(120, 180)));
    let before = judge(&[minute(0, (10, 0), (10, 0)), minute(1, (10, 0), (10, 0))]);
    assert_eq!(window(Some(&before), 600), Some(window_of(120, 420)));
}

#[test]
fn a_minute_in_which_the_weight_changed_is_not_counted() {
    let (release, settings) = (release(), settings());
    let before = judge(&[minute(0, (100, 0), (900, 0))]);
    // Written in the third minute and in effect in the fourth: those two are mixtures.
    let next = Subject { step: 2, written_at: at(130), since: at(200), ..subject(&release, 0) };
    let minutes: Vec<_> = (1..6).map(|n| minute(n, (100, 0), (900, 0))).collect();
    let after = count(Some(&before), &next, &terms(&settings), &measured(&minutes), window_of(60, 360));
    assert_eq!((after.candidate.total, after.step_candidate), (400, 200));
}

#[test]
fn the_first_minutes_of_a_new_revision_are_not_counted() {
    let (release, settings) = (release(), Analysis::default());
    let opened = open(None, &subject(&release, 30), &settings, at(600)).unwrap();
    assert_eq!((opened.window, opened.history_until), (window_of(120, 420), Some(at(120))));
}

#[test]
fn the_history_is_asked_for_once() {
    let (release, settings) = (release(), settings());
    let known = judge(&[minute(0, (100, 1), (900, 1))]);
    assert_eq!(open(Some(&known), &subject(&release, 0), &settings, at(600)).unwrap().history_until, None);
}

fn slower(factor: i64) -> Tally {
    let mut tally = Tally::default();
    [(20, 50), (40, 30), (80, 12), (160, 8)].iter().for_each(|(ms, hits)| tally.add(ms * 1_000 * factor, *hits));
    tally
}

#[test]
fn a_latency_is_judged_by_bounds_from_stables_history() {
    let (release, settings) = (release(), settings());
    let subject = Subject { metric: Metric::LATENCY, ..subject(&release, 0) };
    let history = History {
        minutes: (-60..0).map(|n| (at(n * 60), slower(1))).collect(),
        hours: (-24..0).map(|n| (at(n * 3_600), slower(1))).collect(),
    };
    let judged = |factor| {
        let minutes = (0..6).map(|n| Minute { start: at(n * 60), candidate: slower(factor), stable: slower(1) });
        let measured = Measured { minutes: minutes.collect(), history: Some(history.clone()), delay_seconds: None };
        count(None, &subject, &terms(&settings), &measured, window_of(0, 360))
    };
    let (slow, same) = (judged(2), judged(1));
    assert_eq!((slow.verdict, slow.slow_above_micros), (Verdict::Fail, Some(80_000)), "{}", told(&slow));
    assert_eq!(same.verdict, Verdict::Pass, "{}", told(&same));
    assert!(told(&slow).contains("slower than 40 ms"), "{}", told(&slow));
}

#[test]
fn the_bound_of_a_latency_is_told_that_decided() {
    let tally = |fast: i64, middle: i64| {
        let mut tally = Tally::default();
        [(100, fast), (200, middle), (400, 10)].iter().for_each(|(ms, hits)| tally.add(ms * 1_000, *hits));
        tally
    };
    let (release, settings) = (release(), settings());
    let subject = Subject { metric: Metric::LATENCY, ..subject(&release, 0) };
    let usual = || tally(850, 140);
    let history = History {
        minutes: (-60..0).map(|n| (at(n * 60), usual())).collect(),
        hours: (-24..0).map(|n| (at(n * 3_600), usual())).collect(),
    };
    // Slower than 200 ms are as many as of stable; slower than 100 ms three times as many.
    let minutes = (0..6).map(|n| Minute { start: at(n * 60), candidate: tally(500, 490), stable: usual() }).collect();
    let measured = Measured { minutes, history: Some(history), delay_seconds: None };
    let slow = count(None, &subject, &terms(&settings), &measured, window_of(0, 360));
    assert_eq!(slow.verdict, Verdict::Fail, "{}", told(&slow));
    assert!(told(&slow).contains("3000 of 6000 slower than 100 ms (50.00 %)"), "{}", told(&slow));
    assert_eq!(decisive(&slow).map(|(_, counted)| counted.candidate.bad), Some(3000));
}

#[test]
fn all_regions_and_metrics_together_say_what_none_says_alone() {
    let settings = settings();
    let terms = terms(&settings);
    let of = |minutes: i64| judge(&(0..minutes).map(|n| minute(n, (60, 3), (540, 2))).collect::<Vec<_>>());
    let first_failing = (1..).map(of).find(|evidence| evidence.verdict == Verdict::Fail).unwrap();
    assert!(together(&[&first_failing], &terms).is_some());
    let one = of(1);
    assert_eq!(together(&[&one], &terms), None);
}

/// What a status holds at most: ten regions, each metric with all that it may remember.
#[test]
fn the_memory_of_ten_regions_fits_into_a_status() {
    let minutes: Vec<_> =
        (28_000_000..28_000_060).map(|n| minute(n, (6_000_000, 61_234), (54_000_000, 51_234))).collect();
    let (release, settings) = (release(), settings());
    let window = Window { from: minutes[0].start, to: at(28_000_060 * 60) };
    let errors = count(None, &subject(&release, 28_000_000 * 60), &terms(&settings), &measured(&minutes), window);
    let one = errors.state.len();
    assert!(one * 4 * 10 < 24 * 1024, "{one}: {}", errors.state);
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
        let (release, settings) = (release(), settings());
        let (subject, terms, measured) = (subject(&release, 0), terms(&settings), measured(&minutes));
        let (middle, end) = (60 * cut as i64, 60 * minutes.len() as i64);
        let half = count(None, &subject, &terms, &measured, window_of(0, middle));
        let parts = count(Some(&half), &subject, &terms, &measured, window_of(middle, end));
        prop_assert_eq!(parts, count(None, &subject, &terms, &measured, window_of(0, end)));
    }

    /// What is remembered is read back as it was.
    #[test]
    fn a_memory_is_read_back_as_written(
        counts in proptest::collection::vec(((0..500i64, 0..20i64), (0..5000i64, 0..20i64)), 0..30)
    ) {
        let minutes: Vec<_> = counts.iter().enumerate()
            .map(|(n, &((r, e), (sr, se)))| minute(n as i64, (r, e.min(r)), (sr, se.min(sr)))).collect();
        let state = judge(&minutes).state;
        prop_assert_eq!(Judgement::read(&state).map(|judgement| judgement.write()), Some(state));
    }
}

/// Cloud Monitoring may fill a minute late: it is counted then, and once.
#[test]
fn b2_a_minute_that_was_empty_is_counted_when_it_fills_and_once() {
    let (release, settings) = (release(), settings());
    let (subject, terms) = (subject(&release, 0), terms(&settings));
    let empty = count(None, &subject, &terms, &measured(&[]), window_of(0, 120));
    let opened = open(Some(&empty), &subject, &settings, at(180 + 180)).unwrap();
    assert_eq!((opened.window, opened.history_until), (window_of(0, 180), None));
    let late = measured(&[minute(0, (10, 5), (90, 0)), minute(2, (10, 0), (90, 0))]);
    let filled = count(Some(&empty), &subject, &terms, &late, window_of(0, 180));
    assert_eq!((filled.candidate.total, filled.candidate.bad), (20, 5));
    let again = count(Some(&filled), &subject, &terms, &late, window_of(0, 240));
    assert_eq!(again.candidate, filled.candidate);
}

#[test]
fn evidence_that_leans_to_harm_passes_nothing() {
    let evidence = judge_beside(50, &[minute(0, (1200, 125), (10_800, 540))]);
    assert_eq!(evidence.verdict, Verdict::Undecided, "{}", told(&evidence));
    assert!(leans_to_harm(&evidence));
}

#[test]
fn a_memory_of_another_version_counts_as_none() {
    assert_eq!(Judgement::read("2;1,2,3,4;7"), None);
    assert_eq!(Judgement::read("3;7;1,2"), None);
    assert_eq!(Judgement::read("3;7;"), None);
    assert!(Judgement::read("3;7").is_some());
}

mod of_instances;

#[test]
fn a_minute_that_fills_after_the_last_step_is_compared_with_stable_all_the_same() {
    let (release, settings) = (release(), settings());
    let first: Vec<Minute> = (0..9).map(|n| minute(n, (1_000, 1), (9_000, 9))).collect();
    let before = count(None, &subject(&release, 0), &terms(&settings), &measured(&first), window_of(0, 600));
    // An incident that hit both.
    let filled = vec![minute(9, (1_000, 900), (9_000, 8_100))];
    let late = Measured { minutes: filled, history: None, delay_seconds: None };
    let alone = Subject { step: 2, has_all: true, ..subject(&release, 600) };
    let after = count(Some(&before), &alone, &terms(&settings), &late, window_of(540, 660));
    assert_eq!(after.candidate.total, before.candidate.total + 1_000);
    assert_eq!(after.evidence_percent, 0, "{after:?}");
}
