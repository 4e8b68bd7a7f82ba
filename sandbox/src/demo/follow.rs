//! Tells a release as it happens.

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use kube::Api;
use orchestra_crds::{Rollout, RolloutStatus};
use std::time::{Duration, Instant};

use super::stage::{LOOK, Release, Stage};
use super::{ended, failed};
use crate::SandboxError;

/// How a release ended, by the controller's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Promoted,
    RolledBack,
}

/// What was seen of a release.
pub(super) struct Told {
    pub(super) ending: Ending,
    pub(super) status: RolloutStatus,
    /// Region, and the candidate's weights there in the order in which they were seen.
    pub(super) weights: Vec<(String, Vec<i32>)>,
    pub(super) ended: Timestamp,
}

/// A line that shows that something is going on; nothing where the output is no terminal.
pub(super) fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

impl Stage {
    /// Follows a release to its end.
    pub(super) async fn follow(
        &self,
        (namespace, name): (&str, &str),
        release: &Release,
        limit: Duration,
    ) -> Result<Told, SandboxError> {
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), namespace);
        let (began, bar) = (Instant::now(), spinner());
        let mut weights: Vec<(String, Vec<i32>)> = vec![];
        let mut started = false;
        let mut last = String::new();
        loop {
            let doing = || format!("look at Rollout {name}");
            let rollout =
                api.get(name).await.map_err(|e| SandboxError::Cluster { doing: doing(), source: Box::new(e) })?;
            let status = rollout.status.unwrap_or_default();
            let now = self.sandbox.journal.clock().now();
            let ours = |image: Option<&String>| image == Some(&release.image);
            started |=
                ours(status.candidate.as_ref().map(|c| &c.image)) || ours(status.failed.as_ref().map(|f| &f.image));
            for line in changes(&status, &mut weights, started) {
                say(&bar, release, now, &line);
            }
            let message = status.message.clone().unwrap_or_default();
            if message != last {
                bar.set_message(message.clone());
                last = message;
            }
            bar.tick();
            let ending = ended(status.phase).filter(|_| status.observed_generation == rollout.metadata.generation);
            if let Some(ending) = ending.filter(|_| started) {
                say(&bar, release, now, &format!("{ending:?}: {last}"));
                bar.finish_and_clear();
                return Ok(Told { ending, status, weights, ended: now });
            }
            if began.elapsed() > limit {
                return Err(failed(format!("the release did not end in {} s: {last}", limit.as_secs())));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A line with the cloud's time since the release.
fn say(bar: &ProgressBar, release: &Release, now: Timestamp, line: &str) {
    let seconds = now.duration_since(release.applied).as_secs();
    print(bar, &format!("  {:>3}:{:02}  {line}", seconds / 60, seconds % 60));
}

/// A line above the spinner.
pub(super) fn print(bar: &ProgressBar, line: &str) {
    bar.suspend(|| println!("{line}"));
}

/// What is new: a weight in a region, with the evidence up to there.
fn changes(status: &RolloutStatus, weights: &mut Vec<(String, Vec<i32>)>, started: bool) -> Vec<String> {
    if !started || status.candidate.is_none() && status.failed.is_none() {
        return vec![];
    }
    let mut lines = vec![];
    for region in &status.regions {
        let Some(weight) = region.weight else { continue };
        if !weights.iter().any(|(name, _)| *name == region.region) {
            weights.push((region.region.clone(), vec![]));
        }
        let Some((_, seen)) = weights.iter_mut().find(|(name, _)| *name == region.region) else { continue };
        if seen.last().copied().unwrap_or(0) == weight {
            continue;
        }
        seen.push(weight);
        let evidence = region.evidence.first().map_or_else(String::new, |e| {
            format!(
                "   judged so far: candidate failed {} of {}, stable {} of {}",
                e.candidate.bad, e.candidate.total, e.stable.bad, e.stable.total
            )
        });
        let whose = if status.failed.as_ref().is_some_and(|failed| failed.rolled_back) { " on stable" } else { "" };
        lines.push(format!("{:12} {weight:>3} %{whose}{evidence}", region.region));
    }
    lines
}
