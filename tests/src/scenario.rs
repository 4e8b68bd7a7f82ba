//! The scenarios that the fault plans are tried on, and what counts at their end.

use orchestra_crds::RolloutPhase;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

use crate::faults::{Fault, Plan};
use crate::others;
use crate::world::{NAMESPACE, World, plain_environment};

const ENDED: [RolloutPhase; 3] = [RolloutPhase::Promoted, RolloutPhase::RolledBack, RolloutPhase::Failed];
const ONE: [&str; 1] = ["us-central1"];
const TWO: [&str; 2] = ["us-central1", "us-west4"];
/// How long a release may still take at the end.
const LAST_WAIT: Duration = Duration::from_secs(4 * 3600);
/// How long an environment may take until it is ready or says why not.
const ENVIRONMENT_TAKES: Duration = Duration::from_secs(2 * 3600);

/// Something that people do with Orchestra.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    FirstDeployment,
    CanaryThatPromotes,
    CanaryThatRollsBack,
    Supersede,
    AbortAndRetry,
    TwoRegions,
    /// A service of gcloud's is taken over, and its next revision released.
    Adoption,
    /// gcloud deploys, and Orchestra has the traffic.
    TrafficOnly,
    /// By hand to the version before.
    Undo,
    Restart,
    /// One region more, and it leaves again.
    Regions,
    /// In two regions.
    BlueGreen,
    Rolling,
    EnvironmentThatIsDeleted,
    EnvironmentThatIsRetained,
}

/// What counts at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Shares in effect by service and revision.
    pub traffic: BTreeMap<String, BTreeMap<String, i64>>,
    pub phase: Value,
    /// How the releases ended: revision and outcome.
    pub outcomes: Vec<(String, String)>,
    /// Redis instances: name, size and state.
    pub redis: Vec<(String, i64, String)>,
    /// Objects that are left in the cluster.
    pub objects: Vec<String>,
    /// A person went back, and it holds.
    pub held: bool,
    /// One of them says what is in the way.
    pub blocked: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

impl End {
    fn of(world: &World) -> Self {
        let view = world.tap.sandbox.google.view();
        let list = |field: &str| view[field].as_array().cloned().unwrap_or_default();
        let traffic = |service: &Value| -> BTreeMap<String, i64> {
            let mut shares = BTreeMap::new();
            for target in service["trafficStatuses"].as_array().into_iter().flatten() {
                *shares.entry(text(&target["revision"])).or_default() += target["percent"].as_i64().unwrap_or(0);
            }
            shares
        };
        let status = world.rollout("api")["status"].clone();
        let history = status["history"].as_array().cloned().unwrap_or_default();
        let cluster = &world.tap.sandbox.cluster;
        let plurals = ["orchestraenvironments", "rollouts"];
        let objects: Vec<Value> = plurals.into_iter().flat_map(|plural| cluster.objects(plural)).collect();
        let stalled = |object: &Value| {
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|c| c["type"] == "Stalled" && c["status"] == "True" && c["message"] != "")
        };
        Self {
            traffic: list("services").iter().map(|s| (text(&s["name"]), traffic(s))).collect(),
            phase: status["phase"].clone(),
            outcomes: history.iter().map(|r| (text(&r["revision"]), text(&r["outcome"]))).collect(),
            redis: list("redis")
                .iter()
                .map(|r| (text(&r["name"]), r["memorySizeGb"].as_i64().unwrap_or(0), text(&r["state"])))
                .collect(),
            held: !status["held"].is_null(),
            blocked: objects.iter().any(stalled),
            objects: objects.iter().map(|o| text(&o["metadata"]["name"])).collect(),
        }
    }
}

impl End {
    /// Whether everything has come to an end, if not to the expected one: the releases, or the deletion of everything.
    fn is_over(&self, expected: &Self) -> bool {
        let gone = expected.objects.is_empty();
        if gone { self.objects.is_empty() || self.blocked } else { self.has_ended() }
    }

    /// Whether no release is under way, or something says what is in its way.
    fn has_ended(&self) -> bool {
        self.blocked || self.held || self.phase.is_null() || ENDED.iter().any(|phase| json!(phase) == self.phase)
    }
}

fn canary(image: &str) -> Value {
    json!({
        "environmentRef": {"name": "shop"}, "serviceName": "shop-api", "template": {"containers": [{"image": image}]},
        "strategy": {"canary": {"steps": [{"weight": 10, "holdSeconds": 120}]}},
        "analysis": {"watchSeconds": 0, "fastLane": "Disabled"},
    })
}

impl Scenario {
    pub const ALL: [Self; 15] = [
        Self::FirstDeployment,
        Self::CanaryThatPromotes,
        Self::CanaryThatRollsBack,
        Self::Supersede,
        Self::AbortAndRetry,
        Self::TwoRegions,
        Self::Adoption,
        Self::TrafficOnly,
        Self::Undo,
        Self::Restart,
        Self::Regions,
        Self::BlueGreen,
        Self::Rolling,
        Self::EnvironmentThatIsDeleted,
        Self::EnvironmentThatIsRetained,
    ];

    /// A scenario that begins the same: faults in what both have are tried there.
    pub fn begins_like(self) -> Option<Self> {
        match self {
            Self::FirstDeployment
            | Self::TwoRegions
            | Self::Adoption
            | Self::TrafficOnly
            | Self::EnvironmentThatIsDeleted => None,
            Self::CanaryThatPromotes | Self::CanaryThatRollsBack | Self::Restart | Self::Regions | Self::Rolling => {
                Some(Self::FirstDeployment)
            }
            Self::BlueGreen => Some(Self::TwoRegions),
            Self::Supersede | Self::AbortAndRetry | Self::Undo => Some(Self::CanaryThatPromotes),
            Self::EnvironmentThatIsRetained => Some(Self::EnvironmentThatIsDeleted),
        }
    }

    /// Plays it in a new world, with or without a fault; gives the end and the world.
    pub async fn play(self, plan: Option<Plan>) -> (End, World) {
        let world = World::new(3).await;
        if let Some(plan) = plan {
            world.strike(plan);
        }
        self.play_in(world).await
    }

    /// Plays it in a world that has been prepared.
    pub async fn play_in(self, mut world: World) -> (End, World) {
        match self {
            Self::EnvironmentThatIsDeleted => environment(&mut world, "Delete").await,
            Self::EnvironmentThatIsRetained => environment(&mut world, "Retain").await,
            _ => self.release(&mut world).await,
        }
        // What was wrong for a moment is looked at again within minutes.
        world.run_for(Duration::from_secs(1000)).await;
        world.try_until(LAST_WAIT, |world| End::of(world).has_ended()).await;
        (End::of(&world), world)
    }

    async fn release(self, world: &mut World) {
        let regions: &[&str] = if matches!(self, Self::TwoRegions | Self::BlueGreen) { &TWO } else { &ONE };
        world.create_environment("shop", plain_environment(regions)).await;
        let rollout = self.rollout(world).await;
        world.create_rollout("api", rollout).await;
        world.run_until_one_of("api", &ENDED).await;
        match self {
            Self::CanaryThatPromotes | Self::TwoRegions | Self::Adoption | Self::BlueGreen | Self::Rolling => {
                world.release("api", "app:2", &[]).await
            }
            Self::CanaryThatRollsBack => world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", "30")]).await,
            Self::Supersede => {
                world.release("api", "app:2", &[]).await;
                until_served_or_ended(world, "app:2").await;
                world.release("api", "app:3", &[]).await;
            }
            Self::AbortAndRetry => abort_and_retry(world).await,
            Self::TrafficOnly => deployed_by_others(world).await,
            Self::Undo => return undone(world).await,
            Self::Restart => {
                let restarted = json!({"kubectl.kubernetes.io/restartedAt": "2026-03-01T10:00:00Z"});
                world.patch_rollout("api", json!({"spec": {"template": {"annotations": restarted}}})).await;
            }
            Self::Regions => regions_that_change(world).await,
            _ => {}
        }
        world.run_until_one_of("api", &ENDED).await;
    }

    /// What is applied first; what others had made by then is there.
    async fn rollout(self, world: &mut World) -> Value {
        let mut rollout = canary("app:1");
        match self {
            Self::BlueGreen => {
                rollout["strategy"] = json!({"blueGreen": {"previewSeconds": 60}});
                rollout["analysis"]["watchSeconds"] = json!(300);
            }
            Self::Rolling => rollout["strategy"] = json!({"rolling": {"increments": 3, "intervalSeconds": 30}}),
            _ => {}
        }
        if !matches!(self, Self::Adoption | Self::TrafficOnly) {
            return rollout;
        }
        others::make(world, &rollout["template"]);
        world.run_for(Duration::from_secs(60)).await;
        rollout["adopt"] = json!({"service": "shop-api"});
        if self == Self::TrafficOnly {
            rollout["trafficOnly"] = json!(true);
            rollout.as_object_mut().map(|spec| spec.remove("template"));
        }
        rollout
    }
}

/// Waits until a release that others began by deploying has ended.
async fn deployed_by_others(world: &mut World) {
    let before = world.status("api").await.history.len();
    others::deploy_by_gcloud(world, "app:2", &Value::Null, "klmnopqrst");
    let ended = |world: &World| world.rollout("api")["status"]["history"].as_array().is_some_and(|h| h.len() > before);
    world.run_until("the release of what others deployed", ended).await;
}

async fn undone(world: &mut World) {
    world.release("api", "app:2", &[]).await;
    world.run_until_one_of("api", &ENDED).await;
    let status = world.rollout("api")["status"].clone();
    let promoted = status["promoted"].as_array().cloned().unwrap_or_default();
    let other = promoted.iter().find(|promoted| promoted["revision"] != status["stable"]["revision"]);
    let token = other.map(|promoted| promoted["undoToken"].clone());
    world.patch_rollout("api", json!({"metadata": {"annotations": {"orchestra.cherry-ai.me/undo": token}}})).await;
    world.run_until("the way back", |world| !world.rollout("api")["status"]["held"].is_null()).await;
}

async fn regions_that_change(world: &mut World) {
    let known = |world: &World| -> Vec<String> {
        let status = world.rollout("api")["status"].clone();
        status["regions"].as_array().into_iter().flatten().map(|region| text(&region["region"])).collect()
    };
    for regions in [TWO.as_slice(), &ONE] {
        world.patch_environment("shop", json!({"spec": {"regions": regions}})).await;
        // What was let go under Retain stays.
        let serves = |world: &World| world.weights("shop-api", "app:1") == [100, 100];
        // A service whose creation goes wrong may never be there.
        let is_so = |world: &World| known(world) == regions && serves(world) && world.is_in("api", &ENDED);
        world.try_until(ENVIRONMENT_TAKES, is_so).await;
    }
}

async fn until_served_or_ended(world: &mut World, image: &str) {
    let generation = world.rollout("api")["metadata"]["generation"].clone();
    world
        .run_until(&format!("{image} serves"), |world| {
            let known = world.rollout("api")["status"]["observedGeneration"] == generation;
            world.weights("shop-api", image) == [10] || (known && world.is_in("api", &ENDED))
        })
        .await;
}

async fn abort_and_retry(world: &mut World) {
    world.release("api", "app:2", &[]).await;
    until_served_or_ended(world, "app:2").await;
    let status = world.rollout("api")["status"].clone();
    let subject = [&status["candidate"], &status["failed"], &status["history"][0]];
    let release = subject.iter().map(|s| text(&s["release"])).find(|r| !r.is_empty()).unwrap_or_default();
    let annotate = |key: &str| json!({"metadata": {"annotations": {format!("orchestra.cherry-ai.me/{key}"): release}}});
    world.patch_rollout("api", annotate("abort")).await;
    world.run_until_one_of("api", &ENDED).await;
    world.patch_rollout("api", annotate("retry")).await;
    world.run_for(Duration::from_secs(30)).await;
}

async fn environment(world: &mut World, policy: &str) {
    world.tap.sandbox.google.seed_secret("cherry-ai-project", "key");
    let mut spec = plain_environment(&ONE);
    spec["redis"] = json!({"tier": "Basic", "memorySizeGb": 1});
    spec["secrets"] = json!([{"name": "key"}]);
    spec["serviceAccount"] = json!("vertex-agent");
    spec["deletionPolicy"] = json!(policy);
    world.create_environment("shop", spec).await;
    until_ready_or_stalled(world).await;
    let mut rollout = canary("app:1");
    rollout["template"]["containers"][0]["env"] = json!([{"name": "KEY", "valueFrom": {"secret": {"name": "key"}}}]);
    world.create_rollout("api", rollout).await;
    let end = Instant::now() + ENVIRONMENT_TAKES;
    world.run_until("the release", |world| world.is_in("api", &ENDED) || Instant::now() > end).await;
    world.patch_environment("shop", json!({"spec": {"redis": {"memorySizeGb": 3}}})).await;
    until_ready_or_stalled(world).await;
    world.delete().await;
    let end = Instant::now() + ENVIRONMENT_TAKES;
    world
        .run_until("the deletion", |world| {
            let cluster = &world.tap.sandbox.cluster;
            cluster.object("orchestraenvironments", NAMESPACE, "shop").is_none() || Instant::now() > end
        })
        .await;
}

async fn until_ready_or_stalled(world: &mut World) {
    let end = Instant::now() + ENVIRONMENT_TAKES;
    world
        .run_until("a ready environment", |world| {
            let environment = world.tap.sandbox.cluster.object("orchestraenvironments", NAMESPACE, "shop");
            let environment = environment.unwrap_or_default();
            let known = environment["status"]["observedGeneration"] == environment["metadata"]["generation"];
            let conditions = environment["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let is = |type_: &str| conditions.iter().any(|c| c["type"] == type_ && c["status"] == "True");
            (known && (is("Ready") || is("Stalled"))) || Instant::now() > end
        })
        .await;
}

/// What is wrong with a rerun: none when it reached the same end and broke no promise.
pub fn complaint(plan: Plan, expected: &End, end: &End, world: &World) -> Option<String> {
    let broken = world.tap.promises.lock().unwrap().broken.clone();
    if !broken.is_empty() {
        return Some(format!("{broken:#?}"));
    }
    if world.tap.struck().is_none() {
        return Some("the fault did not strike".into());
    }
    if plan.fault.kills() && world.crashes != 1 {
        return Some(format!("{} crashes", world.crashes));
    }
    // An operation that fails or never ends may cost the release, but it must end.
    if matches!(plan.fault, Fault::Operation(_)) {
        return (!end.is_over(expected)).then(|| format!("it does not end: {end:#?}"));
    }
    (end != expected).then(|| format!("expected {expected:#?}\ngot {end:#?}"))
}
