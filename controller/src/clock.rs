//! The world's time. It is the cluster's, asked once at the start; from then on only the monotonic clock counts. The
//! clock of this machine is not trusted: one that jumps or runs fast shortens no hold, and two processes on two
//! machines agree.

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

use crate::cluster::kube_call;
use crate::error::PassError;

/// Longest wait for the time of a sandbox.
const SANDBOX_LIMIT: Duration = Duration::from_secs(10);

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

    /// The time of this machine: for a cluster of its own.
    pub fn of_this_machine() -> Self {
        Self::starting_at(ClockReading { now: Timestamp::now(), speed: 1 })
    }

    /// The time of a sandbox, at the speed at which it passes there.
    ///
    /// # Errors
    /// When the sandbox can't be asked.
    pub async fn of_sandbox(url: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(SANDBOX_LIMIT).build()?;
        let reading: ClockReading = client.get(url).send().await?.error_for_status()?.json().await?;
        Ok(Self::starting_at(reading))
    }

    /// The time of a cluster, which its API server tells with each answer, in whole seconds.
    ///
    /// # Errors
    /// When the cluster can't be asked, or tells no time.
    pub async fn of_cluster(client: &kube::Client) -> Result<Self, PassError> {
        let request = http::Request::get("/version").body(kube::client::Body::empty());
        let request =
            request.map_err(|e| PassError::kube("ask the cluster for its time", kube::Error::HttpError(e)))?;
        let answer = kube_call("ask the cluster for its time", client.send(request)).await?;
        let told = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok()).map(rfc2822::parse);
        match told {
            Some(Ok(now)) => Ok(Self::starting_at(ClockReading { now: now.timestamp(), speed: 1 })),
            _ => Err(PassError::NoTime),
        }
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
