//! Statuses that were lost: the marks on the services tell where a release is.

use super::super::*;
use super::all_steps;
use super::model::{Traits, World};
use orchestra_crds::Request;

#[test]
fn with_the_status_wiped_in_the_middle_the_release_goes_on_where_it_was() {
    for weight in [10, 50] {
        let mut world = World::promoted(&["us-central1", "us-west4"]);
        world.release("app:2", Traits::default());
        world.run_until(|w| w.weights("app:2") == [weight, 0]);
        world.rollout.status = None;
        world.run(400);
        assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100, 100]));
        assert_eq!(world.writes, all_steps(&["us-central1", "us-west4"]), "no step is repeated");
    }
}

#[test]
fn with_the_status_wiped_after_a_rollback_the_failed_revision_stays_out() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run(200);
    world.writes.clear();
    world.rollout.status = None;
    world.run(200);
    assert_eq!((world.phase(), world.writes.len()), (RolloutPhase::RolledBack, 0));
}

#[test]
fn with_the_status_wiped_and_a_region_down_nothing_is_written() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run(400);
    world.release("app:3", Traits::default());
    world.run_until(|w| w.weights("app:3") == [10, 0]);
    world.rollout.status = None;
    world.down = Some("us-central1");
    world.writes.clear();
    world.run(100);
    assert_eq!(world.writes.len(), 0, "the other region's marks still speak of app:1 as stable");
    world.down = None;
    world.run(400);
    assert_eq!((world.phase(), world.weights("app:3")), (RolloutPhase::Promoted, vec![100, 100]));
}

#[test]
fn with_the_status_wiped_and_a_region_down_the_way_back_is_open_in_the_other() {
    for aborted in [true, false] {
        let mut world = World::promoted(&["us-central1", "us-west4"]);
        world.release("app:2", Traits::default());
        world.run_until(|w| w.weights("app:2") == [100, 50]);
        let release = world.release_id();
        world.rollout.status = None;
        world.down = Some("us-central1");
        world.run(5);
        assert_eq!(world.weights("app:2"), [100, 50], "nobody asked for a way back");
        match aborted {
            true => world.ask(Request::Abort, &release),
            false => world.release("app:1", Traits::default()),
        }
        world.run(5);
        assert_eq!(world.weights("app:2"), [100, 0]);
        assert!(world.status().message.unwrap().contains("us-central1"));
        world.down = None;
        world.run_until(|w| w.weights("app:2") == [0, 0]);
        world.run(10);
        let phase = if aborted { RolloutPhase::RolledBack } else { RolloutPhase::Promoted };
        assert_eq!((world.phase(), world.weights("app:1")), (phase, vec![100, 100]));
    }
}

/// A release in its first region, with the status lost and the steps edited.
fn steps_lost() -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50, 0]);
    let steps = serde_json::json!([{"weight": 5, "holdSeconds": 60}, {"weight": 80}]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps = serde_json::from_value(steps).unwrap();
    world.generation();
    world.rollout.status = None;
    world.writes.clear();
    world.run(200);
    world
}

#[test]
fn with_the_status_wiped_and_the_steps_edited_the_candidate_stays_on_its_weight_and_a_person_is_asked() {
    let mut world = steps_lost();
    assert_eq!((world.phase(), world.weights("app:2"), world.writes.len()), (RolloutPhase::Paused, vec![50, 0], 0));
    assert_eq!(world.status().conditions[2].reason, "StrategyLost");
    let token = world.status().candidate.unwrap().promote_token.unwrap();
    world.ask(Request::Promote, &token);
    world.run(400);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100, 100]));
    assert_eq!(world.writes[0], "us-central1 app:1 20 app:2 80", "the spec's step after the one that it was on");
}

#[test]
fn with_the_status_wiped_and_the_steps_edited_an_abort_goes_back() {
    let mut world = steps_lost();
    world.ask(Request::Abort, &world.release_id());
    world.run(20);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0, 0]));
}

#[test]
fn with_the_status_wiped_and_the_steps_edited_a_bad_candidate_is_still_taken_back() {
    let mut world = steps_lost();
    world.traits.insert("app:2".into(), Traits { error_percent: 30, ..Traits::default() });
    world.run(200);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0, 0]));
}

#[test]
fn with_the_status_wiped_and_traffic_moved_by_hand_the_candidate_goes_back_to_its_step() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    let candidate = RevisionName::new(world.candidate()).unwrap();
    let service = world.cloud.get_mut("us-central1").unwrap();
    service.traffic = crate::traffic::all_to(&candidate, &service.traffic);
    service.serving = service.traffic.clone();
    world.rollout.status = None;
    world.writes.clear();
    world.run(400);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    assert_eq!(world.writes[0], "us-central1 app:1 90 app:2 10");
}

#[test]
fn marks_from_before_releases_had_numbers_speak_of_the_release_of_their_revision() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50, 0]);
    let marks = &mut world.cloud.get_mut("us-central1").unwrap().marks;
    let candidate = marks.candidate.as_mut().unwrap();
    (candidate.release.number, candidate.strategy, marks.last_release) = (0, None, 0);
    world.run(400);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100, 100]));
    assert_eq!(world.writes, all_steps(&["us-central1", "us-west4"]), "nothing is withdrawn, no step is repeated");
}

#[test]
fn with_the_status_wiped_what_failed_is_none_of_what_was_promoted() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2") == [100]);
    let service = world.cloud.get_mut("us-central1").unwrap();
    let before = service.marks.promoted[0].clone();
    let release = crate::names::ReleaseId { revision: before.revision, number: 1 };
    let news = crate::marks::News::Template(before.template.unwrap());
    service.marks = service.marks.clone().with_failed(&release, &news);
    world.rollout.status = None;
    world.release("app:1", Traits::default());
    world.run(50);
    assert_eq!(world.weights("app:1"), [0], "{:?}", world.status().message);
}

#[test]
fn with_the_status_wiped_a_region_that_is_to_come_is_not_late() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [100, 0]);
    world.now += jiff::SignedDuration::from_hours(5);
    world.rollout.status = None;
    world.run(400);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100, 100]));
}

#[test]
fn what_the_environment_broke_stays_known_though_a_gate_is_closed_when_the_status_is_lost() {
    let mut world = World::promoted(&["us-central1"]);
    world.traits.insert("app:1".into(), Traits { error_percent: 50, ..Traits::default() });
    world.set_default("bad");
    world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
    world.writes.clear();
    world.rollout.status = None;
    world.rollout.spec.scaling =
        Some(orchestra_crds::Scaling { min_instances: Some(9), max_instances: Some(3), ..Default::default() });
    world.run(3);
    world.rollout.spec.scaling = None;
    world.run(200);
    assert_eq!((world.phase(), &world.writes), (RolloutPhase::RolledBack, &vec![]));
}

#[test]
fn a_template_that_was_promoted_after_it_had_failed_has_not_failed_when_the_status_is_lost() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
    world.traits.insert("app:2".into(), Traits::default());
    let failed = world.status().latches[0].release.clone();
    world.ask(Request::Retry, &failed);
    world.run_until(|w| w.weights("app:2") == [100] && w.phase() == RolloutPhase::Promoted);
    world.rollout.metadata.annotations = None;
    world.rollout.status = None;
    world.run(5);
    assert_eq!((world.phase(), world.status().latches), (RolloutPhase::Promoted, vec![]));
    world.set_default("rotated");
    world.writes.clear();
    world.run(200);
    assert_eq!((world.phase(), world.writes.len()), (RolloutPhase::Promoted, 4), "{:?}", world.writes);
}

#[test]
fn marks_from_before_news_were_get_them_while_the_status_knows() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
    world.cloud.get_mut("us-central1").unwrap().marks.failed[0].news = None;
    world.run(3);
    assert!(world.cloud["us-central1"].marks.failed[0].news.is_some(), "a lost status must not lose what failed");
    world.cloud.get_mut("us-central1").unwrap().marks.failed.clear();
    world.run(3);
    assert_eq!(world.cloud["us-central1"].marks.failed.len(), 1);
}

#[test]
fn what_failed_stays_known_though_the_service_that_it_was_in_is_deleted_and_the_status_lost() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
    world.run(5);
    world.cloud.remove("us-central1");
    world.deployed.retain(|(region, _)| region != "us-central1");
    world.rollout.status = None;
    world.writes.clear();
    world.run(200);
    assert!(world.writes.iter().all(|write| !write.contains("app:2")), "{:?}", world.writes);
}

#[test]
fn marks_that_were_stripped_know_again_of_each_release_that_failed() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    for _ in 0..2 {
        world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
        let failed = world.status().latches[0].release.clone();
        world.ask(Request::Retry, &failed);
        world.run_until(|w| w.status().candidate.is_some());
    }
    world.run_until(|w| w.phase() == RolloutPhase::RolledBack);
    world.cloud.values_mut().for_each(|service| service.marks = crate::marks::Marks::default());
    world.run(5);
    world.rollout.status = None;
    world.run(5);
    let known: Vec<u32> = world.cloud["us-west4"].marks.failed.iter().map(|mark| mark.release.number).collect();
    assert_eq!(known, [2, 3, 4]);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
}

#[test]
fn what_failed_is_marked_where_a_release_is_still_to_come_also_beside_it() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits { error_percent: 30, ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    // What the environment changes goes out on stable's template, and what failed is asked for all the time.
    world.set_default("debug");
    world.run_until(|world| world.status().candidate.is_some());
    world.run(3);
    for service in world.cloud.values_mut() {
        service.marks.failed.iter_mut().for_each(|failed| failed.news = None);
    }
    world.run(3);
    assert!(world.status().candidate.is_some());
    assert!(world.cloud.values().all(|service| service.marks.failed.iter().all(|failed| failed.news.is_some())));
}

#[test]
fn what_failed_is_marked_everywhere_at_once() {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits { error_percent: 50, ..Traits::default() });
    world.run_until(|w| w.phase() == RolloutPhase::RollingBack);
    world.cloud.remove("us-central1");
    world.rollout.status = None;
    world.run(100);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    assert!(world.weights("app:2").iter().all(|weight| *weight == 0), "it is not released again");
}

/// Seed 700010675: traffic moved by hand to nothing or everything, and the marks stripped with it.
#[test]
fn marks_stripped_from_traffic_moved_by_hand_put_the_candidate_on_the_step_that_it_was_seen_on() {
    for share in [0, 100] {
        let mut world = World::promoted(&["us-central1"]);
        let steps = serde_json::json!([
            {"pause": {"durationSeconds": 60}}, {"weight": 27, "holdSeconds": 60}, {"pause": {"durationSeconds": 300}},
            {"weight": 65, "holdSeconds": 60},
        ]);
        world.rollout.spec.strategy = serde_json::from_value(serde_json::json!({"canary": {"steps": steps}})).unwrap();
        world.release("app:2", Traits::default());
        world.run_until(|w| w.status().step.as_deref() == Some("3/4"));
        let candidate = RevisionName::new(world.candidate()).unwrap();
        let stable = RevisionName::new(world.status().stable.unwrap().revision).unwrap();
        let service = world.cloud.get_mut("us-central1").unwrap();
        service.traffic = crate::traffic::split(&stable, &candidate, crate::names::Percent::clamped(share), &[]);
        service.serving = service.traffic.clone();
        service.marks = crate::marks::Marks::default();
        world.writes.clear();
        world.run(400);
        assert_eq!(world.phase(), RolloutPhase::Promoted);
        assert_eq!(world.writes[1], "us-central1 app:1 73 app:2 27", "from {share} %: {:?}", world.writes);
    }
}

/// A step that the traffic contradicts, as a restored or an edited status may have it, is not waited for without end.
#[test]
fn a_remembered_step_that_can_not_be_in_effect_gives_way_to_the_one_that_is() {
    let mut world = World::promoted(&["us-central1"]);
    let steps = serde_json::json!([
        {"pause": {"durationSeconds": 60}}, {"weight": 27, "holdSeconds": 60}, {"weight": 65, "holdSeconds": 60},
    ]);
    world.rollout.spec.strategy = serde_json::from_value(serde_json::json!({"canary": {"steps": steps}})).unwrap();
    world.release("app:2", Traits::default());
    world.run_until(|w| w.status().step.as_deref() == Some("1/3"));
    world.rollout.status.as_mut().unwrap().regions[0].step.as_mut().unwrap().number = 3;
    world.run(400);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
}
