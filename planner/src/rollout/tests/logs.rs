//! What could make logs lie about a healthy release: each of the fast lane's rules is for one of them. Healthy is a candidate
//! that fails as often as stable does; it is promoted as it would be without logs.

use super::model::Spoil;
use super::*;
use crate::cloud::{FailedRequest, FailuresQuery};
use jiff::{SignedDuration, Timestamp};
use orchestra_crds::FastLane;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A healthy release whose logs are spoilt; how it was at its end.
fn healthy(spoil: Option<Spoil>, lane: FastLane) -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.fast_lane = lane;
    world.stable_error_percent = 1;
    world.spoil = spoil;
    world.release("app:2", Traits { error_percent: 1, ..Traits::default() });
    world.run_until(|world| world.weights("app:2") == [10]);
    for _ in 0..400 {
        if world.phase() != RolloutPhase::Progressing {
            break;
        }
        world.run(1);
    }
    world
}

fn survives(what: &str, spoil: Spoil) -> World {
    let world = healthy(Some(spoil), FastLane::Auto);
    assert_eq!(world.phase(), RolloutPhase::Promoted, "{what}: {:?}", world.status().failed);
    let without = healthy(None, FastLane::Disabled);
    assert_eq!(world.writes, without.writes, "{what}: as without logs");
    world
}

/// Requests of the candidate that failed, so many each second of the window.
fn failed(query: &FailuresQuery, each_second: i64, change: impl Fn(&mut FailedRequest)) -> Vec<FailedRequest> {
    let (from, to) = (query.window.from.as_second(), query.window.to.as_second());
    let one = |second: i64, n: i64| {
        let mut request = FailedRequest {
            id: format!("spoilt-{second}-{n}"),
            at: Timestamp::from_second(second).unwrap(),
            took: SignedDuration::from_millis(20),
            revision: query.candidate.to_string(),
            host: "api-abc.a.run.app".into(),
            status: 500,
            client: u32::try_from(second * 1_000 + n).unwrap_or(0),
            platform: String::new(),
        };
        change(&mut request);
        request
    };
    (from..to).flat_map(|second| (0..each_second).map(move |n| (second, n))).map(|(second, n)| one(second, n)).collect()
}

#[test]
fn a_load_test_on_the_address_of_the_tag() {
    let world = survives("a load test", |told, query, _| {
        told.extend(failed(query, 20, |request| request.host = "candidate---api-abc.a.run.app".into()));
    });
    let fast = world.status().regions[0].fast.clone().unwrap();
    assert_eq!(fast.off_because, None, "logs that have more than the metrics lack nothing");
}

#[test]
fn no_free_instance() {
    survives("no free instance", |told, query, _| {
        let text = "The request was aborted because there was no available instance.";
        told.extend(failed(query, 20, |request| request.platform = text.into()));
    });
}

#[test]
fn requests_that_run_into_a_time_out_of_300_seconds() {
    survives("time-outs", |told, query, _| {
        told.extend(failed(query, 20, |request| request.took = SignedDuration::from_secs(300)));
    });
}

#[test]
fn websockets_that_are_cut() {
    survives("websockets", |told, query, _| told.extend(failed(query, 20, |request| request.status = 101)));
    survives("websockets that end as failures", |told, query, _| {
        told.extend(failed(query, 20, |request| request.took = SignedDuration::from_secs(900)));
    });
}

#[test]
fn one_client_in_a_loop_of_retries() {
    // The split sends its requests to both revisions: a fifth of them to the candidate, which is more than its first share.
    survives("one client", |told, query, _| {
        told.extend(failed(query, 20, |request| {
            request.client = 7;
            if request.id.ends_with(|n: char| !matches!(n, '0' | '5')) {
                request.revision = query.stable.to_string();
            }
        }));
    });
}

#[test]
fn errors_of_stable_are_excluded_from_the_logs() {
    let world = survives("an exclusion filter", |told, query, _| {
        told.retain(|request| request.revision != query.stable.as_str());
    });
    let off = world.status().regions[0].fast.clone().unwrap().off_because;
    assert!(off.is_some_and(|off| off.contains("lack failed requests")));
}

#[test]
fn successes_are_excluded_from_the_logs() {
    // They are in no answer anyway: only what failed is asked for.
    survives("an exclusion filter", |told, _, _| told.retain(|request| request.status >= 500));
}

#[test]
fn logs_that_are_late_by_a_minute_and_by_an_hour() {
    survives("a minute", |told, _, now| told.retain(|request| request.at + MINUTE <= now));
    survives("an hour", |told, _, now| told.retain(|request| request.at + HOUR <= now));
    // Late is what one of the two writes.
    survives("stable's", |told, query, now| {
        told.retain(|request| request.revision == query.candidate.as_str() || request.at + MINUTE <= now);
    });
}

#[test]
fn pages_that_come_twice() {
    survives("pages", |told, _, _| told.extend(told.clone()));
}

#[test]
fn a_clock_that_is_off_by_an_hour() {
    survives("ahead", |told, _, _| told.iter_mut().for_each(|request| request.at += HOUR));
    survives("behind", |told, _, _| told.iter_mut().for_each(|request| request.at -= HOUR));
}

#[test]
fn the_quota_of_reads_is_eaten_by_others() {
    let mut world = healthy(None, FastLane::Auto);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    world.logs_refused = true;
    world.release("app:3", Traits { error_percent: 1, ..Traits::default() });
    world.run_until(|world| world.weights("app:3") == [10]);
    world.run_until(|world| world.status().regions[0].fast.as_ref().is_some_and(|fast| fast.off_because.is_some()));
    world.run_until(|world| world.phase() == RolloutPhase::Promoted);
}

#[test]
fn a_share_that_is_changed_by_hand() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.fast_lane = FastLane::Auto;
    world.stable_error_percent = 1;
    world.release("app:2", Traits { error_percent: 1, ..Traits::default() });
    world.run_until(|world| world.weights("app:2") == [10]);
    world.run(8);
    let service = world.cloud.get_mut("us-central1").unwrap();
    for target in service.traffic.iter_mut().chain(&mut service.serving) {
        target.percent = crate::names::Percent::clamped(if target.percent.get() == 10 { 20 } else { 80 });
    }
    world.run_until(|world| world.phase() == RolloutPhase::Promoted);
    assert!(world.status().failed.is_none());
}
