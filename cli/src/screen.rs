//! One Rollout on a screen.

use jiff::Timestamp;
use kube::ResourceExt;
use orchestra_crds::{
    CandidateStatus, CountStatus, EvidenceStatus, Metric, RegionStatus, Rollout, RolloutPhase, RolloutStatus, Step,
};
use orchestra_planner::verdict::standing;
use orchestra_planner::words::span;

use crate::outcome::Outcome;

/// Cells of the bar that shows the evidence.
const BAR: usize = 20;

/// What is shown of a Rollout: lines that may be longer than a screen is wide.
pub fn lines(rollout: &Rollout, events: &[String], now: Timestamp) -> Vec<String> {
    let status = rollout.status.clone().unwrap_or_default();
    let mut lines = vec![head(rollout, &status, now)];
    lines.extend(revisions(&status));
    lines.push(String::new());
    lines.extend(regions(&status));
    lines.extend(evidence(&status));
    if let Some(message) = &status.message {
        lines.push(String::new());
        lines.push(format!("  {message}"));
    }
    if !events.is_empty() {
        lines.push(String::new());
        lines.extend(events.iter().map(|event| format!("  {event}")));
    }
    let next = next(rollout, &status);
    if !next.is_empty() {
        lines.push(String::new());
        lines.push(format!("  next   kubectl orchestra {}", next.join(" | ")));
    }
    lines
}

fn phase(status: &RolloutStatus) -> String {
    status.phase.map_or_else(|| "not seen yet".to_string(), |phase| format!("{phase:?}"))
}

fn head(rollout: &Rollout, status: &RolloutStatus, now: Timestamp) -> String {
    let place = format!("{}/{}", rollout.namespace().unwrap_or_default(), rollout.spec.environment_ref.name);
    let started = status.candidate.as_ref().map(|candidate| candidate.started_at.0);
    // A sandbox's clock runs ahead of this machine's.
    let since = started.filter(|started| *started <= now).map(|started| format!("   for {}", span(started, now)));
    let sign = Outcome::of(rollout).sign();
    format!("{}  {place}   {sign} {}{}", rollout.name_any(), phase(status), since.unwrap_or_default())
}

fn revisions(status: &RolloutStatus) -> Vec<String> {
    let candidate = status.candidate.as_ref().map(|c| ("candidate", c.image.as_str(), c.revision.as_str()));
    let failed = status.failed.as_ref().map(|f| ("failed", f.image.as_str(), f.revision.as_str()));
    let stable =
        status.stable.as_ref().map(|s| ("stable", s.image.as_deref().unwrap_or_default(), s.revision.as_str()));
    let shown: Vec<_> = [candidate, failed, stable].into_iter().flatten().collect();
    let short = |image: &str| image.rsplit('/').next().unwrap_or(image).to_string();
    let width = shown.iter().map(|(_, image, _)| short(image).chars().count()).max().unwrap_or(0);
    shown.iter().map(|(what, image, revision)| format!("  {what:<10} {:<width$}  {revision}", short(image))).collect()
}

/// A step in a word.
pub fn step_words(step: &Step) -> String {
    match (&step.weight, &step.pause) {
        (Some(weight), _) => format!("{weight} %"),
        (_, Some(_)) => "pause".into(),
        _ => "?".into(),
    }
}

/// How far a region is, by a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It is behind it.
    Passed,
    /// It is on it.
    Now,
    /// It is to come.
    ToCome,
}

/// How far a region is, by the number of a step, from 1; the number after the last one is that of 100 %.
pub fn reach_of(candidate: &CandidateStatus, region: &RegionStatus, number: usize) -> Reach {
    let on = region.step.as_ref().filter(|step| step.release == candidate.release);
    let done = on.is_none() && region.weight == Some(100);
    let reached = on.and_then(|step| usize::try_from(step.number).ok()).unwrap_or(0);
    match number {
        _ if done => Reach::Passed,
        number if number < reached => Reach::Passed,
        number if number == reached => Reach::Now,
        _ => Reach::ToCome,
    }
}

/// The steps of a region, each with how far it is.
fn ladder(candidate: &CandidateStatus, region: &RegionStatus) -> String {
    let steps = candidate.course.as_ref().map(|course| course.steps.as_slice()).unwrap_or_default();
    let words = steps.iter().map(step_words).chain(["100 %".to_string()]);
    let sign = |number: usize| match reach_of(candidate, region, number) {
        Reach::Passed => "✔",
        Reach::Now => "◐",
        Reach::ToCome => "○",
    };
    let all: Vec<String> = words.enumerate().map(|(index, words)| format!("{} {words}", sign(index + 1))).collect();
    all.join(" ── ")
}

fn regions(status: &RolloutStatus) -> Vec<String> {
    let width = status.regions.iter().map(|region| region.region.len()).max().unwrap_or(0);
    let line = |region: &RegionStatus| {
        let weight = region.weight.map_or_else(|| "?".to_string(), |weight| weight.to_string());
        match &status.candidate {
            Some(candidate) => {
                format!("  {:<width$}   {}   now {weight:>3} %", region.region, ladder(candidate, region))
            }
            None => format!("  {:<width$}   {}", region.region, region.message),
        }
    };
    status.regions.iter().map(line).collect()
}

fn counted(count: CountStatus) -> String {
    match count.total {
        0 => "no requests".into(),
        // As parts of 10,000, rounded: exact enough for a screen.
        total => {
            let parts = (count.bad.saturating_mul(10_000) + total / 2) / total;
            format!("{} of {total} ({}.{:02} %)", count.bad, parts / 100, parts % 100)
        }
    }
}

fn metric(metric: Metric) -> &'static str {
    match metric {
        Metric::Errors => "errors",
    }
}

fn bar(percent: i32) -> String {
    let percent = usize::try_from(percent).unwrap_or(0).min(100);
    let full = percent * BAR / 100;
    format!("[{}{}] {percent} %", "█".repeat(full), "░".repeat(BAR - full))
}

fn evidence(status: &RolloutStatus) -> Vec<String> {
    let Some(candidate) = &status.candidate else { return vec![] };
    let settings = candidate.course.as_ref().map(|course| course.analysis.clone()).unwrap_or_default();
    let of = |region: &RegionStatus, evidence: &EvidenceStatus| {
        let fault = evidence.fault.as_ref().map(|fault| format!("; {fault}")).unwrap_or_default();
        [
            String::new(),
            format!(
                "  {:<10} candidate {}   stable {}   {}",
                metric(evidence.metric),
                counted(evidence.candidate),
                counted(evidence.stable),
                region.region
            ),
            format!("  rollback?  {}   {}{fault}", bar(evidence.evidence_percent), standing(evidence, &settings)),
        ]
    };
    let own = |evidence: &&EvidenceStatus| evidence.release == candidate.release;
    let of_region = |region: &RegionStatus| -> Vec<String> {
        region.evidence.iter().filter(own).flat_map(|e| of(region, e)).collect()
    };
    status.regions.iter().flat_map(of_region).collect()
}

/// What a person may ask for now.
fn next(rollout: &Rollout, status: &RolloutStatus) -> Vec<String> {
    let name = rollout.name_any();
    let candidate = status.candidate.as_ref();
    let paused =
        candidate.is_some_and(|c| rollout.annotations().get(&orchestra_crds::Request::Pause.key()) == Some(&c.release));
    let failed = matches!(status.phase, Some(RolloutPhase::RolledBack | RolloutPhase::Failed));
    let verbs = [
        ("promote", candidate.is_some_and(|c| c.promote_token.is_some())),
        ("resume", paused),
        ("pause", candidate.is_some() && !paused),
        ("abort", candidate.is_some()),
        ("retry", failed),
    ];
    verbs.into_iter().filter(|(_, may)| *may).map(|(verb, _)| format!("{verb} {name}")).collect()
}

/// One line of the table of all.
pub fn row(rollout: &Rollout) -> [String; 7] {
    let status = rollout.status.clone().unwrap_or_default();
    [
        rollout.namespace().unwrap_or_default(),
        rollout.name_any(),
        format!("{} {}", Outcome::of(rollout).sign(), phase(&status)),
        status.weight.map_or_else(|| "-".into(), |weight| format!("{weight} %")),
        status.step.clone().unwrap_or_else(|| "-".into()),
        status.image.clone().unwrap_or_else(|| "-".into()),
        status.message.clone().unwrap_or_default(),
    ]
}

/// The table of all, in columns.
pub fn table(rollouts: &[Rollout], all_namespaces: bool) -> Vec<String> {
    let head = ["NAMESPACE", "NAME", "PHASE", "WEIGHT", "STEP", "IMAGE", "MESSAGE"].map(String::from);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(rollouts.iter().map(row)).collect();
    let skipped = usize::from(!all_namespaces);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).skip(skipped);
        let text: String = cells.map(|(cell, width)| format!("{cell:<width$}   ")).collect();
        text.trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

/// How the last releases ended, and what can be gone back to.
pub fn history(rollout: &Rollout) -> Vec<String> {
    let status = rollout.status.clone().unwrap_or_default();
    let ended = status.history.iter().map(|record| {
        let took = span(record.started_at.0, record.finished_at.0);
        let image = record.image.rsplit('/').next().unwrap_or_default();
        let at = record.finished_at.0.strftime("%Y-%m-%d %H:%M:%SZ");
        format!(
            "{at}   {:<10} {image}   {}   after {took}   {}",
            format!("{:?}", record.outcome),
            record.release,
            record.message
        )
    });
    let mut lines: Vec<String> = ended.collect();
    if lines.is_empty() {
        lines.push("no release has ended yet".into());
    }
    if !status.promoted.is_empty() {
        let names: Vec<&str> = status.promoted.iter().map(|promoted| promoted.revision.as_str()).collect();
        lines.push(String::new());
        lines.push(format!("going back waits for nothing to: {}", names.join(", ")));
    }
    lines
}
