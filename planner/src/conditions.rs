//! Conditions after kstatus and the Kubernetes API conventions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use orchestra_crds::condition::{READY, RECONCILING, STALLED};

/// The overall state of an object, as kstatus knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overall {
    /// Everything is as the spec says.
    Ready(Note),
    /// Work is under way.
    Reconciling(Note),
    /// No progress without a person; Ready is false.
    Stalled(Note),
}

/// Why, as a CamelCase word and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// CamelCase word.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// A note.
pub fn note(reason: impl Into<String>, message: impl Into<String>) -> Note {
    Note { reason: reason.into(), message: message.into() }
}

impl Overall {
    /// Its note.
    pub fn note(&self) -> &Note {
        let (Self::Ready(note) | Self::Reconciling(note) | Self::Stalled(note)) = self;
        note
    }

    /// Ready, Reconciling and Stalled for this state.
    pub fn conditions(&self) -> [(&'static str, bool, Note); 3] {
        let note = self.note();
        let is = |kind: &'static str, on: bool| (kind, on, note.clone());
        [
            is(READY, matches!(self, Self::Ready(_))),
            is(RECONCILING, matches!(self, Self::Reconciling(_))),
            is(STALLED, matches!(self, Self::Stalled(_))),
        ]
    }
}

/// Whether conditions give this reason.
pub fn are_about(conditions: &[Condition], reason: &str) -> bool {
    conditions.iter().any(|condition| condition.reason == reason)
}

/// Puts new conditions in the place of old ones; a transition time changes only with the status.
pub fn update(
    old: &[Condition],
    new: impl IntoIterator<Item = (&'static str, bool, Note)>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    new.into_iter()
        .map(|(type_, on, note)| {
            let status = if on { "True" } else { "False" };
            let since =
                old.iter().find(|c| c.type_ == type_ && c.status == status).map(|c| c.last_transition_time.clone());
            Condition {
                type_: type_.to_string(),
                status: status.to_string(),
                reason: note.reason,
                message: note.message,
                observed_generation: generation,
                last_transition_time: since.unwrap_or(Time(now)),
            }
        })
        .collect()
}

/// Whether a condition is true.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    conditions.iter().any(|c| c.type_ == type_ && c.status == "True")
}
