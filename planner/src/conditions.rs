//! Conditions after kstatus and the Kubernetes API conventions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use orchestra_crds::condition::{READY, RECONCILING, STALLED};

use crate::cloud::{Fault, FaultClass};
use crate::reason::Reason;

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
pub fn note(reason: Reason, message: impl Into<String>) -> Note {
    Note { reason: reason.into(), message: message.into() }
}

impl Note {
    /// One for a reason that was told before, or that Cloud Run gives.
    pub fn told(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}

impl Overall {
    /// What could not be read or done: a cloud that does not answer is waited for; one that refuses needs a person.
    pub fn of_fault(fault: &Fault, message: impl Into<String>) -> Self {
        match fault.class {
            FaultClass::Denied => Self::Stalled(note(Reason::AccessDenied, message)),
            FaultClass::Permanent => Self::Stalled(note(Reason::CloudRejected, message)),
            FaultClass::Retryable | FaultClass::Conflict => Self::Reconciling(note(Reason::CloudUnavailable, message)),
        }
    }

    /// The same, led by what is put right at the same time. What needs a person keeps its reason.
    #[must_use]
    pub fn led_by(self, lead: Note) -> Self {
        let message = format!("{}. {}", lead.message, self.note().message);
        match self {
            Self::Stalled(own) => Self::Stalled(Note::told(own.reason, message)),
            Self::Ready(_) | Self::Reconciling(_) => Self::Reconciling(Note::told(lead.reason, message)),
        }
    }

    /// The same, with a word more.
    #[must_use]
    pub fn followed_by(mut self, words: &str) -> Self {
        let (Self::Ready(note) | Self::Reconciling(note) | Self::Stalled(note)) = &mut self;
        note.message = format!("{}; {words}", note.message.trim_end_matches('.'));
        self
    }

    /// Its note.
    pub fn note(&self) -> &Note {
        let (Self::Ready(note) | Self::Reconciling(note) | Self::Stalled(note)) = self;
        note
    }

    /// Ready, Reconciling and Stalled for this state. The whole message stands where tools look for it, once: in the one
    /// that is true.
    pub fn conditions(&self) -> [(&'static str, bool, Note); 3] {
        let whole = self.note();
        let is = |kind: &'static str, on: bool| {
            let message = match (on, kind) {
                (true, _) => whole.message.clone(),
                (false, READY) => first_words(&whole.message),
                (false, _) => String::new(),
            };
            (kind, on, Note::told(whole.reason.clone(), message))
        };
        [
            is(READY, matches!(self, Self::Ready(_))),
            is(RECONCILING, matches!(self, Self::Reconciling(_))),
            is(STALLED, matches!(self, Self::Stalled(_))),
        ]
    }
}

/// Longest message of a condition that is not the one to read.
const FEW_WORDS: usize = 80;

/// The beginning of a message, to the end of a word.
fn first_words(message: &str) -> String {
    if message.chars().count() <= FEW_WORDS {
        return message.to_string();
    }
    let cut: String = message.chars().take(FEW_WORDS).collect();
    let whole = cut.rsplit_once(' ').map_or(cut.as_str(), |(whole, _)| whole);
    format!("{} …", whole.trim_end_matches([',', ':', ';', '.']))
}

/// Whether conditions give this reason.
pub fn are_about(conditions: &[Condition], reason: Reason) -> bool {
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
