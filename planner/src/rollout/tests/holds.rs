//! Holds of any length, with warm-ups of any length: what was not counted is no missing data.

use super::*;
use orchestra_crds::{AnalysisMode, Fallback};

const HOLDS: [i32; 5] = [0, 30, 60, 90, 200];
const WARM_UPS: [i32; 4] = [0, 60, 300, 600];

/// Each pair of a hold and a warm-up, in both modes that act, with what is to be done without metrics.
fn worlds(on_no_data: Fallback) -> impl Iterator<Item = (String, World)> {
    let pairs = HOLDS.into_iter().flat_map(|hold| WARM_UPS.map(|warm_up| (hold, warm_up)));
    pairs.flat_map(move |(hold, warm_up)| {
        [AnalysisMode::Sequential, AnalysisMode::Threshold].map(|mode| {
            let mut world = World::promoted(&["us-central1"]);
            let (spec, named) = (&mut world.rollout.spec, format!("{mode:?}, hold {hold} s, warm-up {warm_up} s"));
            let steps = &mut spec.strategy.canary.as_mut().expect("it is a canary").steps;
            steps.iter_mut().filter(|step| step.weight.is_some()).for_each(|step| step.hold_seconds = Some(hold));
            (spec.analysis.warmup_seconds, spec.analysis.mode) = (warm_up, mode);
            spec.analysis.on_no_data = on_no_data;
            (named, world)
        })
    })
}

#[test]
fn a_good_release_is_not_taken_back_for_minutes_that_were_not_counted() {
    for (named, mut world) in worlds(Fallback::Rollback) {
        world.release("app:2", Traits::default());
        world.run(400);
        assert_eq!(world.phase(), RolloutPhase::Promoted, "{named}: {:?}", world.status().message);
    }
}

#[test]
fn a_bad_release_is_not_let_through_for_minutes_that_were_not_counted() {
    for (named, mut world) in worlds(Fallback::Promote) {
        world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
        world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
        assert!(!world.writes.iter().any(|write| write.contains("app:2 50")), "{named}: {:?}", world.writes);
    }
}

#[test]
fn without_requests_what_the_analysis_says_happens_once_a_minute_was_counted() {
    for (named, mut world) in worlds(Fallback::Rollback) {
        world.requests_per_minute = 0;
        world.release("app:2", Traits::default());
        world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
        let message = world.status().failed.expect("it failed").message;
        assert!(message.contains("there are no metrics of the candidate"), "{named}: {message}");
        assert_eq!(message.matches("of stable at the same time").count(), 1, "{named}: {message}");
    }
}
