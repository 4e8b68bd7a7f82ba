//! The shell asks the promises before it acts: a plan that would break one is not carried out, and one that only takes
//! traffic back to stable is done all the same.

use super::scenarios::{SERVICE, promoted};
use http::Method;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::Resource;
use orchestra_controller::error::PassError;
use orchestra_controller::metrics::{Key, Metrics, Series};
use orchestra_controller::shell::{Managed, Shell, Watched};
use orchestra_crds::{Lenient, Rollout, RolloutStatus};
use orchestra_planner::difference::Before;
use orchestra_planner::names::Percent;
use orchestra_planner::plan::{Effect, Outcome, Plan};
use orchestra_planner::promises::Broken;
use orchestra_planner::resource::FailedWrites;
use orchestra_planner::rollout::Observation;
use orchestra_sandbox::exchange::Request;
use orchestra_tests::world::World;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::borrow::Cow;
use std::cell::Cell;

type Tamper = fn(&mut Effect);

thread_local! {
    static TAMPER: Cell<Tamper> = const { Cell::new(|_| {}) };
}

/// A Rollout whose plans come out wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Careless(Rollout);

impl Resource for Careless {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind(dynamic: &()) -> Cow<'_, str> {
        Rollout::kind(dynamic)
    }

    fn group(dynamic: &()) -> Cow<'_, str> {
        Rollout::group(dynamic)
    }

    fn version(dynamic: &()) -> Cow<'_, str> {
        Rollout::version(dynamic)
    }

    fn plural(dynamic: &()) -> Cow<'_, str> {
        Rollout::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

impl Managed for Careless {
    const KIND: &'static str = "Rollout";
    type Status = RolloutStatus;
    type Seen = Observation;

    async fn observe(
        shell: &Shell,
        read: &Lenient<Self>,
        failed_writes: FailedWrites,
    ) -> Result<Observation, PassError> {
        let text = serde_json::to_string(&read.object).unwrap();
        Rollout::observe(shell, &Lenient::read(&text).unwrap(), failed_writes).await
    }

    fn plan(seen: &Observation) -> Plan<RolloutStatus> {
        let mut plan = Rollout::plan(seen);
        plan.effects.iter_mut().for_each(TAMPER.get());
        plan
    }

    fn before<'a>(seen: &'a Self::Seen, effect: &Effect) -> Before<'a> {
        Rollout::before(seen, effect)
    }

    fn watched(seen: &Observation) -> Watched {
        Rollout::watched(seen)
    }

    fn broken(seen: &Observation, effects: &[Effect]) -> Option<Broken> {
        Rollout::broken(seen, effects)
    }

    fn shown(&self, _: &Key, _: &Self::Status) -> (Option<String>, Vec<Series>) {
        (None, vec![])
    }

    fn count(_: &Metrics, _: &Self::Status, _: &Self::Status, _: jiff::Timestamp) {}

    fn status(&self) -> Option<&RolloutStatus> {
        self.0.status.as_ref()
    }

    fn observed_generation(status: &mut Self::Status) -> &mut Option<i64> {
        &mut status.observed_generation
    }

    fn set_status(&mut self, status: RolloutStatus) {
        self.0.status = Some(status);
    }

    fn conditions(status: &mut RolloutStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn absorb(status: RolloutStatus, _: &Effect, _: &Outcome, _: Timestamp) -> RolloutStatus {
        status
    }
}

/// Shares that don't sum to 100.
fn half(effect: &mut Effect) {
    let Effect::UpdateService { change, .. } = effect else { return };
    for target in change.traffic.iter_mut().flatten() {
        target.percent = Percent::clamped(target.percent.get() / 2);
    }
}

/// Tags that people put on get lost.
fn without_tags(effect: &mut Effect) {
    let Effect::UpdateService { change, .. } = effect else { return };
    change.traffic.iter_mut().for_each(|traffic| traffic.retain(|target| target.tag.is_none()));
}

fn writes(world: &World) -> usize {
    world.tap.calls().iter().filter(|call| call.method == "PATCH" && call.target.contains("/services/")).count()
}

fn stalled(world: &World) -> String {
    let conditions = world.rollout("api")["status"]["conditions"].clone();
    let stalled = conditions.as_array().into_iter().flatten().find(|c| c["type"] == "Stalled" && c["status"] == "True");
    stalled.map(|c| format!("{}: {}", c["reason"], c["message"])).unwrap_or_default()
}

/// A release at 10 %, and nobody who looks after it.
async fn releasing() -> World {
    let mut world = promoted(&["us-central1"]).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_weights(SERVICE, "app:2", &[10]).await;
    world
}

async fn abort(world: &World) {
    let release = world.status("api").await.candidate.unwrap().release;
    let annotations = json!({"orchestra.cherry-ai.me/abort": release});
    world.patch_rollout("api", json!({"metadata": {"annotations": annotations}})).await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_would_break_a_promise_is_not_carried_out() {
    let world = releasing().await;
    let before = writes(&world);
    abort(&world).await;
    TAMPER.set(half);
    world.shell().reconcile::<Careless>("default", "api").await;
    assert_eq!(writes(&world), before, "nothing is written");
    let told = stalled(&world);
    assert!(told.contains("PromiseWouldBreak") && told.contains("shares would sum to 50"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn one_that_only_takes_traffic_back_is_done_all_the_same() {
    let world = releasing().await;
    let path = "/v2/projects/cherry-ai-project/locations/us-central1/services/shop-api";
    let google = &world.tap.sandbox.google;
    let read = google.handle(&Request::new(Method::GET, path, bytes::Bytes::new()));
    let mut traffic = read.document().unwrap()["traffic"].clone();
    traffic[0]["tag"] = json!("mine");
    let tagged = Request::new(
        Method::PATCH,
        &format!("{path}?updateMask=traffic"),
        json!({"traffic": traffic}).to_string().into(),
    );
    assert_eq!(google.handle(&tagged).status, 200);
    abort(&world).await;
    TAMPER.set(without_tags);
    let before = writes(&world);
    world.shell().reconcile::<Careless>("default", "api").await;
    assert_eq!(writes(&world), before + 1, "{}", stalled(&world));
    assert_eq!(world.shell().metrics().broken_promises.with_label_values(&["2"]).get(), 1);
}
