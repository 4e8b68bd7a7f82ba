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
use crate::kind::Kind;

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
        let Some(kind) = Kind::named(object["kind"].as_str().unwrap_or_default()) else { return vec![] };
        let asked = |checks: &str| {
            let mut new = object.clone();
            new["metadata"]["namespace"] = json!("default");
            let path = format!("/apis/{}/namespaces/default/{}?dryRun=All&{checks}", version_of(object), kind.plural());
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
    pub fn apply(
        &self,
        kind: Kind,
        manifest: &Manifest,
        namespace: &str,
        live: Option<&Value>,
    ) -> Result<(), CliError> {
        let plural = kind.plural();
        let all = format!("/apis/{}/namespaces/{namespace}/{plural}", version_of(&manifest.object));
        let one = format!("{all}/{}?fieldValidation=Strict", manifest.text("/metadata/name"));
        let all = format!("{all}?fieldValidation=Strict");
        let mut wanted = manifest.object.clone();
        wanted["metadata"]["namespace"] = json!(namespace);
        // One that is there already is refused, and stays.
        let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        self.send(Method::POST, "/api/v1/namespaces", "application/json", &home);
        let reply = match live.map(|live| (live, how_applied(live))) {
            None => self.send(Method::POST, &all, "application/json", &wanted),
            Some((_, Applied::ByServer(manager))) => {
                let path = format!("{one}&fieldManager={manager}&force=true");
                self.send(Method::PATCH, &path, "application/apply-patch+yaml", &wanted)
            }
            Some((live, Applied::ByClient(before))) => {
                // kubectl notes what it applies in an annotation: there always are some.
                if wanted["metadata"]["annotations"].is_null() {
                    wanted["metadata"]["annotations"] = json!({});
                }
                let mut merged = three_way(&before, &wanted, live);
                let copy = self.object(kind, namespace, manifest.text("/metadata/name"));
                merged["metadata"]["resourceVersion"] = copy["metadata"]["resourceVersion"].clone();
                self.send(Method::PUT, &one, "application/json", &merged)
            }
        };
        let named = |refusal: Refusal| match refusal.message.contains(&refusal.field) {
            true => refusal.message,
            false => format!("{}: {}", refusal.field, refusal.message),
        };
        let refused: Vec<String> = refusals_of(&reply).into_iter().map(named).collect();
        match refused.is_empty() {
            true => Ok(()),
            false => Err(CliError::WouldBeRefused(manifest.title(), refused.join("; "))),
        }
    }

    /// An object as it is in it now.
    pub fn object(&self, kind: Kind, namespace: &str, name: &str) -> Value {
        self.cluster.object(kind.plural(), namespace, name).unwrap_or_default()
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

/// By whom an object was applied last.
fn how_applied(live: &Value) -> Applied {
    let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    let whole = entries.filter(|entry| entry["subresource"].is_null());
    let applies = |entry: &&Value| {
        entry["operation"] == "Apply" || entry["manager"] == "kubectl-client-side-apply" || entry["manager"] == "helm"
    };
    let newest = whole.filter(applies).max_by_key(|entry| entry["time"].as_str().unwrap_or_default().to_string());
    match newest {
        Some(entry) if entry["operation"] == "Apply" => {
            Applied::ByServer(entry["manager"].as_str().unwrap_or_default().to_string())
        }
        // Helm notes what it applied in Secrets of its own: what it owns is that.
        Some(entry) if entry["manager"] == "helm" => Applied::ByClient(owned(&entry["fieldsV1"])),
        _ => {
            let noted = live["metadata"]["annotations"][LAST_APPLIED].as_str();
            Applied::ByClient(noted.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
        }
    }
}

/// The fields that a manager owns, without their values.
fn owned(fields: &Value) -> Value {
    let inner = fields.as_object().into_iter().flatten();
    let named = inner.filter_map(|(key, below)| Some((key.strip_prefix("f:")?.to_string(), owned(below))));
    Value::Object(named.collect())
}

/// What `kubectl apply` makes of an object: what was applied before and no longer is goes, what is applied comes, the rest
/// stays. Lists are one value.
fn three_way(before: &Value, wanted: &Value, live: &Value) -> Value {
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
    fn who_applied_last_says_what_was_applied_before() {
        let entry = |manager: &str, operation: &str, time: &str| json!({"manager": manager, "operation": operation, "time": time, "fieldsV1": {"f:spec": {"f:scaling": {}}}});
        let live = |entries: Value| json!({"metadata": {"managedFields": entries, "annotations": {LAST_APPLIED: "{\"spec\":{\"a\":1}}"}}});
        let kubectl = entry("kubectl-client-side-apply", "Update", "2026-01-01T00:00:00Z");
        let argo = entry("argocd-controller", "Apply", "2026-02-01T00:00:00Z");
        let helm = entry("helm", "Update", "2026-03-01T00:00:00Z");
        assert!(matches!(how_applied(&live(json!([kubectl]))), Applied::ByClient(before) if before["spec"]["a"] == 1));
        assert!(matches!(how_applied(&live(json!([kubectl, argo]))), Applied::ByServer(m) if m == "argocd-controller"));
        let by_helm = how_applied(&live(json!([kubectl, argo, helm])));
        assert!(matches!(by_helm, Applied::ByClient(before) if before["spec"]["scaling"].is_object()));
    }

    /// A request that somebody wrote stays there, whatever kubectl noted of annotations before.
    #[test]
    fn annotations_of_others_stay() {
        let mut object = json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "Rollout", "metadata": {"name": "api"},
            "spec": {"environmentRef": {"name": "e"}, "serviceName": "api", "strategy": {"immediate": {}},
                     "template": {"containers": [{"image": "a"}]}},
        });
        let text = object.to_string();
        let before = text.replace("\"metadata\":{", "\"metadata\":{\"annotations\":{},");
        let manifest = crate::files::parse("-", &text).unwrap().remove(0);
        let offline = Offline::new(Clock::of_this_machine()).unwrap();
        let pause = orchestra_crds::Request::Pause.key();
        object["metadata"] = json!({
            "name": "api", "namespace": "web", "uid": "u", "resourceVersion": "7",
            "annotations": {LAST_APPLIED: before, &pause: "api-x.1"},
        });
        offline.restore(&object);
        offline.apply(Kind::Rollout, &manifest, "web", Some(&object)).unwrap();
        let after = offline.object(Kind::Rollout, "web", "api");
        assert_eq!(after["metadata"]["annotations"][&pause], "api-x.1", "{after:#}");
    }

    #[test]
    fn apply_takes_away_what_was_applied_before_and_leaves_what_others_wrote() {
        let before = json!({"spec": {"a": 1, "b": {"c": 1}, "list": [1, 2]}});
        let wanted = json!({"spec": {"b": {"d": 2}, "list": [3]}});
        let live = json!({"spec": {"a": 1, "b": {"c": 1, "e": 5}, "list": [1, 2], "default": true}, "status": {}});
        let merged = three_way(&before, &wanted, &live);
        assert_eq!(merged, json!({"spec": {"b": {"d": 2, "e": 5}, "list": [3], "default": true}, "status": {}}));
    }
}
