//! Long-running operations: each is started, its name is stored in the status, and it is asked about until it ends.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{EnvironmentStatus, OperationFailure, OperationStatus, OperationVerb};

use super::Observation;
use super::part::PartPlan;
use crate::cloud::OperationView;
use crate::plan::{Effect, Outcome};
use crate::reason::Reason;
use crate::resource::ResourceId;

/// How long an operation may take before a person is told.
pub(super) const DEADLINE: SignedDuration = SignedDuration::from_mins(60);
/// How long to wait before trying again what Google could not do.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(10);

fn find<'a>(status: &'a EnvironmentStatus, resource: &ResourceId) -> Option<&'a OperationStatus> {
    let key = resource.to_string();
    status.operations.iter().find(|operation| operation.resource == key)
}

/// Forgets what is known of a resource's operations.
pub(super) fn forget(status: &mut EnvironmentStatus, resource: &ResourceId) {
    let key = resource.to_string();
    status.operations.retain(|operation| operation.resource != key);
}

fn put(status: &mut EnvironmentStatus, operation: OperationStatus) {
    status.operations.retain(|known| known.resource != operation.resource);
    status.operations.push(operation);
    status.operations.sort_by(|a, b| a.resource.cmp(&b.resource));
}

/// An operation is asked for: noted before the call, so that a lost answer is known to be one.
pub(super) fn note_start(seen: &Observation, status: &mut EnvironmentStatus, effect: &Effect) {
    if let Some(verb) = effect.operation() {
        let (resource, started_at) = (effect.resource().to_string(), Time(seen.now));
        put(status, OperationStatus { resource, verb, name: None, started_at, failure: None });
    }
}

/// The status with the name of the operation that an effect started.
pub fn absorb(mut status: EnvironmentStatus, effect: &Effect, outcome: &Outcome, now: Timestamp) -> EnvironmentStatus {
    if let (Some(verb), Outcome::Started(name)) = (effect.operation(), outcome) {
        let resource = effect.resource();
        let started_at = find(&status, &resource).map_or(Time(now), |known| known.started_at.clone());
        let operation = OperationStatus {
            resource: resource.to_string(),
            verb,
            name: Some(name.clone()),
            started_at,
            failure: None,
        };
        put(&mut status, operation);
    }
    status
}

/// What an operation under way is called, for people.
pub(super) fn under_way(what: &str, name: &str, verb: OperationVerb) -> PartPlan {
    let (reason, doing) = match verb {
        OperationVerb::Create => (Reason::RedisCreating, "created"),
        OperationVerb::Resize => (Reason::RedisResizing, "resized"),
        OperationVerb::Label => (Reason::RedisLabelling, "labelled"),
        OperationVerb::Delete => (Reason::RedisDeleting, "deleted"),
    };
    PartPlan::working(reason, format!("{what} `{name}` is being {doing}"))
}

/// A verb in a sentence.
fn word(verb: OperationVerb) -> &'static str {
    match verb {
        OperationVerb::Create => "creating",
        OperationVerb::Resize => "resizing",
        OperationVerb::Label => "labelling",
        OperationVerb::Delete => "deleting",
    }
}

/// Notes how a resource's operation went; while it is under way, nothing else may start on it.
pub(super) fn settle(
    seen: &Observation,
    status: &mut EnvironmentStatus,
    resource: &ResourceId,
    (what, name): (&str, &str),
) -> Option<PartPlan> {
    let operation = find(status, resource).filter(|operation| operation.failure.is_none())?.clone();
    let overdue = seen.now.duration_since(operation.started_at.0) > DEADLINE;
    match seen.operations.get(resource) {
        Some(Ok(OperationView::Pending) | Err(_)) if overdue => Some(PartPlan::stalled(
            Reason::OperationOverdue,
            format!(
                "{} {what} `{name}` has not ended after {} minutes: look at operation {} in Google Cloud",
                word(operation.verb),
                DEADLINE.as_mins(),
                operation.name.as_deref().unwrap_or("(unnamed)")
            ),
        )),
        Some(Ok(OperationView::Pending)) => Some(under_way(what, name, operation.verb)),
        Some(Err(fault)) => Some(PartPlan::unreadable(&format!("the operation on {what} `{name}`"), fault)),
        Some(Ok(OperationView::Failed(fault))) => {
            let failure = OperationFailure {
                generation: seen.generation(),
                message: fault.message.clone(),
                time: Time(seen.now),
            };
            put(status, OperationStatus { failure: Some(failure), ..operation });
            None
        }
        // Ended, forgotten, or asked for without an answer: the resource itself tells what became of it.
        Some(Ok(OperationView::Done | OperationView::Forgotten)) | None => {
            forget(status, resource);
            None
        }
    }
}

/// Whether Google could not do the same a short while ago.
pub(super) fn failed_before(
    seen: &Observation,
    status: &EnvironmentStatus,
    resource: &ResourceId,
    what: &str,
    verb: OperationVerb,
) -> Option<PartPlan> {
    let known = find(status, resource).filter(|operation| operation.verb == verb)?;
    let failure = known.failure.as_ref().filter(|failure| failure.generation == seen.generation())?;
    (seen.now.duration_since(failure.time.0) < RETRY_AFTER).then(|| {
        let minutes = RETRY_AFTER.as_mins();
        let message = format!("{} {what} failed, tried again after {minutes} minutes: {}", word(verb), failure.message);
        PartPlan::stalled(Reason::RedisFailed, message)
    })
}
