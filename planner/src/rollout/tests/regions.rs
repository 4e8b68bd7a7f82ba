//! What is wrong in one region stops nothing in another.

use super::super::*;
use super::model::{Traits, World};
use crate::names::RevisionName;
use jiff::SignedDuration;
use orchestra_crds::{Request, RolloutPhase};

#[test]
fn a_rollback_is_not_over_while_a_region_that_the_candidate_came_to_is_unreadable() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.rollout.spec.progress_deadline_seconds = 60;
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [100, 10]);
    world.down = Some("us-west4");
    world.ask(Request::Abort, &world.release_id());
    world.run(3);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RollingBack, vec![0, 10]));
    world.run(100);
    assert_eq!(world.status().conditions[2].reason, "RollbackBlocked", "a person is told");
    world.down = None;
    world.run(100);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0, 0]));
}

#[test]
fn what_comes_after_a_release_waits_for_no_region_that_it_never_came_to() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.weights("app:2") == [10, 0]);
    world.down = Some("us-west4");
    world.run(60);
    world.release("app:1", Traits::default());
    world.run(20);
    assert_eq!((world.weights("app:1")[0], world.status().latches), (100, vec![]));
}

#[test]
fn a_way_back_passes_by_a_region_that_can_not_be_read() {
    for regions in [["us-central1", "us-west4"], ["us-west4", "us-central1"]] {
        let mut world = World::promoted(&regions);
        world.release("app:2", Traits::default());
        world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2") == [100, 100]);
        world.down = Some("us-west4");
        world.run(10);
        world.release("app:1", Traits::default());
        world.run(10);
        assert_eq!(crate::traffic::weight_of(&first(&world), &world.cloud["us-central1"].serving).get(), 100);
        world.down = None;
        world.run(40);
        assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100, 100]));
    }
}

/// The first revision that was ever released.
fn first(world: &World) -> RevisionName {
    let (name, _) = world.revisions.iter().find(|(_, image)| *image == "app:1").unwrap();
    RevisionName::new(name.as_str()).unwrap()
}

#[test]
fn a_region_that_can_not_be_read_stops_no_correction_in_another() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2") == [100, 100]);
    world.down = Some("us-west4");
    world.run(10);
    let old = first(&world);
    let service = world.cloud.get_mut("us-central1").unwrap();
    service.traffic = crate::traffic::all_to(&old, &[]);
    service.serving = service.traffic.clone();
    world.run(5);
    assert_eq!(world.weights("app:2")[0], 100);
}

#[test]
fn a_change_of_traffic_that_never_came_is_asked_for_again_and_told() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2") == [100]);
    // Cloud Run took what was asked for, and failed in it.
    let (old, now) = (first(&world), world.now);
    let service = world.cloud.get_mut("us-central1").unwrap();
    service.serving = crate::traffic::all_to(&old, &[]);
    service.written_at = Some(now - SignedDuration::from_mins(5));
    let plan = plan(&world.observe());
    assert_eq!((plan.effects.len(), plan.status.conditions[2].reason.as_str()), (1, "TrafficNotInEffect"));
    world.run(5);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn a_first_revision_that_serves_is_what_the_next_one_is_judged_against() {
    let mut world = World::new(&["us-central1", "us-west4"]);
    world.run_until(|w| w.weights("app:1").first() == Some(&100));
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run(200);
    assert_eq!(world.phase(), RolloutPhase::RolledBack, "{:?}", world.writes);
    assert_eq!(world.weights("app:2")[0], 0);
}
