//! No release is going on: start one if the template is new, otherwise keep what is there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{CanaryStep, CandidateStatus, Outcome, RolloutPhase, RolloutStatus, condition};

use super::advance::{advance, foreign};
use super::identity::{Desired, Ownership, Release};
use super::{Decision, RegionView};
use crate::conditions::{self, Overall, note};
use crate::names::RevisionName;
use crate::plan::{Effect, ServiceChange};
use crate::template::{Gate, allowed};
use crate::traffic::{all_to, same_shares, weight_of};

pub(super) fn decide(release: &Release<'_>, status: &mut RolloutStatus) -> Decision {
    let seen = release.seen;
    let desired = match &release.desired {
        Ok(desired) => desired,
        Err(gate) => return closed(gate),
    };
    if let Some((region, fault)) = seen.regions.iter().find_map(|r| Some((r, r.service.as_ref().err()?))) {
        return Decision::unreadable(phase(status), &format!("the service in {}", region.name()), fault);
    }
    let is_foreign = |r: &&RegionView| r.view().is_some_and(|v| release.ownership(&v.marks) == Ownership::Foreign);
    if let Some(region) = seen.regions.iter().find(is_foreign) {
        return foreign(region);
    }
    match status.stable.clone().filter(|stable| desired.is(&stable.revision)) {
        Some(stable) => match RevisionName::new(stable.revision.as_str()) {
            Ok(name) if !seen.regions.iter().any(|region| region.lacks(&name)) => keep(release, status, &name),
            Ok(name) => start(release, status, desired, &name),
            Err(bad) => Decision::stalled(RolloutPhase::Pending, "InvalidStatus", bad.to_string()),
        },
        None => start(release, status, desired, &release.fresh_name(desired, status)),
    }
}

/// What must be in place first is not.
pub(super) fn closed(gate: &Gate) -> Decision {
    let overall = match gate {
        Gate::Waiting(note) => Overall::Reconciling(note.clone()),
        Gate::Blocked(note) => Overall::Stalled(note.clone()),
    };
    Decision::new(RolloutPhase::Pending, overall)
}

fn phase(status: &RolloutStatus) -> RolloutPhase {
    status.phase.unwrap_or(RolloutPhase::Pending)
}

/// Everything is as it should be, or is put back to that.
fn keep(release: &Release<'_>, status: &RolloutStatus, stable: &RevisionName) -> Decision {
    let mut effects = vec![];
    let mut moving = false;
    for (_, region, view) in release.ours() {
        let drifted = !same_shares(&all_to(stable, &view.traffic), &view.traffic);
        let released = release.ownership(&view.marks) == Ownership::Released;
        moving |= !view.settled || weight_of(stable, &view.serving).get() != 100;
        if (drifted && release.seen.paused(None).is_none() && view.settled) || released {
            let mut marks = view.marks.clone();
            marks.owner = Some(release.owner());
            let traffic = drifted.then(|| all_to(stable, &view.traffic));
            let change = ServiceChange { traffic, marks: Some(marks), ..ServiceChange::default() };
            effects.push(Effect::UpdateService(region.id.clone(), view.etag.clone(), Box::new(change)));
        }
    }
    if !effects.is_empty() || moving {
        let message = format!("traffic goes back to `{stable}`");
        return Decision::working(RolloutPhase::Promoted, "Correcting", message).doing(effects);
    }
    let mut message = format!("`{stable}` gets all requests");
    if let Some(last) = status.history.first().filter(|last| last.revision == stable.as_str()) {
        message = format!("{message}; {}", last.message);
    }
    Decision::new(RolloutPhase::Promoted, Overall::Ready(note("Promoted", message)))
}

/// Starts a release, if nothing is in the way.
fn start(release: &Release<'_>, status: &mut RolloutStatus, desired: &Desired, revision: &RevisionName) -> Decision {
    let seen = release.seen;
    let environment = seen.environment.as_ref();
    let returning = was_promoted(status, revision);
    if let Some(Err(gate)) = environment.filter(|_| !returning).map(|e| allowed(&desired.template.image, e)) {
        return closed(&gate);
    }
    let conditions = environment.and_then(|e| e.status.as_ref()).map(|s| s.conditions.as_slice()).unwrap_or_default();
    if !conditions::is_true(conditions, condition::READY) {
        let name = &seen.rollout.spec.environment_ref.name;
        let message = format!("waiting for environment `{name}` to become Ready");
        return Decision::working(RolloutPhase::Pending, "EnvironmentNotReady", message);
    }
    if let Some(how) = seen.paused(Some(revision.as_str())) {
        return Decision::paused(format!("a release of `{revision}` is held, {how}"));
    }
    status.candidate = Some(CandidateStatus {
        revision: revision.to_string(),
        image: desired.template.image.clone(),
        started_at: Time(seen.now),
        steps: steps(release, status, revision),
        promote_token: None,
    });
    status.analysis = None;
    advance(release, status)
}

fn was_promoted(status: &RolloutStatus, revision: &RevisionName) -> bool {
    status.history.iter().any(|r| r.revision == revision.as_str() && r.outcome == Outcome::Promoted)
}

/// The steps that a candidate takes: none without a stable revision to compare with, and none on the way back to a
/// revision that was promoted before.
fn steps(release: &Release<'_>, status: &RolloutStatus, revision: &RevisionName) -> Vec<CanaryStep> {
    let before = was_promoted(status, revision);
    let canary = release.seen.rollout.spec.strategy.canary.as_ref();
    canary.filter(|_| status.stable.is_some() && !before).map(|c| c.steps.clone()).unwrap_or_default()
}
