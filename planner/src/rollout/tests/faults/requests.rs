//! What a person asks of a release, and what is frozen with it.

use super::*;

#[test]
fn a8_a_promote_of_an_earlier_release_of_the_same_template_skips_no_hold() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps[0].hold_seconds = Some(86_400);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.run_until(|w| w.status().candidate.unwrap().promote_token.is_some());
    let token = world.status().candidate.unwrap().promote_token.unwrap();
    world.ask(Request::Promote, &token);
    world.run_until(|w| w.weights("app:2") == [50]);
    world.release("app:1", Traits::default());
    world.run(20);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.run(200);
    assert_eq!(world.weights("app:2"), [10], "the old annotation is still there, and means another release");
}

#[test]
fn a8_an_abort_that_came_too_late_does_not_abort_a_later_release() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    let release = world.release_id();
    world.release("app:1", Traits::default());
    world.run(20);
    world.ask(Request::Abort, &release);
    world.release("app:2", Traits::default());
    world.run(300);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn a8_a_release_that_ended_before_it_had_any_traffic_does_not_come_back_as_itself() {
    let mut world = World::promoted(&["us-central1"]);
    let steps = serde_json::json!([{"pause": {}}, {"weight": 10, "holdSeconds": 300}]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps = serde_json::from_value(steps).unwrap();
    world.release("app:2", Traits::default());
    world.run_until(|w| w.status().candidate.is_some_and(|c| c.promote_token.is_some()));
    let token = world.status().candidate.unwrap().promote_token.unwrap();
    world.release("app:1", Traits::default());
    world.run(20);
    world.ask(Request::Promote, &token);
    world.release("app:2", Traits::default());
    world.run(60);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Paused, vec![0]), "the pause is not skipped");
}

#[test]
fn a10_paused_either_way_a_broken_candidate_is_still_taken_back() {
    for by_annotation in [false, true] {
        let mut world = World::promoted(&["us-central1"]);
        world.release("app:2", Traits::default());
        world.run_until(|w| w.weights("app:2") == [10]);
        match by_annotation {
            true => world.ask(Request::Pause, &world.release_id()),
            false => world.rollout.spec.paused = true,
        }
        world.run(100);
        assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Paused, vec![10]), "{by_annotation}");
        world.traits.insert("app:2".into(), bad());
        world.run(100);
        assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0]), "{by_annotation}");
    }
}

#[test]
fn a13_the_order_of_regions_is_frozen_with_the_release_and_no_minute_counts_twice() {
    let mut world = World::promoted(&["us-central1", "us-west4", "europe-west1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [0, 100, 10]);
    world.environment.as_mut().unwrap().spec.regions.swap(1, 2);
    world.run(20);
    assert_eq!(world.weights("app:2")[0], 0, "europe-west1 stays last");
    world.run(400);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    let minutes: i64 = world.status().regions.iter().map(|r| r.evidence[0].candidate.total).sum();
    let served = world.counted_requests;
    assert!(minutes <= served, "{minutes} counted of {served}");
}

#[test]
fn b9_steps_and_analysis_are_frozen_and_that_is_said() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.rollout.spec.analysis.mode = orchestra_crds::AnalysisMode::Observe;
    world.generation();
    world.run(1);
    assert!(world.status().message.unwrap().contains("applies to the next release"));
    world.run(100);
    assert_eq!(world.phase(), RolloutPhase::RolledBack, "the analysis that it started with still acts");
}

#[test]
fn b18_a_release_that_waits_is_shown() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.paused = true;
    world.release("app:2", Traits::default());
    world.run(2);
    let status = world.status();
    assert_eq!((status.image.as_deref(), status.weight), (Some("app:2"), Some(0)));
    assert!(status.message.unwrap().contains("spec.paused is true"));
}

#[test]
fn c7_a_planned_pause_is_no_failure() {
    let mut world = World::promoted(&["us-central1"]);
    let steps =
        serde_json::json!([{"pause": {}}, {"weight": 10, "holdSeconds": 0}, {"pause": {"durationSeconds": 60}}]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps = serde_json::from_value(steps).unwrap();
    world.release("app:2", Traits::default());
    world.run(60);
    let status = world.status();
    assert_eq!((status.phase, world.weights("app:2")), (Some(RolloutPhase::Paused), vec![0]));
    let is = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_).map(|c| c.status.as_str());
    assert_eq!((is("Reconciling"), is("Stalled")), (Some("True"), Some("False")));
    world.ask(Request::Promote, &status.candidate.unwrap().promote_token.unwrap());
    world.run(300);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]));
}
