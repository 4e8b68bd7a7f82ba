//! Alert policies that a team has.

use super::*;
use crate::cloud::{AlertPolicy, Fault, FaultClass, Incident, Incidents};
use orchestra_crds::{AnalysisMode, Fallback};
use serde_json::json;
use std::collections::BTreeMap;

const POLICY: &str = "projects/cherry-ai-project/alertPolicies/12";

fn watched() -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.alert_policies.push(POLICY.into());
    world.incidents = Ok(none_open());
    world
}

fn none_open() -> Incidents {
    let policy = AlertPolicy { called: "5xx of api".into(), enabled: true, invalid: None };
    Incidents { open: vec![], policies: BTreeMap::from([("12".to_string(), Some(policy))]) }
}

fn open(incident: Incident) -> crate::cloud::Reading<Incidents> {
    Ok(Incidents { open: vec![incident], ..none_open() })
}

/// On its first weight.
fn on_a_weight(mut world: World) -> World {
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [10]);
    world
}

/// An incident that opens now.
fn incident(world: &World, labels: &[(&str, &str)]) -> Incident {
    let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Incident { policy: "12".into(), called: "5xx of api".into(), opened: world.now, labels }
}

fn candidate(world: &World) -> String {
    world.status().candidate.unwrap().revision
}

#[test]
fn an_incident_about_the_candidate_takes_it_back_at_once() {
    for mode in [AnalysisMode::Sequential, AnalysisMode::Threshold] {
        let mut world = watched();
        world.rollout.spec.analysis.mode = mode;
        let mut world = on_a_weight(world);
        let revision = candidate(&world);
        world.incidents = open(incident(&world, &[("service_name", "api"), ("revision_name", &revision)]));
        let opened = world.now;
        world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
        let message = world.status().failed.unwrap().message;
        assert!(message.contains("an incident of the alert policy `5xx of api` is open about it since"), "{message}");
        assert!(world.now.duration_since(opened).as_secs() < 180, "{}", world.now.duration_since(opened));
    }
}

#[test]
fn what_is_about_something_else_does_nothing() {
    let world = on_a_weight(watched());
    let revision = candidate(&world);
    let cases = [
        incident(&world, &[("revision_name", "api-other")]),
        incident(&world, &[("revision_name", &revision), ("location", "europe-west1")]),
        incident(&world, &[("service_name", "another")]),
        incident(&world, &[("service_name", "api"), ("revision_name", &revision), ("project_id", "staging")]),
        Incident { policy: "13".into(), ..incident(&world, &[("revision_name", &revision)]) },
    ];
    for other in cases {
        let mut world = on_a_weight(watched());
        world.incidents = open(other);
        world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    }
}

#[test]
fn one_that_names_no_revision_holds_and_takes_nothing_back() {
    let mut world = on_a_weight(watched());
    world.incidents = open(incident(&world, &[("service_name", "api")]));
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert_eq!(world.weights("app:2"), [10]);
    let message = world.status().message.unwrap();
    assert!(
        message.contains("`5xx of api` is open since") && message.contains("it names the service, and no revision"),
        "{message}"
    );
    world.incidents = Ok(none_open());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}

#[test]
fn one_about_the_service_takes_back_what_has_all_requests_when_it_opens() {
    let mut world = watched();
    world.rollout.spec.analysis.watch_seconds = 600;
    let mut world = on_a_weight(world);
    world.run_until(|world| world.weights("app:2") == [100]);
    world.incidents = open(incident(&world, &[("service_name", "api")]));
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    let message = world.status().failed.unwrap().message;
    assert!(message.contains("is open about the service, of which it has all requests, since"), "{message}");
    // One that names nothing may be about anything: it holds, and takes nothing back.
    let mut world = watched();
    world.rollout.spec.analysis.watch_seconds = 600;
    let mut world = on_a_weight(world);
    world.run_until(|world| world.weights("app:2") == [100]);
    world.incidents = open(incident(&world, &[]));
    world.run_until(|world| world.phase() == RolloutPhase::Paused && world.weights("app:2") == [100]);
}

#[test]
fn where_incidents_can_not_be_read_nothing_goes_on_and_the_role_is_told() {
    let mut world = on_a_weight(watched());
    world.incidents = Err(Fault { class: FaultClass::Denied, message: "no".into() });
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    let message = world.status().message.unwrap();
    assert!(message.contains("can't be read (it needs roles/monitoring.alertViewer in the project): no"), "{message}");
    world.incidents = Ok(none_open());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}

#[test]
fn policies_that_tell_nothing_let_nothing_pass() {
    let mut other = watched();
    other.rollout.spec.analysis.alert_policies = vec!["projects/another/alertPolicies/12".into()];
    let told = |policy: Option<AlertPolicy>| {
        let mut world = watched();
        world.incidents = Ok(Incidents { open: vec![], policies: BTreeMap::from([("12".to_string(), policy)]) });
        world
    };
    let policy = |enabled, invalid: Option<&str>| {
        told(Some(AlertPolicy { called: "5xx".into(), enabled, invalid: invalid.map(String::from) }))
    };
    let mut untold = watched();
    untold.incidents = Ok(Incidents::default());
    let cases = [
        (untold, "nothing is told of the alert policy 12"),
        (other, "is not of the environment's project"),
        (told(None), "there is no alert policy 12"),
        (policy(false, None), "the alert policy `5xx` is switched off"),
        (policy(true, Some("no such metric")), "the alert policy `5xx` is broken: no such metric"),
    ];
    for (world, why) in cases {
        let mut world = on_a_weight(world);
        world.run_until(|world| world.phase() == RolloutPhase::Paused);
        let message = world.status().message.unwrap();
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn what_the_end_of_a_step_says_does_not_lapse_while_a_policy_holds_it() {
    for fallback in [Fallback::Promote, Fallback::Pause, Fallback::Rollback] {
        let mut world = watched();
        world.incidents = Ok(Incidents { open: vec![], policies: BTreeMap::from([("12".to_string(), None)]) });
        // Never enough for a pass.
        (world.rollout.spec.analysis.minimum_requests, world.rollout.spec.analysis.on_inconclusive) =
            (1_000_000, fallback);
        let mut world = on_a_weight(world);
        world.run_until(|world| world.phase() == RolloutPhase::Paused);
        let ready = world.status().conditions.into_iter().find(|c| c.type_ == "Ready").unwrap();
        assert_eq!(ready.reason, "AlertPolicyHolds", "{fallback:?}: {}", ready.message);
        world.run(200);
        assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Paused, vec![10]), "{fallback:?}");
        world.incidents = Ok(none_open());
        world.run(200);
        let expected = match fallback {
            Fallback::Promote => RolloutPhase::Promoted,
            Fallback::Pause => RolloutPhase::Paused,
            Fallback::Rollback => RolloutPhase::RolledBack,
        };
        assert_eq!(world.phase(), expected, "{fallback:?}");
    }
}

#[test]
fn no_kind_of_step_goes_past_an_open_incident() {
    // A pause that is over, a watch, and a step without data where no data promotes.
    let on_service = |world: &World| open(incident(world, &[("service_name", "api")]));
    let mut paused = watched();
    let steps = json!([{"weight": 10}, {"pause": {"durationSeconds": 600}}, {"weight": 50}]);
    paused.rollout.spec.strategy.canary.as_mut().unwrap().steps = serde_json::from_value(steps).unwrap();
    let mut paused = on_a_weight(paused);
    paused.run_until(|world| world.status().step.is_some_and(|step| step.contains("2/3")));
    let mut seen_by_watch = watched();
    seen_by_watch.rollout.spec.analysis.watch_seconds = 600;
    let mut seen_by_watch = on_a_weight(seen_by_watch);
    let before = seen_by_watch.now;
    seen_by_watch.run_until(|world| world.weights("app:2") == [100]);
    let mut without_data = watched();
    without_data.rollout.spec.analysis.on_no_data = orchestra_crds::Fallback::Promote;
    without_data.requests_per_minute = 0;
    let without_data = on_a_weight(without_data);
    for (mut world, opened) in [(paused, None), (seen_by_watch, Some(before)), (without_data, None)] {
        let weights = world.weights("app:2");
        world.incidents = on_service(&world);
        if let (Some(opened), Ok(told)) = (opened, &mut world.incidents) {
            told.open[0].opened = opened;
        }
        for _ in 0..300 {
            world.run(1);
            assert_eq!(world.weights("app:2"), weights, "{:?}", world.status().message);
            assert_ne!(world.phase(), RolloutPhase::Promoted);
        }
        let message = world.status().message.unwrap();
        assert!(message.contains("`5xx of api` is open since"), "{message}");
        world.incidents = Ok(none_open());
        world.run_until(|world| world.phase() == RolloutPhase::Promoted);
    }
}

#[test]
fn in_mode_observe_incidents_are_not_acted_on() {
    let mut world = watched();
    world.rollout.spec.analysis.mode = AnalysisMode::Observe;
    let mut world = on_a_weight(world);
    let revision = candidate(&world);
    world.incidents = open(incident(&world, &[("revision_name", &revision)]));
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}

#[test]
fn metrics_that_google_says_are_later_are_waited_for_longer() {
    let took = |delay_seconds: Option<i64>| {
        let mut world = World::promoted(&["us-central1"]);
        world.delay_seconds = delay_seconds;
        let begun = world.now;
        world.release("app:2", Traits::default());
        world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
        let told = world.status().regions[0].evidence.iter().map(|e| e.delay_seconds).max().flatten();
        (world.now.duration_since(begun).as_mins(), told)
    };
    let (usual, told) = took(Some(180));
    assert_eq!((took(None), told), ((usual, None), None), "less than what is waited for anyway");
    let (later, told) = took(Some(480));
    assert_eq!(told, Some(480));
    // Two steps, each by five minutes, and less than a minute for when passes come.
    assert!((9..=12).contains(&(later - usual)), "{usual} and {later} min");
}

#[test]
fn trouble_in_a_region_that_is_done_is_trouble_of_the_release() {
    let at_the_second = || {
        let mut world = World::promoted(&["us-central1", "us-west4"]);
        world.rollout.spec.analysis.alert_policies.push(POLICY.into());
        world.incidents = Ok(none_open());
        world.release("app:2", Traits::default());
        world.run_until(|world| world.weights("app:2") == [100, 10]);
        world
    };
    let mut world = at_the_second();
    world.incidents = open(incident(&world, &[("service_name", "api"), ("location", "us-central1")]));
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack && world.weights("app:2") == [0, 0]);
    let message = world.status().failed.unwrap().message;
    assert!(message.contains("us-central1: an incident of the alert policy"), "{message}");
    // One of before it had all requests may be about stable: it holds.
    let mut world = at_the_second();
    let early = Incident {
        opened: world.now - jiff::SignedDuration::from_hours(2),
        ..incident(&world, &[("service_name", "api"), ("location", "us-central1")])
    };
    world.incidents = open(early);
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert_eq!(world.weights("app:2"), [100, 10]);
}

#[test]
fn between_regions_incidents_are_asked_for_too() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.rollout.spec.analysis.alert_policies.push(POLICY.into());
    world.incidents = Ok(none_open());
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [100, 0]);
    world.rollout.spec.paused = true;
    world.run(30);
    assert_eq!(world.weights("app:2"), [100, 0]);
    let revision = candidate(&world);
    world.incidents = open(incident(&world, &[("service_name", "api"), ("revision_name", &revision)]));
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack && world.weights("app:2") == [0, 0]);
}

#[test]
fn an_incident_about_the_service_keeps_nobody_from_going_back_and_no_region_from_stable() {
    // What was promoted before goes back, while the alert about the bad one opens.
    let mut world = watched();
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [100] && world.phase() == RolloutPhase::Promoted);
    world.release("app:1", Traits::default());
    for _ in 0..60 {
        world.incidents = open(incident(&world, &[("service_name", "api")]));
        world.run(1);
        assert_eq!(world.status().failed, None);
    }
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100]));

    let environment = world.environment.as_mut().unwrap();
    environment.spec.regions.push("us-west4".into());
    world.run(60);
    assert_eq!(world.weights("app:1"), [100, 100], "{:?}", world.status().message);
}
