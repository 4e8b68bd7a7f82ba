//! The in-process faces of the sandbox, with a tap on every call: it records, checks the promises after each write,
//! and crashes the controller where a test asks for it.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use orchestra_cloud::{Answer, Transport};
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::exchange::{Content, Reply, Request as SandboxRequest};
use orchestra_sandbox::journal::Api;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

use crate::promises::Promises;

/// When the controller dies: at which of its writes, and whether that still takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    Before(usize),
    After(usize),
}

/// What stands between the controller and the sandbox.
#[derive(Debug)]
pub struct Tap {
    pub sandbox: Sandbox,
    pub promises: Mutex<Promises>,
    state: Mutex<State>,
    /// The controller has died.
    pub died: Notify,
}

#[derive(Debug, Default)]
struct State {
    crash: Option<Crash>,
    writes: Vec<String>,
}

impl Tap {
    pub fn new(sandbox: Sandbox) -> Arc<Self> {
        Arc::new(Self { sandbox, promises: Mutex::default(), state: Mutex::default(), died: Notify::new() })
    }

    pub fn crash_at(&self, crash: Crash) {
        self.state.lock().unwrap().crash = Some(crash);
    }

    /// Every write of the controller: time, method, path and status.
    pub fn writes(&self) -> Vec<String> {
        self.state.lock().unwrap().writes.clone()
    }

    /// Lets a call through. None: the controller died in the middle of it.
    async fn pass(&self, api: Api, request: SandboxRequest) -> Reply {
        let reading = request.method == Method::GET;
        // Events tell people; nothing depends on them.
        let counts = !reading && !request.path.contains("/events");
        let crash = if counts { self.state.lock().unwrap().crash } else { None };
        let number = self.state.lock().unwrap().writes.len();
        if crash == Some(Crash::Before(number)) {
            return self.die().await;
        }
        if counts {
            self.promises.lock().unwrap().before_write(&self.sandbox, api, &request);
        }
        let reply = match api {
            Api::Kubernetes => self.sandbox.cluster.handle(&request),
            Api::Google => self.sandbox.google.handle(&request),
        };
        if counts {
            let now = self.sandbox.journal.clock().now();
            let line = format!("{now:.0} {} {} {}", request.method, request.path, reply.status);
            self.state.lock().unwrap().writes.push(line);
            self.promises.lock().unwrap().after_write(&self.sandbox, api, &request);
        }
        if crash == Some(Crash::After(number)) {
            return self.die().await;
        }
        reply
    }

    async fn die(&self) -> Reply {
        self.state.lock().unwrap().crash = None;
        self.died.notify_one();
        std::future::pending().await
    }
}

/// Google, for the cloud adapter.
#[derive(Debug)]
pub struct GoogleFace(pub Arc<Tap>);

impl Transport for GoogleFace {
    fn call<'a>(
        &'a self,
        method: Method,
        path: String,
        body: Option<Value>,
    ) -> Pin<Box<dyn Future<Output = Option<Answer>> + Send + 'a>> {
        let body = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        let request = SandboxRequest::new(method, &path, body);
        Box::pin(async move {
            let reply = self.0.pass(Api::Google, request).await;
            match reply.content {
                Content::Json(body) => Some(Answer { status: reply.status, body }),
                _ => None,
            }
        })
    }
}

/// A client of the cluster. The user's calls go past the tap.
pub fn kube_client(tap: Arc<Tap>, is_user: bool) -> kube::Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let tap = tap.clone();
        async move {
            let (parts, body) = request.into_parts();
            let target = parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_string();
            let bytes = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            let header =
                |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
            let request = SandboxRequest {
                accept: header("accept"),
                content_type: header("content-type"),
                caller: if is_user { "user".into() } else { "controller".into() },
                ..SandboxRequest::new(parts.method, &target, bytes)
            };
            let reply = match is_user {
                true => tap.sandbox.cluster.handle(&request),
                false => tap.pass(Api::Kubernetes, request).await,
            };
            let text = match reply.content {
                Content::Json(body) => body.to_string(),
                Content::Text(text) => text,
                Content::Stream(_) | Content::Bytes { .. } => panic!("the simulation asks for JSON only"),
            };
            Response::builder().status(reply.status).body(Full::new(Bytes::from(text)))
        }
    });
    kube::Client::new(service, "default")
}
