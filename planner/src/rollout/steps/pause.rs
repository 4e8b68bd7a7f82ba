//! A planned wait: for a time, or for a person. It moves no traffic. With the status lost it begins anew, which is
//! longer and never shorter; a promote of it is still in its annotation.

use jiff::SignedDuration;
use orchestra_crds::{BlueGreen, Pause as PauseSpec, Step as StepSpec};

use super::{Ruling, StepContext, later};
use crate::conditions::note;
use crate::reason::Reason;
use crate::words::{lasting, span};

/// A planned wait.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Pause {
    /// How long; none: until a person promotes.
    seconds: Option<i32>,
}

impl Pause {
    pub(super) fn read(spec: &PauseSpec) -> Self {
        Self { seconds: spec.duration_seconds }
    }

    /// The wait of a new revision that stands beside stable; none: it gets everything as soon as it is ready.
    pub(super) fn before_the_switch(spec: &BlueGreen) -> Option<Self> {
        (spec.preview_seconds != Some(0)).then_some(Self { seconds: spec.preview_seconds })
    }

    pub(super) fn write(&self) -> StepSpec {
        let pause = PauseSpec { duration_seconds: self.seconds };
        StepSpec { pause: Some(pause), ..StepSpec::default() }
    }

    pub(super) fn form(&self) -> String {
        format!("pause {}", self.seconds.map_or("person".to_string(), |seconds| seconds.to_string()))
    }

    pub(super) fn takes(&self) -> SignedDuration {
        SignedDuration::from_secs(self.seconds.unwrap_or(0).into())
    }

    pub(super) fn in_full(&self) -> String {
        match self.seconds {
            Some(_) => format!("a pause of {}", lasting(self.takes())),
            None => "a pause until somebody promotes".into(),
        }
    }

    pub(super) fn look(&self, context: &StepContext<'_>) -> Ruling {
        if context.promoted {
            return Ruling::Pass;
        }
        match self.seconds.map(|seconds| later(context.since, SignedDuration::from_secs(seconds.into()))) {
            Some(until) if context.now >= until => Ruling::Pass,
            Some(until) => {
                let message = format!("pause, {} left{}", span(context.now, until), context.meanwhile());
                Ruling::Wait(note(Reason::PauseStep, message), Some(until))
            }
            None => {
                let message = format!("pause, until somebody promotes{}", context.meanwhile());
                Ruling::Wait(note(Reason::PauseStep, message), None)
            }
        }
    }
}
