//! A revision comes into a region: with its service, or into a service that is there.

use orchestra_crds::{RolloutPhase, RolloutStatus};

use super::access::settings;
use super::identity::Release;
use super::region::marks;
use super::{Decision, RegionView, deadline};
use crate::cloud::{ServiceView, TrafficTarget};
use crate::marks::Step;
use crate::names::RevisionName;
use crate::plan::{Effect, NewService, POLL, ServiceChange};
use crate::template::EffectiveTemplate;
use crate::traffic;

/// The template of the candidate, if the spec still says the same.
fn template(release: &Release<'_>, candidate: &RevisionName) -> Option<EffectiveTemplate> {
    release.desired.as_ref().ok().filter(|d| d.is(candidate.as_str())).map(|d| d.template.clone())
}

/// A service that does not exist has no users: its first revision gets everything.
pub(super) fn create(
    release: &Release<'_>,
    status: &RolloutStatus,
    region: &RegionView,
    candidate: &RevisionName,
) -> Option<Effect> {
    let service = NewService {
        revision: candidate.clone(),
        template: template(release, candidate)?,
        traffic: traffic::all_to(candidate, &[]),
        marks: marks(release, status, None, candidate, Step::Full),
        settings: settings(release),
    };
    Some(Effect::CreateService(region.id.clone(), Box::new(service)))
}

/// Why a revision can't be added yet: it would overtake a change of traffic that is under way. None: it can.
pub(super) fn waits(
    release: &Release<'_>,
    status: &RolloutStatus,
    region: &RegionView,
    view: &ServiceView,
    candidate: &RevisionName,
) -> Option<Decision> {
    let moves = !traffic::same_shares(&pinned(release, status, region, view, candidate), &view.traffic);
    if view.settled || view.serving.is_empty() || !moves {
        return None;
    }
    let place = region.name();
    if view.written_at.is_some_and(|since| deadline::is_over(release, since)) {
        let message = format!(
            "{place}: the last change of the service does not take effect, and `{candidate}` waits for it: look at the \
             service in Cloud Run, and write its traffic anew there"
        );
        return Some(Decision::stalled(RolloutPhase::Deploying, "ServiceStuck", message).next(POLL));
    }
    let message = format!("{place}: `{candidate}` waits for a change of traffic that is under way");
    Some(Decision::working(RolloutPhase::Deploying, "WaitingForTraffic", message))
}

/// Traffic as it is meanwhile: to stable, or without one to the candidate.
fn pinned(
    release: &Release<'_>,
    status: &RolloutStatus,
    region: &RegionView,
    view: &ServiceView,
    candidate: &RevisionName,
) -> Vec<TrafficTarget> {
    let stable = release.stable_in(region, status);
    traffic::all_to(stable.as_ref().unwrap_or(candidate), &view.traffic)
}

/// The revision, with traffic pinned.
pub(super) fn add(
    release: &Release<'_>,
    status: &RolloutStatus,
    region: &RegionView,
    view: &ServiceView,
    candidate: &RevisionName,
) -> Option<Effect> {
    let stable = release.stable_in(region, status);
    let step = if stable.is_some() { Step::Deployed } else { Step::Full };
    let change = ServiceChange {
        template: Some((candidate.clone(), template(release, candidate)?)),
        traffic: Some(pinned(release, status, region, view, candidate)),
        marks: Some(marks(release, status, Some(&view.marks), candidate, step)),
        settings: Some(settings(release).over(&view.settings)),
    };
    Some(Effect::UpdateService(region.id.clone(), view.etag.clone(), Box::new(change)))
}
