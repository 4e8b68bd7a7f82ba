//! Runs the effects of a plan.

use futures::future::join_all;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, ResourceExt};
use orchestra_crds::Lenient;
use orchestra_crds::condition::READY;
use orchestra_planner::cloud::Fault;
use orchestra_planner::difference::{Difference, differences};
use orchestra_planner::lease::WRITE_LIMIT;
use orchestra_planner::plan::{Effect, Outcome, Plan, Urgency};

use super::status::replace_status;
use super::{Key, Managed, Shell};
use crate::act::act;
use crate::error::PassError;

/// What the status says of the object in a word: why something is written.
fn reason(conditions: &[Condition]) -> String {
    let ready = conditions.iter().find(|condition| condition.type_ == READY);
    ready.map(|condition| condition.reason.clone()).unwrap_or_default()
}

/// Why a write was not done.
enum Undone {
    /// Google refused, or did not answer.
    Failed(Fault),
    /// We may not write.
    NotAllowed(PassError),
}

impl Shell {
    /// Runs the effects, all at once: each is about another resource, and one that fails stops no other. Gives in how long
    /// one that failed may be tried again.
    pub(super) async fn run_effects<M: Managed>(
        &self,
        api: &Api<Lenient<M>>,
        mut object: Lenient<M>,
        seen: &M::Seen,
        plan: &Plan<M::Status>,
        key: &Key,
    ) -> Result<Option<SignedDuration>, PassError> {
        let mut status = object.object.status().cloned().unwrap_or_default();
        let why = reason(M::conditions(&mut status));
        let runs = plan.effects.iter().map(|effect| {
            let differences = differences(effect, M::before(seen, effect));
            self.run_effect(effect, differences, &why, key)
        });
        let results = join_all(runs).await;
        let (mut again, mut refused) = (None, None);
        let now = self.clock.now();
        for (effect, result) in plan.effects.iter().zip(results) {
            match result {
                Ok(outcome) => {
                    self.note_write(key, effect.resource(), Ok(()));
                    status = M::absorb(status, effect, &outcome, now);
                }
                Err(Undone::Failed(fault)) => {
                    let failed = self.note_write(key, effect.resource(), Err(fault));
                    let left = failed.and_then(|failed| failed.left(now, plan.urgency == Urgency::Rollback));
                    again = [again, left].into_iter().flatten().min();
                }
                Err(Undone::NotAllowed(error)) => refused = Some(error),
            }
        }
        if object.object.status() != Some(&status) {
            self.may_write()?;
            let name = object.name_any();
            object.object.set_status(status);
            replace_status(api, &name, &object).await?;
        }
        refused.map_or(Ok(again), Err)
    }

    async fn run_effect(
        &self,
        effect: &Effect,
        differences: Vec<Difference>,
        why: &str,
        key: &Key,
    ) -> Result<Outcome, Undone> {
        let (kind, namespace, name) = (key.0, key.1.as_str(), key.2.as_str());
        let (verb, resource) = (effect.verb(), effect.resource().to_string());
        self.may_write().map_err(Undone::NotAllowed)?;
        if let Some(witness) = &self.witness {
            witness.writes(effect, &differences);
        }
        let changes = differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::info!(kind, namespace, name, verb, resource, changes, why, "writing to Google Cloud");
        let limited = tokio::time::timeout(WRITE_LIMIT, act(&self.cloud, effect)).await;
        let result = match limited {
            Ok(result) => result.map_err(Fault::from),
            Err(_) => Err(Fault::late("write to Google Cloud", WRITE_LIMIT.as_secs())),
        };
        let word = if result.is_ok() { "ok" } else { "error" };
        self.metrics.effects.with_label_values(&[verb, word]).inc();
        result.map_err(|fault| {
            tracing::warn!(kind, namespace, name, verb, resource, fault = fault.message, "a write failed");
            Undone::Failed(fault)
        })
    }
}
