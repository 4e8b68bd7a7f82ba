//! Revisions that are kept no more.

use super::*;
use crate::names::{Percent, RevisionName};

/// Six images were promoted after the first, in two regions.
fn promoted(world: &mut World, images: std::ops::RangeInclusive<u32>) {
    for number in images {
        let image = format!("app:{number}");
        world.release(&image, Traits::default());
        world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights(&image) == [100, 100]);
    }
}

fn deletions(world: &World) -> Vec<&str> {
    let writes = world.writes.iter().map(String::as_str);
    writes.filter(|write| write.contains("delete")).collect()
}

#[test]
fn only_the_last_five_that_were_promoted_are_kept() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    promoted(&mut world, 2..=5);
    world.run(30);
    assert!(deletions(&world).is_empty(), "{:?}", deletions(&world));
    promoted(&mut world, 6..=7);
    world.run(30);
    let wanted =
        ["us-central1 delete app:1", "us-west4 delete app:1", "us-central1 delete app:2", "us-west4 delete app:2"];
    assert_eq!(deletions(&world), wanted);
    assert!(world.status().outdated.is_empty());
    let kept: Vec<_> = world.status().promoted.iter().map(|promoted| promoted.image.clone().unwrap()).collect();
    assert_eq!(kept, ["app:7", "app:6", "app:5", "app:4", "app:3"]);
    let writes = world.writes.len();
    world.run(60);
    assert_eq!(world.writes.len(), writes, "it is quiet");
}

#[test]
fn one_that_a_tag_of_somebodys_names_stays() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    let first = world.status().stable.unwrap().revision;
    promoted(&mut world, 2..=5);
    let tagged = crate::cloud::TrafficTarget {
        to: crate::cloud::Target::Revision(RevisionName::new(first.as_str()).unwrap()),
        percent: Percent::NONE,
        tag: Some("mine".into()),
    };
    let view = world.cloud.get_mut("us-west4").unwrap();
    view.traffic.push(tagged.clone());
    view.serving.push(tagged);
    promoted(&mut world, 6..=6);
    world.run(60);
    assert!(deletions(&world).is_empty(), "{:?}", deletions(&world));
}

#[test]
fn a_region_that_can_not_be_read_is_waited_for() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    promoted(&mut world, 2..=6);
    world.down = Some("us-west4");
    world.run(60);
    let before: Vec<String> = deletions(&world).iter().map(ToString::to_string).collect();
    world.down = None;
    world.run(120);
    assert_eq!(deletions(&world), ["us-central1 delete app:1", "us-west4 delete app:1"], "{before:?}");
}

#[test]
fn what_comes_back_before_it_is_gone_is_no_longer_outdated() {
    let mut world = World::promoted(&["us-central1"]);
    for number in 2..=6 {
        let image = format!("app:{number}");
        world.release(&image, Traits::default());
        world.run_until(|world| world.status().promoted[0].image.as_deref() == Some(image.as_str()));
    }
    world.release("app:1", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:1") == [100]);
    world.run(60);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn where_google_refuses_it_stays_and_the_rollout_is_ready_all_the_same() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    promoted(&mut world, 2..=5);
    let id = world.observe().regions[0].id.clone();
    let fault = crate::cloud::Fault { class: crate::cloud::FaultClass::Denied, message: "run.revisions.delete".into() };
    let refused = crate::resource::FailedWrite { fault, tries: 1, at: world.now };
    world.failed_writes.insert(crate::resource::ResourceId::Revisions(id), refused);
    promoted(&mut world, 6..=6);
    world.run(60);
    assert!(deletions(&world).is_empty());
    assert_eq!((world.phase(), world.status().outdated.len()), (RolloutPhase::Promoted, 1));
    let ready = world.status().conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "True", "{}", ready.message);
}
