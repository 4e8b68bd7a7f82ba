//! Request logs as operators and the network make them, in the simulation with the real controller: a good release is promoted, and
//! one that fails is taken back, in the end by the metrics.

use orchestra_crds::RolloutPhase;
use orchestra_sandbox::google::{LoadTest, Unusual};
use orchestra_tests::world::World;
use serde_json::json;
use std::time::Duration;

use super::scenarios::{SERVICE, promoted};

async fn read_by_logs() -> World {
    let world = promoted(&["us-central1"]).await;
    world.patch_rollout("api", json!({"spec": {"analysis": {"fastLane": "Auto"}}})).await;
    world
}

/// What becomes of a release that fails so many of a hundred requests.
async fn ends(error_percent: &str, unusual: impl Fn(&str) -> Unusual) -> (RolloutPhase, World) {
    let mut world = read_by_logs().await;
    world.run_for(Duration::from_secs(3700)).await;
    world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", error_percent)]).await;
    world.run_until_weights(SERVICE, "app:2", &[10]).await;
    let revision = world.status("api").await.candidate.unwrap().revision;
    world.tap.sandbox.google.unusual_logs(unusual(&revision));
    let all = [RolloutPhase::Promoted, RolloutPhase::RolledBack, RolloutPhase::Paused];
    world.run_until_one_of("api", &all).await;
    world.assert_promises();
    (world.status("api").await.phase.unwrap(), world)
}

#[tokio::test(start_paused = true)]
async fn whatever_the_logs_are_like_the_end_is_the_same() {
    let cases: [fn(&str) -> Unusual; 9] = [
        |_| Unusual::default(),
        |_| Unusual { delay_seconds: 60, ..Unusual::default() },
        |_| Unusual { delay_seconds: 3600, ..Unusual::default() },
        |_| Unusual { twice: true, ..Unusual::default() },
        |_| Unusual { short_pages: true, ..Unusual::default() },
        |_| Unusual { without_successes: true, ..Unusual::default() },
        |candidate| Unusual { without_revision: Some(candidate.into()), ..Unusual::default() },
        |_| Unusual { sample_percent: Some(10), ..Unusual::default() },
        |candidate| Unusual {
            load_test: Some(LoadTest { tag: "candidate".into(), revision: candidate.into(), failures_per_second: 20 }),
            ..Unusual::default()
        },
    ];
    for (number, unusual) in cases.into_iter().enumerate() {
        for (error_percent, end) in [("0.1", RolloutPhase::Promoted), ("20", RolloutPhase::RolledBack)] {
            let (phase, world) = ends(error_percent, unusual).await;
            assert_eq!(phase, end, "{number}, {error_percent} %: {}", world.rollout("api")["status"]["message"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn too_few_instances_are_told_and_not_held_against_a_candidate() {
    let mut world = read_by_logs().await;
    world.patch_rollout("api", json!({"spec": {"scaling": {"maxInstances": 3}}})).await;
    world.run_for(Duration::from_secs(3700)).await;
    world.release("api", "app:2", &[("SANDBOX_NO_INSTANCE_PERCENT", "20")]).await;
    world.run_until_phase("api", RolloutPhase::Paused).await;
    let message = world.status("api").await.message.unwrap();
    assert!(
        message.contains("met no free instance in the last minutes: of at most 3 instances, 10 % leaves less than 2"),
        "{message}"
    );
    world.assert_promises();
}
