//! A step in effect: is the candidate good enough to go on?

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{AnalysisMode, Fallback, RolloutPhase, RolloutStatus, Verdict, requests};

use super::advance::fail;
use super::identity::Release;
use super::idle;
use super::region::{Placement, step_after};
use super::report::record_request;
use super::{Decision, RegionView};
use crate::analysis::{Subject, count, in_words};
use crate::marks::Step;
use crate::names::RevisionName;

/// What becomes of a step.
enum Ruling {
    Fail(String),
    Hold(String, Timestamp),
    Forward,
    Wait(String),
}

/// The value of the promote annotation that ends a step: it fits no other step, region or candidate.
pub(super) fn token(candidate: &str, region: &str, step: u32) -> String {
    format!("{candidate}/{region}/{step}")
}

/// Counts what a region's users met. Every step in effect is counted, also while another region holds the release up.
pub(super) fn take_note(
    release: &Release<'_>,
    status: &mut RolloutStatus,
    region: &RegionView,
    step: u32,
    since: Timestamp,
    candidate: &RevisionName,
) {
    let subject = Subject { revision: candidate, region: &region.id.region, step, since };
    if let Some(minutes) = &region.minutes
        && let Ok(counts) = &minutes.counts
    {
        let settings = &release.seen.rollout.spec.analysis;
        status.analysis = Some(count(status.analysis.as_ref(), &subject, settings, counts, minutes.window));
    }
}

/// Whether the evidence says to roll back, and may.
pub(super) fn condemned(release: &Release<'_>, status: &RolloutStatus, candidate: &RevisionName) -> Option<String> {
    let acts = release.seen.rollout.spec.analysis.mode == AnalysisMode::Sequential;
    let analysis = status.analysis.as_ref().filter(|a| acts && a.revision == candidate.as_str())?;
    (analysis.verdict == Verdict::Fail && release.seen.paused(Some(candidate.as_str())).is_none())
        .then(|| format!("{}, step {}: {}", analysis.region, analysis.step, in_words(analysis)))
}

pub(super) fn judge(
    release: &Release<'_>,
    status: &mut RolloutStatus,
    index: usize,
    step: u32,
    since: Timestamp,
    candidate: &RevisionName,
) -> Decision {
    let (seen, region) = (release.seen, &release.seen.regions[index]);
    let subject = Subject { revision: candidate, region: &region.id.region, step, since };
    let token = token(candidate.as_str(), region.name(), step);
    if let Some(c) = status.candidate.as_mut() {
        c.promote_token = Some(token.clone());
    }
    let asked = seen.annotation(requests::PROMOTE) == Some(token.as_str());
    let total = status.candidate.as_ref().map_or(0, |c| c.steps.len());
    let place = format!("{}, step {step}/{total}", region.name());
    let ruling = rule(release, status, &subject, asked);
    match (ruling, seen.paused(Some(candidate.as_str()))) {
        (Ruling::Fail(why), Some(how)) => {
            Decision::paused(format!("{place}: held, {how}, though the candidate fails: abort to roll back. {why}"))
        }
        (_, Some(how)) => Decision::paused(format!("{place}: held, {how}")),
        (Ruling::Fail(why), None) => fail(release, status, "AnalysisFailed", &format!("{place}: {why}")),
        (Ruling::Hold(why, until), None) => {
            let left = until.duration_since(seen.now).max(SignedDuration::from_secs(1));
            Decision::working(RolloutPhase::Progressing, "Holding", format!("{place}: {why}"))
                .next(left.min(to_next_minute(seen.now)))
        }
        (Ruling::Wait(why), None) => Decision::paused(format!("{place}: {why}")),
        (Ruling::Forward, None) => {
            if let Err(gate) = &release.desired {
                return idle::closed(gate);
            }
            if asked {
                record_request(status, "promote", &token, seen.now);
            }
            let next = step_after(status, Step::Weight(step));
            let placed = Placement { release, status, region, candidate };
            let effect = region.view().map(|view| placed.put_on_step(view, next));
            Decision::working(RolloutPhase::Progressing, "Moving", format!("{place}: passed, moving on"))
                .doing(effect.into_iter().collect())
        }
    }
}

/// How long until another minute may be closed.
fn to_next_minute(now: Timestamp) -> SignedDuration {
    SignedDuration::from_secs(61 - now.as_second().rem_euclid(60))
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn rule(release: &Release<'_>, status: &RolloutStatus, subject: &Subject<'_>, asked: bool) -> Ruling {
    let (now, settings) = (release.seen.now, &release.seen.rollout.spec.analysis);
    let seconds = |n: i32| SignedDuration::from_secs(n.into());
    let analysis = status.analysis.as_ref().filter(|a| {
        let same_step = u32::try_from(a.step) == Ok(subject.step) && a.region == subject.region.as_str();
        a.revision == subject.revision.as_str() && (same_step || a.verdict == Verdict::Fail)
    });
    let verdict = analysis.map_or(Verdict::NoData, |a| a.verdict);
    let evidence = analysis.map_or_else(|| "no metrics yet".to_string(), in_words);
    let acts = settings.mode == AnalysisMode::Sequential;
    if verdict == Verdict::Fail && acts {
        return Ruling::Fail(evidence);
    }
    if asked {
        return Ruling::Forward;
    }
    let index = usize::try_from(subject.step).unwrap_or(1).saturating_sub(1);
    let hold = status.candidate.as_ref().and_then(|c| c.steps.get(index)).map_or(0, |s| s.hold_seconds);
    let hold_ends = later(subject.since, seconds(hold));
    if now < hold_ends {
        return Ruling::Hold(format!("holding until {hold_ends:.0}; {evidence}"), hold_ends);
    }
    // Evidence that ends long before the hold does says nothing about the rest of it.
    let known_until = analysis.map_or(subject.since, |a| a.through.0);
    let whole = later(known_until, seconds(settings.metrics_delay_seconds) + seconds(120)) >= hold_ends;
    let verdict = if whole { verdict } else { Verdict::NoData };
    if !acts || verdict == Verdict::Pass {
        return Ruling::Forward;
    }
    let metrics_end = later(hold_ends, seconds(settings.metrics_delay_seconds) + seconds(120));
    if now < metrics_end {
        return Ruling::Hold(format!("waiting for the metrics of its last minutes; {evidence}"), metrics_end);
    }
    let (fallback, what) = match verdict {
        Verdict::NoData => (settings.on_no_data, "there are no metrics of the candidate"),
        _ => (settings.on_inconclusive, "there were too few requests for a verdict"),
    };
    match fallback {
        Fallback::Promote => Ruling::Forward,
        Fallback::Rollback => Ruling::Fail(format!("{what}, and the analysis says Rollback then")),
        Fallback::Pause => Ruling::Wait(format!(
            "{what}; to go on, annotate it with {}=<status.candidate.promoteToken>, or abort. {evidence}",
            requests::PROMOTE
        )),
    }
}
