//! What there is to go back to in each region, and what is told where there is nothing.

use super::super::*;
use super::model::{Traits, World};
use crate::marks::Owner;
use orchestra_crds::{Outcome, Request};

fn message(world: &World) -> String {
    world.status().message.unwrap_or_default()
}

/// app:2 is stable, and does not start in the second region, which is new again and still serves app:1.
fn stable_that_one_region_lacks() -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.environment.as_mut().unwrap().spec.regions.truncate(1);
    world.run(10);
    world.release("app:2", Traits { broken_in: Some("us-west4"), ..Traits::default() });
    world.run_until(|w| w.weights("app:2")[0] == 100 && w.phase() == RolloutPhase::Promoted);
    world.environment.as_mut().unwrap().spec.regions.push("us-west4".into());
    world.generation();
    world.run(20);
    assert_eq!(world.weights("app:1"), [0, 100]);
    world
}

#[test]
fn where_stable_does_not_run_the_steps_are_held_against_what_serves_there() {
    let mut world = stable_that_one_region_lacks();
    world.release("app:4", Traits::default());
    let (mut held, mut passes) = (0, 0);
    while world.phase() != RolloutPhase::Promoted || world.weights("app:4") != [100, 100] {
        world.run(1);
        passes += 1;
        assert!(passes < 5000, "{}", message(&world));
        held += usize::from(world.weights("app:4")[1] == 10 && world.weights("app:1")[1] == 90);
        assert!(held < 500, "{}", message(&world));
    }
    assert!(held > 5, "the first step of the second region was held for {held} passes");
}

#[test]
fn where_stable_does_not_run_a_failure_goes_back_to_what_served_there() {
    for at in [10, 100] {
        let mut world = stable_that_one_region_lacks();
        world.release("app:4", Traits::default());
        world.run_until(|w| w.weights("app:4")[1] == at);
        if world.status().candidate.is_some() {
            world.ask(Request::Abort, &world.release_id());
            world.run(5);
            assert_eq!((world.weights("app:2"), world.weights("app:1")), (vec![100, 0], vec![0, 100]), "from {at} %");
        }
    }
}

#[test]
fn where_there_is_nothing_to_go_back_to_no_rollback_is_claimed() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [100, 10]);
    let stable = world.status().stable.unwrap().revision;
    // Somebody deleted the revision that was stable there.
    world.deployed.remove(&("us-central1".to_string(), stable));
    world.ask(Request::Abort, &world.release_id());
    world.run_until(|w| !w.status().history.is_empty() && w.status().history[0].outcome == Outcome::Failed);
    let told = world.status().history[0].message.clone();
    assert!(told.contains("us-central1 (there is no revision to go back to)"), "{told}");
    // It is made once more from what stable was made of.
    world.run_until(|w| w.weights("app:1") == [100, 100]);
    world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
    // What comes next is not held up.
    world.release("app:3", Traits::default());
    world.run_until(|w| w.weights("app:3") == [100, 100]);
}

#[test]
fn a_service_that_became_anothers_is_told_and_holds_nothing_else_up() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [100, 10]);
    let taken = world.cloud.get_mut("us-central1").unwrap();
    taken.marks.owner = Some(Owner { name: "other/api".into(), uid: Some("u-other".into()) });
    world.ask(Request::Abort, &world.release_id());
    world.run(5);
    assert_eq!(world.weights("app:2"), [100, 0], "what is not ours is left alone");
    assert_eq!((world.phase(), world.status().history[0].outcome), (RolloutPhase::Failed, Outcome::Failed));
    assert!(message(&world).contains("us-central1 (the service is not ours)"), "{}", message(&world));
    let stalled = world.status().conditions.into_iter().find(|c| c.type_ == "Stalled").unwrap();
    assert_eq!(stalled.status, "True");
}

#[test]
fn a_pause_does_not_hold_the_way_back_from_what_failed() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.ask(Request::Abort, &world.release_id());
    world.run(5);
    world.rollout.spec.paused = true;
    let failed = world.status().failed.unwrap().revision;
    let service = world.cloud.get_mut("us-central1").unwrap();
    service.traffic = crate::traffic::all_to(&RevisionName::new(failed).unwrap(), &[]);
    service.serving = service.traffic.clone();
    world.run(5);
    assert_eq!(world.weights("app:2"), [0]);
}

#[test]
fn a_stuck_service_that_serves_what_failed_goes_back_and_promises_it_nothing() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.ask(Request::Abort, &world.release_id());
    world.run(5);
    // Somebody sends everything to the newest, which is the one that failed; and the service never settles.
    let failed = RevisionName::new(world.status().failed.unwrap().revision).unwrap();
    let service = world.cloud.get_mut("us-central1").unwrap();
    service.serving = crate::traffic::all_to(&failed, &[]);
    service.traffic = vec![crate::cloud::TrafficTarget {
        to: crate::cloud::Target::Latest,
        percent: crate::names::Percent::ALL,
        tag: None,
    }];
    (world.unsettled, world.stuck) = (Some("us-central1"), true);
    world.release("app:3", Traits::default());
    world.run(300);
    assert_eq!(world.weights("app:2"), [0]);
}

/// Somebody deletes the service in a region.
fn delete_service(world: &mut World, region: &str) {
    world.cloud.remove(region);
    world.deployed.retain(|(place, _)| place != region);
}

#[test]
fn b11_a_service_that_is_deleted_in_the_middle_of_a_release_comes_back_with_stable() {
    for (regions, region) in [(vec!["us-central1"], "us-central1"), (vec!["us-central1", "us-west4"], "us-west4")] {
        for paused in [false, true] {
            let mut world = World::promoted(&regions);
            world.release("app:2", Traits::default());
            world.run_until(|w| w.weights("app:2")[0] == 10);
            world.rollout.spec.paused = paused;
            delete_service(&mut world, region);
            world.run(1);
            assert_eq!(world.status().conditions[1].reason, "ConfirmingAbsence", "one read may be wrong");
            world.run(1);
            let at = regions.iter().position(|r| *r == region).unwrap();
            assert_eq!(world.weights("app:1")[at], 100, "{region} {paused}");
            assert!(world.events.iter().any(|event| event.reason == "ServiceGone"));
            world.rollout.spec.paused = false;
            world.writes.clear();
            world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2").iter().all(|w| *w == 100));
            assert!(world.writes.contains(&format!("{region} app:1 90 app:2 10")), "{:?}", world.writes);
        }
    }
}

#[test]
fn a_service_that_is_deleted_while_all_is_quiet_comes_back_though_paused() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.paused = true;
    delete_service(&mut world, "us-central1");
    world.run(3);
    assert_eq!((world.weights("app:1"), world.phase()), (vec![100], RolloutPhase::Promoted));
}

#[test]
fn where_stable_cant_be_made_again_a_person_is_asked() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.rollout.status.as_mut().unwrap().stable.as_mut().unwrap().template = None;
    delete_service(&mut world, "us-central1");
    world.run(3);
    assert!(world.cloud.is_empty(), "the candidate is not proven");
    let stalled = world.status().conditions.into_iter().find(|c| c.type_ == "Stalled").unwrap();
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "ServiceGone"));
    world.ask(Request::Abort, &world.release_id());
    world.run(2);
    assert!(world.status().failed.is_some_and(|failed| failed.reason == "Aborted"));
    world.run(30);
    assert_eq!(world.phase(), RolloutPhase::Failed, "no service has any requests");
    assert!(message(&world).contains("us-central1: there is no service"), "{}", message(&world));
}

#[test]
fn without_a_service_that_can_be_made_nothing_is_said_to_be_promoted() {
    let mut world = World::promoted(&["us-central1"]);
    delete_service(&mut world, "us-central1");
    let misfit = serde_json::json!({"resources": {"limits": {"cpu": "1", "memory": "32Gi"}}});
    world.environment.as_mut().unwrap().spec.defaults = serde_json::from_value(misfit).unwrap();
    world.run(5);
    let status = world.status();
    assert_eq!((world.phase(), status.conditions[2].reason.as_str()), (RolloutPhase::Deploying, "ServiceGone"));
    world.environment.as_mut().unwrap().spec.defaults = None;
    world.run(10);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn stable_that_cant_start_in_a_new_region_is_kept_in_the_others() {
    let mut world = World::promoted(&["us-central1"]);
    world.traits.insert("app:1".into(), Traits { broken_in: Some("us-west4"), ..Traits::default() });
    world.environment.as_mut().unwrap().spec.regions.push("us-west4".into());
    world.run(20);
    world.writes.clear();
    delete_service(&mut world, "us-central1");
    world.run(10);
    assert_eq!(world.weights("app:1")[0], 100, "{:?}", world.writes);
    let marks = &mut world.cloud.get_mut("us-central1").unwrap().marks;
    *marks = crate::marks::Marks::default();
    world.run(10);
    assert!(world.cloud["us-central1"].marks.owner.is_some(), "{:?}", world.writes);
}

#[test]
fn going_back_to_what_was_promoted_waits_for_no_pause() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2") == [100]);
    // While nothing else is going on, and in the middle of a release.
    for release in [None, Some("app:3")] {
        if let Some(image) = release {
            world.rollout.spec.paused = false;
            world.release(image, Traits::default());
            world.run_until(|w| w.weights(image) == [10]);
        }
        let (from, to) = if release.is_none() { ("app:2", "app:1") } else { ("app:1", "app:2") };
        assert!(world.weights(from)[0] >= 90);
        world.rollout.spec.paused = true;
        world.release(to, Traits::default());
        world.run(5);
        assert_eq!(world.weights(to), [100], "{release:?}: {}", message(&world));
    }
}

#[test]
fn a_candidate_waits_for_stable_that_is_starting_again() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    let candidate = RevisionName::new(world.candidate()).unwrap();
    delete_service(&mut world, "us-central1");
    world.run_until(|w| !w.cloud.is_empty());
    let mut seen = world.observe();
    let region = &mut seen.regions[0];
    let service = region.service.as_mut().unwrap().as_mut().unwrap();
    (service.serving, service.settled) = (vec![], false);
    for read in region.revisions.values_mut().filter_map(|read| read.as_mut().ok()?.as_mut()) {
        read.readiness = crate::cloud::Readiness::Pending;
    }
    for effect in plan(&seen).effects {
        let crate::plan::Effect::UpdateService { change, .. } = effect else { continue };
        let traffic = change.traffic.unwrap_or_default();
        assert_eq!(crate::traffic::weight_of(&candidate, &traffic).get(), 0, "{traffic:?}");
    }
}

#[test]
fn a_revision_that_can_not_start_is_not_asked_for_again_and_again() {
    let mut world = stable_that_one_region_lacks();
    // What served there does no longer, and can't start.
    world.traits.insert("app:1".into(), Traits { broken_in: Some("us-west4"), ..Traits::default() });
    world.cloud.get_mut("us-west4").unwrap().serving.clear();
    world.now += jiff::SignedDuration::from_mins(10);
    world.run(5);
    world.writes.clear();
    world.run(30);
    assert_eq!(world.writes.len(), 0, "{:?}", world.writes);
}
