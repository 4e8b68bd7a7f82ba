//! Operator requests: annotations on a Rollout, each bound to the release that it means, so that a late request never
//! acts on another release. `kubectl orchestra` and Argo CD's resource actions write the same ones.

use std::fmt;

/// What a person may ask of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Value: the candidate's release. Sends its traffic back to stable and ends the release.
    Abort,
    /// Value: the failed release. Tries its template again, as a new revision.
    Retry,
    /// Value: the token of a step. Ends that step as passed; moves exactly one step.
    Promote,
    /// Value: the candidate's release. Holds the release where it is, until the annotation is removed.
    Pause,
    /// Value: a promoted revision and the number of the last release, as `REVISION.NUMBER`. Sends all traffic to that revision, in
    /// every region at once, and holds it there until the template changes.
    Undo,
}

impl Request {
    /// Every request.
    pub const ALL: [Self; 5] = [Self::Abort, Self::Retry, Self::Promote, Self::Pause, Self::Undo];

    /// Its word, in commands and in the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Undo => "undo",
        }
    }

    /// Its annotation.
    pub fn key(self) -> String {
        format!("{}/{}", crate::GROUP, self.name())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
