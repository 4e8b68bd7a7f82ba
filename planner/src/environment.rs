//! The environment: a small graph of parts, each with its own planner and its own condition.

mod redis;
mod secrets;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{DeletionPolicy, EnvironmentStatus, FINALIZER, OrchestraEnvironment};
use std::collections::BTreeMap;

use crate::cloud::{Fault, FaultClass, OperationView, Reading, RedisView};
use crate::conditions::{self, Note, Overall, note};
use crate::names::{ProjectId, Region};
use crate::plan::{Effect, Event, Finalizer, NOW, POLL, Plan, QUIET, with_way_out};
use crate::second_look;

pub use redis::{absorb, instance_id};
pub use secrets::{SecretQuery, secrets_to_resolve};

/// Everything that the plan of an environment depends on.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The time in the world.
    pub now: Timestamp,
    /// The object, as the cluster has it now.
    pub environment: OrchestraEnvironment,
    /// Names of the Rollouts that refer to it.
    pub rollouts: Vec<String>,
    /// Its Redis instance.
    pub redis: Reading<Option<RedisView>>,
    /// The operation whose name is in the status.
    pub redis_operation: Option<Reading<OperationView>>,
    /// The version of each of its secrets, by name; none: no such secret or version.
    pub secrets: BTreeMap<String, Reading<Option<i64>>>,
    /// Why the last effect for this object failed, until one succeeds.
    pub last_fault: Option<Fault>,
}

impl Observation {
    fn generation(&self) -> i64 {
        self.environment.metadata.generation.unwrap_or_default()
    }

    fn name(&self) -> String {
        full_name(&self.environment)
    }

    fn uid(&self) -> String {
        self.environment.metadata.uid.clone().unwrap_or_default()
    }

    fn old_status(&self) -> EnvironmentStatus {
        self.environment.status.clone().unwrap_or_default()
    }
}

/// `namespace/name`.
fn full_name(environment: &OrchestraEnvironment) -> String {
    let meta = &environment.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// The project and primary region. The CRD has checked both; an object that slipped past it has none.
pub fn home(environment: &OrchestraEnvironment) -> Option<(ProjectId, Region)> {
    let project = ProjectId::new(environment.spec.project.as_str()).ok()?;
    let region = Region::new(environment.spec.regions.first()?.as_str()).ok()?;
    Some((project, region))
}

/// What one part of an environment comes to.
struct Part {
    state: State,
    note: Note,
    effect: Option<Effect>,
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ready,
    Working,
    Stalled,
}

impl Part {
    fn ready(reason: &str, message: impl Into<String>) -> Self {
        Self { state: State::Ready, note: note(reason, message), effect: None }
    }

    fn working(reason: &str, message: impl Into<String>) -> Self {
        Self { state: State::Working, note: note(reason, message), effect: None }
    }

    fn stalled(reason: &str, message: impl Into<String>) -> Self {
        Self { state: State::Stalled, note: note(reason, message), effect: None }
    }

    /// A part that could not be read.
    fn unreadable(what: &str, fault: &Fault) -> Self {
        let message = format!("{what} could not be read: {}", fault.message);
        match fault.class {
            FaultClass::Denied => Self::stalled("AccessDenied", message),
            FaultClass::Permanent => Self::stalled("CloudRejected", message),
            FaultClass::Retryable | FaultClass::Conflict => Self::working("CloudUnavailable", message),
        }
    }
}

/// Decides what to do about an environment.
pub fn plan(seen: &Observation) -> Plan<EnvironmentStatus> {
    let meta = &seen.environment.metadata;
    let has_finalizer = meta.finalizers.iter().flatten().any(|f| f == FINALIZER);
    if meta.deletion_timestamp.is_some() {
        return if has_finalizer { deletion(seen) } else { done(seen, Finalizer::Keep) };
    }
    if !has_finalizer {
        return done(seen, Finalizer::Add);
    }
    let mut status = EnvironmentStatus { observed_generation: meta.generation, ..seen.old_status() };
    let redis = redis::plan(seen, &mut status);
    let secrets = secrets::plan(seen, &mut status);
    finish(seen, status, vec![("RedisReady", redis), ("SecretsReady", secrets)])
}

/// A plan that changes nothing but the finalizer.
fn done(seen: &Observation, finalizer: Finalizer) -> Plan<EnvironmentStatus> {
    let next = if finalizer == Finalizer::Keep { QUIET } else { NOW };
    Plan { finalizer, status: seen.old_status(), effects: vec![], events: vec![], next }
}

/// Takes the parts together.
fn finish(
    seen: &Observation,
    mut status: EnvironmentStatus,
    parts: Vec<(&'static str, Part)>,
) -> Plan<EnvironmentStatus> {
    let effects: Vec<Effect> = parts.iter().filter_map(|(_, part)| part.effect.clone()).collect();
    let worst = parts.iter().max_by_key(|(_, part)| part.state);
    let overall = match (worst, refused(seen, &effects)) {
        (_, Some(refused)) => refused,
        (Some((_, part)), _) if part.state == State::Stalled => Overall::Stalled(part.note.clone()),
        (Some((_, part)), _) if part.state == State::Working => Overall::Reconciling(part.note.clone()),
        _ => Overall::Ready(note("Ready", "everything is as the spec says")),
    };
    let each = parts.iter().map(|(type_, part)| (*type_, part.state == State::Ready, part.note.clone()));
    status.conditions =
        conditions::update(&status.conditions, overall.conditions().into_iter().chain(each), meta(seen), seen.now);
    status.message = Some(overall.note().message.clone());
    let next = match overall {
        Overall::Reconciling(_) => POLL,
        Overall::Ready(_) | Overall::Stalled(_) => QUIET,
    };
    let next = if effects.is_empty() { next } else { POLL };
    let events = events(seen, &status);
    Plan { finalizer: Finalizer::Keep, status, effects, events, next }
}

fn meta(seen: &Observation) -> Option<i64> {
    seen.environment.metadata.generation
}

/// What Google said when the same effects were last tried.
fn refused(seen: &Observation, effects: &[Effect]) -> Option<Overall> {
    let fault = seen.last_fault.as_ref().filter(|_| !effects.is_empty())?;
    match fault.class {
        FaultClass::Denied => Some(Overall::Stalled(note("AccessDenied", &fault.message))),
        FaultClass::Permanent => Some(Overall::Stalled(note("CloudRejected", &fault.message))),
        FaultClass::Retryable | FaultClass::Conflict => {
            Some(Overall::Reconciling(note("Retrying", format!("trying again after: {}", fault.message))))
        }
    }
}

/// One event for each condition that changed.
fn events(seen: &Observation, status: &EnvironmentStatus) -> Vec<Event> {
    let old = seen.old_status();
    let changed = status.conditions.iter().filter(|new| {
        let before = old.conditions.iter().find(|c| c.type_ == new.type_);
        before.is_none_or(|b| b.status != new.status || (b.reason != new.reason && new.status == "False"))
    });
    let stalled = status.conditions.iter().find(|c| c.type_ == "Stalled" && c.status == "True");
    changed
        .filter_map(|c| match (c.type_.as_str(), c.status.as_str()) {
            ("Ready" | "RedisReady" | "SecretsReady", "True") => Some(Event::normal(&c.type_, &c.reason, &c.message)),
            // What stalls the whole is told as that.
            ("RedisReady", "False") if stalled.is_some_and(|s| s.reason == c.reason) => None,
            ("RedisReady", "False") => Some(Event::normal(&c.reason, "Redis", &c.message)),
            ("Stalled", "True") => Some(Event::warning(&c.reason, "Stalled", &c.message)),
            _ => None,
        })
        .collect()
}

/// Something that does not end is in the way of a deletion.
const BLOCKED: &str = "DeletionBlocked";

/// The end of an environment: after its Rollouts, with what it made or without, by policy.
fn deletion(seen: &Observation) -> Plan<EnvironmentStatus> {
    let mut status = seen.old_status();
    if !seen.rollouts.is_empty() {
        let message = format!("waiting for the deletion of its Rollouts: {}", seen.rollouts.join(", "));
        return waiting(
            seen,
            status,
            Overall::Stalled(note("RolloutsRemain", message)),
            None,
            SignedDuration::from_secs(30),
        );
    }
    let creating = matches!(seen.redis_operation, Some(Ok(OperationView::Pending) | Err(_)));
    let never = seen.environment.spec.redis.is_none() && status.redis.is_none();
    let (effect, message) = match (&seen.redis, seen.environment.spec.deletion_policy) {
        (Err(_), _) if never => return done(seen, Finalizer::Remove),
        (Ok(None), _) if creating => (None, "waiting for the end of an operation on Redis".to_string()),
        (Err(fault), _) => {
            let unreadable = Part::unreadable("Redis", fault);
            if unreadable.state == State::Stalled {
                let note = note(unreadable.note.reason, with_way_out(&unreadable.note.message));
                return waiting(seen, status, Overall::Stalled(note), None, QUIET);
            }
            (None, unreadable.note.message)
        }
        (Ok(None), _) => return unless_seen_twice(seen, status, never),
        (Ok(Some(view)), policy) => match redis::let_go(seen, view, policy, &mut status) {
            redis::LetGo::Nothing => return unless_seen_twice(seen, status, never),
            redis::LetGo::Write(effect, message) => (Some(effect), message),
            redis::LetGo::Wait(message) => (None, message),
        },
    };
    status.absent_since = None;
    let reason = if seen.environment.spec.deletion_policy == DeletionPolicy::Delete { "Deleting" } else { "Releasing" };
    let overall = match effect {
        None if takes_too_long(seen, &status) => {
            let minutes = redis::DEADLINE.as_mins();
            let message = format!("{message}, for more than {minutes} minutes: look at it in Google Cloud");
            Overall::Stalled(note(BLOCKED, message))
        }
        _ => Overall::Reconciling(note(reason, message)),
    };
    waiting(seen, status, overall, effect, POLL)
}

/// Lets go of what there may have been only when a second look finds nothing of ours, either.
fn unless_seen_twice(seen: &Observation, mut status: EnvironmentStatus, never: bool) -> Plan<EnvironmentStatus> {
    let first = second_look::first(status.absent_since.as_ref(), seen.now);
    status.absent_since = Some(Time(first));
    match second_look::wait(first, seen.now).filter(|_| !never) {
        None => done(seen, Finalizer::Remove),
        Some(left) => {
            let message = "no Redis is ours any more: looking once more before letting go";
            waiting(seen, status, Overall::Reconciling(note("ConfirmingAbsence", message)), None, left)
        }
    }
}

/// Whether a deletion has waited longer than any operation should take: since it was asked for, or since what was
/// wrong before it is over. After a time without a controller that is said early; the deletion goes on all the same.
fn takes_too_long(seen: &Observation, status: &EnvironmentStatus) -> bool {
    let asked = seen.environment.metadata.deletion_timestamp.as_ref().map(|at| at.0);
    let known = status.conditions.iter().find(|c| c.type_ == "Reconciling" && c.status == "True");
    let since = known.map(|condition| condition.last_transition_time.0).max(asked);
    let waited = known.and(since).map(|since| seen.now.duration_since(since));
    conditions::are_about(&status.conditions, BLOCKED) || waited.is_some_and(|waited| waited > redis::DEADLINE)
}

fn waiting(
    seen: &Observation,
    mut status: EnvironmentStatus,
    overall: Overall,
    effect: Option<Effect>,
    next: SignedDuration,
) -> Plan<EnvironmentStatus> {
    let effects: Vec<Effect> = effect.into_iter().collect();
    let overall = refused(seen, &effects).unwrap_or(overall);
    status.observed_generation = meta(seen);
    status.message = Some(overall.note().message.clone());
    status.conditions = conditions::update(&status.conditions, overall.conditions(), meta(seen), seen.now);
    let events = events(seen, &status);
    Plan { finalizer: Finalizer::Keep, status, effects, events, next }
}

#[cfg(test)]
mod tests;
