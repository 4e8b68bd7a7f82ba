use orchestra_planner::cloud::{Fault, FaultClass};

/// What a write of a status is called.
pub(crate) const WRITE_STATUS: &str = "write the status";

/// Why a pass over an object ended early.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The cluster refused, or did not answer.
    #[error("{operation}: {source}")]
    Kube {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: Box<kube::Error>,
    },
    /// The cluster did not answer in time.
    #[error("{0}: no answer within the time limit")]
    Late(&'static str),
    /// The object changed while the pass was under way.
    #[error("the object changed meanwhile")]
    Stale,
    /// Another process leads, or may soon.
    #[error("not the leader")]
    NotLeader,
    /// Its answers have no Date header.
    #[error("the cluster tells no time: its answers have no Date header; does a proxy take it out?")]
    NoTime,
    /// A rehearsal came to no end.
    #[error("no wait was found within a bound of passes: please report this, with the object's YAML")]
    Endless,
    /// Google refused, or did not answer.
    #[error("{}", .0.message)]
    Cloud(Fault),
}

impl PassError {
    pub(crate) fn kube(operation: &'static str, source: kube::Error) -> Self {
        match &source {
            kube::Error::Api(status) if status.is_conflict() => Self::Stale,
            _ => Self::Kube { operation, source: Box::new(source) },
        }
    }

    /// Why what was read can't be decoded, if that is what failed.
    pub(crate) fn undecodable(&self) -> Option<String> {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::SerdeError(error) => Some(error.to_string()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the cluster knows who asks, and lets them not.
    pub(crate) fn is_forbidden(&self) -> bool {
        match self {
            Self::Kube { source, .. } => matches!(source.as_ref(), kube::Error::Api(status) if status.is_forbidden()),
            _ => false,
        }
    }

    /// Whether the cluster knows no such kind, or namespace.
    pub(crate) fn is_unknown_kind(&self) -> bool {
        match self {
            Self::Kube { source, .. } => {
                matches!(source.as_ref(), kube::Error::Api(status) if status.is_not_found())
            }
            _ => false,
        }
    }

    /// Whether the cluster refuses a status, because of what the object is.
    pub(crate) fn is_status_refused(&self) -> bool {
        matches!(self, Self::Kube { operation: WRITE_STATUS, .. }) && self.class() == FaultClass::Permanent
    }

    /// Whether a status can't be written, whatever it says: refused as above, or denied by admission or for want of a right.
    pub(crate) fn is_status_denied(&self) -> bool {
        let denied = matches!(self, Self::Kube { operation: WRITE_STATUS, .. }) && self.class() == FaultClass::Denied;
        denied || self.is_status_refused()
    }

    /// What to do about it.
    pub fn class(&self) -> FaultClass {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.is_forbidden() || status.code == 401 => FaultClass::Denied,
                kube::Error::Api(status) if status.is_invalid() => FaultClass::Permanent,
                _ => FaultClass::Retryable,
            },
            Self::Late(_) | Self::NotLeader | Self::NoTime => FaultClass::Retryable,
            Self::Stale => FaultClass::Conflict,
            Self::Endless => FaultClass::Permanent,
            Self::Cloud(fault) => fault.class,
        }
    }

    /// A word for metrics.
    pub fn category(&self) -> &'static str {
        match (self, self.class()) {
            (Self::NotLeader, _) => "not_leader",
            (_, FaultClass::Conflict) => "conflict",
            (_, FaultClass::Denied) => "denied",
            (_, FaultClass::Permanent) => "permanent",
            (_, FaultClass::Retryable) => "retryable",
        }
    }
}
