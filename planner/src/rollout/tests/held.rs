//! Promise 5 as the shell asks it: a plan that moves forward, judged by an observation in which a person holds the release.

use orchestra_crds::Request;

use super::model::{Traits, World};
use crate::plan::Effect;
use crate::promises::broken_by_rollout;

/// A release about to take its next step, and the writes of that.
fn about_to_step() -> (World, Vec<Effect>) {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    let planned = |world: &World| crate::rollout::plan(&world.observe()).effects;
    let moves = |effect: &Effect| matches!(effect, Effect::UpdateService { change, .. } if change.traffic.is_some());
    world.run_until(|w| planned(w).iter().any(moves));
    let effects = planned(&world);
    (world, effects)
}

#[test]
fn a_step_is_refused_under_either_pause_and_under_no_pause_of_another_release() {
    let (mut world, effects) = about_to_step();
    let broken = |world: &World| broken_by_rollout(&world.observe(), &effects).map(|broken| broken.promise);
    assert_eq!(broken(&world), None);

    world.ask(Request::Pause, "web-aaaaaaaaaa.7");
    assert_eq!(broken(&world), None, "another release is held");

    let release = world.release_id();
    world.ask(Request::Pause, &release);
    assert_eq!(broken(&world), Some(5), "by the annotation");

    world.rollout.metadata.annotations = None;
    world.rollout.spec.paused = true;
    assert_eq!(broken(&world), Some(5), "by the spec");
}
