//! How long a region may take. One old read may show a write of long ago as the last one, so a deadline is missed only
//! when a second look, some seconds later, says so too.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::RolloutPhase;

use super::decision::Decision;
use super::memory::{Candidate, Memory};
use super::pass::Pass;
use super::place::Place;
use super::progress::Progress;
use crate::cloud::FaultClass;
use crate::reason::Reason;
use crate::resource::{FailedWrite, ResourceId};
use crate::second_look;

/// What a region that takes too long means.
pub(super) enum Overdue {
    /// It is looked at once more.
    LookAgain(Decision),
    /// It has been seen twice; why, for people.
    Missed(String),
}

/// Whether what began then should have ended.
pub(super) fn is_over(pass: &Pass<'_>, since: Timestamp) -> bool {
    pass.seen.now.duration_since(since) > deadline(pass)
}

fn deadline(pass: &Pass<'_>) -> SignedDuration {
    SignedDuration::from_secs(pass.seen.rollout.spec.progress_deadline_seconds.into())
}

/// What began then in a region and has not ended, with what to call it.
fn began(
    pass: &Pass<'_>,
    memory: &Memory,
    place: &Place<'_>,
    candidate: &Candidate,
    state: &Progress,
) -> Option<(Timestamp, &'static str)> {
    match state {
        Progress::Starting(since) => Some((*since, "become ready")),
        Progress::Moving(since) => Some((*since, "get its traffic")),
        // What Google refuses for good does not come by waiting.
        Progress::Missing | Progress::NotDeployed => {
            refused(pass, place).map(|_| (candidate.started_at, "get into Cloud Run"))
        }
        // After the first deadline what is in the way is written again.
        Progress::Ready => {
            let since = memory.region(place.region()).waiting_since?;
            Some((since + deadline(pass), "get its traffic"))
        }
        _ => None,
    }
}

/// A write of this service that Google refuses, and will again.
fn refused<'a>(pass: &Pass<'a>, place: &Place<'_>) -> Option<&'a FailedWrite> {
    let failed = pass.seen.failed_writes.get(&ResourceId::Service(place.seen.id.clone()))?;
    (failed.fault.class == FaultClass::Permanent).then_some(failed)
}

/// Since when a region is seen to be overdue: from now on, if it was not before.
pub(super) fn overdue_since(
    pass: &Pass<'_>,
    memory: &Memory,
    place: &Place<'_>,
    candidate: &Candidate,
    state: &Progress,
) -> Option<Timestamp> {
    let (since, _) = began(pass, memory, place, candidate, state)?;
    let known = memory.region(place.region()).overdue_since;
    is_over(pass, since).then(|| second_look::first(known, pass.seen.now))
}

/// Looks whether a region takes too long.
pub(super) fn check(
    pass: &Pass<'_>,
    memory: &Memory,
    place: &Place<'_>,
    candidate: &Candidate,
    state: &Progress,
) -> Option<Overdue> {
    let overdue = overdue_since(pass, memory, place, candidate, state)?;
    let (_, what) = began(pass, memory, place, candidate, state)?;
    let phase = if matches!(state, Progress::Moving(_)) { RolloutPhase::Progressing } else { RolloutPhase::Deploying };
    let seconds = pass.seen.rollout.spec.progress_deadline_seconds;
    let trouble = place.view().and_then(|v| v.trouble.as_ref()).map(|t| t.message.as_str());
    let said = refused(pass, place).map(|failed| failed.fault.message.as_str()).or(trouble).unwrap_or_default();
    let message = format!("{}: it did not {what} within {seconds} s {said}", place.region());
    let message = message.trim_end();
    if let Some(left) = second_look::wait(overdue, pass.seen.now) {
        let message = format!("{message}: looking once more");
        return Some(Overdue::LookAgain(
            Decision::working(phase, Reason::ConfirmingDelay, message).look_again_in(left),
        ));
    }
    Some(Overdue::Missed(message.to_string()))
}
