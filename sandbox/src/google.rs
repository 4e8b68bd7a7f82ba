//! A Google Cloud that speaks the real REST protocols. Time moves it on: each call first lets happen what was due.

mod metrics;
mod operations;
mod policy;
mod problem;
mod redis;
mod run;
mod secrets;
mod users;

use http::Method;
use jiff::Timestamp;
use orchestra_controller::clock::Clock;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exchange::{Reply, Request};
use problem::Problem;

pub use operations::Mishap;
pub(crate) use problem::ordered;
pub use secrets::SECRET_MARKER;

/// A Google Cloud.
#[derive(Debug)]
pub struct Google {
    clock: Clock,
    state: Mutex<State>,
}

/// Everything in it.
#[derive(Debug)]
struct State {
    run: run::Run,
    redis: redis::Redis,
    secrets: secrets::Secrets,
    metrics: metrics::Metrics,
}

/// What a call is made with.
#[derive(Clone, Copy)]
struct Context<'a> {
    now: Timestamp,
    request: &'a Request,
    /// What becomes of the operation that the call starts.
    mishap: Option<Mishap>,
}

impl Context<'_> {
    fn body(&self) -> Result<Value, Problem> {
        if self.request.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.request.body).map_err(|e| Problem::invalid(format!("Invalid JSON payload: {e}")))
    }

    /// Now, as Google writes it.
    fn time(&self) -> Value {
        stamp(self.now)
    }
}

fn stamp(time: Timestamp) -> Value {
    json!(format!("{time:.6}"))
}

impl Google {
    /// An empty cloud.
    pub fn new(clock: Clock, seed: u64) -> Self {
        let state = State {
            run: run::Run::new(seed),
            redis: redis::Redis::new(seed),
            secrets: secrets::Secrets::default(),
            metrics: metrics::Metrics::default(),
        };
        Self { clock, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    pub fn handle(&self, request: &Request) -> Reply {
        self.answer(request, None)
    }

    /// Answers a request whose operation then goes wrong.
    pub fn handle_badly(&self, request: &Request, mishap: Mishap) -> Reply {
        self.answer(request, Some(mishap))
    }

    fn answer(&self, request: &Request, mishap: Option<Mishap>) -> Reply {
        let context = Context { now: self.clock.now(), request, mishap };
        let mut state = self.state();
        state.advance(context.now);
        match state.route(context) {
            Ok(body) => Reply::ok(body),
            Err(problem) => Reply::json(problem.status(), problem.body()),
        }
    }

    /// Puts a secret with one version into a project.
    pub fn seed_secret(&self, project: &str, secret: &str) {
        self.state().secrets.seed(project, secret, self.clock.now());
    }

    /// What is there and what the simulated users met, for `/sandbox/state` and for tests. No value of a secret.
    pub fn view(&self) -> Value {
        let mut state = self.state();
        state.advance(self.clock.now());
        json!({
            "services": state.run.view(),
            "redis": state.redis.view(),
            "secrets": state.secrets.view(),
            "traffic": state.metrics.totals(),
        })
    }
}

impl State {
    fn advance(&mut self, now: Timestamp) {
        self.run.advance(now, &mut self.metrics);
        self.redis.advance(now);
    }

    fn route(&mut self, context: Context<'_>) -> Result<Value, Problem> {
        let path = context.request.path.clone();
        let (path, verb) = path.rsplit_once(':').map_or((path.as_str(), ""), |(path, verb)| (path, verb));
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let method = &context.request.method;
        match (parts.as_slice(), method, verb) {
            (["v2", "projects", project, "locations", region, rest @ ..], _, _) => {
                let place = run::Place { project: (*project).into(), region: (*region).into() };
                self.run.handle(context, &place, rest, verb, &self.secrets)
            }
            (["v1", "projects", project, "locations", region, rest @ ..], _, _) => {
                self.redis.handle(context, &format!("projects/{project}/locations/{region}"), rest, verb)
            }
            (["v1", "projects", project, "secrets", rest @ ..], _, _) => {
                self.secrets.handle(context, project, rest, verb)
            }
            (["v3", "projects", project, "timeSeries"], &Method::GET, "") => self.metrics.list(context, project),
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }
}
