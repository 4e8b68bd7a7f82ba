//! The in-process faces of the sandbox, with a tap on every call: it records, checks the promises at each write, and
//! lets go wrong what a test asks for.

use bytes::Bytes;
use http::Method;
use orchestra_cloud::{Answer, Transport, Unsent};
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::exchange::{Content, Reply, Request as SandboxRequest};
use orchestra_sandbox::in_process;
use orchestra_sandbox::journal::Api;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

use crate::disturbed::Disturbance;
use crate::faults::{Call, Fault, Plan};
use crate::plants::Plant;
use crate::promises::Promises;

/// How many writes of the next controller an overtaken one waits for.
const OVERTAKEN_BY: usize = 2;

/// How long a controller that waits for every read waits for one that hangs.
const READS_TAKE: Duration = Duration::from_secs(30);

/// What stands between the controller and the sandbox.
#[derive(Debug)]
pub struct Tap {
    pub sandbox: Sandbox,
    pub promises: Mutex<Promises>,
    state: Mutex<State>,
    /// The controller has died.
    pub died: Notify,
}

/// The traffic that a write asks for, or the reason and the weights that a status tells.
fn told_by(request: &SandboxRequest) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if let Some(traffic) = body["traffic"].as_array() {
        let share =
            |target: &Value| format!("{}={}", target["revision"].as_str().unwrap_or("LATEST"), target["percent"]);
        return traffic.iter().map(share).collect::<Vec<_>>().join(" ");
    }
    let status = &body["status"];
    let weight = |region: &Value| format!("{}={}", region["region"].as_str().unwrap_or_default(), region["weight"]);
    let weights: Vec<String> = status["regions"].as_array().into_iter().flatten().map(weight).collect();
    let named = [
        &status["conditions"][0]["reason"],
        &status["conditions"][0]["message"],
        &status["candidate"]["release"],
        &status["stable"]["revision"],
    ];
    let named = named.into_iter().filter_map(Value::as_str).chain(weights.iter().map(String::as_str));
    named.collect::<Vec<_>>().join(" ")
}

/// Status and body of an answer, as it can be given again.
type Given = (u16, Value);

#[derive(Debug, Default)]
struct State {
    plan: Option<Plan>,
    /// Faults that each strike the first call they fit.
    waiting: Vec<Fault>,
    /// The fault that struck.
    struck: Option<Fault>,
    plant: Option<Plant>,
    disturbance: Option<Disturbance>,
    /// Calls of Google whose path holds one of these are never answered.
    hanging: Vec<&'static str>,
    calls: Vec<Call>,
    /// Writes to Google, with their bodies, since they were asked for last; none: nobody asks.
    sent: Option<Vec<Unsent>>,
    /// Different answers to each read, oldest first.
    given: BTreeMap<String, Vec<Given>>,
    /// A write of a controller that lost the lead, and how many writes it still waits for.
    overtaken: Option<(usize, Api, SandboxRequest)>,
}

impl Tap {
    pub fn new(sandbox: Sandbox) -> Arc<Self> {
        Arc::new(Self { sandbox, promises: Mutex::default(), state: Mutex::default(), died: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The writes to Google since this was asked last; none the first time, from which on they are kept.
    pub fn take_sent(&self) -> Vec<Unsent> {
        self.state().sent.replace(vec![]).unwrap_or_default()
    }

    /// Lets one call go wrong.
    pub fn strike(&self, plan: Plan) {
        self.state().plan = Some(plan);
    }

    /// Lets the next call that it fits go wrong.
    pub fn strike_next(&self, fault: Fault) {
        self.state().waiting.push(fault);
    }

    /// Nothing goes wrong from now on.
    pub fn calm(&self) {
        let mut state = self.state();
        state.waiting.clear();
        state.struck = None;
    }

    /// The fault that struck, if it has by now.
    pub fn struck(&self) -> Option<Fault> {
        self.state().struck
    }

    /// Makes the controller's calls those of one with a bug.
    pub fn plant(&self, plant: Plant) {
        self.state().plant = Some(plant);
    }

    /// Monitoring has no data from now on.
    pub fn lose_metrics(&self) {
        self.disturb(Some(Disturbance::Lost));
        self.promises.lock().unwrap().outage = true;
    }

    /// What is wrong with Monitoring's answers from now on; none: nothing.
    pub fn disturb(&self, disturbance: Option<Disturbance>) {
        self.state().disturbance = disturbance;
    }

    /// Lets calls of Google hang whose path holds one of these, until their time limits.
    pub fn hang(&self, paths: &[&'static str]) {
        self.state().hanging = paths.to_vec();
    }

    /// Every call of the controller but those about events and leases.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Every write of the controller: time, method, path and status.
    pub fn writes(&self) -> Vec<String> {
        self.state().calls.iter().filter(|call| call.is_write()).map(ToString::to_string).collect()
    }

    fn handle(&self, api: Api, request: &SandboxRequest, fault: Option<Fault>) -> Reply {
        match (api, fault) {
            (Api::Kubernetes, _) => {
                let reply = self.sandbox.cluster.handle(request);
                self.sandbox.cluster.settle();
                reply
            }
            (Api::Google, Some(Fault::Operation(mishap))) => self.sandbox.google.handle_badly(request, mishap),
            (Api::Google, _) => self.sandbox.google.handle(request),
        }
    }

    /// Does a call, and holds it against the promises.
    fn perform(&self, api: Api, request: &SandboxRequest, fault: Option<Fault>) -> Reply {
        if request.method == Method::GET {
            return self.handle(api, request, fault);
        }
        self.promises.lock().unwrap().before_write(&self.sandbox, api, request);
        let reply = self.handle(api, request, fault);
        self.promises.lock().unwrap().after_write(&self.sandbox, api, request, reply.status);
        reply
    }

    /// Lets a call through.
    async fn pass(&self, api: Api, mut request: SandboxRequest) -> Reply {
        // Events tell people, leases are about who writes: nothing else depends on them.
        if request.path.contains("/events") || request.path.contains("/leases/") {
            return self.handle(api, &request, None);
        }
        let (number, fault, plant) = self.arrive(api, &request);
        if let Some(reply) = plant.and_then(|plant| plant.before(&self.sandbox, api, &mut request)) {
            return self.record(number, api, &request, reply);
        }
        let (hanging, all) = {
            let hanging = &self.state().hanging;
            (hanging.iter().any(|path| request.path.contains(path)), !hanging.is_empty())
        };
        if api == Api::Google && hanging {
            return std::future::pending().await;
        }
        if plant == Some(Plant::WaitForEveryRead) && all && request.method == Method::PATCH {
            tokio::time::sleep(READS_TAKE).await;
        }
        if fault.is_some_and(Fault::prevents)
            && let Some(rollout) = self.whose_status(&request)
        {
            self.promises.lock().unwrap().forget_unpublished(&rollout);
        }
        let reply = match fault {
            Some(Fault::CrashBefore | Fault::ClockJump(_)) => return self.die().await,
            Some(Fault::Hang) => return std::future::pending().await,
            Some(Fault::Handover) => {
                self.state().overtaken = Some((OVERTAKEN_BY, api, request));
                return self.die().await;
            }
            Some(Fault::Conflict) => refusal(api, 409, &request),
            Some(Fault::TooMany) => refusal(api, 429, &request),
            Some(Fault::Unavailable) => refusal(api, 503, &request),
            fault => self.perform(api, &request, fault),
        };
        let mut reply = self.record(number, api, &request, reply);
        if let Some(more) = plant.and_then(|plant| plant.after(&self.sandbox, api, &request, &mut reply)) {
            self.perform(api, &more, None);
        }
        let told = match fault {
            Some(Fault::CrashAfter) => return self.die().await,
            Some(Fault::LostResponse) => return lost(),
            Some(Fault::Stale(versions)) => self.older(&request, versions).unwrap_or(reply),
            _ => reply,
        };
        if let Some(service) = told.document().filter(|body| !body["trafficStatuses"].is_null()) {
            self.promises.lock().unwrap().tell(&service);
        }
        told
    }

    /// Notes that a call came, and what is to happen to it.
    fn arrive(&self, api: Api, request: &SandboxRequest) -> (usize, Option<Fault>, Option<Plant>) {
        let writes = request.method != Method::GET;
        if let Some((api, late)) = self.overtaken(writes) {
            self.perform(api, &late, None);
        }
        let mut state = self.state();
        let number = state.calls.len();
        let older = match state.plan {
            None => state.given.get(&key(request)).map_or(0, Vec::len),
            Some(_) => 0,
        };
        state.calls.push(Call {
            second: self.sandbox.journal.clock().now().as_second(),
            api,
            method: request.method.to_string(),
            target: request.path.clone(),
            status: 0,
            starts_operation: false,
            older,
            tells: if writes { told_by(request) } else { String::new() },
        });
        let planned = state.plan.filter(|plan| plan.call == number).map(|plan| plan.fault);
        let fits = |fault: &Fault| fault.fits(api, writes);
        let waiting = state.waiting.iter().position(fits).map(|at| state.waiting.remove(at));
        let fault = planned.or(waiting);
        if fault.is_some() {
            state.struck = fault;
        }

        (number, fault, state.plant)
    }

    /// The write that was overtaken, when it is its time.
    fn overtaken(&self, writes: bool) -> Option<(Api, SandboxRequest)> {
        let mut state = self.state();
        let (left, ..) = state.overtaken.as_mut()?;
        *left -= usize::from(writes);
        if *left > 0 {
            return None;
        }
        state.overtaken.take().map(|(_, api, request)| (api, request))
    }

    fn record(&self, number: usize, api: Api, request: &SandboxRequest, mut reply: Reply) -> Reply {
        let mut state = self.state();
        let is_disturbed = |disturbance: &Disturbance| match disturbance {
            Disturbance::Refused(_) if request.path.contains("/prometheus/") => true,
            _ => request.path.ends_with("/timeSeries"),
        };
        if let Some(disturbance) = state.disturbance.filter(is_disturbed) {
            reply = disturbance.on(reply, self.sandbox.journal.clock().now());
        }
        let body = reply.document().unwrap_or_default();
        if let Some(call) = state.calls.get_mut(number) {
            call.status = reply.status;
            let operation = body["name"].as_str().is_some_and(|name| name.contains("/operations/"));
            call.starts_operation = api == Api::Google && operation && call.is_write();
        }
        // Older answers are needed to find the plans, and to give one.
        let kept = state.plan.is_none_or(|plan| matches!(plan.fault, Fault::Stale(_)));
        if request.method == Method::GET && kept {
            let given = state.given.entry(key(request)).or_default();
            if given.last().is_none_or(|(status, last)| *status != reply.status || *last != *body) {
                given.push((reply.status, body.into_owned()));
            }
        }
        reply
    }

    /// An answer of some versions ago.
    fn older(&self, request: &SandboxRequest, versions: usize) -> Option<Reply> {
        let state = self.state();
        let given = state.given.get(&key(request))?;
        let at = given.len().checked_sub(1 + versions)?;
        given.get(at).map(|(status, body)| Reply::json(*status, body.clone()))
    }

    /// The Rollout whose status a call is to write.
    fn whose_status(&self, request: &SandboxRequest) -> Option<Value> {
        let path = request.path.strip_suffix("/status").filter(|_| request.method != Method::GET)?;
        let (namespace, name) = path.split_once("/namespaces/")?.1.split_once("/rollouts/")?;
        self.sandbox.cluster.object("rollouts", namespace, name)
    }

    async fn die(&self) -> Reply {
        self.died.notify_one();
        std::future::pending().await
    }
}

/// What makes two reads the same; those of metrics differ in their times only.
fn key(request: &SandboxRequest) -> String {
    let query = if request.path.ends_with("/timeSeries") { vec![] } else { request.query.clone() };
    format!("{} {query:?}", request.path)
}

/// An answer that is lost on the way.
fn lost() -> Reply {
    Reply::text(0, "")
}

fn refusal(api: Api, status: u16, request: &SandboxRequest) -> Reply {
    let (google, kubernetes) = match status {
        409 => ("ABORTED", "Conflict"),
        429 => ("RESOURCE_EXHAUSTED", "TooManyRequests"),
        _ => ("UNAVAILABLE", "ServiceUnavailable"),
    };
    let message = format!("simulated: {} {}", request.method, request.path);
    match api {
        Api::Google => {
            let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "20s"});
            let details = if status == 429 { json!([retry]) } else { json!([]) };
            let error = json!({"code": status, "status": google, "message": message, "details": details});
            Reply::json(status, json!({"error": error}))
        }
        Api::Kubernetes => {
            let mut body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                  "message": message, "reason": kubernetes, "code": status});
            if status == 429 {
                body["details"] = json!({"retryAfterSeconds": 20});
            }
            Reply::json(status, body).with("retry-after", "20")
        }
    }
}

/// A reply as the cloud adapter reads it; none: nothing came.
pub fn answer(reply: Reply) -> Option<Answer> {
    let body = match reply.content {
        Content::Json(body) => body,
        Content::JsonText(text) => serde_json::from_str(&text).ok()?,
        _ => return None,
    };
    Some(Answer { status: reply.status, body })
}

/// Google, for the cloud adapter.
#[derive(Debug)]
pub struct GoogleFace {
    pub tap: Arc<Tap>,
    /// Which controller calls.
    pub caller: &'static str,
}

impl Transport for GoogleFace {
    fn call<'a>(
        &'a self,
        method: Method,
        path: String,
        body: Option<Value>,
    ) -> Pin<Box<dyn Future<Output = Option<Answer>> + Send + 'a>> {
        if let (true, Some(sent)) = (method != Method::GET, &mut self.tap.state().sent) {
            sent.push(Unsent { method: method.to_string(), path: path.clone(), body: body.clone() });
        }
        let body = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        let request = SandboxRequest { caller: self.caller.into(), ..SandboxRequest::new(method, &path, body) };
        Box::pin(async move { answer(self.tap.pass(Api::Google, request).await) })
    }
}

/// A client of the cluster, by name. The user's calls go past the tap.
pub fn kube_client(tap: Arc<Tap>, caller: &'static str) -> kube::Client {
    let clock = tap.sandbox.journal.clock();
    let answer = move |request: SandboxRequest| {
        let tap = tap.clone();
        async move {
            let reply = match caller == "user" {
                true => tap.handle(Api::Kubernetes, &request, None),
                false => tap.pass(Api::Kubernetes, request).await,
            };
            (reply.status != 0).then_some(reply)
        }
    };
    in_process::client(caller, move || clock.now(), answer)
}
