//! Cloud Run v2: services, revisions, operations and IAM policies.

mod document;
mod rules;
mod service;

use http::Method;
use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::Context;
use super::metrics::{Metrics, Source};
use super::operations::{Mishap, Operations};
use super::policy::Policy;
use super::problem::Problem;
use super::secrets::Secrets;
use super::users::{Behaviour, ROUND_SECONDS, round};
use service::{Service, Settled};

/// A project and a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) project: String,
    pub(super) region: String,
}

impl Place {
    fn parent(&self) -> String {
        format!("projects/{}/locations/{}", self.project, self.region)
    }
}

#[derive(Debug)]
pub(super) struct Run {
    seed: u64,
    random: StdRng,
    services: BTreeMap<String, Entry>,
    operations: Operations,
}

/// A service, and what goes with it.
#[derive(Debug)]
struct Entry {
    place: Place,
    service: Service,
    policy: Policy,
    /// Operations that end when the service settles, with the generation they are about.
    waiting: Vec<(String, i64)>,
    /// Simulated users have come up to here.
    users_until: Timestamp,
}

impl Run {
    pub(super) fn new(seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed ^ 0x5e11);
        Self { seed, random, services: BTreeMap::new(), operations: Operations::default() }
    }

    /// Lets happen, in order, what was due until now.
    pub(super) fn advance(&mut self, now: Timestamp, metrics: &mut Metrics) {
        let mut gone = vec![];
        for (name, entry) in &mut self.services {
            loop {
                let next_round = entry.users_until + jiff::SignedDuration::from_secs(ROUND_SECONDS);
                let next_event = entry.service.next_event();
                match next_event.filter(|at| *at <= next_round && *at <= now) {
                    Some(at) => {
                        if let Some(settled) = entry.service.happen(at) {
                            end_operations(&mut self.operations, entry, &settled);
                            if matches!(settled, Settled::Deleted) {
                                gone.push(name.clone());
                                break;
                            }
                        }
                    }
                    None if next_round <= now => {
                        send_users(self.seed, name, entry, metrics);
                        entry.users_until = next_round;
                    }
                    None => break,
                }
            }
        }
        for name in gone {
            self.services.remove(&name);
        }
    }

    /// Each service's traffic and revisions, for `/sandbox/state`.
    pub(super) fn view(&self) -> Value {
        self.services.values().map(|e| document::of_service(&e.place, &e.service)).collect()
    }

    pub(super) fn handle(
        &mut self,
        context: Context<'_>,
        place: &Place,
        rest: &[&str],
        verb: &str,
        secrets: &Secrets,
    ) -> Result<Value, Problem> {
        let name = |id: &str| format!("{}/services/{id}", place.parent());
        match (rest, context.request.method.clone(), verb) {
            (["services"], Method::GET, "") => {
                let own = self.services.values().filter(|e| e.place == *place);
                let documents: Vec<Value> = own.map(|e| document::of_service(&e.place, &e.service)).collect();
                Ok(json!({"services": documents}))
            }
            (["services"], Method::POST, "") => self.create(context, place, secrets),
            (["services", id], Method::GET, "") => {
                let entry = self.entry(&name(id))?;
                Ok(document::of_service(&entry.place, &entry.service))
            }
            (["services", id], Method::GET, "getIamPolicy") => Ok(self.entry(&name(id))?.policy.document()),
            (["services", id], Method::POST, "setIamPolicy") => self.entry(&name(id))?.policy.set(context),
            (["services", id], Method::PATCH, "") => self.update(context, &name(id), secrets),
            (["services", id], Method::DELETE, "") => self.delete(context, &name(id)),
            (["services", id, "revisions"], Method::GET, "") => {
                let entry = self.entry(&name(id))?;
                let all: Vec<Value> =
                    entry.service.revisions.values().map(|r| document::of_revision(entry, r)).collect();
                Ok(json!({"revisions": all}))
            }
            (["services", id, "revisions", revision], Method::GET, "") => {
                let full = format!("{}/revisions/{revision}", name(id));
                let entry = self.entry(&name(id))?;
                let found = entry.service.revisions.get(*revision).ok_or_else(|| Problem::not_found(&full))?;
                Ok(document::of_revision(entry, found))
            }
            (["services", id, "revisions", revision], Method::DELETE, "") => {
                self.delete_revision(context, &name(id), revision)
            }
            (["operations", id], Method::GET, "") => {
                self.operations.get(&format!("{}/operations/{id}", place.parent()))
            }
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    fn entry(&mut self, name: &str) -> Result<&mut Entry, Problem> {
        self.services.get_mut(name).ok_or_else(|| Problem::not_found(name))
    }

    fn create(&mut self, context: Context<'_>, place: &Place, secrets: &Secrets) -> Result<Value, Problem> {
        let id = context.request.param("serviceId").unwrap_or_default().to_string();
        let fits = id.len() < 50 && id.starts_with(|c: char| c.is_ascii_lowercase()) && !id.ends_with('-');
        if !fits || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(Problem::invalid(format!(
                "Invalid service id {id:?}: only lowercase letters, digits and hyphens, fewer than 50, starting with a letter"
            )));
        }
        let name = format!("{}/services/{id}", place.parent());
        if self.services.contains_key(&name) {
            return Err(Problem::already_exists(format!("Resource '{id}' already exists.")));
        }
        let wanted = document::normalised(context.body()?);
        let usable = |secret: &str, version: &str| secrets.usable(&place.project, secret, version);
        let service = Service::create(&id, wanted, context.now, &mut self.random, &usable)?;
        if context.request.flag("validateOnly") {
            return Ok(json!({"name": format!("{}/operations/validate", place.parent()), "done": true}));
        }
        let second = context.now.as_second().div_euclid(ROUND_SECONDS) * ROUND_SECONDS;
        let users_until = Timestamp::from_second(second).unwrap_or(context.now);
        let entry = Entry { place: place.clone(), service, policy: Policy::default(), waiting: vec![], users_until };
        self.services.insert(name.clone(), entry);
        self.begin(context, &name)
    }

    /// Starts an operation about the service as it is now.
    fn begin(&mut self, context: Context<'_>, name: &str) -> Result<Value, Problem> {
        let entry = self.services.get_mut(name).ok_or_else(|| Problem::not_found(name))?;
        let mut metadata = document::of_service(&entry.place, &entry.service);
        metadata["@type"] = json!("type.googleapis.com/google.cloud.run.v2.Service");
        let operation = self.operations.start(&entry.place.parent(), metadata, &mut self.random);
        let id = operation["name"].as_str().unwrap_or_default().to_string();
        match context.mishap {
            Some(Mishap::Fails) => entry.service.fail_next(),
            Some(Mishap::Never) => entry.service.stall(),
            Some(Mishap::Forgotten) => self.operations.forget(&id),
            None => {}
        }
        entry.waiting.push((id, entry.service.generation));
        Ok(operation)
    }

    fn update(&mut self, context: Context<'_>, name: &str, secrets: &Secrets) -> Result<Value, Problem> {
        let wanted = document::normalised(context.body()?);
        let mask: Vec<String> = context
            .request
            .param("updateMask")
            .unwrap_or_default()
            .split(',')
            .filter(|path| !path.is_empty())
            .map(super::redis::camel)
            .collect();
        let entry = self.services.get_mut(name).ok_or_else(|| Problem::not_found(name))?;
        let project = entry.place.project.clone();
        let usable = |secret: &str, version: &str| secrets.usable(&project, secret, version);
        check_etag(&entry.service, wanted["etag"].as_str().unwrap_or_default())?;
        entry.service.update(&wanted, &mask, context.now, &mut self.random, &usable)?;
        self.begin(context, name)
    }

    fn delete(&mut self, context: Context<'_>, name: &str) -> Result<Value, Problem> {
        let entry = self.entry(name)?;
        check_etag(&entry.service, context.request.param("etag").unwrap_or_default())?;
        entry.service.delete(context.now);
        self.begin(context, name)
    }

    fn delete_revision(&mut self, context: Context<'_>, name: &str, revision: &str) -> Result<Value, Problem> {
        let full = format!("{name}/revisions/{revision}");
        let entry = self.services.get_mut(name).ok_or_else(|| Problem::not_found(name))?;
        if !entry.service.revisions.contains_key(revision) {
            return Err(Problem::not_found(&full));
        }
        if entry.service.in_use(revision) {
            return Err(Problem::precondition(format!("Revision '{revision}' is in use and cannot be deleted.")));
        }
        entry.service.revisions.remove(revision);
        let metadata = json!({"name": full, "deleteTime": context.time()});
        let operation = self.operations.start(&entry.place.parent(), metadata, &mut self.random);
        let id = operation["name"].as_str().unwrap_or_default().to_string();
        self.operations.end(&id, Ok(json!({})));
        self.operations.get(&id)
    }
}

fn check_etag(service: &Service, sent: &str) -> Result<(), Problem> {
    if sent.is_empty() || sent == service.etag() {
        return Ok(());
    }
    Err(Problem::aborted(format!(
        "Conflict for resource '{}': version '{sent}' was specified but current version is '{}'.",
        service.id,
        service.etag()
    )))
}

fn end_operations(operations: &mut Operations, entry: &mut Entry, settled: &Settled) {
    let generation = entry.service.generation;
    let (done, waiting) = std::mem::take(&mut entry.waiting).into_iter().partition(|(_, g)| *g <= generation);
    let done: Vec<(String, i64)> = done;
    entry.waiting = waiting;
    for (name, _) in done {
        let result = match settled {
            Settled::Ready | Settled::Deleted => {
                let mut response = document::of_service(&entry.place, &entry.service);
                response["@type"] = json!("type.googleapis.com/google.cloud.run.v2.Service");
                Ok(response)
            }
            Settled::Failed { code, message } => Err(json!({"code": code, "message": message})),
        };
        operations.end(&name, result);
    }
}

/// One round of requests, by the traffic that is in effect.
fn send_users(seed: u64, name: &str, entry: &Entry, metrics: &mut Metrics) {
    let serving = entry.service.shares();
    let behaviours: Vec<(String, i64, Behaviour)> = serving
        .into_iter()
        .filter_map(|(revision, percent)| {
            let behaviour = entry.service.revisions.get(&revision)?.behaviour.clone();
            Some((revision, percent, behaviour))
        })
        .collect();
    let shares: Vec<(i64, &Behaviour)> = behaviours.iter().map(|(_, percent, b)| (*percent, b)).collect();
    let at = entry.users_until;
    for ((revision, ..), met) in behaviours.iter().zip(round(seed, name, at.as_second(), &shares)) {
        let source = Source {
            project: entry.place.project.clone(),
            region: entry.place.region.clone(),
            service: entry.service.id.clone(),
            revision: revision.clone(),
        };
        metrics.record(seed, at, source, &met);
    }
}
