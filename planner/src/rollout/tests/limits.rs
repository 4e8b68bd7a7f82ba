//! Mode Threshold, as part of a release.

use super::*;
use orchestra_crds::AnalysisMode;

fn with_limits() -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.mode = AnalysisMode::Threshold;
    world
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
    world.rollout.spec.analysis.threshold.failure_limit = 1_000;
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
    world.rollout.spec.analysis.threshold.errors =
        orchestra_crds::ErrorLimits { fail_above_basis_points: 900, pass_at_most_basis_points: Some(0) };
    world.release("app:2", Traits { error_percent: 2, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert_eq!(world.weights("app:2"), [10]);
}

#[test]
fn a_step_that_is_shorter_than_a_look_asks_a_person_about_a_bad_one() {
    let mut world = with_limits();
    world.rollout.spec.analysis.threshold.interval_seconds = 3_600;
    world.release("app:2", Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert_eq!(world.weights("app:2"), [10]);
}
