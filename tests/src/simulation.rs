//! Random simulation: environments and releases, edits by people, faults and time, all from one seed.

mod happening;

use orchestra_crds::RolloutPhase;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::others;
use crate::world::{World, plain_environment};
use happening::{After, Origin, draw, happen, ladder, steps};

const ENDED: [RolloutPhase; 4] =
    [RolloutPhase::Promoted, RolloutPhase::RolledBack, RolloutPhase::Failed, RolloutPhase::Pending];
/// How long everything may take to end once faults stop.
const ENDS_WITHIN: Duration = Duration::from_secs(8 * 3600);
/// How long it may take until what others had made is taken over.
const TAKES_OVER: Duration = Duration::from_secs(1800);
const QUIET: Duration = Duration::from_secs(3600);

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
    let origin = Origin::of(seed);
    // What others had made is in one region.
    let regions: &[&str] = if random.random_bool(0.4) && origin == Origin::Orchestra {
        &["us-central1", "us-west4"]
    } else {
        &["us-central1"]
    };
    let mut environment = plain_environment(regions);
    if random.random_bool(0.3) {
        environment["redis"] = json!({"tier": "Basic", "memorySizeGb": 1});
    }
    if random.random_bool(0.3) {
        environment["deletionPolicy"] = json!("Delete");
    }
    world.create_environment("shop", environment.clone()).await;
    let mut rollout = json!({
        "environmentRef": {"name": "shop"}, "serviceName": "shop-api",
        "template": {"containers": [{"image": "app:1"}]},
        "strategy": {"canary": {"steps": steps(&ladder(&mut random))}},
    });
    // By the seed alone: what else is drawn stays what it was.
    if seed % 11 == 3 && origin == Origin::Orchestra {
        rollout["template"]["scaling"] = json!({"minInstances": 1});
        rollout["history"] = json!({"keepWarmSeconds": 900});
    }
    rollout["analysis"] = analysis(seed);
    match seed % 13 {
        5 => rollout["strategy"] = json!({"rolling": {"increments": 2 + seed % 3, "intervalSeconds": 60}}),
        8 => rollout["strategy"] = json!({"blueGreen": {"previewSeconds": 60 * (seed % 4)}}),
        _ => {}
    }
    if origin != Origin::Orchestra {
        others::make(&world, &rollout["template"]);
        rollout["adopt"] = json!({"service": "shop-api"});
    }
    if origin == Origin::TrafficOnly {
        rollout["trafficOnly"] = json!(true);
        rollout.as_object_mut().map(|spec| spec.remove("template"));
    }
    world.create_rollout("api", rollout.clone()).await;
    if origin != Origin::Orchestra
        && !world.try_until(TAKES_OVER, |world| world.is_in("api", &[RolloutPhase::Promoted])).await
    {
        let status = world.rollout("api")["status"].clone();
        return end(seed, &world, vec![], Some(format!("it is not taken over: {status:#}")));
    }
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
        match happen(&mut world, happening, &environment, &rollout, origin).await {
            After::GoesOn => {}
            After::WaitsForPerson => return end(seed, &world, story, broken(&world)),
            After::Wrong(complaint) => return end(seed, &world, story, Some(complaint)),
        }
    }
    let complaint = settle(&mut world).await;
    end(seed, &world, story, complaint)
}

/// How a seed's releases are judged.
fn analysis(seed: u64) -> Value {
    let lane = if seed.is_multiple_of(4) { "Auto" } else { "Disabled" };
    let watch = if seed.is_multiple_of(3) { 360 } else { 0 };
    let mut analysis = json!({"watchSeconds": watch, "fastLane": lane});
    if seed % 7 == 3 && !seed.is_multiple_of(5) {
        analysis["metrics"] = json!(["Errors", "Latency", "ClientErrors"]);
    }
    if seed.is_multiple_of(5) {
        let (interval, may_fail) = (60 * (1 + seed / 5 % 2), seed / 10 % 3);
        analysis["mode"] = json!("Threshold");
        analysis["threshold"] = json!({"intervalSeconds": interval, "failureLimit": may_fail});
    }
    analysis
}

fn end(seed: u64, world: &World, story: Vec<String>, complaint: Option<String>) -> Run {
    Run { seed, steps: world.tap.calls().len(), story, trace: world.tap.writes(), complaint }
}

fn has_ended(world: &World) -> bool {
    // Beside a release a stall is no end: the candidate is judged on, where it serves.
    let has_candidate = !world.rollout("api")["status"]["candidate"].is_null();
    if has_candidate && world.is_in("api", &[RolloutPhase::Pending]) {
        return false;
    }
    (world.is_in("api", &ENDED) || is_held(world)) && left_regions(world).is_none()
}

/// Whether a person went back, and it holds.
fn is_held(world: &World) -> bool {
    let status = world.rollout("api")["status"].clone();
    let told = status["conditions"].as_array().into_iter().flatten().any(|c| c["reason"] == "HeldByPerson");
    told && !status["held"].is_null() && world.is_in("api", &[RolloutPhase::Paused])
}

/// Whether a Rollout waits for a person, and says why.
fn asks_a_person(world: &World) -> bool {
    let conditions = world.rollout("api")["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let stalled = conditions.iter().any(|c| c["type"] == "Stalled" && c["status"] == "True" && c["message"] != "");
    stalled && world.is_in("api", &[RolloutPhase::Paused, RolloutPhase::Pending]) && left_regions(world).is_none()
}

/// What is wrong with regions that left the environment: each is let go, and no status speaks of it any more.
fn left_regions(world: &World) -> Option<String> {
    let cluster = &world.tap.sandbox.cluster;
    let environment = cluster.object("orchestraenvironments", crate::world::NAMESPACE, "shop")?;
    let names = |list: &Value, key: Option<&str>| -> BTreeSet<String> {
        let text = |item: &Value| key.map_or(item, |key| &item[key]).as_str().map(ToString::to_string);
        list.as_array().into_iter().flatten().filter_map(text).collect()
    };
    let wanted = names(&environment["spec"]["regions"], None);
    let told = names(&world.rollout("api")["status"]["regions"], Some("region"));
    if let Some(more) = told.difference(&wanted).next() {
        return Some(format!("the status still speaks of {more}"));
    }
    let view = world.tap.sandbox.google.view();
    let services = view["services"].as_array().cloned().unwrap_or_default();
    let kept = services.iter().find(|service| {
        let name = service["name"].as_str().unwrap_or_default();
        let inside = wanted.iter().any(|region| name.contains(&format!("/locations/{region}/")));
        !inside && !service["annotations"]["orchestra.cherry-ai.me/owner-uid"].is_null()
    });
    kept.map(|service| format!("{} was not let go", service["name"]))
}

/// The promises that were broken.
fn broken(world: &World) -> Option<String> {
    let broken = world.tap.promises.lock().unwrap().broken.clone();
    (!broken.is_empty()).then(|| format!("{broken:#?}"))
}

/// Faults stop, nothing is paused: everything must come to an end, and be quiet from then on.
async fn settle(world: &mut World) -> Option<String> {
    world.tap.calm();
    let pause = "orchestra.cherry-ai.me/pause";
    world.patch_rollout("api", json!({"spec": {"paused": false}, "metadata": {"annotations": {pause: null}}})).await;
    // What was asked for last is seen by then.
    world.run_for(Duration::from_secs(60)).await;
    let asked = Cell::new(false);
    let seen_to_end = |world: &World| {
        asked.set(asked.get() || asks_a_person(world));
        has_ended(world)
    };
    let mut ended = world.try_until(ENDS_WITHIN, seen_to_end).await;
    if !ended && asked.get() && !asks_a_person(world) {
        // It went on by itself after it had waited for a person: how long that took is nobody's.
        ended =
            world.try_until(ENDS_WITHIN, |world| has_ended(world) || asks_a_person(world)).await && has_ended(world);
    }
    if !ended && asks_a_person(world) {
        return broken(world);
    }
    let state = |world: &World| format!("{:?} {:#}", left_regions(world), world.rollout("api")["status"]);
    if !ended {
        return Some(format!("it does not end: {}", state(world)));
    }
    world.run_for(QUIET).await;
    let writes = world.tap.writes().len();
    world.run_for(QUIET).await;
    let more = world.tap.writes().split_off(writes);
    if !more.is_empty() {
        return Some(format!("it is not quiet: {more:#?}\n{}", state(world)));
    }
    broken(world)
}
