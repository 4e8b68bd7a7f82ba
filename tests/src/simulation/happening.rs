//! What people and the world do in a simulation.

use http::Method;
use orchestra_sandbox::exchange::Request;
use orchestra_sandbox::google::Mishap;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::faults::Fault;
use crate::others;
use crate::world::{World, one_container};

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
/// Regions that an environment may have, in an order.
const REGIONS: [&[&str]; 5] = [
    &["us-central1"],
    &["us-central1", "us-west4"],
    &["us-central1", "us-west4", "europe-west1"],
    &["us-central1", "europe-west1", "us-west4"],
    &["us-central1", "europe-west1"],
];
/// How long the end of what is deleted may take.
const DELETION_TAKES: Duration = Duration::from_secs(7200);
const PREFIX: &str = "orchestra.cherry-ai.me/";

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Fault(Fault),
    Release {
        image: u32,
        env: Option<(&'static str, &'static str)>,
    },
    /// Another image, and back within a moment.
    TwoReleases(u32, u32),
    Pause(bool),
    /// A request, bound to the release that the status shows.
    Ask(&'static str),
    ResumeByAnnotation,
    Steps(Vec<Step>),
    WipeStatus,
    /// Somebody moves all traffic to whatever is the newest, past Orchestra.
    TrafficByHand,
    /// Somebody deletes the service in the first region.
    DeleteService,
    /// Somebody takes every annotation off a service.
    StripMarks,
    /// The marks are those of the version before.
    OldMarks,
    Regions(&'static [&'static str]),
    /// A default that every service gets.
    Default(u32),
    Label(u32),
    /// gcloud deploys an image, past Orchestra where that has the template.
    ByGcloud(u32),
    /// Terraform applies what it says, with an image.
    ByTerraform(u32),
    /// The same template as a new revision.
    Restart(u32),
    /// The Rollout is deleted and applied anew.
    Recreate,
    /// Everything is deleted and applied anew.
    RecreateAll,
}

/// Who makes the service, and who deploys to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Orchestra,
    /// gcloud had made it; Orchestra takes it over.
    Adopted,
    /// The same, and others go on deploying.
    TrafficOnly,
}

impl Origin {
    /// By the seed alone: what else is drawn is the same with each.
    pub(super) fn of(seed: u64) -> Self {
        match seed % 9 {
            4 => Self::Adopted,
            7 => Self::TrafficOnly,
            _ => Self::Orchestra,
        }
    }
}

/// A step of a canary.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Weight(i64, i64),
    Pause(i64),
}

/// Some steps; their weights don't go down.
pub(super) fn ladder(random: &mut StdRng) -> Vec<Step> {
    let mut weights: Vec<i64> = (0..random.random_range(1..4)).map(|_| random.random_range(1..100)).collect();
    weights.sort_unstable();
    weights.dedup();
    let mut steps = vec![];
    for weight in weights {
        if random.random_bool(0.15) {
            steps.push(Step::Pause(random.random_range(1..10) * 30));
        }
        steps.push(Step::Weight(weight, random.random_range(0..4) * 60));
    }
    steps
}

pub(super) fn steps(ladder: &[Step]) -> Value {
    let step = |step: &Step| match step {
        Step::Weight(weight, hold) => json!({"weight": weight, "holdSeconds": hold}),
        Step::Pause(seconds) => json!({"pause": {"durationSeconds": seconds}}),
    };
    ladder.iter().map(step).collect()
}

pub(super) fn draw(random: &mut StdRng) -> Happening {
    match random.random_range(0..39) {
        0..8 => Happening::Fault(FAULTS[random.random_range(0..FAULTS.len())]),
        8..14 => {
            let env = match random.random_range(0..7) {
                0 => Some(("SANDBOX_ERROR_PERCENT", "30")),
                1 => Some(("SANDBOX_STARTUP", "fail")),
                2 => Some(("SANDBOX_STARTUP", "fail@us-west4")),
                _ => None,
            };
            Happening::Release { image: random.random_range(1..5), env }
        }
        14 => Happening::TwoReleases(random.random_range(1..5), random.random_range(1..5)),
        15 => Happening::Pause(true),
        16 => Happening::Pause(false),
        17 => Happening::Ask("abort"),
        18 => Happening::Ask("retry"),
        19 if random.random_bool(0.5) => Happening::Ask("undo"),
        19 => Happening::Ask("pause"),
        20 => Happening::ResumeByAnnotation,
        21 => Happening::Steps(ladder(random)),
        22 => Happening::WipeStatus,
        23 => Happening::TrafficByHand,
        24 => Happening::StripMarks,
        25 => Happening::OldMarks,
        26..29 => Happening::Regions(REGIONS[random.random_range(0..REGIONS.len())]),
        29 => Happening::Default(random.random_range(0..3)),
        30 => Happening::Label(random.random_range(0..3)),
        31 => Happening::Recreate,
        32 => Happening::RecreateAll,
        33 => Happening::DeleteService,
        34 | 35 => Happening::ByGcloud(random.random_range(1..5)),
        36 => Happening::ByTerraform(random.random_range(1..5)),
        37 => Happening::Restart(random.random_range(0..3)),
        _ => Happening::Ask("promote"),
    }
}

fn env_of(env: Option<(&str, &str)>) -> Value {
    env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// How a story goes on after something happened.
pub(super) enum After {
    GoesOn,
    /// What was deleted waits for a person, and says for what.
    WaitsForPerson,
    Wrong(String),
}

/// Lets it happen.
pub(super) async fn happen(
    world: &mut World,
    happening: Happening,
    environment: &Value,
    rollout: &Value,
    origin: Origin,
) -> After {
    let release = |image: u32, env| json!({"spec": {"template": one_container(&format!("app:{image}"), env_of(env))}});
    match happening {
        // There is no template to change, and a service in another region is for others to make.
        Happening::TwoReleases(..) | Happening::Restart(_) | Happening::Regions(_) if origin == Origin::TrafficOnly => {
        }
        Happening::Fault(fault) => world.tap.strike_next(fault),
        Happening::Release { image, env } if origin == Origin::TrafficOnly => by_gcloud(world, image, env),
        Happening::Release { image, env } => world.patch_rollout("api", release(image, env)).await,
        Happening::TwoReleases(one, other) => {
            world.patch_rollout("api", release(one, None)).await;
            world.run_for(Duration::from_secs(1)).await;
            world.patch_rollout("api", release(other, None)).await;
            world.patch_rollout("api", release(one, None)).await;
        }
        Happening::Pause(paused) => world.patch_rollout("api", json!({"spec": {"paused": paused}})).await,
        Happening::Ask(request) => ask(world, request).await,
        Happening::ResumeByAnnotation => {
            let annotation = format!("{PREFIX}pause");
            world.patch_rollout("api", json!({"metadata": {"annotations": {annotation: null}}})).await;
        }
        Happening::Steps(ladder) => {
            let canary = json!({"canary": {"steps": steps(&ladder)}, "blueGreen": null, "rolling": null});
            let patch = json!({"spec": {"strategy": canary}});
            world.patch_rollout("api", patch).await;
        }
        Happening::WipeStatus => world.wipe_status("api").await,
        Happening::TrafficByHand => traffic_by_hand(world),
        Happening::DeleteService => {
            delete_service(world);
            if origin != Origin::Orchestra {
                world.run_for(Duration::from_secs(120)).await;
            }
            // Who had made it makes it anew.
            if origin != Origin::Orchestra && others::service(world).is_none() {
                others::make(world, &one_container("app:1", json!([])));
            }
        }
        Happening::StripMarks => rewrite_marks(world, |_| BTreeMap::new()),
        Happening::OldMarks => rewrite_marks(world, old_marks),
        Happening::Regions(regions) => {
            world.patch_environment("shop", json!({"spec": {"regions": regions}})).await;
        }
        Happening::Default(n) => {
            let env = json!([{"name": "LEVEL", "value": n.to_string()}]);
            world.patch_environment("shop", json!({"spec": {"defaults": {"env": env}}})).await;
        }
        Happening::Label(n) => {
            world.patch_environment("shop", json!({"spec": {"labels": {"team": format!("t{n}")}}})).await;
        }
        Happening::ByGcloud(image) => by_gcloud(world, image, None),
        Happening::ByTerraform(image) => drop(others::apply_by_terraform(world, &format!("app:{image}"))),
        Happening::Restart(n) => {
            let restarted = json!({"kubectl.kubernetes.io/restartedAt": format!("2026-03-01T1{n}:00:00Z")});
            world.patch_rollout("api", json!({"spec": {"template": {"annotations": restarted}}})).await;
        }
        Happening::Recreate => {
            world.delete_rollouts().await;
            return create_again(world, None, rollout).await;
        }
        Happening::RecreateAll => {
            world.delete().await;
            return create_again(world, Some(environment), rollout).await;
        }
    }
    After::GoesOn
}

/// Applies what was deleted, once it is gone.
async fn create_again(world: &mut World, environment: Option<&Value>, rollout: &Value) -> After {
    let gone = |world: &World| {
        let cluster = &world.tap.sandbox.cluster;
        world.rollout("api").is_null() && (environment.is_none() || cluster.objects("orchestraenvironments").is_empty())
    };
    if !world.try_until(DELETION_TAKES, gone).await {
        let state = world.tap.sandbox.cluster.state();
        let status = |kind: &str| format!("{:#}", state[kind][0]["status"]);
        let told = [status("rollouts"), status("orchestraenvironments")];
        let blocked = told.iter().any(|told| told.contains("DeletionBlocked"));
        return if blocked {
            After::WaitsForPerson
        } else {
            After::Wrong(format!("the deletion does not end: {told:?}"))
        };
    }
    if let Some(environment) = environment {
        world.create_environment("shop", environment.clone()).await;
    }
    world.create_rollout("api", rollout.clone()).await;
    After::GoesOn
}

async fn ask(world: &mut World, request: &str) {
    let status = &world.rollout("api")["status"];
    let target = match request {
        "promote" => status["candidate"]["promoteToken"].as_str(),
        "undo" => {
            let promoted = status["promoted"].as_array().map(Vec::as_slice).unwrap_or_default();
            promoted
                .iter()
                .find(|p| p["revision"] != status["stable"]["revision"])
                .and_then(|p| p["undoToken"].as_str())
        }
        "retry" => status["latches"][0]["release"].as_str().or(status["failed"]["release"].as_str()),
        _ => status["candidate"]["release"].as_str(),
    };
    let (annotation, target) = (format!("{PREFIX}{request}"), target.unwrap_or("shop-api-none.1").to_string());
    world.patch_rollout("api", json!({"metadata": {"annotations": {annotation: target}}})).await;
}

fn by_gcloud(world: &World, image: u32, env: Option<(&str, &str)>) {
    let nonce = format!("n{}", world.now().as_second());
    others::deploy_by_gcloud(world, &format!("app:{image}"), &env_of(env), &nonce);
}

fn traffic_by_hand(world: &World) {
    let path = "/v2/projects/cherry-ai-project/locations/us-central1/services/shop-api?updateMask=traffic";
    let traffic = json!([{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]);
    let body = json!({"traffic": traffic}).to_string();
    world.tap.sandbox.google.handle(&Request::new(Method::PATCH, path, body.into()));
}

fn delete_service(world: &World) {
    let path = "/v2/projects/cherry-ai-project/locations/us-central1/services/shop-api";
    world.tap.sandbox.google.handle(&Request::new(Method::DELETE, path, bytes::Bytes::new()));
}

type Annotations = BTreeMap<String, String>;

/// Changes the annotations of every service, past Orchestra.
fn rewrite_marks(world: &World, change: impl Fn(Annotations) -> Annotations) {
    let view = world.tap.sandbox.google.view();
    for service in view["services"].as_array().into_iter().flatten() {
        let marks: Annotations = serde_json::from_value(service["annotations"].clone()).unwrap_or_default();
        let path = format!("/v2/{}?updateMask=annotations", service["name"].as_str().unwrap_or_default());
        let body = json!({"annotations": change(marks)}).to_string();
        world.tap.sandbox.google.handle(&Request::new(Method::PATCH, &path, body.into()));
    }
}

/// The marks as the version before wrote them.
fn old_marks(marks: Annotations) -> Annotations {
    const KNOWN: [&str; 6] = ["owner", "owner-uid", "stable", "candidate", "step", "failed"];
    let known = |key: &String| key.strip_prefix(PREFIX).is_none_or(|key| KNOWN.contains(&key));
    let mut old: Annotations = marks.into_iter().filter(|(key, _)| known(key)).collect();
    if let Some(failed) = old.get_mut(&format!("{PREFIX}failed")) {
        let names = failed.split(',').filter_map(|mark| mark.split(['.', '=']).next());
        *failed = names.collect::<Vec<_>>().join(",");
    }
    old
}
