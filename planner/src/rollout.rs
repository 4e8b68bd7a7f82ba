//! The Rollout: an explicit state machine over what the cloud shows. The status remembers; the cloud is believed.
//!
//! A pass recovers what is known ([`memory`]), then takes turns: each either changes what is known and lets the next one
//! begin, or decides. What is wrong comes first, then what is in the way, then the next step forward.

mod adopt;
mod advance;
mod alerts;
mod by_others;
mod capacity;
mod deadline;
mod decision;
mod deletion;
mod deploy;
mod desire;
mod events;
mod failure;
mod fast_lane;
mod hold;
mod invokers;
mod judge;
mod keep;
mod leave;
mod memory;
mod observed;
mod outdated;
mod outlook;
mod partial;
mod pass;
mod past;
mod place;
mod progress;
mod promoted;
mod questions;
mod reach;
mod report;
mod requests;
mod restore;
mod rollback;
mod secrets;
mod settings;
mod start;
mod steps;
mod supersede;
mod tags;
mod undo;
mod unread;

use jiff::Timestamp;
use orchestra_crds::{FINALIZER, Metric, OrchestraEnvironment, Rollout, RolloutPhase, RolloutStatus, Unread};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::cloud::{
    CountsQuery, Failures, FailuresQuery, Incidents, Measured, PolicyView, Reading, RevisionView, SecretVersionId,
    ServiceId, ServiceView, VersionView,
};
use crate::difference::Before;
use crate::names::RevisionName;
use crate::plan::{Effect, Finalizer, NOW, Plan, QUIET, Urgency};
use crate::reason::Reason;
use crate::resource::{FailedWrites, ResourceId};
use crate::traffic::busiest;
use decision::Decision;
use desire::Desire;
use memory::Memory;
use pass::Pass;

pub use outlook::{Outlook, outlook, planned_minutes};
pub use questions::{Questions, RegionQuestions, haste, questions, services};
pub use requests::is_asked;
pub(crate) use requests::paused;

/// Everything that the plan of a Rollout depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// The time in the world.
    pub now: Timestamp,
    /// The object, as the cluster has it now.
    pub rollout: Rollout,
    /// What of it can't be read, and is left out.
    #[serde(default)]
    pub unread: Vec<Unread>,
    /// Its environment; none: there is no such object, or nothing of it can be read.
    pub environment: Option<OrchestraEnvironment>,
    /// What of the environment can't be read, and is left out.
    #[serde(default)]
    pub environment_unread: Vec<Unread>,
    /// Its service in each region: those of the environment in their order, and those that left it.
    pub regions: Vec<RegionView>,
    /// Versions of secrets that were asked for; none: there is no such version, or it is not enabled.
    #[serde(default)]
    pub secrets: BTreeMap<SecretVersionId, Reading<Option<VersionView>>>,
    /// Incidents of the project that are open, if asked for.
    #[serde(default)]
    pub incidents: Option<Reading<Incidents>>,
    /// Writes that failed, by resource, until one to the same succeeds.
    pub failed_writes: FailedWrites,
}

/// A Rollout's service in one region, and what was asked about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegionView {
    /// Which service.
    pub id: ServiceId,
    /// The service; none: there is none.
    pub service: Reading<Option<ServiceView>>,
    /// Revisions that were asked for; none: there is no such revision.
    pub revisions: BTreeMap<RevisionName, Reading<Option<RevisionView>>>,
    /// Who may call it, if asked for.
    pub policy: Option<Reading<PolicyView>>,
    /// Counts by minute, of each metric that was asked for.
    pub counts: BTreeMap<Metric, Counts>,
    /// Failed requests by its logs, if asked for.
    #[serde(default)]
    pub failures: Option<Logged>,
}

/// Failed requests by request logs, and what was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Logged {
    /// The question.
    pub query: FailuresQuery,
    /// The answer.
    pub failures: Reading<Failures>,
}

/// Counts by minute, and what was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// The question.
    pub query: CountsQuery,
    /// The answer.
    pub measured: Reading<Measured>,
}

impl RegionView {
    /// A region of which only the service has been read.
    pub fn of(id: ServiceId, service: Reading<Option<ServiceView>>) -> Self {
        Self { id, service, revisions: BTreeMap::new(), policy: None, counts: BTreeMap::new(), failures: None }
    }

    fn view(&self) -> Option<&ServiceView> {
        self.service.as_ref().ok().and_then(Option::as_ref)
    }

    /// Whether a revision is known not to exist here.
    fn lacks(&self, revision: &RevisionName) -> bool {
        matches!(self.revisions.get(revision), Some(Ok(None))) || matches!(self.service, Ok(None))
    }
}

impl Observation {
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
}

/// What a turn comes to.
enum Turn {
    /// Something is known that was not, and the next turn begins.
    Again,
    /// This is what to do.
    Do(Box<Decision>),
}

impl From<Decision> for Turn {
    fn from(decision: Decision) -> Self {
        Self::Do(Box::new(decision))
    }
}

/// More turns than any pass takes: a failure, a retry, a return and a start make five.
const MOST_TURNS: usize = 12;

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
        urgency: Urgency::Quiet,
    };
    let (pass, mut memory) = Pass::recover(seen);
    let decision = match (meta.deletion_timestamp.is_some(), has_finalizer) {
        (true, false) => return unchanged(Finalizer::Keep, QUIET),
        (false, false) => return unchanged(Finalizer::Add, NOW),
        // What is only observed is left as it is.
        (true, true) if observed::is_on(seen) && !observed::is_unread(seen) => {
            return unchanged(Finalizer::Remove, NOW);
        }
        (true, true) => match deletion::decide(&pass, &mut memory) {
            Some(decision) => decision,
            None => return unchanged(Finalizer::Remove, NOW),
        },
        (false, true) => {
            if let Some(ignored_requests) = requests::brought_along(&pass) {
                let status = RolloutStatus { ignored_requests, ..RolloutStatus::default() };
                return Plan { status, ..unchanged(Finalizer::Keep, NOW) };
            }
            if observed::is_on(seen) {
                let decision = observed::decide_nothing(&pass, &mut memory);
                return report::plan(&pass, memory, decision);
            }
            let mut decision = decide(&pass, &mut memory);
            beside(&pass, &mut memory, &mut decision);
            decision
        }
    };
    report::plan(&pass, memory, decision)
}

/// What is written beside the release: what is known of the spec in full asks for it.
fn beside(pass: &Pass<'_>, memory: &mut Memory, decision: &mut Decision) {
    if unread::told(pass.seen).is_none() {
        leave::add_departures(pass, memory, decision);
        settings::add_settings(pass, memory, decision);
        invokers::add_invokers(pass, memory, decision);
        secrets::add_secrets(pass, memory, decision);
        tags::settle(pass, memory, decision);
        outdated::add_deletions(pass, memory, decision);
    }
}

/// What a write is about, as it was read.
pub fn before<'a>(seen: &'a Observation, effect: &Effect) -> Before<'a> {
    let region = match effect.resource() {
        ResourceId::Service(id) | ResourceId::Policy(id) | ResourceId::Revisions(id) => {
            seen.regions.iter().find(|region| region.id == id)
        }
        ResourceId::Redis(_) => None,
    };
    let service = region.and_then(RegionView::view);
    let revisions = region.map(|region| &region.revisions);
    let read = |name: &RevisionName| revisions?.get(name)?.as_ref().ok()?.as_ref();
    let serves = service.and_then(|service| busiest(&service.serving).or(service.template_revision.as_ref()));
    let policy = region.and_then(|region| region.policy.as_ref()?.as_ref().ok());
    Before { service, revision: serves.and_then(read), policy, redis: None }
}

/// The whole state machine.
fn decide(pass: &Pass<'_>, memory: &mut Memory) -> Decision {
    for _ in 0..MOST_TURNS {
        if let Turn::Do(decision) = turn(pass, memory) {
            return *decision;
        }
    }
    let message = "what is known contradicts itself: please report this, with the object's YAML";
    Decision::stalled(RolloutPhase::Pending, Reason::Contradiction, message)
}

/// What is wrong first, then what is in the way, then the next step forward.
fn turn(pass: &Pass<'_>, memory: &mut Memory) -> Turn {
    if let (true, Err(gate)) = (pass.places.is_empty(), &pass.built) {
        // Without an environment there is nothing to see: no region is not the same as every region being done.
        return Decision::closed(RolloutPhase::Pending, gate).into();
    }
    if let Some(decision) = unknown_marks(pass, RolloutPhase::Pending) {
        return decision.into();
    }
    if let Some(turn) = partial::turn(pass, memory) {
        return turn;
    }
    if let Some(turn) = undo::turn(pass, memory) {
        return turn;
    }
    if let Some(turn) = failure::take_back(pass, memory) {
        return turn;
    }
    if let Some(turn) = failure::of_marks(pass, memory) {
        return turn;
    }
    if let Some(turn) = unread::turn(pass, memory) {
        return turn;
    }
    if let Some(turn) = failure::release_again(pass, memory) {
        return turn;
    }
    if let Some(turn) = restore::turn(pass, memory) {
        return turn;
    }
    if let Some(turn) = adopt::turn(pass, memory) {
        return turn;
    }
    let desire = Desire::of(pass, memory);
    if let Some(turn) = supersede::turn(pass, memory, &desire) {
        return turn;
    }
    if memory.candidate.is_some() {
        return advance::turn(pass, memory, &desire);
    }
    start::turn(pass, memory, &desire)
}

/// A mark that this version can't read: nothing is touched then.
fn unknown_marks(pass: &Pass<'_>, phase: RolloutPhase) -> Option<Decision> {
    let known = |place: &&place::Place<'_>| place.ownership != place::Ownership::Foreign;
    let found = pass.places.iter().filter(known).find_map(|place| Some((place, place.marks.unknown.as_ref()?)))?;
    let (place, mark) = found;
    let message = format!(
        "{}: this version of the controller can't read the service's annotation `{mark}`, and touches nothing: run the \
         version that wrote it, or correct the annotation",
        place.region()
    );
    Some(Decision::stalled(phase, Reason::MarksNotUnderstood, message))
}

#[cfg(test)]
mod tests;
