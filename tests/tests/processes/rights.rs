//! The controller under the rights that the shipped manifests give it: exactly what it needs.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt};
use orchestra_crds::{OrchestraEnvironment, RolloutPhase};
use orchestra_sandbox::journal;
use orchestra_sandbox::process::Controller;
use orchestra_tests::place::Place;
use orchestra_tests::world::{canary, plain_environment};
use serde::de::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MANIFESTS: &str = include_str!("../../../deploy/controller.yaml");
const SYSTEM: &str = "orchestra-system";
const ACCOUNT: &str = "orchestra-controller";

/// A verb and what it is for: API group, resource with its part.
type Right = (String, String, String);

fn documents() -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(MANIFESTS).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(String::from)).collect()
}

/// What the roles of the controller's account grant.
fn granted() -> BTreeSet<Right> {
    let roles = documents().into_iter().filter(|document| document["metadata"]["name"] == ACCOUNT);
    let rules = roles.flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default());
    let of_rule = |rule: Value| {
        let mut all = vec![];
        for (group, resource) in texts(&rule["apiGroups"])
            .iter()
            .flat_map(|g| texts(&rule["resources"]).into_iter().map(move |r| (g.clone(), r)))
        {
            all.extend(texts(&rule["verbs"]).into_iter().map(|verb| (verb, group.clone(), resource.clone())));
        }
        all
    };
    rules.flat_map(of_rule).collect()
}

/// What a call needed; none: it was about no resource.
fn needed(call: &journal::Call) -> Option<Right> {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let mut parts = path.trim_start_matches('/').split('/');
    let group = match parts.next()? {
        "apis" => parts.next()?,
        _ => "",
    };
    parts.next()?;
    let mut rest: Vec<&str> = parts.collect();
    if rest.first() == Some(&"namespaces") && rest.len() > 2 {
        rest.drain(..2);
    }
    let (resource, name) = (rest.first()?, rest.get(1));
    let verb = match (call.method.as_str(), name) {
        ("GET", _) if query.contains("watch=true") => "watch",
        ("GET", Some(_)) => "get",
        ("GET", None) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        _ => "delete",
    };
    let part = rest.get(2).map(|part| format!("/{part}")).unwrap_or_default();
    Some((verb.into(), group.into(), format!("{resource}{part}")))
}

async fn install(place: &Place) {
    place.install_crds().await;
    for document in documents() {
        let object: DynamicObject = serde_json::from_value(document).unwrap();
        let types = object.types.clone().unwrap();
        let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(place.client.clone(), &namespace, &resource),
            None => Api::all_with(place.client.clone(), &resource),
        };
        let parameters = PatchParams::apply("kubectl");
        let applied = api.patch(&object.name_any(), &parameters, &Patch::Apply(&object)).await;
        applied.unwrap_or_else(|error| panic!("{} {}: {error}", types.kind, object.name_any()));
    }
}

/// A controller with the token of its own account.
async fn start(place: &Place) -> Controller {
    let path = format!("/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}/token");
    let body =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
    let request = http::Request::post(path).header("content-type", "application/json");
    let answer: Value = place.client.request(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap();
    let folder = place.folder.path();
    let config = std::fs::read_to_string(folder.join("kubeconfig")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["users"][0]["user"] = json!({"token": answer["status"]["token"]});
    let own = folder.join("own-kubeconfig");
    std::fs::write(&own, config.to_string()).unwrap();
    let arguments = [&format!("--lease-namespace={SYSTEM}")[..]];
    Controller::start_with(&arguments, &own, place.google, &folder.join("installed.log")).unwrap()
}

/// Metrics can't be read, then can, twice for one release: an event that is told again.
async fn lose_metrics_twice(place: &Place) {
    let fault = |place: &Place| {
        let api: Value = json!({"api": "google", "path": "timeSeries", "status": 403, "count": 1000});
        place.sandbox.journal.order(serde_json::from_value(api).unwrap()).unwrap();
    };
    let lost = async |place: &Place| {
        let status = place.rollouts().get("api").await.unwrap().status.unwrap_or_default();
        status.regions.iter().any(|region| region.evidence.iter().any(|evidence| evidence.fault.is_some()))
    };
    for _ in 0..2 {
        fault(place);
        place.until("metrics are lost", lost).await;
        place.sandbox.journal.clear_faults();
        place.until("metrics are back", async |place| !lost(place).await).await;
    }
}

/// What the installed controller serves.
async fn metrics(place: &Place) -> String {
    let log = std::fs::read_to_string(place.folder.path().join("installed.log")).unwrap();
    let (_, rest) = log.split_once("\"address\":\"").unwrap();
    let url = format!("http://{}/metrics", rest.split('"').next().unwrap());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn the_shipped_roles_grant_what_is_needed_and_nothing_else() {
    let place = Place::new().await;
    install(&place).await;
    let controller = start(&place).await;
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await;
    let mut spec = canary("shop", "app:1");
    spec["strategy"] = json!({"canary": {"steps": [{"weight": 10, "holdSeconds": 60}, {"pause": {}}]}});
    place.create("Rollout", "api", spec).await;
    place.until_promoted("api", "app:1").await;
    place.release("app:2").await;
    place
        .until("its metrics are counted", async |place| {
            let status = place.rollouts().get("api").await.unwrap().status.unwrap_or_default();
            status.regions.iter().any(|region| region.evidence.iter().any(|evidence| evidence.candidate.total > 0))
        })
        .await;
    assert!(
        metrics(&place)
            .await
            .contains(r#"orchestra_rollout_phase{namespace="default",phase="Progressing",rollout="api"} 1"#)
    );
    lose_metrics_twice(&place).await;
    place.release("app:1").await;
    place
        .until("it is back", async |place| {
            let status = place.rollouts().get("api").await.unwrap().status.unwrap_or_default();
            status.phase == Some(RolloutPhase::Promoted) && status.candidate.is_none()
        })
        .await;
    place.rollouts().delete("api", &DeleteParams::default()).await.unwrap();
    let environments: Api<OrchestraEnvironment> = Api::default_namespaced(place.client.clone());
    environments.delete("shop", &DeleteParams::default()).await.unwrap();
    place.until("everything is let go", async |_| environments.get_opt("shop").await.unwrap().is_none()).await;
    place
        .until("it has no series any more", async |place| !metrics(place).await.contains("namespace=\"default\""))
        .await;
    controller.stop().await;

    let calls = place.sandbox.journal.calls();
    let own = |call: &&journal::Call| call.caller.starts_with("orchestra-controller");
    let denied: Vec<String> = calls
        .iter()
        .filter(own)
        .filter(|call| call.status == 403 && call.path.starts_with("/api"))
        .map(|call| format!("{call:?}"))
        .collect();
    assert!(denied.is_empty(), "{denied:#?}");
    let kubernetes = calls.iter().filter(own).filter(|call| call.path.starts_with("/api"));
    let needed: BTreeSet<Right> = kubernetes.filter_map(needed).collect();
    assert_eq!(needed, granted(), "the roles of the chart: left is used, right is granted");
}
