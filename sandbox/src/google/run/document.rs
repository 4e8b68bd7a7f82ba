//! JSON of services and revisions, in and out.

use serde_json::{Value, json};

use super::Place;
use super::entry::Entry;
use super::limits::{self, DEFAULT_CPU, DEFAULT_MEMORY};
use super::revision::{Outcome, Revision};
use super::service::{Failure, Service, State};
use crate::google::stamp;

/// The type of a service inside an operation.
pub(super) const TYPE: &str = "type.googleapis.com/google.cloud.run.v2.Service";

pub(super) fn of_service(place: &Place, service: &Service) -> Value {
    let name = format!("{}/services/{}", place.parent(), service.id);
    let revision = |short: &Option<String>| short.as_ref().map(|r| format!("{name}/revisions/{r}"));
    let mut document = service.spec.clone();
    let uri = format!("https://{}-{}.{}.run.app", service.id, place.project, place.region);
    let statuses: Vec<Value> = service.serving.iter().map(|target| status_of(service, target, &uri)).collect();
    let reconciling = matches!(service.state, State::Reconciling(_));
    let terminal = terminal(service);
    let conditions = ["RoutesReady", "ConfigurationsReady"].map(|type_| {
        json!({"type": type_, "state": terminal["state"], "lastTransitionTime": terminal["lastTransitionTime"]})
    });
    let fields = json!({
        "name": name, "uid": service.uid, "generation": service.generation.to_string(),
        "createTime": stamp(service.created), "updateTime": stamp(service.updated),
        "creator": "sandbox@example.com", "lastModifier": "sandbox@example.com",
        "observedGeneration": service.observed.to_string(), "terminalCondition": terminal,
        "conditions": conditions,
        "latestReadyRevision": revision(&service.latest_ready), "latestCreatedRevision": revision(&service.latest_created),
        "trafficStatuses": statuses, "uri": uri, "urls": [uri], "reconciling": reconciling, "etag": service.etag(),
    });
    put(&mut document, fields);
    for (field, default) in [("ingress", "INGRESS_TRAFFIC_ALL"), ("launchStage", "GA")] {
        if document[field].is_null() {
            document[field] = json!(default);
        }
    }
    document["template"] = with_defaults(document["template"].take());
    document
}

/// Adds fields, leaving out what is not set, as proto3 does.
fn put(document: &mut Value, fields: Value) {
    if let (Value::Object(document), Value::Object(fields)) = (document, fields) {
        document.extend(fields.into_iter().filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false))));
    }
}

fn status_of(service: &Service, target: &Value, uri: &str) -> Value {
    let mut status = target.clone();
    status["revision"] = json!(service.resolve(target));
    if let Some(tag) = target["tag"].as_str().filter(|tag| !tag.is_empty()) {
        status["uri"] = json!(uri.replacen("https://", &format!("https://{tag}---"), 1));
    }
    status
}

fn terminal(service: &Service) -> Value {
    match &service.state {
        State::Reconciling(_) => {
            json!({"type": "Ready", "state": "CONDITION_RECONCILING", "lastTransitionTime": stamp(service.updated)})
        }
        State::Ready(at) => json!({"type": "Ready", "state": "CONDITION_SUCCEEDED", "lastTransitionTime": stamp(*at)}),
        State::Failed(at, failure) => failed("Ready", *at, failure),
    }
}

fn failed(type_: &str, at: jiff::Timestamp, failure: &Failure) -> Value {
    // Three enums share the place of the reason; only containers that do not start have one of the second.
    let field = if failure.reason == "HEALTH_CHECK_CONTAINER_ERROR" { "revisionReason" } else { "reason" };
    let mut condition = json!({
        "type": type_, "state": "CONDITION_FAILED", "message": failure.message, "lastTransitionTime": stamp(at),
        "severity": "ERROR",
    });
    condition[field] = json!(failure.reason);
    condition
}

/// Values that Cloud Run shows where nothing was set.
pub(super) fn with_defaults(mut template: Value) -> Value {
    let defaults = [
        ("maxInstanceRequestConcurrency", json!(limits::default_concurrency(&template))),
        ("timeout", json!("300s")),
        ("serviceAccount", json!("000000000000-compute@developer.gserviceaccount.com")),
    ];
    for (field, value) in defaults {
        if template[field].is_null() {
            template[field] = value;
        }
    }
    if let Some(container) = template["containers"].get_mut(0) {
        if container["resources"].is_null() {
            container["resources"] = json!({"limits": {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY}, "cpuIdle": true});
        }
        if container["ports"].is_null() {
            container["ports"] = json!([{"name": "http1", "containerPort": 8080}]);
        }
        if container["startupProbe"].is_null() {
            let port = container["ports"][0]["containerPort"].clone();
            container["startupProbe"] = json!({"timeoutSeconds": 240, "periodSeconds": 240, "failureThreshold": 1, "tcpSocket": {"port": port}});
        }
    }
    template
}

pub(super) fn of_revision(entry: &Entry, revision: &Revision) -> Value {
    let service = format!("{}/services/{}", entry.place.parent(), entry.service().id);
    let mut document = with_defaults(revision.template.clone());
    let condition = match &revision.outcome {
        Outcome::Pending(..) => {
            json!({"type": "Ready", "state": "CONDITION_RECONCILING", "lastTransitionTime": stamp(revision.created)})
        }
        Outcome::Ready(at) => {
            json!({"type": "Ready", "state": "CONDITION_SUCCEEDED", "lastTransitionTime": stamp(*at)})
        }
        Outcome::Failed(at, failure) => failed("Ready", *at, failure),
    };
    let pending = matches!(revision.outcome, Outcome::Pending(..));
    let fields = json!({
        "name": format!("{service}/revisions/{}", revision.name), "uid": revision.uid, "generation": "1",
        "observedGeneration": if pending { "0" } else { "1" }, "createTime": stamp(revision.created),
        "reconciling": pending, "service": entry.service().id, "conditions": [condition], "etag": format!("\"{}\"", revision.uid),
    });
    put(&mut document, fields);
    document
}
