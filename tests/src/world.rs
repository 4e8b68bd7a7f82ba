//! A world to try scenarios in.

use jiff::{SignedDuration, Timestamp};
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use orchestra_cloud::{Cloud, Unsent};
use orchestra_controller::clock::{Clock, ClockReading};
use orchestra_controller::lease::Leadership;
use orchestra_controller::metrics::Metrics;
use orchestra_controller::shell::{LOOK_FOR_DRIFT, Shell};
use orchestra_crds::{OrchestraEnvironment, Rollout, RolloutPhase, RolloutStatus};
use orchestra_sandbox::Sandbox;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use crate::faces::{GoogleFace, Tap, kube_client};
use crate::faults::{Fault, Plan};
use crate::rehearsals::{Rehearsals, foresee};

pub const NAMESPACE: &str = "default";
const START: &str = "2026-03-01T09:00:00Z";

/// An object that the controller looks after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Environment,
    Rollout,
}

impl Kind {
    const ALL: [(Self, &'static str); 2] = [(Self::Environment, "orchestraenvironments"), (Self::Rollout, "rollouts")];
}

type Key = (Kind, String);

/// How often what others have changed in Google Cloud is looked for.
const DRIFT: Duration = Duration::from_secs(LOOK_FOR_DRIFT.as_secs().unsigned_abs());
/// How long anything may take.
const LONGEST_WAIT: Duration = Duration::from_secs(4 * 3600);

pub struct World {
    pub tap: Arc<Tap>,
    pub user: Client,
    pub crashes: usize,
    /// Whether the controller has the bug of trusting the clock of its machine.
    pub trusts_its_clock: bool,
    /// What passes were foreseen to do; none: they are not rehearsed.
    pub rehearsals: Option<Rehearsals>,
    /// The controllers; they take turns.
    shells: Vec<Shell>,
    turn: usize,
    clock: Clock,
    due: BTreeMap<Key, Instant>,
    /// When to look next for what others have changed in Google Cloud.
    drift: Instant,
    /// The version of the cluster up to which changes were noticed.
    noticed: u64,
}

fn shell(tap: &Arc<Tap>, clock: Clock, leadership: Leadership, name: &'static str) -> Shell {
    let cloud = Cloud::in_process(Arc::new(GoogleFace { tap: tap.clone(), caller: name }));
    Shell::new(kube_client(tap.clone(), name), cloud, clock, leadership, Metrics::new(100).unwrap())
}

impl World {
    /// A world with the CRDs installed. Needs tokio's paused clock.
    pub async fn new(seed: u64) -> Self {
        let clock = Clock::starting_at(ClockReading { now: START.parse().unwrap(), speed: 1 });
        let sandbox = Sandbox::new(clock, clock, seed);
        sandbox.install_crds().unwrap();
        let tap = Tap::new(sandbox);
        let user = kube_client(tap.clone(), "user");
        let shell = shell(&tap, clock, Leadership::alone(), "controller");
        Self {
            tap,
            user,
            crashes: 0,
            trusts_its_clock: false,
            rehearsals: None,
            shells: vec![shell],
            turn: 0,
            clock,
            due: BTreeMap::new(),
            drift: Instant::now() + DRIFT,
            noticed: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn rollouts(&self) -> Api<Rollout> {
        Api::namespaced(self.user.clone(), NAMESPACE)
    }

    pub fn environments(&self) -> Api<OrchestraEnvironment> {
        Api::namespaced(self.user.clone(), NAMESPACE)
    }

    /// The first of its controllers.
    pub fn shell(&self) -> &Shell {
        &self.shells[0]
    }

    /// Objects of a kind as they are stored, also those that can't be decoded.
    fn stored<K: kube::Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.user.clone(), NAMESPACE, &ApiResource::erase::<K>(&()))
    }

    /// The cluster, as a user calls it.
    pub fn user(&self) -> Client {
        self.user.clone()
    }

    pub async fn create_environment(&self, name: &str, spec: Value) {
        let object = json!({"apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "OrchestraEnvironment",
                            "metadata": {"name": name}, "spec": spec});
        self.environments().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    pub async fn create_rollout(&self, name: &str, spec: Value) {
        let object = json!({"apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "Rollout",
                            "metadata": {"name": name}, "spec": spec});
        self.rollouts().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    pub async fn patch_rollout(&self, name: &str, patch: Value) {
        self.stored::<Rollout>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub async fn patch_environment(&self, name: &str, patch: Value) {
        let environments = self.stored::<OrchestraEnvironment>();
        environments.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Empties the status, as a lost backup would.
    pub async fn wipe_status(&self, name: &str) {
        let patch = Patch::Merge(json!({"status": null}));
        self.rollouts().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// The same of an environment.
    pub async fn wipe_environment_status(&self, name: &str) {
        let patch = Patch::Merge(json!({"status": null}));
        self.environments().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// A new image, with the environment that makes it behave.
    pub async fn release(&self, name: &str, image: &str, env: &[(&str, &str)]) {
        let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.patch_rollout(name, json!({"spec": {"template": one_container(image, json!(env))}})).await;
    }

    pub async fn delete(&self) {
        self.delete_rollouts().await;
        for environment in self.environments().list(&Default::default()).await.unwrap() {
            self.environments().delete(&environment.name_any(), &DeleteParams::default()).await.unwrap();
        }
    }

    pub async fn delete_rollouts(&self) {
        let rollouts = self.stored::<Rollout>();
        for rollout in rollouts.list(&Default::default()).await.unwrap() {
            rollouts.delete(&rollout.name_any(), &DeleteParams::default()).await.unwrap();
        }
    }

    pub async fn status(&self, name: &str) -> RolloutStatus {
        self.rollouts().get(name).await.unwrap().status.unwrap_or_default()
    }

    pub async fn phase(&self, name: &str) -> Option<RolloutPhase> {
        self.status(name).await.phase
    }

    /// Shares in effect of the revisions that run an image, by region.
    pub fn weights(&self, service: &str, image: &str) -> Vec<i64> {
        let view = self.tap.sandbox.google.view();
        let of = |s: &Value| -> i64 {
            let runs = |t: &&Value| self.image_of(s, t["revision"].as_str().unwrap_or_default()) == image;
            let targets = s["trafficStatuses"].as_array().cloned().unwrap_or_default();
            targets.iter().filter(runs).filter_map(|t| t["percent"].as_i64()).sum()
        };
        let all = view["services"].as_array().cloned().unwrap_or_default();
        all.iter().filter(|s| s["name"].as_str().unwrap_or_default().ends_with(service)).map(of).collect()
    }

    fn image_of(&self, service: &Value, revision: &str) -> String {
        let path = format!("/v2/{}/revisions/{revision}", service["name"].as_str().unwrap_or_default());
        let request = orchestra_sandbox::exchange::Request::new(http::Method::GET, &path, bytes::Bytes::new());
        let reply = self.tap.sandbox.google.handle(&request);
        reply.document().and_then(|body| Some(body["containers"][0]["image"].as_str()?.to_string())).unwrap_or_default()
    }

    fn names(&self, kind: Kind) -> Vec<Key> {
        let plural = Kind::ALL.iter().find(|(k, _)| *k == kind).map_or("", |(_, plural)| plural);
        let objects = self.tap.sandbox.cluster.objects(plural);
        objects.iter().map(|o| (kind, o["metadata"]["name"].as_str().unwrap_or_default().to_string())).collect()
    }

    /// Objects that changed since they were last looked at, or are new, are due: as a watch would have it.
    fn notice(&mut self) {
        let (now, changes) = self.tap.sandbox.cluster.changed_since(self.noticed);
        let changed: Vec<Key> = match changes.filter(|_| self.noticed > 0) {
            Some(changes) => {
                let kind = |plural: &str| Kind::ALL.iter().find(|(_, p)| *p == plural).map(|(kind, _)| *kind);
                changes.into_iter().filter_map(|(plural, _, name)| Some((kind(&plural)?, name))).collect()
            }
            None => Kind::ALL.iter().flat_map(|(kind, _)| self.names(*kind)).collect(),
        };
        self.noticed = now;
        let of_environment = changed.iter().any(|(kind, _)| *kind == Kind::Environment);
        let affected = if of_environment { self.names(Kind::Rollout) } else { vec![] };
        for key in changed.into_iter().chain(affected) {
            self.due.insert(key, Instant::now());
        }
    }

    /// One pass over the object that is due first. False: there is nothing to look after.
    async fn step(&mut self) -> bool {
        self.notice();
        let Some((key, at)) =
            self.due.iter().min_by_key(|(key, at)| (**at, (*key).clone())).map(|(k, a)| (k.clone(), *a))
        else {
            return false;
        };
        if self.drift < at {
            self.look_for_drift().await;
            return true;
        }
        tokio::time::sleep_until(at).await;
        self.turn = (self.turn + 1) % self.shells.len();
        let foreseen = if self.rehearsals.is_some() {
            // What is sent from here on is this pass's.
            self.tap.take_sent();
            self.foresee(&key).await
        } else {
            vec![]
        };
        let shell = &self.shells[self.turn];
        let pass = async {
            match key.0 {
                Kind::Environment => shell.reconcile::<OrchestraEnvironment>(NAMESPACE, &key.1).await,
                Kind::Rollout => shell.reconcile::<Rollout>(NAMESPACE, &key.1).await,
            }
        };
        let next = tokio::select! {
            biased;
            () = self.tap.died.notified() => None,
            next = pass => Some(next),
        };
        if let Some(rehearsals) = &mut self.rehearsals {
            rehearsals.note(&format!("{key:?}"), foreseen, self.tap.take_sent());
        }
        match next {
            Some(Some(next)) => drop(self.due.insert(key, Instant::now() + next.max(Duration::from_millis(10)))),
            Some(None) => drop(self.due.remove(&key)),
            None => self.restart().await,
        }
        true
    }

    /// Rollouts whose services others have changed are due.
    async fn look_for_drift(&mut self) {
        tokio::time::sleep_until(self.drift).await;
        for shell in &self.shells {
            for (_, _, name) in shell.drifted().await {
                self.due.insert((Kind::Rollout, name), Instant::now());
            }
        }
        self.drift = Instant::now() + DRIFT;
    }

    /// What the pass over an object is to send, if not this one, then the next ones.
    async fn foresee(&self, key: &Key) -> Vec<Unsent> {
        let sandbox = &self.tap.sandbox;
        match key.0 {
            Kind::Environment => foresee::<OrchestraEnvironment>(sandbox, self.clock, &key.1).await,
            Kind::Rollout => foresee::<Rollout>(sandbox, self.clock, &key.1).await,
        }
    }

    /// A new process: nothing in memory is left, everything is looked at again.
    pub async fn restart(&mut self) {
        let hours = match self.tap.struck() {
            Some(Fault::ClockJump(hours)) => hours,
            _ => 0,
        };
        self.restart_where_the_clock_is_off_by(hours).await;
    }

    /// A new process on a machine whose clock is so many hours off.
    pub async fn restart_where_the_clock_is_off_by(&mut self, hours: i32) {
        self.crashes += 1;
        let clock = match self.trusts_its_clock {
            true => {
                let now = self.clock.now() + SignedDuration::from_hours(i64::from(hours));
                Clock::starting_at(ClockReading { now, speed: 1 })
            }
            false => Clock::of_cluster(&self.user).await.unwrap(),
        };
        self.shells = vec![shell(&self.tap, clock, Leadership::alone(), "controller")];
        self.noticed = 0;
    }

    /// Two controllers in the place of the one, with what tells each whether it may write.
    pub fn controllers(&mut self, named: [(&'static str, Leadership); 2]) {
        self.shells = named.map(|(name, lead)| shell(&self.tap, self.clock, lead, name)).into();
    }

    /// Lets one call of the controller go wrong.
    pub fn strike(&self, plan: Plan) {
        self.tap.strike(plan);
    }

    pub async fn run_for(&mut self, span: Duration) {
        let end = Instant::now() + span;
        self.notice();
        while self.next_due().is_none_or(|at| at <= end) && self.step().await {
            if Instant::now() >= end {
                return;
            }
        }
        tokio::time::sleep_until(end).await;
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.values().min().map(|due| self.drift.min(*due))
    }

    /// Runs until something is so, or for a span; whether it is.
    pub async fn try_until(&mut self, span: Duration, so: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + span;
        while !so(self) && Instant::now() < end {
            if !self.step().await {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        so(self)
    }

    /// Runs until something is so; fails with the state when that takes more than four hours.
    pub async fn run_until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let happened = self.try_until(LONGEST_WAIT, so).await;
        assert!(happened, "{what} did not happen: {:#}", self.tap.sandbox.cluster.state()["rollouts"]);
    }

    /// A Rollout as it is stored.
    pub fn rollout(&self, name: &str) -> Value {
        self.tap.sandbox.cluster.object("rollouts", NAMESPACE, name).unwrap_or_default()
    }

    /// Whether a Rollout is in a phase, and that phase is about its present spec.
    pub fn is_in(&self, name: &str, phases: &[RolloutPhase]) -> bool {
        let rollout = self.rollout(name);
        let phase = serde_json::from_value(rollout["status"]["phase"].clone()).ok();
        phase.is_some_and(|phase| phases.contains(&phase))
            && rollout["status"]["observedGeneration"] == rollout["metadata"]["generation"]
    }

    pub async fn run_until_phase(&mut self, name: &str, phase: RolloutPhase) {
        self.run_until_one_of(name, &[phase]).await;
    }

    pub async fn run_until_one_of(&mut self, name: &str, phases: &[RolloutPhase]) {
        self.run_until(&format!("{phases:?}"), |world| world.is_in(name, phases)).await;
    }

    /// Runs until the weights in effect are these.
    pub async fn run_until_weights(&mut self, service: &str, image: &str, weights: &[i64]) {
        let end = Instant::now() + LONGEST_WAIT;
        while self.weights(service, image) != weights {
            assert!(Instant::now() < end, "{image} never had {weights:?}: {:?}", self.weights(service, image));
            self.step().await;
        }
    }

    /// Fails if a promise was broken.
    pub fn assert_promises(&self) {
        let promises = self.tap.promises.lock().unwrap();
        assert!(promises.checked > 0, "nothing was checked");
        assert!(promises.broken.is_empty(), "{:#?}", promises.broken);
    }
}

/// An environment in these regions, without Redis.
pub fn plain_environment(regions: &[&str]) -> Value {
    json!({"project": "cherry-ai-project", "stage": "Production", "regions": regions,
           "access": {"invokers": ["allUsers"]}})
}

/// A template of one container.
pub fn one_container(image: &str, env: Value) -> Value {
    json!({"containers": [{"image": image, "env": env}]})
}

/// A Rollout of `shop-api` with steps of 10 and 50 %.
pub fn canary(environment: &str, image: &str) -> Value {
    json!({
        "environmentRef": {"name": environment}, "serviceName": "shop-api", "template": {"containers": [{"image": image}]},
        "strategy": {"canary": {"steps": [{"weight": 10, "holdSeconds": 300}, {"weight": 50, "holdSeconds": 300}]}},
        "analysis": {"watchSeconds": 0, "fastLane": "Disabled"},
    })
}
