//! A candidate on its way: region after region, step after step.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{FailureStatus, Outcome, ReleaseRecord, RevisionStatus, RolloutPhase, RolloutStatus, requests};

use super::deadline::{self, Overdue};
use super::identity::Release;
use super::region::{Placement, Progress, step_after};
use super::{Decision, RegionView, decide, idle, judge, report, rollback};
use crate::analysis::in_words;
use crate::marks::Step;
use crate::names::RevisionName;

/// How many releases are remembered.
const HISTORY: usize = 10;

/// Takes the candidate on, in the first region where it is not done.
pub(super) fn advance(release: &Release<'_>, status: &mut RolloutStatus) -> Decision {
    let seen = release.seen;
    let Some(candidate) = status.candidate.as_ref().and_then(|c| RevisionName::new(c.revision.as_str()).ok()) else {
        status.candidate = None;
        return decide(release, status);
    };
    let is_stable = status.stable.as_ref().is_some_and(|s| s.revision == candidate.as_str());
    // Bringing stable to a region that is new is no release: there is nothing to go back to.
    if seen.annotation(requests::ABORT) == Some(candidate.as_str()) && !is_stable {
        report::record_request(status, "abort", candidate.as_str(), seen.now);
        return fail(release, status, "Aborted", "a person asked for it");
    }
    let placed = |region| Placement { release, status, region, candidate: &candidate };
    let states: Vec<Progress> = seen.regions.iter().map(|region| placed(region).progress()).collect();
    for (index, (region, state)) in seen.regions.iter().zip(&states).enumerate() {
        if let Progress::Broken(trouble) = state {
            let message = format!("{}: {}", region.name(), trouble.message);
            return fail(release, status, &trouble.reason, &message);
        }
        match deadline::look(release, status, region, state) {
            Some(Overdue::LookAgain(decision)) => return decision.in_region(index),
            Some(Overdue::Missed(message)) => return fail(release, status, "ProgressDeadlineExceeded", &message),
            None => {}
        }
    }
    for (region, state) in seen.regions.iter().zip(&states) {
        if let Progress::On { step, since } = state {
            judge::take_note(release, status, region, *step, *since, &candidate);
        }
    }
    if let Some(why) = judge::condemned(release, status, &candidate) {
        return fail(release, status, "AnalysisFailed", &why);
    }
    match states.into_iter().enumerate().find(|(_, state)| *state != Progress::Done) {
        Some((index, state)) => act(release, status, index, state, &candidate).in_region(index),
        None => promoted(release, status),
    }
}

/// The next thing to do in one region.
fn act(
    release: &Release<'_>,
    status: &mut RolloutStatus,
    index: usize,
    state: Progress,
    candidate: &RevisionName,
) -> Decision {
    let region = &release.seen.regions[index];
    let place = region.name();
    // Whether the candidate is still wanted is not known: it goes nowhere until it is.
    if let (Progress::On { .. } | Progress::Ready | Progress::Drifted(_), Err(gate)) = (&state, &release.desired) {
        return idle::closed(gate);
    }
    match (&state, release.seen.paused(Some(candidate.as_str()))) {
        (Progress::Unreadable(fault), _) => {
            return Decision::unreadable(RolloutPhase::Progressing, &format!("the service in {place}"), fault);
        }
        (Progress::Foreign, _) => return foreign(region),
        (Progress::StableMissing, _) => {
            let stable = status.stable.as_ref().map(|s| s.revision.as_str()).unwrap_or_default();
            let message = format!("{place}: the stable revision `{stable}` was not found; no traffic moves without it");
            return Decision::stalled(RolloutPhase::Progressing, "StableMissing", message).next(crate::plan::POLL);
        }
        (Progress::On { step, since }, _) => return judge::judge(release, status, index, *step, *since, candidate),
        (Progress::Starting(_), _) => {
            let message = format!("{place}: `{candidate}` is starting");
            return Decision::working(RolloutPhase::Deploying, "Starting", message);
        }
        (_, Some(how)) => return Decision::paused(format!("{place}: held, {how}")),
        (Progress::Missing | Progress::NotDeployed, None) => {
            if let Err(gate) = &release.desired {
                return idle::closed(gate);
            }
        }
        _ => {}
    }
    let placed = Placement { release, status, region, candidate };
    if let (Progress::NotDeployed, Some(view)) = (&state, region.view())
        && let Some(decision) = placed.waits(view)
    {
        return decision;
    }
    let effect = match (&state, region.view()) {
        (Progress::Missing, _) => placed.create(),
        (Progress::NotDeployed, Some(view)) => placed.add(view),
        (Progress::Ready, Some(view)) if view.settled => {
            Some(placed.put_on_step(view, step_after(status, Step::Deployed)))
        }
        (Progress::Drifted(step), Some(view)) => Some(placed.put_on_step(view, *step)),
        _ => None,
    };
    underway(&state, place, candidate).doing(effect.into_iter().collect())
}

/// What is being done, in words.
fn underway(state: &Progress, place: &str, candidate: &RevisionName) -> Decision {
    let (phase, reason, message) = match state {
        Progress::Missing | Progress::NotDeployed => {
            (RolloutPhase::Deploying, "Deploying", format!("{place}: `{candidate}` is being created without traffic"))
        }
        Progress::Drifted(_) => {
            let message = format!("{place}: somebody changed the traffic; it is put back to the current step");
            (RolloutPhase::Progressing, "TrafficCorrected", message)
        }
        _ => (RolloutPhase::Progressing, "Moving", format!("{place}: traffic is moving")),
    };
    Decision::working(phase, reason, message)
}

/// A service of that name which is not ours.
pub(super) fn foreign(region: &RegionView) -> Decision {
    let message = format!(
        "{}: a Cloud Run service named `{}` exists and does not belong to this Rollout: it is left alone; choose \
         another spec.serviceName, or delete that service",
        region.name(),
        region.id.name
    );
    Decision::stalled(RolloutPhase::Pending, "ServiceNotOurs", message)
}

/// Latches the failure, then rolls back. The shell writes the status before the traffic.
pub(super) fn fail(release: &Release<'_>, status: &mut RolloutStatus, reason: &str, message: &str) -> Decision {
    let revision = |s: &RevisionStatus| Some(&s.revision) == status.candidate.as_ref().map(|c| &c.revision);
    if status.stable.as_ref().is_some_and(revision) {
        // Stable does not work in a region that is new to it; elsewhere it serves, and must not count as failed.
        return Decision::stalled(RolloutPhase::Pending, reason, message);
    }
    if let Some(candidate) = status.candidate.take() {
        status.failed = Some(FailureStatus {
            revision: candidate.revision,
            image: candidate.image,
            generation: release.seen.generation(),
            reason: reason.to_string(),
            message: message.to_string(),
            started_at: candidate.started_at,
            time: Time(release.seen.now),
            rolled_back: false,
        });
    }
    rollback::after_failure(release, status).unwrap_or_else(|| decide(release, status))
}

/// The candidate has everything everywhere: it is stable now.
fn promoted(release: &Release<'_>, status: &mut RolloutStatus) -> Decision {
    if let Some(candidate) = status.candidate.take() {
        let evidence = status.analysis.as_ref().filter(|a| a.revision == candidate.revision).map(in_words);
        let message = evidence.unwrap_or_else(|| "without analysis".into());
        let stable = RevisionStatus { revision: candidate.revision.clone(), image: Some(candidate.image.clone()) };
        status.stable = Some(stable);
        remember(
            release,
            status,
            candidate.revision,
            candidate.image,
            Outcome::Promoted,
            message,
            candidate.started_at,
        );
    }
    decide(release, status)
}

/// Puts a release into the history.
pub(super) fn remember(
    release: &Release<'_>,
    status: &mut RolloutStatus,
    revision: String,
    image: String,
    outcome: Outcome,
    message: String,
    started_at: Time,
) {
    // An old read may show a release under way again that is over: its end is told once.
    if status.history.first().is_some_and(|last| last.revision == revision && last.outcome == outcome) {
        return;
    }
    let finished_at = Time(release.seen.now);
    status.history.insert(0, ReleaseRecord { revision, image, outcome, message, started_at, finished_at });
    status.history.truncate(HISTORY);
}
