//! Random simulation: environments and releases, edits by people, faults and time, all from one seed.

use orchestra_crds::RolloutPhase;
use orchestra_sandbox::exchange::Request;
use orchestra_sandbox::google::Mishap;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::time::Duration;

use crate::faults::Fault;
use crate::world::{World, plain_environment};

const FAULTS: [Fault; 15] = [
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::LostResponse,
    Fault::Hang,
    Fault::Conflict,
    Fault::TooMany,
    Fault::Unavailable,
    Fault::Stale(1),
    Fault::Stale(3),
    Fault::ClockJump(1),
    Fault::ClockJump(-1),
    Fault::Handover,
    Fault::Operation(Mishap::Fails),
    Fault::Operation(Mishap::Never),
    Fault::Operation(Mishap::Forgotten),
];
const ENDED: [RolloutPhase; 4] =
    [RolloutPhase::Promoted, RolloutPhase::RolledBack, RolloutPhase::Failed, RolloutPhase::Pending];

/// Something that happens.
#[derive(Clone, Debug)]
enum Happening {
    Fault(Fault),
    Release {
        image: u32,
        env: Option<(&'static str, &'static str)>,
    },
    Pause(bool),
    Annotate(&'static str),
    Steps(Vec<(i64, i64)>),
    WipeStatus,
    /// Somebody moves all traffic to whatever is the newest, past Orchestra.
    TrafficByHand,
    Recreate,
}

/// What came of a seed.
#[derive(Debug)]
pub struct Run {
    pub seed: u64,
    /// Calls that the controller made.
    pub steps: usize,
    /// What happened, for people.
    pub story: Vec<String>,
    /// Every write of the controller.
    pub trace: Vec<String>,
    /// What is wrong.
    pub complaint: Option<String>,
}

/// Plays a seed; only the first happenings when there is a limit.
pub async fn run(seed: u64, limit: usize) -> Run {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new(seed).await;
    let regions: &[&str] = if random.random_bool(0.4) { &["us-central1", "us-west4"] } else { &["us-central1"] };
    let mut environment = plain_environment(regions);
    if random.random_bool(0.3) {
        environment["redis"] = json!({"tier": "Basic", "memorySizeGb": 1});
    }
    world.create_environment("shop", environment).await;
    let spec = json!({
        "environmentRef": {"name": "shop"}, "serviceName": "shop-api", "template": {"containers": [{"image": "app:1"}]},
        "strategy": {"canary": {"steps": steps(&ladder(&mut random))}},
    });
    world.create_rollout("api", spec.clone()).await;
    let mut story = vec![];
    let count = random.random_range(4..12);
    for _ in 0..count {
        let wait = random.random_range(0..600);
        let happening = draw(&mut random);
        if story.len() == limit {
            break;
        }
        world.run_for(Duration::from_secs(wait)).await;
        story.push(format!("{} {happening:?}", world.now()));
        happen(&mut world, happening, &spec).await;
    }
    let complaint = settle(&mut world).await;
    Run { seed, steps: world.tap.calls().len(), story, trace: world.tap.writes(), complaint }
}

fn ladder(random: &mut StdRng) -> Vec<(i64, i64)> {
    let mut weights: Vec<i64> = (0..random.random_range(1..4)).map(|_| random.random_range(1..100)).collect();
    weights.sort_unstable();
    weights.dedup();
    weights.into_iter().map(|weight| (weight, random.random_range(0..4) * 60)).collect()
}

fn steps(ladder: &[(i64, i64)]) -> Value {
    ladder.iter().map(|(weight, hold)| json!({"weight": weight, "holdSeconds": hold})).collect()
}

fn draw(random: &mut StdRng) -> Happening {
    match random.random_range(0..20) {
        0..7 => Happening::Fault(FAULTS[random.random_range(0..FAULTS.len())]),
        7..12 => {
            let env = match random.random_range(0..5) {
                0 => Some(("SANDBOX_ERROR_PERCENT", "30")),
                1 => Some(("SANDBOX_STARTUP", "fail")),
                _ => None,
            };
            Happening::Release { image: random.random_range(1..5), env }
        }
        12 => Happening::Pause(true),
        13 => Happening::Pause(false),
        14 => Happening::Annotate("abort"),
        15 => Happening::Annotate("retry"),
        16 => Happening::Steps(ladder(random)),
        17 => Happening::WipeStatus,
        18 => Happening::TrafficByHand,
        _ => Happening::Recreate,
    }
}

async fn happen(world: &mut World, happening: Happening, spec: &Value) {
    match happening {
        Happening::Fault(fault) => world.tap.strike_next(fault),
        Happening::Release { image, env } => {
            world.release("api", &format!("app:{image}"), &env.into_iter().collect::<Vec<_>>()).await
        }
        Happening::Pause(paused) => world.patch_rollout("api", json!({"spec": {"paused": paused}})).await,
        Happening::Annotate(key) => {
            let status = &world.rollout("api")["status"];
            let known = [&status["candidate"], &status["failed"], &status["latches"][0]];
            let release = known.iter().find_map(|s| s["release"].as_str()).unwrap_or_default().to_string();
            let annotation = format!("orchestra.cherry-ai.me/{key}");
            world.patch_rollout("api", json!({"metadata": {"annotations": {annotation: release}}})).await;
        }
        Happening::Steps(ladder) => {
            let patch = json!({"spec": {"strategy": {"canary": {"steps": steps(&ladder)}}}});
            world.patch_rollout("api", patch).await;
        }
        Happening::WipeStatus => world.wipe_status("api").await,
        Happening::TrafficByHand => {
            let path = "/v2/projects/cherry-ai-project/locations/us-central1/services/shop-api?updateMask=traffic";
            let traffic = json!([{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]);
            let body = json!({"traffic": traffic}).to_string();
            world.tap.sandbox.google.handle(&Request::new(http::Method::PATCH, path, body.into()));
        }
        Happening::Recreate => {
            world.delete_rollouts().await;
            let gone = |world: &World| world.rollout("api").is_null();
            if world.try_until(Duration::from_secs(7200), gone).await {
                world.create_rollout("api", spec.clone()).await;
            }
        }
    }
}

/// Faults stop, nothing is paused: everything must come to an end, and be quiet from then on.
async fn settle(world: &mut World) -> Option<String> {
    world.tap.calm();
    if world.rollout("api").is_null() {
        return Some("the deletion did not end, and named no blocker".into());
    }
    world.patch_rollout("api", json!({"spec": {"paused": false}})).await;
    let ended = world.try_until(Duration::from_secs(8 * 3600), |world| world.is_in("api", &ENDED)).await;
    let state = |world: &World| format!("{:#}", world.rollout("api")["status"]);
    if !ended {
        return Some(format!("it does not end: {}", state(world)));
    }
    world.run_for(Duration::from_secs(3600)).await;
    let writes = world.tap.writes().len();
    world.run_for(Duration::from_secs(3600)).await;
    let more = world.tap.writes().split_off(writes);
    if !more.is_empty() {
        return Some(format!("it is not quiet: {more:#?}\n{}", state(world)));
    }
    let broken = world.tap.promises.lock().unwrap().broken.clone();
    (!broken.is_empty()).then(|| format!("{broken:#?}"))
}
