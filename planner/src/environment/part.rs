//! The parts of an environment behind one shape. A new one is a file in `parts/` and a match arm here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use orchestra_crds::{EnvironmentStatus, condition};

use super::Observation;
use super::parts::{identity, project, redis, secrets};
use crate::cloud::{Fault, FaultClass};
use crate::conditions::{Note, Overall, is_true, note};
use crate::plan::Effect;
use crate::reason::Reason;

/// A part of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Project,
    Identity,
    Redis,
    Secrets,
}

/// What a part comes to.
pub(super) struct PartPlan {
    pub(super) state: State,
    pub(super) note: Note,
    pub(super) effects: Vec<Effect>,
    /// It could not be read now, and may be soon.
    pub(super) unread: bool,
}

/// How a part is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ready,
    Working,
    Stalled,
}

/// How a part is let go when its environment is deleted.
pub(super) enum LetGo {
    /// It never held anything.
    Never,
    /// Nothing of ours is found; one old read could show that falsely.
    NothingFound,
    /// One write.
    Write(Effect, String),
    /// Something is under way.
    Wait(String),
    /// It can't be read.
    Unreadable(String, Fault),
}

impl Part {
    /// Every part, in the order in which they are told.
    pub(super) const ALL: [Self; 4] = [Self::Project, Self::Identity, Self::Redis, Self::Secrets];

    /// Its condition.
    pub(super) fn condition(self) -> &'static str {
        match self {
            Self::Project => condition::PROJECT_READY,
            Self::Identity => condition::IDENTITY_READY,
            Self::Redis => condition::REDIS_READY,
            Self::Secrets => condition::SECRETS_READY,
        }
    }

    /// What is to do about it.
    pub(super) fn plan(self, seen: &Observation, status: &mut EnvironmentStatus) -> PartPlan {
        match self {
            Self::Project => project::plan(seen),
            Self::Identity => identity::plan(seen),
            Self::Redis => redis::plan(seen, status),
            Self::Secrets => secrets::plan(seen, status),
        }
    }

    /// How it is let go. What only reads has nothing to let go of.
    pub(super) fn let_go(self, seen: &Observation, status: &mut EnvironmentStatus) -> LetGo {
        match self {
            Self::Redis => redis::let_go(seen, status),
            Self::Project | Self::Identity | Self::Secrets => LetGo::Never,
        }
    }
}

impl PartPlan {
    fn new(state: State, reason: Reason, message: impl Into<String>) -> Self {
        Self { state, note: note(reason, message), effects: vec![], unread: false }
    }

    pub(super) fn ready(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(State::Ready, reason, message)
    }

    pub(super) fn working(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(State::Working, reason, message)
    }

    pub(super) fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(State::Stalled, reason, message)
    }

    pub(super) fn with_effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// A part that could not be read.
    pub(super) fn unreadable(what: &str, fault: &Fault) -> Self {
        let overall = Overall::of_fault(fault, format!("{what} could not be read: {}", fault.message));
        let state = if matches!(overall, Overall::Stalled(_)) { State::Stalled } else { State::Working };
        let unread = matches!(fault.class, FaultClass::Retryable | FaultClass::Conflict);
        Self { state, note: overall.note().clone(), effects: vec![], unread }
    }

    /// What could be read a moment ago is told as it was, if that was about the same spec.
    pub(super) fn keep_what_was_told(&mut self, part: Part, told: &[Condition], generation: Option<i64>) {
        let same = |c: &&Condition| c.type_ == part.condition() && c.observed_generation == generation;
        let before = told.iter().find(same).filter(|_| is_true(told, part.condition()));
        if let Some(before) = before.filter(|_| self.unread) {
            self.state = State::Ready;
            self.note = Note::told(before.reason.clone(), before.message.clone());
        }
    }
}
