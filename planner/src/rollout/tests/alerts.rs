//! Alert policies that a team has.

use super::*;
use crate::cloud::{Fault, FaultClass, Incident};
use orchestra_crds::AnalysisMode;

const POLICY: &str = "projects/cherry-ai-project/alertPolicies/12";

fn watched() -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.alert_policies.push(POLICY.into());
    world
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
    Incident { policy: POLICY.into(), called: "5xx of api".into(), opened: world.now, labels }
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
        world.incidents = Ok(vec![incident(&world, &[("service_name", "api"), ("revision_name", &revision)])]);
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
        Incident {
            policy: "projects/cherry-ai-project/alertPolicies/13".into(),
            ..incident(&world, &[("revision_name", &revision)])
        },
    ];
    for other in cases {
        let mut world = on_a_weight(watched());
        world.incidents = Ok(vec![other]);
        world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    }
}

#[test]
fn one_that_names_no_revision_holds_and_takes_nothing_back() {
    let mut world = on_a_weight(watched());
    world.incidents = Ok(vec![incident(&world, &[("service_name", "api")])]);
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert_eq!(world.weights("app:2"), [10]);
    let message = world.status().message.unwrap();
    assert!(message.contains("`5xx of api` is open since") && message.contains("which names no revision"), "{message}");
    world.incidents = Ok(vec![]);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}

#[test]
fn one_about_the_service_takes_back_what_has_all_requests_when_it_opens() {
    let mut world = watched();
    world.rollout.spec.analysis.watch_seconds = 600;
    let mut world = on_a_weight(world);
    world.run_until(|world| world.weights("app:2") == [100]);
    world.incidents = Ok(vec![incident(&world, &[("service_name", "api")])]);
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    let message = world.status().failed.unwrap().message;
    assert!(message.contains("is open about the service, of which it has all requests, since"), "{message}");
    // One that names nothing may be about anything.
    let mut world = watched();
    world.rollout.spec.analysis.watch_seconds = 600;
    let mut world = on_a_weight(world);
    world.run_until(|world| world.weights("app:2") == [100]);
    world.incidents = Ok(vec![incident(&world, &[])]);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}

#[test]
fn where_incidents_can_not_be_read_nothing_goes_on_and_the_role_is_told() {
    let mut world = on_a_weight(watched());
    world.incidents = Err(Fault { class: FaultClass::Denied, message: "no".into() });
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    let message = world.status().message.unwrap();
    assert!(message.contains("can't be read (it needs roles/monitoring.alertViewer in the project): no"), "{message}");
    world.incidents = Ok(vec![]);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}

#[test]
fn in_mode_observe_incidents_are_not_acted_on() {
    let mut world = watched();
    world.rollout.spec.analysis.mode = AnalysisMode::Observe;
    let mut world = on_a_weight(world);
    let revision = candidate(&world);
    world.incidents = Ok(vec![incident(&world, &[("revision_name", &revision)])]);
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
