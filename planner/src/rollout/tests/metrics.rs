//! What else may be judged than errors and latency.

use super::*;
use orchestra_crds::{AnalysisMode, Metric, MetricName, Preset, Promql, RatioQueries};

fn judging(presets: &[Preset]) -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.analysis.metrics.extend(presets);
    world
}

/// Of everybody's own.
fn checkouts() -> Promql {
    let ratio = RatioQueries { bad: "failed{{revision}}".into(), total: "all{{revision}}".into() };
    let name = MetricName::new("checkouts").unwrap();
    Promql { name, address: None, ratio: Some(ratio), histogram: None, gauge: None, limits: None }
}

/// Those that count something else than requests.
const OF_INSTANCES: [Preset; 4] =
    [Preset::CpuUtilization, Preset::MemoryUtilization, Preset::HealthChecks, Preset::StartupFailures];

#[test]
fn a_candidate_that_refuses_requests_is_taken_back_where_that_is_judged() {
    for preset in [Preset::ClientErrors, Preset::TooManyRequests] {
        let mut world = judging(&[preset]);
        world.release("app:2", Traits { refused_percent: 5, ..Traits::default() });
        world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
        let message = world.status().failed.unwrap().message;
        assert!(message.contains("answered with 4"), "{message}");
    }
}

#[test]
fn one_that_does_not_is_promoted() {
    let mut world = judging(&[Preset::ClientErrors]);
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let judged: Vec<Metric> = world.status().regions[0].evidence.iter().map(|evidence| evidence.metric).collect();
    assert_eq!(judged, [Metric::ERRORS, Metric::LATENCY, Metric::Preset(Preset::ClientErrors)]);
}

#[test]
fn what_is_not_asked_for_is_not_judged() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { refused_percent: 50, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}

#[test]
fn instances_that_breach_and_probes_that_fail_take_a_candidate_back() {
    for preset in [Preset::CpuUtilization, Preset::MemoryUtilization, Preset::HealthChecks] {
        for mode in [AnalysisMode::Sequential, AnalysisMode::Threshold] {
            let mut world = judging(&[preset]);
            world.rollout.spec.analysis.mode = mode;
            world.release("app:2", Traits { refused_percent: 50, breaches: true, ..Traits::default() });
            world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
            let message = world.status().failed.unwrap().message;
            assert!(message.contains("above 90 % of their") || message.contains("probes failed"), "{message}");
        }
    }
}

#[test]
fn few_looks_at_instances_and_none_that_starts_hold_nothing_up() {
    let mut world = judging(&OF_INSTANCES);
    let begun = world.now;
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let mut plain = World::promoted(&["us-central1"]);
    plain.now = begun;
    plain.release("app:2", Traits::default());
    plain.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    assert_eq!(world.now, plain.now, "it takes as long as with requests alone");
}

#[test]
fn a_metric_of_ones_own_is_judged_by_its_name() {
    let mut world = judging(&[]);
    world.rollout.spec.analysis.promql.push(checkouts());
    world.release("app:2", Traits { refused_percent: 5, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    let message = world.status().failed.unwrap().message;
    assert!(message.contains("of checkouts bad"), "{message}");
}

#[test]
fn what_only_the_candidate_has_does_not_pass_where_it_is_bad() {
    for (refused_percent, ends) in [(100, RolloutPhase::Paused), (0, RolloutPhase::Promoted)] {
        let mut world = judging(&[Preset::HealthChecks]);
        world.only_candidate_has = Some(Preset::HealthChecks);
        world.release("app:2", Traits { refused_percent, ..Traits::default() });
        world.run_until(|world| world.phase() == ends);
    }
}

#[test]
fn in_mode_threshold_a_step_in_which_no_instance_starts_passes() {
    let mut world = judging(&[Preset::StartupFailures]);
    world.rollout.spec.analysis.mode = AnalysisMode::Threshold;
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
}
