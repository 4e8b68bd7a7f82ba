//! What a second inspection of the planner found.

use super::super::*;
use super::model::{Traits, World};
use crate::cloud::{Fault, FaultClass};
use crate::plan::Haste;
use crate::resource::{FailedWrite, ResourceId};
use jiff::SignedDuration;
use orchestra_crds::{Outcome, Request};

#[test]
fn one_that_is_superseded_while_paused_is_still_taken_back_when_users_meet_failures() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.weights("app:2") == [10]);
    world.rollout.spec.paused = true;
    world.release("app:3", Traits::default());
    assert_eq!(haste(&world.rollout, &[], world.now), Haste::Ordinary, "its minutes are counted");
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
    assert_eq!(haste(&world.rollout, &[], world.now), Haste::Urgent);
    world.run(1);
    assert_eq!(
        (world.phase(), haste(&world.rollout, &[], world.now)),
        (RolloutPhase::RollingBack, Haste::UrgentAgain { silent: SignedDuration::ZERO })
    );
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

/// A world of two regions with a candidate at 50 % in the first.
fn at_half() -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50, 0]);
    world
}

/// The service of a region with stable alone is gone, and what stable was made of is not there any more.
fn without_a_service() -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.set_default("2");
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50, 0]);
    world.cloud.remove("us-west4");
    world.run(10);
    assert_eq!(world.weights("app:2"), [50], "a person is asked");
    world
}

#[test]
fn a_new_template_takes_the_old_candidate_back_though_a_service_vanished_that_can_not_be_made_again() {
    let mut world = without_a_service();
    world.release("app:3", Traits::default());
    world.run(3);
    assert_eq!(world.weights("app:2")[0], 0);
}

#[test]
fn a_new_template_waits_while_paused_also_where_a_service_vanished() {
    let mut world = without_a_service();
    world.rollout.spec.paused = true;
    world.release("app:3", Traits::default());
    world.run(10);
    assert_eq!(world.weights("app:2"), [50]);
}

#[test]
fn a_bad_candidate_whose_traffic_was_changed_by_hand_while_paused_is_taken_back() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.rollout.spec.paused = true;
    world.run(3);
    let candidate = RevisionName::new(world.candidate()).unwrap();
    let stable = RevisionName::new(world.status().stable.unwrap().revision).unwrap();
    let by_hand = crate::traffic::split(&stable, &candidate, crate::names::Percent::clamped(40), &[]);
    let service = world.cloud.get_mut("us-central1").unwrap();
    (service.traffic, service.serving) = (by_hand.clone(), by_hand);
    world.run(5);
    assert_eq!(world.weights("app:2"), [40], "it is held");
    assert!(world.status().message.unwrap().contains("gets 40 %, and stays there"));
    world.traits.insert("app:2".into(), Traits { error_percent: 50, ..Traits::default() });
    world.run(100);
    assert_eq!((world.weights("app:2"), world.status().history[0].outcome), (vec![0], Outcome::RolledBack));
}

#[test]
fn a_deletion_takes_a_bad_candidate_back_where_it_can_though_another_region_can_not_be_read() {
    let mut world = at_half();
    world.down = Some("us-west4");
    world.rollout.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
    world.run(5);
    assert_eq!(world.weights("app:2")[0], 0);
    assert_ne!(world.rollout.metadata.finalizers, Some(vec![]), "the other region is not seen to be let go");
    world.down = None;
    world.run(20);
    assert_eq!(world.rollout.metadata.finalizers, Some(vec![]));
}

#[test]
fn a_candidate_that_has_had_traffic_and_is_not_ready_for_a_moment_does_not_miss_a_deadline_of_long_ago() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps[0].hold_seconds = Some(7200);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    let candidate = RevisionName::new(world.candidate()).unwrap();
    let deadline = SignedDuration::from_secs(world.rollout.spec.progress_deadline_seconds.into());
    world.now += deadline * 2;
    world.run(1);
    for _ in 0..4 {
        let mut seen = world.observe();
        let revision = seen.regions[0].revisions.get_mut(&candidate).unwrap().as_mut().unwrap().as_mut().unwrap();
        revision.readiness = crate::cloud::Readiness::Pending;
        let told = plan(&seen);
        assert_eq!((told.effects.len(), told.status.failed.clone()), (0, None), "{:?}", told.status.message);
        world.rollout.status = Some(told.status);
        world.now += SignedDuration::from_secs(5);
    }
    world.run(2);
    assert_eq!(world.weights("app:2"), [10]);
    assert!(world.status().failed.is_none());
}

#[test]
fn another_template_is_urgent_though_an_earlier_one_failed() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run(200);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    world.set_default("2");
    world.run_until(|w| w.status().candidate.is_some());
    assert_eq!(haste(&world.rollout, &[], world.now), Haste::Ordinary, "stable's template stands in");
    world.release("app:3", Traits::default());
    assert_eq!(haste(&world.rollout, &[], world.now), Haste::Urgent);
}

#[test]
fn a_region_that_does_not_answer_is_listened_to_longer_and_longer() {
    let mut world = at_half();
    world.down = Some("us-central1");
    let release = world.release_id();
    world.ask(Request::Abort, &release);
    world.run(3);
    let Haste::UrgentAgain { silent: early } = haste(&world.rollout, &[], world.now) else { panic!() };
    let Haste::UrgentAgain { silent: late } = haste(&world.rollout, &[], world.now + SignedDuration::from_secs(60))
    else {
        panic!()
    };
    assert_eq!(late - early, SignedDuration::from_secs(60));
}

#[test]
fn a_way_back_that_a_region_holds_up_is_not_taken_back_to_what_was_fled_from() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.status().phase == Some(RolloutPhase::Promoted) && w.weights("app:2") == [100, 100]);
    world.down = Some("us-west4");
    world.release("app:1", Traits::default());
    world.run(20);
    assert_eq!(world.weights("app:1"), [100, 0]);
    world.release("app:3", Traits::default());
    world.run(60);
    assert_eq!(world.weights("app:1"), [100, 0], "the fix waits where users are well");
    world.release("app:2", Traits::default());
    world.run(20);
    assert_eq!(world.weights("app:2"), [100, 100], "another way back waits for nothing");
    world.release("app:1", Traits::default());
    world.run(20);
    world.release("app:3", Traits::default());
    world.down = None;
    world.run(400);
    assert_eq!(world.weights("app:3"), [100, 100]);
    let ends: Vec<String> =
        world.status().history.iter().map(|end| format!("{} {:?}", end.image, end.outcome)).collect();
    assert_eq!(ends[..2], ["app:3 Promoted", "app:1 Promoted"]);
}

#[test]
fn requests_that_a_new_object_brings_along_are_none_of_its_releases() {
    for request in [Request::Abort, Request::Promote, Request::Pause] {
        let mut first = World::promoted(&["us-central1"]);
        first.release("app:2", Traits::default());
        first.run_until(|w| w.weights("app:2") == [10]);
        let release = first.release_id();
        let value = match request {
            Request::Promote => {
                first.run_until(|w| w.status().candidate.unwrap().promote_token.is_some());
                first.status().candidate.unwrap().promote_token.unwrap()
            }
            _ => release.clone(),
        };
        let mut again = World::new(&["us-central1"]);
        again.ask(request, &value);
        again.run(40);
        again.release("app:2", Traits::default());
        again.run_until(|w| w.weights("app:2") == [10]);
        again.run(2);
        assert_eq!((again.release_id(), again.weights("app:2")), (release, vec![10]), "{request:?}");
        assert_eq!(again.phase(), RolloutPhase::Progressing, "{request:?}");
        again.rollout.metadata.annotations = None;
        again.run(1);
        again.ask(request, &value);
        again.run(3);
        assert!(
            again.phase() != RolloutPhase::Progressing || again.weights("app:2") != [10],
            "{request:?} is asked now"
        );
    }
}

#[test]
fn the_same_in_another_region_is_an_event_of_its_own() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.events.clear();
    let stable = RevisionName::new(world.status().stable.unwrap().revision).unwrap();
    let other = RevisionName::new("api-byhand0000").unwrap();
    for region in ["us-central1", "us-west4"] {
        let by_hand = crate::traffic::split(&stable, &other, crate::names::Percent::clamped(40), &[]);
        let service = world.cloud.get_mut(region).unwrap();
        (service.traffic, service.serving) = (by_hand.clone(), by_hand);
        world.run(10);
    }
    let told = world.events.iter().filter(|event| event.reason == "TrafficCorrected");
    let occasions: std::collections::BTreeSet<&str> = told.map(|event| event.action.as_str()).collect();
    assert_eq!(occasions.len(), 2, "{:?}", world.events);
}
