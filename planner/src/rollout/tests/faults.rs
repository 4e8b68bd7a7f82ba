//! Faults that inspection found, by their row: each test names the one that it keeps from coming back.

use jiff::SignedDuration;
use orchestra_crds::{Outcome, Request};

use super::super::*;
use super::model::{Traits, World};
use crate::cloud::{Fault, FaultClass, Target, Trouble};
use crate::marks::Marks;
use crate::names::Percent;
use crate::resource::{FailedWrite, ResourceId};
use crate::traffic::weight_of;

fn bad() -> Traits {
    Traits { error_percent: 50, ..Traits::default() }
}

fn reason(world: &World) -> String {
    world.status().conditions[2].reason.clone()
}

fn set_default(world: &mut World, value: &str) {
    let env = serde_json::json!({"env": [{"name": "LEVEL", "value": value}]});
    world.environment.as_mut().unwrap().spec.defaults = serde_json::from_value(env).unwrap();
}

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
fn a2_a_template_that_failed_is_not_released_again_by_a_change_of_the_environment() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    world.run(200);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    set_default(&mut world, "1");
    world.run(400);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0]));
    assert_eq!(world.weights("app:1"), [100], "the change goes out on stable's template");
    let status = world.status();
    assert_eq!((status.history[0].outcome, status.history[0].image.as_str()), (Outcome::Promoted, "app:1"));
    assert_eq!(status.latches.len(), 1);
    world.traits.insert("app:2".into(), Traits::default());
    world.ask(Request::Retry, &status.latches[0].release);
    world.run(400);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]), "a retry brings it back");
}

#[test]
fn a2_what_the_environment_broke_latches_that_and_the_next_good_one_starts_by_itself() {
    let mut world = World::promoted(&["us-central1"]);
    world.traits.insert("app:1".into(), bad());
    set_default(&mut world, "bad");
    world.run(200);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    assert!(world.status().latches[0].news.starts_with("inputs:"), "the user's template is not to blame");
    let writes = world.writes.len();
    world.run(100);
    assert_eq!(world.writes.len(), writes, "the same is not tried again");
    world.traits.insert("app:1".into(), Traits::default());
    set_default(&mut world, "good");
    world.run(300);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    assert_eq!(world.status().latches, vec![]);
}

#[test]
fn a2_an_unrelated_change_does_not_bring_a_bad_input_back() {
    let mut world = World::promoted(&["us-central1"]);
    world.traits.insert("app:1".into(), bad());
    set_default(&mut world, "bad");
    world.run(200);
    let both = serde_json::json!({"env": [{"name": "LEVEL", "value": "bad"}, {"name": "OTHER", "value": "1"}]});
    world.environment.as_mut().unwrap().spec.defaults = serde_json::from_value(both).unwrap();
    world.run(100);
    assert_eq!(world.phase(), RolloutPhase::RolledBack, "all of what was new in it is there again");
}

#[test]
fn a3_a_step_does_not_pass_while_the_evidence_leans_to_harm() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps[0].hold_seconds = Some(60);
    // Stable fails, too, so one minute is not sure enough for a rollback.
    world.stable_error_percent = 5;
    world.requests_per_minute = 12_000;
    world.release("app:2", Traits { error_percent: 40, ..Traits::default() });
    world.run(300);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0]));
    assert!(world.writes.iter().all(|write| !write.contains("app:2 50")), "{:?}", world.writes);
}

#[test]
fn a6_what_was_set_and_is_no_longer_wanted_is_taken_back() {
    let mut world = World::promoted(&["us-central1"]);
    let scaling = orchestra_crds::Scaling { min_instances: Some(3), max_instances: Some(9) };
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
fn a8_a_promote_of_an_earlier_release_of_the_same_template_skips_no_hold() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps[0].hold_seconds = Some(86_400);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.run_until(|w| w.status().candidate.unwrap().promote_token.is_some());
    let token = world.status().candidate.unwrap().promote_token.unwrap();
    world.ask(Request::Promote, &token);
    world.run_until(|w| w.weights("app:2") == [50]);
    world.release("app:1", Traits::default());
    world.run(20);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.run(200);
    assert_eq!(world.weights("app:2"), [10], "the old annotation is still there, and means another release");
}

#[test]
fn a8_an_abort_that_came_too_late_does_not_abort_a_later_release() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    let release = world.release_id();
    world.release("app:1", Traits::default());
    world.run(20);
    world.ask(Request::Abort, &release);
    world.release("app:2", Traits::default());
    world.run(300);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn a9_where_stable_cannot_start_and_serves_nobody_there_is_none() {
    let mut world = World::promoted(&["us-central1"]);
    world.traits.insert("app:1".into(), Traits { broken_in: Some("us-west4"), ..Traits::default() });
    world.environment.as_mut().unwrap().spec.regions.push("us-west4".into());
    world.run(30);
    // What can't start serves nobody.
    let service = world.cloud.get_mut("us-west4").unwrap();
    service.serving.clear();
    world.release("app:2", Traits::default());
    world.run(300);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100, 100]));
}

#[test]
fn a10_paused_either_way_a_broken_candidate_is_still_taken_back() {
    for by_annotation in [false, true] {
        let mut world = World::promoted(&["us-central1"]);
        world.release("app:2", Traits::default());
        world.run_until(|w| w.weights("app:2") == [10]);
        match by_annotation {
            true => world.ask(Request::Pause, &world.release_id()),
            false => world.rollout.spec.paused = true,
        }
        world.run(100);
        assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Paused, vec![10]), "{by_annotation}");
        world.traits.insert("app:2".into(), bad());
        world.run(100);
        assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::RolledBack, vec![0]), "{by_annotation}");
    }
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
fn a13_the_order_of_regions_is_frozen_with_the_release_and_no_minute_counts_twice() {
    let mut world = World::promoted(&["us-central1", "us-west4", "europe-west1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [0, 100, 10]);
    world.environment.as_mut().unwrap().spec.regions.swap(1, 2);
    world.run(20);
    assert_eq!(world.weights("app:2")[0], 0, "europe-west1 stays last");
    world.run(400);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    let minutes: i64 = world.status().regions.iter().map(|r| r.evidence[0].candidate.total).sum();
    let served = world.counted_requests;
    assert!(minutes <= served, "{minutes} counted of {served}");
}

#[test]
fn a14_a_write_that_fails_is_tried_again_soon_in_a_rollback_and_its_reason_stays() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    world.run_until(|w| w.phase() == RolloutPhase::RollingBack);
    let mut seen = world.observe();
    let fault = Fault { class: FaultClass::Retryable, message: "503 from Google".into() };
    let resource = ResourceId::Service(seen.regions[0].id.clone());
    seen.regions[0].service.as_mut().unwrap().as_mut().unwrap().traffic = crate::traffic::split(
        &RevisionName::new(world.status().stable.unwrap().revision).unwrap(),
        &RevisionName::new(world.status().failed.unwrap().revision).unwrap(),
        Percent::clamped(10),
        &[],
    );
    seen.failed_writes.insert(resource, FailedWrite { fault, tries: 9, at: seen.now - SignedDuration::from_secs(3) });
    let plan = plan(&seen);
    assert_eq!((plan.effects.len(), plan.urgency), (1, crate::plan::Urgency::Rollback));
    let message = plan.status.message.unwrap();
    assert!(message.contains("503 from Google") && message.contains("AnalysisFailed"), "B17: {message}");
    assert!(plan.next <= SignedDuration::from_secs(2));
}

#[test]
fn a16_a_deletion_that_takes_too_long_names_what_is_in_its_way() {
    let mut world = World::promoted(&["us-central1"]);
    world.environment.as_mut().unwrap().spec.deletion_policy = orchestra_crds::DeletionPolicy::Delete;
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now);
    world.rollout.metadata.deletion_timestamp = Some(now);
    let mut seen = world.observe();
    seen.now += SignedDuration::from_mins(31);
    let service = seen.regions[0].service.as_mut().unwrap().as_mut().unwrap();
    (service.settled, service.written_at) = (false, Some(seen.now));
    let told = plan(&seen).status;
    assert_eq!((told.conditions[2].reason.as_str(), told.conditions[2].status.as_str()), ("DeletionBlocked", "True"));
    assert!(told.message.unwrap().contains("us-central1"));
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
fn a17_a_status_value_of_another_version_counts_as_lost() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [50]);
    let mut stored = serde_json::to_value(&world.rollout).unwrap();
    stored["status"]["phase"] = serde_json::json!("Teleporting");
    stored["status"]["candidate"]["news"] = serde_json::json!({"of": "another form"});
    world.rollout = serde_json::from_value(stored).unwrap();
    assert_eq!(world.status().candidate, None);
    world.run(300);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn a18_ten_failed_tries_do_not_end_the_way_back() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run(300);
    for n in 10..22 {
        let broken = Traits { broken_in: Some("us-central1"), ..Traits::default() };
        world.release(&format!("app:{n}"), broken);
        world.run(20);
    }
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    world.rollout.status = None;
    world.run(5);
    world.writes.clear();
    world.release("app:1", Traits::default());
    world.run(20);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100]));
    assert_eq!(world.writes.last().map(String::as_str), Some("us-central1 app:1 100"), "{:?}", world.writes);
}

#[test]
fn b1_metrics_that_can_not_be_read_are_told_with_the_role_that_is_missing() {
    let mut world = World::promoted(&["us-central1"]);
    world.blind_class = FaultClass::Denied;
    world.blind = true;
    world.release("app:2", Traits::default());
    world.run(60);
    let told = world.status().message.unwrap();
    assert!(told.contains("roles/monitoring.viewer"), "{told}");
    let event = world.events.iter().find(|event| event.reason == "MetricsUnavailable");
    assert_eq!(event.map(|event| event.severity), Some(crate::event::Severity::Warning));
}

#[test]
fn b4_instances_that_the_two_objects_do_not_agree_on_name_both_fields() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.scaling = Some(orchestra_crds::Scaling { min_instances: Some(9), max_instances: None });
    let defaults = serde_json::json!({"scaling": {"maxInstances": 3}});
    world.environment.as_mut().unwrap().spec.defaults = serde_json::from_value(defaults).unwrap();
    world.run(5);
    let told = world.status().message.unwrap();
    assert_eq!(reason(&world), "InvalidScaling");
    assert!(told.contains("spec.scaling") && told.contains("spec.defaults.scaling"), "{told}");
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

#[test]
fn b9_steps_and_analysis_are_frozen_and_that_is_said() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    world.run_until(|w| w.weights("app:2") == [10]);
    world.rollout.spec.analysis.mode = orchestra_crds::AnalysisMode::Observe;
    world.generation();
    world.run(1);
    assert!(world.status().message.unwrap().contains("applies to the next release"));
    world.run(100);
    assert_eq!(world.phase(), RolloutPhase::RolledBack, "the analysis that it started with still acts");
}

#[test]
fn b10_a_service_that_is_not_ready_is_told() {
    let mut world = World::promoted(&["us-central1"]);
    let message = "Secret key was not found or has no enabled version.".to_string();
    world.cloud.get_mut("us-central1").unwrap().trouble = Some(Trouble { reason: "SecretsFailed".into(), message });
    world.run(2);
    assert_eq!(reason(&world), "ServiceNotReady");
    assert!(world.status().message.unwrap().contains("no enabled version"));
}

#[test]
fn b15_what_google_refuses_for_good_ends_at_the_deadline() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    let mut seen = world.observe();
    let status = plan(&seen).status;
    seen.rollout.status = Some(status);
    let fault = Fault { class: FaultClass::Permanent, message: "cpu: no such size".into() };
    let resource = ResourceId::Service(seen.regions[0].id.clone());
    seen.failed_writes.insert(resource, FailedWrite { fault, tries: 1, at: seen.now });
    let refused = plan(&seen);
    assert_eq!(refused.effects, vec![], "one try, then a wait");
    assert_eq!(refused.status.conditions[2].reason, "CloudRejected");
    seen.now += SignedDuration::from_secs(601);
    for _ in 0..2 {
        seen.rollout.status = Some(plan(&seen).status);
        seen.now += SignedDuration::from_secs(6);
    }
    let ended = plan(&seen).status;
    assert_eq!(ended.phase, Some(RolloutPhase::RolledBack));
    assert!(ended.failed.unwrap().message.contains("no such size"));
}

#[test]
fn b16_weight_and_image_are_of_the_same_revision_all_the_way() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    for _ in 0..100 {
        world.run(1);
        let seen = world.observe();
        let told = plan(&seen).status;
        let (Some(image), Some(weight)) = (told.image, told.weight) else { continue };
        let service = seen.regions[0].service.as_ref().unwrap().as_ref().unwrap();
        let names = world.revisions.iter().filter(|(_, runs)| **runs == image);
        let is: i32 =
            names.map(|(name, _)| weight_of(&RevisionName::new(name.as_str()).unwrap(), &service.serving).get()).sum();
        assert_eq!(is, weight, "{image}");
    }
}

#[test]
fn b18_a_release_that_waits_is_shown() {
    let mut world = World::promoted(&["us-central1"]);
    world.rollout.spec.paused = true;
    world.release("app:2", Traits::default());
    world.run(2);
    let status = world.status();
    assert_eq!((status.image.as_deref(), status.weight), (Some("app:2"), Some(0)));
    assert!(status.message.unwrap().contains("spec.paused is true"));
}

#[test]
fn c7_a_planned_pause_is_no_failure() {
    let mut world = World::promoted(&["us-central1"]);
    let steps =
        serde_json::json!([{"pause": {}}, {"weight": 10, "holdSeconds": 0}, {"pause": {"durationSeconds": 60}}]);
    world.rollout.spec.strategy.canary.as_mut().unwrap().steps = serde_json::from_value(steps).unwrap();
    world.release("app:2", Traits::default());
    world.run(60);
    let status = world.status();
    assert_eq!((status.phase, world.weights("app:2")), (Some(RolloutPhase::Paused), vec![0]));
    let is = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_).map(|c| c.status.as_str());
    assert_eq!((is("Reconciling"), is("Stalled")), (Some("True"), Some("False")));
    world.ask(Request::Promote, &status.candidate.unwrap().promote_token.unwrap());
    world.run(300);
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100]));
}

#[test]
fn c8_going_back_after_a_rotation_that_stable_runs_with_takes_no_steps() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run(300);
    set_default(&mut world, "rotated");
    world.run(300);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    world.writes.clear();
    world.release("app:1", Traits::default());
    world.run(30);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100]));
    assert_eq!(world.writes, ["us-central1 deploy, app:2 100", "us-central1 app:1 100"]);
}

#[test]
fn d2_a_throttled_look_changes_nothing_of_what_is_healthy_and_backs_off() {
    let mut world = World::promoted(&["us-central1"]);
    world.run(5);
    let before = world.status();
    world.down = Some("us-central1");
    world.run(3);
    let after = world.status();
    assert_eq!((&after.conditions, &after.message, after.weight), (&before.conditions, &before.message, before.weight));
    world.run(20);
    assert_eq!(reason(&world), "CloudUnavailable", "what lasts is told");
    assert!(plan(&world.observe()).next > SignedDuration::from_secs(30));
    world.down = None;
    world.run(2);
    assert_eq!(world.status().conditions[0].status, "True");
}

#[test]
fn d5_the_phase_is_about_the_generation_that_it_names() {
    let mut world = World::promoted(&["us-central1"]);
    world.down = Some("us-central1");
    world.release("app:2", Traits::default());
    world.run(2);
    let status = world.status();
    assert_eq!(status.observed_generation, world.rollout.metadata.generation);
    assert_ne!(status.phase, Some(RolloutPhase::Promoted));
}

#[test]
fn d10_a_deletion_that_google_refuses_names_the_way_out() {
    let mut world = World::promoted(&["us-central1"]);
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now);
    world.rollout.metadata.deletion_timestamp = Some(now);
    let mut seen = world.observe();
    let fault = Fault { class: FaultClass::Denied, message: "permission run.services.update denied".into() };
    let resource = ResourceId::Service(seen.regions[0].id.clone());
    seen.failed_writes.insert(resource, FailedWrite { fault, tries: 1, at: seen.now });
    let told = plan(&seen).status.message.unwrap();
    assert!(told.contains("remove the finalizer"), "{told}");
}

#[test]
fn d12_a_long_message_stands_in_one_condition() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    world.run(200);
    let status = world.status();
    let message = status.message.unwrap();
    let whole = status.conditions.iter().filter(|condition| condition.message == message).count();
    assert!(message.len() > 100 && whole == 1, "{:?}", status.conditions);
}
