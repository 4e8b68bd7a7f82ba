//! Requests that meet no free instance, because Cloud Run divides the service's maximum by the share of the traffic.

use super::model::Spoil;
use super::*;
use orchestra_crds::{FastLane, Scaling};

/// All that failed of the candidate met no free instance.
const NO_INSTANCE: Spoil = |told, query, _| {
    for request in told.iter_mut().filter(|request| request.revision == query.candidate.as_str()) {
        request.platform = "The request was aborted because there was no available instance.".into();
    }
};

/// A candidate of which every fifth request fails, with so many instances at most.
fn failing(max_instances: Option<i32>, spoil: Option<Spoil>) -> World {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.scaling = Some(Scaling { max_instances, ..Scaling::default() });
    world.run(3);
    world.rollout.spec.analysis.fast_lane = FastLane::Auto;
    world.spoil = spoil;
    world.release("app:2", Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.weights("app:2") == [10]);
    world
}

#[test]
fn too_few_instances_are_not_held_against_a_candidate_and_no_step_passes() {
    let mut world = failing(Some(3), Some(NO_INSTANCE));
    world.run_until(|world| world.phase() == RolloutPhase::Paused);
    assert_eq!(world.weights("app:2"), [10]);
    let ready = world.status().conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.reason, "CapacityLimited");
    let wanted = "requests met no free instance: of maxInstances 3, 10 % leaves less than 2. Raise maxInstances";
    let message = world.status().message.unwrap();
    assert!(message.contains(wanted), "{message}");
}

#[test]
fn where_there_are_enough_or_the_service_itself_fails_it_is_taken_back() {
    for (max_instances, spoil) in [(Some(20), Some(NO_INSTANCE)), (None, Some(NO_INSTANCE)), (Some(3), None)] {
        let mut world = failing(max_instances, spoil);
        world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    }
}
