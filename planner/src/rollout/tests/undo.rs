//! A person goes back to what worked.

use super::*;
use orchestra_crds::{Outcome, Request};

/// Of these images each was promoted, in two regions.
fn promoted_five() -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    for image in ["app:2", "app:3", "app:4", "app:5"] {
        world.release(image, Traits::default());
        world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights(image) == [100, 100]);
    }
    world.run(10);
    world.writes.clear();
    world
}

fn revision_of(world: &World, image: &str) -> String {
    world.revisions.iter().find(|(_, known)| *known == image).map(|(name, _)| name.clone()).unwrap()
}

fn last_number(world: &World) -> u32 {
    let status = world.status();
    let ids = status.history.iter().map(|record| record.release.clone());
    let ids = ids.chain(status.candidate.map(|candidate| candidate.release));
    ids.filter_map(|id| crate::names::ReleaseId::parse(&id)).map(|release| release.number).max().unwrap()
}

fn undo(world: &mut World, image: &str) {
    let revision = revision_of(world, image);
    let promoted = world.status().promoted.into_iter().find(|promoted| promoted.revision == revision).unwrap();
    world.ask(Request::Undo, &promoted.undo_token.unwrap());
}

#[test]
fn what_can_be_gone_back_to_tells_its_image_when_it_was_and_what_was_known() {
    let mut world = promoted_five();
    // Records of failures push the others out.
    for number in 10..25 {
        world.release(&format!("app:{number}"), Traits { error_percent: 50, ..Traits::default() });
        world.run_until(|world| world.status().history[0].image == format!("app:{number}"));
    }
    let status = world.status();
    assert!(status.history.iter().all(|record| record.outcome == Outcome::RolledBack));
    let images: Vec<_> = status.promoted.iter().map(|promoted| promoted.image.clone().unwrap()).collect();
    assert_eq!(images, ["app:5", "app:4", "app:3", "app:2", "app:1"]);
    assert!(status.promoted.iter().all(|promoted| promoted.promoted_at.is_some() && promoted.verdict.is_some()));
}

fn ready_reason(world: &World) -> String {
    world.status().conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap().reason
}

type Trouble = (&'static str, fn(&mut World));

const TROUBLES: [Trouble; 6] = [
    ("nothing", |_| {}),
    ("paused", |world| world.rollout.spec.paused = true),
    ("blind", |world| world.blind = true),
    ("a region is down", |world| world.down = Some("us-west4")),
    ("in a release", |world| {
        world.release("app:6", Traits::default());
        world.run_until(|world| world.weights("app:6") == [10, 0]);
    }),
    ("a default changed", |world| world.set_default("debug")),
];

#[test]
fn it_goes_back_at_once_whatever_is_wrong_and_holds() {
    for (what, trouble) in TROUBLES {
        for image in ["app:1", "app:2", "app:3", "app:4", "app:5"] {
            let mut world = promoted_five();
            trouble(&mut world);
            world.writes.clear();
            undo(&mut world, image);
            world.run(1);
            let up = if world.down.is_some() { 1 } else { 2 };
            assert_eq!(world.weights(image)[..up], [100, 100][..up], "{what}: {image}: {:?}", world.status().message);
            assert!(world.writes.len() <= up, "{what}: {image}: one write a region: {:?}", world.writes);
            world.run(5);
            world.down = None;
            world.blind = false;
            world.run(20);
            assert_eq!(world.weights(image), [100, 100], "{what}: {image}");
            world.rollout.spec.paused = false;
            for level in ["info", "warn"] {
                world.set_default(level);
                world.generation();
                world.run(60);
            }
            assert_eq!(world.weights(image), [100, 100], "{what}: {image}: it holds");
            assert_eq!(ready_reason(&world), "HeldByPerson", "{what}: {image}: {:?}", world.status().message);
            let last = world.status().history[0].clone();
            assert_eq!(
                (last.outcome, last.revision),
                (Outcome::Returned, revision_of(&world, image)),
                "{what}: {image}"
            );
        }
    }
}

#[test]
fn another_template_ends_the_hold_and_is_released_step_by_step() {
    let mut world = promoted_five();
    undo(&mut world, "app:3");
    world.run(30);
    world.release("app:7", Traits::default());
    world.run_until(|world| world.weights("app:7") == [10, 0]);
    assert_eq!((world.weights("app:3"), world.status().held), (vec![90, 100], None));
    world.run_until(|world| world.phase() == RolloutPhase::Promoted);
    world.run(5);
    assert!(world.cloud.values().all(|service| service.marks.held.is_none()));
    // What was asked before means nothing any more.
    assert_eq!(world.weights("app:7"), [100, 100]);
}

#[test]
fn with_the_status_lost_it_is_held_by_the_marks() {
    for image in ["app:2", "app:5"] {
        let mut world = promoted_five();
        undo(&mut world, image);
        world.run(20);
        world.rollout.status = None;
        world.run(60);
        assert_eq!((world.weights(image), ready_reason(&world).as_str()), (vec![100, 100], "HeldByPerson"), "{image}");
        let held = world.status().held.unwrap();
        assert!(held.release.starts_with(&revision_of(&world, image)), "{held:?}");
    }
}

#[test]
fn a_request_that_can_not_be_done_is_refused_with_why_and_nothing_moves() {
    let refused = |world: &mut World| {
        world.writes.clear();
        world.run(5);
        assert!(world.writes.is_empty(), "{:?}", world.writes);
        world.status().requests.first().and_then(|request| request.refused.clone())
    };
    let mut world = promoted_five();
    let number = last_number(&world);
    world.ask(Request::Undo, &format!("api-unknown.{number}"));
    assert!(refused(&mut world).unwrap().contains("is none of the last promoted revisions"));
    let mut world = promoted_five();
    world.ask(Request::Undo, &format!("{}.{}", revision_of(&world, "app:2"), number - 1));
    assert_eq!(refused(&mut world), None, "it was meant for an earlier release");
    let mut world = promoted_five();
    let secret = crate::cloud::SecretVersionId { secret: "key".into(), version: 1 };
    world.secret_of.insert("app:2".into(), secret.clone());
    world.disabled.insert(secret);
    undo(&mut world, "app:2");
    assert!(refused(&mut world).unwrap().contains("version 1 of secret `key`"));
    let mut world = promoted_five();
    let gone = revision_of(&world, "app:2");
    world.deployed.retain(|(place, name)| !(place == "us-west4" && *name == gone));
    undo(&mut world, "app:2");
    assert!(refused(&mut world).unwrap().contains("us-west4: "));
}

#[test]
fn a_release_goes_on_beside_a_request_that_was_refused() {
    let mut world = promoted_five();
    world.release("app:6", Traits::default());
    world.run_until(|world| world.weights("app:6") == [10, 0]);
    let number = last_number(&world);
    world.ask(Request::Undo, &format!("api-unknown.{number}"));
    world.run_until(|world| world.weights("app:6") == [100, 100]);
}

#[test]
fn what_failed_is_left_for_what_a_person_chose() {
    let mut world = promoted_five();
    world.release("app:6", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    undo(&mut world, "app:4");
    world.run(20);
    assert_eq!((world.weights("app:4"), ready_reason(&world).as_str()), (vec![100, 100], "HeldByPerson"));
    world.release("app:5", Traits::default());
    world.run_until(|world| world.weights("app:5") == [100, 100]);
}
