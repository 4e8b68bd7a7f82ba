//! Resources of Google Cloud, what is known of writes to them that failed, and when to try again.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

use crate::cloud::{Fault, FaultClass, RedisId, ServiceId};
use crate::names::{ProjectId, Region, ServiceName};

/// One thing that is written as a whole. A plan holds one write at most for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ResourceId {
    /// A Cloud Run service.
    Service(ServiceId),
    /// The IAM policy of a Cloud Run service. It has an etag of its own, and changing it leaves the service as it is.
    Policy(ServiceId),
    /// The revisions of a Cloud Run service.
    Revisions(ServiceId),
    /// A Memorystore instance.
    Redis(RedisId),
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(id) => write!(f, "service/{}/{}/{}", id.project, id.region, id.name),
            Self::Policy(id) => write!(f, "policy/{}/{}/{}", id.project, id.region, id.name),
            Self::Revisions(id) => write!(f, "revisions/{}/{}/{}", id.project, id.region, id.name),
            Self::Redis(id) => write!(f, "redis/{}/{}/{}", id.project, id.region, id.name),
        }
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ResourceId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = || format!("`{text}` is none of service, policy, revisions or redis/PROJECT/REGION/NAME");
        let parts: Vec<&str> = text.splitn(4, '/').collect();
        let [kind, project, region, name] = parts.as_slice() else { return Err(wrong()) };
        let (project, region) = (ProjectId::new(*project), Region::new(*region));
        let (Ok(project), Ok(region)) = (project, region) else { return Err(wrong()) };
        let service = |project, region| {
            ServiceName::new(*name).map(|name| ServiceId { project, region, name }).map_err(|_| wrong())
        };
        match *kind {
            "service" => service(project, region).map(Self::Service),
            "policy" => service(project, region).map(Self::Policy),
            "revisions" => service(project, region).map(Self::Revisions),
            "redis" => Ok(Self::Redis(RedisId { project, region, name: (*name).to_string() })),
            _ => Err(wrong()),
        }
    }
}

/// A write that failed, until one to the same resource succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedWrite {
    /// Why.
    pub fault: Fault,
    /// How often in a row.
    pub tries: u32,
    /// When it failed last.
    pub at: Timestamp,
}

/// Failed writes by resource.
pub type FailedWrites = BTreeMap<ResourceId, FailedWrite>;

/// Waits after failures: doubling, from the first to the last.
const BACKOFF: (SignedDuration, SignedDuration) = (SignedDuration::from_millis(500), SignedDuration::from_secs(120));
/// What does not change by itself is tried again for a person's mend in the cloud, no more often than this.
const AFTER_REFUSAL: SignedDuration = SignedDuration::from_secs(30);
/// A way back to stable is tried again this soon, however often it failed.
pub const ROLLBACK_AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// How long to wait after so many failures in a row.
pub fn backoff(class: FaultClass, tries: u32) -> SignedDuration {
    let doubled = BACKOFF.0 * 2_i32.pow(tries.saturating_sub(1).min(16));
    match class {
        FaultClass::Conflict if tries <= 3 => SignedDuration::from_millis(50),
        FaultClass::Conflict | FaultClass::Retryable => doubled.min(BACKOFF.1),
        FaultClass::Denied | FaultClass::Permanent => {
            (AFTER_REFUSAL * 2_i32.pow(tries.saturating_sub(1).min(4))).min(BACKOFF.1)
        }
    }
}

impl FailedWrite {
    /// This write after another failure.
    pub fn again(before: Option<&Self>, fault: Fault, at: Timestamp) -> Self {
        Self { tries: before.map_or(1, |before| before.tries.saturating_add(1)), fault, at }
    }

    /// How long until it may be tried again; none: now.
    pub fn left(&self, now: Timestamp, urgent: bool) -> Option<SignedDuration> {
        let wait = backoff(self.fault.class, self.tries);
        let wait = if urgent { wait.min(ROLLBACK_AGAIN) } else { wait };
        // A clock that was set back must not hold a write for ever.
        let passed = now.duration_since(self.at).max(SignedDuration::ZERO);
        Some(wait - passed).filter(SignedDuration::is_positive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for text in [
            "service/cherry-ai-project/us-central1/api",
            "policy/cherry-ai-project/us-central1/api",
            "revisions/cherry-ai-project/us-central1/api",
            "redis/cherry-ai-project/us-central1/x",
        ] {
            assert_eq!(ResourceId::try_from(text.to_string()).map(|id| id.to_string()).as_deref(), Ok(text));
        }
        assert!(ResourceId::try_from("bucket/cherry-ai-project/us-central1/x".to_string()).is_err());
    }

    #[test]
    fn waits_double_and_a_rollback_never_waits_long() {
        let fault = |class| Fault { class, message: String::new() };
        let now = Timestamp::UNIX_EPOCH;
        let mut write = None;
        for _ in 0..12 {
            write = Some(FailedWrite::again(write.as_ref(), fault(FaultClass::Retryable), now));
        }
        let write = write.unwrap();
        assert_eq!(write.left(now, false), Some(SignedDuration::from_secs(120)));
        assert_eq!(write.left(now, true), Some(ROLLBACK_AGAIN));
        let refused = FailedWrite::again(None, fault(FaultClass::Permanent), now);
        assert_eq!(refused.left(now, false), Some(SignedDuration::from_secs(30)));
    }
}
