//! Regions that are down, other people's writes, gates that close.

use super::super::*;
use super::model::{Traits, World};
use crate::cloud::{Fault, FaultClass, Target};
use crate::names::RevisionName;
use orchestra_crds::Request;

#[test]
fn an_unreadable_region_stops_the_way_forward_and_not_the_way_back() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.weights("app:2") == [10, 0]);
    world.down = Some("us-west4");
    world.run(100);
    let status = world.status();
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0, 0]));
    assert!(status.message.unwrap().contains("us-west4"), "it never came there, which is told to be unreadable");
    world.down = None;
    world.run(100);
    assert_eq!(world.status().conditions[2].reason, "AnalysisFailed");
    world.down = Some("us-west4");
    world.run(1);
    assert_eq!(world.phase(), RolloutPhase::RolledBack, "it is over");
}

#[test]
fn scaling_changes_the_service_and_starts_no_release() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.scaling =
        Some(orchestra_crds::Scaling { min_instances: Some(3), max_instances: Some(9), ..Default::default() });
    world.generation();
    world.run(20);
    assert_eq!(
        (world.phase(), world.writes.as_slice()),
        (RolloutPhase::Promoted, &["us-central1 settings".to_string()][..])
    );
}

#[test]
fn traffic_changed_by_hand_is_put_back() {
    let mut world = World::promoted(&["us-central1"]);
    let service = world.cloud.get_mut("us-central1").unwrap();
    service.traffic =
        vec![crate::cloud::TrafficTarget { to: Target::Latest, percent: crate::names::Percent::ALL, tag: None }];
    service.serving = service.traffic.clone();
    world.run(20);
    assert_eq!(world.weights("app:1"), [100]);
}

#[test]
fn a_service_of_another_is_left_alone() {
    let mut world = World::new(&["us-central1"]);
    world.run(20);
    world.writes.clear();
    let service = world.cloud.get_mut("us-central1").unwrap();
    (service.marks.owner, service.uid) = (None, Some("made-anew".into()));
    world.release("app:2", Traits::default());
    world.run(20);
    assert_eq!((world.phase(), world.writes.len()), (RolloutPhase::Pending, 0));
    assert_eq!(world.status().conditions[2].reason, "ServiceNotOurs");
}

#[test]
fn deletion_with_retain_lets_go_and_an_object_of_the_same_name_takes_over() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
    world.run(20);
    assert_eq!(world.rollout.metadata.finalizers.as_deref(), Some(&[][..]));
    assert_eq!(world.weights("app:1"), [100]);
    let (cloud, revisions, deployed) = (world.cloud, world.revisions, world.deployed);
    let mut again = World { cloud, revisions, deployed, ..World::new(&["us-central1"]) };
    again.rollout.metadata.uid = Some("another".into());
    again.run(20);
    assert_eq!(again.phase(), RolloutPhase::Promoted);
    assert_eq!(again.writes, ["us-central1 app:1 100", "us-central1 settings"], "our mark, and our label");
}

#[test]
fn a_deletion_that_is_kept_from_a_region_names_the_way_out() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
    let mut seen = world.observe();
    seen.regions[0].service = Err(Fault { class: FaultClass::Denied, message: "not found or not allowed".into() });
    let kept = plan(&seen);
    assert_eq!((kept.finalizer, kept.effects.len()), (Finalizer::Keep, 0));
    assert!(kept.status.message.unwrap().contains("remove the finalizer"));
}

#[test]
fn a_rollout_without_environment_says_so() {
    let mut world = World::new(&["us-central1"]);
    world.environment = None;
    world.run(5);
    assert_eq!(world.status().conditions[2].reason, "EnvironmentMissing");
    assert_eq!(world.writes.len(), 0);
}

#[test]
fn nothing_new_is_released_into_an_environment_that_is_being_deleted() {
    let mut world = World::promoted(&["us-central1"]);
    let leaving = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
    world.environment.as_mut().unwrap().metadata.deletion_timestamp = leaving;
    world.run(5);
    assert_eq!(world.phase(), RolloutPhase::Promoted, "what is there stays as it is");
    world.release("app:2", Traits::default());
    world.run(20);
    let status = world.status();
    assert_eq!((status.conditions[2].reason.as_str(), status.candidate), ("EnvironmentDeleting", None));
    assert!(status.message.unwrap().contains("delete this one"));
}

#[test]
fn a_candidate_left_for_stable_comes_back_as_the_same_revision() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    let revision = world.candidate();
    world.release("app:1", Traits::default());
    world.run(30);
    world.release("app:2", Traits::default());
    world.run(300);
    assert_eq!(world.status().stable.unwrap().revision, revision);
}

#[test]
fn a_region_that_lost_stable_gets_it_again_for_the_way_back() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    let stable = world.status().stable.unwrap().revision;
    world.deployed.remove(&("us-central1".to_string(), stable.clone()));
    world.ask(Request::Abort, &world.release_id());
    world.run(20);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::RolledBack, vec![100]), "it is made again");
}

#[test]
fn without_its_environment_a_release_stays_where_it_is() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.weights("app:2") == [10]);
    let environment = world.environment.take();
    world.run(50);
    let status = world.status();
    assert_eq!((status.conditions[2].reason.as_str(), status.history.len()), ("EnvironmentMissing", 1));
    world.environment = environment;
    world.run(100);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
}

#[test]
fn a_late_write_of_somebody_else_is_no_missed_deadline() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps[0].hold_seconds = Some(3600);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.run(60);
    world.unsettled = Some("us-central1");
    world.run(10);
    assert_eq!(world.weights("app:2"), [10]);
    world.unsettled = None;
    world.run(400);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
}

#[test]
fn a_retry_that_cannot_start_yet_waits_quietly() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { broken_in: Some("us-central1"), ..Traits::default() });
    world.run(60);
    let failed = world.status().failed.unwrap();
    world.rollout.spec.paused = true;
    world.ask(Request::Retry, &failed.release);
    let failed = failed.revision;
    world.run(5);
    let status = world.status();
    world.run(30);
    assert_eq!(world.status().history, status.history);
    world.traits.clear();
    world.rollout.spec.paused = false;
    world.run(300);
    assert_eq!(world.status().stable.unwrap().revision, format!("{failed}-2"));
}

#[test]
fn a_new_image_that_is_not_allowed_still_takes_the_old_candidate_out() {
    let mut world = World::promoted(&["us-central1"]);
    let images = orchestra_crds::ImagePolicy { repositories: vec!["good".into()], digest_required: false };
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    world.environment.as_mut().unwrap().spec.images = Some(images);
    world.release("app:3", Traits::default());
    world.run(100);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Pending, vec![100]));
    assert_eq!(world.status().conditions[2].reason, "ImageNotAllowed");
    world.release("app:1", Traits::default());
    world.run(30);
    assert_eq!(world.phase(), RolloutPhase::Promoted, "going back needs no leave");
}

#[test]
fn trouble_in_one_region_hides_no_verdict_in_another() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [100, 10]);
    world.down = Some("us-central1");
    world.traits.insert("app:2".into(), Traits { error_percent: 50, ..Traits::default() });
    world.run(100);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RollingBack, vec![100, 0]));
    world.down = None;
    world.run(100);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0, 0]));
}

#[test]
fn a_step_is_told_once_though_its_region_was_down() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.status().step.is_some());
    let told = |world: &World| world.events.iter().filter(|e| e.reason == "StepInEffect").count();
    assert_eq!(told(&world), 1);
    world.down = Some("us-central1");
    world.run(3);
    world.down = None;
    world.run(3);
    assert_eq!((world.weights("app:2"), told(&world)), (vec![10], 1));
}

#[test]
fn metrics_that_stopped_long_ago_pass_no_step() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps[0].hold_seconds = Some(7200);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.verdict() == Some(orchestra_crds::Verdict::Pass));
    world.blind = true;
    world.run(500);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Paused, vec![10]));
    world.blind = false;
    world.run(500);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
}

#[test]
fn an_abort_of_a_superseded_candidate_works_while_paused() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    world.rollout.spec.paused = true;
    world.ask(Request::Abort, &world.release_id());
    world.release("app:3", Traits::default());
    world.run(30);
    assert_eq!(world.weights("app:2"), [0]);
}

#[test]
fn stable_that_cannot_start_in_a_new_region_does_not_count_as_failed() {
    let mut world = World::promoted(&["us-central1"]);
    world.traits.insert("app:1".into(), Traits { broken_in: Some("us-west4"), ..Traits::default() });
    world.environment.as_mut().unwrap().spec.regions.push("us-west4".into());
    world.run(60);
    let status = world.status();
    assert_eq!((status.failed, status.conditions[2].reason.as_str()), (None, "ContainerFailed"));
    assert!(world.cloud.values().all(|service| service.marks.failed.is_empty()));
}

#[test]
fn a_stable_revision_that_is_not_found_gives_the_candidate_nothing() {
    for weight in [0, 10] {
        let mut world = World::promoted(&["us-central1"]);
        world.release("app:2", Traits::default());
        if weight > 0 {
            world.run_until(|w| w.weights("app:2") == [10]);
        }
        let stable = world.status().stable.unwrap().revision;
        let found = world.revisions.remove(&stable);
        world.writes.clear();
        world.run(20);
        assert_eq!((world.writes.len(), world.status().conditions[2].reason.as_str()), (0, "StableMissing"));
        world.revisions.extend(found.map(|image| (stable, image)));
        world.run(400);
        assert_eq!(world.phase(), RolloutPhase::Promoted);
    }
}

#[test]
fn an_old_abort_does_not_keep_stable_from_a_new_region() {
    let mut world = World::new(&["us-central1", "us-west4"]);
    world.run(1);
    world.ask(Request::Abort, &world.release_id());
    world.rollout.status = None;
    world.run(100);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100, 100]));
}

/// A template that uses Redis, in an environment that has it.
fn with_redis() -> World {
    let mut world = World::promoted(&["us-central1"]);
    let environment = world.environment.as_mut().unwrap();
    environment.spec.redis = serde_json::from_value(serde_json::json!({"tier": "Basic", "memorySizeGb": 1})).unwrap();
    let status = environment.status.as_mut().unwrap();
    status.redis =
        serde_json::from_value(serde_json::json!({"instance": "x", "host": "10.0.0.3", "port": 6379})).unwrap();
    world.rollout.spec.template.redis = true;
    world
}

#[test]
fn a_candidate_goes_nowhere_while_what_it_uses_is_not_known_and_a_new_one_takes_it_back() {
    let mut world = with_redis();
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    let ready = world.environment.clone();
    world.environment.as_mut().unwrap().status = None;
    world.run(200);
    assert_eq!(world.weights("app:2"), [10]);
    world.release("app:3", Traits::default());
    world.run(20);
    assert_eq!(world.weights("app:2"), [0], "that it is not wanted any more is known all the same");
    world.environment = ready;
    world.run(200);
    assert_eq!((world.weights("app:2"), world.weights("app:3")), (vec![0], vec![100]));
}

#[test]
fn a_release_waits_only_for_the_parts_that_it_uses_and_a_way_back_for_none() {
    let mut world = with_redis();
    world.release("app:2", Traits::default());
    world.run(300);
    assert_eq!(world.weights("app:2"), [100]);
    world.environment.as_mut().unwrap().status.as_mut().unwrap().redis = None;
    world.rollout.spec.template.redis = false;
    world.release("app:1", Traits::default());
    world.run(20);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100]));
    world.rollout.spec.template.redis = true;
    world.release("app:2", Traits::default());
    world.run(20);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]), "it was promoted before");
    world.release("app:3", Traits::default());
    world.run(20);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Pending, vec![100]));
    assert_eq!(world.status().conditions[2].reason, "RedisNotReady");
}

#[test]
fn a_withdrawal_that_cloud_run_accepts_and_does_not_carry_out_is_written_again() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.weights("app:2") == [10]);
    world.run_until(|w| w.phase() == RolloutPhase::RollingBack);
    let served = crate::traffic::split(
        &RevisionName::new(world.status().stable.unwrap().revision.as_str()).unwrap(),
        &RevisionName::new(world.status().failed.unwrap().revision.as_str()).unwrap(),
        crate::names::Percent::clamped(10),
        &[],
    );
    let service = world.cloud.get_mut("us-central1").unwrap();
    (service.serving, service.settled) = (served, false);
    let writes = world.writes.len();
    world.run(100);
    assert!(world.writes.len() > writes);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0]));
}

#[test]
fn a_revision_that_gets_everything_waits_for_the_write_before_it() {
    let mut world = World::new(&["us-central1", "us-west4"]);
    world.traits.insert("app:1".into(), Traits { broken_in: Some("us-west4"), ..Traits::default() });
    world.run(40);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Failed, vec![100, 100]));
    world.unsettled = Some("us-central1");
    world.writes.clear();
    world.release("app:2", Traits::default());
    world.run(20);
    assert_eq!(world.writes.len(), 0, "there is no stable revision, and users are served");
    assert_eq!(world.status().conditions[2].reason, "WaitingForTraffic");
    world.stuck = true;
    world.run(60);
    assert!(world.events.iter().any(|event| event.reason == "ServiceStuck"));
    assert!(
        !world.writes.is_empty() && world.writes.iter().all(|w| w == "us-central1 app:1 100"),
        "{:?}",
        world.writes
    );
    (world.unsettled, world.stuck) = (None, false);
    world.run(40);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100, 100]));
}

#[test]
fn stable_that_takes_too_long_in_a_new_region_is_told_once() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.progress_deadline_seconds = 60;
    world.environment.as_mut().unwrap().spec.regions.push("us-west4".into());
    world.unsettled = Some("us-west4");
    world.stuck = true;
    world.run(60);
    let told = world.status();
    assert_eq!(told.conditions[2].reason, "ProgressDeadlineExceeded");
    world.run(20);
    assert_eq!(world.status(), told);
}
