//! A revision comes into a region: with its service, or into a service that is there.

use orchestra_crds::RolloutPhase;

use super::decision::Decision;
use super::desire::Desire;
use super::progress::Placement;
use super::{deadline, settings};
use crate::cloud::{ServiceView, Target, TrafficTarget};
use crate::marks::{Marks, Position};
use crate::names::{Percent, RevisionName};
use crate::plan::{Effect, NewService, POLL, ServiceChange};
use crate::reason::Reason;
use crate::traffic;

impl Placement<'_, '_> {
    /// A service that does not exist has no users: its first revision gets everything.
    pub(super) fn create(&self, desire: &Desire) -> Option<Effect> {
        let revision = self.candidate.release.revision.clone();
        let new = NewService {
            template: self.template(desire)?.clone(),
            traffic: traffic::all_to(&revision, &[]),
            marks: Marks { others: self.pass.seen.rollout.spec.annotations.clone(), ..self.marks(Position::Full) },
            settings: settings::wanted(self.pass.seen),
            revision,
        };
        Some(Effect::CreateService { service: self.place.seen.id.clone(), new: Box::new(new) })
    }

    /// Why a revision can't be added yet: it would overtake a change of traffic that is under way. None: it can.
    pub(super) fn blocked_by(&self, view: &ServiceView) -> Option<Decision> {
        let moves = !traffic::same_shares(&self.pinned(view), &view.traffic);
        if view.settled || view.serving.is_empty() || !moves {
            return None;
        }
        let (place, candidate) = (self.place.region(), &self.candidate.release.revision);
        if view.written_at.is_some_and(|since| deadline::is_over(self.pass, since)) {
            let message = format!(
                "{place}: the last change of the service does not take effect, and `{candidate}` waits for it: look at \
                 the service in Cloud Run; its traffic is written again as it was asked for"
            );
            let stuck = Decision::stalled(RolloutPhase::Deploying, Reason::ServiceStuck, message).look_again_in(POLL);
            return Some(stuck.with_effects(self.write_again(view).into_iter().collect()));
        }
        let message = format!("{place}: `{candidate}` waits for a change of traffic that is under way");
        Some(Decision::working(RolloutPhase::Deploying, Reason::WaitingForTraffic, message))
    }

    /// What was asked for, once more: a write of long ago that never took effect ends with it. Where the newest revision
    /// was asked for, which is another by now, what is in effect is asked for instead; and where something serves that
    /// has failed, a way back from it.
    fn write_again(&self, view: &ServiceView) -> Option<Effect> {
        let latest = |target: &TrafficTarget| target.to == Target::Latest && target.percent > Percent::NONE;
        let has_failed = |name: &RevisionName| {
            let has_requests = traffic::weight_of(name, &view.serving) > Percent::NONE;
            has_requests && self.place.marks.has_failed(name)
        };
        let home = self.stable().filter(|_| traffic::revisions(&view.serving).any(has_failed));
        let traffic = if let Some(home) = home {
            traffic::all_to(&home, &view.traffic)
        } else if view.traffic.iter().any(latest) {
            traffic::as_served(&view.serving, &view.traffic)?
        } else {
            view.traffic.clone()
        };
        let marks = Some(self.place.owned_marks(self.pass.seen, self.memory));
        let change = ServiceChange { traffic: Some(traffic), marks, ..ServiceChange::default() };
        let (service, etag) = (self.place.seen.id.clone(), view.etag.clone());
        Some(Effect::UpdateService { service, etag, change: Box::new(change) })
    }

    /// Traffic as it is meanwhile: to stable, or without one to the candidate.
    fn pinned(&self, view: &ServiceView) -> Vec<TrafficTarget> {
        traffic::all_to(self.stable().as_ref().unwrap_or(&self.candidate.release.revision), &view.traffic)
    }

    /// The revision, with traffic pinned.
    pub(super) fn add(&self, view: &ServiceView, desire: &Desire) -> Option<Effect> {
        let position = if self.stable().is_some() { Position::Deployed } else { Position::Full };
        let template = self.template(desire)?.clone();
        let change = ServiceChange {
            template: Some((self.candidate.release.revision.clone(), template)),
            traffic: Some(self.pinned(view)),
            marks: Some(Marks { others: settings::annotations(self.pass, self.memory, view), ..self.marks(position) }),
            settings: settings::changes(self.pass, self.memory, &view.settings),
        };
        let (service, etag) = (self.place.seen.id.clone(), view.etag.clone());
        Some(Effect::UpdateService { service, etag, change: Box::new(change) })
    }
}
