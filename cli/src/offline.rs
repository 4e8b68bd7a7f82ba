//! A cluster in this process that knows Orchestra's API: it checks objects as the real one would, and holds copies of
//! them to plan with.

use bytes::Bytes;
use http::Method;
use orchestra_controller::clock::Clock;
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::cluster::Cluster;
use orchestra_sandbox::exchange::{Reply, Request};
use orchestra_sandbox::in_process;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::error::CliError;
use crate::files::Manifest;

/// Where kubectl notes what it applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Something that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which field, written `spec.steps[0].weight`; empty: all of it.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// Whether there is no such field.
    pub is_unknown: bool,
}

/// The cluster.
pub struct Offline {
    cluster: Arc<Cluster>,
    clock: Clock,
}

/// Where the objects of a kind are; none: it is none of ours.
fn plural(object: &Value) -> Option<&'static str> {
    match object["kind"].as_str()? {
        "Rollout" => Some("rollouts"),
        "OrchestraEnvironment" => Some("orchestraenvironments"),
        _ => None,
    }
}

impl Offline {
    /// An empty one.
    ///
    /// # Errors
    /// When the CRDs can't be installed.
    pub fn new(clock: Clock) -> Result<Self, CliError> {
        let sandbox = Sandbox::new(clock, clock, 1);
        sandbox.install_crds().map_err(|error| CliError::Offline(error.to_string()))?;
        Ok(Self { cluster: sandbox.cluster, clock })
    }

    /// A client of it.
    pub fn client(&self) -> kube::Client {
        let (cluster, clock) = (self.cluster.clone(), self.clock);
        let answer = move |request: Request| std::future::ready(Some(cluster.handle(&request)));
        in_process::client("kubectl-orchestra", move || clock.now(), answer)
    }

    fn send(&self, method: Method, path: &str, content: &str, body: &Value) -> Reply {
        let request = Request::new(method, path, Bytes::from(body.to_string()));
        self.cluster.handle(&Request { content_type: content.into(), ..request })
    }

    /// What the cluster would refuse an object for.
    pub fn refusals(&self, object: &Value) -> Vec<Refusal> {
        let Some(plural) = plural(object) else { return vec![] };
        let asked = |checks: &str| {
            let mut new = object.clone();
            new["metadata"]["namespace"] = json!("default");
            let path = format!("/apis/{}/namespaces/default/{plural}?dryRun=All&{checks}", version_of(object));
            refusals_of(&self.send(Method::POST, &path, "application/json", &new))
        };
        // Strictly, unknown fields hide all else; leniently, they are not told.
        let mut found = asked("fieldValidation=Strict");
        found.retain(|refusal| refusal.is_unknown);
        found.extend(asked("fieldValidation=Ignore"));
        found
    }

    /// Puts an object in as it is in another cluster.
    pub fn restore(&self, object: &Value) {
        self.cluster.restore(object.clone());
    }

    /// Applies an object over what is there, as whoever applied that would.
    ///
    /// # Errors
    /// When the cluster would refuse it.
    pub fn apply(&self, manifest: &Manifest, namespace: &str, live: Option<&Value>) -> Result<(), CliError> {
        let Some(plural) = plural(&manifest.object) else { return Ok(()) };
        let all = format!("/apis/{}/namespaces/{namespace}/{plural}", version_of(&manifest.object));
        let one = format!("{all}/{}", manifest.text("/metadata/name"));
        let mut wanted = manifest.object.clone();
        wanted["metadata"]["namespace"] = json!(namespace);
        let reply = match live.map(|live| (live, how_applied(live))) {
            None => {
                let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
                self.send(Method::POST, "/api/v1/namespaces", "application/json", &home);
                self.send(Method::POST, &all, "application/json", &wanted)
            }
            Some((_, Applied::ByServer(manager))) => {
                let path = format!("{one}?fieldManager={manager}&force=true");
                self.send(Method::PATCH, &path, "application/apply-patch+yaml", &wanted)
            }
            Some((live, Applied::ByClient(before))) => {
                let mut merged = three_way(&before, &wanted, live);
                merged["metadata"]["resourceVersion"] =
                    self.object(manifest, namespace)["metadata"]["resourceVersion"].clone();
                self.send(Method::PUT, &one, "application/json", &merged)
            }
        };
        let refused: Vec<String> = refusals_of(&reply).into_iter().map(|refusal| refusal.message).collect();
        match refused.is_empty() {
            true => Ok(()),
            false => Err(CliError::WouldBeRefused(manifest.title(), refused.join("; "))),
        }
    }

    /// An object as it is in it now.
    pub fn object(&self, manifest: &Manifest, namespace: &str) -> Value {
        let found = plural(&manifest.object)
            .and_then(|plural| self.cluster.object(plural, namespace, manifest.text("/metadata/name")));
        found.unwrap_or_default()
    }
}

fn version_of(object: &Value) -> &str {
    object["apiVersion"].as_str().unwrap_or_default()
}

fn refusals_of(reply: &Reply) -> Vec<Refusal> {
    if reply.status < 400 {
        return vec![];
    }
    let status = reply.document().unwrap_or_default();
    let message = status["message"].as_str().unwrap_or("it is refused").to_string();
    // `strict decoding error: unknown field "spec.a", unknown field "spec.b"`
    let unknown: Vec<Refusal> = message
        .split("unknown field \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(|field| Refusal { field: field.into(), message: "there is no such field".into(), is_unknown: true })
        .collect();
    if !unknown.is_empty() {
        return unknown;
    }
    let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
    let told = causes.iter().map(|cause| {
        let text = |name: &str| cause[name].as_str().unwrap_or_default().to_string();
        Refusal { field: text("field"), message: text("message"), is_unknown: false }
    });
    // That not all was checked says nothing beside what was found.
    let told: Vec<Refusal> = told.filter(|refusal| causes.len() == 1 || refusal.field != "<nil>").collect();
    match told.is_empty() {
        true => vec![Refusal { field: String::new(), message, is_unknown: false }],
        false => told,
    }
}

/// How an object came to be as it is.
enum Applied {
    /// By `kubectl apply`, which notes what it applied.
    ByClient(Value),
    /// By server-side apply, under this name.
    ByServer(String),
}

fn how_applied(live: &Value) -> Applied {
    let noted = live["metadata"]["annotations"][LAST_APPLIED].as_str().and_then(|text| serde_json::from_str(text).ok());
    if let Some(noted) = noted {
        return Applied::ByClient(noted);
    }
    let managers = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut applied = managers.filter(|entry| entry["operation"] == "Apply" && entry["subresource"].is_null());
    match applied.next().and_then(|entry| entry["manager"].as_str()) {
        Some(manager) => Applied::ByServer(manager.to_string()),
        None => Applied::ByClient(Value::Null),
    }
}

/// What `kubectl apply` makes of an object: what was applied before and no longer is goes, what is applied comes, the rest
/// stays. Lists are one value.
pub fn three_way(before: &Value, wanted: &Value, live: &Value) -> Value {
    let (Value::Object(wanted), Value::Object(live)) = (wanted, live) else { return wanted.clone() };
    let mut merged = live.clone();
    let gone = before.as_object().into_iter().flatten().filter(|(name, _)| !wanted.contains_key(*name));
    for (name, _) in gone {
        merged.remove(name);
    }
    for (name, value) in wanted.iter() {
        match (value.is_null(), live.get(name)) {
            (true, _) => drop(merged.remove(name)),
            (_, Some(known)) => drop(merged.insert(name.clone(), three_way(&before[name], value, known))),
            (_, None) => drop(merged.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apply_takes_away_what_was_applied_before_and_leaves_what_others_wrote() {
        let before = json!({"spec": {"a": 1, "b": {"c": 1}, "list": [1, 2]}});
        let wanted = json!({"spec": {"b": {"d": 2}, "list": [3]}});
        let live = json!({"spec": {"a": 1, "b": {"c": 1, "e": 5}, "list": [1, 2], "default": true}, "status": {}});
        let merged = three_way(&before, &wanted, &live);
        assert_eq!(merged, json!({"spec": {"b": {"d": 2, "e": 5}, "list": [3], "default": true}, "status": {}}));
    }
}
