//! One old read costs nothing: neither a release nor the hold on what is to be deleted.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::RolloutPhase;

use super::model::{Traits, World};
use crate::cloud::ServiceView;

#[test]
fn services_that_one_read_does_not_find_do_not_let_the_finalizer_go() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.metadata.deletion_timestamp = Some(Time(world.now));
    let there = world.cloud.clone();
    world.cloud.clear();
    world.run(1);
    world.cloud = there;
    world.run(20);
    assert_eq!(world.cloud["us-central1"].marks.owner.as_ref().unwrap().uid, None, "the service is let go of");
    assert!(world.rollout.metadata.finalizers.iter().flatten().all(|f| f != orchestra_crds::FINALIZER));
}

#[test]
fn a_mark_that_one_old_read_does_not_show_is_taken_off_all_the_same() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.metadata.deletion_timestamp = Some(Time(world.now));
    let present = world.cloud["us-central1"].clone();
    world.cloud.get_mut("us-central1").unwrap().marks.owner.as_mut().unwrap().uid = None;
    world.run(1);
    assert_eq!(world.rollout.metadata.finalizers.iter().flatten().count(), 1, "it may be an old read");
    world.cloud.insert("us-central1".into(), present);
    world.run(20);
    assert_eq!(world.cloud["us-central1"].marks.owner.as_ref().unwrap().uid, None);
    assert_eq!(world.rollout.metadata.finalizers.iter().flatten().count(), 0);
}

/// A release in its second region, while the first one is read as it was before its deadline; and how that one is.
fn first_region_read_as_it_was() -> (World, ServiceView) {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.rollout.spec.progress_deadline_seconds = 60;
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50, 0]);
    let old = ServiceView { settled: false, ..world.cloud["us-central1"].clone() };
    world.run_until(|w| w.weights("app:2") == [100, 10]);
    world.run(4);
    let present = world.cloud.insert("us-central1".into(), old).unwrap();
    (world, present)
}

/// Three looks within a second.
fn look_in_a_hurry(world: &mut World) {
    let now = world.now;
    for _ in 0..3 {
        world.run(1);
        world.now = now + SignedDuration::from_secs(1);
    }
}

#[test]
fn one_old_read_does_not_cost_the_release() {
    let (mut world, present) = first_region_read_as_it_was();
    world.run(1);
    assert_eq!(world.status().conditions[2].reason, "ConfirmingDelay");
    world.cloud.insert("us-central1".into(), present);
    world.run(400);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100, 100]));
}

#[test]
fn two_looks_in_a_hurry_are_one() {
    let (mut world, present) = first_region_read_as_it_was();
    look_in_a_hurry(&mut world);
    assert_eq!(world.status().conditions[2].reason, "ConfirmingDelay");
    world.cloud.insert("us-central1".into(), present);
    world.run(400);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100, 100]));
}

/// A Rollout that is being deleted, read as if nothing of it were there; and how its service is.
fn deleted_and_read_as_gone() -> (World, ServiceView) {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.metadata.deletion_timestamp = Some(Time(world.now));
    let present = world.cloud.remove("us-central1").unwrap();
    (world, present)
}

#[test]
fn two_looks_in_a_hurry_at_nothing_let_nothing_go() {
    let (mut world, present) = deleted_and_read_as_gone();
    look_in_a_hurry(&mut world);
    assert_eq!(world.status().conditions[2].reason, "ConfirmingAbsence");
    world.cloud.insert("us-central1".into(), present);
    world.run(1);
    assert_eq!(world.status().absent_since, None, "the next doubt begins anew");
    world.run(20);
    assert_eq!(world.cloud["us-central1"].marks.owner.as_ref().unwrap().uid, None);
    assert_eq!(world.rollout.metadata.finalizers.iter().flatten().count(), 0);
}

#[test]
fn a_clock_that_is_set_back_begins_the_second_look_anew() {
    let (mut world, _) = deleted_and_read_as_gone();
    world.run(1);
    world.now -= SignedDuration::from_hours(1);
    world.run(3);
    assert_eq!(world.rollout.metadata.finalizers.iter().flatten().count(), 0);
}

#[test]
fn what_was_never_anywhere_goes_though_google_lets_nobody_look() {
    let mut world = World::new(&["us-centra1"]);
    (world.down, world.down_class) = (Some("us-centra1"), crate::cloud::FaultClass::Denied);
    world.run(10);
    assert!(world.writes.is_empty());
    world.rollout.metadata.deletion_timestamp = Some(Time(world.now));
    world.run(20);
    assert!(world.rollout.metadata.finalizers.iter().flatten().next().is_none(), "{:?}", world.status().message);
}
