//! What is ours, what was set and granted, and what is taken back.

use orchestra_crds::{Access, BinaryAuthorization, Scaling, Switch};

use super::*;

#[test]
fn a1_a_service_whose_marks_were_taken_off_is_marked_again_and_rolled_back() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10, 0]);
    world.cloud.get_mut("us-central1").unwrap().marks = Marks::default();
    world.run(1);
    let told = world.status();
    assert!(!told.message.unwrap().contains("all requests go to"), "nothing is claimed that was not seen");
    world.ask(Request::Abort, &world.release_id());
    world.run(10);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0, 0]));
    let owner = world.cloud["us-central1"].marks.owner.as_ref();
    assert_eq!(owner.and_then(|owner| owner.uid.as_deref()), Some("u-1"));
}

#[test]
fn a1_left_alone_the_release_goes_on_from_its_step() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    world.cloud.get_mut("us-central1").unwrap().marks = Marks::default();
    world.writes.clear();
    world.run(300);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]));
    assert_eq!(world.writes, ["us-central1 app:1 50 app:2 50", "us-central1 app:2 100"], "marked again, then on");
}

#[test]
fn a6_what_was_set_and_is_no_longer_wanted_is_taken_back() {
    let mut world = World::promoted(&["us-central1"]);
    let scaling = Scaling { min_instances: Some(3), max_instances: Some(9), ..Default::default() };
    world.rollout.spec.scaling = Some(scaling);
    world.environment.as_mut().unwrap().spec.labels.insert("team".into(), "shop".into());
    world.run(10);
    let settings = world.cloud["us-central1"].settings.clone();
    assert_eq!((settings.min_instances, settings.max_instances), (3, Some(9)));
    assert_eq!(settings.labels["team"], "shop");
    let service = world.cloud.get_mut("us-central1").unwrap();
    service.settings.labels.insert("others".into(), "stays".into());
    world.rollout.spec.scaling = None;
    let environment = world.environment.as_mut().unwrap();
    environment.spec.labels.clear();
    environment.spec.access = None;
    world.run(20);
    let settings = world.cloud["us-central1"].settings.clone();
    assert_eq!((settings.min_instances, settings.max_instances), (0, None));
    assert!(!settings.labels.contains_key("team") && settings.labels.contains_key("others"), "{:?}", settings.labels);
    assert!(world.policies["us-central1"].bindings.is_empty(), "allUsers is revoked");
    let granted = world.status().granted.unwrap();
    assert!(granted.invokers.is_empty() && granted.min_instances.is_none() && !granted.labels.contains_key("team"));
}

/// What a Rollout can ask of its service, beside scaling and ingress.
fn asked_of_the_service(world: &mut World) {
    let spec = &mut world.rollout.spec;
    spec.description = Some("what customers pay with".into());
    spec.labels = [("tier".into(), "one".into())].into();
    spec.annotations = [("shop.example/page".into(), "pay".into())].into();
    spec.scaling = Some(Scaling { manual_instances: Some(4), ..Scaling::default() });
    spec.binary_authorization = Some(BinaryAuthorization { use_default: true, ..BinaryAuthorization::default() });
    spec.access = Some(Access {
        invoker_iam_check: Some(Switch::Disabled),
        default_address: Some(Switch::Disabled),
        iap: Some(Switch::Enabled),
        custom_audiences: Some(vec!["pay".into()]),
        ..Access::default()
    });
}

#[test]
fn each_setting_of_a_service_is_set_without_a_release_and_taken_back() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    let before = world.cloud["us-central1"].clone();
    let (environment, spec) = (world.environment.as_mut().unwrap(), world.rollout.spec.clone());
    let scaling = Scaling { min_instances: Some(1), max_instances: Some(9), ..Scaling::default() };
    environment.spec.defaults.get_or_insert_default().scaling = Some(scaling);
    world.run(10);
    asked_of_the_service(&mut world);
    world.run(10);
    let set = &world.cloud["us-west4"];
    assert_eq!(set.marks.others, world.rollout.spec.annotations);
    let kinds = before.settings.changes_to(&set.settings).len();
    assert_eq!(kinds, 8, "all but scaling by requests and ingress: {:?}", set.settings);
    assert_eq!((set.settings.min_instances, set.settings.max_instances), (0, None), "the other kind is taken back");
    assert_eq!(set.template_revision, before.template_revision, "no release");
    let writes = world.writes.len();
    world.run(60);
    assert_eq!(world.writes.len(), writes, "the steady state writes nothing");

    let others = world.cloud.get_mut("us-west4").unwrap();
    others.settings.custom_audiences.insert("theirs".into());
    others.settings.description = "by hand".into();
    others.marks.others.insert("their.example/note".into(), "stays".into());
    world.rollout.spec = spec;
    world.environment.as_mut().unwrap().spec.defaults.as_mut().unwrap().scaling = None;
    world.run(20);
    assert_eq!(world.cloud["us-central1"].settings, before.settings);
    assert_eq!(world.cloud["us-central1"].marks, before.marks);
    let left = &world.cloud["us-west4"];
    assert_eq!(left.settings.custom_audiences, ["theirs".into()].into());
    assert_eq!(left.settings.description, "by hand", "who wrote over it owns it");
    assert_eq!(left.marks.others.keys().collect::<Vec<_>>(), ["their.example/note"]);
    let granted = world.status().granted.unwrap();
    assert!(granted.annotations.is_empty() && granted.manual_instances.is_none(), "{granted:?}");
}

#[test]
fn settings_go_with_a_release_that_writes_anyway() {
    let mut world = World::promoted(&["us-central1"]);
    asked_of_the_service(&mut world);
    world.release("app:2", Traits::default());
    world.writes.clear();
    world.run_until(|world| !world.writes.is_empty());
    assert_eq!(world.cloud["us-central1"].marks.others, world.rollout.spec.annotations);
    assert_eq!(world.cloud["us-central1"].settings.manual_instances, Some(4));
    assert_eq!(world.writes, ["us-central1 deploy, app:1 100"], "one write");
}

#[test]
fn a6_members_that_others_granted_stay_when_the_spec_no_longer_names_them() {
    let mut world = World::new(&["us-central1"]);
    let binding = crate::cloud::Binding {
        role: "roles/run.invoker".into(),
        members: vec!["allUsers".into(), "user:ann@example.com".into()],
        condition: None,
    };
    let policy = crate::cloud::PolicyView { etag: crate::names::Etag("p".into()), bindings: vec![binding] };
    world.policies.insert("us-central1".into(), policy.clone());
    world.run(40);
    world.environment.as_mut().unwrap().spec.access = None;
    world.run(20);
    assert_eq!(world.policies["us-central1"], policy);
}

#[test]
fn a7_a_region_that_leaves_is_let_go_by_policy_and_shown_until_then() {
    for delete in [false, true] {
        let mut world = World::promoted(&["us-central1", "us-west4"]);
        let environment = world.environment.as_mut().unwrap();
        environment.spec.regions.pop();
        environment.spec.deletion_policy =
            if delete { orchestra_crds::DeletionPolicy::Delete } else { orchestra_crds::DeletionPolicy::Retain };
        world.run(1);
        assert_eq!(world.status().regions.len(), 2, "it is shown until it is done");
        world.run(20);
        assert_eq!((world.phase(), world.status().regions.len()), (RolloutPhase::Promoted, 1));
        match delete {
            true => assert!(!world.cloud.contains_key("us-west4")),
            false => assert_eq!(world.cloud["us-west4"].marks.owner.as_ref().unwrap().uid, None),
        }
        let history = world.status().history.len();
        world.environment.as_mut().unwrap().spec.regions.push("us-west4".into());
        world.run(40);
        assert_eq!((world.status().history.len(), world.weights("app:1")), (history, vec![100, 100]), "no release");
    }
}

#[test]
fn a7_a_region_that_leaves_in_the_middle_of_a_release_goes_back_first() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [100, 10]);
    world.environment.as_mut().unwrap().spec.regions.pop();
    world.run(40);
    assert_eq!(world.weights("app:2"), [100, 0]);
    assert_eq!((world.phase(), world.status().regions.len()), (RolloutPhase::Promoted, 1));
}

#[test]
fn a12_a_revision_of_our_name_with_other_content_is_never_used() {
    let mut world = World::promoted(&["us-central1"]);
    let name = {
        let mut other = World::promoted(&["us-central1"]);
        other.release("app:2", Traits::default());
        other.run_until(|w| w.status().candidate.is_some());
        other.candidate()
    };
    world.revisions.insert(name.clone(), "theirs:1".into());
    world.deployed.insert(("us-central1".into(), name.clone()));
    world.release("app:2", Traits::default());
    world.run(300);
    assert_eq!((world.phase(), world.weights("theirs:1")), (RolloutPhase::Promoted, vec![0]));
    assert_eq!(world.status().stable.unwrap().revision, format!("{name}-2"));
}

#[test]
fn a17_a_mark_that_is_not_understood_stalls_and_touches_nothing() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    world.cloud.get_mut("us-central1").unwrap().marks.unknown = Some("marks: 3".into());
    world.writes.clear();
    world.traits.insert("app:2".into(), bad());
    world.run(50);
    assert_eq!((world.writes.len(), reason(&world).as_str()), (0, "MarksNotUnderstood"));
    world.rollout.status = None;
    world.run(50);
    assert_eq!((world.writes.len(), world.weights("app:2")), (0, vec![50]));
}

#[test]
fn b7_members_compare_as_google_does() {
    let mut world = World::new(&["us-central1"]);
    let access = serde_json::json!({"invokers": ["user:Ann@Example.com"]});
    world.environment.as_mut().unwrap().spec.access = serde_json::from_value(access).unwrap();
    world.run(40);
    world.policies.get_mut("us-central1").unwrap().bindings[0].members = vec!["user:ann@example.com".into()];
    world.writes.clear();
    world.run(20);
    assert_eq!(world.writes, Vec::<String>::new(), "the policy is not written again and again");
    world.environment.as_mut().unwrap().spec.access = None;
    world.run(20);
    assert!(world.policies["us-central1"].bindings.is_empty(), "it is revoked all the same");
}

#[test]
fn b8_traffic_that_was_changed_by_hand_is_put_back_with_a_warning() {
    for mid_release in [false, true] {
        let mut world = World::promoted(&["us-central1"]);
        if mid_release {
            world.release("app:2", Traits::default());
            world.run_until(|w| w.weights("app:2") == [10]);
            world.run(1);
        }
        let service = world.cloud.get_mut("us-central1").unwrap();
        let latest = crate::cloud::TrafficTarget { to: Target::Latest, percent: Percent::ALL, tag: None };
        service.traffic = vec![latest];
        service.serving = service.traffic.clone();
        world.events.clear();
        world.run(1);
        let event = world.events.iter().find(|event| event.reason == "TrafficCorrected").unwrap();
        assert!(event.note.contains("spec.paused"), "how to keep it is said: {}", event.note);
    }
}
