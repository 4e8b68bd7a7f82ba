//! What else may be judged than errors and latency.

use super::*;
use orchestra_crds::Metric;

fn judging(metric: Metric) -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.metrics.push(metric);
    world
}

#[test]
fn a_candidate_that_refuses_requests_is_taken_back_where_that_is_judged() {
    for metric in [Metric::ClientErrors, Metric::TooManyRequests] {
        let mut world = judging(metric);
        world.release("app:2", Traits { refused_percent: 5, ..Traits::default() });
        world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
        let message = world.status().failed.unwrap().message;
        assert!(message.contains("answered with 4"), "{message}");
    }
}

#[test]
fn one_that_does_not_is_promoted() {
    let mut world = judging(Metric::ClientErrors);
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let judged: Vec<Metric> = world.status().regions[0].evidence.iter().map(|evidence| evidence.metric).collect();
    assert_eq!(judged, [Metric::Errors, Metric::Latency, Metric::ClientErrors]);
}

#[test]
fn what_is_not_asked_for_is_not_judged() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { refused_percent: 50, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}
