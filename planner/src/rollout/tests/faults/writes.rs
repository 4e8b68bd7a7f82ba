//! Looks and writes that fail.

use super::*;

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
    // The cluster's clock is another than the cloud's: what counts is since when we see it.
    let asked = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now - SignedDuration::from_hours(2));
    world.rollout.metadata.deletion_timestamp = Some(asked);
    let mut seen = world.observe();
    let first = plan(&seen).status;
    assert_eq!(first.conditions[2].status, "False", "{:?}", first.message);
    seen.rollout.status = Some(first);
    seen.now += SignedDuration::from_mins(31);
    let service = seen.regions[0].service.as_mut().unwrap().as_mut().unwrap();
    (service.settled, service.written_at) = (false, Some(seen.now));
    let told = plan(&seen).status;
    assert_eq!((told.conditions[2].reason.as_str(), told.conditions[2].status.as_str()), ("DeletionBlocked", "True"));
    assert!(told.message.unwrap().contains("us-central1"));
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
