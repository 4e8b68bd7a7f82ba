//! Scenarios in the deterministic simulation.

use orchestra_crds::{Outcome, RolloutPhase};
use orchestra_tests::world::{World, canary, plain_environment};
use serde_json::json;
use std::time::Duration;

pub const SERVICE: &str = "shop-api";
pub const TWO: [&str; 2] = ["us-central1", "us-west4"];

/// A world in which app:1 has been promoted.
pub async fn promoted(regions: &[&str]) -> World {
    let mut world = World::new(1).await;
    world.create_environment("shop", plain_environment(regions)).await;
    world.create_rollout("api", canary("shop", "app:1")).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_good_release_is_promoted_in_both_regions() {
    let mut world = promoted(&TWO).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_eq!(world.weights(SERVICE, "app:2"), [100, 100]);
    let status = world.status("api").await;
    assert_eq!(status.history[0].outcome, Outcome::Promoted);
    assert!(status.regions.iter().all(|region| region.evidence[0].candidate.total > 500));
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn a_bad_release_is_rolled_back_everywhere() {
    let mut world = promoted(&TWO).await;
    world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", "5")]).await;
    world.run_until_phase("api", RolloutPhase::RolledBack).await;
    assert_eq!((world.weights(SERVICE, "app:2"), world.weights(SERVICE, "app:1")), (vec![0, 0], vec![100, 100]));
    assert_eq!(world.status("api").await.failed.unwrap().reason, "AnalysisFailed");
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_start_gets_no_traffic() {
    for startup in ["fail", "never"] {
        let mut world = promoted(&["us-central1"]).await;
        world.release("api", "app:2", &[("SANDBOX_STARTUP", startup)]).await;
        world.run_until_phase("api", RolloutPhase::RolledBack).await;
        let failed = world.status("api").await.failed.unwrap();
        assert_eq!(failed.reason, "HealthCheckContainerError");
        assert!(failed.message.contains("PORT=8080"), "{}", failed.message);
        assert!(
            world.tap.sandbox.google.view()["traffic"]
                .as_array()
                .unwrap()
                .iter()
                .all(|t| { t["revision"] != failed.revision.as_str() || t["requests"] == 0 })
        );
        world.release("api", "app:3", &[]).await;
        world.run_until_phase("api", RolloutPhase::Promoted).await;
        world.assert_promises();
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_release_that_fails_can_be_followed_by_one_that_works() {
    let mut world = World::new(1).await;
    world.create_environment("shop", plain_environment(&["us-central1"])).await;
    let mut spec = canary("shop", "app:1");
    spec["template"]["containers"][0]["env"] = json!([{"name": "SANDBOX_STARTUP", "value": "fail"}]);
    world.create_rollout("api", spec).await;
    world.run_until_phase("api", RolloutPhase::Failed).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_eq!(world.weights(SERVICE, "app:2"), [100]);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_candidate_loses_its_traffic_first() {
    let mut world = promoted(&["us-central1"]).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_weights(SERVICE, "app:2", &[10]).await;
    world.release("api", "app:3", &[]).await;
    world.run_until_weights(SERVICE, "app:3", &[10]).await;
    assert_eq!((world.weights(SERVICE, "app:2"), world.weights(SERVICE, "app:1")), (vec![0], vec![90]));
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_eq!(world.weights(SERVICE, "app:3"), [100]);
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn applying_stable_again_returns_to_it_at_once() {
    let mut world = promoted(&["us-central1"]).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_weights(SERVICE, "app:2", &[50]).await;
    let before = world.now();
    world.release("api", "app:1", &[]).await;
    world.run_until_weights(SERVICE, "app:1", &[100]).await;
    assert!(world.now().duration_since(before).as_secs() < 60);
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn abort_goes_back_and_retry_tries_again_as_a_new_revision() {
    let mut world = promoted(&["us-central1"]).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_weights(SERVICE, "app:2", &[10]).await;
    let candidate = world.status("api").await.candidate.unwrap();
    let (candidate, release) = (candidate.revision, candidate.release);
    let annotate = |key: &str| json!({"metadata": {"annotations": {format!("orchestra.cherry-ai.me/{key}"): release}}});
    world.patch_rollout("api", json!({"spec": {"paused": true}})).await;
    world.run_for(Duration::from_secs(1200)).await;
    assert_eq!(world.weights(SERVICE, "app:2"), [10]);
    world.patch_rollout("api", annotate("abort")).await;
    world.run_until_weights(SERVICE, "app:2", &[0]).await;
    world.patch_rollout("api", json!({"spec": {"paused": false}})).await;
    world.run_until_phase("api", RolloutPhase::RolledBack).await;
    world.patch_rollout("api", annotate("retry")).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_eq!(world.status("api").await.stable.unwrap().revision, format!("{candidate}-2"));
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn what_a_person_goes_back_to_is_there_at_once_in_every_region_and_stays() {
    let mut world = promoted(&TWO).await;
    for image in ["app:2", "app:3"] {
        world.release("api", image, &[]).await;
        world.run_until_weights(SERVICE, image, &[100, 100]).await;
        world.run_until_phase("api", RolloutPhase::Promoted).await;
    }
    world.release("api", "app:4", &[]).await;
    world.run_until_weights(SERVICE, "app:4", &[10, 0]).await;
    let token = world.status("api").await.promoted[2].undo_token.clone().unwrap();
    let to_google = |world: &World| world.tap.writes().iter().filter(|write| write.contains("/v2/")).count();
    let writes = to_google(&world);
    let asked = json!({"metadata": {"annotations": {"orchestra.cherry-ai.me/undo": token}}});
    world.patch_rollout("api", asked).await;
    world.run_for(Duration::from_secs(15)).await;
    assert_eq!(world.weights(SERVICE, "app:1"), [100, 100], "{:?}", world.status("api").await.message);
    assert_eq!(to_google(&world), writes + 2, "one write of traffic in each region");
    // Git syncs the same again, the status is lost, and the controller restarts.
    for _ in 0..3 {
        world.patch_rollout("api", json!({"metadata": {"labels": {"synced": "by-git"}}})).await;
        world.wipe_status("api").await;
        world.run_for(Duration::from_secs(600)).await;
    }
    let ready = world.status("api").await.conditions.into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!((world.weights(SERVICE, "app:1"), ready.reason.as_str()), (vec![100, 100], "HeldByPerson"), "{ready:?}");
    world.release("api", "app:5", &[]).await;
    world.run_until_weights(SERVICE, "app:5", &[10, 0]).await;
    assert_eq!(world.weights(SERVICE, "app:1"), [90, 100]);
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn the_steady_state_writes_nothing_for_a_day() {
    let mut world = promoted(&TWO).await;
    world.run_for(Duration::from_secs(60)).await;
    let writes = world.tap.writes().len();
    world.run_for(Duration::from_secs(24 * 3600)).await;
    assert_eq!(world.tap.writes().len(), writes, "{:?}", world.tap.writes().last());
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_trace() {
    let mut traces = vec![];
    for _ in 0..2 {
        let mut world = promoted(&TWO).await;
        world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", "5")]).await;
        world.run_until_phase("api", RolloutPhase::RolledBack).await;
        traces.push(world.tap.writes());
    }
    assert_eq!(traces[0], traces[1]);
}

#[tokio::test(start_paused = true)]
async fn a_service_made_by_somebody_else_is_left_alone() {
    let mut world = World::new(1).await;
    let path = "/v2/projects/cherry-ai-project/locations/us-central1/services?serviceId=shop-api";
    let body = json!({"template": {"containers": [{"image": "theirs:1"}]}}).to_string();
    let request = orchestra_sandbox::exchange::Request::new(http::Method::POST, path, body.into());
    assert_eq!(world.tap.sandbox.google.handle(&request).status, 200);
    world.create_environment("shop", plain_environment(&["us-central1"])).await;
    world.create_rollout("api", canary("shop", "app:1")).await;
    world.run_for(Duration::from_secs(600)).await;
    let status = world.status("api").await;
    assert_eq!(status.conditions[2].reason, "ServiceNotOurs");
    // Nor is it claimed.
    assert_eq!((status.stable, status.weight, status.regions[0].weight), (None, None, None));
    assert!(world.tap.writes().iter().all(|w| !w.contains("/v2/")), "{:?}", world.tap.writes());
}

#[tokio::test(start_paused = true)]
async fn an_environment_makes_redis_once_binds_secrets_and_deletes_by_policy() {
    let mut world = World::new(1).await;
    world.tap.sandbox.google.seed_secret("cherry-ai-project", "key");
    let mut spec = plain_environment(&["us-central1"]);
    spec["redis"] = json!({"tier": "Basic", "memorySizeGb": 1});
    spec["secrets"] = json!([{"name": "key"}]);
    spec["deletionPolicy"] = json!("Delete");
    world.create_environment("shop", spec).await;
    let mut rollout = canary("shop", "app:1");
    rollout["template"]["redis"] = json!(true);
    rollout["template"]["containers"][0]["env"] = json!([{"name": "KEY", "valueFrom": {"secret": {"name": "key"}}}]);
    world.create_rollout("api", rollout).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    let environment = world.environments().get("shop").await.unwrap().status.unwrap();
    assert_eq!(environment.secrets[0].version, 1);
    assert_eq!(environment.redis.unwrap().state.as_deref(), Some("READY"));

    world.patch_environment("shop", json!({"spec": {"redis": {"memorySizeGb": 3}}})).await;
    world.run_for(Duration::from_secs(900)).await;
    assert_eq!(world.tap.sandbox.google.view()["redis"][0]["memorySizeGb"], 3);

    world.patch_environment("shop", json!({"spec": {"redis": {"tier": "StandardHa"}}})).await;
    world.run_for(Duration::from_secs(900)).await;
    let environment = world.environments().get("shop").await.unwrap().status.unwrap();
    assert_eq!(environment.conditions[2].reason, "RedisRecreationRefused");
    assert_eq!(world.tap.sandbox.google.view()["redis"][0]["tier"], "BASIC");

    world.patch_environment("shop", json!({"spec": {"redis": {"tier": "Basic"}}})).await;
    world.delete().await;
    world.run_for(Duration::from_secs(1800)).await;
    let view = world.tap.sandbox.google.view();
    assert_eq!((view["services"].as_array().unwrap().len(), view["redis"].as_array().unwrap().len()), (0, 0));
    assert!(world.tap.sandbox.cluster.objects("orchestraenvironments").is_empty());
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_version_is_released_like_any_change() {
    let mut world = World::new(1).await;
    world.tap.sandbox.google.seed_secret("cherry-ai-project", "key");
    let mut spec = plain_environment(&["us-central1"]);
    spec["secrets"] = json!([{"name": "key"}]);
    world.create_environment("shop", spec).await;
    let mut rollout = canary("shop", "app:1");
    rollout["template"] = json!({
        "containers": [{"image": "app:1", "volumeMounts": [{"name": "keys", "mountPath": "/secrets"}]}],
        "volumes": [{"name": "keys", "secret": {"name": "key"}}],
    });
    world.create_rollout("api", rollout).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    let first = world.status("api").await.stable.unwrap().revision;
    let add = "/v1/projects/cherry-ai-project/secrets/key:addVersion";
    let body = json!({"payload": {"data": "c2Vjb25k"}}).to_string();
    world.tap.sandbox.google.handle(&orchestra_sandbox::exchange::Request::new(http::Method::POST, add, body.into()));
    world.run_for(Duration::from_secs(400)).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_ne!(world.status("api").await.stable.unwrap().revision, first);
    world.assert_promises();
}
