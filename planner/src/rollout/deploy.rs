//! A revision comes into a region: with its service, or into a service that is there.

use orchestra_crds::RolloutPhase;

use super::access::settings;
use super::region::Placement;
use super::{Decision, deadline};
use crate::cloud::{ServiceView, TrafficTarget};
use crate::marks::Step;
use crate::plan::{Effect, NewService, POLL, ServiceChange};
use crate::template::EffectiveTemplate;
use crate::traffic;

impl Placement<'_> {
    /// The template of the candidate, if the spec still says the same.
    fn template(&self) -> Option<EffectiveTemplate> {
        let desired = self.release.desired.as_ref().ok();
        desired.filter(|d| d.is(self.candidate.as_str())).map(|d| d.template.clone())
    }

    /// A service that does not exist has no users: its first revision gets everything.
    pub(super) fn create(&self) -> Option<Effect> {
        let service = NewService {
            revision: self.candidate.clone(),
            template: self.template()?,
            traffic: traffic::all_to(self.candidate, &[]),
            marks: self.marks(None, Step::Full),
            settings: settings(self.release),
        };
        Some(Effect::CreateService(self.region.id.clone(), Box::new(service)))
    }

    /// Why a revision can't be added yet: it would overtake a change of traffic that is under way. None: it can.
    pub(super) fn waits(&self, view: &ServiceView) -> Option<Decision> {
        let moves = !traffic::same_shares(&self.pinned(view), &view.traffic);
        if view.settled || view.serving.is_empty() || !moves {
            return None;
        }
        let (place, candidate) = (self.region.name(), self.candidate);
        if view.written_at.is_some_and(|since| deadline::is_over(self.release, since)) {
            let message = format!(
                "{place}: the last change of the service does not take effect, and `{candidate}` waits for it: look at \
                 the service in Cloud Run, and write its traffic anew there"
            );
            return Some(Decision::stalled(RolloutPhase::Deploying, "ServiceStuck", message).next(POLL));
        }
        let message = format!("{place}: `{candidate}` waits for a change of traffic that is under way");
        Some(Decision::working(RolloutPhase::Deploying, "WaitingForTraffic", message))
    }

    /// Traffic as it is meanwhile: to stable, or without one to the candidate.
    fn pinned(&self, view: &ServiceView) -> Vec<TrafficTarget> {
        traffic::all_to(self.stable().as_ref().unwrap_or(self.candidate), &view.traffic)
    }

    /// The revision, with traffic pinned.
    pub(super) fn add(&self, view: &ServiceView) -> Option<Effect> {
        let step = if self.stable().is_some() { Step::Deployed } else { Step::Full };
        let change = ServiceChange {
            template: Some((self.candidate.clone(), self.template()?)),
            traffic: Some(self.pinned(view)),
            marks: Some(self.marks(Some(&view.marks), step)),
            settings: Some(settings(self.release).over(&view.settings)),
        };
        Some(Effect::UpdateService(self.region.id.clone(), view.etag.clone(), Box::new(change)))
    }
}
