//! Nothing to ignore: Argo CD's difference between what is in Git and what is live is none, for each example, when the
//! controller has done its work on it.

use bytes::Bytes;
use http::Method;
use orchestra_sandbox::exchange::Request;
use orchestra_tests::world::World;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const EXAMPLES: [&str; 4] = [
    include_str!("../../../examples/quickstart.yaml"),
    include_str!("../../../examples/development.yaml"),
    include_str!("../../../examples/staging.yaml"),
    include_str!("../../../examples/production.yaml"),
];
const CRDS: [&str; 2] =
    [include_str!("../../../crds/orchestraenvironments.yaml"), include_str!("../../../crds/rollouts.yaml")];

/// How Argo CD applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    Client,
    Server,
}

fn objects(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn path(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, name) = (text("/apiVersion"), text("/metadata/name"));
    match text("/kind") {
        "Namespace" => format!("/api/v1/namespaces/{name}"),
        "CustomResourceDefinition" => format!("/apis/{version}/customresourcedefinitions/{name}"),
        kind => format!("/apis/{version}/namespaces/{}/{}s/{name}", text("/metadata/namespace"), kind.to_lowercase()),
    }
}

/// Sends something to the cluster, and gives the answer.
fn send(world: &World, method: Method, target: &str, content: &str, body: &Value) -> Value {
    let request = Request::new(method, target, Bytes::from(body.to_string()));
    let reply = world.tap.sandbox.cluster.handle(&Request { content_type: content.into(), ..request });
    let answer = reply.document().unwrap_or_default().into_owned();
    assert!(reply.status < 400, "{target}: {answer:#}");
    answer
}

const APPLY: &str = "application/apply-patch+yaml";

fn apply(world: &World, object: &Value, sync: Sync) {
    match sync {
        Sync::Server => {
            let target = format!("{}?fieldManager=argocd-controller&force=true", path(object));
            send(world, Method::PATCH, &target, APPLY, object);
        }
        Sync::Client => {
            let mut noted = object.clone();
            noted["metadata"]["annotations"][LAST_APPLIED] = json!(object.to_string());
            let (all, _) = path(object).rsplit_once('/').map(|(all, name)| (all.to_string(), name.len())).unwrap();
            send(world, Method::POST, &all, "application/json", &noted);
        }
    }
}

fn live(world: &World, object: &Value) -> Value {
    send(world, Method::GET, &path(object), "application/json", &Value::Null)
}

/// What a merge patch does to a value.
fn merged(value: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut merged = value.as_object().cloned().unwrap_or_default();
    for (key, inner) in patch {
        match inner.is_null() {
            true => drop(merged.remove(key)),
            false => {
                let before = merged.get(key).cloned().unwrap_or(Value::Null);
                merged.insert(key.clone(), self::merged(&before, inner));
            }
        }
    }
    Value::Object(merged)
}

/// The merge patch from one value to another: of additions and changes, or of deletions.
fn patch(from: &Value, to: &Value, deletions: bool) -> Map<String, Value> {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return Map::new() };
    let mut found = Map::new();
    for (key, wanted) in to {
        match from.get(key) {
            Some(known) if known.is_object() && wanted.is_object() => {
                let inner = patch(known, wanted, deletions);
                if !inner.is_empty() {
                    found.insert(key.clone(), Value::Object(inner));
                }
            }
            known if !deletions && known != Some(wanted) => drop(found.insert(key.clone(), wanted.clone())),
            _ => {}
        }
    }
    if deletions {
        found.extend(from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null)));
    }
    found
}

/// What is live, as far as the original names it.
fn pruned(live: &Value, original: &Value) -> Value {
    match (live, original) {
        (Value::Object(live), Value::Object(original)) => {
            let kept = live.iter().filter_map(|(key, value)| Some((key.clone(), pruned(value, original.get(key)?))));
            Value::Object(kept.collect())
        }
        (Value::Array(live), Value::Array(original)) => {
            let kept =
                |(index, value): (usize, &Value)| original.get(index).map_or(value.clone(), |o| pruned(value, o));
            live.iter().enumerate().map(kept).collect()
        }
        (live, _) => live.clone(),
    }
}

fn without(mut object: Value, is_live: bool) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("creationTimestamp");
        if !is_live {
            metadata.remove("namespace");
            if metadata.get("annotations").is_some_and(|annotations| annotations == &json!({})) {
                metadata.remove("annotations");
            }
        }
    }
    object
}

/// Where two values differ first, and how.
fn difference(path: &str, a: &Value, b: &Value) -> Option<String> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|key| {
            let of = |fields: &Map<String, Value>| fields.get(key).cloned().unwrap_or(json!("absent"));
            difference(&format!("{path}.{key}"), &of(a), &of(b))
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut items = a.iter().zip(b).enumerate();
            items.find_map(|(index, (a, b))| difference(&format!("{path}[{index}]"), a, b))
        }
        // Go knows one kind of number.
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        _ if a == b => None,
        _ => Some(format!("{path}: live {b}, to be {a}")),
    }
}

/// The difference that Argo CD shows by default, where its patch would change the object.
fn three_way(live: &Value, config: &Value) -> Option<String> {
    let noted = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let original = noted.map_or_else(|| config.clone(), |text| serde_json::from_str(text).unwrap());
    let (live, config, original) =
        (without(live.clone(), true), without(config.clone(), false), without(original, false));
    let changes = Value::Object(patch(&pruned(&live, &original), &config, false));
    let deletions = Value::Object(patch(&original, &config, true));
    let made = merged(&merged(&live, &changes), &deletions);
    difference("", &made, &live)
}

/// The difference that Argo CD shows with server-side diff.
fn server_side(world: &World, live: &Value, config: &Value) -> Option<String> {
    let target = format!("{}?fieldManager=argocd-controller&force=true&dryRun=All", path(config));
    let bare = |mut object: Value| {
        for field in ["managedFields", "resourceVersion", "generation"] {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
        object
    };
    let (made, live) = (bare(send(world, Method::PATCH, &target, APPLY, config)), bare(live.clone()));
    difference("", &made, &live)
}

async fn synced(example: &str, sync: Sync) -> (World, Vec<Value>) {
    let mut world = World::new(5).await;
    for secret in ["openai-api-key", "anthropic-api-key"] {
        world.tap.sandbox.google.seed_secret("cherry-ai-project", secret);
    }
    // The world looks after one namespace.
    let mut objects: Vec<Value> = objects(example).into_iter().filter(|object| object["kind"] != "Namespace").collect();
    for object in &mut objects {
        object["metadata"]["namespace"] = json!("default");
        apply(&world, object, sync);
    }
    world.run_for(Duration::from_secs(3600)).await;
    (world, objects)
}

#[tokio::test(start_paused = true)]
async fn what_is_live_never_differs_from_what_is_in_git() {
    for example in EXAMPLES {
        for sync in [Sync::Client, Sync::Server] {
            let (world, objects) = synced(example, sync).await;
            assert!(!objects.is_empty());
            for object in &objects {
                let live = live(&world, object);
                assert!(live["status"]["observedGeneration"].is_i64(), "the controller was at work: {live:#}");
                if sync == Sync::Client {
                    assert_eq!(three_way(&live, object), None, "{sync:?} {}", path(object));
                } else {
                    assert_eq!(server_side(&world, &live, object), None, "{sync:?} {}", path(object));
                    assert_eq!(three_way(&live, object), None, "{sync:?} {}", path(object));
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_past_git_is_a_difference() {
    let (world, objects) = synced(EXAMPLES[0], Sync::Client).await;
    let rollout = objects.iter().find(|object| object["kind"] == "Rollout").unwrap();
    let mut live = live(&world, rollout);
    live["spec"]["template"]["containers"][0]["image"] = json!("other:1");
    assert!(three_way(&live, rollout).is_some());
    let mut edited = rollout.clone();
    edited["spec"]["paused"] = json!(true);
    assert!(three_way(&self::live(&world, rollout), &edited).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_crds_never_differ_either() {
    let world = World::new(5).await;
    for text in CRDS {
        let crd = objects(text).remove(0);
        assert_eq!(three_way(&live(&world, &crd), &crd), None);
        send(&world, Method::PATCH, &format!("{}?fieldManager=argocd-controller&force=true", path(&crd)), APPLY, &crd);
        assert_eq!(server_side(&world, &live(&world, &crd), &crd), None);
    }
}
