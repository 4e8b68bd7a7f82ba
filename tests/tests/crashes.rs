//! The controller dies before or after each of its writes, and starts again. The end is the same as without.

use orchestra_crds::RolloutPhase;
use orchestra_tests::faces::Crash;
use orchestra_tests::world::{World, canary, plain_environment};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const TWO: [&str; 2] = ["us-central1", "us-west4"];

/// What counts at the end: traffic by region, revisions, and how the releases ended.
#[derive(Debug, PartialEq)]
struct End {
    traffic: Vec<(String, Value)>,
    phase: Option<RolloutPhase>,
    outcomes: Vec<(String, String)>,
    creates: BTreeMap<String, usize>,
    deploys: usize,
}

async fn release(crash: Option<Crash>, env: &[(&str, &str)], end: RolloutPhase) -> (End, World) {
    let mut world = World::new(3).await;
    let mut spec = plain_environment(&TWO);
    spec["redis"] = json!({"tier": "Basic", "memorySizeGb": 1});
    world.create_environment("shop", spec).await;
    if let Some(crash) = crash {
        world.crash_at(crash);
    }
    world.create_rollout("api", canary("shop", "app:1")).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world.release("api", "app:2", env).await;
    world.run_until_phase("api", end).await;
    world.run_for(Duration::from_secs(600)).await;
    (ending(&world).await, world)
}

async fn ending(world: &World) -> End {
    let view = world.tap.sandbox.google.view();
    let services = view["services"].as_array().cloned().unwrap_or_default();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    let status = world.status("api").await;
    let mut creates = BTreeMap::new();
    for write in world.tap.writes().iter().filter(|w| w.contains(" POST /v") && w.ends_with(" 200")) {
        let path = write.split(' ').nth(2).unwrap_or_default().to_string();
        if !path.contains("IamPolicy") {
            *creates.entry(path).or_insert(0) += 1;
        }
    }
    End {
        traffic: services.iter().map(|s| (text(&s["name"]), s["trafficStatuses"].clone())).collect(),
        phase: status.phase,
        outcomes: status.history.iter().map(|r| (r.revision.clone(), format!("{:?}", r.outcome))).collect(),
        creates,
        deploys: services.iter().map(|s| s["generation"].as_str().unwrap_or("0").parse::<usize>().unwrap_or(0)).sum(),
    }
}

async fn every_crash(env: &[(&str, &str)], end: RolloutPhase) {
    let (expected, calm) = release(None, env, end).await;
    let writes = calm.tap.writes().len();
    assert!(writes > 20, "{writes}");
    let mut plans = 0;
    for number in 0..writes {
        for crash in [Crash::Before(number), Crash::After(number)] {
            let (got, world) = release(Some(crash), env, end).await;
            assert_eq!(world.crashes, 1, "{crash:?}");
            assert_eq!(got, expected, "{crash:?}: {:#?}", world.tap.writes());
            world.assert_promises();
            plans += 1;
        }
    }
    println!("{plans} crash plans, {writes} writes, all ended the same");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_promotes() {
    every_crash(&[], RolloutPhase::Promoted).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_rolled_back() {
    every_crash(&[("SANDBOX_ERROR_PERCENT", "20")], RolloutPhase::RolledBack).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_that_never_starts() {
    every_crash(&[("SANDBOX_STARTUP", "never")], RolloutPhase::RolledBack).await;
}
