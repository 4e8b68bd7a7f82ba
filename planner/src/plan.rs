//! What to do: the one result of every planner.

use jiff::SignedDuration;
use orchestra_crds::{FINALIZER, Redis, RedisVerb};
use std::collections::BTreeMap;

use crate::cloud::{PolicyView, RedisId, ServiceId, ServiceSettings, TrafficTarget};
use crate::marks::Marks;
use crate::names::{Etag, RevisionName};
use crate::template::EffectiveTemplate;

/// What to do about one object. The shell writes the status first, then runs the effects.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<S> {
    /// What to do with our finalizer.
    pub finalizer: Finalizer,
    /// The status to be.
    pub status: S,
    /// Writes to the cloud, at most one for each resource.
    pub effects: Vec<Effect>,
    /// What to tell people.
    pub events: Vec<Event>,
    /// When to look again, in the world's time, if nothing happens before.
    pub next: SignedDuration,
}

/// What to do with our finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finalizer {
    /// Nothing.
    Keep,
    /// Put it on the object, before anything is made in the cloud.
    Add,
    /// Take it off: nothing of ours is left.
    Remove,
}

/// Why a deletion may not see what it should delete, with what a person can do about it.
pub(crate) fn with_way_out(why: &str) -> String {
    format!(
        "{}: give the controller access to it again; or, if there is no such place, take the finalizer `{FINALIZER}` off by \
         hand",
        why.trim_end_matches('.')
    )
}

/// How long to wait before looking again when nothing is going on: how soon drift is seen.
pub const QUIET: SignedDuration = SignedDuration::from_mins(5);
/// How long to wait before looking again at something that Google is working on.
pub const POLL: SignedDuration = SignedDuration::from_secs(5);
/// Look again at once.
pub const NOW: SignedDuration = SignedDuration::ZERO;

/// One write to the cloud.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Creates a service with its first revision.
    CreateService(ServiceId, Box<NewService>),
    /// Changes a service, in one write that fails when it has changed since it was read.
    UpdateService(ServiceId, Etag, Box<ServiceChange>),
    /// Deletes a service.
    DeleteService(ServiceId, Etag),
    /// Changes who may call a service.
    SetPolicy(ServiceId, PolicyView),
    /// Creates a Redis instance.
    CreateRedis(RedisId, Redis, BTreeMap<String, String>),
    /// Changes the memory of a Redis instance, in GiB.
    ResizeRedis(RedisId, i32),
    /// Changes the labels of a Redis instance.
    LabelRedis(RedisId, BTreeMap<String, String>),
    /// Deletes a Redis instance.
    DeleteRedis(RedisId),
}

impl Effect {
    /// What it does, as a word for logs and metrics.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CreateService(..) => "create_service",
            Self::UpdateService(..) => "update_service",
            Self::DeleteService(..) => "delete_service",
            Self::SetPolicy(..) => "set_policy",
            Self::CreateRedis(..) => "create_redis",
            Self::ResizeRedis(..) => "resize_redis",
            Self::LabelRedis(..) => "label_redis",
            Self::DeleteRedis(..) => "delete_redis",
        }
    }

    /// The Redis operation that this effect starts.
    pub fn redis_verb(&self) -> Option<RedisVerb> {
        match self {
            Self::CreateRedis(..) => Some(RedisVerb::Create),
            Self::ResizeRedis(..) => Some(RedisVerb::Resize),
            Self::DeleteRedis(..) => Some(RedisVerb::Delete),
            _ => None,
        }
    }
}

/// A service to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewService {
    /// Name of its first revision.
    pub revision: RevisionName,
    /// What that runs.
    pub template: EffectiveTemplate,
    /// Traffic.
    pub traffic: Vec<TrafficTarget>,
    /// Orchestra's own annotations.
    pub marks: Marks,
    /// Service-level settings.
    pub settings: ServiceSettings,
}

/// What to change of a service; the rest stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceChange {
    /// A new revision.
    pub template: Option<(RevisionName, EffectiveTemplate)>,
    /// Traffic.
    pub traffic: Option<Vec<TrafficTarget>>,
    /// Orchestra's own annotations.
    pub marks: Option<Marks>,
    /// Service-level settings.
    pub settings: Option<ServiceSettings>,
}

/// Something that people should know, told once, when it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether a person may have to act.
    pub severity: Severity,
    /// What happened, as a CamelCase word.
    pub reason: String,
    /// What it happened to. Part of the identity of an event: another step is another event.
    pub action: String,
    /// For people.
    pub note: String,
}

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// A person may have to act.
    Warning,
}

impl Event {
    /// Something that is as it should be.
    pub fn normal(reason: &str, action: impl Into<String>, note: impl Into<String>) -> Self {
        Self { severity: Severity::Normal, reason: reason.into(), action: action.into(), note: note.into() }
    }

    /// Something that a person may have to act on.
    pub fn warning(reason: &str, action: impl Into<String>, note: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, reason: reason.into(), action: action.into(), note: note.into() }
    }
}
