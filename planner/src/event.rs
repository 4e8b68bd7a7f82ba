//! What to tell people, once, when it happens.

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// Something that people should know, told once, when it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// A person may have to act.
    Warning,
}

impl Severity {
    /// As Kubernetes calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

impl Event {
    /// One for a reason that is told by a condition, too.
    pub fn told(
        severity: Severity,
        reason: impl Into<String>,
        action: impl Into<String>,
        note: impl Into<String>,
    ) -> Self {
        Self { severity, reason: reason.into(), action: action.into(), note: note.into() }
    }

    /// Something that is as it should be.
    pub fn normal(reason: Reason, action: impl Into<String>, note: impl Into<String>) -> Self {
        Self::told(Severity::Normal, reason, action, note)
    }

    /// Something that a person may have to act on.
    pub fn warning(reason: Reason, action: impl Into<String>, note: impl Into<String>) -> Self {
        Self::told(Severity::Warning, reason, action, note)
    }
}
