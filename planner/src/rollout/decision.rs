//! Where a release is and what to do now.

use jiff::SignedDuration;
use orchestra_crds::RolloutPhase;

use crate::cloud::Fault;
use crate::conditions::{Note, Overall, note};
use crate::names::Region;
use crate::plan::{Effect, POLL, QUIET, Urgency, with_way_out};
use crate::reason::Reason;
use crate::resource::ResourceId;
use crate::template::Gate;

/// Where a release is and what to do now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) phase: RolloutPhase,
    pub(super) overall: Overall,
    /// Region that the release is in.
    pub(super) region: Option<Region>,
    pub(super) effects: Vec<Effect>,
    /// Writes beside the release's own: settings and access.
    pub(super) extras: Vec<Effect>,
    /// Settings that others changed, and that go back: where, who and what.
    pub(super) corrected: Vec<String>,
    /// Image of a release that waits to start.
    pub(super) waits: Option<String>,
    pub(super) next: SignedDuration,
    pub(super) urgency: Urgency,
}

/// How often to look at what waits for a person: an annotation wakes it up anyway.
const ATTENTIVE: SignedDuration = SignedDuration::from_secs(60);

impl Decision {
    pub(super) fn new(phase: RolloutPhase, overall: Overall) -> Self {
        let working = matches!(overall, Overall::Reconciling(_));
        let (next, urgency) = if working { (POLL, Urgency::Work) } else { (QUIET, Urgency::Quiet) };
        Self {
            phase,
            overall,
            region: None,
            effects: vec![],
            extras: vec![],
            corrected: vec![],
            waits: None,
            next,
            urgency,
        }
    }

    pub(super) fn working(phase: RolloutPhase, reason: Reason, message: impl Into<String>) -> Self {
        Self::new(phase, Overall::Reconciling(note(reason, message)))
    }

    pub(super) fn stalled(phase: RolloutPhase, reason: Reason, message: impl Into<String>) -> Self {
        Self::new(phase, Overall::Stalled(note(reason, message)))
    }

    /// What could not be read.
    pub(super) fn unreadable(phase: RolloutPhase, what: &str, fault: &Fault) -> Self {
        let message = format!("{what} could not be read: {}", fault.message);
        Self { urgency: Urgency::Work, ..Self::new(phase, Overall::of_fault(fault, message)) }
    }

    /// What must be in place first is not.
    pub(super) fn closed(phase: RolloutPhase, gate: &Gate) -> Self {
        match gate {
            Gate::Waiting(note) => Self::new(phase, Overall::Reconciling(note.clone())),
            Gate::Blocked(note) => Self::new(phase, Overall::Stalled(note.clone())),
        }
    }

    /// The same; where it needs a person, with what that one can do.
    pub(super) fn with_way_out(mut self) -> Self {
        if let Overall::Stalled(note) = &mut self.overall {
            note.message = with_way_out(&note.message);
        }
        self
    }

    /// A person holds it: a planned wait.
    pub(super) fn held(message: impl Into<String>) -> Self {
        Self {
            next: ATTENTIVE,
            urgency: Urgency::Quiet,
            ..Self::working(RolloutPhase::Paused, Reason::Paused, message)
        }
    }

    /// Something is not as it should be, and a person has to say how to go on.
    pub(super) fn ask_person(note: Note) -> Self {
        Self { next: ATTENTIVE, ..Self::new(RolloutPhase::Paused, Overall::Stalled(note)) }
    }

    pub(super) fn in_region(mut self, region: &Region) -> Self {
        self.region = Some(region.clone());
        self
    }

    pub(super) fn with_effects(mut self, effects: Vec<Effect>) -> Self {
        if !effects.is_empty() {
            self.next = self.next.min(POLL);
            self.urgency = self.urgency.max(Urgency::Work);
        }
        self.effects = effects;
        self
    }

    /// Whether it writes something already: there is one write of a resource in a pass.
    pub(super) fn writes(&self, resource: &ResourceId) -> bool {
        self.effects.iter().chain(&self.extras).any(|effect| effect.resource() == *resource)
    }

    /// The same, looked at no later than then.
    pub(super) fn by(mut self, next: SignedDuration) -> Self {
        self.next = self.next.min(next);
        self
    }

    pub(super) fn look_again_in(mut self, next: SignedDuration) -> Self {
        self.next = next;
        self
    }

    pub(super) fn urgent(mut self, next: SignedDuration) -> Self {
        (self.next, self.urgency) = (next, Urgency::Rollback);
        self
    }
}
