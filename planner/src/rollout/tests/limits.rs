//! Mode Threshold, as part of a release.

use super::*;
use orchestra_crds::{AnalysisMode, Threshold};

fn with_limits() -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.mode = AnalysisMode::Threshold;
    world
}

fn limits(world: &mut World) -> &mut Threshold {
    world.rollout.spec.analysis.threshold.get_or_insert_default()
}

#[test]
fn a_release_within_its_limits_is_promoted_though_it_is_worse_than_stable() {
    let mut world = with_limits();
    world.release("app:2", Traits { error_percent: 4, ..Traits::default() });
    world.run_until(|world| world.weights("app:2") == [100]);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted);
}

#[test]
fn one_look_above_the_limit_takes_it_back_and_says_so() {
    let mut world = with_limits();
    world.release("app:2", Traits { error_percent: 6, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    let message = world.status().failed.unwrap().message;
    assert!(message.contains("the limits say that it is bad: 0 looks succeeded, 1 failed (0 may)"), "{message}");
}

#[test]
fn failed_looks_up_to_the_limit_are_forgiven() {
    let mut world = with_limits();
    limits(&mut world).failure_limit = 1_000;
    world.release("app:2", Traits { error_percent: 6, ..Traits::default() });
    // Failures that are forgiven are no successes: a person is asked.
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert_eq!(world.weights("app:2"), [10]);
}

#[test]
fn without_requests_a_person_is_asked() {
    let mut world = with_limits();
    world.requests_per_minute = 0;
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert!(world.status().message.unwrap().contains("no metrics of the candidate"), "{:?}", world.status().message);
}

#[test]
fn inconclusive_looks_never_promote_by_themselves() {
    let mut world = with_limits();
    limits(&mut world).errors =
        orchestra_crds::ErrorLimits { fail_above_basis_points: 900, pass_at_most_basis_points: Some(0) };
    world.release("app:2", Traits { error_percent: 2, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert_eq!(world.weights("app:2"), [10]);
}

/// A look that can't be over in time is judged by what it saw.
#[test]
fn a_step_that_is_shorter_than_a_look_takes_a_bad_one_back_once_its_time_is_over() {
    let mut world = with_limits();
    // Of before there was a rule about it.
    limits(&mut world).interval_seconds = 3_600;
    world.release("app:2", Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    let message = world.status().failed.unwrap().message;
    assert!(message.contains("its only look, which was not over yet, is above the limits: 1500 of 7500"), "{message}");
}

#[test]
fn a_watch_that_is_shorter_than_a_look_takes_a_bad_one_back_at_its_end() {
    let mut world = with_limits();
    (limits(&mut world).interval_seconds, world.rollout.spec.analysis.watch_seconds) = (300, 400);
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [100]);
    world.traits.insert("app:2".into(), Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| matches!(world.phase(), RolloutPhase::RolledBack | RolloutPhase::Promoted));
    assert_eq!(world.weights("app:1"), [100]);
}

#[test]
fn a_look_that_is_not_over_and_bad_holds_a_step_until_it_is() {
    let mut world = with_limits();
    limits(&mut world).interval_seconds = 180;
    world.release("app:2", Traits::default());
    world.run_until(|world| {
        let looks = |evidence: &orchestra_crds::EvidenceStatus| evidence.looks.as_ref().map_or(0, |l| l.succeeded);
        world.status().regions[0].evidence.iter().any(|evidence| looks(evidence) > 0)
    });
    world.traits.insert("app:2".into(), Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert!(!world.writes.iter().any(|write| write.contains("app:2 100")), "{:?}", world.writes);
}

#[test]
fn too_many_looks_without_requests_end_a_step_before_its_hold_does() {
    let mut world = with_limits();
    let steps = &mut world.rollout.spec.strategy.canary.as_mut().unwrap().steps;
    steps[0].hold_seconds = Some(7_200);
    limits(&mut world).consecutive_error_limit = 2;
    // The candidate's tenth is no whole request.
    world.requests_per_minute = 9;
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [10]);
    let began = world.now;
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert!(world.now.duration_since(began).as_mins() < 12, "{}", world.now);
    let message = world.status().message.unwrap();
    assert!(message.contains("3 looks in a row saw no requests of the candidate"), "{message}");
}

/// Beside looks that succeeded, a part of one says nothing.
#[test]
fn a_bad_part_of_a_look_at_the_end_of_a_watch_takes_nothing_back() {
    let mut world = with_limits();
    (limits(&mut world).interval_seconds, world.rollout.spec.analysis.watch_seconds) = (300, 1_200);
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [100]);
    let began = world.now;
    world.run_until(|world| world.now.duration_since(began).as_secs() > 1_140);
    world.traits.insert("app:2".into(), Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| matches!(world.phase(), RolloutPhase::RolledBack | RolloutPhase::Promoted));
    assert_eq!(world.weights("app:2"), [100]);
}

#[test]
fn metrics_that_do_not_come_are_no_looks_without_requests() {
    let mut world = with_limits();
    let steps = &mut world.rollout.spec.strategy.canary.as_mut().unwrap().steps;
    steps[0].hold_seconds = Some(3_600);
    world.rollout.spec.analysis.on_no_data = orchestra_crds::Fallback::Rollback;
    let requests = std::mem::take(&mut world.requests_per_minute);
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [10]);
    let began = world.now;
    world.run_until(|world| world.now.duration_since(began).as_mins() > 20);
    assert_eq!(world.weights("app:2"), [10]);
    world.requests_per_minute = requests;
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}
