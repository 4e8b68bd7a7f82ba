//! Looks at instances and probes: what is held, what takes a release back, and what is forgotten.

use super::*;
use orchestra_crds::Preset;

const PROBES: Metric = Metric::Preset(Preset::HealthChecks);

/// Stable's probes, all good, of two instances for so many hours.
fn good_for(hours: i64) -> History {
    let minutes = (-60.min(hours * 60)..0).map(|n| (at(n * 60), Tally::of_errors(12, 0))).collect();
    let hours = (-hours..0).map(|n| (at(n * 3_600), Tally::of_errors(720, 0))).collect();
    History { minutes, hours }
}

/// What is known after those minutes, each counted as it comes.
fn counted(history: &History, minutes: &[Minute]) -> EvidenceStatus {
    let settings = Analysis { metrics: vec![Preset::Errors, Preset::HealthChecks], ..settings() };
    let release = release();
    let subject = Subject { metric: PROBES, ..subject(&release, 0) };
    let mut known: Option<EvidenceStatus> = None;
    for (number, minute) in (0..).zip(minutes) {
        let history = known.is_none().then(|| history.clone());
        let measured = Measured { minutes: vec![minute.clone()], history, delay_seconds: None };
        let window = window_of(number * 60, (number + 1) * 60);
        let after = count(known.as_ref(), &subject, &terms(&settings), &measured, window);
        let is_over = after.verdict == Verdict::Fail;
        known = Some(after);
        if is_over {
            break;
        }
    }
    known.unwrap()
}

/// Minutes with so many bad ones of the candidate's twelve, beside a stable that is well.
fn minutes(bad: impl IntoIterator<Item = i64>) -> Vec<Minute> {
    (0..).zip(bad).map(|(number, bad)| minute(number, (12, bad), (12, 0))).collect()
}

#[test]
fn all_bad_beside_a_week_of_health_fails_after_some_minutes() {
    let evidence = counted(&good_for(168), &minutes([12; 20]));
    assert_eq!((evidence.verdict, evidence.through.0), (Verdict::Fail, at(180)), "{evidence:?}");
}

#[test]
fn beside_a_young_stable_all_bad_is_held_and_never_passes() {
    for hours in [0, 1, 3] {
        let evidence = counted(&good_for(hours), &minutes([12; 60]));
        assert_eq!(evidence.verdict, Verdict::Undecided, "{hours}: {evidence:?}");
        assert!(leans_to_harm(&evidence));
    }
}

#[test]
fn one_bad_minute_takes_nothing_back_and_is_forgotten() {
    let blip = counted(&good_for(168), &minutes([0, 0, 12]));
    assert_eq!((blip.verdict, blip.evidence_percent < 100), (Verdict::Undecided, true), "{blip:?}");
    let soon = counted(&good_for(168), &minutes([0, 0, 12, 0, 0, 0, 0]));
    assert_eq!(soon.verdict, Verdict::Undecided, "four minutes after: {soon:?}");
    let after = counted(&good_for(168), &minutes([0, 0, 12, 0, 0, 0, 0, 0]));
    assert_eq!((after.verdict, after.evidence_percent), (Verdict::Pass, 0), "{after:?}");
}

#[test]
fn what_is_bad_every_other_or_third_minute_never_passes() {
    for span in [2, 3, 5] {
        let evidence = counted(&good_for(168), &minutes((0..60).map(|number| if number % span == 0 { 6 } else { 0 })));
        assert!(evidence.verdict != Verdict::Pass && leans_to_harm(&evidence), "{span}: {evidence:?}");
    }
}

#[test]
fn few_bad_ones_are_no_breach() {
    let evidence = counted(&good_for(168), &minutes([1; 60]));
    assert_eq!((evidence.verdict, evidence.evidence_percent), (Verdict::Pass, 0), "{evidence:?}");
}

#[test]
fn what_stable_can_not_be_seen_beside_holds() {
    let alone = |number| minute(number, (12, 12), (0, 0));
    let both = minutes([0; 5]).into_iter().chain((5..60).map(alone));
    let evidence = counted(&good_for(168), &both.collect::<Vec<_>>());
    assert_eq!((evidence.verdict, leans_to_harm(&evidence)), (Verdict::Undecided, true), "{evidence:?}");
}

#[test]
fn a_late_break_is_held_at_once_and_found() {
    let late = |good: i64, bad: i64| {
        let bad = std::iter::repeat_n(12, usize::try_from(bad).unwrap());
        minutes(std::iter::repeat_n(0, usize::try_from(good).unwrap()).chain(bad))
    };
    let soon = counted(&good_for(168), &late(60, 1));
    assert_eq!((soon.verdict, leans_to_harm(&soon)), (Verdict::Undecided, true), "{soon:?}");
    let found = counted(&good_for(168), &late(60, 240));
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
}

#[test]
fn a_gauge_that_falls_silent_is_no_data_though_stable_has_values() {
    use orchestra_crds::{GaugeQuery, MetricName, Promql};
    let name = MetricName::new("pool").unwrap();
    let gauge = Some(GaugeQuery { value: "used".into(), bad_above: "0.9".into() });
    let pool = Promql { name, address: None, ratio: None, histogram: None, gauge, limits: None };
    let settings = Analysis { promql: vec![pool], ..settings() };
    let (release, metric) = (release(), Metric::Named(name));
    let subject = Subject { metric, ..subject(&release, 0) };
    let minutes: Vec<Minute> =
        (0..60).map(|number| minute(number, (if number < 3 { 2 } else { 0 }, 0), (9, 0))).collect();
    let measured = Measured { minutes, history: Some(good_for(24)), delay_seconds: None };
    let evidence = count(None, &subject, &terms(&settings), &measured, window_of(0, 3_600));
    assert_eq!(evidence.verdict, Verdict::NoData, "{evidence:?}");
    assert!(
        in_words(&evidence, &settings).contains("nothing more of the candidate comes by pool"),
        "{}",
        in_words(&evidence, &settings)
    );
}

#[test]
fn what_hits_stable_too_is_no_breach() {
    let minutes: Vec<Minute> = (0..60).map(|number| minute(number, (12, 12), (12, 12))).collect();
    let evidence = counted(&good_for(168), &minutes);
    assert_eq!((evidence.verdict, evidence.evidence_percent), (Verdict::Pass, 0), "{evidence:?}");
}

#[test]
fn a_breach_is_over_after_a_while_though_nothing_more_is_heard() {
    // An instance that started badly, and none after it; stable starts none at all.
    let settings = Analysis { metrics: vec![Preset::Errors, Preset::StartupFailures], ..settings() };
    let release = release();
    let subject = Subject { metric: Preset::StartupFailures.into(), ..subject(&release, 0) };
    let look = |minutes: i64| {
        let measured =
            Measured { minutes: vec![minute(3, (4, 3), (0, 0))], history: Some(good_for(24)), delay_seconds: None };
        count(None, &subject, &terms(&settings), &measured, window_of(0, minutes * 60))
    };
    assert!(leans_to_harm(&look(4)), "{:?}", look(4));
    let after = look(10);
    assert!(!leans_to_harm(&after), "{after:?}");
    assert_eq!(after.verdict, Verdict::Pass);
}

#[test]
fn a_breach_of_which_nothing_more_is_heard_passes_no_step() {
    let settings = Analysis { metrics: vec![Preset::Errors, Preset::MemoryUtilization], ..settings() };
    let release = release();
    let subject = Subject { metric: Preset::MemoryUtilization.into(), ..subject(&release, 0) };
    let breach = (0..3).map(|number| minute(number, (12, 12), (12, 0)));
    let silence = (3..20).map(|number| minute(number, (0, 0), (12, 0)));
    let measured =
        Measured { minutes: breach.chain(silence).collect(), history: Some(good_for(24)), delay_seconds: None };
    let evidence = count(None, &subject, &terms(&settings), &measured, window_of(0, 20 * 60));
    assert!(leans_to_harm(&evidence) && evidence.verdict != Verdict::Pass, "{evidence:?}");
}
