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
        "creator": service.creator, "lastModifier": service.modifier,
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
    let alone = template["containers"].as_array().is_some_and(|containers| containers.len() == 1);
    let sql = template["volumes"].as_array().into_iter().flatten().any(|volume| !volume["cloudSqlInstance"].is_null());
    for container in template["containers"].as_array_mut().into_iter().flatten() {
        fill_container(container, alone, sql);
    }
    for volume in template["volumes"].as_array_mut().into_iter().flatten() {
        if volume["emptyDir"].is_object() && volume["emptyDir"]["medium"].is_null() {
            volume["emptyDir"]["medium"] = json!("MEMORY");
        }
    }
    if template["vpcAccess"].is_object() && template["vpcAccess"]["egress"].is_null() {
        template["vpcAccess"]["egress"] = json!("PRIVATE_RANGES_ONLY");
    }
    template
}

/// A container, which is the only one or has sidecars, of a revision with or without Cloud SQL.
fn fill_container(container: &mut Value, alone: bool, sql: bool) {
    if container["resources"].is_null() {
        container["resources"] = json!({"limits": {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY}, "cpuIdle": true});
    }
    if alone && container["ports"].is_null() {
        container["ports"] = json!([{"name": "http1", "containerPort": 8080}]);
    }
    let serves = container["ports"].as_array().is_some_and(|ports| !ports.is_empty());
    if serves && container["ports"][0]["name"].as_str().unwrap_or_default().is_empty() {
        container["ports"][0]["name"] = json!("http1");
    }
    let port = container["ports"].get(0).map(|port| port["containerPort"].clone()).unwrap_or_default();
    if serves && container["startupProbe"].is_null() {
        container["startupProbe"] =
            json!({"timeoutSeconds": 240, "periodSeconds": 240, "failureThreshold": 1, "tcpSocket": {"port": port}});
    }
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        if container[probe].is_object() {
            fill_probe(&mut container[probe], &port);
        } else if let Some(fields) = container.as_object_mut() {
            fields.remove(probe);
        }
    }
    // It is noted of the revision as a whole, and shown where the requests come to.
    if sql && let Some(fields) = container.as_object_mut() {
        let mounts = fields.entry("volumeMounts").or_insert_with(|| json!([]));
        if let Some(mounts) = mounts.as_array_mut() {
            mounts.retain(|mount| mount["name"] != "cloudsql");
            mounts.extend(serves.then(|| json!({"name": "cloudsql", "mountPath": "/cloudsql"})));
        }
    }
}

fn fill_probe(probe: &mut Value, port: &Value) {
    for (field, default) in [("timeoutSeconds", 1), ("periodSeconds", 10), ("failureThreshold", 3)] {
        if probe[field].as_i64().unwrap_or(0) == 0 {
            probe[field] = json!(default);
        }
    }
    if let Some(fields) = probe.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    for action in ["httpGet", "tcpSocket", "grpc"] {
        let Some(asked) = probe.get_mut(action).filter(|asked| asked.is_object()) else { continue };
        if asked["port"].as_i64().unwrap_or(0) == 0 && !port.is_null() {
            asked["port"] = port.clone();
        }
        if action == "httpGet" && asked["path"].as_str().unwrap_or_default().is_empty() {
            asked["path"] = json!("/");
        }
    }
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
        "reconciling": pending, "creator": revision.creator, "service": entry.service().id, "conditions": [condition], "etag": format!("\"{}\"", revision.uid),
    });
    put(&mut document, fields);
    document
}
