//! A Google Cloud that speaks the real REST protocols. Time moves it on: each call first lets happen what was due.

mod connectors;
mod enums;
mod instances;
mod locations;
mod logging;
mod mask;
mod monitoring;
mod operations;
mod page;
mod policy;
mod problem;
mod quota;
mod redis;
mod run;
mod secrets;
mod service_accounts;
mod storage;
mod users;

use http::Method;
use jiff::Timestamp;
pub use logging::{LoadTest, Unusual};
use orchestra_controller::clock::Clock;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exchange::{Reply, Request};
use enums::Enums;
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
    connectors: connectors::Connectors,
    /// Of Redis and connectors, which share their paths.
    operations: operations::Operations,
    secrets: secrets::Secrets,
    service_accounts: service_accounts::ServiceAccounts,
    storage: storage::Storage,
    metrics: monitoring::Metrics,
    quotas: quota::Quotas,
}

/// What a call is made with.
#[derive(Clone, Copy)]
struct Context<'a> {
    now: Timestamp,
    request: &'a Request,
    /// The enums of the API that is called.
    enums: &'static Enums,
    /// What becomes of the operation that the call starts.
    mishap: Option<Mishap>,
}

impl Context<'_> {
    /// The body, with enums by name.
    fn body(&self) -> Result<Value, Problem> {
        if self.request.body.is_empty() {
            return Ok(json!({}));
        }
        let read = serde_json::from_slice(&self.request.body);
        let mut body: Value = read.map_err(|e| Problem::invalid(format!("Invalid JSON payload received. {e}")))?;
        if !body.is_object() {
            return Err(Problem::invalid("Invalid JSON payload received. Root element must be a message."));
        }
        self.enums.by_name(&mut body);
        match self.enums.unknown(&body) {
            Some(field) => Err(Problem::invalid(format!("Invalid JSON payload received. Invalid value at {field}"))),
            None => Ok(body),
        }
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
            connectors: connectors::Connectors::new(seed),
            operations: operations::Operations::default(),
            secrets: secrets::Secrets::default(),
            service_accounts: service_accounts::ServiceAccounts::new(),
            storage: storage::Storage::default(),
            metrics: monitoring::Metrics::default(),
            quotas: quota::Quotas::default(),
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
        let context = Context { now: self.clock.now(), request, enums: &enums::NONE, mishap };
        let mut state = self.state();
        state.advance(context.now);
        state.route(context).unwrap_or_else(|problem| Reply::json(problem.status(), problem.body()))
    }

    /// Puts a secret with one version into a project.
    pub fn seed_secret(&self, project: &str, secret: &str) {
        self.state().secrets.seed(project, secret, self.clock.now());
    }

    /// What is to be different about the request logs from now on; those of before are told so, too.
    pub fn unusual_logs(&self, unusual: Unusual) {
        self.state().metrics.logs.unusual = unusual;
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
        self.redis.advance(now, &mut self.operations, &mut self.storage);
        self.connectors.advance(now, &mut self.operations);
        self.secrets.advance(now);
        self.operations.advance(now);
    }

    fn route(&mut self, context: Context<'_>) -> Result<Reply, Problem> {
        let request = context.request;
        if request.path.contains("/storage/v1/") {
            return Ok(self.storage.handle(context));
        }
        let (path, verb) = request.path.rsplit_once(':').unwrap_or((&request.path, ""));
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        if let ["v1", "projects", project, "location", "global", "prometheus", "api", "v1", rest @ ..] =
            parts.as_slice()
        {
            return Ok(self.metrics.prometheus(context, project, rest));
        }
        let (enums, body) = match parts.as_slice() {
            ["v2", "projects", project, "locations", region, rest @ ..] if !rest.is_empty() => {
                locations::check(region)?;
                self.quotas.take(&quota::RUN, context.now, project, region, &request.method)?;
                let place = run::Place { project: (*project).into(), region: (*region).into() };
                let context = Context { enums: &enums::RUN, ..context };
                let lists = rest == ["services"] && request.method == Method::GET && place.region != "-";
                if lists && !enums::as_numbers(request) {
                    return self.run.list_as_text(context, &place).map(Reply::json_text);
                }
                (context.enums, self.run.handle(context, &place, rest, verb, &self.secrets)?)
            }
            ["v1" | "v2", "projects", project, "locations", rest @ ..] if rest.len() < 2 && verb.is_empty() => {
                (context.enums, locations::handle(context, project, rest)?)
            }
            ["v1", "projects", project, "locations", region, collection, rest @ ..] => {
                self.regional(context, (project, region), (collection, rest), verb)?
            }
            ["v1", "projects", project, "secrets", rest @ ..] => {
                let quota = if verb == "access" { &quota::SECRET_VALUES } else { &quota::SECRETS };
                self.quotas.take(quota, context.now, project, "global", &request.method)?;
                let context = Context { enums: &enums::SECRETS, ..context };
                (context.enums, self.secrets.handle(context, project, rest, verb)?)
            }
            ["v1", "projects", project, "serviceAccounts", rest @ ..] => {
                (context.enums, self.service_accounts.handle(context, project, rest, verb)?)
            }
            ["v2", "entries"] if verb == "list" && request.method == Method::POST => {
                let project = &logging::project(context)?;
                self.quotas.take(&quota::LOGS, context.now, project, "global", &Method::GET)?;
                (context.enums, self.metrics.logs.list(context)?)
            }
            ["v3", "projects", project, rest @ ..] => {
                let context = Context { enums: &enums::MONITORING, ..context };
                (context.enums, self.metrics.handle(context, project, rest)?)
            }
            _ if self.storage.has(&request.path) && matches!(request.method, Method::GET | Method::HEAD) => {
                return Ok(self.storage.read(context));
            }
            _ => return Err(Problem::unknown_path(&request.path)),
        };
        Ok(Reply::ok(enums.as_asked(request, body)))
    }

    /// Redis and connectors.
    fn regional(
        &mut self,
        context: Context<'_>,
        (project, region): (&str, &str),
        (collection, rest): (&str, &[&str]),
        verb: &str,
    ) -> Result<(&'static Enums, Value), Problem> {
        locations::check(region)?;
        let parent = format!("projects/{project}/locations/{region}");
        let operations = &mut self.operations;
        match collection {
            "instances" => {
                let creates = context.request.method == Method::POST && rest.is_empty();
                let quota = if creates { &quota::REDIS_CREATES } else { &quota::REDIS };
                self.quotas.take(quota, context.now, project, region, &context.request.method)?;
                let context = Context { enums: &enums::REDIS, ..context };
                let others = (operations, &self.storage);
                Ok((context.enums, self.redis.handle(context, &parent, rest, verb, others)?))
            }
            "connectors" if verb.is_empty() => {
                let context = Context { enums: &enums::CONNECTORS, ..context };
                Ok((context.enums, self.connectors.handle(context, &parent, rest, operations)?))
            }
            "operations" => Ok((context.enums, operations.handle(context, &parent, rest, verb)?)),
            "secrets" => Err(Problem::unimplemented("regional secrets")),
            "clusters" => Err(Problem::unimplemented("Redis clusters")),
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }
}
