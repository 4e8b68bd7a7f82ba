//! A way back waits for nothing that it does not use: not for Monitoring, Redis or Secret Manager, nor for a region that
//! hangs, all of them until their time limits.

use super::scenarios::{SERVICE, TWO, promoted};
use kube::api::{Patch, PatchParams};
use orchestra_tests::world::World;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const HANGING: [&str; 4] = ["/timeSeries", "/instances/", "/secrets/", "/locations/us-west4/"];
/// From the abort to the other regions' writes, at most.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A release at 10 % in the first of two regions.
async fn releasing() -> World {
    let mut world = promoted(&TWO).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_weights(SERVICE, "app:2", &[10, 0]).await;
    world
}

/// How many writes of traffic the first region has seen.
fn writes(world: &World) -> usize {
    let calls = world.tap.calls();
    calls.iter().filter(|call| call.method == "PATCH" && call.target.contains("us-central1/services/shop-api")).count()
}

/// Asks for something a while from now, whatever the controller does meanwhile.
fn later(world: &World, wait: Duration, patch: serde_json::Value) {
    let rollouts = world.rollouts();
    tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        rollouts.patch("api", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    });
}

/// Runs until the first region is written; how long that was after the request.
async fn taken_back_after(world: &mut World, wait: Duration) -> Duration {
    let (before, asked) = (writes(world), Instant::now() + wait);
    while writes(world) == before {
        assert!(asked.elapsed() < Duration::from_secs(120), "it is not taken back");
        world.run_for(Duration::from_millis(100)).await;
    }
    asked.elapsed()
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_carried_out_within_a_second_though_everything_else_hangs() {
    let mut world = releasing().await;
    let release = world.status("api").await.candidate.unwrap().release;
    world.tap.hang(&HANGING);
    // In the middle of a pass that waits for what hangs.
    world.run_for(Duration::from_secs(30)).await;
    let wait = Duration::from_secs(7);
    later(&world, wait, json!({"metadata": {"annotations": {"orchestra.cherry-ai.me/abort": release}}}));
    let took = taken_back_after(&mut world, wait).await;
    assert!(took <= AT_ONCE, "{took:?}");
    assert_eq!(world.status("api").await.failed.unwrap().reason, "Aborted");
    world.tap.hang(&[]);
    world.run_for(Duration::from_secs(600)).await;
    assert!(world.status("api").await.message.unwrap().contains("all requests go to"));
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn another_template_takes_the_candidate_back_within_a_second_though_everything_else_hangs() {
    let mut world = releasing().await;
    world.tap.hang(&HANGING);
    world.run_for(Duration::from_secs(30)).await;
    let wait = Duration::from_secs(7);
    later(&world, wait, json!({"spec": {"template": {"containers": [{"image": "app:3"}]}}}));
    let took = taken_back_after(&mut world, wait).await;
    assert!(took <= AT_ONCE, "{took:?}");
    world.tap.hang(&[]);
    world.run_until_phase("api", orchestra_crds::RolloutPhase::Promoted).await;
    assert_eq!(world.weights(SERVICE, "app:3"), [100, 100]);
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn a_verdict_is_carried_out_though_another_region_hangs() {
    let mut world = promoted(&TWO).await;
    world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", "30")]).await;
    world.run_until_weights(SERVICE, "app:2", &[10, 0]).await;
    world.tap.hang(&["/locations/us-west4/"]);
    world.run_for(Duration::from_secs(900)).await;
    assert_eq!(world.weights(SERVICE, "app:2")[0], 0);
    let status = world.status("api").await;
    assert_eq!(status.phase, Some(orchestra_crds::RolloutPhase::RolledBack), "it never came to the other one");
    assert!(
        status.message.unwrap().contains("us-west4 (its service can't be read"),
        "what was not seen is not claimed"
    );
    assert_eq!(status.regions[1].weight, None);
    world.tap.hang(&[]);
    world.run_until_phase("api", orchestra_crds::RolloutPhase::RolledBack).await;
    world.assert_promises();
}
