//! What one old read could have shown falsely, as a loss or a delay, is believed when a second look says so too. The
//! first is kept in the status: looks may follow each other at once, because a write of the status calls for another.

use jiff::{SignedDuration, Timestamp};

/// From the first look to the second, at least: longer than any copy that is read lags behind.
pub(crate) const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// When it was first seen. A time that is still to come is none: the clock has been set back.
pub(crate) fn first(known: Option<Timestamp>, now: Timestamp) -> Timestamp {
    known.filter(|at| *at <= now).unwrap_or(now)
}

/// How long until the second look; none: this is it.
pub(crate) fn wait(first: Timestamp, now: Timestamp) -> Option<SignedDuration> {
    let left = LOOK_AGAIN - now.duration_since(first);
    left.is_positive().then_some(left)
}
