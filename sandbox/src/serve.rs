//! The HTTP face of the sandbox, on loopback only.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, header};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::Sandbox;
use crate::exchange::{Content, Reply, Request, TRUSTED};
use crate::google;
use crate::google::Unusual;
use crate::journal::{Api, Fault};

/// Largest body that is read; clients of Cloud Storage send 16 MiB at a time.
const BODY_LIMIT: usize = 64 << 20;

/// Why the sandbox could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be listened on.
    #[error("{address}: {source}; choose another address, or stop what listens there")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The address is open to others.
    #[error("{0} is no loopback address: the sandbox has no passwords and serves this machine only")]
    NotLoopback(SocketAddr),
    /// The kubeconfig can't be written.
    #[error("{path}: {source}; choose another --kubeconfig")]
    Kubeconfig {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A server ended.
    #[error("a server ended: {0}")]
    Ended(std::io::Error),
}

/// Both servers, listening.
#[derive(Debug)]
pub struct Servers {
    kube: Option<TcpListener>,
    google: TcpListener,
    /// Where Google's APIs are.
    pub google_address: SocketAddr,
    /// Where the cluster's API is, if there is one.
    pub kube_address: Option<SocketAddr>,
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

impl Servers {
    /// Listens; port 0 takes a free one. Without an address for the cluster there is none.
    ///
    /// # Errors
    /// When an address is taken or not loopback.
    pub async fn listen(kube: Option<SocketAddr>, google: SocketAddr) -> Result<Self, ServeError> {
        let kube = match kube {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let (google, google_address) = listen(google).await?;
        let kube_address = kube.as_ref().map(|(_, address)| *address);
        Ok(Self { kube: kube.map(|(listener, _)| listener), google, google_address, kube_address })
    }

    /// Serves until a server ends.
    ///
    /// # Errors
    /// When a server ends.
    pub async fn run(self, sandbox: Sandbox) -> Result<(), ServeError> {
        let cluster = sandbox.cluster.clone();
        let google = Router::new().fallback(google_cloud).with_state(sandbox.clone());
        let kube = Router::new().fallback(kubernetes).with_state(sandbox);
        let serve_kube = async {
            match self.kube {
                Some(listener) => axum::serve(listener, kube).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = axum::serve(self.google, google) => ended,
            ended = serve_kube => ended,
            () = cluster.keep_settled() => Ok(()),
        }
        .map_err(ServeError::Ended)
    }

    /// Writes a kubeconfig that names this cluster.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<(), ServeError> {
        let Some(address) = self.kube_address else { return Ok(()) };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "sandbox",
            "clusters": [{"name": "sandbox", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "sandbox", "user": {"token": TRUSTED.trim_start_matches("Bearer ")}}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": "default"}}],
        });
        let failed = |source| ServeError::Kubeconfig { path: path.display().to_string(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(path, format!("{config:#}\n")).map_err(failed)
    }
}

/// How whoever runs the sandbox reaches its cluster.
pub fn kube_config(url: http::Uri) -> kube::Config {
    let mut config = kube::Config::new(url);
    config.auth_info.token = Some(TRUSTED.trim_start_matches("Bearer ").to_string().into());
    config
}

async fn read(request: axum::extract::Request) -> Result<Request, Response> {
    let (parts, body) = request.into_parts();
    let too_large = |_| respond(Reply::text(413, "the request body could not be read"));
    let body = to_bytes(body, BODY_LIMIT).await.map_err(too_large)?;
    let target = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let named = |name| value(&parts.headers, name);
    Ok(Request {
        accept: named(header::ACCEPT),
        content_type: named(header::CONTENT_TYPE),
        caller: named(header::USER_AGENT),
        host: named(header::HOST),
        content_range: named(header::CONTENT_RANGE),
        range: named(header::RANGE),
        authorization: authorization(named(header::AUTHORIZATION)),
        extra: extra(&parts.headers),
        ..Request::new(parts.method, target, body)
    })
}

/// What the headers of [`Request::extra`] begin with.
const EXTRA: [&str; 3] = ["x-goog-", "x-guploader-", "impersonate-"];

fn extra(headers: &HeaderMap) -> Vec<(String, String)> {
    let own = headers.iter().filter(|(name, _)| EXTRA.iter().any(|p| name.as_str().starts_with(p)));
    own.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_string()))).collect()
}

/// kubectl sends no token over plain HTTP, and only this machine can call: who shows none is whoever runs the sandbox.
fn authorization(sent: String) -> String {
    if sent.is_empty() { TRUSTED.to_string() } else { sent }
}

fn value(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string()
}

fn respond(reply: Reply) -> Response {
    let (content_type, body) = match reply.content {
        Content::Text(body) => ("text/plain; charset=utf-8", Body::from(body)),
        Content::Bytes { content_type, bytes } => (content_type, Body::from(bytes)),
        Content::Json(body) => ("application/json", Body::from(body.to_string())),
        Content::JsonText(body) => ("application/json", Body::from(body)),
        Content::Stream(events) => ("application/json", Body::from_stream(lines(events))),
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(reply.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    for (name, value) in reply.headers {
        if let Ok(value) = header::HeaderValue::from_str(&value) {
            match name {
                "content-type" => drop(headers.insert(header::CONTENT_TYPE, value)),
                name => drop(headers.append(name, value)),
            }
        }
    }
    response
}

fn lines(events: mpsc::Receiver<Value>) -> impl futures::Stream<Item = Result<String, std::convert::Infallible>> {
    futures::stream::unfold(events, |mut events| async move {
        let event = events.recv().await?;
        Some((Ok(format!("{event}\n")), events))
    })
}

/// Answers through the journal: the fault that strikes first, then the call, then the log.
async fn through_journal(
    sandbox: &Sandbox,
    api: Api,
    request: &Request,
    ordered: impl Fn(u16) -> Value,
    answer: impl FnOnce() -> Reply,
) -> Response {
    let target = full_path(request);
    let journal = &sandbox.journal;
    let fault = journal.strike(api, request.method.as_str(), &target);
    let record = |status| journal.record(api, request.method.as_str(), &target, status, &request.caller);
    if let Some(fault) = &fault {
        tokio::time::sleep(Duration::from_millis(fault.delay_millis)).await;
    }
    let reply = match fault.as_ref().and_then(|f| f.status) {
        Some(status) => Reply::json(status, ordered(status)),
        None => answer(),
    };
    if fault.is_some_and(|f| f.lose_response) {
        record(0);
        return broken();
    }
    record(reply.status);
    respond(reply)
}

/// A response whose body breaks off: the client sees a lost connection.
fn broken() -> Response {
    let failure = futures::stream::once(async { Err::<String, _>(std::io::Error::other("ordered: response lost")) });
    Response::new(Body::from_stream(failure))
}

fn full_path(request: &Request) -> String {
    let query: Vec<String> = request.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
    if query.is_empty() { request.path.clone() } else { format!("{}?{}", request.path, query.join("&")) }
}

async fn kubernetes(State(sandbox): State<Sandbox>, request: axum::extract::Request) -> Response {
    let request = match read(request).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    let ordered = |status: u16| {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status,
               "reason": "InternalError", "message": "ordered by /sandbox/faults"})
    };
    through_journal(&sandbox, Api::Kubernetes, &request, ordered, || sandbox.cluster.handle(&request)).await
}

async fn google_cloud(State(sandbox): State<Sandbox>, request: axum::extract::Request) -> Response {
    let request = match read(request).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    if let Some(path) = request.path.strip_prefix("/sandbox/") {
        return respond(control(&sandbox, path, &request));
    }
    let ordered = google::ordered;
    through_journal(&sandbox, Api::Google, &request, ordered, || sandbox.google.handle(&request)).await
}

/// `/sandbox/…`: the call log, faults, state and clock.
fn control(sandbox: &Sandbox, path: &str, request: &Request) -> Reply {
    let refuse = |message: String| Reply::json(400, json!({"error": message}));
    match (path, &request.method) {
        ("calls", &Method::GET) => Reply::ok(json!(sandbox.journal.calls())),
        ("state", &Method::GET) => {
            Reply::ok(json!({"google": sandbox.google.view(), "kubernetes": sandbox.cluster.state()}))
        }
        ("clock", &Method::GET) => Reply::ok(json!(sandbox.journal.clock().read())),
        ("logs", &Method::PUT) => match serde_json::from_slice::<Unusual>(&request.body) {
            Ok(unusual) => {
                sandbox.google.unusual_logs(unusual);
                Reply::ok(json!({}))
            }
            Err(bad) => refuse(format!("it could not be read: {bad}")),
        },
        ("faults", &Method::GET) => Reply::ok(json!(sandbox.journal.faults())),
        ("faults", &Method::DELETE) => {
            sandbox.journal.clear_faults();
            Reply::ok(json!({}))
        }
        ("faults", &Method::POST) => match serde_json::from_slice::<Fault>(&request.body) {
            Ok(fault) => match sandbox.journal.order(fault) {
                Ok(()) => Reply::ok(json!({})),
                Err(bad) => refuse(bad.to_string()),
            },
            Err(bad) => refuse(format!("the fault could not be read: {bad}")),
        },
        _ => Reply::json(404, json!({"error": "there are calls, faults, logs, state and clock"})),
    }
}
