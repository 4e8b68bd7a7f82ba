//! Operator requests: annotations on a Rollout, each bound to the revision it means, so that a late request
//! never acts on another release. `kubectl orchestra` and Argo CD's resource actions write the same ones.

/// Value: the candidate's revision. Sends its traffic back to stable and ends the release.
pub const ABORT: &str = "orchestra.cherry-ai.me/abort";
/// Value: the failed revision. Tries its template again, as a new revision.
pub const RETRY: &str = "orchestra.cherry-ai.me/retry";
/// Value: `status.candidate.promoteToken`. Ends the current step as passed; moves exactly one step.
pub const PROMOTE: &str = "orchestra.cherry-ai.me/promote";
/// Value: the candidate's revision. Holds the release where it is, until the annotation is removed.
pub const PAUSE: &str = "orchestra.cherry-ai.me/pause";

/// Every request annotation.
pub const ALL: [&str; 4] = [ABORT, RETRY, PROMOTE, PAUSE];
