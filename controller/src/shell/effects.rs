//! Runs the effects of a plan.

use futures::future::join_all;
use jiff::SignedDuration;
use kube::{Api, ResourceExt};
use orchestra_crds::Lenient;
use orchestra_planner::cloud::Fault;
use orchestra_planner::lease::WRITE_LIMIT;
use orchestra_planner::plan::{Effect, Outcome, Plan, Urgency};

use super::status::replace_status;
use super::{Key, Managed, Shell};
use crate::act::act;
use crate::error::PassError;

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
        plan: &Plan<M::Status>,
        key: &Key,
    ) -> Result<Option<SignedDuration>, PassError> {
        let runs = plan.effects.iter().map(|effect| self.run_effect(effect, key));
        let results = join_all(runs).await;
        let mut status = object.object.status().cloned().unwrap_or_default();
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

    async fn run_effect(&self, effect: &Effect, key: &Key) -> Result<Outcome, Undone> {
        let (kind, namespace, name) = (key.0, key.1.as_str(), key.2.as_str());
        let (verb, resource) = (effect.verb(), effect.resource().to_string());
        self.may_write().map_err(Undone::NotAllowed)?;
        tracing::info!(kind, namespace, name, verb, resource, "writing to Google Cloud");
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
