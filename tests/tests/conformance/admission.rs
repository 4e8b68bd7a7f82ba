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
pub(super) async fn refusal(world: &World, kind: &str, spec: Value) -> String {
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
    no_image["template"]["containers"][0].as_object_mut().unwrap().remove("image");
    let down = json!([{"weight": 50}, {"pause": {}}, {"weight": 10}]);
    let container = |field: &str, value: Value| with(good(), &format!("/template/containers/0/{field}"), value);
    let image = |name: &str| container("image", json!(name));
    let env = |variables: Value| container("env", variables);
    let limits = |cpu: Value, memory: Value| container("resources", json!({"limits": {"cpu": cpu, "memory": memory}}));
    let mounted = |mounts: Value, volumes: Value| with(container("volumeMounts", mounts), "/template/volumes", volumes);
    let keys = || json!([{"name": "keys", "secret": {"name": "key"}}]);
    let analysis = |analysis: Value| with(good(), "/analysis", analysis);
    let own = |more: Value| {
        let mut metric = json!({"name": "checkouts", "ratio": {"bad": "x{{revision}}", "total": "y{{ revision }}"}});
        for (key, value) in more.as_object().into_iter().flatten() {
            metric[key] = value.clone();
        }
        analysis(json!({"promql": [metric]}))
    };
    let by_limits = |threshold: Value| analysis(json!({"mode": "Threshold", "threshold": threshold}));
    let redis = |name: &str| with(env(json!([{"name": name, "value": "x"}])), "/template/redis", json!(true));
    let no_template = || {
        let mut spec = good();
        spec.as_object_mut().unwrap().remove("template");
        spec
    };
    let of_others = || with(no_template(), "/adopt", json!({"service": "shop-api"}));
    world.create_rollout("others", with(of_others(), "/trafficOnly", json!(true))).await;
    let binary = |binary: Value| with(good(), "/binaryAuthorization", binary);
    let access = |access: Value| with(good(), "/access", access);
    let cases = [
        (with(good(), "/description", json!("x".repeat(513))), "spec.description"),
        (with(good(), "/labels", json!({"App": "x"})), "Google's labels have keys of lowercase letters"),
        (with(good(), "/labels", json!({"managed-by": "x"})), "Orchestra's own labels"),
        (with(good(), "/annotations", json!({"run.googleapis.com/ingress": "all"})), "are Cloud Run's"),
        (with(good(), "/annotations", json!({"orchestra.cherry-ai.me/step": "9"})), "are Cloud Run's, and those of"),
        (with(good(), "/annotations", json!({"on call": "shop"})), "an annotation's key is a name of at most 63"),
        (binary(json!({})), "set exactly one of useDefault: true and policy"),
        (binary(json!({"breakglassJustification": "now"})), "set exactly one of useDefault: true and policy"),
        (binary(json!({"useDefault": true, "policy": "projects/p/platforms/cloudRun/x"})), "set exactly one"),
        (binary(json!({"policy": "strict"})), "spec.binaryAuthorization.policy"),
        (access(json!({"iap": "on"})), "spec.access.iap"),
        (access(json!({"customAudiences": ["a b"]})), "spec.access.customAudiences"),
        (access(json!({"customAudiences": ["a", "a"]})), "spec.access.customAudiences"),
        (
            with(good(), "/scaling", json!({"manualInstances": 2, "minInstances": 1})),
            "leave out minInstances and maxInstances",
        ),
        (with(good(), "/scaling", json!({"manualInstances": -1})), "spec.scaling.manualInstances"),
        (with(good(), "/adopt", json!({"service": "another"})), "name the service that serviceName names"),
        (with(good(), "/history", json!({"keepWarmSeconds": 600})), "set template.scaling.minInstances"),
        (with(good(), "/history", json!({"keepWarmSeconds": -1})), "spec.history.keepWarmSeconds"),
        (with(good(), "/trafficOnly", json!(true)), "set template, or trafficOnly: true where others deploy"),
        (with(no_template(), "/trafficOnly", json!(false)), "set template, or trafficOnly: true where others deploy"),
        (with(no_template(), "/trafficOnly", json!(true)), "take it over with adopt.service"),
        (
            with(with(of_others(), "/scaling", json!({"minInstances": 1})), "/trafficOnly", json!(true)),
            "access and binaryAuthorization are left to others, too",
        ),
        // A5
        (
            with(good(), "/strategy/canary/steps", step(100, 1)),
            "spec.strategy.canary.steps[0].weight in body should be less than or equal to 99",
        ),
        (
            with(good(), "/strategy/canary/steps", step(10, -1)),
            "holdSeconds in body should be greater than or equal to 0",
        ),
        (
            with(good(), "/strategy/canary/steps", down),
            "spec.strategy.canary.steps: Invalid value: weights must not go down",
        ),
        (with(good(), "/strategy/canary/steps", json!([{}])), "set exactly one kind of step: weight or pause"),
        (
            with(good(), "/strategy/canary/steps", json!([{"weight": 1, "pause": {}}])),
            "set exactly one kind of step: weight or pause",
        ),
        (
            with(good(), "/strategy/canary/steps", json!([{"pause": {}, "holdSeconds": 9}])),
            "holdSeconds belongs to a weight",
        ),
        // B2
        (with(good(), "/analysis", json!({"metricsDelaySeconds": 0})), "should be greater than or equal to 180"),
        (with(good(), "/strategy", json!({"rolling": {"increments": 1}})), "spec.strategy.rolling.increments"),
        (with(good(), "/strategy", json!({"rolling": {}, "blueGreen": {}})), "set exactly one strategy"),
        (
            with(good(), "/strategy", json!({"blueGreen": {"previewSeconds": -1}})),
            "spec.strategy.blueGreen.previewSeconds",
        ),
        (with(good(), "/strategy/immediate", json!({})), "spec.strategy: Invalid value: set exactly one strategy"),
        (with(good(), "/strategy", json!({})), "spec.strategy: Invalid value: set exactly one strategy"),
        (no_image, "spec.template.containers[0].image: Required value"),
        (with(good(), "/serviceName", json!("a".repeat(60))), "spec.serviceName: Too long: may not be more than 49"),
        (with(good(), "/serviceName", json!("Shop_API")), "spec.serviceName in body should match"),
        (
            image("https://eu.example/app"),
            "image: Invalid value: \"https://eu.example/app\": an image is [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST]",
        ),
        (image("app:1:2"), "an image is [HOST"),
        (image("-"), "an image is [HOST"),
        (image("eu.example/App"), "an image is [HOST"),
        (image("app@sha256:12"), "an image is [HOST"),
        (image("app:"), "an image is [HOST"),
        (image("app "), "an image is [HOST"),
        // B4
        (env(json!([{"name": "PORT", "value": "1"}])), "Cloud Run sets PORT"),
        (env(json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])), "Duplicate value"),
        (env(json!([{"name": "A", "value": "1", "valueFrom": {"secret": {"name": "s"}}}])), "set value or valueFrom"),
        (limits(json!(3), json!("1Gi")), "cpu must be 80m to 1, or 2, 4, 6 or 8"),
        (limits(json!("1"), json!("8Gi")), "memory is more than this cpu can have"),
        (limits(json!("4"), json!("1Gi")), "memory is too little for this cpu"),
        (limits(json!("1"), json!("64Mi")), "memory must be 128Mi to 32Gi"),
        (limits(json!("1"), json!("8GB")), "memory in body should match"),
        (
            with(good(), "/access", json!({"invokers": ["alice@example.com"]})),
            "spec.access.invokers[0] in body should match",
        ),
        (with(good(), "/access", json!({"invokers": ["allusers"]})), "spec.access.invokers[0] in body should match"),
        // B5
        (redis("REDIS_HOST"), "redis: true sets REDIS_HOST and REDIS_PORT"),
        (mounted(json!([{"name": "keys", "mountPath": "/proc/x"}]), keys()), "must not be in /dev, /proc or /sys"),
        (mounted(json!([{"name": "keys", "mountPath": "/etc/keys/"}]), keys()), "must be a plain absolute folder"),
        (
            mounted(json!([{"name": "keys", "mountPath": "/a"}, {"name": "keys", "mountPath": "/a"}]), keys()),
            "Duplicate value",
        ),
        (mounted(json!([{"name": "other", "mountPath": "/a"}]), keys()), "must name one of template.volumes"),
        (with(good(), "/template/volumes", keys()), "each of volumes must be mounted"),
        (
            with(good(), "/scaling", json!({"minInstances": 5, "maxInstances": 2})),
            "spec.scaling: Invalid value: minInstances must not be above maxInstances",
        ),
        (with(good(), "/mystery", json!(1)), "unknown field \"spec.mystery\""),
        (analysis(json!({"metrics": ["Latency"]})), "metrics: Errors is always judged"),
        (analysis(json!({"metrics": ["Errors", "Errors"]})), "Duplicate value"),
        (analysis(json!({"metrics": ["Errors", "Mood"]})), "Unsupported value"),
        (
            analysis(json!({"mode": "Threshold", "metrics": ["Errors", "ClientErrors"]})),
            "metrics: mode Threshold has no limits for ClientErrors and TooManyRequests",
        ),
        (analysis(json!({"promql": [{"name": "a"}]})), "promql: set exactly one of ratio, histogram and gauge"),
        (
            own(json!({"ratio": {"bad": "sum(x)", "total": "sum(y{r=\"{{revision}}\"})"}})),
            "bad: write {{revision}} where",
        ),
        (
            own(json!({"ratio": {"bad": "x{{revision}}{n=\"{{namespace}}\"}", "total": "y{{revision}}"}})),
            "bad: in double braces there are only {{revision}}",
        ),
        (
            own(
                json!({"ratio": null, "histogram": {"buckets": "x{{revision}}"}, "limits": {"failAboveBasisPoints": 1}}),
            ),
            "a histogram has no limits of its own",
        ),
        (own(json!({"name": "Errors"})), "name in body should match"),
        (own(json!({"address": "prometheus:9090"})), "address in body should match"),
        (own(json!({"address": "http://prometheus:99999/x"})), "address in body should match"),
        (own(json!({"address": "http://169.254.169.254/latest"})), "link-local addresses and metadata servers"),
        (own(json!({"address": "http://[fe80::1]:9090"})), "link-local addresses and metadata servers"),
        (
            by_limits(json!({"latency": {"failAbovePercentOfStable": 50}})),
            "write 100 for no slower, 150 for half as long again, or 0",
        ),
        (own(json!({"address": "https://user:word@prometheus"})), "address in body should match"),
        (own(json!({"limits": {}})), "limits.failAboveBasisPoints: Required value"),
        (own(json!({"limits": {"failAboveBasisPoints": 1}})), "promql: limits belong to mode Threshold"),
        (
            own(json!({"ratio": null, "gauge": {"value": "x{{revision}}", "badAbove": "1e3"}})),
            "badAbove in body should match",
        ),
        (analysis(json!({"alertPolicies": ["5xx"]})), "alertPolicies[0] in body should match"),
        // Limits that could never tell, or that nothing uses.
        (analysis(json!({"threshold": {"failureLimit": 1}})), "threshold: mode Sequential does not use it"),
        (by_limits(json!({"count": 100})), "analysis.threshold: a step has no time for its looks"),
        (
            by_limits(json!({"latency": {"failAboveMilliseconds": 100, "passAtMostMilliseconds": 200}})),
            "latency: passAtMostMilliseconds is at most failAboveMilliseconds",
        ),
        (
            by_limits(json!({"errors": {"failAboveBasisPoints": 100, "passAtMostBasisPoints": 200}})),
            "errors: passAtMostBasisPoints is at most failAboveBasisPoints",
        ),
        (by_limits(json!({"intervalSeconds": 90})), "metrics come by the minute"),
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
        // B3 and B4
        (with(good(), "/serviceAccount", json!("Web Runner")), "spec.serviceAccount in body should match"),
        (with(good(), "/labels", json!({"app.kubernetes.io/part-of": "x"})), "Google's labels have keys"),
        (with(good(), "/labels", json!({"Team": "x"})), "Google's labels have keys"),
        (with(good(), "/labels", json!({"team": "Payments"})), "spec.labels.team in body should match"),
        (with(good(), "/labels", json!({"version": "v1.2.3"})), "spec.labels.version in body should match"),
        (with(good(), "/labels", json!({"managed-by": "me"})), "are Orchestra's own labels"),
        (
            with(good(), "/defaults", json!({"env": [{"name": "K", "valueFrom": {"secret": {"name": "s"}}}]})),
            "defaults.env holds values only",
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

/// What Kubernetes and Cloud Run accept is accepted (C3, C6).
#[tokio::test(start_paused = true)]
async fn what_others_accept_is_accepted() {
    let world = World::new(1).await;
    let many: Vec<Value> = (0..400).map(|n| json!({"name": format!("a.b-{n}"), "value": "x"})).collect();
    let containers = [
        json!({"image": "a", "resources": {"limits": {"cpu": 2, "memory": "0.5Gi"}}}),
        json!({"image": "a", "resources": {"limits": {"cpu": "0.5", "memory": "512M"}}}),
        json!({"image": "a", "resources": {"limits": {"cpu": "8000m", "memory": "32Gi"}}}),
        json!({"image": "a", "env": [{"name": "spring.profiles.active", "value": "prod"}]}),
        json!({"image": "a", "env": many}),
        json!({"image": "us-central1-docker.pkg.dev/cherry-ai.me/orchestra/api_v2:1.2.3-RC_1"}),
        json!({"image": format!("localhost:5000/a/b--c:v1@sha256:{}", "0f".repeat(32))}),
    ];
    for (number, container) in containers.into_iter().enumerate() {
        let mut spec = canary("shop", "app:1");
        spec["template"] = json!({"containers": [container]});
        world.create_rollout(&format!("r{number}"), spec).await;
    }
    for stored in world.tap.sandbox.cluster.objects("rollouts") {
        let container = &stored["spec"]["template"]["containers"][0];
        assert!(container["name"].is_null(), "no defaults inside list items (C1): {container}");
        assert!(stored["spec"]["strategy"]["canary"]["steps"][0]["pause"].is_null());
    }
}
