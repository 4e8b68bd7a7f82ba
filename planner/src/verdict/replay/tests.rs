use super::*;
use crate::names::RevisionName;

fn release() -> ReleaseId {
    ReleaseId { revision: RevisionName::new("api-x").unwrap(), number: 1 }
}

fn served(total: i64, bad: i64) -> Served {
    Served { requests: Count { total, bad }, latencies: None }
}

fn row(minute: i64, candidate: (i64, i64), stable: (i64, i64)) -> Recorded {
    let (candidate, stable) = (served(candidate.0, candidate.1), served(stable.0, stable.1));
    Recorded { minute, region: String::new(), weight: None, candidate, stable }
}

/// Candidate and stable fail 1 of 1,000.
fn healthy(minutes: std::ops::Range<i64>) -> Vec<Recorded> {
    minutes.map(|minute| row(minute, (600, i64::from(minute % 2 == 0)), (5_400, 5 + minute % 2))).collect()
}

fn replayed(rows: &[Recorded]) -> Replay {
    replay(rows, &Analysis::default(), 60, release())
}

#[test]
fn a_healthy_release_passes_and_a_break_after_that_undoes_it() {
    let mut rows = healthy(0..60);
    let good = replayed(&rows);
    assert_eq!((good.decision, good.minutes.len()), (Decision::Pass, 60), "{}", good.reason);
    assert!(good.minute < 15, "since minute {}", good.minute);
    rows.extend((60..80).map(|minute| row(minute, (600, 12), (5_400, 5))));
    let broken = replayed(&rows);
    assert_eq!(broken.decision, Decision::Fail, "{}", broken.reason);
    assert!((60..64).contains(&broken.minute), "after minute {}", broken.minute);
    assert_eq!(broken.candidate.bad, 30 + 12 * (broken.minute - 59), "up to that minute's end");
    assert!(broken.reason.contains("since it went wrong"), "{}", broken.reason);
    assert_eq!(broken.minutes[..60], good.minutes[..], "what is later changes nothing before");
}

#[test]
fn the_first_minute_and_those_in_which_the_weight_changed_do_not_count() {
    let mut rows = healthy(0..20);
    rows[0].candidate = served(600, 600);
    assert_eq!(replayed(&rows).decision, Decision::Pass, "it was cold");
    for row in &mut rows {
        row.weight = Some(Percent::clamped(if row.minute < 10 { 10 } else { 50 }));
    }
    rows[10].candidate = served(600, 600);
    let replay = replayed(&rows);
    assert_eq!(replay.decision, Decision::Pass, "{}", replay.reason);
    let (_, errors) = replay.minutes[19].evidence.first().unwrap();
    assert_eq!((errors.candidate.total, errors.step_candidate, errors.step), (18 * 600, 9 * 600, 2));
}

#[test]
fn what_is_before_the_candidate_is_history() {
    let quiet = |minute| row(minute, (0, 0), (6_000, 6));
    let alone = |minute| row(minute, (6_000, 1_200), (0, 0));
    let rows: Vec<Recorded> = (0..120).map(quiet).chain((120..130).map(alone)).collect();
    let replay = replayed(&rows);
    assert_eq!(replay.decision, Decision::Fail, "20 % is above a ceiling of 5 %: {}", replay.reason);
    assert!(replay.reason.contains("above the ceiling of 5.0 %"), "{}", replay.reason);
    assert!(replay.minutes.last().unwrap().evidence_percent >= 100, "what rolls back is all that is needed");
    let unknown: Vec<Recorded> = (0..10).map(alone).collect();
    let replay = replayed(&unknown);
    assert_eq!(replay.decision, Decision::Inconclusive, "there is nothing to hold it against: {}", replay.reason);
}

#[test]
fn a_region_that_breaks_is_named() {
    let at = |region: &str, minute: i64, bad: i64| Recorded {
        region: region.to_string(),
        ..row(minute, (600, bad), (5_400, 5))
    };
    let both = |minute| [at("us-central1", minute, 0), at("us-west4", minute, if minute > 9 { 60 } else { 0 })];
    let rows: Vec<Recorded> = (0..20).flat_map(both).collect();
    let replay = replayed(&rows);
    assert_eq!((replay.decision, replay.minute), (Decision::Fail, 10));
    assert!(replay.reason.starts_with("us-west4: "), "{}", replay.reason);
}

#[test]
fn a_record_without_requests_or_with_gaps_is_no_verdict() {
    let idle: Vec<Recorded> = (0..20).map(|minute| row(minute, (0, 0), (600, 1))).collect();
    let replay = replayed(&idle);
    assert_eq!((replay.decision, replay.minute), (Decision::Inconclusive, 19), "{}", replay.reason);
    assert_eq!(replay.reason, "no requests of the candidate");
    let gaps: Vec<Recorded> = healthy(0..60).into_iter().filter(|row| row.minute % 5 > 0).collect();
    assert_eq!(replayed(&gaps).decision, Decision::Pass);
    assert_eq!(replayed(&[]).decision, Decision::Inconclusive);
}

#[test]
fn slow_requests_are_judged_by_stables_history() {
    let with = |minute: i64, candidate: [i64; 2], stable: [i64; 2]| {
        let arm = |[quick, slow]: [i64; 2]| Served {
            requests: Count { total: quick + slow, bad: 0 },
            latencies: Some(Tally([(100_000, quick), (400_000, slow), (i64::MAX, 0)].into())),
        };
        let (candidate, stable) = (arm(candidate), arm(stable));
        Recorded { minute, region: String::new(), weight: None, candidate, stable }
    };
    let history = (-60..0).map(|minute| with(minute, [0, 0], [5_000, 400]));
    let rows: Vec<Recorded> = history.chain((0..20).map(|n| with(n, [300, 300], [5_000, 400]))).collect();
    let replay = replayed(&rows);
    assert_eq!(replay.decision, Decision::Fail, "{}", replay.reason);
    assert!(replay.reason.contains("slower than 100 ms"), "{}", replay.reason);
}
