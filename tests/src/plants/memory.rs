//! Bugs in what a controller remembers, and in what it makes of what it is told.

use http::Method;
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::exchange::{Reply, Request};
use orchestra_sandbox::journal::Api;
use serde_json::{Value, json};

use super::{PREFIX, Plant, drop_field, edit, is_rollout, is_service};
use crate::world::NAMESPACE;

const MARKS: &str = "marks";
/// The version of the marks that this controller writes.
const KNOWN: &str = "2";

/// Regions of the environment.
fn regions(sandbox: &Sandbox) -> Vec<Value> {
    let environment = sandbox.cluster.object("orchestraenvironments", NAMESPACE, "shop").unwrap_or_default();
    environment["spec"]["regions"].as_array().cloned().unwrap_or_default()
}

fn is_redis_busy(sandbox: &Sandbox) -> bool {
    sandbox.google.view()["redis"].as_array().into_iter().flatten().any(|redis| redis["state"] != "READY")
}

/// A rollback that is claimed: the failure is over, and in the history.
fn claim_rollback(body: &mut Value) {
    let failed = body["status"]["failed"].clone();
    if failed.is_null() || failed["rolledBack"] == true {
        return;
    }
    body["status"]["failed"]["rolledBack"] = json!(true);
    let told = json!({"release": failed["release"], "revision": failed["revision"], "image": failed["image"],
                      "outcome": "RolledBack", "message": "back", "startedAt": failed["startedAt"],
                      "finishedAt": failed["time"]});
    let mut history = body["status"]["history"].as_array().cloned().unwrap_or_default();
    history.insert(0, told);
    body["status"]["history"] = json!(history);
}

/// What was new in a failure becomes the user's template, whatever it was.
fn blame_template(text: &str, template: &str) -> String {
    match text.split_once("inputs:") {
        Some((before, _)) => format!("{before}template:{template}"),
        None => text.to_string(),
    }
}

fn blame_in_status(status: &mut Value) {
    let template = status["stable"]["templateHash"].as_str().unwrap_or_default().to_string();
    let blame = |news: &mut Value| *news = json!(blame_template(news.as_str().unwrap_or_default(), &template));
    if !status["failed"].is_null() {
        blame(&mut status["failed"]["news"]);
    }
    status["latches"].as_array_mut().into_iter().flatten().for_each(|latch| blame(&mut latch["news"]));
}

/// The members that a policy has now are in the one that is asked for.
fn keep_members(sandbox: &Sandbox, request: &mut Request) {
    let path = request.path.replace(":setIamPolicy", ":getIamPolicy");
    let reply = sandbox.google.handle(&Request::new(Method::GET, &path, bytes::Bytes::new()));
    let Some(now) = reply.document().map(|policy| policy["bindings"].clone()) else { return };
    edit(request, |body| {
        if body["policy"]["bindings"].as_array().is_none_or(Vec::is_empty) {
            body["policy"]["bindings"] = now;
        }
    });
}

impl Plant {
    pub(super) fn before_of_memory(self, sandbox: &Sandbox, api: Api, request: &mut Request) -> Option<Reply> {
        let writes = request.method != Method::GET;
        match self {
            Self::ClaimRollback if writes && is_rollout(api, request) => edit(request, claim_rollback),
            Self::BlameTemplate if writes && is_rollout(api, request) => {
                edit(request, |body| blame_in_status(&mut body["status"]));
            }
            Self::DropReadFault if request.path.ends_with("/timeSeries") => return Some(Reply::ok(json!({}))),
            Self::GateWayBack if request.method == Method::PATCH && is_service(api, request) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let only = body["traffic"].as_array().and_then(|all| all.iter().find(|t| t["percent"] == 100));
                let stable = &body["annotations"][format!("{PREFIX}/stable")];
                if is_redis_busy(sandbox) && only.is_some_and(|only| only["revision"] == *stable) {
                    return Some(Reply::json(503, json!({"error": {"code": 503, "status": "UNAVAILABLE"}})));
                }
            }
            Self::RevokeNothing if request.path.ends_with(":setIamPolicy") => keep_members(sandbox, request),
            _ => {}
        }
        None
    }

    pub(super) fn after_of_memory(self, sandbox: &Sandbox, api: Api, request: &Request, body: &mut Value) {
        match self {
            Self::ForgetLeftRegions if is_rollout(api, request) => {
                let wanted = regions(sandbox);
                if let Some(known) = body.pointer_mut("/status/regions").and_then(Value::as_array_mut) {
                    known.retain(|region| wanted.contains(&region["region"]));
                }
            }
            Self::StalePromote if is_rollout(api, request) && body["metadata"]["annotations"].is_object() => {
                let token = body["status"]["candidate"]["promoteToken"].clone();
                let asked = &mut body["metadata"]["annotations"][format!("{PREFIX}/promote")];
                if token.is_string() && asked.is_string() {
                    *asked = token;
                }
            }
            Self::LatchOnHash if is_rollout(api, request) && body["status"].is_object() => {
                drop_field(&mut body["status"], "latches");
                drop_field(&mut body["status"], "failed");
            }
            Self::UnknownMarkIsNone if is_service(api, request) && request.method == Method::GET => {
                let marks = &mut body["annotations"][format!("{PREFIX}/{MARKS}")];
                if marks.is_string() {
                    *marks = json!(KNOWN);
                }
            }
            _ => {}
        }
    }
}
