//! Settings that others change past Orchestra.

use super::*;
use crate::plan::Event;

fn described() -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.rollout.spec.description = Some("ours".into());
    world.run(20);
    world.events.clear();
    world
}

fn told(world: &World) -> Vec<&Event> {
    world.events.iter().filter(|event| event.reason == "SettingsCorrected").collect()
}

#[test]
fn what_others_change_is_put_back_and_told_with_who() {
    let mut world = described();
    let view = world.cloud.get_mut("us-west4").unwrap();
    (view.settings.description, view.modified_by) = ("theirs".into(), Some("ann@example.com".into()));
    world.run(20);
    assert_eq!(world.cloud["us-west4"].settings.description, "ours");
    let told: Vec<&str> = told(&world).iter().map(|event| event.note.as_str()).collect();
    let wanted = "us-west4: settings were changed past Orchestra (last written by ann@example.com), and go back to what the spec \
                  says: description: theirs → ours";
    assert_eq!(told, [wanted]);
}

#[test]
fn what_the_spec_changes_is_nobody_elses_doing() {
    for description in [Some("another".to_string()), None] {
        let mut world = described();
        world.rollout.spec.description = description.clone();
        world.run(20);
        assert_eq!(world.cloud["us-west4"].settings.description, description.unwrap_or_default());
        assert!(told(&world).is_empty(), "{:?}", told(&world));
    }
}

#[test]
fn a_way_back_waits_for_no_annotation_that_google_refuses() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|world| world.weights("app:2") == [10]);
    world.rollout.spec.annotations.insert("on call".into(), "shop".into());
    let mut back = None;
    while back.is_none() {
        let plan = plan(&world.observe());
        back = plan.effects.into_iter().find_map(|effect| match effect {
            crate::plan::Effect::UpdateService { change, .. } if change.traffic.is_some() => Some(change),
            _ => None,
        });
        world.run(1);
        // Google takes it for no annotation.
        world.cloud.get_mut("us-central1").unwrap().marks.others.remove("on call");
    }
    let others = back.and_then(|change| change.marks).unwrap().others;
    assert!(!others.contains_key("on call"), "{others:?}");
}

#[test]
fn invokers_that_others_take_away_are_granted_again_and_told() {
    let invoker = "serviceAccount:shop@cherry-ai-project.iam.gserviceaccount.com";
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.rollout.spec.access =
        Some(orchestra_crds::Access { invokers: Some(vec![invoker.into()]), ..Default::default() });
    world.run(20);
    assert!(told(&world).is_empty(), "{:?}", told(&world));
    world.policies.get_mut("us-west4").unwrap().bindings.clear();
    world.run(20);
    assert_eq!(world.policies["us-west4"].bindings[0].members, [invoker]);
    let told: Vec<&str> = told(&world).iter().map(|event| event.note.as_str()).collect();
    let words = "us-west4: invokers were taken away past Orchestra, and are granted again as the spec says";
    assert_eq!(told, [format!("{words}: {invoker}")]);
}
