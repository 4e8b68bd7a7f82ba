//! What to tell people, once, when it happens.

use serde::{Deserialize, Serialize};

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
