//! What to do: the one result of every planner.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{FINALIZER, OperationVerb, Redis};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::{PolicyView, RedisId, ServiceId, ServiceSettings, Setting, TrafficTarget};
pub use crate::event::{Event, Severity};
use crate::marks::Marks;
use crate::names::{Etag, RevisionName};
use crate::resource::{FailedWrite, FailedWrites, ResourceId};
use crate::template::EffectiveTemplate;

/// What to do about one object. The shell writes the status first, then runs the effects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// How much hurry there is.
    pub urgency: Urgency,
}

/// How long the reads of a pass may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// As long as they need.
    Ordinary,
    /// Users may be meeting a bad revision: nothing is waited for that answers slowly.
    Urgent,
    /// The same, after a pass that took back what answered at once: what answers slowly gets its turn.
    UrgentAgain {
        /// How long a region has not answered.
        silent: SignedDuration,
    },
}

/// How much hurry there is, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Urgency {
    /// Nothing is going on.
    Quiet,
    /// Something is under way.
    Work,
    /// Users may be meeting a bad revision: nothing delays this.
    Rollback,
}

/// What to do with our finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finalizer {
    /// Nothing.
    Keep,
    /// Put it on the object, before anything is made in the cloud.
    Add,
    /// Take it off: nothing of ours is left.
    Remove,
}

/// Why a deletion may not see or change what it should delete, with what a person can do about it.
pub(crate) fn with_way_out(why: &str) -> String {
    format!(
        "{}: give the controller access to it again; or, if there is no such place, remove the finalizer `{FINALIZER}` \
         with kubectl edit",
        why.trim_end_matches('.')
    )
}

/// Longest list of writes that is told, in characters.
const WRITES_TOLD: usize = 2_000;

/// What is told where nothing may be written: what would be said, and what would be done.
pub(crate) fn only_told(would_say: &str, writes: &[String]) -> String {
    let told =
        format!("managementPolicy is Observe, and nothing is written. Else: {}", would_say.trim_end_matches('.'));
    if writes.is_empty() {
        return told;
    }
    let writes = writes.join(". ");
    let cut: String = writes.chars().take(WRITES_TOLD).collect();
    let more = if cut.len() < writes.len() { " …" } else { "" };
    format!("{told}. It would write: {cut}{more}")
}

/// How long to wait before looking again when nothing is going on. What others change of a service is seen sooner: the shell
/// lists services each minute.
pub const QUIET: SignedDuration = SignedDuration::from_mins(5);
/// How long to wait before looking again at something that Google is working on.
pub const POLL: SignedDuration = SignedDuration::from_secs(5);
/// Look again at once.
pub const NOW: SignedDuration = SignedDuration::ZERO;

/// How long what can't be read for a moment changes nothing of what is told.
pub(crate) const BRIEFLY: SignedDuration = SignedDuration::from_secs(60);

/// How long to wait before reading again what could not be read since then: longer, the longer it lasts.
pub(crate) fn read_again(since: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(since).clamp(POLL, SignedDuration::from_secs(120))
}

/// One write to the cloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// Creates a service with its first revision.
    CreateService {
        /// Which.
        service: ServiceId,
        /// What it is.
        new: Box<NewService>,
    },
    /// Changes a service, in one write that fails when it has changed since it was read.
    UpdateService {
        /// Which.
        service: ServiceId,
        /// As it was read.
        etag: Etag,
        /// What to change.
        change: Box<ServiceChange>,
    },
    /// Deletes a service.
    DeleteService {
        /// Which.
        service: ServiceId,
        /// As it was read.
        etag: Etag,
    },
    /// Deletes a revision that nothing uses.
    DeleteRevision {
        /// Of which service.
        service: ServiceId,
        /// Which.
        revision: RevisionName,
    },
    /// Changes who may call a service.
    SetPolicy {
        /// Which.
        service: ServiceId,
        /// The whole policy.
        policy: PolicyView,
    },
    /// Creates a Redis instance.
    CreateRedis {
        /// Which.
        redis: RedisId,
        /// As the spec has it.
        spec: Redis,
        /// Its labels.
        labels: BTreeMap<String, String>,
    },
    /// Changes the memory of a Redis instance.
    ResizeRedis {
        /// Which.
        redis: RedisId,
        /// Memory, in GiB.
        memory_size_gb: i32,
    },
    /// Changes the labels of a Redis instance.
    LabelRedis {
        /// Which.
        redis: RedisId,
        /// All of them.
        labels: BTreeMap<String, String>,
    },
    /// Deletes a Redis instance.
    DeleteRedis {
        /// Which.
        redis: RedisId,
    },
}

impl Effect {
    /// What it does, as a word for logs and metrics.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CreateService { .. } => "create_service",
            Self::UpdateService { .. } => "update_service",
            Self::DeleteService { .. } => "delete_service",
            Self::DeleteRevision { .. } => "delete_revision",
            Self::SetPolicy { .. } => "set_policy",
            Self::CreateRedis { .. } => "create_redis",
            Self::ResizeRedis { .. } => "resize_redis",
            Self::LabelRedis { .. } => "label_redis",
            Self::DeleteRedis { .. } => "delete_redis",
        }
    }

    /// What it writes.
    pub fn resource(&self) -> ResourceId {
        match self {
            Self::CreateService { service, .. }
            | Self::UpdateService { service, .. }
            | Self::DeleteService { service, .. } => ResourceId::Service(service.clone()),
            Self::DeleteRevision { service, .. } => ResourceId::Revisions(service.clone()),
            Self::SetPolicy { service, .. } => ResourceId::Policy(service.clone()),
            Self::CreateRedis { redis, .. }
            | Self::ResizeRedis { redis, .. }
            | Self::LabelRedis { redis, .. }
            | Self::DeleteRedis { redis } => ResourceId::Redis(redis.clone()),
        }
    }

    /// What the operation that it starts does, where its end has to be asked for by name. A service tells itself how far
    /// its last write is.
    pub fn operation(&self) -> Option<OperationVerb> {
        match self {
            Self::CreateRedis { .. } => Some(OperationVerb::Create),
            Self::ResizeRedis { .. } => Some(OperationVerb::Resize),
            Self::LabelRedis { .. } => Some(OperationVerb::Label),
            Self::DeleteRedis { .. } => Some(OperationVerb::Delete),
            _ => None,
        }
    }
}

/// What came of a write that Google accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done.
    Done,
    /// An operation of that name has begun.
    Started(String),
}

/// Whether each resource is written once at most.
pub fn writes_each_resource_once(effects: &[Effect]) -> bool {
    let mut written = BTreeSet::new();
    effects.iter().all(|effect| written.insert(effect.resource()))
}

/// Takes writes out that failed a short while ago. Gives the one that is tried again last, and in how long.
pub(crate) fn hold_back<'a>(
    effects: &mut Vec<Effect>,
    failed: &'a FailedWrites,
    now: Timestamp,
    urgent: bool,
) -> Option<(&'a FailedWrite, SignedDuration)> {
    let waits = |effect: &Effect| {
        let write = failed.get(&effect.resource())?;
        Some((write, write.left(now, urgent)?))
    };
    let held = effects.iter().filter_map(waits).min_by_key(|(_, left)| *left);
    effects.retain(|effect| waits(effect).is_none());
    held
}

/// A service to be created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceChange {
    /// A new revision.
    pub template: Option<(RevisionName, EffectiveTemplate)>,
    /// Traffic.
    pub traffic: Option<Vec<TrafficTarget>>,
    /// Orchestra's own annotations.
    pub marks: Option<Marks>,
    /// Service-level settings.
    #[serde(default)]
    pub settings: Vec<Setting>,
}
