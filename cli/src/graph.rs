//! `graph`: releases as a Mermaid flowchart, for a page or a pull request.

use kube::ResourceExt;
use orchestra_crds::{RegionStatus, Rollout, RolloutStatus};
use orchestra_planner::words::short_image;
use std::collections::BTreeSet;

use crate::outcome::Outcome;
use crate::screen::{Reach, outlook_of, reach_of};

/// The chart, a line each: environments, their Rollouts, and in each region the steps with how far they are.
pub fn mermaid(rollouts: &[Rollout]) -> Vec<String> {
    let mut lines = vec!["flowchart LR".to_string()];
    let environment =
        |rollout: &Rollout| (rollout.namespace().unwrap_or_default(), rollout.spec.environment_ref.name.clone());
    let environments: BTreeSet<(String, String)> = rollouts.iter().map(environment).collect();
    for (number, (namespace, name)) in environments.iter().enumerate() {
        lines.push(format!("  e{number}[(\"{namespace}/{name}\")]"));
    }
    for (number, rollout) in rollouts.iter().enumerate() {
        let home = environments.iter().position(|known| *known == environment(rollout)).unwrap_or_default();
        let own = format!("r{number}");
        let status = rollout.status.clone().unwrap_or_default();
        let image = status.image.as_deref().and_then(|image| image.rsplit('/').next()).unwrap_or("nothing yet");
        let outcome = Outcome::of(rollout);
        let class = class_of(outcome);
        lines.push(format!("  {own}[\"{} {}<br/>{}\"]{class}", outcome.sign(), rollout.name_any(), text(image)));
        lines.push(format!("  e{home} --> {own}"));
        lines.extend(status.failed.as_ref().filter(|_| outcome == Outcome::Failed).map(|failed| {
            let image = text(&short_image(&failed.image));
            format!("  {own} -. failed .-> {own}_failed[\"{image}<br/>{}\"]:::failed", failed.reason)
        }));
        for (number, region) in status.regions.iter().enumerate() {
            lines.extend(of_region(&own, number, &status, region));
        }
    }
    lines.push("  classDef passed fill:#d7f0d7,stroke:#2e7d32".into());
    lines.push("  classDef now fill:#fff3cd,stroke:#b58900".into());
    lines.push("  classDef failed fill:#f8d7da,stroke:#b02a37".into());
    lines
}

fn of_region(rollout: &str, number: usize, status: &RolloutStatus, region: &RegionStatus) -> Vec<String> {
    let own = format!("{rollout}_{number}");
    let weight = region.weight.map_or_else(|| "?".into(), |weight| weight.to_string());
    let mut lines = vec![format!("  {rollout} --> {own}([\"{}: {weight} %\"])", region.region)];
    let Some(candidate) = &status.candidate else { return lines };
    let words = outlook_of(candidate).map(|outlook| outlook.steps).unwrap_or_default();
    let mut before = own.clone();
    for (index, words) in words.iter().enumerate() {
        let node = format!("{own}_{}", index + 1);
        let class = match reach_of(candidate, region, index + 1) {
            Reach::Passed => ":::passed",
            Reach::Now => ":::now",
            Reach::ToCome => "",
        };
        lines.push(format!("  {before} --> {node}[\"{words}\"]{class}"));
        before = node;
    }
    lines
}

/// How a release stands, as a colour; one that waits for a person has none.
fn class_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Promoted => ":::passed",
        Outcome::Failed => ":::failed",
        Outcome::UnderWay => ":::now",
        Outcome::Waits => "",
    }
}

/// A text that ends no quote.
fn text(words: &str) -> String {
    words.replace('"', "'")
}
