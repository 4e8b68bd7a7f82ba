//! What the status tells.

use super::*;
use orchestra_crds::ResolvedSecret;

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
    world.rollout.spec.scaling =
        Some(orchestra_crds::Scaling { min_instances: Some(9), max_instances: None, ..Default::default() });
    let defaults = serde_json::json!({"scaling": {"maxInstances": 3}});
    world.environment.as_mut().unwrap().spec.defaults = serde_json::from_value(defaults).unwrap();
    world.run(5);
    let told = world.status().message.unwrap();
    assert_eq!(reason(&world), "InvalidScaling");
    assert!(told.contains("spec.scaling") && told.contains("spec.defaults.scaling"), "{told}");
}

#[test]
fn a11_a_release_waits_for_no_part_that_it_does_not_use_and_a_way_back_for_none() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.phase() == RolloutPhase::Promoted && w.weights("app:2") == [100]);
    // Nothing of the environment is ready, and nothing is known of its Redis.
    let environment = world.environment.as_mut().unwrap();
    environment.spec.redis = serde_json::from_value(serde_json::json!({"tier": "Basic", "memorySizeGb": 4})).unwrap();
    environment.status.as_mut().unwrap().conditions[0].status = "False".into();
    world.release("app:3", Traits::default());
    world.run_until(|w| w.weights("app:3") == [100]);
    world.run_until(|w| w.phase() == RolloutPhase::Promoted);
    world.rollout.spec.template.redis = true;
    world.release("app:4", Traits::default());
    world.run(20);
    assert_eq!((reason(&world).as_str(), world.weights("app:4")), ("RedisNotReady", vec![0]), "it uses that part");
    world.rollout.spec.template.redis = false;
    world.release("app:2", Traits::default());
    world.run(10);
    assert_eq!(world.weights("app:2"), [100]);
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

/// A world whose first image reads a version of a secret.
fn that_reads(secret: &SecretVersionId) -> World {
    let mut world = World::new(&["us-central1"]);
    world.secret_of.insert("app:1".into(), secret.clone());
    world.run(40);
    world
}

#[test]
fn b10_a_secret_version_of_stable_that_is_disabled_is_told_until_it_is_enabled_again() {
    let secret = SecretVersionId { secret: "key".into(), version: 3 };
    let mut world = that_reads(&secret);
    assert_eq!(reason(&world), "Promoted");
    world.disabled.insert(secret);
    world.run(2);
    assert_eq!((world.phase(), reason(&world).as_str()), (RolloutPhase::Promoted, "SecretMissing"));
    assert!(world.status().message.unwrap().contains("reads version 3 of secret `key`, disabled or gone"));
    world.disabled.clear();
    world.run(2);
    assert_eq!(reason(&world), "Promoted");
}

#[test]
fn b10_a_secret_version_of_stable_that_is_disabled_is_told_beside_a_release_and_after_a_failed_one() {
    let secret = SecretVersionId { secret: "key".into(), version: 3 };
    for (traits, phase) in [(Traits::default(), RolloutPhase::Progressing), (bad(), RolloutPhase::RolledBack)] {
        let mut world = that_reads(&secret);
        world.release("app:2", traits);
        world.run(if phase == RolloutPhase::Progressing { 5 } else { 200 });
        world.disabled.insert(secret.clone());
        world.run(2);
        assert_eq!(world.phase(), phase);
        let message = world.status().message.unwrap();
        assert!(message.contains("reads version 3 of secret `key`"), "{message}");
    }
}

#[test]
fn b10_a_read_that_fails_changes_nothing_of_what_is_told_of_a_secret() {
    let secret = SecretVersionId { secret: "key".into(), version: 3 };
    let mut world = that_reads(&secret);
    world.disabled.insert(secret.clone());
    world.run(2);
    let told = world.status();
    assert_eq!(told.stable.as_ref().unwrap().missing_secrets, ["key/versions/3"]);
    let mut seen = world.observe();
    let fault = Fault { class: FaultClass::Retryable, message: "503".into() };
    seen.secrets.insert(secret, Err(fault));
    assert_eq!(plan(&seen).status.conditions, told.conditions);
}

#[test]
fn nothing_that_is_to_be_done_waits_for_a_secret_version() {
    let secret = SecretVersionId { secret: "key".into(), version: 3 };
    let mut world = that_reads(&secret);
    world.release("app:2", bad());
    let mut asked = 0;
    for _ in 0..100 {
        let seen = world.observe();
        asked += seen.secrets.len();
        assert!(plan(&seen).effects.is_empty() || seen.secrets.is_empty());
        world.run(1);
    }
    assert_eq!(world.phase(), RolloutPhase::RolledBack);
    assert_ne!(asked, 0);
}

#[test]
fn a_secret_version_that_the_environment_looks_at_is_not_asked_for_again() {
    let secret = SecretVersionId { secret: "key".into(), version: 3 };
    let mut world = that_reads(&secret);
    let resolved = ResolvedSecret { name: "key".into(), secret: "key".into(), version: 3, created_at: None };
    world.environment.as_mut().unwrap().status.as_mut().unwrap().secrets.push(resolved);
    assert!(world.observe().secrets.is_empty());
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
fn d12_a_long_message_stands_in_one_condition() {
    let mut world = World::promoted(&["us-central1"]);
    world.release("app:2", bad());
    world.run(200);
    let status = world.status();
    let message = status.message.unwrap();
    let whole = status.conditions.iter().filter(|condition| condition.message == message).count();
    assert!(message.len() > 100 && whole == 1, "{:?}", status.conditions);
}
