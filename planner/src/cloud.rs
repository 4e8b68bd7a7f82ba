//! Google Cloud as the planner sees it: values read, and values to write.

use serde::{Deserialize, Serialize};

mod accounts;
mod incidents;
mod logging;
mod monitoring;
mod policy;
mod redis;
mod run;
mod secrets;
mod settings;
pub use accounts::*;
pub use incidents::*;
pub use logging::*;
pub use monitoring::*;
pub use policy::*;
pub use redis::*;
pub use run::*;
pub use secrets::*;
pub use settings::*;

/// What could not be read or done, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What to do about it.
    pub class: FaultClass,
    /// Why, for people; never holds a secret.
    pub message: String,
}

impl Fault {
    /// No answer came within so many seconds.
    pub fn late(what: &str, seconds: u64) -> Self {
        Self { class: FaultClass::Retryable, message: format!("{what}: no answer within {seconds} s") }
    }

    /// That something can't be read, with the role that is missing where Google refuses it, and why.
    pub(crate) fn unread(&self, what: &str, role: &str) -> String {
        let needs = match self.class {
            FaultClass::Denied => format!(" (it needs {role} in the project)"),
            _ => String::new(),
        };
        format!("{what} can't be read{needs}: {}", self.message)
    }

    /// A read that the pass did not wait for any longer.
    pub fn unanswered() -> Self {
        Self { class: FaultClass::Retryable, message: "Google Cloud has not answered in time".into() }
    }
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultClass {
    /// Try again later.
    Retryable,
    /// Something changed meanwhile: look again and plan anew.
    Conflict,
    /// Credentials or permissions: a person has to grant them.
    Denied,
    /// Trying again changes nothing: a person has to mend the spec or the cloud.
    Permanent,
}

/// A value read from the cloud, or why it could not be.
pub type Reading<T> = Result<T, Fault>;

/// A long-running operation as last read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationView {
    /// Under way.
    Pending,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed(Fault),
    /// Google no longer knows it; what it did must be read from the resource.
    Forgotten,
}
