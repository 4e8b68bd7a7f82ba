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

/// What is shown of a Rollout now.
///
/// # Errors
/// When the cluster refuses, or does not answer.
pub async fn shown(cluster: &Cluster, rollout: &Rollout) -> Result<Vec<String>, CliError> {
    let told = events::lines(&cluster.events(rollout).await?);
    let last = &told[told.len().saturating_sub(LAST_EVENTS)..];
    Ok(screen::lines(rollout, last, Timestamp::now()))
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
            Err(error @ CliError::Cluster(_)) if answered.elapsed() < PATIENCE => {
                eprintln!("kubectl orchestra: {error}; trying again");
                tokio::time::sleep(EVERY).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        answered = Instant::now();
        let outcome = Outcome::of(&rollout);
        if is_screen {
            let lines = shown(cluster, &rollout).await?;
            drawn = print::drawn_over(&lines, drawn).map_err(|error| CliError::Print(error.to_string()))?;
        } else {
            // In a log each change is one line.
            let status = rollout.status.as_ref();
            let now =
                (status.and_then(|s| s.phase), status.and_then(|s| s.weight), status.and_then(|s| s.step.clone()));
            if told.as_ref() != Some(&now) {
                let message = status.and_then(|status| status.message.clone()).unwrap_or_default();
                let row = screen::row(&rollout);
                println!("{}  {}  {}  {message}", Timestamp::now().strftime("%H:%M:%SZ"), row[2], row[3]);
                told = Some(now);
            }
        }
        if outcome != Outcome::UnderWay || began.elapsed() >= timeout {
            return Ok(outcome);
        }
        tokio::time::sleep(EVERY).await;
    }
}
