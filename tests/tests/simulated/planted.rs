//! Bugs that were planted: each must be noticed by the checks that the fault plans and the simulation rely on.

use orchestra_controller::lease::{Elector, Leadership};
use orchestra_crds::RolloutPhase;
use orchestra_sandbox::exchange::Request;
use orchestra_sandbox::google::Mishap;
use orchestra_tests::faces::kube_client;
use orchestra_tests::faults::{Fault, Plan};
use orchestra_tests::plants::Plant;
use orchestra_tests::world::{NAMESPACE, World, canary, plain_environment};
use serde_json::json;
use std::time::Duration;

const SERVICE: &str = "shop-api";
const HOUR: Duration = Duration::from_secs(3600);

/// A world in which app:1 has been promoted.
async fn promoted() -> World {
    let mut world = World::new(1).await;
    world.create_environment("shop", plain_environment(&["us-central1"])).await;
    world.create_rollout("api", canary("shop", "app:1")).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world
}

fn broken(world: &World) -> Vec<String> {
    world.tap.promises.lock().unwrap().broken.clone()
}

/// Fails unless this promise was seen to be broken.
pub fn assert_caught(world: &World, promise: u32) {
    let broken = broken(world);
    assert!(broken.iter().any(|b| b.starts_with(&format!("promise {promise}:"))), "not noticed: {broken:#?}");
}

pub fn assert_kept(world: &World) {
    assert!(broken(world).is_empty(), "without the bug: {:#?}", broken(world));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_etag() {
    let mut world = promoted().await;
    world.tap.plant(Plant::DropEtag);
    world.release("api", "app:2", &[]).await;
    world.run_for(HOUR).await;
    assert_caught(&world, 7);
}

#[tokio::test(start_paused = true)]
async fn writing_traffic_before_the_failure_latch() {
    let mut world = promoted().await;
    world.tap.plant(Plant::TrafficBeforeLatch);
    world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", "30")]).await;
    world.run_for(HOUR).await;
    assert_caught(&world, 3);
}

#[tokio::test(start_paused = true)]
async fn skipping_the_owner_check() {
    for plant in [None, Some(Plant::SkipOwnerCheck)] {
        let mut world = World::new(1).await;
        let path = "/v2/projects/cherry-ai-project/locations/us-central1/services?serviceId=shop-api";
        let body = json!({"template": {"containers": [{"image": "theirs:1"}]}}).to_string();
        let made = world.tap.sandbox.google.handle(&Request::new(http::Method::POST, path, body.into()));
        assert_eq!(made.status, 200);
        plant.into_iter().for_each(|plant| world.tap.plant(plant));
        world.create_environment("shop", plain_environment(&["us-central1"])).await;
        world.create_rollout("api", canary("shop", "app:1")).await;
        world.run_for(HOUR).await;
        match plant {
            None => assert_kept(&world),
            Some(_) => assert_caught(&world, 11),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn planning_from_a_cached_object() {
    for plant in [None, Some(Plant::PlanFromCache)] {
        let mut world = promoted().await;
        world.release("api", "app:2", &[]).await;
        world.run_until_weights(SERVICE, "app:2", &[10]).await;
        plant.into_iter().for_each(|plant| world.tap.plant(plant));
        world.patch_rollout("api", json!({"spec": {"paused": true}})).await;
        world.run_for(HOUR).await;
        match plant {
            None => assert_kept(&world),
            Some(_) => assert_caught(&world, 5),
        }
    }
}

/// An operation that never ends must be told of once its time is over.
#[tokio::test(start_paused = true)]
async fn forgetting_the_stored_operation() {
    for (plant, told) in [(None, true), (Some(Plant::ForgetOperation), false)] {
        let mut world = World::new(1).await;
        plant.into_iter().for_each(|plant| world.tap.plant(plant));
        let mut spec = plain_environment(&["us-central1"]);
        spec["redis"] = json!({"tier": "Basic", "memorySizeGb": 1});
        // Found out by a run without the fault: which call creates the instance.
        let create = {
            let mut calm = World::new(1).await;
            calm.create_environment("shop", spec.clone()).await;
            calm.run_for(Duration::from_secs(60)).await;
            calm.tap.calls().iter().position(|call| call.starts_operation).unwrap()
        };
        world.strike(Plan { call: create, fault: Fault::Operation(Mishap::Never) });
        world.create_environment("shop", spec).await;
        world.run_for(3 * HOUR).await;
        let environment = world.tap.sandbox.cluster.object("orchestraenvironments", NAMESPACE, "shop").unwrap();
        let conditions = environment["status"]["conditions"].as_array().unwrap();
        let stalled = conditions.iter().any(|c| c["type"] == "Stalled" && c["status"] == "True");
        assert_eq!(stalled, told, "{conditions:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn counting_missing_data_as_a_pass() {
    for plant in [None, Some(Plant::MissingDataPasses)] {
        let mut world = promoted().await;
        plant.into_iter().for_each(|plant| world.tap.plant(plant));
        world.tap.lose_metrics();
        world.release("api", "app:2", &[]).await;
        world.run_for(3 * HOUR).await;
        match plant {
            None => assert_kept(&world),
            Some(_) => assert_caught(&world, 17),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ignoring_the_lease() {
    for ignores in [false, true] {
        let mut world = World::new(1).await;
        let elector = |world: &World, name: &'static str| {
            Elector::new(kube_client(world.tap.clone(), name), NAMESPACE, name.to_string())
        };
        let (mut first, mut second) = (elector(&world, "first"), elector(&world, "second"));
        first.acquire().await;
        let lead = if ignores { Leadership::alone() } else { first.leadership() };
        world.controllers([("first", lead), ("second", second.leadership())]);
        let keeping = tokio::spawn(async move { first.keep().await });
        tokio::spawn(async move {
            second.acquire().await;
            second.keep().await;
        });
        world.create_environment("shop", plain_environment(&["us-central1"])).await;
        world.create_rollout("api", canary("shop", "app:1")).await;
        world.run_until_phase("api", RolloutPhase::Promoted).await;
        // The first process stands still, and goes on when the second leads.
        keeping.abort();
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.release("api", "app:2", &[]).await;
        world.run_until_phase("api", RolloutPhase::Promoted).await;
        match ignores {
            false => assert_kept(&world),
            true => assert_caught(&world, 9),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reusing_the_name_of_a_failed_revision() {
    let mut world = promoted().await;
    world.release("api", "app:2", &[]).await;
    world.run_until_weights(SERVICE, "app:2", &[10]).await;
    let release = world.status("api").await.candidate.unwrap().release;
    let annotate = |key: &str| json!({"metadata": {"annotations": {format!("orchestra.cherry-ai.me/{key}"): release}}});
    world.patch_rollout("api", annotate("abort")).await;
    world.run_until_phase("api", RolloutPhase::RolledBack).await;
    assert_kept(&world);
    world.tap.plant(Plant::ReuseFailedName);
    world.patch_rollout("api", annotate("retry")).await;
    world.run_for(HOUR).await;
    assert_caught(&world, 3);
}

#[tokio::test(start_paused = true)]
async fn letting_a_clock_jump_shorten_a_hold() {
    for trusts in [false, true] {
        let mut world = promoted().await;
        // A verdict would wait for the metrics of the whole hold: without one, only the clock counts.
        let analysis = json!({"mode": "Observe", "minimumRequests": 0});
        let long = json!({"canary": {"steps": [{"weight": 10, "holdSeconds": 3600}]}});
        world
            .patch_rollout(
                "api",
                json!({"spec": {"strategy": long, "analysis": analysis, "template": {"containers": [{"image": "app:2"}]}}}),
            )
            .await;
        world.run_until_weights(SERVICE, "app:2", &[10]).await;
        world.trusts_its_clock = trusts;
        world.restart_where_the_clock_is_off_by(1).await;
        world.run_for(2 * HOUR).await;
        match trusts {
            false => assert_kept(&world),
            true => assert_caught(&world, 20),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_the_stable_revision() {
    let mut world = promoted().await;
    world.tap.plant(Plant::DeleteStable);
    world.release("api", "app:2", &[]).await;
    world.run_for(HOUR).await;
    assert_caught(&world, 6);
}
