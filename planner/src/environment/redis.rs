//! Redis: created once, resized in place, never re-created; one operation at a time.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{
    DeletionPolicy, EnvironmentStatus, OrchestraEnvironment, Redis, RedisFailure, RedisOperation, RedisStatus,
    RedisVerb,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

use super::{Observation, Part, full_name, home};
use crate::cloud::{OperationView, RedisId, RedisView};
use crate::plan::Effect;

const OWNER: &str = "orchestra-owner";
const OWNER_UID: &str = "orchestra-owner-uid";

/// How long an operation may take before a person is told.
pub(super) const DEADLINE: SignedDuration = SignedDuration::from_mins(60);
/// How long to wait before trying again what Google could not do.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Short, stable fingerprint of `namespace/name`, fit for names and labels.
fn fingerprint(full_name: &str) -> String {
    Sha256::digest(full_name.as_bytes()).iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

/// The one instance that an environment may have: its name follows from the environment's, so a create that was
/// answered but not heard is never repeated.
pub fn instance_id(environment: &OrchestraEnvironment) -> Option<RedisId> {
    let (project, region) = home(environment)?;
    let short: String = environment.metadata.name.as_deref()?.chars().filter(|c| *c != '.').take(18).collect();
    let name = format!("{}-{}", short.trim_end_matches('-'), fingerprint(&full_name(environment)));
    Some(RedisId { project, region, name: format!("orchestra-{name}") })
}

/// Whose an instance is.
#[derive(PartialEq, Eq)]
enum Ownership {
    Ours,
    Released,
    Foreign,
}

fn ownership(seen: &Observation, view: &RedisView) -> Ownership {
    if view.labels.get(OWNER) != Some(&fingerprint(&seen.name())) {
        return Ownership::Foreign;
    }
    match view.labels.get(OWNER_UID) {
        Some(uid) if *uid == seen.uid() => Ownership::Ours,
        None => Ownership::Released,
        Some(_) => Ownership::Foreign,
    }
}

fn labels(seen: &Observation, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = before.clone();
    labels.extend(seen.environment.spec.labels.clone());
    labels.insert(OWNER.into(), fingerprint(&seen.name()));
    labels.insert(OWNER_UID.into(), seen.uid());
    labels
}

/// Decides about the environment's Redis.
pub(super) fn plan(seen: &Observation, status: &mut EnvironmentStatus) -> Part {
    let Some(id) = instance_id(&seen.environment) else {
        return Part::stalled("InvalidSpec", "spec.project or spec.regions is no valid name: correct it");
    };
    if seen.environment.spec.redis.is_none() && status.redis.is_none() && seen.redis.is_err() {
        return Part::ready("NoRedis", "the environment has no Redis");
    }
    let view = match &seen.redis {
        Err(fault) => return Part::unreadable("Redis", fault),
        Ok(view) => view.as_ref(),
    };
    let Some(wanted) = &seen.environment.spec.redis else {
        return unwanted(seen, view, status);
    };
    let mut redis = RedisStatus { instance: id.name.clone(), ..status.redis.take().unwrap_or_default() };
    show(view, &mut redis);
    let waiting = settle_operation(seen, &mut redis);
    let part = match (waiting, view) {
        (Some(waiting), _) => waiting,
        (None, None) => absent(seen, wanted, &id, &mut redis),
        (None, Some(view)) => present(seen, wanted, view, &id, &mut redis),
    };
    status.redis = Some(redis);
    part
}

/// The connection data and state, as read.
fn show(view: Option<&RedisView>, redis: &mut RedisStatus) {
    redis.state = view.map(|v| v.state.clone());
    redis.memory_size_gb = view.map(|v| v.memory_size_gb);
    if let Some(view) = view {
        redis.host = view.host.clone().or(redis.host.take());
        redis.port = view.port.or(redis.port);
    }
}

/// Takes note of how the stored operation went; while it is under way, nothing else may start.
fn settle_operation(seen: &Observation, redis: &mut RedisStatus) -> Option<Part> {
    let operation = redis.operation.clone()?;
    let overdue = seen.now.duration_since(operation.started_at.0) > DEADLINE;
    match &seen.redis_operation {
        Some(Ok(OperationView::Pending) | Err(_)) if overdue => Some(Part::stalled(
            "OperationOverdue",
            format!(
                "{:?} of Redis `{}` has not ended after {} minutes: look at operation {} in Google Cloud",
                operation.verb,
                redis.instance,
                DEADLINE.as_mins(),
                operation.name.as_deref().unwrap_or("(unnamed)")
            ),
        )),
        Some(Ok(OperationView::Pending)) => Some(under_way(operation.verb, &redis.instance)),
        Some(Err(fault)) => Some(Part::unreadable("the Redis operation", fault)),
        Some(Ok(OperationView::Failed(fault))) => {
            redis.failure = Some(RedisFailure {
                verb: operation.verb,
                generation: seen.generation(),
                message: fault.message.clone(),
                time: Time(seen.now),
            });
            redis.operation = None;
            None
        }
        // Ended, forgotten, or asked for without an answer: the instance itself tells what became of it.
        Some(Ok(OperationView::Done | OperationView::Forgotten)) | None => {
            redis.operation = None;
            None
        }
    }
}

fn under_way(verb: RedisVerb, instance: &str) -> Part {
    match verb {
        RedisVerb::Create => Part::working("RedisCreating", format!("Redis `{instance}` is being created")),
        RedisVerb::Resize => Part::working("RedisResizing", format!("Redis `{instance}` is being resized")),
        RedisVerb::Delete => Part::working("RedisDeleting", format!("Redis `{instance}` is being deleted")),
    }
}

/// Whether Google could not do the same a short while ago.
fn failed_before(seen: &Observation, redis: &RedisStatus, verb: RedisVerb) -> Option<Part> {
    let failure = redis.failure.as_ref().filter(|f| f.verb == verb && f.generation == seen.generation())?;
    (seen.now.duration_since(failure.time.0) < RETRY_AFTER).then(|| {
        let minutes = RETRY_AFTER.as_mins();
        let message = format!("{verb:?} of Redis failed, tried again after {minutes} minutes: {}", failure.message);
        Part::stalled("RedisFailed", message)
    })
}

fn start(seen: &Observation, redis: &mut RedisStatus, verb: RedisVerb, effect: Effect) -> Part {
    redis.operation = Some(RedisOperation { verb, name: None, started_at: Time(seen.now) });
    Part { effect: Some(effect), ..under_way(verb, &redis.instance) }
}

fn absent(seen: &Observation, wanted: &Redis, id: &RedisId, redis: &mut RedisStatus) -> Part {
    if let Some(part) = failed_before(seen, redis, RedisVerb::Create) {
        return part;
    }
    let effect = Effect::CreateRedis(id.clone(), wanted.clone(), labels(seen, &BTreeMap::new()));
    start(seen, redis, RedisVerb::Create, effect)
}

fn present(seen: &Observation, wanted: &Redis, view: &RedisView, id: &RedisId, redis: &mut RedisStatus) -> Part {
    if ownership(seen, view) == Ownership::Foreign {
        return Part::stalled(
            "RedisNotOurs",
            format!("Redis `{}` exists and was not made by this environment: it is left alone", id.name),
        );
    }
    match view.state.as_str() {
        "READY" => {}
        "CREATING" => return under_way(RedisVerb::Create, &id.name),
        state => return Part::working("RedisBusy", format!("Redis `{}` is {state}", id.name)),
    }
    if view.tier.is_some_and(|tier| tier != wanted.tier) {
        return Part::stalled(
            "RedisRecreationRefused",
            format!(
                "spec.redis.tier: changing it would need a new instance, and all data in `{}` would be lost: set it \
                 back, or make another OrchestraEnvironment",
                id.name
            ),
        );
    }
    if ownership(seen, view) == Ownership::Released {
        let effect = Effect::LabelRedis(id.clone(), labels(seen, &view.labels));
        return Part {
            effect: Some(effect),
            ..Part::working("RedisAdopting", format!("taking Redis `{}` over", id.name))
        };
    }
    if view.memory_size_gb != wanted.memory_size_gb {
        return failed_before(seen, redis, RedisVerb::Resize).unwrap_or_else(|| {
            start(seen, redis, RedisVerb::Resize, Effect::ResizeRedis(id.clone(), wanted.memory_size_gb))
        });
    }
    redis.failure = None;
    Part::ready("RedisReady", format!("Redis `{}` is ready, {} GiB", id.name, view.memory_size_gb))
}

/// Redis was taken out of the spec: it stays until a person deletes it.
fn unwanted(seen: &Observation, view: Option<&RedisView>, status: &mut EnvironmentStatus) -> Part {
    match view {
        Some(view) if ownership(seen, view) == Ownership::Ours => {
            let mut redis = status.redis.take().unwrap_or_default();
            show(Some(view), &mut redis);
            let message = format!(
                "spec.redis was taken out; `{}` and its data are kept: delete the instance yourself if nobody needs it",
                redis.instance
            );
            status.redis = Some(redis);
            Part::ready("RedisKept", message)
        }
        _ => {
            status.redis = None;
            Part::ready("NoRedis", "the environment has no Redis")
        }
    }
}

/// How the instance is let go when its environment is deleted.
pub(super) enum LetGo {
    /// Nothing of ours is left.
    Nothing,
    /// One write.
    Write(Effect, String),
    /// Something is under way.
    Wait(String),
}

/// Deletes or releases the instance, if it is this very object's.
pub(super) fn let_go(
    seen: &Observation,
    view: &RedisView,
    policy: DeletionPolicy,
    status: &mut EnvironmentStatus,
) -> LetGo {
    let Some(id) = instance_id(&seen.environment) else { return LetGo::Nothing };
    match ownership(seen, view) {
        Ownership::Ours => {}
        // Our mark may be on its way: it shows when the instance is ready again.
        Ownership::Released if view.state != "READY" => {
            return LetGo::Wait(format!("Redis `{}` is {}", id.name, view.state));
        }
        Ownership::Released | Ownership::Foreign => return LetGo::Nothing,
    }
    if let Some(redis) = &mut status.redis {
        show(Some(view), redis);
    }
    if view.state != "READY" {
        return LetGo::Wait(format!("Redis `{}` is {}", id.name, view.state));
    }
    let mut redis = RedisStatus { instance: id.name.clone(), ..status.redis.take().unwrap_or_default() };
    let step = match policy {
        DeletionPolicy::Retain => {
            let mut labels = view.labels.clone();
            labels.remove(OWNER_UID);
            let message = format!("Redis `{}` is kept and released", id.name);
            LetGo::Write(Effect::LabelRedis(id, labels), message)
        }
        DeletionPolicy::Delete => match settle_operation(seen, &mut redis) {
            Some(part) => LetGo::Wait(part.note.message),
            None => match failed_before(seen, &redis, RedisVerb::Delete) {
                Some(part) => LetGo::Wait(part.note.message),
                None => {
                    let effect = Effect::DeleteRedis(id.clone());
                    let part = start(seen, &mut redis, RedisVerb::Delete, effect.clone());
                    LetGo::Write(effect, part.note.message)
                }
            },
        },
    };
    status.redis = Some(redis);
    step
}

/// The status with the name of the operation that an effect started.
pub fn absorb(mut status: EnvironmentStatus, effect: &Effect, operation: &str, now: Timestamp) -> EnvironmentStatus {
    if let (Some(verb), Some(redis)) = (effect.redis_verb(), &mut status.redis) {
        let started_at = redis.operation.take().map_or(Time(now), |o| o.started_at);
        redis.operation = Some(RedisOperation { verb, name: Some(operation.to_string()), started_at });
    }
    status
}
