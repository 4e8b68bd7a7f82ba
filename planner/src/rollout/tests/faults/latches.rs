//! What failed is not released again, and what runs is no failure.

use super::*;

#[test]
fn a2_a_template_that_failed_is_not_released_again_by_a_change_of_the_environment() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    world.run(200);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    world.set_default("1");
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
fn what_a_retry_replaces_is_recorded_as_that() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    world.run(200);
    world.set_default("1");
    world.run(5);
    let between = world.status().candidate.unwrap().release;
    world.ask(Request::Retry, &world.status().latches[0].release.clone());
    world.run(30);
    let ended = world.status().history.into_iter().find(|entry| entry.release == between).unwrap();
    assert_eq!(
        (ended.outcome, ended.message.as_str()),
        (Outcome::Superseded, "a retry of what had failed was asked for")
    );
}

#[test]
fn what_an_edit_replaces_is_recorded_as_that_though_it_was_a_retry() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    world.run(200);
    world.traits.insert("app:2".into(), Traits::default());
    world.ask(Request::Retry, &world.status().latches[0].release.clone());
    world.run(5);
    let retried = world.status().candidate.unwrap().release;
    world.release("app:3", Traits::default());
    world.run(10);
    let ended = world.status().history.into_iter().find(|entry| entry.release == retried).unwrap();
    assert_eq!((ended.outcome, ended.message.as_str()), (Outcome::Superseded, "the spec changed"));
}

#[test]
fn what_the_environment_takes_back_is_recorded_as_that() {
    let mut world = World::promoted(&["us-central1"]);
    world.set_default("1");
    world.run_until(|w| w.weights("app:1") == [100] && w.status().candidate.is_some());
    world.run(10);
    world.environment.as_mut().unwrap().spec.defaults = None;
    world.run(10);
    let ended = &world.status().history[0];
    assert_eq!(ended.outcome, Outcome::Returned);
    assert!(ended.message.contains("the environment adds went back"), "{}", ended.message);
}

#[test]
fn a2_what_the_environment_broke_latches_that_and_the_next_good_one_starts_by_itself() {
    let mut world = World::promoted(&["us-central1"]);
    world.traits.insert("app:1".into(), bad());
    world.set_default("bad");
    world.run(200);
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    assert!(world.status().latches[0].news.starts_with("inputs:"), "the user's template is not to blame");
    let writes = world.writes.len();
    world.run(100);
    assert_eq!(world.writes.len(), writes, "the same is not tried again");
    world.release("app:2", Traits::default());
    world.run(10);
    let message = world.status().message.unwrap();
    assert!(message.contains("The spec's template (app:2) waits for that, too"), "{message}");
    world.release("app:1", Traits::default());
    world.set_default("good");
    world.run(300);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    assert_eq!(world.status().latches, vec![]);
}

#[test]
fn a2_an_unrelated_change_does_not_bring_a_bad_input_back() {
    let mut world = World::promoted(&["us-central1"]);
    world.traits.insert("app:1".into(), bad());
    world.set_default("bad");
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
fn c8_going_back_after_a_rotation_that_stable_runs_with_takes_no_steps() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run(300);
    world.set_default("rotated");
    world.run(300);
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    world.writes.clear();
    world.release("app:1", Traits::default());
    world.run(30);
    assert_eq!((world.phase(), world.weights("app:1")), (RolloutPhase::Promoted, vec![100]));
    assert_eq!(world.writes, ["us-central1 deploy, app:2 100", "us-central1 app:1 100"]);
}

#[test]
fn a2_a_template_that_failed_again_does_not_come_back_while_a_gate_is_closed() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2") == [100]);
    // The first template again, with what the environment adds by now: and it fails.
    world.set_default("rotated");
    world.release("app:1", bad());
    world.run(200);
    assert_eq!(world.weights("app:2"), [100], "{:?}", world.status().message);
    let latched = world.status().latches.len();
    close_the_gate(&mut world);
    world.run(30);
    assert_eq!((latched, world.weights("app:2")), (1, vec![100]), "what should run is not known for a while");
}
