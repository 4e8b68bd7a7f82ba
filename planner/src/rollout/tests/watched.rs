//! The watch after 100 %, and the fast lane, as parts of a release.

use super::*;
use orchestra_crds::FastLane;

fn watched() -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.watch_seconds = 600;
    world
}

#[test]
fn a_release_is_watched_at_100_percent_before_it_counts_as_promoted() {
    let mut world = watched();
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [100]);
    world.run(2);
    let (status, began) = (world.status(), world.now);
    assert_eq!((status.phase.unwrap(), status.step.as_deref()), (RolloutPhase::Progressing, Some("3/3")));
    world.run_until(|world| world.phase() == RolloutPhase::Promoted);
    assert!(world.now.duration_since(began).as_secs() >= 560);
    let writes = ["deploy, app:1 100", "app:1 90 app:2 10", "app:1 50 app:2 50", "app:2 100", "app:2 100"];
    assert_eq!(world.writes, writes.map(|write| format!("us-central1 {write}")));
    world.run(20);
    assert_eq!(world.writes.len(), writes.len(), "the steady state writes nothing");
}

/// A5: what breaks once nothing is beside it any more.
#[test]
fn a5_a_candidate_that_breaks_under_all_requests_is_taken_back() {
    let mut world = watched();
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [100]);
    world.traits.insert("app:2".into(), Traits { error_percent: 60, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert_eq!(world.weights("app:1"), [100]);
    assert!(world.status().failed.unwrap().message.contains("step 3"));
}

#[test]
fn a_watch_is_found_again_when_the_status_is_lost_and_a_promote_ends_it() {
    let mut world = watched();
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [100]);
    world.run(3);
    world.rollout.status = None;
    world.run(3);
    let token = world.status().candidate.unwrap().promote_token.unwrap();
    assert_eq!(world.status().step.as_deref(), Some("3/3"));
    world.ask(Request::Promote, &token);
    world.run(4);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
}

fn with_logs() -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.fast_lane = FastLane::Auto;
    world
}

#[test]
fn a_broken_candidate_is_found_by_its_logs_before_the_metrics_tell() {
    let mut world = with_logs();
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|world| world.weights("app:2") == [10]);
    let began = world.now;
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    let took = world.now.duration_since(began).as_secs();
    assert!(took < 120, "{took} s");
    assert!(world.status().failed.unwrap().message.contains("by request logs"));
}

#[test]
fn a_good_candidate_passes_with_logs_as_without() {
    let mut world = with_logs();
    world.release("app:2", Traits::default());
    world.run(600);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
}

#[test]
fn with_session_affinity_the_lane_is_off_and_says_so() {
    let mut world = with_logs();
    world.rollout.spec.template.session_affinity = true;
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|world| world.status().regions[0].fast.is_some());
    assert!(world.status().regions[0].fast.clone().unwrap().off_because.unwrap().contains("session affinity"));
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert!(!world.status().failed.unwrap().message.contains("by request logs"));
}

#[test]
fn logs_are_compared_with_the_metrics_of_the_same_minutes() {
    let mut world = with_logs();
    world.stable_error_percent = 1;
    world.release("app:2", Traits { error_percent: 1, ..Traits::default() });
    world.run_until(|world| world.status().step.as_deref() == Some("2/2"));
    let fast = world.status().regions[0].fast.clone().unwrap();
    let kept = fast.state.split(';').nth(2).unwrap().split(' ').count();
    assert!(kept < 8, "{}", fast.state);
    assert_eq!(fast.off_because, None);
}

/// The most that a status may have in all.
const LARGEST: usize = 32 * 1024;

#[test]
fn the_status_of_a_release_in_ten_regions_is_small_enough() {
    let regions = [
        "us-central1",
        "us-west4",
        "us-east4",
        "northamerica-northeast1",
        "southamerica-east1",
        "europe-west1",
        "europe-southwest1",
        "asia-northeast1",
        "asia-southeast2",
        "australia-southeast1",
    ];
    let mut world = World::promoted(&regions);
    // At 10 % the logs are asked how many requests met no free instance.
    world.rollout.spec.scaling = Some(orchestra_crds::Scaling { max_instances: Some(3), ..Default::default() });
    world.rollout.spec.analysis.fast_lane = FastLane::Auto;
    world.rollout.spec.analysis.watch_seconds = 600;
    world.requests_per_minute = 60_000;
    world.stable_error_percent = 1;
    for number in 2..=10 {
        // Long ago, with much to say.
        world.release(&format!("app:1{number}"), Traits { error_percent: 30, ..Traits::default() });
        world.run_until(|world| world.status().history.len() == number);
    }
    world.release("app:2", Traits { error_percent: 1, ..Traits::default() });
    let mut largest = (0, world.status());
    for _ in 0..2_000 {
        world.run(1);
        let status = world.status();
        let size = serde_json::to_string(&status).unwrap().len();
        if size > largest.0 {
            largest = (size, status);
        }
        if world.phase() == RolloutPhase::Promoted {
            break;
        }
    }
    let (size, status) = largest;
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    assert!(size <= LARGEST, "{size}: {}", serde_json::to_string(&status.regions).unwrap());
}
