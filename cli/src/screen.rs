//! One Rollout on a screen.

mod evidence;

use jiff::Timestamp;
use kube::ResourceExt;
use orchestra_crds::{CandidateStatus, PromotedStatus, RegionStatus, Rollout, RolloutPhase, RolloutStatus};
use orchestra_planner::rollout::{Outlook, outlook};
use orchestra_planner::words::{lasting, short_image, span};

use crate::outcome::Outcome;

/// What is shown of a Rollout: lines that may be longer than a screen is wide.
pub fn lines(rollout: &Rollout, events: &[String], now: Timestamp) -> Vec<String> {
    let status = rollout.status.clone().unwrap_or_default();
    let mut lines = vec![head(rollout, &status, now)];
    lines.extend(revisions(&status));
    lines.push(String::new());
    lines.extend(regions(&status));
    lines.extend(evidence::lines(&status));
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
    let about = status.candidate.as_ref().and_then(outlook_of).map(|outlook| outlook.takes);
    let about = about.filter(jiff::SignedDuration::is_positive).map(lasting);
    let since =
        [since, about.map(|about| format!("   takes {about} at least"))].into_iter().flatten().collect::<String>();
    let sign = Outcome::of(rollout).sign();
    format!("{}  {place}   {sign} {}{}", rollout.name_any(), phase(status), since)
}

fn revisions(status: &RolloutStatus) -> Vec<String> {
    let candidate = status.candidate.as_ref().map(|c| ("candidate", c.image.as_str(), c.revision.as_str()));
    let failed = status.failed.as_ref().map(|f| ("failed", f.image.as_str(), f.revision.as_str()));
    let stable =
        status.stable.as_ref().map(|s| ("stable", s.image.as_deref().unwrap_or_default(), s.revision.as_str()));
    let shown: Vec<_> = [candidate, failed, stable].into_iter().flatten().collect();
    let width = shown.iter().map(|(_, image, _)| short_image(image).chars().count()).max().unwrap_or(0);
    let line = |(what, image, revision): &(&str, &str, &str)| {
        format!("  {what:<10} {:<width$}  {revision}", short_image(image))
    };
    shown.iter().map(line).collect()
}

/// What a candidate has before it; none: how it takes over was lost.
pub fn outlook_of(candidate: &CandidateStatus) -> Option<Outlook> {
    candidate.course.as_ref().map(outlook)
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
    let words = outlook_of(candidate).map(|outlook| outlook.steps).unwrap_or_default();
    let sign = |number: usize| match reach_of(candidate, region, number) {
        Reach::Passed => "✔",
        Reach::Now => "◐",
        Reach::ToCome => "○",
    };
    let all: Vec<String> =
        words.iter().enumerate().map(|(index, words)| format!("{} {words}", sign(index + 1))).collect();
    all.join(" ── ")
}

fn regions(status: &RolloutStatus) -> Vec<String> {
    let width = status.regions.iter().map(|region| region.region.len()).max().unwrap_or(0);
    let line = |(index, region): (usize, &RegionStatus)| {
        let weight = region.weight.map_or_else(|| "?".to_string(), |weight| weight.to_string());
        match &status.candidate {
            Some(candidate) => format!(
                "  {:<width$}   {}   now {weight:>3} %{}",
                region.region,
                ladder(candidate, region),
                waits_for(candidate, &status.regions, index)
            ),
            None => format!("  {:<width$}   {}", region.region, region.message),
        }
    };
    let address = |region: &RegionStatus| {
        region.candidate_url.as_ref().map(|url| format!("  {:<width$}   the candidate alone: {url}", ""))
    };
    let lines = status.regions.iter().enumerate();
    lines.flat_map(|(index, region)| std::iter::once(line((index, region))).chain(address(region))).collect()
}

/// What a region waits for that the release has not come to.
fn waits_for(candidate: &CandidateStatus, regions: &[RegionStatus], index: usize) -> String {
    let is_to_come = reach_of(candidate, &regions[index], 1) == Reach::ToCome;
    let before = index.checked_sub(1).map(|before| &regions[before]).filter(|_| is_to_come);
    before.map(|before| format!("   waits for {}", before.region)).unwrap_or_default()
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
        ("retry", failed && !rollout.spec.traffic_only),
        ("undo", status.promoted.len() > 1),
    ];
    let place = rollout.namespace().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    verbs.into_iter().filter(|(_, may)| *may).map(|(verb, _)| format!("{verb} {name}{place}")).collect()
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

fn promoted(promoted: &PromotedStatus) -> String {
    let image = promoted.image.as_deref().and_then(|image| image.rsplit('/').next()).unwrap_or("image not known");
    let at = promoted.promoted_at.as_ref().map(|at| format!("   since {}", at.0.strftime("%Y-%m-%d %H:%M:%SZ")));
    let verdict = promoted.verdict.as_ref().map(|verdict| format!("   {verdict}"));
    format!("  {}   {image}{}{}", promoted.revision, at.unwrap_or_default(), verdict.unwrap_or_default())
}

/// How the last releases ended, and what can be gone back to.
pub fn history(rollout: &Rollout) -> Vec<String> {
    let status = rollout.status.clone().unwrap_or_default();
    let ended = status.history.iter().flat_map(|record| {
        let took = span(record.started_at.0, record.finished_at.0);
        let image = record.image.rsplit('/').next().unwrap_or_default();
        let at = record.finished_at.0.strftime("%Y-%m-%d %H:%M:%SZ");
        let end = format!(
            "{at}   {:<10} {image}   {}   after {took}   {}",
            format!("{:?}", record.outcome),
            record.release,
            record.message
        );
        std::iter::once(end).chain(record.evidence.iter().map(evidence::recorded))
    });
    let mut lines: Vec<String> = ended.collect();
    if lines.is_empty() {
        lines.push("no release has ended yet".into());
    }
    if !status.promoted.is_empty() {
        lines.push(String::new());
        lines.push("going back waits for nothing to:".to_string());
        lines.extend(status.promoted.iter().map(promoted));
    }
    lines
}
