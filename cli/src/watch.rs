//! A release until its end.

use console::Term;
use jiff::Timestamp;
use orchestra_crds::Rollout;
use std::time::Duration;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::error::CliError;
use crate::outcome::Outcome;
use crate::{events, print, screen};

/// How often the cluster is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Events that are shown below the rest.
const LAST_EVENTS: usize = 5;
/// The cluster may be away for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is shown of a Rollout now. Without its events, where those can't be read.
pub async fn shown(cluster: &Cluster, rollout: &Rollout) -> Vec<String> {
    let told = match cluster.events(rollout).await {
        Ok(events) => events::lines(&events),
        Err(error) => vec![format!("events can't be read: {error}")],
    };
    let last = &told[told.len().saturating_sub(LAST_EVENTS)..];
    screen::lines(rollout, last, Timestamp::now())
}

/// Shows a release until it has ended, waits for a person, or the time is over.
///
/// # Errors
/// When the cluster refuses, or has not answered for a minute.
pub async fn to_the_end(cluster: &Cluster, name: &str, timeout: Duration) -> Result<Outcome, CliError> {
    let (began, is_screen) = (Instant::now(), Term::stdout().is_term());
    let (mut drawn, mut told, mut answered) = (0, None, Instant::now());
    loop {
        let read = cluster.rollout(name).await;
        let rollout = match read {
            Ok(rollout) => rollout,
            Err(error) if error.is_passing() && answered.elapsed() < PATIENCE => {
                eprintln!("kubectl orchestra: {error}; trying again");
                if began.elapsed() >= timeout {
                    return Ok(Outcome::UnderWay);
                }
                tokio::time::sleep(EVERY).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        answered = Instant::now();
        let outcome = Outcome::of(&rollout);
        if is_screen {
            let lines = shown(cluster, &rollout).await;
            drawn = print::drawn_over(&lines, drawn).map_err(|error| CliError::Print(error.to_string()))?;
        } else {
            // In a log each change is one line.
            let status = rollout.status.as_ref();
            let now =
                (status.and_then(|s| s.phase), status.and_then(|s| s.weight), status.and_then(|s| s.step.clone()));
            if told.as_ref() != Some(&now) {
                let message = status.and_then(|status| status.message.clone()).unwrap_or_default();
                let row = screen::row(&rollout);
                let time = Timestamp::now().strftime("%H:%M:%SZ");
                print::lines(&[format!("{time}  {}  {}  {message}", row[2], row[3])])?;
                told = Some(now);
            }
        }
        if outcome != Outcome::UnderWay || began.elapsed() >= timeout {
            return Ok(outcome);
        }
        tokio::time::sleep(EVERY).await;
    }
}
