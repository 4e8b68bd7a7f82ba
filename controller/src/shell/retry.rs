//! What went wrong with an object lately, and when to look again.

use jiff::SignedDuration;
use orchestra_planner::cloud::{Fault, FaultClass};
use orchestra_planner::plan::Urgency;
use orchestra_planner::resource::{FailedWrite, FailedWrites, ROLLBACK_AGAIN, ResourceId, backoff};
use std::time::Duration;

use super::{Key, Shell, lock};
use crate::error::PassError;

/// When to look again for an object that was not found.
const ABSENT_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// What went wrong with an object lately.
#[derive(Clone, Debug)]
pub(super) struct Troubles {
    /// Which object of the name this is about.
    uid: Option<String>,
    /// Passes in a row that ended early.
    attempts: u32,
    failed_writes: FailedWrites,
    urgency: Urgency,
    /// The object was not found, once.
    absent: bool,
}

impl Default for Troubles {
    fn default() -> Self {
        Self { uid: None, attempts: 0, failed_writes: FailedWrites::new(), urgency: Urgency::Quiet, absent: false }
    }
}

impl Troubles {
    /// The object of the name is this one now: what went wrong with another is none of its business.
    fn turn_to(&mut self, uid: Option<&str>) {
        if self.uid.as_deref() != uid {
            *self = Self { uid: uid.map(String::from), ..Self::default() };
        }
    }
}

impl Shell {
    /// Writes of an object that failed and have not succeeded since.
    pub(super) fn failed_writes(&self, key: &Key, uid: Option<&str>) -> FailedWrites {
        let mut all = lock(&self.troubles);
        let troubles = all.entry(key.clone()).or_default();
        troubles.turn_to(uid);
        troubles.failed_writes.clone()
    }

    /// Notes how a write went.
    pub(super) fn note_write(&self, key: &Key, resource: ResourceId, result: Result<(), Fault>) -> Option<FailedWrite> {
        let mut all = lock(&self.troubles);
        let troubles = all.entry(key.clone()).or_default();
        match result {
            Ok(()) => {
                troubles.failed_writes.remove(&resource);
                None
            }
            Err(fault) => {
                let before = troubles.failed_writes.get(&resource);
                let failed = FailedWrite::again(before, fault, self.clock.now());
                troubles.failed_writes.insert(resource, failed.clone());
                Some(failed)
            }
        }
    }

    pub(super) fn note_urgency(&self, key: &Key, urgency: Urgency) {
        lock(&self.troubles).entry(key.clone()).or_default().urgency = urgency;
    }

    /// An object is not found: an old answer may say so of one that is there, and nothing would call for another look.
    /// Gives when that is; none: it has been taken.
    pub(super) fn look_once_more(&self, key: &Key) -> Option<SignedDuration> {
        let mut all = lock(&self.troubles);
        let troubles = all.entry(key.clone()).or_default();
        (!std::mem::replace(&mut troubles.absent, true)).then_some(ABSENT_AGAIN)
    }

    /// A pass went to its end. Nothing is kept of an object that is gone, or with which all is well.
    pub(super) fn calm(&self, key: &Key, gone: bool) {
        if gone {
            lock(&self.watched).remove(key);
        }
        let mut all = lock(&self.troubles);
        if let Some(troubles) = all.get_mut(key) {
            (troubles.attempts, troubles.absent) = (0, false);
            if gone || (troubles.failed_writes.is_empty() && troubles.urgency == Urgency::Quiet) {
                all.remove(key);
            }
        }
    }

    /// When to look again after a pass that ended early: later and later, but soon while users may meet a bad revision.
    pub(super) fn after_error(&self, key: &Key, error: &PassError) -> Duration {
        let (kind, namespace, name) = (key.0, key.1.as_str(), key.2.as_str());
        if error.class() == FaultClass::Conflict {
            tracing::debug!(kind, namespace, name, %error, "looking again");
        } else {
            tracing::warn!(kind, namespace, name, %error, "trying again later");
        }
        let mut all = lock(&self.troubles);
        let troubles = all.entry(key.clone()).or_default();
        troubles.attempts = troubles.attempts.saturating_add(1);
        let wait = backoff(error.class(), troubles.attempts);
        let wait = if troubles.urgency == Urgency::Rollback { wait.min(ROLLBACK_AGAIN) } else { wait };
        // The cluster's own time is real time, whatever the speed of the world.
        Duration::try_from(wait).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_not_told_what_failed_for_another_of_its_name() {
        let mut troubles = Troubles::default();
        troubles.turn_to(Some("first"));
        let resource = ResourceId::try_from("service/project-one/us-central1/web".to_string()).unwrap();
        let fault = Fault::late("write", 60);
        troubles.failed_writes.insert(resource, FailedWrite { fault, tries: 1, at: jiff::Timestamp::UNIX_EPOCH });
        troubles.turn_to(Some("first"));
        assert_eq!(troubles.failed_writes.len(), 1);
        troubles.turn_to(Some("second"));
        assert!(troubles.failed_writes.is_empty());
    }
}
