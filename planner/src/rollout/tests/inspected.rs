//! What a second inspection of the planner found.

use super::super::*;
use super::model::{Traits, World};
use crate::cloud::{Fault, FaultClass};
use crate::plan::Haste;
use crate::resource::{FailedWrite, ResourceId};
use orchestra_crds::{Outcome, Request};

#[test]
fn one_that_is_superseded_while_paused_is_still_taken_back_when_users_meet_failures() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.weights("app:2") == [10]);
    world.rollout.spec.paused = true;
    world.release("app:3", Traits::default());
    assert_eq!(haste(&world.rollout, &[]), Haste::Ordinary, "its minutes are counted");
    world.run(200);
    assert_eq!(world.weights("app:2"), [0]);
    let ends: Vec<Outcome> = world.status().history.iter().map(|end| end.outcome).collect();
    assert_eq!(ends[0], Outcome::RolledBack);
}

#[test]
fn a_pass_without_the_environment_forgets_neither_regions_nor_what_was_granted() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    let before = world.status();
    assert!(before.granted.is_some());
    let environment = world.environment.take();
    world.run(1);
    let during = world.status();
    assert_eq!(during.granted, before.granted);
    assert_eq!(during.regions[1].service_uid, before.regions[1].service_uid);
    assert_eq!((during.regions.len(), during.regions[0].weight), (2, None), "what is not looked at is not claimed");
    world.environment = environment;
    world.environment.as_mut().unwrap().spec.access = None;
    world.run(20);
    assert!(world.policies.values().all(|policy| policy.bindings.iter().all(|binding| binding.members.is_empty())));
}

#[test]
fn a_service_that_google_refuses_to_create_fails_the_release_at_its_deadline() {
    let world = World::new(&["us-central1"]);
    let mut seen = world.observe();
    plan_into(&mut seen);
    let resource = ResourceId::Service(seen.regions[0].id.clone());
    let reasons: Vec<String> = (0..400)
        .map(|_| {
            seen.now += jiff::SignedDuration::from_secs(10);
            let fault = Fault { class: FaultClass::Permanent, message: "400: no such image".into() };
            seen.failed_writes.insert(resource.clone(), FailedWrite { fault, tries: 1, at: seen.now });
            plan_into(&mut seen)
        })
        .collect();
    assert!(reasons.iter().any(|phase| phase == "Failed"), "{:?}", reasons.last());
}

/// Plans, keeps the status, and tells the phase.
fn plan_into(seen: &mut Observation) -> String {
    let status = plan(seen).status;
    let phase = format!("{:?}", status.phase.unwrap());
    seen.rollout.status = Some(status);
    phase
}

#[test]
fn a_release_whose_regions_are_all_gone_is_over_and_not_promoted() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    let release = world.release_id();
    world.environment.as_mut().unwrap().spec.regions = vec!["us-west4".into()];
    world.run(3);
    let ends = world.status().history;
    let ends: Vec<Outcome> = ends.iter().filter(|end| end.release == release).map(|end| end.outcome).collect();
    assert_eq!(ends, [Outcome::Superseded], "it was proven nowhere");
}

#[test]
fn the_first_pass_of_a_way_back_is_the_shortest() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.ask(Request::Abort, &world.release_id());
    assert_eq!(haste(&world.rollout, &[]), Haste::Urgent);
    world.run(1);
    assert_eq!((world.phase(), haste(&world.rollout, &[])), (RolloutPhase::RollingBack, Haste::UrgentAgain));
}

fn unread(field: &str) -> Vec<orchestra_crds::Unread> {
    vec![orchestra_crds::Unread { field: field.into(), why: "invalid type".into() }]
}

#[test]
fn an_object_that_cant_be_read_in_full_moves_nothing_forward_and_is_taken_back() {
    for of_environment in [true, false] {
        let mut world = World::promoted(&["us-central1", "us-west4"]);
        world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
        world.run_until(|w| w.weights("app:2")[0] == 10);
        let (field, reason) = match of_environment {
            true => ("spec.redis", "EnvironmentUnreadable"),
            false => ("spec.template.containers[0].resources", "Unreadable"),
        };
        // What can't be read is left out: here a region, the access, and a part of the template.
        world.environment.as_mut().unwrap().spec.regions.truncate(if of_environment { 1 } else { 2 });
        world.environment.as_mut().unwrap().spec.access = None;
        if of_environment {
            world.environment_unread = unread(field);
        } else {
            world.unread = unread(field);
            world.rollout.spec.template.containers[0].image = "app:3".into();
        }
        world.run(1);
        let stalled = world.status().conditions.into_iter().find(|c| c.type_ == "Stalled").unwrap();
        assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", reason));
        assert!(stalled.message.contains(field), "{}", stalled.message);
        assert_eq!(world.weights("app:2"), [10, 0], "it stays where it is");
        world.run(100);
        assert_eq!(world.weights("app:2"), [0, 0], "it is still judged");
        assert_eq!(world.weights("app:1"), [100, 100]);
        assert_eq!(world.status().history[0].outcome, Outcome::RolledBack);
        let regions = world.status().regions.len();
        assert!(
            regions == 2 && !world.policies.values().any(|p| p.bindings.is_empty()),
            "nothing is let go or revoked"
        );
        world.run(5);
        assert_eq!(world.status().latches.len(), 1, "what failed stays known");
    }
}

#[test]
fn an_abort_needs_nothing_of_what_cant_be_read() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.environment_unread = unread("spec.redis");
    world.ask(Request::Abort, &world.release_id());
    world.run(3);
    assert_eq!(world.weights("app:2"), [0]);
}

#[test]
fn a_weight_that_was_seen_of_stable_is_not_claimed_of_a_candidate() {
    let mut world = World::promoted(&["us-central1"]);
    assert_eq!(world.status().regions[0].weight, Some(100));
    world.down = Some("us-central1");
    world.release("app:2", Traits::default());
    world.run(1);
    let status = world.status();
    assert!(status.candidate.is_none(), "nothing new starts beside a region that can't be read");
    assert_eq!(status.regions[0].weight, Some(100));
    world.down = None;
    world.run_until(|w| w.status().candidate.is_some());
    world.down = Some("us-central1");
    world.run(1);
    let status = world.status();
    assert_eq!((status.regions[0].weight, status.weight), (Some(0), Some(0)), "{:?}", status.candidate);
}
