//! What is wrong in one region stops nothing in another.

use super::super::*;
use super::model::{Traits, World};
use crate::cloud::FaultClass;
use crate::names::RevisionName;
use jiff::SignedDuration;
use orchestra_crds::{Outcome, Request, RolloutPhase};

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

/// A release of app:2 that is done in the first region and on its first step in the second.
fn half_way(traits: Traits) -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", traits);
    world.run_until(|w| w.weights("app:2") == [100, 10]);
    world
}

#[test]
fn without_a_record_a_region_that_can_not_be_read_may_serve_the_candidate() {
    let mut world = half_way(Traits::default());
    // A CRD that is older than the controller keeps no field that it doesn't know.
    world.rollout.status.as_mut().unwrap().regions.iter_mut().for_each(|region| region.untouched_by = None);
    world.down = Some("us-west4");
    world.ask(Request::Abort, &world.release_id());
    world.run(10);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RollingBack, vec![0, 10]));
    assert!(world.status().history.iter().all(|ended| ended.outcome == Outcome::Promoted), "nothing is claimed");
}

/// A release of app:2 on its first step in the first region, over a stable app:0; app:1 is there from before.
fn still_to_come() -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:0", Traits::default());
    world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:0") == [100, 100]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10, 0]);
    world
}

#[test]
fn traffic_changed_where_the_release_is_still_to_come_goes_back_to_stable_and_is_told() {
    let mut world = still_to_come();
    let old = first(&world);
    for traffic in [
        crate::traffic::all_to(&old, &[]),
        vec![crate::cloud::TrafficTarget {
            to: crate::cloud::Target::Latest,
            ..crate::traffic::all_to(&old, &[]).remove(0)
        }],
    ] {
        world.events.clear();
        let service = world.cloud.get_mut("us-west4").unwrap();
        (service.traffic, service.serving) = (traffic.clone(), traffic);
        world.run(3);
        assert_eq!((world.weights("app:0")[1], world.weights("app:2")), (100, vec![10, 0]));
        let told = world.events.iter().find(|event| event.reason == "TrafficCorrected").unwrap();
        assert!(told.note.starts_with("us-west4: somebody changed the traffic"), "{}", told.note);
        world.run(3);
    }
    world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2") == [100, 100]);
}

#[test]
fn paused_traffic_changed_where_the_release_is_still_to_come_stays() {
    let mut world = still_to_come();
    world.rollout.spec.paused = true;
    let traffic = crate::traffic::all_to(&first(&world), &[]);
    let service = world.cloud.get_mut("us-west4").unwrap();
    (service.traffic, service.serving) = (traffic.clone(), traffic);
    world.run(5);
    assert_eq!(world.weights("app:1"), [0, 100]);
}

#[test]
fn a_candidate_is_judged_by_its_users_where_its_service_can_not_be_read() {
    for regions in [&["us-central1"][..], &["us-central1", "us-west4"][..]] {
        let mut world = World::promoted(regions);
        world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
        world.run_until(|w| w.weights("app:2")[0] == 10 && w.status().regions[0].step.is_some());
        (world.down, world.down_class) = (Some("us-central1"), FaultClass::Denied);
        world.run_until(|w| w.phase() == RolloutPhase::RollingBack);
        let failed = world.status().failed.unwrap();
        assert_eq!(failed.reason, "AnalysisFailed", "{}", failed.message);
        world.down = None;
        world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
        assert_eq!(world.weights("app:2")[0], 0);
    }
}

#[test]
fn after_a_write_that_was_not_seen_to_take_effect_nothing_is_judged() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    assert!(world.status().regions[0].moving_since.is_some(), "the write of this pass is not seen yet");
    assert_eq!(world.status().step.as_deref(), Some("1/2"), "people see the step before");
    world.down = Some("us-central1");
    let before = world.status().regions[0].evidence.clone();
    world.run(20);
    assert_eq!(world.status().regions[0].evidence, before);
}

#[test]
fn a_region_that_can_not_be_read_is_told_with_its_cause_all_through_a_release() {
    for class in [FaultClass::Retryable, FaultClass::Denied] {
        let mut world = World::promoted(&["us-central1", "us-west4"]);
        world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
        world.run_until(|w| w.weights("app:2") == [10, 0]);
        (world.down, world.down_class) = (Some("us-west4"), class);
        world.run_until(|w| w.status().regions[1].message == "not readable: 503");
        let message = world.status().message.unwrap();
        assert!(message.contains("us-west4 (its service can't be read: 503)"), "{message}");
        let warned = |event: &&crate::plan::Event| event.note == "us-west4: 503";
        assert_eq!(world.events.iter().filter(warned).count(), 1, "{:?}", world.events);
        world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
        world.run(5);
        let (status, message) = (world.status(), world.status().message.unwrap());
        assert_eq!(
            (status.conditions[2].status.as_str(), status.conditions[2].reason.as_str()),
            ("True", "AnalysisFailed")
        );
        assert!(message.contains("us-west4 (its service can't be read: 503)"), "{message}");
        assert!(message.contains("failed (AnalysisFailed)") && message.contains("retry"), "{message}");
    }
}

#[test]
fn what_blocks_a_rollback_is_told_with_why_it_failed() {
    let mut world = half_way(Traits::default());
    world.rollout.spec.progress_deadline_seconds = 60;
    (world.down, world.down_class) = (Some("us-west4"), FaultClass::Denied);
    world.ask(Request::Abort, &world.release_id());
    world.run_until(|w| w.status().conditions[2].reason == "RollbackBlocked");
    let message = world.status().message.unwrap();
    assert!(message.contains("us-west4 (its service can't be read: 503)"), "{message}");
    assert!(message.contains("Aborted"), "{message}");
    assert_eq!(world.status().region.as_deref(), Some("us-west4"), "where it still is, or may be");
}

#[test]
fn nothing_new_starts_beside_a_region_that_can_not_be_read() {
    for class in [FaultClass::Retryable, FaultClass::Denied] {
        let mut world = World::promoted(&["us-central1", "us-west4"]);
        (world.down, world.down_class) = (Some("us-west4"), class);
        world.release("app:2", Traits::default());
        world.run(20);
        assert_eq!((world.writes.len(), world.status().candidate), (0, None));
        assert!(world.status().message.unwrap().contains("us-west4"));
        world.down = None;
        world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2") == [100, 100]);
    }
}

#[test]
fn a_region_that_nothing_was_written_to_holds_no_way_back_up() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50, 0]);
    (world.down, world.down_class) = (Some("us-west4"), FaultClass::Denied);
    world.run_until(|w| w.weights("app:2") == [100, 0] && w.status().conditions[2].reason == "AccessDenied");
    world.ask(Request::Abort, &world.release_id());
    world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
    assert_eq!(world.weights("app:2"), [0, 0]);
}

#[test]
fn users_are_looked_at_each_minute_where_the_service_is_refused() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10] && w.status().regions[0].step.is_some());
    (world.down, world.down_class) = (Some("us-central1"), FaultClass::Denied);
    world.run(3);
    let plan = plan(&world.observe());
    assert!(plan.next <= SignedDuration::from_secs(61), "{}", plan.next);
}

#[test]
fn a_region_that_left_and_can_not_be_read_stops_nothing_new() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.environment.as_mut().unwrap().spec.regions.truncate(1);
    (world.down, world.down_class) = (Some("us-west4"), FaultClass::Denied);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2")[0] == 100 && w.status().candidate.is_none());
    assert_eq!(world.status().conditions[1].reason, "RegionLeaving");
    assert!(world.status().message.unwrap().contains("us-west4 (it can't be read)"));
}

#[test]
fn what_is_superseded_and_can_not_be_read_needs_a_person_in_the_end() {
    let mut world = half_way(Traits::default());
    (world.down, world.down_class) = (Some("us-west4"), FaultClass::Denied);
    world.release("app:3", Traits::default());
    world.run(5);
    let stalled = &world.status().conditions[2];
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "RollbackBlocked"), "{}", stalled.message);
    world.down = None;
    world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:3") == [100, 100]);
}

#[test]
fn a_write_of_another_restarts_neither_a_pause_nor_a_hold() {
    let mut world = World::promoted(&["us-central1"]);
    let steps =
        serde_json::json!([{"weight": 10, "holdSeconds": 60}, {"pause": {"durationSeconds": 3600}}, {"weight": 50}]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps = serde_json::from_value(steps).unwrap();
    world.release("app:2", Traits::default());
    let on_pause = |w: &World| w.status().regions[0].step.as_ref().is_some_and(|step| step.number == 2);
    world.run_until(on_pause);
    let began = world.status().regions[0].step.clone();
    world.unsettled = Some("us-central1");
    world.run(3);
    world.unsettled = None;
    world.run(3);
    assert_eq!(world.status().regions[0].step, began);
}

/// Seeds 700001159 and 700006351: the way back came between the two looks that let a region go, and took it over again.
#[test]
fn a_way_back_does_not_take_a_region_over_that_was_let_go() {
    for seconds in 0..12 {
        let mut world = World::promoted(&["us-central1", "us-west4"]);
        world.release("app:2", Traits::default());
        world.run_until(|w| w.weights("app:2") == [10, 0]);
        world.environment.as_mut().unwrap().spec.regions.truncate(1);
        world.run(seconds);
        world.ask(Request::Abort, &world.release_id());
        world.run(100);
        assert_eq!((world.phase(), world.weights("app:2")[0]), (RolloutPhase::RolledBack, 0));
        let left = world.cloud["us-west4"].marks.owner.clone().unwrap();
        assert_eq!((left.uid, world.status().regions.len()), (None, 1), "after {seconds} s");
    }
}
