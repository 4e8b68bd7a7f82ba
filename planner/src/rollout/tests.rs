//! The state machine against a model of the cloud in which every write takes effect at once.

mod adopt;
mod alerts;
mod anew;
mod capacity;
mod corrected;
mod faults;
mod held;
mod holds;
mod home;
mod inspected;
mod limits;
mod logs;
mod lost_status;
mod metrics;
mod model;
mod observed;
mod outdated;
mod random;
mod recorded;
mod regions;
mod second_look;
mod strategies;
mod traffic_only;
mod troubles;
mod undo;
mod warm;
mod watched;

use super::*;
use model::{Traits, World};
use orchestra_crds::{Lane, Metric, Outcome, Request, Verdict};

/// The writes of a good release of app:2, in each region.
fn all_steps(regions: &[&str]) -> Vec<String> {
    let steps = ["deploy, app:1 100", "app:1 90 app:2 10", "app:1 50 app:2 50", "app:2 100"];
    regions.iter().flat_map(|region| steps.map(|step| format!("{region} {step}"))).collect()
}

#[test]
fn the_first_deployment_gets_everything_and_no_steps() {
    let mut world = World::new(&["us-central1"]);
    world.run(20);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    assert_eq!(world.writes, ["us-central1 create, app:1 100"]);
    world.run(20);
    assert_eq!(world.writes.len(), 1, "the steady state writes nothing");
}

#[test]
fn a_good_release_goes_through_its_steps_in_one_region_after_the_other() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run(400);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    assert_eq!(world.writes, all_steps(&["us-central1", "us-west4"]));
    assert_eq!(world.status().history[0].outcome, Outcome::Promoted);
}

#[test]
fn a_region_that_is_to_come_says_which_it_waits_for() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run(6);
    let status = world.status();
    assert_eq!((status.regions[0].weight, status.regions[1].message.as_str()), (Some(10), "waits for us-central1"));
    world.run(400);
    assert!(world.status().regions[1].message.ends_with("gets 100 % of the requests"));
}

#[test]
fn a_bad_release_is_rolled_back_and_its_failure_latched_first() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits { error_percent: 5, ..Traits::default() });
    world.run(400);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    let evidence = &world.status().history[0].evidence;
    let told: Vec<_> = evidence.iter().map(|e| (e.metric, e.lane, e.verdict == Verdict::Fail)).collect();
    assert_eq!(told[0], (Metric::ERRORS, Lane::Minutes, true), "{evidence:?}");
    assert!(evidence[0].candidate_bad > 0 && evidence[0].candidate_total > Some(0), "{evidence:?}");
    let (told, writes) = world.writes.split_last().unwrap();
    assert_eq!(writes, ["us-central1 deploy, app:1 100", "us-central1 app:1 90 app:2 10", "us-central1 app:1 100"]);
    assert_eq!(told, "us-west4 app:1 100", "its marks tell of the failure, too: one service may go");
    assert!(world.status().failed.unwrap().rolled_back);
}

#[test]
fn trouble_in_the_second_region_rolls_the_first_one_back_too() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits { broken_in: Some("us-west4"), ..Traits::default() });
    world.run(400);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    assert_eq!(world.weights("app:2"), [0, 0]);
    assert_eq!(world.weights("app:1"), [100, 100]);
}

#[test]
fn a_revision_that_never_starts_gets_no_traffic_and_its_cause_is_told() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { broken_in: Some("us-central1"), ..Traits::default() });
    world.run(100);
    assert_eq!(world.writes, ["us-central1 deploy, app:1 100", "us-central1 app:1 100"]);
    assert!(world.status().message.unwrap().contains("port 8080"));
    world.release("app:3", Traits::default());
    world.run(200);
    assert_eq!((world.phase(), world.weights("app:3")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn a_first_revision_that_fails_has_nothing_to_go_back_to_and_the_next_one_takes_over() {
    let mut world = World::new(&["us-central1"]);
    world.traits.insert("app:1".into(), Traits { broken_in: Some("us-central1"), ..Traits::default() });
    world.run(40);
    assert_eq!(world.phase(), RolloutPhase::Failed);
    world.release("app:2", Traits::default());
    world.run(40);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn a_new_spec_takes_the_old_candidate_out_before_the_new_one_gets_traffic() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.release("app:3", Traits::default());
    world.run(300);
    assert_eq!((world.phase(), world.weights("app:3")), (RolloutPhase::Promoted, vec![100]));
    assert_eq!(
        world.writes[2..5],
        ["us-central1 app:1 100", "us-central1 deploy, app:1 100", "us-central1 app:1 90 app:3 10"]
    );
}

#[test]
fn applying_the_stable_template_again_is_one_write_and_no_steps() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    world.writes.clear();
    world.release("app:1", Traits::default());
    world.run(30);
    assert_eq!(
        (world.phase(), world.writes.as_slice()),
        (RolloutPhase::Promoted, &["us-central1 app:1 100".to_string()][..])
    );
    assert_eq!(world.status().history[0].outcome, Outcome::Returned);
}

#[test]
fn going_back_to_a_promoted_revision_is_a_traffic_change() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run(300);
    world.writes.clear();
    world.release("app:1", Traits::default());
    world.run(30);
    assert_eq!(
        (world.weights("app:1"), world.writes.as_slice()),
        (vec![100], &["us-central1 app:1 100".to_string()][..])
    );
}

#[test]
fn paused_means_no_traffic_write_and_abort_still_works() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.rollout.spec.paused = true;
    world.writes.clear();
    world.run(100);
    assert_eq!((world.phase(), world.writes.len()), (RolloutPhase::Paused, 0));
    world.ask(Request::Abort, &world.release_id());
    world.run(20);
    assert_eq!(world.weights("app:2"), [0]);
}

#[test]
fn abort_then_retry_makes_a_new_revision_of_the_same_template() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    let (first, release) = (world.candidate(), world.release_id());
    world.ask(Request::Abort, &release);
    world.run(20);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    world.ask(Request::Retry, &release);
    world.run(300);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    assert_eq!(world.status().stable.unwrap().revision, format!("{first}-2"));
    let done: Vec<_> = world.status().requests.into_iter().map(|r| r.request).collect();
    assert_eq!(done, ["retry", "abort"]);
}

#[test]
fn an_abort_of_another_candidate_does_nothing() {
    let mut world = World::promoted(&["us-central1"]);
    world.ask(Request::Abort, "api-somethingelse.1");
    world.release("app:2", Traits::default());
    world.run(300);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
}

#[test]
fn no_metrics_pause_by_default_and_promote_moves_one_step() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.on_no_data = orchestra_crds::Fallback::Pause;
    world.requests_per_minute = 0;
    world.release("app:2", Traits::default());
    world.run(200);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Paused, vec![10]));
    let token = world.status().candidate.unwrap().promote_token.unwrap();
    world.ask(Request::Promote, &token);
    world.run(200);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Paused, vec![50]));
}
