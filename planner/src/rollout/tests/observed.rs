//! `managementPolicy: Observe`: what would be done is told, and nothing is done.

use super::adopt::{THEIRS, made_by_others, names_it, reason};
use super::*;
use orchestra_crds::ManagementPolicy;

fn policy(world: &mut World, policy: ManagementPolicy) {
    world.environment.as_mut().unwrap().spec.management_policy = policy;
}

fn message(world: &World) -> String {
    world.status().message.unwrap_or_default()
}

fn promoted() -> World {
    let mut world = World::new(&["us-central1"]);
    world.run(2);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted);
    world.run(20);
    world.writes.clear();
    policy(&mut world, ManagementPolicy::Observe);
    world
}

#[test]
fn what_would_be_taken_over_is_told_first() {
    let mut world = World::new(&["us-central1"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app:1");
    names_it(&mut world);
    policy(&mut world, ManagementPolicy::Observe);
    world.run(10);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    assert_eq!((world.phase(), reason(&world).as_str()), (RolloutPhase::Pending, "OnlyObserved"));
    assert!(message(&world).contains("us-central1: update service"), "{}", message(&world));
    policy(&mut world, ManagementPolicy::Reconcile);
    world.run(20);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
}

#[test]
fn what_others_change_is_told_with_who_and_what_is_as_it_should_be_is_ready() {
    let mut world = promoted();
    world.run(10);
    assert_eq!((world.phase(), reason(&world).as_str()), (RolloutPhase::Promoted, "Promoted"));
    let view = world.cloud.get_mut("us-central1").unwrap();
    view.settings.min_instances += 7;
    view.modified_by = Some("ann@example.com".into());
    world.rollout.spec.description = Some("ours".into());
    world.run(10);
    let told = message(&world);
    assert!(told.contains("(last written by ann@example.com): description: ours"), "{told}");
    assert!(world.writes.is_empty(), "{:?}", world.writes);
}

#[test]
fn a_new_template_is_told_and_begins_no_release() {
    let mut world = promoted();
    world.release("app:2", Traits::default());
    world.run(30);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    let status = world.status();
    assert_eq!((status.candidate, status.stable.is_some()), (None, true));
    assert!(message(&world).contains("image: app:1 → app:2"), "{}", message(&world));
    policy(&mut world, ManagementPolicy::Reconcile);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}

#[test]
fn a_release_stays_where_it_is_and_is_taken_back_once_it_may_be() {
    let mut world = World::new(&["us-central1"]);
    world.run(2);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted);
    world.release("app:2", Traits { error_percent: 30, ..Traits::default() });
    world.run_until(|world| world.weights("app:2") == [10]);
    policy(&mut world, ManagementPolicy::Observe);
    world.writes.clear();
    world.run(60);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    let status = world.status();
    assert_eq!((world.phase(), status.weight), (RolloutPhase::Paused, Some(10)), "{}", message(&world));
    policy(&mut world, ManagementPolicy::Reconcile);
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert_eq!(world.weights("app:1"), [100]);
}

#[test]
fn what_is_deleted_meanwhile_is_left_as_it_is() {
    let mut world = promoted();
    world.environment.as_mut().unwrap().spec.deletion_policy = orchestra_crds::DeletionPolicy::Delete;
    let before = world.cloud["us-central1"].clone();
    world.rollout.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
    world.run(3);
    assert!(world.rollout.metadata.finalizers.iter().flatten().next().is_none());
    assert_eq!(world.cloud["us-central1"], before);
}

#[test]
fn a_release_whose_end_is_seen_meanwhile_is_over() {
    let mut world = promoted();
    policy(&mut world, ManagementPolicy::Reconcile);
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [100]);
    policy(&mut world, ManagementPolicy::Observe);
    world.run(200);
    let status = world.status();
    assert_eq!((world.phase(), status.candidate.is_none()), (RolloutPhase::Promoted, true));
    world.release("app:3", Traits::default());
    policy(&mut world, ManagementPolicy::Reconcile);
    world.run_until(|world| world.weights("app:3") == [10]);
    assert_eq!(world.weights("app:2"), [90], "nobody goes back to what was before");
}

#[test]
fn a_release_under_way_is_told_without_what_changes_by_itself() {
    let mut world = promoted();
    policy(&mut world, ManagementPolicy::Reconcile);
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [10]);
    policy(&mut world, ManagementPolicy::Observe);
    world.run(3);
    let before = message(&world);
    world.run(1);
    assert_eq!(message(&world), before);
}

#[test]
fn a_policy_that_can_not_be_read_may_say_that_nothing_is_written() {
    let mut world = promoted();
    policy(&mut world, ManagementPolicy::Reconcile);
    world.environment.as_mut().unwrap().spec.deletion_policy = orchestra_crds::DeletionPolicy::Delete;
    let why = "unknown variant `Tell`".to_string();
    world.environment_unread = vec![orchestra_crds::Unread { field: "spec.managementPolicy".into(), why }];
    world.rollout.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
    world.run(20);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    assert!(world.rollout.metadata.finalizers.iter().flatten().next().is_some(), "it is kept until that is known");
}

#[test]
fn all_that_differs_is_told_though_a_service_is_written_once_a_pass() {
    let mut world = promoted();
    world.release("app:2", Traits::default());
    world.rollout.spec.description = Some("ours".into());
    world.run(5);
    let told = message(&world);
    assert!(told.contains("image: app:1 → app:2") && told.contains("description: ours"), "{told}");
}

#[test]
fn a_candidate_that_fails_meanwhile_is_told_with_what_was_seen_by_a_warning() {
    let mut world = promoted();
    policy(&mut world, ManagementPolicy::Reconcile);
    world.release("app:2", Traits { error_percent: 30, ..Traits::default() });
    world.run_until(|world| world.weights("app:2") == [10]);
    policy(&mut world, ManagementPolicy::Observe);
    world.run(60);
    assert_eq!(reason(&world), "RollbackNotDone");
    assert!(message(&world).contains("worse"), "{}", message(&world));
    assert!(world.events.iter().any(|event| event.reason == "RollbackNotDone"));
}
