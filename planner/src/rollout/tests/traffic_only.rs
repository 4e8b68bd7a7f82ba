//! Others deploy, and Orchestra brings what they deployed to its users.

use super::adopt::{THEIRS, made_by_others, names_it, to};
use super::*;
use crate::names::{Etag, RevisionName};
use orchestra_crds::Template;

/// A service that CI deploys to, taken over.
fn of_ci() -> World {
    let mut world = World::new(&["us-central1"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app:1");
    names_it(&mut world);
    world.rollout.spec.traffic_only = true;
    world.rollout.spec.template = Template::default();
    world.run(20);
    assert_eq!(world.phase(), RolloutPhase::Promoted, "{:?}", world.status().message);
    world.writes.clear();
    world
}

/// A new revision, to which nothing was sent.
fn deployed(world: &mut World, name: &str, image: &str, traits: Traits) {
    world.revisions.insert(name.into(), image.into());
    world.deployed.insert(("us-central1".into(), name.into()));
    world.traits.insert(image.into(), traits);
    let view = world.cloud.get_mut("us-central1").unwrap();
    view.newest = Some(RevisionName::new(name).unwrap());
    view.etag = Etag(format!("{}ci", view.etag.0));
    view.settings.description = format!("by CI: {image}");
}

/// As Terraform does: all to the newest revision, which that is.
fn sends_everything_to(world: &mut World, name: &str) {
    let view = world.cloud.get_mut("us-central1").unwrap();
    view.traffic = vec![to("LATEST", 100, None)];
    view.serving = vec![to(name, 100, None)];
}

fn assert_only_traffic(world: &World) {
    let others = |write: &&String| write.contains("deploy") || write.contains("settings") || write.contains("create");
    assert_eq!(world.writes.iter().find(others), None, "{:?}", world.writes);
}

#[test]
fn what_is_deployed_is_released_step_by_step_and_settings_stay_as_they_are() {
    let mut world = of_ci();
    assert_eq!(world.status().image.as_deref(), Some("app:1"));
    world.run(30);
    assert!(world.writes.is_empty(), "the steady state writes nothing: {:?}", world.writes);
    deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let shares = ["app:1 90 app:2 10 app:1 0", "app:1 50 app:2 50 app:1 0", "app:2 100 app:1 0"];
    assert_eq!(world.writes, shares.map(|shares| format!("us-central1 {shares}")), "their tag stays, too");
    assert_eq!(world.cloud["us-central1"].settings.description, "by CI: app:2");
    assert_eq!(world.cloud["us-central1"].settings.min_instances, 2);
    let labels = &world.cloud["us-central1"].settings.labels;
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["team"], "no label of ours");
    assert!(world.policies.is_empty(), "no invoker of the environment's");
}

#[test]
fn what_fails_is_taken_back_and_the_next_one_is_released() {
    let mut world = of_ci();
    deployed(&mut world, "api-00008-bad", "app:2", Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    world.run(60);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::RolledBack, vec![100]));
    deployed(&mut world, "api-00009-dead", "app:3", Traits { broken_in: Some("us-central1"), ..Traits::default() });
    world.run_until(|world| world.status().failed.is_some_and(|failed| failed.revision == "api-00009-dead"));
    assert_eq!(world.weights("app:1"), [100]);
    deployed(&mut world, "api-00010-good", "app:4", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:4") == [100]);
    assert_only_traffic(&world);
}

#[test]
fn one_that_is_deployed_in_a_release_takes_its_place_from_the_first_step_on() {
    let mut world = of_ci();
    deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [50]);
    deployed(&mut world, "api-00009-def", "app:3", Traits::default());
    world.run_until(|world| world.weights("app:3") == [10]);
    assert_eq!(world.weights("app:2"), [0]);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:3") == [100]);
    assert_only_traffic(&world);
}

#[test]
fn what_terraform_sends_everything_to_gets_its_share_step_by_step() {
    let mut world = of_ci();
    deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
    sends_everything_to(&mut world, "api-00008-abc");
    world.run_until(|world| world.weights("app:2") == [10]);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    assert_only_traffic(&world);
}

#[test]
fn with_the_status_lost_the_release_goes_on() {
    for passes in [1, 2, 5, 10, 40] {
        let mut world = of_ci();
        deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
        world.run(passes);
        world.rollout.status = None;
        world.run(1);
        world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
        assert_only_traffic(&world);
    }
}

#[test]
fn a_person_goes_back_and_the_next_deployment_ends_the_hold() {
    let mut world = of_ci();
    deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let back = world.status().promoted.into_iter().find(|promoted| promoted.revision == THEIRS).unwrap();
    world.ask(Request::Undo, &back.undo_token.unwrap());
    world.run(40);
    assert_eq!(world.weights("app:1"), [100]);
    deployed(&mut world, "api-00009-def", "app:3", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:3") == [100]);
    assert_only_traffic(&world);
}

#[test]
fn while_the_service_can_not_be_read_a_release_stays_what_it_is() {
    let mut world = of_ci();
    deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [10]);
    world.down = Some("us-central1");
    world.run(20);
    world.down = None;
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let shares = ["app:1 90 app:2 10 app:1 0", "app:1 50 app:2 50 app:1 0", "app:2 100 app:1 0"];
    assert_eq!(world.writes, shares.map(|shares| format!("us-central1 {shares}")));
}

#[test]
fn a_read_that_fails_ends_no_hold_and_no_latch() {
    let mut world = of_ci();
    deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let back = world.status().promoted.into_iter().find(|promoted| promoted.revision == THEIRS).unwrap();
    world.ask(Request::Undo, &back.undo_token.unwrap());
    world.run(10);
    for _ in 0..3 {
        world.down = Some("us-central1");
        world.run(5);
        world.down = None;
        world.run(5);
        assert_eq!(world.weights("app:1"), [100]);
    }
    assert!(world.status().held.is_some());

    let mut world = of_ci();
    deployed(&mut world, "api-00008-bad", "app:2", Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    world.down = Some("us-central1");
    world.run(5);
    world.down = None;
    // Somebody sends everything to the newest all the same.
    sends_everything_to(&mut world, "api-00008-bad");
    world.run(10);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::RolledBack, vec![100]));
    let message = world.status().message.unwrap();
    assert!(message.contains("Deploy another revision") && !message.contains("retry"), "{message}");
}

#[test]
fn switched_on_it_moves_nothing_and_leaves_settings_as_they_are() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.scaling = Some(orchestra_crds::Scaling { min_instances: Some(3), ..Default::default() });
    for image in ["app:2", "app:1"] {
        world.release(image, Traits::default());
        world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights(image) == [100]);
    }
    world.run(5);
    let (before, policies) = (world.cloud["us-central1"].clone(), world.policies.clone());
    world.writes.clear();
    names_it(&mut world);
    world.rollout.spec.traffic_only = true;
    world.rollout.spec.template = Template::default();
    world.rollout.spec.scaling = None;
    world.generation();
    world.run(60);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    assert_eq!((&world.cloud["us-central1"].settings, &world.policies), (&before.settings, &policies));
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    deployed(&mut world, "api-00009-abc", "app:9", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:9") == [100]);
    assert_only_traffic(&world);
}

#[test]
fn while_paused_what_others_send_elsewhere_stays_and_is_told() {
    let mut world = of_ci();
    world.rollout.spec.paused = true;
    deployed(&mut world, "api-00008-ann", "app:2", Traits { error_percent: 30, ..Traits::default() });
    sends_everything_to(&mut world, "api-00008-ann");
    world.cloud.get_mut("us-central1").unwrap().modified_by = Some("ann@example.com".into());
    world.run(10);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    let message = world.status().message.unwrap();
    assert!(
        message
            .contains(
                "the traffic was changed past Orchestra (last written by ann@example.com), and stays as it is, in us-central1 \
                 api-00008-ann 100 %, judged by nobody"
            ),
        "{message}"
    );
}

#[test]
fn a_pause_holds_its_own_release_and_not_what_others_deploy_and_send_everything_to() {
    let mut world = of_ci();
    deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [10]);
    let release = world.status().candidate.unwrap().release;
    world.ask(Request::Pause, &release);
    world.run(5);
    deployed(&mut world, "api-00009-tf", "app:3", Traits::default());
    sends_everything_to(&mut world, "api-00009-tf");
    world.run_until(|world| world.weights("app:3") == [10]);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:3") == [100]);
    assert_only_traffic(&world);
}

#[test]
fn a_pause_of_one_that_lost_its_share_to_a_whole_write_holds_nothing() {
    let mut world = of_ci();
    deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
    world.run_until(|world| world.weights("app:2") == [10]);
    let release = world.status().candidate.unwrap().release;
    world.ask(Request::Pause, &release);
    world.run(5);
    deployed(&mut world, "api-00009-tf", "app:3", Traits { error_percent: 20, ..Traits::default() });
    sends_everything_to(&mut world, "api-00009-tf");
    // Its annotations are others', too.
    world.cloud.get_mut("us-central1").unwrap().marks = crate::marks::Marks::default();
    world.run_until(|world| world.weights("app:1")[0] > 0);
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert_eq!(world.weights("app:1"), [100]);
}

#[test]
fn what_is_deployed_while_a_person_holds_has_its_image() {
    let mut world = of_ci();
    deployed(&mut world, "api-00008-abc", "app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let back = world.status().promoted.into_iter().find(|promoted| promoted.revision == THEIRS).unwrap();
    world.ask(Request::Undo, &back.undo_token.unwrap());
    world.run(40);
    deployed(&mut world, "api-00009-def", "app:3", Traits::default());
    world.run_until(|world| world.weights("app:3") == [10]);
    assert_eq!(world.status().candidate.unwrap().image, "app:3");
}
