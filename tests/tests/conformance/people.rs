//! What people may do with the shipped roles and policy.

use http::Method;
use orchestra_sandbox::exchange::Request;
use orchestra_tests::world::{World, canary};
use serde::de::Deserialize;
use serde_json::{Value, json};

const MANIFESTS: &str = include_str!("../../../deploy/controller.yaml");
const ROLLOUT: &str = "/apis/orchestra.cherry-ai.me/v1alpha1/namespaces/default/rollouts/api";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Sends something as somebody; the status and what is said.
fn send(world: &World, who: &str, method: Method, path: &str, type_: &str, body: &Value) -> (u16, String) {
    let mut request = Request::new(method, path, body.to_string().into());
    request.content_type = type_.into();
    if !who.is_empty() {
        request.extra.push(("impersonate-user".into(), who.into()));
    }
    let reply = world.tap.sandbox.cluster.handle(&request);
    let message = reply.document().map(|answer| answer["message"].as_str().unwrap_or_default().to_string());
    (reply.status, message.unwrap_or_default())
}

fn path_of(document: &Value) -> String {
    let (kind, version) = (document["kind"].as_str().unwrap(), document["apiVersion"].as_str().unwrap());
    let plural = match kind {
        "NetworkPolicy" => "networkpolicies".to_string(),
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies".to_string(),
        other => format!("{}s", other.to_lowercase()),
    };
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let namespace = document["metadata"]["namespace"].as_str().map(|name| format!("/namespaces/{name}"));
    format!("{root}{}/{plural}", namespace.unwrap_or_default())
}

/// A world with the shipped manifests, a Rollout, and anna who operates, otto who approves, and ida who owns.
async fn office() -> World {
    let world = World::new(1).await;
    for document in serde_yaml_ng::Deserializer::from_str(MANIFESTS).map(|d| Value::deserialize(d).unwrap()) {
        let made = send(&world, "", Method::POST, &path_of(&document), "application/json", &document);
        assert!(matches!(made.0, 201), "{made:?} {document:#}");
    }
    for (who, role) in [("anna", "operate"), ("otto", "approve"), ("ida", "admin"), ("vera", "view")] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": who},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("orchestra-{role}")},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": who}],
        });
        let made = send(
            &world,
            "",
            Method::POST,
            &format!("{RBAC}/namespaces/default/rolebindings"),
            "application/json",
            &binding,
        );
        assert_eq!(made.0, 201, "{made:?}");
    }
    world.create_rollout("api", canary("shop", "app:1")).await;
    world
}

fn patch(world: &World, who: &str, patch: &Value) -> (u16, String) {
    send(world, who, Method::PATCH, ROLLOUT, "application/merge-patch+json", patch)
}

fn annotation(name: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {format!("orchestra.cherry-ai.me/{name}"): value}}})
}

#[tokio::test(start_paused = true)]
async fn who_operates_writes_requests_and_nothing_else() {
    let world = office().await;
    for request in orchestra_crds::Request::ALL {
        assert_eq!(patch(&world, "anna", &annotation(request.name(), "x")).0, 200, "{request}");
    }
    assert_eq!(
        patch(&world, "anna", &json!({"metadata": {"annotations": {"orchestra.cherry-ai.me/pause": null}}})).0,
        200
    );
    for other in [
        json!({"spec": {"paused": true}}),
        json!({"spec": {"template": {"containers": [{"image": "app:2"}]}}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"finalizers": []}, "spec": {"paused": true}}),
    ] {
        let (status, said) = patch(&world, "anna", &other);
        assert_eq!(status, 403, "{said}");
        assert!(said.contains("only the annotations of requests may be written with this role"), "{said}");
    }
    let (status, said) = patch(&world, "anna", &json!({"metadata": {"annotations": {"team": "mine"}}}));
    assert_eq!(status, 403);
    assert!(
        said.contains("of the annotations only those of requests may be written with this role, not team"),
        "{said}"
    );
    assert_eq!(send(&world, "anna", Method::DELETE, ROLLOUT, "", &Value::Null).0, 403);
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_answered_in_the_own_name_by_who_may() {
    let world = office().await;
    assert_eq!(patch(&world, "otto", &annotation("approve", "api-x.2/us-central1/1 otto")).0, 200);
    for forged in ["api-x.2/us-central1/1 anna", "api-x.2/us-central1/1", "otto", "api-x.2 anna otto"] {
        let (status, said) = patch(&world, "otto", &annotation("approve", forged));
        assert_eq!(status, 403, "{forged}");
        assert!(said.contains("write TOKEN otto"), "{said}");
    }
    let (status, said) = patch(&world, "otto", &annotation("promote", "x"));
    assert!(status == 403 && said.contains("the verb operate on rollouts is needed"), "{said}");
    for who in ["anna", "ida"] {
        let (status, said) = patch(&world, who, &annotation("approve", &format!("api-x.2/us-central1/1 {who}")));
        assert!(status == 403 && said.contains("the verb approve on rollouts is needed"), "{who}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_owns_changes_everything_and_who_views_nothing() {
    let world = office().await;
    assert_eq!(patch(&world, "ida", &json!({"spec": {"paused": true}, "metadata": {"labels": {"a": "b"}}})).0, 200);
    assert_eq!(patch(&world, "ida", &annotation("abort", "x")).0, 200);
    assert_eq!(send(&world, "vera", Method::GET, ROLLOUT, "", &Value::Null).0, 200);
    assert_eq!(patch(&world, "vera", &annotation("abort", "x")).0, 403);
    // The plugin shows events.
    for who in ["vera", "anna", "otto"] {
        let events = "/apis/events.k8s.io/v1/namespaces/default/events";
        assert_eq!(send(&world, who, Method::GET, events, "", &Value::Null).0, 200, "{who}");
    }
}

/// The policy knows each request that there is.
#[test]
fn the_policy_names_each_request() {
    for request in orchestra_crds::Request::ALL {
        assert!(MANIFESTS.contains(&format!("'{}'", request.key())), "{request}");
    }
}
