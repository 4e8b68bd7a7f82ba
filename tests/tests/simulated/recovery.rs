//! What was lost is found again in the cloud; what can't be done is told, and touches nothing.

use super::scenarios::{SERVICE, TWO, promoted};
use orchestra_crds::RolloutPhase;
use orchestra_tests::world::{World, canary, plain_environment};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn wiped_statuses_are_rebuilt_in_the_middle_of_a_canary() {
    for (weights, image) in [(vec![10, 0], "app:2"), (vec![50, 0], "app:2"), (vec![100, 10], "app:2")] {
        let mut world = promoted(&TWO).await;
        world.release("api", image, &[]).await;
        world.run_until_weights(SERVICE, image, &weights).await;
        world.wipe_status("api").await;
        world.wipe_environment_status("shop").await;
        world.run_until_phase("api", RolloutPhase::Promoted).await;
        assert_eq!(world.weights(SERVICE, image), [100, 100]);
        world.assert_promises();
    }
}

#[tokio::test(start_paused = true)]
async fn retained_services_are_taken_over_by_an_object_of_the_same_name() {
    let mut world = promoted(&["us-central1"]).await;
    world.delete().await;
    world.run_for(Duration::from_secs(600)).await;
    assert!(world.tap.sandbox.cluster.objects("rollouts").is_empty());
    assert_eq!(world.weights(SERVICE, "app:1"), [100]);
    world.create_environment("shop", plain_environment(&["us-central1"])).await;
    world.create_rollout("api", canary("shop", "app:1")).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_eq!(world.weights(SERVICE, "app:2"), [100]);
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn objects_deleted_in_the_middle_of_a_canary_and_applied_anew_finish_it() {
    let mut world = promoted(&TWO).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_weights(SERVICE, "app:2", &[50, 0]).await;
    let candidate = world.status("api").await.candidate.unwrap().revision;
    world.delete().await;
    world.run_for(Duration::from_secs(600)).await;
    assert!(world.tap.sandbox.cluster.objects("orchestraenvironments").is_empty());
    assert_eq!(world.weights(SERVICE, "app:1"), [100, 100], "nobody watches a candidate whose object is gone");
    world.create_environment("shop", plain_environment(&TWO)).await;
    world.create_rollout("api", canary("shop", "app:2")).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_eq!(world.weights(SERVICE, "app:2"), [100, 100]);
    let status = world.status("api").await;
    assert_eq!(status.stable.unwrap().revision, candidate, "the same template, the same revision");
    world.assert_promises();
}

/// The Ready condition of a Rollout after ten minutes, in a cloud that nobody has written to.
async fn refused(mut world: World, rollout: Value) -> String {
    world.create_rollout("api", rollout).await;
    world.run_for(Duration::from_secs(600)).await;
    let written: Vec<String> = world.tap.writes().into_iter().filter(|write| write.contains("/v2/")).collect();
    assert!(written.is_empty(), "{written:?}");
    let conditions = world.status("api").await.conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "False");
    format!("{}: {}", ready.reason, world.status("api").await.message.unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_told_and_touches_nothing() {
    let told = refused(World::new(1).await, canary("nowhere", "app:1")).await;
    assert!(told.starts_with("EnvironmentMissing: spec.environmentRef") && told.contains("`nowhere`"), "{told}");

    let world = World::new(1).await;
    let mut spec = plain_environment(&TWO);
    spec["images"] = json!({"repositories": ["us-docker.pkg.dev/shop/releases"]});
    world.create_environment("shop", spec).await;
    let told = refused(world, canary("shop", "docker.io/library/nginx:1")).await;
    assert!(
        told.contains("spec.template.containers[0].image") && told.contains("us-docker.pkg.dev/shop/releases"),
        "{told}"
    );

    let world = World::new(1).await;
    let mut spec = plain_environment(&TWO);
    spec["secrets"] = json!([{"name": "missing"}]);
    world.create_environment("shop", spec).await;
    let mut rollout = canary("shop", "app:1");
    rollout["template"]["containers"][0]["env"] =
        json!([{"name": "KEY", "valueFrom": {"secret": {"name": "missing"}}}]);
    let told = refused(world, rollout).await;
    assert!(told.contains("missing") || told.contains("NotReady"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_deleted_in_the_middle_of_a_canary_comes_back_with_stable_and_goes_on_by_its_steps() {
    let mut world = promoted(&["us-central1"]).await;
    world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", "5")]).await;
    world.run_until_weights(SERVICE, "app:2", &[10]).await;
    let path = "/v2/projects/cherry-ai-project/locations/us-central1/services/shop-api";
    let deletion = orchestra_sandbox::exchange::Request::new(http::Method::DELETE, path, bytes::Bytes::new());
    assert_eq!(world.tap.sandbox.google.handle(&deletion).status, 200);
    world.run_until_weights(SERVICE, "app:1", &[100]).await;
    world.run_until_weights(SERVICE, "app:2", &[10]).await;
    world.run_until_phase("api", RolloutPhase::RolledBack).await;
    assert_eq!((world.weights(SERVICE, "app:1"), world.weights(SERVICE, "app:2")), (vec![100], vec![0]));
    world.assert_promises();
}
