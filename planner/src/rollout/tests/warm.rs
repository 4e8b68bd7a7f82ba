//! The revision before stable is kept warm for a time.

use super::*;
use crate::traffic::kept_warm;
use orchestra_crds::History;

fn warm(regions: &'static [&'static str]) -> World {
    let mut world = World::promoted(regions);
    world.rollout.spec.history = Some(History { keep_warm_seconds: Some(1_800) });
    world
}

fn tagged(world: &World, region: &str) -> Option<String> {
    kept_warm(&world.cloud[region].traffic).map(ToString::to_string)
}

fn promote(world: &mut World, image: &str) {
    world.release(image, Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights(image) == [100]);
}

#[test]
fn it_has_the_tag_for_as_long_as_the_spec_says_and_people_see_until_when() {
    let mut world = warm(&["us-central1"]);
    let first = world.status().stable.unwrap().revision;
    world.run(10);
    assert_eq!(tagged(&world, "us-central1"), None, "there is none before it");
    promote(&mut world, "app:2");
    world.run(5);
    assert_eq!(tagged(&world, "us-central1"), Some(first));
    let told: Vec<bool> = world.status().promoted.iter().map(|promoted| promoted.kept_warm_until.is_some()).collect();
    assert_eq!(told, [false, true]);
    let writes = world.writes.len();
    world.run(10);
    assert_eq!(world.writes.len(), writes, "one write is enough: {:?}", world.writes);
    world.run(200);
    assert_eq!(tagged(&world, "us-central1"), None);
    assert!(world.status().promoted.iter().all(|promoted| promoted.kept_warm_until.is_none()));
}

#[test]
fn the_tags_of_people_stay_and_the_next_release_goes_its_way() {
    let mut world = warm(&["us-central1"]);
    let first = world.status().stable.unwrap().revision;
    let theirs = crate::cloud::TrafficTarget { tag: Some("theirs".into()), ..super::adopt::to(&first, 0, None) };
    world.cloud.get_mut("us-central1").unwrap().traffic.push(theirs);
    promote(&mut world, "app:2");
    world.run(5);
    let second = world.status().stable.unwrap().revision;
    promote(&mut world, "app:3");
    world.run(5);
    assert_eq!(tagged(&world, "us-central1"), Some(second));
    let tags: Vec<String> = world.cloud["us-central1"].traffic.iter().filter_map(|target| target.tag.clone()).collect();
    assert_eq!(tags, ["theirs", "kept-warm"]);
}

#[test]
fn where_it_never_ran_there_is_nothing_to_keep() {
    let mut world = warm(&["us-central1"]);
    promote(&mut world, "app:2");
    world.environment.as_mut().unwrap().spec.regions = vec!["us-central1".into(), "us-west4".into()];
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.cloud.contains_key("us-west4"));
    world.run(10);
    assert!(tagged(&world, "us-central1").is_some());
    assert_eq!(tagged(&world, "us-west4"), None);
}

#[test]
fn who_goes_back_to_it_keeps_nothing_warm() {
    let mut world = warm(&["us-central1"]);
    promote(&mut world, "app:2");
    world.run(5);
    let back = world.status().promoted[1].undo_token.clone().unwrap();
    world.ask(Request::Undo, &back);
    world.run(20);
    assert_eq!((world.weights("app:1"), tagged(&world, "us-central1")), (vec![100], None));
}

#[test]
fn one_that_somebody_went_back_from_is_not_kept_though_the_template_says_so_too() {
    let mut world = warm(&["us-central1"]);
    promote(&mut world, "app:2");
    world.run(5);
    // An instant return, by Git.
    world.release("app:1", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:1") == [100]);
    world.run(20);
    assert_eq!(tagged(&world, "us-central1"), None);
}

#[test]
fn a_service_that_is_let_go_keeps_nothing_warm() {
    let mut world = warm(&["us-central1"]);
    promote(&mut world, "app:2");
    world.run(5);
    assert!(tagged(&world, "us-central1").is_some());
    world.rollout.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
    world.run(10);
    assert_eq!(tagged(&world, "us-central1"), None);
    assert_eq!(world.weights("app:2"), [100]);
}

#[test]
fn a_tag_that_is_a_persons_stays_where_none_is_asked_for() {
    let mut world = World::promoted(&["us-central1"]);
    let stable = world.status().stable.unwrap().revision;
    world.cloud.get_mut("us-central1").unwrap().traffic.push(super::adopt::to(&stable, 0, Some("kept-warm")));
    world.run(20);
    assert_eq!(tagged(&world, "us-central1"), Some(stable));
}

#[test]
fn a_tag_that_google_refuses_is_in_nobodys_way() {
    let mut world = warm(&["us-central1"]);
    promote(&mut world, "app:2");
    let seen = world.observe();
    let refused = crate::resource::FailedWrite {
        fault: crate::cloud::Fault { class: crate::cloud::FaultClass::Permanent, message: "no such tag".into() },
        tries: 1,
        at: world.now,
    };
    let id = seen.regions[0].id.clone();
    world.failed_writes.insert(crate::resource::ResourceId::Service(id), refused);
    world.run(10);
    assert_eq!((world.phase(), tagged(&world, "us-central1")), (RolloutPhase::Promoted, None));
    assert!(world.status().conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
}
