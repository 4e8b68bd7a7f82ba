//! Services of others that are deleted, made anew or given up, after they were taken over.

use super::adopt::{THEIRS, adopted, made_by_others, names_it, reason, to};
use super::*;
use crate::marks::Owner;
use crate::names::RevisionName;

#[test]
fn what_others_had_made_and_deleted_is_not_made_again_while_the_spec_names_it() {
    let mut world = adopted();
    world.writes.clear();
    world.cloud.remove("us-central1");
    world.run(60);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    assert_eq!(reason(&world), "ServiceGone");
    let message = world.status().message.unwrap();
    assert!(message.contains("which others had made: make it again, and it is taken over"), "{message}");
    world.rollout.spec.adopt = None;
    world.run(60);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn what_others_deleted_and_made_anew_is_taken_over_as_it_is_now() {
    let mut world = adopted();
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    made_by_others(&mut world, "us-central1", "api-00001-new", "app:2");
    world.cloud.get_mut("us-central1").unwrap().uid = Some("another".into());
    world.writes.clear();
    world.run(60);
    assert_eq!(world.writes.len(), 1, "{:?}", world.status().message);
    assert_eq!(
        (world.phase(), world.status().stable.unwrap().revision.as_str()),
        (RolloutPhase::Promoted, "api-00001-new")
    );
    assert_eq!(world.status().history[0].outcome, Outcome::Adopted);
    world.release("app:3", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:3") == [100]);
    assert_eq!(world.status().history[0].outcome, Outcome::Promoted);
}

#[test]
fn what_a_rollout_of_another_namespace_let_go_is_taken_over_by_who_names_it() {
    let mut world = World::new(&["us-central1"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app:1");
    let marks = &mut world.cloud.get_mut("us-central1").unwrap().marks;
    marks.owner = Some(Owner { name: "another/api".into(), uid: None });
    marks.stable = Some(RevisionName::new(THEIRS).unwrap());
    world.run(10);
    assert_eq!(reason(&world), "ServiceNotOurs");
    names_it(&mut world);
    world.run(60);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn nobody_goes_back_where_no_service_is_of_this_rollout() {
    let mut world = adopted();
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let promoted = world.status().promoted.into_iter().find(|promoted| promoted.revision == THEIRS).unwrap();
    world.cloud.get_mut("us-central1").unwrap().marks.owner =
        Some(Owner { name: "default/other".into(), uid: Some("u".into()) });
    world.run(3);
    world.ask(Request::Undo, &promoted.undo_token.unwrap());
    world.run(3);
    let refused = world.status().requests[0].refused.clone();
    assert_eq!(refused.as_deref(), Some("no region has a service of this Rollout"));
    assert_eq!(world.status().held, None);
}

/// Two regions that were taken over, by the same revision.
fn adopted_in_two() -> World {
    let mut world = World::new(&["us-central1", "us-west4"]);
    for region in ["us-central1", "us-west4"] {
        made_by_others(&mut world, region, THEIRS, "app:1");
    }
    names_it(&mut world);
    world.run(20);
    assert_eq!(world.phase(), RolloutPhase::Promoted, "{:?}", world.status().message);
    world
}

#[test]
fn where_a_service_is_gone_the_other_regions_are_kept_and_judged() {
    let mut world = adopted_in_two();
    world.cloud.remove("us-central1");
    world.run(20);
    let elsewhere = vec![to("LATEST", 100, None)];
    let view = world.cloud.get_mut("us-west4").unwrap();
    (view.traffic, view.newest) = (elsewhere, Some(RevisionName::new("api-00008-xyz").unwrap()));
    view.serving = vec![to("api-00008-xyz", 100, None)];
    world.revisions.insert("api-00008-xyz".into(), "app:8".into());
    world.deployed.insert(("us-west4".into(), "api-00008-xyz".into()));
    world.run(20);
    assert_eq!((reason(&world).as_str(), world.weights("app:1")), ("ServiceGone", vec![100]), "{:?}", world.writes);
}

#[test]
fn services_that_are_made_anew_one_after_the_other_are_taken_over() {
    let mut world = adopted_in_two();
    world.cloud.clear();
    world.run(20);
    for region in ["us-west4", "us-central1"] {
        made_by_others(&mut world, region, "api-00001-new", "app:1");
        world.cloud.get_mut(region).unwrap().uid = Some(format!("another-{region}"));
        world.run(20);
    }
    assert_eq!(
        (world.phase(), reason(&world).as_str()),
        (RolloutPhase::Promoted, "Promoted"),
        "{:?}",
        world.status().message
    );
}

#[test]
fn what_failed_or_was_gone_back_from_is_not_released_though_the_service_is_made_anew() {
    for is_undone in [false, true] {
        let mut world = adopted();
        let traits = Traits { error_percent: if is_undone { 0 } else { 30 }, ..Traits::default() };
        world.release("app:2", traits);
        if is_undone {
            world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
            let promoted = world.status().promoted.into_iter().find(|promoted| promoted.revision == THEIRS).unwrap();
            world.ask(Request::Undo, &promoted.undo_token.unwrap());
            world.run_until(|world| world.status().held.is_some() && world.weights("app:1") == [100]);
            world.run(5);
        } else {
            world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
        }
        made_by_others(&mut world, "us-central1", "api-00001-new", "app:1");
        world.cloud.get_mut("us-central1").unwrap().uid = Some("another".into());
        world.run(200);
        assert_eq!(world.weights("app:1"), [100], "{is_undone}: {:?}", world.status().message);
        assert_eq!(world.status().candidate, None, "{is_undone}");
        world.release("app:3", Traits::default());
        world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:3") == [100]);
    }
}

#[test]
fn what_taking_over_sets_is_not_told_as_changed_by_others() {
    let mut world = adopted();
    world.run(20);
    assert!(world.events.iter().all(|event| event.reason != "SettingsCorrected"), "{:?}", world.events);
}
