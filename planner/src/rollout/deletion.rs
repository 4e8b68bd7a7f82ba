//! The end of a Rollout: its services are released or deleted, by the environment's policy.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{DeletionPolicy, RolloutPhase, RolloutStatus};

use super::Decision;
use super::identity::{Ownership, Release};
use crate::marks::Marks;
use crate::names::RevisionName;
use crate::plan::{Effect, ServiceChange};
use crate::second_look;
use crate::traffic::{all_to, same_shares};

/// What is left to do; none: nothing of ours is left.
pub(super) fn decide(release: &Release<'_>, status: &mut RolloutStatus) -> Option<Decision> {
    let policy = release.seen.environment.as_ref().map(|e| e.spec.deletion_policy).unwrap_or_default();
    if release.seen.environment.is_none() && release.remembers {
        let message = format!(
            "environment `{}` is gone, and with it where the services are: create it again, or take the finalizer off \
             by hand and look after the services yourself",
            release.seen.rollout.spec.environment_ref.name
        );
        return Some(Decision::stalled(RolloutPhase::Deleting, "EnvironmentMissing", message));
    }
    if let Some((region, fault)) = release.seen.regions.iter().find_map(|r| Some((r, r.service.as_ref().err()?))) {
        let what = format!("the service in {}", region.name());
        let decision = Decision::unreadable(RolloutPhase::Deleting, &what, fault);
        return Some(decision.with_way_out());
    }
    let mine: Vec<_> =
        release.ours().filter(|(_, _, view)| release.ownership(&view.marks) == Ownership::Ours).collect();
    if mine.is_empty() {
        return unless_seen_twice(release, status);
    }
    status.absent_since = None;
    let effects = mine
        .iter()
        .filter_map(|(_, region, view)| match policy {
            DeletionPolicy::Delete => view.settled.then(|| Effect::DeleteService(region.id.clone(), view.etag.clone())),
            DeletionPolicy::Retain => {
                let change = let_go(release, region, view);
                Some(Effect::UpdateService(region.id.clone(), view.etag.clone(), Box::new(change)))
            }
        })
        .collect();
    let what = if policy == DeletionPolicy::Delete { "deleted" } else { "released" };
    let message = format!("the Cloud Run services are being {what}");
    Some(Decision::working(RolloutPhase::Deleting, "Deleting", message).doing(effects))
}

/// Lets go of what we knew of only when a second look finds nothing of ours, either.
fn unless_seen_twice(release: &Release<'_>, status: &mut RolloutStatus) -> Option<Decision> {
    let now = release.seen.now;
    let first = second_look::first(status.absent_since.as_ref(), now);
    status.absent_since = Some(Time(first));
    let left = second_look::wait(first, now).filter(|_| release.remembers)?;
    let message = "none of the services is ours any more: looking once more before letting go";
    Some(Decision::working(RolloutPhase::Deleting, "ConfirmingAbsence", message).next(left))
}

/// Takes our UID off, for an object of the same name to take the service over. A release that is half way goes back.
fn let_go(release: &Release<'_>, region: &super::RegionView, view: &crate::cloud::ServiceView) -> ServiceChange {
    let status = release.remembered();
    let moving = status.candidate.is_some() || status.failed.as_ref().is_some_and(|f| !f.rolled_back);
    let half_way = moving && release.seen.paused(None).is_none();
    let stable: Option<RevisionName> = release.stable_in(region, &status).filter(|_| half_way);
    let traffic = stable.map(|s| all_to(&s, &view.traffic)).filter(|t| !same_shares(t, &view.traffic));
    let owner = view.marks.owner.clone().map(|owner| crate::marks::Owner { uid: None, ..owner });
    let candidate = view.marks.candidate.clone().filter(|_| !half_way);
    let marks = Marks { owner, candidate, ..view.marks.clone() };
    ServiceChange { traffic, marks: Some(marks), ..ServiceChange::default() }
}
