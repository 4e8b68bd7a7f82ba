//! The world's time. The wall clock is read once, at the start; from then on only the monotonic clock counts, so that
//! a jump of the wall clock shortens no hold.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// A clock that started at some time and runs at some speed.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Timestamp,
    anchor: Instant,
    speed: u32,
}

/// What a sandbox tells about its clock, so that others can run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// The world's time now.
    pub now: Timestamp,
    /// How many of the world's seconds pass in one real second.
    pub speed: u32,
}

impl Clock {
    /// A clock that shows a time now and runs at a speed.
    pub fn starting_at(reading: ClockReading) -> Self {
        Self { origin: reading.now, anchor: Instant::now(), speed: reading.speed.max(1) }
    }

    /// Real time.
    pub fn real() -> Self {
        Self::starting_at(ClockReading { now: Timestamp::now(), speed: 1 })
    }

    /// The world's time.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.anchor.elapsed() * self.speed).unwrap_or(SignedDuration::ZERO);
        self.origin.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// What this clock shows, for others to run along.
    pub fn read(&self) -> ClockReading {
        ClockReading { now: self.now(), speed: self.speed }
    }

    /// How long a span of the world's time takes really.
    pub fn real_span(&self, span: SignedDuration) -> Duration {
        Duration::try_from(span).unwrap_or(Duration::ZERO) / self.speed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_runs_at_its_speed() {
        let start = Timestamp::UNIX_EPOCH;
        let clock = Clock::starting_at(ClockReading { now: start, speed: 60 });
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), start + SignedDuration::from_mins(2));
        assert_eq!(clock.real_span(SignedDuration::from_mins(1)), Duration::from_secs(1));
    }
}
