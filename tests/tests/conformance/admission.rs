//! What the CRDs refuse, with the message that a user meets.

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use orchestra_sandbox::exchange::Request;
use orchestra_tests::world::{NAMESPACE, World, canary, plain_environment};
use serde_json::{Value, json};

fn api(world: &World, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("orchestra.cherry-ai.me", "v1alpha1", kind);
    Api::namespaced_with(world.user.clone(), NAMESPACE, &ApiResource::from_gvk(&kind))
}

/// Creates as `kubectl apply` does, with strict field validation.
async fn refusal(world: &World, kind: &str, spec: Value) -> String {
    let object =
        json!({"apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec});
    let plural = format!("{}s", kind.to_lowercase());
    let path = format!("/apis/orchestra.cherry-ai.me/v1alpha1/namespaces/{NAMESPACE}/{plural}?fieldValidation=Strict");
    let request = Request::new(http::Method::POST, &path, object.to_string().into());
    let reply = world.tap.sandbox.cluster.handle(&request);
    assert!(matches!(reply.status, 400 | 422), "it was not refused: {reply:?}");
    reply.document().unwrap()["message"].as_str().unwrap().to_string()
}

fn with(mut spec: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    spec.pointer_mut(parent).unwrap()[name] = value;
    spec
}

#[tokio::test(start_paused = true)]
async fn rollouts() {
    let world = World::new(1).await;
    let good = || canary("shop", "app:1");
    let step = |weight: i64, hold: i64| json!([{"weight": weight, "holdSeconds": hold}]);
    let mut no_image = good();
    no_image["template"].as_object_mut().unwrap().remove("image");
    let down = json!([{"weight": 50}, {"weight": 10}]);
    let secret = |secret: Value| with(good(), "/template/secrets", json!([secret]));
    let cases = [
        (
            with(good(), "/strategy/canary/steps", step(130, 1)),
            "spec.strategy.canary.steps[0].weight in body should be less than or equal to 100",
        ),
        (
            with(good(), "/strategy/canary/steps", step(10, -1)),
            "holdSeconds in body should be greater than or equal to 0",
        ),
        (
            with(good(), "/strategy/canary/steps", down),
            "spec.strategy.canary.steps: Invalid value: weights must not go down",
        ),
        (with(good(), "/strategy/immediate", json!({})), "spec.strategy: Invalid value: set exactly one strategy"),
        (with(good(), "/strategy", json!({})), "spec.strategy: Invalid value: set exactly one strategy"),
        (no_image, "spec.template.image: Required value"),
        (with(good(), "/serviceName", json!("a".repeat(60))), "spec.serviceName: Too long: may not be more than 49"),
        (with(good(), "/serviceName", json!("Shop_API")), "spec.serviceName in body should match"),
        (secret(json!({"env": "KEY"})), "spec.template.secrets[0].name: Required value"),
        (secret(json!({"name": "key"})), "spec.template.secrets[0]: Invalid value: set exactly one of env and path"),
        (
            with(good(), "/scaling", json!({"minInstances": 5, "maxInstances": 2})),
            "spec.scaling: Invalid value: minInstances must not be above maxInstances",
        ),
        (with(good(), "/mystery", json!(1)), "unknown field \"spec.mystery\""),
    ];
    for (spec, expected) in cases {
        let message = refusal(&world, "Rollout", spec).await;
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn environments() {
    let world = World::new(1).await;
    let good = || plain_environment(&["us-central1"]);
    let cases = [
        (with(good(), "/regions", json!([])), "spec.regions in body should have at least 1 items"),
        (
            with(good(), "/regions", json!(["us-central1", "us-central1"])),
            "spec.regions: Invalid value: each region may be named once",
        ),
        (with(good(), "/project", json!("x")), "spec.project in body should match"),
        (with(good(), "/stage", json!("Moon")), "spec.stage: Unsupported value: \"Moon\""),
        (with(good(), "/secrets", json!([{"secret": "key"}])), "spec.secrets[0].name: Required value"),
        (with(good(), "/secrets", json!([{"name": "a"}, {"name": "a"}])), "spec.secrets[1]: Duplicate value"),
        (
            with(good(), "/redis", json!({"tier": "Basic", "memorySizeGb": 0})),
            "memorySizeGb in body should be greater than or equal to 1",
        ),
    ];
    for (spec, expected) in cases {
        let message = refusal(&world, "OrchestraEnvironment", spec).await;
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_immutable_stays() {
    let world = World::new(1).await;
    world.create_environment("shop", plain_environment(&["us-central1"])).await;
    world.create_rollout("api", canary("shop", "app:1")).await;
    for (kind, name, patch, expected) in [
        ("Rollout", "api", json!({"spec": {"serviceName": "other"}}), "serviceName is immutable"),
        ("OrchestraEnvironment", "shop", json!({"spec": {"project": "another-project"}}), "project is immutable"),
    ] {
        let patched = api(&world, kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        let message = patched.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn defaults_are_filled_in() {
    let world = World::new(1).await;
    world.create_rollout("api", canary("shop", "app:1")).await;
    let spec = world.rollouts().get("api").await.unwrap().spec;
    assert_eq!((spec.analysis.minimum_requests, spec.progress_deadline_seconds), (500, 600));
    let stored = &world.tap.sandbox.cluster.objects("rollouts")[0]["spec"];
    assert_eq!(stored["analysis"]["confidencePercent"], 99);
    assert_eq!(stored["paused"], false);
}
