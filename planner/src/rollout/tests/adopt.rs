//! Services that others had made.

use super::*;
use crate::cloud::{ServiceSettings, ServiceView, Target, TrafficTarget};
use crate::marks::{Marks, Owner};
use crate::names::{Etag, Percent, RevisionName};
use orchestra_crds::{ADOPT_UID, Adopt, DeletionPolicy};

pub(super) const THEIRS: &str = "api-00007-kab";

pub(super) fn to(name: &str, percent: i32, tag: Option<&str>) -> TrafficTarget {
    let to = match name {
        "LATEST" => Target::Latest,
        name => Target::Revision(RevisionName::new(name).unwrap()),
    };
    TrafficTarget { to, percent: Percent::clamped(percent), tag: tag.map(String::from) }
}

/// A service as gcloud makes it, which runs that, with a tag of somebody's.
pub(super) fn made_by_others(world: &mut World, region: &str, name: &str, image: &str) {
    world.revisions.insert(name.into(), image.into());
    world.deployed.insert((region.into(), name.into()));
    let labels = [("team".to_string(), "shop".to_string())].into();
    let view = ServiceView {
        etag: Etag("1".into()),
        uid: Some(format!("theirs-{region}")),
        settled: true,
        marks: Marks { others: [("their.example/note".into(), "kept".into())].into(), ..Marks::default() },
        template_revision: Some(RevisionName::new(name).unwrap()),
        newest: Some(RevisionName::new(name).unwrap()),
        traffic: vec![to("LATEST", 100, None), to(name, 0, Some("mine"))],
        serving: vec![to(name, 100, None), to(name, 0, Some("mine"))],
        settings: ServiceSettings {
            labels,
            min_instances: 2,
            description: "theirs".into(),
            ..ServiceSettings::default()
        },
        url: None,
        trouble: None,
        settled_at: Some(world.now),
        written_at: Some(world.now),
        modified_by: None,
        health_check_disabled: false,
    };
    world.cloud.insert(region.into(), view);
}

pub(super) fn names_it(world: &mut World) {
    world.rollout.spec.adopt = Some(Adopt { service: "api".into() });
}

pub(super) fn reason(world: &World) -> String {
    world.status().conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap().reason
}

/// Taken over, by one write.
pub(super) fn adopted() -> World {
    let mut world = World::new(&["us-central1"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app:1");
    names_it(&mut world);
    world.run(20);
    world
}

#[test]
fn what_no_rollout_owns_is_left_alone_until_the_spec_names_it() {
    let mut world = World::new(&["us-central1"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app:1");
    world.run(10);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    assert_eq!(reason(&world), "ServiceNotOurs");
    let message = world.status().message.unwrap();
    assert!(message.contains("set spec.adopt.service: api"), "{message}");
    names_it(&mut world);
    world.run(20);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
}

#[test]
fn it_is_taken_over_by_one_write_that_makes_no_revision_and_moves_no_request() {
    let mut world = adopted();
    assert_eq!(world.writes, ["us-central1 app:1 100 app:1 0"], "{:?}", world.status());
    let view = &world.cloud["us-central1"];
    assert_eq!(view.traffic, [to(THEIRS, 100, None), to(THEIRS, 0, Some("mine"))]);
    assert_eq!(view.template_revision, Some(RevisionName::new(THEIRS).unwrap()));
    assert_eq!(
        (view.settings.min_instances, view.settings.description.as_str()),
        (2, "theirs"),
        "kept until the spec says"
    );
    assert_eq!(
        (&view.settings.labels["team"], &view.marks.others["their.example/note"]),
        (&"shop".into(), &"kept".into())
    );
    assert_eq!((world.phase(), reason(&world).as_str()), (RolloutPhase::Promoted, "Promoted"));
    let record = &world.status().history[0];
    assert_eq!((record.outcome, record.message.as_str()), (Outcome::Adopted, "it was taken over as it runs"));
    assert!(world.status().adopted_since.is_some());
    world.rollout.spec.adopt = None;
    world.run(50);
    assert_eq!(world.writes.len(), 1, "{:?}", world.writes);
}

#[test]
fn a_canary_on_it_fails_and_goes_back_and_another_is_promoted_and_undone() {
    let mut world = adopted();
    world.release("app:2", Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert_eq!(world.weights("app:1"), [100]);
    world.release("app:3", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:3") == [100]);
    let back = world.status().promoted.into_iter().find(|promoted| promoted.revision == THEIRS).unwrap();
    world.ask(Request::Undo, &back.undo_token.unwrap());
    world.run(10);
    assert_eq!(world.weights("app:1"), [100]);
    let status = world.status();
    assert_eq!(status.history.iter().filter(|record| record.outcome == Outcome::Adopted).count(), 1);
}

#[test]
fn to_return_to_its_template_makes_no_revision() {
    let mut world = adopted();
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    let known = world.revisions.len();
    world.release("app:1", Traits::default());
    world.run(10);
    assert_eq!((world.weights("app:1"), world.revisions.len()), (vec![100], known));
    assert_eq!(world.phase(), RolloutPhase::Promoted);
}

#[test]
fn a_template_that_says_otherwise_is_told_and_released_step_by_step() {
    let mut world = World::new(&["us-central1"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app:0");
    names_it(&mut world);
    world.run_until(|world| world.weights("app:1") == [10]);
    let record = &world.status().history[0];
    assert_eq!(record.outcome, Outcome::Adopted);
    assert!(record.message.contains("the template says otherwise of image"), "{}", record.message);
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:1") == [100]);
    let steps: Vec<&str> = world.writes.iter().map(String::as_str).collect();
    assert_eq!(steps[0], "us-central1 app:0 100 app:0 0");
    assert!(steps.contains(&"us-central1 app:0 90 app:1 10 app:0 0"), "{steps:?}");
}

#[test]
fn with_the_status_lost_at_any_time_nothing_else_is_made_of_it() {
    for passes in 1..12 {
        let mut world = World::new(&["us-central1"]);
        made_by_others(&mut world, "us-central1", THEIRS, "app:1");
        names_it(&mut world);
        world.run(passes);
        world.rollout.status = None;
        world.run(30);
        assert_eq!((world.phase(), world.revisions.len()), (RolloutPhase::Promoted, 1), "{passes}");
        assert_eq!(world.weights("app:1"), [100]);
    }
    // The marks, not the status.
    let mut world = adopted();
    world.cloud.get_mut("us-central1").unwrap().marks = Marks::default();
    world.run(30);
    assert_eq!((world.phase(), world.revisions.len()), (RolloutPhase::Promoted, 1));
    assert!(world.cloud["us-central1"].marks.adopted.is_some());
}

#[test]
fn split_requests_are_waited_for_and_two_names_are_told() {
    let mut world = World::new(&["us-central1"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app:1");
    world.revisions.insert("api-00008-new".into(), "app:8".into());
    let view = world.cloud.get_mut("us-central1").unwrap();
    view.serving = vec![to(THEIRS, 90, None), to("api-00008-new", 10, None)];
    view.traffic = view.serving.clone();
    names_it(&mut world);
    world.run(10);
    assert!(world.writes.is_empty());
    let message = world.status().message.unwrap();
    assert!(message.contains("split between `api-00007-kab` and `api-00008-new`"), "{message}");
    let view = world.cloud.get_mut("us-central1").unwrap();
    view.serving = vec![to(THEIRS, 100, None)];
    view.traffic = view.serving.clone();
    world.run(20);
    assert_eq!(world.phase(), RolloutPhase::Promoted);

    let mut two = World::new(&["us-central1", "us-west4"]);
    made_by_others(&mut two, "us-central1", THEIRS, "app:1");
    made_by_others(&mut two, "us-west4", "api-00003-xyz", "app:1");
    names_it(&mut two);
    two.run(20);
    assert!(two.writes.is_empty(), "{:?}", two.writes);
    assert_eq!(reason(&two), "AdoptionBlocked");
    made_by_others(&mut two, "us-west4", THEIRS, "app:1");
    two.run(20);
    assert_eq!((two.phase(), two.writes.len()), (RolloutPhase::Promoted, 2));
}

#[test]
fn what_others_had_made_is_never_deleted() {
    let mut world = adopted();
    world.environment.as_mut().unwrap().spec.deletion_policy = DeletionPolicy::Delete;
    world.rollout.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
    world.run(60);
    assert_eq!(world.rollout.metadata.finalizers, Some(vec![]));
    let view = &world.cloud["us-central1"];
    assert_eq!((view.marks.owner.as_ref().unwrap().uid.as_deref(), view.traffic[0].percent), (None, Percent::ALL));
}

#[test]
fn a_mark_of_a_lost_cluster_or_of_an_earlier_name_is_taken_over_by_its_uid() {
    for name in ["shop/api", "shop/payments"] {
        let mut world = World::promoted(&["us-central1"]);
        let before = world.cloud["us-central1"].clone();
        world.release("app:2", Traits::default());
        world.run_until(|world| world.weights("app:2") == [10]);
        let owner = Some(Owner { name: name.into(), uid: Some("u-of-before".into()) });
        world.cloud.get_mut("us-central1").unwrap().marks.owner = owner;
        world.rollout.status = None;
        names_it(&mut world);
        world.writes.clear();
        world.run(10);
        assert!(world.writes.is_empty(), "the first mark wins: {:?}", world.writes);
        let message = world.status().message.unwrap();
        assert!(message.contains(&format!("belongs to the Rollout `{name}` (UID u-of-before)")), "{message}");
        assert!(message.contains(ADOPT_UID), "{message}");
        let annotations = world.rollout.metadata.annotations.get_or_insert_default();
        annotations.insert(ADOPT_UID.into(), "u-of-before".into());
        world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
        assert_eq!(world.cloud["us-central1"].uid, before.uid);
        assert!(!world.writes.iter().any(|write| write.contains("deploy")), "{:?}", world.writes);
    }
}

#[test]
fn a_mark_of_another_namespace_is_never_taken_over() {
    let mut world = World::promoted(&["us-central1"]);
    let owner = Some(Owner { name: "other/api".into(), uid: Some("u-9".into()) });
    world.cloud.get_mut("us-central1").unwrap().marks.owner = owner;
    world.rollout.metadata.annotations.get_or_insert_default().insert(ADOPT_UID.into(), "u-9".into());
    names_it(&mut world);
    world.writes.clear();
    world.run(30);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    assert_eq!(reason(&world), "ServiceNotOurs");
}

#[test]
fn what_others_deploy_past_orchestra_is_told_with_who_and_gets_nothing() {
    let mut world = adopted();
    world.revisions.insert("api-00009-ann".into(), "app:9".into());
    world.deployed.insert(("us-central1".into(), "api-00009-ann".into()));
    world.cloud.get_mut("us-central1").unwrap().newest = Some(RevisionName::new("api-00009-ann").unwrap());
    world.writes.clear();
    world.run(5);
    assert!(world.writes.is_empty());
    let told = |world: &World| world.status().regions[0].deployed_by_others.clone();
    assert_eq!(told(&world).as_deref(), Some("`api-00009-ann` by ann@example.com"));
    let message = world.status().message.unwrap();
    assert!(
        message.contains("deployed past Orchestra, and without requests: `api-00009-ann` by ann@example.com"),
        "{message}"
    );
    world.run(40);
    let events = world.events.iter().filter(|event| event.reason == "DeployedByOthers").count();
    assert_eq!(events, 1);
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100]);
    assert_eq!(told(&world), None, "ours is the newest again");
}

#[test]
fn who_changes_the_traffic_is_told() {
    let mut world = adopted();
    world.revisions.insert("api-00009-ann".into(), "app:9".into());
    let view = world.cloud.get_mut("us-central1").unwrap();
    view.traffic = vec![to("api-00009-ann", 100, None)];
    view.serving = view.traffic.clone();
    view.modified_by = Some("ann@example.com".into());
    world.run(1);
    let message = world.status().message.unwrap();
    assert!(
        message.contains("the traffic was changed past Orchestra (last written by ann@example.com); it goes back to"),
        "{message}"
    );
}

#[test]
fn what_others_made_in_another_region_stops_no_way_back() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    names_it(&mut world);
    world.release("app:2", Traits { error_percent: 20, ..Traits::default() });
    world.run_until(|world| world.weights("app:2")[0] == 10);
    // Somebody made the other region's service anew.
    made_by_others(&mut world, "us-west4", "api-00001-new", "theirs:1");
    world.run_until(|world| world.weights("app:2")[0] == 0);
    assert!(world.writes.iter().all(|write| !write.starts_with("us-west4 theirs")), "{:?}", world.writes);
}

#[test]
fn one_that_is_half_done_is_finished() {
    let mut world = World::new(&["us-central1", "us-west4"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app:1");
    made_by_others(&mut world, "us-west4", THEIRS, "app:1");
    let untouched = world.cloud["us-west4"].clone();
    names_it(&mut world);
    world.run_until(|world| !world.writes.is_empty());
    // The write in the other region was lost.
    world.cloud.insert("us-west4".into(), untouched);
    world.run(20);
    assert_eq!(world.phase(), RolloutPhase::Promoted, "{:?}", world.status().message);
    assert!(world.cloud["us-west4"].marks.adopted.is_some());
    assert_eq!(world.revisions.len(), 1);
}

#[test]
fn a_tag_says_nothing_of_a_digest_that_runs() {
    let mut world = World::new(&["us-central1"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app@sha256:0000");
    world.rollout.spec.template.containers[0].image = "app:2".into();
    names_it(&mut world);
    world.run_until(|world| world.weights("app:2") == [10]);
    assert!(world.status().history[0].message.contains("image"), "{}", world.status().history[0].message);
}

#[test]
fn a_service_that_another_name_let_go_of_is_taken_over_where_the_spec_names_it() {
    let mut world = World::promoted(&["us-central1"]);
    let owner = Some(Owner { name: "shop/payments".into(), uid: None });
    world.cloud.get_mut("us-central1").unwrap().marks.owner = owner;
    world.rollout.status = None;
    world.run(5);
    assert_eq!(reason(&world), "ServiceNotOurs");
    names_it(&mut world);
    world.run(20);
    assert_eq!((world.phase(), world.revisions.len()), (RolloutPhase::Promoted, 1));
}

#[test]
fn whose_marks_are_gone_for_a_moment_is_taken_by_nobody_who_waits_for_it() {
    let mut world = World::new(&["us-central1"]);
    made_by_others(&mut world, "us-central1", THEIRS, "app:1");
    let owner = Some(Owner { name: "shop/first".into(), uid: Some("u-first".into()) });
    world.cloud.get_mut("us-central1").unwrap().marks.owner = owner;
    names_it(&mut world);
    world.run(5);
    assert_eq!(reason(&world), "ServiceNotOurs");
    // A full write of somebody's drops the marks.
    world.cloud.get_mut("us-central1").unwrap().marks = Marks::default();
    world.run(20);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
}

#[test]
fn what_is_to_be_taken_over_and_is_not_there_is_not_made() {
    let mut world = World::new(&["us-central1", "us-west4"]);
    names_it(&mut world);
    world.run(10);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    let message = world.status().message.unwrap();
    assert!(message.contains("there is no Cloud Run service `api` to take over"), "{message}");
    made_by_others(&mut world, "us-central1", THEIRS, "app:1");
    world.run(10);
    assert!(world.writes.is_empty(), "in one of two regions: {:?}", world.writes);
    made_by_others(&mut world, "us-west4", THEIRS, "app:1");
    world.run(20);
    assert_eq!((world.phase(), world.writes.len()), (RolloutPhase::Promoted, 2));
}
