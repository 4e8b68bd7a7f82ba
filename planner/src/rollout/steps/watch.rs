//! All requests, before the release counts as promoted: what breaks under full load is taken back. There is no comparison
//! any more: the candidate is held against a ceiling from stable's own last day. It moves traffic: its progress is in the
//! marks.

use jiff::SignedDuration;
use orchestra_crds::Step as StepSpec;

use super::{Ruling, StepContext, later};
use crate::reason::Reason;
use crate::words::{lasting, span};

/// A watch.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Watch {
    seconds: i32,
}

impl Watch {
    /// None: there is nothing to watch.
    pub(super) fn read(seconds: i32) -> Option<Self> {
        (seconds > 0).then_some(Self { seconds })
    }

    pub(super) fn write(&self) -> StepSpec {
        StepSpec { weight: Some(100), hold_seconds: Some(self.seconds), ..StepSpec::default() }
    }

    pub(super) fn form(&self) -> String {
        format!("watch {}", self.seconds)
    }

    pub(super) fn takes(&self) -> SignedDuration {
        SignedDuration::from_secs(self.seconds.into())
    }

    pub(super) fn in_full(&self) -> String {
        format!("100 %, watched for {}", lasting(self.takes()))
    }

    /// It ends with its time: nothing but a failure is waited for.
    pub(super) fn look(&self, context: &StepContext<'_>) -> Ruling {
        let until = later(context.since, self.takes());
        if context.promoted {
            return Ruling::Pass;
        }
        if context.now >= until {
            return context.fails_at_end().map_or(Ruling::Pass, Ruling::Fail);
        }
        let left = span(context.now, until);
        let message = format!("it has all requests, and is watched for {left} more{}", context.meanwhile());
        Ruling::Wait(context.waiting(Reason::Watching, message), Some(until))
    }
}
