//! Who leads: the decision of a candidate for the Lease, after client-go's leader election. Other clocks are never
//! trusted: a lease has expired when *this* process has seen no renewal for its whole duration.

use std::time::Duration;

/// How long a lease lasts after its last renewal.
pub const DURATION: Duration = Duration::from_secs(15);
/// How often another looks whether it may take it.
pub const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How often the leader renews it.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);
/// For how long after the start of its last good renewal the leader may write. It stops well before another may start.
pub const WRITE_FOR: Duration = Duration::from_secs(8);
/// Longest that a write may be under way: one that starts at the last moment ends before another may start.
pub const WRITE_LIMIT: Duration = Duration::from_secs(6);
/// Longest that a read or write of the Lease may take.
pub const CALL_LIMIT: Duration = Duration::from_secs(3);

/// The Lease as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who holds it; none after a release.
    pub holder: Option<String>,
    /// Its resource version: it changes with each renewal.
    pub version: String,
    /// How long its holder meant it to last.
    pub duration: Duration,
}

/// The Lease as this process last saw it change, on its own monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The resource version seen.
    pub version: String,
    /// When, since the start of the process.
    pub at: Duration,
}

/// What to do about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Create it.
    Create,
    /// Renew it: we hold it.
    Renew,
    /// Take it: its holder let go, or has not renewed it for its whole duration.
    Take,
    /// Wait: another holds it.
    Wait,
}

/// Decides. `now` is time since the start of the process.
pub fn decide(me: &str, lease: Option<&LeaseRecord>, seen: Option<&Seen>, now: Duration) -> (Move, Option<Seen>) {
    let Some(lease) = lease else {
        return (Move::Create, None);
    };
    let seen = match seen {
        Some(seen) if seen.version == lease.version => seen.clone(),
        _ => Seen { version: lease.version.clone(), at: now },
    };
    let step = match lease.holder.as_deref() {
        None | Some("") => Move::Take,
        Some(holder) if holder == me => Move::Renew,
        Some(_) if now.saturating_sub(seen.at) >= lease.duration => Move::Take,
        Some(_) => Move::Wait,
    };
    (step, Some(seen))
}

/// Whether a leader whose last good renewal began at `renewed` may still write.
pub fn may_write(renewed: Option<Duration>, now: Duration) -> bool {
    renewed.is_some_and(|renewed| now.saturating_sub(renewed) < WRITE_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, version: &str) -> LeaseRecord {
        LeaseRecord { holder: Some(holder.into()), version: version.into(), duration: DURATION }
    }
    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn another_leader_is_waited_for_until_it_has_been_silent_for_its_whole_lease() {
        let (step, seen) = decide("b", Some(&lease("a", "1")), None, s(100));
        assert_eq!(step, Move::Wait);
        let (step, seen) = decide("b", Some(&lease("a", "2")), seen.as_ref(), s(111));
        assert_eq!(step, Move::Wait, "it was renewed");
        let (step, seen) = decide("b", Some(&lease("a", "2")), seen.as_ref(), s(125));
        assert_eq!(step, Move::Wait);
        let (step, _) = decide("b", Some(&lease("a", "2")), seen.as_ref(), s(126));
        assert_eq!(step, Move::Take);
    }

    #[test]
    fn a_leader_stops_writing_before_another_may_start() {
        assert!(may_write(Some(s(10)), s(17)));
        assert!(!may_write(Some(s(10)), s(18)));
        assert!(!may_write(None, s(0)));
        assert!(WRITE_FOR + WRITE_LIMIT < DURATION);
    }

    #[test]
    fn another_takes_over_within_20_seconds() {
        assert!(DURATION + RETRY_EVERY + CALL_LIMIT < s(20));
    }
}
