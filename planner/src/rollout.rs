//! The Rollout: an explicit state machine over what the cloud shows. The status remembers; the cloud is believed.

mod access;
mod advance;
mod deadline;
mod deletion;
mod deploy;
mod identity;
mod idle;
mod judge;
mod questions;
mod region;
mod report;
mod rollback;

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{FINALIZER, OrchestraEnvironment, Rollout, RolloutPhase, RolloutStatus, requests};
use std::collections::BTreeMap;

use crate::cloud::{Fault, FaultClass, Minute, PolicyView, Reading, RevisionView, ServiceId, ServiceView};
use crate::conditions::{Overall, note};
use crate::names::RevisionName;
use crate::plan::{Effect, Finalizer, NOW, POLL, Plan, QUIET, with_way_out};
use identity::Release;

pub use questions::{MinutesQuery, Questions, questions, services};

/// Everything that the plan of a Rollout depends on.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The time in the world.
    pub now: Timestamp,
    /// The object, as the cluster has it now.
    pub rollout: Rollout,
    /// Its environment; none: there is no such object.
    pub environment: Option<OrchestraEnvironment>,
    /// Its service in each region, in the order of the waves.
    pub regions: Vec<RegionView>,
    /// Why the last effect for this object failed, until one succeeds.
    pub last_fault: Option<Fault>,
}

/// A Rollout's service in one region, and what was asked about it.
#[derive(Clone, Debug)]
pub struct RegionView {
    /// Which service.
    pub id: ServiceId,
    /// The service; none: there is none.
    pub service: Reading<Option<ServiceView>>,
    /// Revisions that were asked for; none: there is no such revision.
    pub revisions: BTreeMap<RevisionName, Reading<Option<RevisionView>>>,
    /// Who may call it, if asked for.
    pub policy: Option<Reading<PolicyView>>,
    /// Requests by minute, if asked for, and from when to when.
    pub minutes: Option<Minutes>,
}

/// Requests by minute, from when to when.
#[derive(Clone, Debug)]
pub struct Minutes {
    /// Beginning and end of the window.
    pub window: (Timestamp, Timestamp),
    /// The minutes in it that had requests.
    pub counts: Reading<Vec<Minute>>,
}

impl RegionView {
    /// A region of which only the service has been read.
    pub fn of(id: ServiceId, service: Reading<Option<ServiceView>>) -> Self {
        Self { id, service, revisions: BTreeMap::new(), policy: None, minutes: None }
    }

    fn name(&self) -> &str {
        self.id.region.as_str()
    }

    fn view(&self) -> Option<&ServiceView> {
        self.service.as_ref().ok().and_then(Option::as_ref)
    }

    /// Whether a revision is known not to exist here.
    fn lacks(&self, revision: &RevisionName) -> bool {
        matches!(self.revisions.get(revision), Some(Ok(None))) || matches!(self.service, Ok(None))
    }
}

/// Where a release is and what to do now.
struct Decision {
    phase: RolloutPhase,
    overall: Overall,
    /// Region that the release is in.
    region: Option<usize>,
    effects: Vec<Effect>,
    next: SignedDuration,
}

impl Decision {
    fn new(phase: RolloutPhase, overall: Overall) -> Self {
        let next = if matches!(overall, Overall::Reconciling(_)) { POLL } else { QUIET };
        Self { phase, overall, region: None, effects: vec![], next }
    }

    fn working(phase: RolloutPhase, reason: &str, message: impl Into<String>) -> Self {
        Self::new(phase, Overall::Reconciling(note(reason, message)))
    }

    fn stalled(phase: RolloutPhase, reason: &str, message: impl Into<String>) -> Self {
        Self::new(phase, Overall::Stalled(note(reason, message)))
    }

    /// A cloud that does not answer is waited for; one that refuses needs a person.
    fn unreadable(phase: RolloutPhase, what: &str, fault: &Fault) -> Self {
        let message = format!("{what} could not be read: {}", fault.message);
        match fault.class {
            FaultClass::Denied => Self::stalled(phase, "AccessDenied", message),
            FaultClass::Permanent => Self::stalled(phase, "CloudRejected", message),
            FaultClass::Retryable | FaultClass::Conflict => Self::working(phase, "CloudUnavailable", message),
        }
    }

    /// The same; where it needs a person, with what that one can do.
    fn with_way_out(mut self) -> Self {
        if let Overall::Stalled(note) = &mut self.overall {
            note.message = with_way_out(&note.message);
        }
        self
    }

    fn paused(message: impl Into<String>) -> Self {
        let mut decision = Self::stalled(RolloutPhase::Paused, "Paused", message);
        decision.next = SignedDuration::from_secs(60);
        decision
    }

    fn in_region(mut self, index: usize) -> Self {
        self.region = Some(index);
        self
    }

    fn doing(mut self, effects: Vec<Effect>) -> Self {
        if !effects.is_empty() {
            self.next = POLL;
        }
        self.effects = effects;
        self
    }

    fn next(mut self, next: SignedDuration) -> Self {
        self.next = next;
        self
    }
}

/// Decides what to do about a Rollout.
pub fn plan(seen: &Observation) -> Plan<RolloutStatus> {
    let meta = &seen.rollout.metadata;
    let has_finalizer = meta.finalizers.iter().flatten().any(|f| f == FINALIZER);
    let unchanged = |finalizer, next| Plan {
        finalizer,
        status: seen.rollout.status.clone().unwrap_or_default(),
        effects: vec![],
        events: vec![],
        next,
    };
    let release = Release::recover(seen);
    let mut status = release.remembered();
    let mut decision = match (meta.deletion_timestamp.is_some(), has_finalizer) {
        (true, false) => return unchanged(Finalizer::Keep, QUIET),
        (false, false) => return unchanged(Finalizer::Add, NOW),
        (true, true) => match deletion::decide(&release, &mut status) {
            Some(decision) => decision,
            None => return unchanged(Finalizer::Remove, NOW),
        },
        (false, true) => {
            let decision = decide(&release, &mut status);
            access::also(&release, &mut status, decision)
        }
    };
    if let Some(refused) = refused(seen, &decision) {
        decision.overall = refused;
    }
    report::finish(&release, status, decision)
}

/// The whole state machine: what is wrong first, then what is in the way, then the next step forward.
fn decide(release: &Release<'_>, status: &mut RolloutStatus) -> Decision {
    if let (true, Err(gate)) = (release.seen.regions.is_empty(), &release.desired) {
        // Without an environment there is nothing to see: no region is not the same as every region being done.
        return idle::closed(gate);
    }
    let unread = release.seen.regions.iter().find_map(|r| Some((r, r.service.as_ref().err()?)));
    if let (false, Some((region, fault))) = (release.remembers, unread) {
        return Decision::unreadable(RolloutPhase::Pending, &format!("the service in {}", region.name()), fault);
    }
    if status.failed.is_some()
        && let Some(decision) = rollback::after_failure(release, status)
    {
        return decision;
    }
    if let Some(decision) = rollback::supersede(release, status) {
        return decision;
    }
    if status.candidate.is_some() {
        return advance::advance(release, status);
    }
    idle::decide(release, status)
}

/// What Google said when the same effects were last tried.
fn refused(seen: &Observation, decision: &Decision) -> Option<Overall> {
    let fault = seen.last_fault.as_ref().filter(|_| !decision.effects.is_empty())?;
    Some(match fault.class {
        FaultClass::Denied => Overall::Stalled(note("AccessDenied", &fault.message)),
        FaultClass::Permanent => Overall::Stalled(note("CloudRejected", &fault.message)),
        FaultClass::Retryable | FaultClass::Conflict => {
            Overall::Reconciling(note("Retrying", format!("trying again after: {}", fault.message)))
        }
    })
}

impl Observation {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.rollout.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// `namespace/name`.
    fn full_name(&self) -> String {
        let meta = &self.rollout.metadata;
        format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    fn uid(&self) -> &str {
        self.rollout.metadata.uid.as_deref().unwrap_or_default()
    }

    fn generation(&self) -> i64 {
        self.rollout.metadata.generation.unwrap_or_default()
    }

    /// Whether a person holds the release, and how.
    fn paused(&self, candidate: Option<&str>) -> Option<&'static str> {
        if self.rollout.spec.paused {
            Some("spec.paused is true")
        } else if self.annotation(requests::PAUSE).is_some_and(|target| Some(target) == candidate) {
            Some("the pause annotation is set")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
