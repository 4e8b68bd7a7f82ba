//! Bugs in what a controller remembers and in what it makes of what it is told: each must be noticed.

use super::planted::{assert_caught, assert_kept};
use super::scenarios::{SERVICE, TWO, promoted};
use http::Method;
use orchestra_crds::RolloutPhase;
use orchestra_sandbox::exchange::Request;
use orchestra_tests::plants::Plant;
use orchestra_tests::world::{World, canary, plain_environment};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const ONE: [&str; 1] = ["us-central1"];

/// Without the bug all promises are kept, with it this one is seen to be broken.
fn assert_noticed(world: &World, plant: Option<Plant>, promise: u32) {
    match plant {
        None => assert_kept(world),
        Some(_) => assert_caught(world, promise),
    }
}

fn plant_in(world: &World, plant: Option<Plant>) {
    plant.into_iter().for_each(|plant| world.tap.plant(plant));
}

async fn annotate(world: &World, key: &str, value: &str) {
    let annotations = json!({format!("orchestra.cherry-ai.me/{key}"): value});
    world.patch_rollout("api", json!({"metadata": {"annotations": annotations}})).await;
}

async fn abort(world: &World) {
    let release = world.status("api").await.candidate.unwrap().release;
    annotate(world, "abort", &release).await;
}

/// Calls Cloud Run past Orchestra.
fn by_hand(world: &World, method: Method, path: &str, body: &Value) -> Value {
    let path = format!("/v2/projects/cherry-ai-project/locations/us-central1/services/{path}");
    let reply = world.tap.sandbox.google.handle(&Request::new(method, &path, body.to_string().into()));
    reply.document().unwrap_or_default().into_owned()
}

#[tokio::test(start_paused = true)]
async fn forgetting_a_region_that_left() {
    for plant in [None, Some(Plant::ForgetLeftRegions)] {
        let mut world = promoted(&TWO).await;
        world.patch_environment("shop", json!({"spec": {"deletionPolicy": "Delete"}})).await;
        plant_in(&world, plant);
        world.patch_environment("shop", json!({"spec": {"regions": ONE}})).await;
        world.run_for(HOUR).await;
        world.delete().await;
        world.run_for(HOUR).await;
        assert_noticed(&world, plant, 21);
    }
}

#[tokio::test(start_paused = true)]
async fn claiming_a_rollback_of_a_region_that_was_not_read() {
    for plant in [None, Some(Plant::ClaimRollback)] {
        let mut world = promoted(&TWO).await;
        world.release("api", "app:2", &[]).await;
        world.run_until_weights(SERVICE, "app:2", &[100, 10]).await;
        world.tap.hang(&["/locations/us-west4/"]);
        plant_in(&world, plant);
        abort(&world).await;
        world.run_for(Duration::from_secs(600)).await;
        assert_noticed(&world, plant, 15);
    }
}

#[tokio::test(start_paused = true)]
async fn letting_a_stale_promotion_pass() {
    for plant in [None, Some(Plant::StalePromote)] {
        let mut world = promoted(&ONE).await;
        world.release("api", "app:2", &[]).await;
        world.run_until_weights(SERVICE, "app:2", &[10]).await;
        world.run_for(Duration::from_secs(60)).await;
        let token = world.status("api").await.candidate.unwrap().promote_token.unwrap();
        annotate(&world, "promote", &token).await;
        world.run_until_weights(SERVICE, "app:2", &[50]).await;
        plant_in(&world, plant);
        world.release("api", "app:3", &[]).await;
        world.run_for(HOUR).await;
        assert_noticed(&world, plant, 20);
    }
}

#[tokio::test(start_paused = true)]
async fn latching_on_the_hash_only() {
    for plant in [None, Some(Plant::LatchOnHash)] {
        let mut world = promoted(&ONE).await;
        world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", "30")]).await;
        world.run_until_phase("api", RolloutPhase::RolledBack).await;
        plant_in(&world, plant);
        let env = json!([{"name": "LEVEL", "value": "2"}]);
        world.patch_environment("shop", json!({"spec": {"defaults": {"env": env}}})).await;
        world.run_for(HOUR).await;
        assert_noticed(&world, plant, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn latching_the_users_template_for_what_the_environment_changed() {
    for plant in [None, Some(Plant::BlameTemplate)] {
        let mut world = promoted(&ONE).await;
        plant_in(&world, plant);
        let bad = |percent: &str| {
            let env = json!([{"name": "SANDBOX_ERROR_PERCENT", "value": percent}]);
            json!({"spec": {"defaults": {"env": env}}})
        };
        world.patch_environment("shop", bad("30")).await;
        world.run_until_phase("api", RolloutPhase::RolledBack).await;
        world.patch_environment("shop", bad("0")).await;
        let starts = world.try_until(HOUR, |world| world.is_in("api", &[RolloutPhase::Promoted])).await;
        assert_eq!(starts, plant.is_none(), "the next good default starts by itself: {:#}", world.rollout("api"));
    }
}

#[tokio::test(start_paused = true)]
async fn taking_an_unknown_mark_for_none() {
    for plant in [None, Some(Plant::UnknownMarkIsNone)] {
        let mut world = promoted(&ONE).await;
        let mut marks = by_hand(&world, Method::GET, SERVICE, &Value::Null)["annotations"].clone();
        marks["orchestra.cherry-ai.me/marks"] = json!("9");
        by_hand(&world, Method::PATCH, &format!("{SERVICE}?updateMask=annotations"), &json!({"annotations": marks}));
        plant_in(&world, plant);
        world.release("api", "app:2", &[]).await;
        world.run_for(HOUR).await;
        assert_noticed(&world, plant, 11);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_fault_of_a_read() {
    for plant in [None, Some(Plant::DropReadFault)] {
        let mut world = promoted(&ONE).await;
        world.release("api", "app:2", &[]).await;
        world.run_until_weights(SERVICE, "app:2", &[10]).await;
        world.tap.hang(&["/timeSeries"]);
        plant_in(&world, plant);
        world.run_for(Duration::from_secs(600)).await;
        let status = world.status("api").await;
        let fault = status.regions[0].evidence.first().and_then(|evidence| evidence.fault.clone());
        assert_eq!(fault.is_some(), plant.is_none(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn gating_a_way_back() {
    for plant in [None, Some(Plant::GateWayBack)] {
        let mut world = World::new(1).await;
        let mut spec = plain_environment(&ONE);
        spec["redis"] = json!({"tier": "Basic", "memorySizeGb": 1});
        world.create_environment("shop", spec).await;
        world.create_rollout("api", canary("shop", "app:1")).await;
        world.run_until_phase("api", RolloutPhase::Promoted).await;
        world.run_for(Duration::from_secs(600)).await;
        world.release("api", "app:2", &[]).await;
        world.run_until_weights(SERVICE, "app:2", &[10]).await;
        world.patch_environment("shop", json!({"spec": {"redis": {"memorySizeGb": 3}}})).await;
        world.run_for(Duration::from_secs(30)).await;
        plant_in(&world, plant);
        abort(&world).await;
        world.run_for(Duration::from_secs(30)).await;
        assert_eq!(world.weights(SERVICE, "app:2") == [0], plant.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn revoking_nothing() {
    for plant in [None, Some(Plant::RevokeNothing)] {
        let mut world = promoted(&ONE).await;
        world.run_for(Duration::from_secs(600)).await;
        plant_in(&world, plant);
        world.patch_environment("shop", json!({"spec": {"access": null}})).await;
        world.run_for(Duration::from_secs(600)).await;
        let policy = by_hand(&world, Method::GET, &format!("{SERVICE}:getIamPolicy"), &Value::Null);
        assert_eq!(policy.to_string().contains("allUsers"), plant.is_some(), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_read_that_hangs_before_a_rollback() {
    for plant in [None, Some(Plant::WaitForEveryRead)] {
        let mut world = promoted(&TWO).await;
        world.release("api", "app:2", &[]).await;
        world.run_until_weights(SERVICE, "app:2", &[10, 0]).await;
        world.tap.hang(&["/timeSeries", "/locations/us-west4/"]);
        plant_in(&world, plant);
        abort(&world).await;
        world.run_for(Duration::from_secs(10)).await;
        assert_eq!(world.weights(SERVICE, "app:2")[0] == 0, plant.is_none());
    }
}
