//! Redis: created once, resized in place, never re-created; one operation at a time.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use orchestra_crds::{
    CONFIRM_SHRINK, DeletionPolicy, EnvironmentStatus, OperationVerb, OrchestraEnvironment, Redis, RedisStatus,
    condition,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

use super::super::operations::{self, failed_before, forget, note_start, settle};
use super::super::part::{LetGo, PartPlan};
use super::super::{Observation, full_name, project, regions};
use crate::cloud::{FaultClass, OperationView, RedisId, RedisView};
use crate::plan::Effect;
use crate::reason::Reason;
use crate::resource::ResourceId;

const OWNER: &str = "orchestra-owner";
const OWNER_UID: &str = "orchestra-owner-uid";
const WHAT: &str = "Redis";
const NO_REDIS: &str = "the environment has no Redis";

/// Short, stable fingerprint of `namespace/name`, fit for names and labels.
fn fingerprint(full_name: &str) -> String {
    Sha256::digest(full_name.as_bytes()).iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

/// The one instance that an environment may have: its name follows from the environment's, so a create that was
/// answered but not heard is never repeated.
pub fn instance_id(environment: &OrchestraEnvironment) -> Option<RedisId> {
    let (project, region) = (project(environment)?, regions(environment).into_iter().next()?);
    let short: String = environment.metadata.name.as_deref()?.chars().filter(|c| *c != '.').take(18).collect();
    let name = format!("{}-{}", short.trim_end_matches('-'), fingerprint(&full_name(environment)));
    Some(RedisId { project, region, name: format!("orchestra-{name}") })
}

/// The instance to read; none: by what is known, the environment never asked for one.
pub fn instance_to_ask(environment: &OrchestraEnvironment) -> Option<RedisId> {
    let status = environment.status.as_ref();
    let is_known_to_have_none = status.is_some_and(|status| {
        let is_none =
            |known: &Condition| known.type_ == condition::REDIS_READY && known.reason == Reason::NoRedis.word();
        status.redis.is_none() && status.operations.is_empty() && status.conditions.iter().any(is_none)
    });
    let is_going = environment.metadata.deletion_timestamp.is_some();
    let is_open = environment.spec.redis.is_some() || is_going || !is_known_to_have_none;
    instance_id(environment).filter(|_| is_open)
}

/// Whose an instance is.
#[derive(PartialEq, Eq)]
enum Ownership {
    Ours,
    Released,
    Foreign,
}

fn ownership(seen: &Observation, view: &RedisView) -> Ownership {
    if view.labels.get(OWNER) != Some(&fingerprint(&full_name(&seen.environment))) {
        return Ownership::Foreign;
    }
    match view.labels.get(OWNER_UID) {
        Some(uid) if *uid == seen.uid() => Ownership::Ours,
        None => Ownership::Released,
        Some(_) => Ownership::Foreign,
    }
}

/// All labels as they should be: those of others, ours, and none that was ours and is not wanted any more.
fn labels(seen: &Observation, granted: &[String], before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> =
        before.iter().filter(|(key, _)| !granted.contains(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    labels.extend(seen.environment.spec.labels.clone());
    labels.insert(OWNER.into(), fingerprint(&full_name(&seen.environment)));
    labels.insert(OWNER_UID.into(), seen.uid());
    labels
}

fn resource(id: &RedisId) -> ResourceId {
    ResourceId::Redis(id.clone())
}

/// Decides about the environment's Redis.
pub(in super::super) fn plan(seen: &Observation, status: &mut EnvironmentStatus) -> PartPlan {
    let Some(id) = instance_id(&seen.environment) else {
        return PartPlan::stalled(Reason::InvalidSpec, "spec.project or spec.regions is no valid name: correct it");
    };
    if let (None, None, Err(fault)) = (&seen.environment.spec.redis, &status.redis, &seen.redis) {
        // Who may not see any never made one; else one may be left that a lost status knew of.
        return match fault.class {
            FaultClass::Denied | FaultClass::Permanent => PartPlan::ready(Reason::NoRedis, NO_REDIS),
            _ => PartPlan::ready(
                Reason::RedisUnread,
                "the environment asks for no Redis; whether one is left is not known yet",
            ),
        };
    }
    let view = match &seen.redis {
        Err(fault) => return PartPlan::unreadable(WHAT, fault),
        Ok(view) => view.as_ref(),
    };
    let Some(wanted) = &seen.environment.spec.redis else {
        return unwanted(seen, view, &id, status);
    };
    let mut redis = RedisStatus { instance: id.name.clone(), ..status.redis.take().unwrap_or_default() };
    show(view, &mut redis);
    redis.confirmed_memory_size_gb = used_confirmation(seen, &redis);
    let granted = redis.granted_labels.clone();
    redis.granted_labels = seen.environment.spec.labels.keys().cloned().collect();
    status.redis = Some(redis);
    let waiting = settle(seen, status, &resource(&id), (WHAT, &id.name));
    let waits = waiting.is_some();
    let plan = waiting.unwrap_or_else(|| match view {
        None => absent(seen, wanted, &id, status),
        Some(view) => present(seen, wanted, view, &id, (status, &granted)),
    });
    // What was put on it is known until it is seen to be off.
    if let (Some(redis), true) = (status.redis.as_mut(), waits || !plan.effects.is_empty()) {
        redis.granted_labels.extend(granted);
        redis.granted_labels.sort();
        redis.granted_labels.dedup();
    }
    plan
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

fn start(seen: &Observation, status: &mut EnvironmentStatus, id: &RedisId, effect: Effect) -> PartPlan {
    note_start(seen, status, &effect);
    let verb = effect.operation().unwrap_or(OperationVerb::Create);
    operations::under_way(WHAT, &id.name, verb).with_effect(effect)
}

fn absent(seen: &Observation, wanted: &Redis, id: &RedisId, status: &mut EnvironmentStatus) -> PartPlan {
    if let Some(plan) = failed_before(seen, status, &resource(id), WHAT, OperationVerb::Create) {
        return plan;
    }
    let labels = labels(seen, &[], &BTreeMap::new());
    start(seen, status, id, Effect::CreateRedis { redis: id.clone(), spec: wanted.clone(), labels })
}

fn present(
    seen: &Observation,
    wanted: &Redis,
    view: &RedisView,
    id: &RedisId,
    (status, granted): (&mut EnvironmentStatus, &[String]),
) -> PartPlan {
    if ownership(seen, view) == Ownership::Foreign {
        return PartPlan::stalled(
            Reason::RedisNotOurs,
            format!("Redis `{}` exists and was not made by this environment: it is left alone", id.name),
        );
    }
    match view.state.as_str() {
        "READY" => {}
        "CREATING" => return operations::under_way(WHAT, &id.name, OperationVerb::Create),
        state => return PartPlan::working(Reason::RedisBusy, format!("Redis `{}` is {state}", id.name)),
    }
    if let Some(refused) = needs_a_new_one(wanted, view, id) {
        return refused;
    }
    let labels = labels(seen, granted, &view.labels);
    if labels != view.labels {
        let adopts = ownership(seen, view) == Ownership::Released;
        return failed_before(seen, status, &resource(id), WHAT, OperationVerb::Label).unwrap_or_else(|| {
            let plan = start(seen, status, id, Effect::LabelRedis { redis: id.clone(), labels });
            let taking = format!("taking Redis `{}` over", id.name);
            if adopts {
                PartPlan { note: crate::conditions::note(Reason::RedisAdopting, taking), ..plan }
            } else {
                plan
            }
        });
    }
    let used = status.redis.as_ref().and_then(|redis| redis.confirmed_memory_size_gb);
    if let Some(refused) = loses_data(seen, wanted, view, (id, used)) {
        return refused;
    }
    if view.memory_size_gb != wanted.memory_size_gb {
        let resize = Effect::ResizeRedis { redis: id.clone(), memory_size_gb: wanted.memory_size_gb };
        return failed_before(seen, status, &resource(id), WHAT, OperationVerb::Resize)
            .unwrap_or_else(|| start(seen, status, id, resize));
    }
    forget(status, &resource(id));
    PartPlan::ready(Reason::RedisReady, format!("Redis `{}` is ready, {} GiB", id.name, view.memory_size_gb))
}

/// What can't be changed of an instance that is there.
fn needs_a_new_one(wanted: &Redis, view: &RedisView, id: &RedisId) -> Option<PartPlan> {
    if view.tier.is_some_and(|tier| tier != wanted.tier) {
        let message = format!(
            "spec.redis.tier: changing it would need a new instance, and all data in `{}` would be lost: set it back, or make \
             another OrchestraEnvironment",
            id.name
        );
        return Some(PartPlan::stalled(Reason::RedisRecreationRefused, message));
    }
    match (&wanted.version, &view.version) {
        (Some(asked), Some(runs)) if asked != runs => {
            let message = format!(
                "spec.redis.version: {asked} is asked for, and `{}` runs {runs}: the version is chosen when the instance is \
                 created; set it back, or upgrade the instance in Memorystore",
                id.name
            );
            Some(PartPlan::stalled(Reason::RedisVersionDiffers, message))
        }
        _ => None,
    }
}

/// The size for which a person confirms less memory.
fn confirmation(seen: &Observation) -> Option<i32> {
    seen.environment.metadata.annotations.as_ref()?.get(CONFIRM_SHRINK)?.parse().ok()
}

/// The confirmation that is there and has been used: once it has that size. It is good for one time.
fn used_confirmation(seen: &Observation, redis: &RedisStatus) -> Option<i32> {
    let used = |size: &i32| redis.memory_size_gb == Some(*size) || redis.confirmed_memory_size_gb == Some(*size);
    confirmation(seen).filter(used)
}

/// Less memory than what is kept in it would cost data: a person confirms that, for this very size, each time.
fn loses_data(
    seen: &Observation,
    wanted: &Redis,
    view: &RedisView,
    (id, used): (&RedisId, Option<i32>),
) -> Option<PartPlan> {
    let (from, to) = (view.memory_size_gb, wanted.memory_size_gb);
    if to >= from || (confirmation(seen) == Some(to) && used != Some(to)) {
        return None;
    }
    let again = if used == Some(to) { "take off (it was for an earlier change) and set anew" } else { "confirm with" };
    let message = format!(
        "spec.redis.memorySizeGb: `{}` has {from} GiB, and what does not fit into {to} GiB would be lost: set it back, or \
         {again} the annotation {CONFIRM_SHRINK}: \"{to}\"",
        id.name
    );
    Some(PartPlan::stalled(Reason::RedisShrinkUnconfirmed, message))
}

/// Redis was taken out of the spec: it stays until a person deletes it. What was begun is known to its end.
fn unwanted(seen: &Observation, view: Option<&RedisView>, id: &RedisId, status: &mut EnvironmentStatus) -> PartPlan {
    if let Some(under_way) = settle(seen, status, &resource(id), (WHAT, &id.name)) {
        let why = format!("{}; spec.redis was taken out, and it is kept", under_way.note.message);
        return PartPlan { note: crate::conditions::Note::told(under_way.note.reason, why), ..under_way };
    }
    match view {
        Some(view) if ownership(seen, view) == Ownership::Ours => {
            let mut redis = RedisStatus { instance: id.name.clone(), ..status.redis.take().unwrap_or_default() };
            show(Some(view), &mut redis);
            let message = format!(
                "spec.redis was taken out; `{}` and its data are kept: delete the instance yourself if nobody needs it",
                redis.instance
            );
            status.redis = Some(redis);
            PartPlan::ready(Reason::RedisKept, message)
        }
        _ => {
            status.redis = None;
            forget(status, &resource(id));
            PartPlan::ready(Reason::NoRedis, NO_REDIS)
        }
    }
}

/// Deletes or releases the instance, if it is this very object's.
pub(in super::super) fn let_go(seen: &Observation, status: &mut EnvironmentStatus) -> LetGo {
    let Some(id) = instance_id(&seen.environment) else { return LetGo::Never };
    let never = seen.environment.spec.redis.is_none() && status.redis.is_none();
    let creating = matches!(seen.operations.get(&resource(&id)), Some(Ok(OperationView::Pending) | Err(_)));
    let view = match &seen.redis {
        Err(_) if never => return LetGo::Never,
        Err(fault) => return LetGo::Unreadable(WHAT.into(), fault.clone()),
        Ok(None) if creating => return LetGo::Wait("waiting for the end of an operation on Redis".into()),
        Ok(None) if never => return LetGo::Never,
        Ok(None) => return LetGo::NothingFound,
        Ok(Some(view)) => view,
    };
    match ownership(seen, view) {
        Ownership::Ours => {}
        // Our mark may be on its way: it shows when the instance is ready again.
        Ownership::Released if view.state != "READY" => {
            return LetGo::Wait(format!("Redis `{}` is {}", id.name, view.state));
        }
        Ownership::Released | Ownership::Foreign if never => return LetGo::Never,
        Ownership::Released | Ownership::Foreign => return LetGo::NothingFound,
    }
    let mut redis = RedisStatus { instance: id.name.clone(), ..status.redis.take().unwrap_or_default() };
    show(Some(view), &mut redis);
    status.redis = Some(redis);
    if view.state != "READY" {
        return LetGo::Wait(format!("Redis `{}` is {}", id.name, view.state));
    }
    if let Some(waiting) = settle(seen, status, &resource(&id), (WHAT, &id.name)) {
        return LetGo::Wait(waiting.note.message);
    }
    let (effect, verb) = match seen.environment.spec.deletion_policy {
        DeletionPolicy::Retain => {
            let mut labels = view.labels.clone();
            labels.remove(OWNER_UID);
            (Effect::LabelRedis { redis: id.clone(), labels }, OperationVerb::Label)
        }
        DeletionPolicy::Delete => (Effect::DeleteRedis { redis: id.clone() }, OperationVerb::Delete),
    };
    match failed_before(seen, status, &resource(&id), WHAT, verb) {
        Some(failed) => LetGo::Wait(failed.note.message),
        None => {
            note_start(seen, status, &effect);
            let message = match verb {
                OperationVerb::Delete => format!("Redis `{}` is being deleted", id.name),
                _ => format!("Redis `{}` is kept and released", id.name),
            };
            LetGo::Write(effect, message)
        }
    }
}
