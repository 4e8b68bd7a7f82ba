//! Requests that meet no free instance, because Cloud Run divides the service's maximum by the share of the traffic.

use super::model::Spoil;
use super::*;
use orchestra_crds::{AnalysisMode, FastLane, Scaling};

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
    let wanted = "requests met no free instance in the last minutes: of at most 3 instances, 10 % leaves less than 2. Raise \
                  spec.scaling";
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

#[test]
fn what_met_no_free_instance_is_never_held_against_it_whatever_a_person_does_next() {
    type Act = fn(&mut World);
    let acts: [(&str, Act); 4] = [
        ("goes on", |world| {
            let token = world.status().candidate.unwrap().promote_token.unwrap();
            world.ask(Request::Promote, &token);
        }),
        ("has more instances", |world| {
            world.rollout.spec.scaling = Some(Scaling { max_instances: Some(40), ..Scaling::default() });
        }),
        ("can't be read for a while", |world| world.down = Some("us-central1")),
        ("gets a label", |world| {
            world.rollout.spec.labels.insert("team".into(), "shop".into());
        }),
    ];
    for (what, act) in acts {
        let mut world = failing(Some(3), Some(NO_INSTANCE));
        world.run_until(|world| world.phase() == RolloutPhase::Paused);
        // From now on it is well.
        world.traits.insert("app:2".into(), Traits::default());
        act(&mut world);
        world.run(3);
        world.down = None;
        world.run(600);
        assert_ne!(world.phase(), RolloutPhase::RolledBack, "{what}: {:?}", world.status().message);
    }
}

#[test]
fn a_few_unserved_requests_hold_no_later_step() {
    let mut world = failing(Some(3), Some(NO_INSTANCE));
    world.run(3);
    world.traits.insert("app:2".into(), Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted);
}

#[test]
fn where_no_logs_tell_what_was_unserved_the_failure_says_that_it_may_be_so() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.scaling = Some(Scaling { max_instances: Some(3), ..Scaling::default() });
    world.run(3);
    world.release("app:2", Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    let message = world.status().failed.unwrap().message;
    let wanted =
        "of at most 3 instances, 10 % leaves less than 2, and no request logs tell which requests met no free instance";
    assert!(message.contains(wanted), "{message}");
}

#[test]
fn who_only_observes_is_not_held() {
    let mut world = failing(Some(3), Some(NO_INSTANCE));
    world.rollout.spec.analysis.mode = AnalysisMode::Observe;
    world.release("app:3", Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::Promoted);
}

/// A candidate of which a fifth meets no instance, promoted by a person each time it waits for one, while something happens now
/// and then: it is never taken back.
fn is_never_taken_back(what: &str, happens: fn(&mut World, usize)) {
    let mut world = failing(Some(3), Some(NO_INSTANCE));
    for number in 0..400 {
        happens(&mut world, number);
        if world.phase() == RolloutPhase::Paused {
            let token = world.status().candidate.and_then(|candidate| candidate.promote_token);
            token.inspect(|token| world.ask(Request::Promote, token));
        }
        world.run(1);
        let status = world.status();
        assert_eq!(status.failed, None, "{what}: {:?}", status.message);
        if world.weights("app:2") != [10] {
            return;
        }
    }
}

#[test]
fn what_was_not_read_of_the_logs_is_not_held_against_it() {
    is_never_taken_back("some reads are refused", |world, number| world.logs_refused = number % 7 == 3);
    is_never_taken_back("the service can't be read now and then", |world, number| {
        world.down = (number % 40 == 13).then_some("us-central1");
    });
    is_never_taken_back("the status is lost", |world, number| {
        if number == 60 {
            world.rollout.status = None;
            world.run(1);
        }
    });
    is_never_taken_back("more fails than is told", |world, number| world.logs_cut = number % 3 == 0);
}

#[test]
fn a_candidate_that_fails_by_itself_is_found_whatever_is_not_read() {
    type Happens = fn(&mut World, usize);
    let all: [(&str, Happens); 3] = [
        ("some reads are refused", |world, number| world.logs_refused = number % 2 == 0),
        ("no read is answered", |world, _| world.logs_refused = true),
        ("more fails than is told", |world, _| world.logs_cut = true),
    ];
    for (what, happens) in all {
        let mut world = failing(Some(3), None);
        let began = world.now;
        for number in 0.. {
            happens(&mut world, number);
            world.run(1);
            if world.phase() == RolloutPhase::RolledBack {
                break;
            }
            let took = world.now.duration_since(began).as_mins();
            assert!(took < 15, "{what}: {:?}", world.status().message);
        }
    }
}

#[test]
fn at_a_step_with_enough_instances_what_meets_none_counts() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.scaling = Some(Scaling { max_instances: Some(10), ..Scaling::default() });
    world.run(3);
    world.rollout.spec.analysis.fast_lane = FastLane::Auto;
    world.release("app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [50]);
    // Of a code that is much slower: half of ten instances are too few for it.
    world.spoil = Some(NO_INSTANCE);
    world.traits.insert("app:2".into(), Traits { error_percent: 40, ..Traits::default() });
    let began = world.now;
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert!(world.now.duration_since(began).as_mins() < 10, "{}", world.now.duration_since(began));
}

#[test]
fn logs_that_are_not_read_for_twelve_minutes_take_no_good_release_back() {
    is_never_taken_back("no read is answered for long", |world, number| {
        world.logs_refused = (40..120).contains(&number)
    });
}

#[test]
fn a_candidate_that_fails_by_itself_is_found_though_a_few_requests_meet_no_instance() {
    const SOME: Spoil = |told, query, _| {
        let own = |request: &&mut crate::cloud::FailedRequest| request.revision == query.candidate.as_str();
        for (index, request) in told.iter_mut().filter(own).enumerate() {
            // The others are answered by an instance that crashes.
            let unserved = index % 9 == 0;
            request.platform = if unserved { "no available instance" } else { "the connection had an error" }.into();
        }
    };
    let mut world = failing(Some(3), Some(SOME));
    let began = world.now;
    for number in 0.. {
        world.logs_refused = number % 2 == 0;
        world.run(1);
        if world.phase() == RolloutPhase::RolledBack {
            break;
        }
        assert!(world.now.duration_since(began).as_mins() < 20, "{:?}", world.status().message);
    }
}

#[test]
fn a_service_that_can_not_be_read_for_long_takes_no_good_release_back() {
    is_never_taken_back("the service can't be read for long", |world, number| {
        world.down = (40..120).contains(&number).then_some("us-central1");
    });
}

#[test]
fn one_that_met_no_instance_once_excuses_no_candidate_of_which_all_fails_while_no_logs_are_read() {
    let mut world = failing(Some(3), Some(NO_INSTANCE));
    world.traits.insert("app:2".into(), Traits { error_percent: 1, ..Traits::default() });
    world.run(20);
    world.logs_refused = true;
    world.traits.insert("app:2".into(), Traits { error_percent: 100, ..Traits::default() });
    let began = world.now;
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert!(world.now.duration_since(began).as_mins() < 15, "{:?}", world.status().message);
}
