//! Bugs to plant: the controller's calls become those of a controller that has the bug. The checks must notice.

mod memory;

use http::Method;
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::exchange::{Content, Reply, Request};
use orchestra_sandbox::journal::Api;
use serde_json::{Value, json};

const PREFIX: &str = "orchestra.cherry-ai.me";

/// A bug. Two more have their place elsewhere: a controller that ignores the lease, and one that trusts its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Writes without the etag of what was read.
    DropEtag,
    /// Moves the traffic back before it notes what failed.
    TrafficBeforeLatch,
    /// Takes a service of others for its own.
    SkipOwnerCheck,
    /// Plans from a copy of the object that it has kept.
    PlanFromCache,
    /// Does not keep the name of an operation that it started.
    ForgetOperation,
    /// Takes missing data for good data.
    MissingDataPasses,
    /// Gives a new try the name of the revision that failed.
    ReuseFailedName,
    /// Deletes the revision that traffic goes back to.
    DeleteStable,
    /// Forgets a region that left the spec.
    ForgetLeftRegions,
    /// Tells that a release is back, also where the region was not read.
    ClaimRollback,
    /// Takes a promotion that was asked of one step for one of whatever step is in effect.
    StalePromote,
    /// Knows a failure by the revision's name only.
    LatchOnHash,
    /// Holds what the environment changed against the user's template.
    BlameTemplate,
    /// Takes a mark that it does not know for none.
    UnknownMarkIsNone,
    /// Takes a read that fails for one that finds nothing.
    DropReadFault,
    /// Goes back only when the environment is ready.
    GateWayBack,
    /// Revokes nothing that was granted.
    RevokeNothing,
    /// Waits for every read before it writes.
    WaitForEveryRead,
}

fn is_service(api: Api, request: &Request) -> bool {
    api == Api::Google && request.path.rsplit_once("/services/").is_some_and(|(_, id)| !id.contains(['/', ':']))
}

fn is_rollout(api: Api, request: &Request) -> bool {
    api == Api::Kubernetes && request.path.contains("/rollouts/")
}

fn edit(request: &mut Request, change: impl FnOnce(&mut Value)) {
    if let Ok(mut body) = serde_json::from_slice::<Value>(&request.body) {
        change(&mut body);
        request.body = body.to_string().into();
    }
}

fn drop_field(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

fn renamed(value: &Value, old: &str, new: &str) -> Value {
    serde_json::from_str(&value.to_string().replace(old, new)).unwrap()
}

fn object_of(sandbox: &Sandbox, request: &Request) -> Option<Value> {
    let parts: Vec<&str> = request.path.trim_end_matches("/status").split('/').collect();
    match parts.as_slice() {
        [.., "namespaces", namespace, plural, name] => sandbox.cluster.object(plural, namespace, name),
        _ => None,
    }
}

impl Plant {
    /// Changes a call before it is made, or answers it.
    pub fn before(self, sandbox: &Sandbox, api: Api, request: &mut Request) -> Option<Reply> {
        let writes = request.method != Method::GET;
        match self {
            Self::DropEtag if writes && api == Api::Google => {
                edit(request, |body| drop_field(body, "etag"));
                request.query.retain(|(key, _)| key != "etag");
            }
            Self::TrafficBeforeLatch if writes && is_rollout(api, request) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                if !body["status"]["failed"].is_null() {
                    let mut unwritten = object_of(sandbox, request)?;
                    unwritten["status"] = body["status"].clone();
                    return Some(Reply::ok(unwritten));
                }
            }
            Self::TrafficBeforeLatch if writes && is_service(api, request) => {
                edit(request, |body| drop_field(&mut body["annotations"], &format!("{PREFIX}/failed")));
            }
            Self::ForgetOperation if writes && request.path.contains("/orchestraenvironments/") => {
                edit(request, |body| drop_field(&mut body["status"], "operations"));
            }
            Self::ReuseFailedName if api == Api::Google => {
                edit(request, |body| *body = renamed(body, "-2\"", "\""));
                if request.path.contains("/revisions/") {
                    request.path = request.path.trim_end_matches("-2").to_string();
                }
            }
            _ => {}
        }
        self.before_of_memory(sandbox, api, request)
    }

    /// Changes what the controller is told, or calls once more.
    pub fn after(self, sandbox: &Sandbox, api: Api, request: &Request, reply: &mut Reply) -> Option<Request> {
        let Content::Json(body) = &mut reply.content else { return None };
        match self {
            Self::SkipOwnerCheck if is_service(api, request) && request.method == Method::GET => {
                let rollout = sandbox.cluster.objects("rollouts").into_iter().next()?;
                let metadata = &rollout["metadata"];
                body["annotations"][format!("{PREFIX}/owner")] =
                    json!(format!("{}/{}", metadata["namespace"].as_str()?, metadata["name"].as_str()?));
                body["annotations"][format!("{PREFIX}/owner-uid")] = metadata["uid"].clone();
            }
            Self::PlanFromCache if is_rollout(api, request) && request.method == Method::GET => {
                // What was kept is from before the pause.
                drop_field(&mut body["spec"], "paused");
            }
            Self::MissingDataPasses if request.path.ends_with("/timeSeries") => {
                *reply = sandbox.google.handle(request);
            }
            Self::ReuseFailedName if is_service(api, request) || request.path.contains("/revisions/") => {
                // It knows the revision by the name that it meant to give.
                let mark = format!("{PREFIX}/failed");
                let failed = body["annotations"][&mark].as_str().unwrap_or_default().to_string();
                let name = request.path.rsplit('/').next().unwrap_or_default();
                let old = if failed.is_empty() { name } else { &failed };
                if !old.is_empty() {
                    *body = renamed(body, &format!("{old}\""), &format!("{old}-2\""));
                }
                if !failed.is_empty() {
                    body["annotations"][&mark] = json!(failed);
                }
            }
            Self::DeleteStable if is_service(api, request) && request.method == Method::PATCH => {
                let stable = body["metadata"]["annotations"][format!("{PREFIX}/stable")].as_str()?.to_string();
                let path = format!("{}/revisions/{stable}", request.path);
                return Some(Request::new(Method::DELETE, &path, bytes::Bytes::new()));
            }
            _ => self.after_of_memory(sandbox, api, request, body),
        }
        None
    }
}
