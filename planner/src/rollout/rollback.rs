//! Back to stable: one write in each region, all regions at once. It needs no metrics and no steps.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Outcome, RolloutPhase, RolloutStatus, requests};

use super::advance::remember;
use super::identity::Release;
use super::report::record_request;
use super::{Decision, RegionView};
use crate::analysis::in_words;
use crate::cloud::{ServiceView, TrafficTarget};
use crate::names::{Percent, RevisionName};
use crate::plan::{Effect, ServiceChange};
use crate::traffic::{all_to, same_shares, weight_of};

/// How long a traffic write may take before it is written again; usually it takes seconds.
const TAKES_EFFECT_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// How far taking a revision out of the traffic is.
struct Withdrawal {
    effects: Vec<Effect>,
    /// Regions that still send requests to it, or can't be read.
    remaining: Vec<String>,
    /// Regions where it has requests and there is no stable revision to give them to.
    stuck: Vec<String>,
}

/// What to do while a failure is latched. None: it is over, and something else may start.
pub(super) fn after_failure(release: &Release<'_>, status: &mut RolloutStatus) -> Option<Decision> {
    let failed = status.failed.clone()?;
    let revision = RevisionName::new(failed.revision.as_str()).ok()?;
    let why = format!("`{}` failed ({}): {}", failed.revision, failed.reason, failed.message.trim_end_matches('.'));
    let back = withdraw(release, status, &revision, true);
    let aborted = release.seen.annotation(requests::ABORT) == Some(failed.revision.as_str());
    if (!back.effects.is_empty() || !back.remaining.is_empty()) && !aborted && release.seen.paused(None).is_some() {
        return Some(Decision::paused(format!(
            "spec.paused is true, so traffic stays where it is: abort to roll back. {why}"
        )));
    }
    if !back.remaining.is_empty() {
        let message = format!("back to stable, not done in {}. {why}", back.remaining.join(", "));
        let decision = Decision::working(RolloutPhase::RollingBack, "RollingBack", message).doing(back.effects);
        return Some(decision.next(SignedDuration::from_secs(2)));
    }
    if !failed.rolled_back {
        if let Some(latch) = status.failed.as_mut() {
            latch.rolled_back = true;
        }
        let told_already = failed.reason == "AnalysisFailed";
        let counted = status.analysis.as_ref().filter(|a| a.revision == failed.revision && !told_already);
        let evidence = counted.map(in_words);
        let message = evidence.map_or(why.clone(), |evidence| format!("{why}. Counted so far: {evidence}"));
        remember(
            release,
            status,
            failed.revision.clone(),
            failed.image,
            Outcome::RolledBack,
            message,
            failed.started_at,
        );
    }
    if release.seen.annotation(requests::RETRY) == Some(failed.revision.as_str()) {
        record_request(status, "retry", &failed.revision, release.seen.now);
        status.failed = None;
        return None;
    }
    if release.desired.as_ref().is_ok_and(|desired| !desired.is(&failed.revision)) {
        status.failed = None;
        return None;
    }
    let (phase, done) = match &status.stable {
        Some(stable) if back.stuck.is_empty() => {
            (RolloutPhase::RolledBack, format!("all requests go to `{}`", stable.revision))
        }
        Some(stable) => {
            let regions = back.stuck.join(", ");
            (RolloutPhase::Failed, format!("`{}` is not in {regions} to go back to", stable.revision))
        }
        None => (RolloutPhase::Failed, "there is no stable revision to go back to".to_string()),
    };
    let message =
        format!("{done}. {why}. Change the template, or annotate it with {}={}", requests::RETRY, failed.revision);
    Some(Decision::stalled(phase, &failed.reason, message).doing(back.effects))
}

/// Another template is wanted: the old candidate loses its traffic before anything new gets any.
pub(super) fn supersede(release: &Release<'_>, status: &mut RolloutStatus) -> Option<Decision> {
    let candidate = status.candidate.clone()?;
    let desired = release.desired.as_ref().ok()?;
    if desired.is(&candidate.revision) {
        return None;
    }
    let revision = RevisionName::new(candidate.revision.as_str()).ok()?;
    let back = withdraw(release, status, &revision, false);
    if !back.remaining.is_empty() {
        let why = format!("`{revision}` is superseded");
        let aborted = release.seen.annotation(requests::ABORT) == Some(revision.as_str());
        if let Some(how) = release.seen.paused(Some(revision.as_str())).filter(|_| !aborted) {
            return Some(Decision::paused(format!("{why}; its traffic stays where it is: held, {how}")));
        }
        let message = format!("{why}; its traffic goes back to stable in {}", back.remaining.join(", "));
        return Some(Decision::working(RolloutPhase::RollingBack, "Superseding", message).doing(back.effects));
    }
    status.candidate = None;
    let returned = status.stable.as_ref().is_some_and(|stable| desired.is(&stable.revision));
    let (outcome, message) = match returned {
        true => (Outcome::Returned, "the spec went back to the stable template"),
        false => (Outcome::Superseded, "the spec changed"),
    };
    remember(release, status, candidate.revision, candidate.image, outcome, message.into(), candidate.started_at);
    None
}

/// Takes a revision out of the traffic of every region where there is a stable one. A failed one is marked as such in
/// the same write.
fn withdraw(release: &Release<'_>, status: &RolloutStatus, revision: &RevisionName, failed: bool) -> Withdrawal {
    let mut back = Withdrawal { effects: vec![], remaining: vec![], stuck: vec![] };
    // What has been seen to be over is not under way again because a region does not answer for a moment.
    let over = failed && status.failed.as_ref().is_some_and(|failure| failure.rolled_back);
    for region in release.seen.regions.iter().filter(|r| r.service.is_err() && !over) {
        back.remaining.push(region.name().to_string());
    }
    for (_, region, view) in release.ours() {
        let stable = release.stable_in(region, status).filter(|stable| stable != revision);
        let traffic = stable.map(|stable| all_to(&stable, &view.traffic));
        let asked = traffic.as_ref().is_some_and(|to| !same_shares(to, &view.traffic));
        let serves = traffic.is_some() && weight_of(revision, &view.serving) > Percent::NONE;
        if traffic.is_none() && weight_of(revision, &view.serving) > Percent::NONE {
            back.stuck.push(region.name().to_string());
        }
        let unmarked = failed && touched(view, revision) && !view.marks.failed.contains(revision);
        let has_traffic = asked && (serves || weight_of(revision, &view.traffic) > Percent::NONE);
        let drifted = failed && asked && view.settled;
        let overdue = serves && !asked && written_long_ago(view, release.seen.now);
        if has_traffic || unmarked || drifted || overdue {
            back.effects.push(write(release, region, view, revision, traffic, failed));
        }
        if has_traffic || serves || unmarked {
            back.remaining.push(region.name().to_string());
        }
    }
    back
}

/// A write that Cloud Run accepted may still fail, or never take effect: it is then written again.
fn written_long_ago(view: &ServiceView, now: Timestamp) -> bool {
    view.written_at.is_none_or(|at| now.duration_since(at) >= TAKES_EFFECT_WITHIN)
}

/// Whether a revision was ever meant for this service.
fn touched(view: &ServiceView, revision: &RevisionName) -> bool {
    view.marks.candidate_named(revision).is_some()
        || view.template_revision.as_ref() == Some(revision)
        || weight_of(revision, &view.traffic) > Percent::NONE
}

fn write(
    release: &Release<'_>,
    region: &RegionView,
    view: &ServiceView,
    revision: &RevisionName,
    traffic: Option<Vec<TrafficTarget>>,
    failed: bool,
) -> Effect {
    let mut marks = view.marks.clone();
    if failed {
        marks = marks.with_failed(revision);
    }
    marks.candidate = marks.candidate.filter(|c| c.revision != *revision);
    marks.owner = Some(release.owner());
    let change = ServiceChange { traffic, marks: Some(marks), ..ServiceChange::default() };
    Effect::UpdateService(region.id.clone(), view.etag.clone(), Box::new(change))
}
