//! What random calls to the sandbox and to kube-apiserver's own libraries answered differently, each once.

use http::Method;
use orchestra_sandbox::exchange::Request;
use orchestra_tests::world::{World, canary, plain_environment};
use serde_json::{Value, json};

const ALL: &str = "/apis/orchestra.cherry-ai.me/v1alpha1/namespaces/default";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

fn send(world: &World, method: Method, target: &str, type_: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call(world, method, &format!("{ALL}/{target}"), type_, body)
}

fn call(world: &World, method: Method, path: &str, type_: &str, body: String) -> (u16, Value) {
    let mut request = Request::new(method, path, body.into());
    request.content_type = type_.into();
    let reply = world.tap.sandbox.cluster.handle(&request);
    (reply.status, reply.document().map(std::borrow::Cow::into_owned).unwrap_or_default())
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn rollout(name: &str) -> Value {
    object("Rollout", name, canary("shop", "app:1"))
}

fn environment(name: &str) -> Value {
    object("OrchestraEnvironment", name, plain_environment(&["us-central1"]))
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

fn create(world: &World, object: &Value) -> (u16, Value) {
    let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
    send(world, Method::POST, &plural, "application/json", object)
}

fn message(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["message"].as_str().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn metadata_must_be_of_its_types_and_hold_what_it_may() {
    let world = World::new(1).await;
    let number = create(&world, &with(rollout("a"), "/metadata/labels", json!({"a": 1})));
    let said = "Rollout in version \"v1alpha1\" cannot be handled as a Rollout: json: cannot unmarshal number into Go \
                struct field ObjectMeta.labels of type string";
    assert_eq!(message(&number), (400, said));
    let bad = create(&world, &with(rollout("a"), "/metadata/labels", json!({"a": "b c"})));
    assert!(bad.0 == 422 && bad.1["details"]["causes"][0]["field"] == "metadata.labels", "{bad:?}");
    let empty = create(&world, &with(rollout("a"), "/metadata/labels", json!({})));
    assert_eq!((empty.0, &empty.1["metadata"]["labels"]), (201, &Value::Null));
    let patch = json!({"metadata": {"name": "b"}});
    let renamed = send(&world, Method::PATCH, "rollouts/a", MERGE, &patch);
    assert_eq!(message(&renamed), (400, "the name of the object (b) does not match the name on the URL (a)"));
}

#[tokio::test(start_paused = true)]
async fn a_null_is_nothing_to_rules_and_to_what_has_a_default() {
    let world = World::new(1).await;
    let none = create(&world, &with(rollout("a"), "/spec/strategy", json!({"canary": null})));
    assert!(
        message(&none).1.ends_with(
            "spec.strategy: Invalid value: set exactly one strategy: canary, blueGreen, rolling or immediate"
        )
    );
    let one = create(&world, &with(rollout("a"), "/spec/strategy", json!({"canary": null, "immediate": {}})));
    assert_eq!((one.0, &one.1["spec"]["strategy"]["canary"]), (201, &Value::Null));
    let sent = create(&world, &with(environment("e"), "/spec/secrets", Value::Null));
    assert_eq!((sent.0, sent.1["spec"].get("secrets")), (201, None));
    // What is applied keeps its nulls, unless there is a default.
    let applied = with(environment("f"), "/spec/secrets", Value::Null);
    let refused = send(&world, Method::PATCH, "orchestraenvironments/f?fieldManager=x", APPLY, &applied);
    let causes = refused.1["details"]["causes"].to_string();
    assert!(refused.0 == 422 && causes.contains("spec.secrets in body must be of type array"), "{causes}");
    let applied = with(environment("f"), "/spec/deletionPolicy", Value::Null);
    let defaulted = send(&world, Method::PATCH, "orchestraenvironments/f?fieldManager=x", APPLY, &applied);
    assert_eq!((defaulted.0, &defaulted.1["spec"]["deletionPolicy"]), (201, &json!("Retain")));
}

#[tokio::test(start_paused = true)]
async fn numbers_are_told_by_their_format() {
    let world = World::new(1).await;
    let weight = |weight: Value| with(rollout("a"), "/spec/strategy/canary/steps/0/weight", weight);
    let whole = create(&world, &weight(json!(10.0)));
    assert_eq!((whole.0, &whole.1["spec"]["strategy"]["canary"]["steps"][0]["weight"]), (201, &json!(10)));
    serde_json::from_value::<orchestra_crds::Rollout>(whole.1).unwrap();
    let (_, refused) = create(&world, &weight(json!(10.5)));
    let causes = refused["details"]["causes"].to_string();
    assert!(causes.contains("must be of type int32: \\\"float64\\\""), "{causes}");
    assert!(causes.contains("Checked value must be of type integer with format int32"), "{causes}");
    // A text that is too long is not held against its pattern as well.
    let (_, refused) = create(&world, &with(rollout("a"), "/spec/serviceName", json!("X".repeat(60))));
    assert!(!refused["message"].as_str().unwrap().contains("should match"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_changes_nothing_owns_without_a_time() {
    let world = World::new(1).await;
    let apply = |manager: &str, config: &Value| {
        send(&world, Method::PATCH, &format!("rollouts/a?fieldManager={manager}"), APPLY, config)
    };
    let first = apply("one", &rollout("a")).1;
    assert!(first["metadata"]["managedFields"][0]["time"].is_string());
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    // What decoding drops is no change either.
    let same = apply("one", &with(rollout("a"), "/metadata/creationTimestamp", Value::Null)).1;
    assert_eq!(same["metadata"], first["metadata"]);
    let (_, second) = apply("two", &rollout("a"));
    let entries = second["metadata"]["managedFields"].as_array().unwrap();
    let two = entries.iter().find(|entry| entry["manager"] == "two").unwrap();
    assert_eq!(two.get("time"), None);

    // Fields of a level come before those further below.
    let mut other = rollout("a");
    other["spec"]["template"] = json!({"containers": [{"image": "app:1"}], "timeoutSeconds": 9, "redis": true});
    other["spec"]["template"]["containers"][0]["image"] = json!("app:2");
    other["spec"]["serviceName"] = json!("other");
    let (status, refused) = apply("three", &other);
    let told = refused["message"].as_str().unwrap();
    assert!(status == 409 && told.contains("- .spec.serviceName\n- .spec.template.containers"), "{told}");
    assert!(!told.contains(" at "), "{told}");
    let typed = apply("three", &with(rollout("a"), "/spec/template/containers", json!("x")));
    let said = "failed to create typed patch object (/a; orchestra.cherry-ai.me/v1alpha1, Kind=Rollout): \
                .spec.template.containers: expected list, got &{x}";
    assert_eq!(message(&typed), (500, said));
}

#[tokio::test(start_paused = true)]
async fn what_an_apply_empties_is_null() {
    let world = World::new(1).await;
    let apply = |manager: &str, access: Option<Value>| {
        let mut config = environment("e");
        config["spec"].as_object_mut().unwrap().remove("access");
        if let Some(access) = access {
            config["spec"]["access"] = access;
        }
        let path = format!("orchestraenvironments/e?fieldManager={manager}");
        send(&world, Method::PATCH, &path, APPLY, &config).1["spec"].get("access").cloned()
    };
    assert_eq!(apply("x", Some(json!({"invokers": ["allUsers"]}))), Some(json!({"invokers": ["allUsers"]})));
    assert_eq!(apply("y", Some(json!({}))), Some(json!({"invokers": ["allUsers"]})));
    assert_eq!(apply("x", None), Some(Value::Null));
    assert_eq!(apply("y", None), None);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_there_is_not_is_missed_by_the_name_of_the_object() {
    let world = World::new(1).await;
    create(&world, &with(rollout("a"), "/metadata/finalizers", json!(["example.com/hold"])));
    let scale = send(&world, Method::GET, "rollouts/a/scale", "", &Value::Null);
    assert_eq!(message(&scale), (404, "rollouts.orchestra.cherry-ai.me \"a\" not found"));
    send(&world, Method::DELETE, "rollouts/a", "", &Value::Null);
    let again = create(&world, &rollout("a"));
    let said = "object is being deleted: rollouts.orchestra.cherry-ai.me \"a\" already exists";
    assert_eq!(message(&again), (409, said));
    let gone = send(&world, Method::GET, "rollouts?resourceVersion=1&resourceVersionMatch=Exact", "", &Value::Null);
    assert_eq!(message(&gone), (410, "The resourceVersion for the provided list is too old."));
}

#[tokio::test(start_paused = true)]
async fn a_crd_goes_after_its_objects() {
    let world = World::new(1).await;
    let held = with(rollout("a"), "/metadata/finalizers", json!(["example.com/hold"]));
    assert_eq!(create(&world, &held).0, 201);
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rollouts.orchestra.cherry-ai.me";
    let deleted = call(&world, Method::DELETE, crd, "", String::new());
    assert_eq!(deleted.1["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    world.tap.sandbox.cluster.settle();
    let ending = send(&world, Method::GET, "rollouts/a", "", &Value::Null).1;
    assert!(ending["metadata"]["deletionTimestamp"].is_string(), "{ending}");
    let said = "rollouts.orchestra.cherry-ai.me \"b\" is forbidden: create not allowed while custom resource definition \
                is terminating";
    assert_eq!(message(&create(&world, &rollout("b"))), (403, said));
    let applied = send(&world, Method::PATCH, "rollouts/b?fieldManager=one", APPLY, &rollout("b"));
    assert_eq!(message(&applied), (403, said));
    send(&world, Method::PATCH, "rollouts/a", MERGE, &json!({"metadata": {"finalizers": null}}));
    world.tap.sandbox.cluster.settle();
    assert_eq!(call(&world, Method::GET, crd, "", String::new()).0, 404);
    assert_eq!(send(&world, Method::GET, "rollouts", "", &Value::Null).0, 404);
}

#[tokio::test(start_paused = true)]
async fn objects_of_a_namespace_are_written_in_one() {
    let world = World::new(1).await;
    assert_eq!(create(&world, &rollout("a")).0, 201);
    let (everywhere, json) = ("/apis/orchestra.cherry-ai.me/v1alpha1/rollouts", "application/json");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    assert_eq!(call(&world, Method::POST, everywhere, json, rollout("b").to_string()).0, 404);
    assert_eq!(call(&world, Method::DELETE, everywhere, json, String::new()).0, 404);
    assert_eq!(call(&world, Method::POST, "/api/v1/configmaps", json, map.to_string()).0, 405);
    let all = call(&world, Method::GET, everywhere, json, String::new());
    assert_eq!((all.0, all.1["items"].as_array().unwrap().len()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn a_field_that_an_apply_names_twice_is_told() {
    let world = World::new(1).await;
    let once = with(rollout("a"), "/metadata/annotations", json!({"example.com/a": "b"})).to_string();
    let twice = once.replacen("{\"example.com/a\"", "{\"example.com/a\":\"c\",\"example.com/a\"", 1);
    let path = format!("{ALL}/rollouts/a?fieldManager=one");
    let strict = call(&world, Method::PATCH, &format!("{path}&fieldValidation=Strict"), APPLY, twice.clone());
    assert!(strict.0 == 400 && message(&strict).1.contains("key \"example.com/a\" already set in map"), "{strict:?}");
    assert_eq!(call(&world, Method::PATCH, &path, APPLY, twice).0, 201);
}

#[tokio::test(start_paused = true)]
async fn who_acts_for_another_may_what_the_other_may() {
    let world = World::new(1).await;
    let mut request = Request::new(Method::GET, &format!("{ALL}/rollouts"), Vec::new().into());
    assert_eq!(world.tap.sandbox.cluster.handle(&request).status, 200);
    request.extra = vec![("impersonate-user".into(), "system:serviceaccount:default:bob".into())];
    assert_eq!(world.tap.sandbox.cluster.handle(&request).status, 403);
    request.extra.push(("impersonate-group".into(), "system:masters".into()));
    assert_eq!(world.tap.sandbox.cluster.handle(&request).status, 400, "not silently as somebody else");
}

#[tokio::test(start_paused = true)]
async fn an_account_acts_for_another_only_where_it_may() {
    let world = World::new(1).await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    for name in ["alice", "bob"] {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        assert_eq!(call(&world, Method::POST, accounts, "application/json", account.to_string()).0, 201);
    }
    let path = format!("{accounts}/alice/token");
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = call(&world, Method::POST, &path, "application/json", asked.to_string()).1;
    let mut request = Request::new(Method::GET, &format!("{ALL}/rollouts"), Vec::new().into());
    request.authorization = format!("Bearer {}", token["status"]["token"].as_str().unwrap());
    request.extra = vec![("impersonate-user".into(), "system:serviceaccount:default:bob".into())];
    let refusal = world.tap.sandbox.cluster.handle(&request).document().unwrap().into_owned();
    let said = "serviceaccounts \"bob\" is forbidden: User \"system:serviceaccount:default:alice\" cannot impersonate \
                resource \"serviceaccounts\" in API group \"\" in the namespace \"default\"";
    assert_eq!(refusal["message"], said);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_has_no_owners_left() {
    let world = World::new(1).await;
    let (maps, json) = ("/api/v1/namespaces/default/configmaps", "application/json");
    let map = |name: &str, owners: Value| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owners}})
            .to_string()
    };
    let owner = call(&world, Method::POST, maps, json, map("owner", json!(null))).1;
    let reference =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}]);
    assert_eq!(call(&world, Method::POST, maps, json, map("owned", reference)).0, 201);
    call(&world, Method::DELETE, &format!("{maps}/owner?propagationPolicy=Orphan"), json, String::new());
    world.tap.sandbox.cluster.settle();
    assert_eq!(call(&world, Method::GET, &format!("{maps}/owner"), json, String::new()).0, 404);
    let orphan = call(&world, Method::GET, &format!("{maps}/owned"), json, String::new()).1;
    assert!(orphan["metadata"].get("ownerReferences").is_none(), "{orphan}");
}

#[tokio::test(start_paused = true)]
async fn an_owner_in_the_foreground_waits_only_for_who_blocks_it() {
    let world = World::new(1).await;
    let (maps, json) = ("/api/v1/namespaces/default/configmaps", "application/json");
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    let owner = call(&world, Method::POST, maps, json, owner.to_string()).1;
    let reference =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}]);
    let metadata = json!({"name": "owned", "ownerReferences": reference, "finalizers": ["example.com/hold"]});
    let owned = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    assert_eq!(call(&world, Method::POST, maps, json, owned.to_string()).0, 201);
    call(&world, Method::DELETE, &format!("{maps}/owner?propagationPolicy=Foreground"), json, String::new());
    world.tap.sandbox.cluster.settle();
    assert_eq!(call(&world, Method::GET, &format!("{maps}/owner"), json, String::new()).0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_watch_may_be_asked_to_last_for_ever() {
    let world = World::new(1).await;
    let path = format!("{ALL}/rollouts?watch=1&timeoutSeconds=9223372036854775807");
    let request = Request::new(Method::GET, &path, Vec::new().into());
    assert_eq!(world.tap.sandbox.cluster.handle(&request).status, 200);
}
