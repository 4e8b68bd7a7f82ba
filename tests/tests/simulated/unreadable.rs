//! Objects that were stored under another schema than this version's: what can be read of them is enough for a way back.

use super::scenarios::{SERVICE, TWO, promoted};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use orchestra_tests::world::World;
use serde_json::{Value, json};
use std::time::Duration;

/// Lets the cluster take anything in a field of the spec.
async fn loosen(world: &World, plural: &str, field: &str) {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let crds: Api<DynamicObject> = Api::all_with(world.user(), &ApiResource::from_gvk(&kind));
    let all = crds.list(&ListParams::default()).await.unwrap();
    let mut crd = all.items.into_iter().find(|crd| crd.data["spec"]["names"]["plural"] == plural).unwrap();
    let schema = crd.data.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties").unwrap();
    schema[field] = json!({"x-kubernetes-preserve-unknown-fields": true});
    let name = crd.metadata.name.clone().unwrap();
    crds.replace(&name, &PostParams::default(), &crd).await.unwrap();
}

fn stalled(world: &World) -> String {
    let conditions = world.rollout("api")["status"]["conditions"].clone();
    let stalled = conditions.as_array().into_iter().flatten().find(|c| c["type"] == "Stalled" && c["status"] == "True");
    stalled.map(|c| format!("{}: {}", c["reason"], c["message"])).unwrap_or_default()
}

async fn taken_back(world: &mut World) {
    world
        .run_until("the candidate is taken back", |world| {
            world.rollout("api")["status"]["failed"]["rolledBack"] == Value::Bool(true)
        })
        .await;
    assert_eq!((world.weights(SERVICE, "app:2"), world.weights(SERVICE, "app:1")), (vec![0, 0], vec![100, 100]));
}

/// A release at 10 % that fails 5 % of its requests.
async fn releasing() -> World {
    let mut world = promoted(&TWO).await;
    world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", "5")]).await;
    world.run_until_weights(SERVICE, "app:2", &[10, 0]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_cant_be_read_in_full_holds_no_rollback_up() {
    let mut world = releasing().await;
    loosen(&world, "orchestraenvironments", "labels").await;
    world.patch_environment("shop", json!({"spec": {"labels": {"team": 7}}})).await;
    world.run_until("it is told", |world| stalled(world).contains("EnvironmentUnreadable")).await;
    assert!(stalled(&world).contains("spec.labels.team"), "{}", stalled(&world));
    taken_back(&mut world).await;
    world.patch_environment("shop", json!({"spec": {"labels": null}})).await;
    world.run_until("it is latched", |world| stalled(world).contains("AnalysisFailed")).await;
    world.run_for(Duration::from_secs(600)).await;
    assert_eq!(world.weights(SERVICE, "app:2"), [0, 0]);
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn d7_a_rollout_that_cant_be_read_in_full_is_taken_back_all_the_same() {
    let mut world = releasing().await;
    loosen(&world, "rollouts", "scaling").await;
    loosen(&world, "rollouts", "strategy").await;
    let spec = json!({"scaling": {"minInstances": "two"}, "strategy": {"canary": {"steps": "few"}}});
    world.patch_rollout("api", json!({"spec": spec})).await;
    world.run_until("it is told", |world| stalled(world).contains("spec.scaling.minInstances")).await;
    taken_back(&mut world).await;
    assert_eq!(world.rollout("api")["spec"]["strategy"]["canary"]["steps"], "few", "what is stored stays");
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn d7_a_rollout_that_cant_be_read_in_full_can_be_deleted() {
    let mut world = releasing().await;
    loosen(&world, "rollouts", "scaling").await;
    world.patch_rollout("api", json!({"spec": {"scaling": {"minInstances": "two"}}})).await;
    world.delete_rollouts().await;
    world.run_until("it is gone", |world| world.rollout("api").is_null()).await;
    assert_eq!(world.weights(SERVICE, "app:1"), [100, 100]);
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn d7_a_rollout_of_which_nothing_can_be_read_says_so() {
    let mut world = releasing().await;
    loosen(&world, "rollouts", "template").await;
    world.patch_rollout("api", json!({"spec": {"template": "app:3"}})).await;
    world.run_until("it is told", |world| stalled(world).contains("spec.template")).await;
    assert!(stalled(&world).contains("Unreadable"), "{}", stalled(&world));
}

/// Lets the cluster take no status that says anything.
async fn refuse_statuses(world: &World, refuse: bool) {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let crds: Api<DynamicObject> = Api::all_with(world.user(), &ApiResource::from_gvk(&kind));
    let all = crds.list(&ListParams::default()).await.unwrap();
    let mut crd = all.items.into_iter().find(|crd| crd.data["spec"]["names"]["plural"] == "rollouts").unwrap();
    let schema = crd.data.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties").unwrap();
    schema["message"]["maxLength"] = if refuse { json!(1) } else { Value::Null };
    let name = crd.metadata.name.clone().unwrap();
    crds.replace(&name, &PostParams::default(), &crd).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn d8_a_status_that_the_cluster_refuses_holds_no_rollback_up() {
    let mut world = releasing().await;
    refuse_statuses(&world, true).await;
    let back = |world: &World| world.weights(SERVICE, "app:2") == [0, 0];
    world.run_until("the candidate is taken back", back).await;
    world.run_for(Duration::from_secs(1800)).await;
    assert_eq!(world.weights(SERVICE, "app:2"), [0, 0], "nothing moves forward, either");
    refuse_statuses(&world, false).await;
    world
        .run_until("it is told", |world| {
            stalled(world).contains("FailedBefore") || stalled(world).contains("AnalysisFailed")
        })
        .await;
    assert_eq!(world.weights(SERVICE, "app:1"), [100, 100]);
    world.assert_promises();
}
