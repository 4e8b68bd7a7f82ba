//! A service: every write makes it reconcile; it settles when its newest revision is ready or has failed and its
//! traffic is in effect. What failed leaves the serving state as it was.

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::super::problem::Problem;
use super::super::users::{Behaviour, Startup};
use super::rules::{check_annotations, check_traffic, put, unusable_secret};

/// Fields that a caller may write.
const MUTABLE: [&str; 11] = [
    "description",
    "labels",
    "annotations",
    "client",
    "clientVersion",
    "ingress",
    "launchStage",
    "template",
    "traffic",
    "scaling",
    "invokerIamDisabled",
];

#[derive(Debug)]
pub(super) struct Service {
    pub(super) id: String,
    pub(super) uid: String,
    /// What callers wrote.
    pub(super) spec: Value,
    pub(super) generation: i64,
    pub(super) observed: i64,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) revisions: BTreeMap<String, Revision>,
    pub(super) latest_created: Option<String>,
    pub(super) latest_ready: Option<String>,
    /// Traffic that is in effect: targets as they were asked for.
    pub(super) serving: Vec<Value>,
    pub(super) state: State,
    made: u32,
    deleting: bool,
    /// The reconciliation under way is going to fail for no reason of its own.
    spoiled: bool,
}

/// How far a service is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Until then at least.
    Reconciling(Timestamp),
    /// Since then.
    Ready(Timestamp),
    /// Since then.
    Failed(Timestamp, Failure),
}

/// Why something is not ready.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// How a service settled.
pub(super) enum Settled {
    Ready,
    Failed { code: i64, message: String },
    Deleted,
}

#[derive(Debug)]
pub(super) struct Revision {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) template: Value,
    pub(super) created: Timestamp,
    pub(super) behaviour: Behaviour,
    pub(super) outcome: Outcome,
}

/// What becomes of a revision.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Known then.
    Pending(Timestamp, Option<Failure>),
    /// Since then.
    Ready(Timestamp),
    /// Since then.
    Failed(Timestamp, Failure),
}

/// Whether a version of a secret can be read.
pub(super) type Usable<'a> = &'a dyn Fn(&str, &str) -> bool;

impl Service {
    pub(super) fn create(
        id: &str,
        wanted: Value,
        now: Timestamp,
        random: &mut StdRng,
        usable: Usable<'_>,
    ) -> Result<Self, Problem> {
        let mut service = Self {
            id: id.to_string(),
            uid: new_uid(random),
            spec: json!({}),
            generation: 0,
            observed: 0,
            created: now,
            updated: now,
            revisions: BTreeMap::new(),
            latest_created: None,
            latest_ready: None,
            serving: vec![],
            state: State::Ready(now),
            made: 0,
            deleting: false,
            spoiled: false,
        };
        if wanted["template"].is_null() {
            return Err(Problem::invalid("template is required"));
        }
        service.update(&wanted, &[], now, random, usable)?;
        Ok(service)
    }

    pub(super) fn etag(&self) -> String {
        format!("\"{}-{}\"", self.uid.split('-').next().unwrap_or_default(), self.generation)
    }

    /// Writes the fields of the mask; without one, all that can be written.
    pub(super) fn update(
        &mut self,
        wanted: &Value,
        mask: &[String],
        now: Timestamp,
        random: &mut StdRng,
        usable: Usable<'_>,
    ) -> Result<(), Problem> {
        let spec = self.with(wanted, mask)?;
        check_annotations(&spec)?;
        check_traffic(&spec["traffic"])?;
        let template_changed = spec["template"] != self.spec["template"];
        let new = if template_changed { self.new_revision(&spec["template"], now, random, usable)? } else { None };
        self.spec = spec;
        self.generation += 1;
        self.updated = now;
        let mut settles = now + SignedDuration::from_millis(random.random_range(3000..8000));
        if let Some(revision) = new {
            if let Outcome::Pending(at, _) = &revision.outcome {
                settles = settles.max(*at + SignedDuration::from_secs(1));
            }
            self.latest_created = Some(revision.name.clone());
            self.revisions.insert(revision.name.clone(), revision);
        }
        self.state = State::Reconciling(settles);
        self.spoiled = false;
        Ok(())
    }

    /// The reconciliation under way fails, and leaves what serves as it is.
    pub(super) fn fail_next(&mut self) {
        self.spoiled = true;
    }

    /// The reconciliation under way never ends, until another write begins one.
    pub(super) fn stall(&mut self) {
        self.state = State::Reconciling(Timestamp::MAX);
    }

    fn with(&self, wanted: &Value, mask: &[String]) -> Result<Value, Problem> {
        let mut spec = self.spec.clone();
        let all: Vec<String> = MUTABLE.iter().map(ToString::to_string).collect();
        for path in if mask.is_empty() { &all } else { mask } {
            let parts: Vec<&str> = path.split('.').collect();
            if path != "*" && !MUTABLE.contains(&parts[0]) {
                return Err(Problem::invalid(format!("update_mask: field '{path}' cannot be updated")));
            }
            let pointer = format!("/{}", parts.join("/"));
            put(&mut spec, &parts, wanted.pointer(&pointer).cloned());
        }
        Ok(spec)
    }

    /// The revision that a template makes; none when it names one that is already there.
    fn new_revision(
        &mut self,
        template: &Value,
        now: Timestamp,
        random: &mut StdRng,
        usable: Usable<'_>,
    ) -> Result<Option<Revision>, Problem> {
        let image = template["containers"][0]["image"].as_str().unwrap_or_default();
        if image.is_empty() {
            return Err(Problem::invalid("template.containers[0].image: the image is required"));
        }
        let named = template["revision"].as_str().unwrap_or_default();
        if !named.is_empty() && (!named.starts_with(&format!("{}-", self.id)) || named.len() > 63) {
            let message =
                format!("template.revision: '{named}' must start with '{}-' and have 63 characters at most", self.id);
            return Err(Problem::invalid(message));
        }
        let mut bare = template.clone();
        if let Some(fields) = bare.as_object_mut() {
            fields.remove("revision");
        }
        if let Some(known) = self.revisions.get(named) {
            if known.template == bare {
                return Ok(None);
            }
            let message = format!("Revision named '{named}' with different configuration already exists.");
            return Err(Problem::already_exists(message));
        }
        self.made += 1;
        let name = match named {
            "" => format!("{}-{:05}-{}", self.id, self.made, letters(random)),
            named => named.to_string(),
        };
        let behaviour = Behaviour::of(&bare);
        let (after, failure) = self.start(&bare, behaviour.startup, random, usable);
        let outcome = Outcome::Pending(now + SignedDuration::from_secs(after), failure);
        Ok(Some(Revision { name, uid: new_uid(random), template: bare, created: now, behaviour, outcome }))
    }

    /// After how many seconds it is known whether a container starts, and why not.
    fn start(
        &self,
        template: &Value,
        startup: Startup,
        random: &mut StdRng,
        usable: Usable<'_>,
    ) -> (i64, Option<Failure>) {
        if let Some(missing) = unusable_secret(template, usable) {
            let message = format!("Secret {missing} was not found or has no enabled version.");
            return (2, Some(Failure { code: 9, reason: "SECRETS_ACCESS_CHECK_FAILED", message }));
        }
        let port = template["containers"][0]["ports"][0]["containerPort"].as_i64().unwrap_or(8080);
        match startup {
            Startup::Ok => (random.random_range(8..25), None),
            Startup::Fail => {
                let message = format!(
                    "The user-provided container failed to start and listen on the port defined provided by the \
                     PORT={port} environment variable within the allocated timeout. The container exited with code 1."
                );
                (
                    random.random_range(10..20),
                    Some(Failure { code: 9, reason: "HEALTH_CHECK_CONTAINER_ERROR", message }),
                )
            }
            Startup::Never => {
                let message = format!(
                    "The user-provided container failed to start and listen on the port defined provided by the \
                     PORT={port} environment variable within the allocated timeout. This can happen when the container \
                     port is misconfigured or if the timeout is too short."
                );
                (240, Some(Failure { code: 9, reason: "HEALTH_CHECK_CONTAINER_ERROR", message }))
            }
        }
    }

    pub(super) fn delete(&mut self, now: Timestamp) {
        self.deleting = true;
        self.generation += 1;
        self.state = State::Reconciling(now + SignedDuration::from_secs(5));
    }

    /// When something happens next by itself.
    pub(super) fn next_event(&self) -> Option<Timestamp> {
        let pending = self.revisions.values().filter_map(|r| match &r.outcome {
            Outcome::Pending(at, _) => Some(*at),
            _ => None,
        });
        let settles = match &self.state {
            State::Reconciling(at) => Some(*at),
            _ => None,
        };
        pending.chain(settles).min()
    }

    /// Lets happen what is due at that time.
    pub(super) fn happen(&mut self, at: Timestamp) -> Option<Settled> {
        for revision in self.revisions.values_mut() {
            if let Outcome::Pending(due, failure) = &revision.outcome
                && *due <= at
            {
                revision.outcome = match failure.clone() {
                    Some(failure) => Outcome::Failed(at, failure),
                    None => Outcome::Ready(at),
                };
                let newest = self.latest_created.as_deref() == Some(revision.name.as_str());
                if newest && matches!(revision.outcome, Outcome::Ready(_)) {
                    self.latest_ready = Some(revision.name.clone());
                }
            }
        }
        match &self.state {
            State::Reconciling(due) if *due <= at => Some(self.settle(at)),
            _ => None,
        }
    }

    fn settle(&mut self, at: Timestamp) -> Settled {
        let internal = Failure { code: 13, reason: "INTERNAL", message: "an internal error has occurred".into() };
        if self.deleting && !self.spoiled {
            return Settled::Deleted;
        }
        self.deleting = false;
        let targets = self.targets();
        let routed = self.spoiled.then_some(internal).or_else(|| self.route(&targets));
        if routed.is_none() {
            self.serving = targets;
        }
        let newest = self.latest_created.as_ref().and_then(|name| self.revisions.get(name));
        let broken = newest.and_then(|revision| match &revision.outcome {
            Outcome::Failed(_, failure) => Some(Failure {
                message: format!(
                    "Revision '{}' is not ready and cannot serve traffic. {}",
                    revision.name, failure.message
                ),
                ..failure.clone()
            }),
            _ => None,
        });
        match routed.or(broken) {
            Some(failure) => {
                let settled = Settled::Failed { code: failure.code, message: failure.message.clone() };
                self.state = State::Failed(at, failure);
                settled
            }
            None => {
                self.observed = self.generation;
                self.state = State::Ready(at);
                Settled::Ready
            }
        }
    }

    /// The traffic that is asked for; nothing means all to the newest.
    fn targets(&self) -> Vec<Value> {
        match self.spec["traffic"].as_array() {
            Some(targets) if !targets.is_empty() => targets.clone(),
            _ => vec![json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100})],
        }
    }

    /// Why traffic can't take effect.
    fn route(&self, targets: &[Value]) -> Option<Failure> {
        targets.iter().find_map(|target| {
            let percent = target["percent"].as_i64().unwrap_or(0);
            let Some(name) = self.resolve(target) else {
                let message = "no revision is ready".to_string();
                return (percent > 0).then_some(Failure { code: 9, reason: "REVISION_FAILED", message });
            };
            let Some(revision) = self.revisions.get(&name) else {
                let message = format!("Revision '{name}' does not exist or is deleted.");
                return Some(Failure { code: 13, reason: "UNKNOWN", message });
            };
            match &revision.outcome {
                Outcome::Failed(_, failure) if percent > 0 => Some(Failure {
                    message: format!("Revision '{name}' is not ready and cannot serve traffic. {}", failure.message),
                    ..failure.clone()
                }),
                _ => None,
            }
        })
    }

    /// The revision that a target means.
    pub(super) fn resolve(&self, target: &Value) -> Option<String> {
        match target["revision"].as_str() {
            Some(name) if !name.is_empty() => Some(name.rsplit('/').next().unwrap_or(name).to_string()),
            _ => self.latest_ready.clone(),
        }
    }

    /// Shares in effect by revision.
    pub(super) fn shares(&self) -> BTreeMap<String, i64> {
        let mut shares = BTreeMap::new();
        for target in &self.serving {
            let percent = target["percent"].as_i64().unwrap_or(0);
            if let (Some(name), true) = (self.resolve(target), percent > 0) {
                *shares.entry(name).or_insert(0) += percent;
            }
        }
        shares
    }

    /// Whether a revision serves, is asked for, or is the newest.
    pub(super) fn in_use(&self, revision: &str) -> bool {
        let targets = self.targets();
        let named = |target: &Value| self.resolve(target).as_deref() == Some(revision);
        self.serving.iter().any(named)
            || targets.iter().any(named)
            || self.latest_created.as_deref() == Some(revision)
            || self.latest_ready.as_deref() == Some(revision)
    }
}

fn new_uid(random: &mut StdRng) -> String {
    uuid::Builder::from_random_bytes(random.random()).into_uuid().to_string()
}

fn letters(random: &mut StdRng) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz";
    (0..3).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}
