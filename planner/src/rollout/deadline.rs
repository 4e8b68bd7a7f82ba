//! How long a region may take. One old read may show a write of long ago as the last one, so a deadline is missed only
//! when a second look, some seconds later, says so too.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{RolloutPhase, RolloutStatus};

use super::identity::Release;
use super::region::Progress;
use super::{Decision, RegionView};
use crate::second_look;

/// What a region that takes too long means.
pub(super) enum Overdue {
    /// It is looked at once more.
    LookAgain(Decision),
    /// It has been seen twice; why, for people.
    Missed(String),
}

/// Whether what began then should have ended.
pub(super) fn is_over(release: &Release<'_>, since: Timestamp) -> bool {
    let deadline = SignedDuration::from_secs(release.seen.rollout.spec.progress_deadline_seconds.into());
    release.seen.now.duration_since(since) > deadline
}

/// Since when a region is seen to be overdue: from now on, if it was not before.
pub(super) fn overdue_since(
    release: &Release<'_>,
    status: &RolloutStatus,
    region: &RegionView,
    state: &Progress,
) -> Option<Timestamp> {
    let (Progress::Starting(since) | Progress::Moving(since)) = state else { return None };
    let known = status.regions.iter().find(|r| r.region == region.name()).and_then(|r| r.overdue_since.as_ref());
    is_over(release, *since).then(|| second_look::first(known, release.seen.now))
}

pub(super) fn look(
    release: &Release<'_>,
    status: &RolloutStatus,
    region: &RegionView,
    state: &Progress,
) -> Option<Overdue> {
    let overdue = overdue_since(release, status, region, state)?;
    let (phase, what) = match state {
        Progress::Starting(_) => (RolloutPhase::Deploying, "become ready"),
        _ => (RolloutPhase::Progressing, "get its traffic"),
    };
    let seconds = release.seen.rollout.spec.progress_deadline_seconds;
    let said = region.view().and_then(|v| v.trouble.as_ref()).map(|t| t.message.as_str()).unwrap_or_default();
    let message = format!("{}: it did not {what} within {seconds} s {said}", region.name());
    let message = message.trim_end();
    if let Some(left) = second_look::wait(overdue, release.seen.now) {
        let message = format!("{message}: looking once more");
        return Some(Overdue::LookAgain(Decision::working(phase, "ConfirmingDelay", message).next(left)));
    }
    Some(Overdue::Missed(message.to_string()))
}
