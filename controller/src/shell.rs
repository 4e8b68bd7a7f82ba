//! The one loop that runs every plan: observe, plan, write the status, then act. Nothing else writes to the cluster's
//! objects or to Google.

use futures::future::join_all;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::events::{Event as KubeEvent, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use orchestra_cloud::Cloud;
use orchestra_crds::FINALIZER;
use orchestra_planner::cloud::{Fault, FaultClass};
use orchestra_planner::lease::WRITE_LIMIT;
use orchestra_planner::plan::{Effect, Event, Finalizer, Plan, Severity};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::act::{Outcome, act};
use crate::clock::Clock;
use crate::error::PassError;
use crate::lease::Leadership;
use crate::metrics::Metrics;

/// Longest that a call of the cluster may take.
const KUBE_LIMIT: Duration = Duration::from_secs(15);
/// Waits after failures: doubling, from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(120));
/// Wait after somebody else changed something at the same time.
const AFTER_CONFLICT: Duration = Duration::from_millis(50);

/// What the shell works with.
pub struct Shell {
    pub(crate) kube: Client,
    pub(crate) cloud: Cloud,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    leadership: Leadership,
    recorder: Recorder,
    troubles: Mutex<BTreeMap<Key, Trouble>>,
}

/// Kind, namespace and name.
type Key = (&'static str, String, String);

/// What went wrong with an object lately.
#[derive(Clone, Debug, Default)]
struct Trouble {
    attempts: u32,
    fault: Option<Fault>,
}

/// A kind that the shell manages.
pub trait Managed: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
where
    Self: Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static,
{
    /// Its name in metrics.
    const KIND: &'static str;
    /// Its status.
    type Status: Clone + PartialEq + Default + Send;

    /// Looks at the world and decides what to do.
    fn look_and_plan(
        shell: &Shell,
        object: Self,
        last_fault: Option<Fault>,
    ) -> impl Future<Output = Result<Plan<Self::Status>, PassError>> + Send;

    /// Its status as read.
    fn status(&self) -> Option<&Self::Status>;

    /// Puts another status on it.
    fn set_status(&mut self, status: Self::Status);

    /// The status after an effect started an operation.
    fn absorb(shell: &Shell, status: Self::Status, effect: &Effect, operation: &str) -> Self::Status;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call of the cluster, with a time limit.
pub(crate) async fn kube_call<T>(
    operation: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, PassError> {
    kube_call_within(KUBE_LIMIT, operation, call).await
}

/// A call of the cluster, with another time limit.
pub(crate) async fn kube_call_within<T>(
    limit: Duration,
    operation: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, PassError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|e| PassError::kube(operation, e)),
        Err(_) => Err(PassError::Late(operation)),
    }
}

/// Writes a status; refused when the object is not the version that was read.
async fn replace_status<M: Managed>(api: &Api<M>, name: &str, object: &M) -> Result<M, PassError> {
    let parameters = PostParams::default();
    kube_call("write the status", api.replace_status(name, &parameters, object)).await
}

impl Shell {
    /// A shell over a cluster and a cloud.
    pub fn new(kube: Client, cloud: Cloud, clock: Clock, leadership: Leadership, metrics: Metrics) -> Self {
        let recorder = Recorder::new(kube.clone(), Reporter::from("orchestra-controller"));
        Self { kube, cloud, clock, metrics, leadership, recorder, troubles: Mutex::default() }
    }

    /// One pass over one object. Gives the real time after which to look again; none when the object is gone.
    pub async fn reconcile<M: Managed>(&self, namespace: &str, name: &str) -> Option<Duration> {
        let key = (M::KIND, namespace.to_string(), name.to_string());
        let timer = self.metrics.pass_seconds.with_label_values(&[M::KIND]).start_timer();
        let result = self.pass::<M>(namespace, name, &key).await;
        timer.observe_duration();
        let word = result.as_ref().map_or_else(|e| e.category(), |_| "ok");
        self.metrics.passes.with_label_values(&[M::KIND, word]).inc();
        match result {
            Ok(next) => {
                lock(&self.troubles).remove(&key);
                next.map(|next| self.clock.real_span(next))
            }
            Err(error) => Some(self.after_error(key, error)),
        }
    }

    fn after_error(&self, key: Key, error: PassError) -> Duration {
        let (kind, namespace, name) = (key.0, key.1.clone(), key.2.clone());
        if error.class() == FaultClass::Conflict {
            tracing::debug!(kind, namespace, name, %error, "looking again");
        } else {
            tracing::warn!(kind, namespace, name, %error, "trying again later");
        }
        let mut troubles = lock(&self.troubles);
        let trouble = troubles.entry(key).or_default();
        if let PassError::Cloud(fault) = &error {
            trouble.fault = Some(fault.clone());
        }
        if error.class() == FaultClass::Conflict && trouble.attempts < 3 {
            trouble.attempts += 1;
            return AFTER_CONFLICT;
        }
        let wait = BACKOFF.0.saturating_mul(1 << trouble.attempts.min(16)).min(BACKOFF.1);
        trouble.attempts += 1;
        wait
    }

    async fn pass<M: Managed>(
        &self,
        namespace: &str,
        name: &str,
        key: &Key,
    ) -> Result<Option<SignedDuration>, PassError> {
        let api: Api<M> = Api::namespaced(self.kube.clone(), namespace);
        let Some(object) = kube_call("read the object", api.get_opt(name)).await? else { return Ok(None) };
        let fault = lock(&self.troubles).get(key).and_then(|t| t.fault.clone());
        let plan = M::look_and_plan(self, object.clone(), fault).await?;
        if plan.finalizer != Finalizer::Keep {
            self.change_finalizer(&api, &object, plan.finalizer).await?;
            return Ok(Some(plan.next));
        }
        let written = self.write_status(&api, object.clone(), plan.status.clone(), &plan.effects).await?;
        let acted = match written {
            Some(written) => self.run_effects(&api, written, &plan).await,
            None => Ok(()),
        };
        // Traffic first, words after.
        self.publish(&object, &plan.events).await;
        acted.map(|()| Some(plan.next))
    }

    fn may_write(&self) -> Result<(), PassError> {
        if self.leadership.may_write() { Ok(()) } else { Err(PassError::NotLeader) }
    }

    async fn change_finalizer<M: Managed>(&self, api: &Api<M>, object: &M, change: Finalizer) -> Result<(), PassError> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.retain(|f| f != FINALIZER);
        if change == Finalizer::Add {
            finalizers.push(FINALIZER.to_string());
        }
        let metadata = serde_json::json!({
            "metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()},
        });
        self.may_write()?;
        let parameters = PatchParams::default();
        kube_call("change the finalizer", api.patch(&object.name_any(), &parameters, &Patch::Merge(&metadata))).await?;
        Ok(())
    }

    /// Writes the status if it changed, and makes sure that the object is still the one that was planned for: a write
    /// with the version that was read proves it, and where there is nothing to write another read does. Without
    /// effects to run, none comes back.
    async fn write_status<M: Managed>(
        &self,
        api: &Api<M>,
        mut object: M,
        status: M::Status,
        effects: &[Effect],
    ) -> Result<Option<M>, PassError> {
        let name = object.name_any();
        if object.status() != Some(&status) {
            self.may_write()?;
            object.set_status(status);
            let written = replace_status(api, &name, &object).await?;
            return Ok((!effects.is_empty()).then_some(written));
        }
        if effects.is_empty() {
            return Ok(None);
        }
        let live = kube_call("read the object again", api.get_opt(&name)).await?;
        let same =
            live.filter(|live| live.resource_version() == object.resource_version() && live.uid() == object.uid());
        same.map(Some).ok_or(PassError::Stale)
    }

    /// Runs the effects, all at once: each is about another resource.
    async fn run_effects<M: Managed>(
        &self,
        api: &Api<M>,
        mut object: M,
        plan: &Plan<M::Status>,
    ) -> Result<(), PassError> {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let (namespace, name) = (namespace.as_str(), name.as_str());
        let runs = plan.effects.iter().map(|effect| async move {
            self.may_write()?;
            tracing::info!(kind = M::KIND, namespace, name, verb = effect.verb(), "writing to Google Cloud");
            let late = || PassError::Late("write to Google Cloud");
            let limited = tokio::time::timeout(WRITE_LIMIT, act(&self.cloud, effect)).await;
            let result = limited.map_err(|_| late()).and_then(|r| r.map_err(|e| PassError::Cloud(e.into())));
            let word = if result.is_ok() { "ok" } else { "error" };
            self.metrics.effects.with_label_values(&[effect.verb(), word]).inc();
            result
        });
        let results = join_all(runs).await;
        let mut status = object.status().cloned().unwrap_or_default();
        for (effect, result) in plan.effects.iter().zip(&results) {
            if let Ok(Outcome::Operation(name)) = result {
                status = M::absorb(self, status, effect, name);
            }
        }
        if object.status() != Some(&status) {
            self.may_write()?;
            let name = object.name_any();
            object.set_status(status);
            replace_status(api, &name, &object).await?;
        }
        results.into_iter().collect::<Result<Vec<_>, _>>().map(|_| ())
    }

    /// Tells people. An event that is lost loses nothing else.
    async fn publish<M: Managed>(&self, object: &M, events: &[Event]) {
        let reference: ObjectReference = object.object_ref(&());
        for event in events {
            let note: String = event.note.chars().take(1000).collect();
            let told = KubeEvent {
                type_: match event.severity {
                    Severity::Normal => EventType::Normal,
                    Severity::Warning => EventType::Warning,
                },
                reason: event.reason.clone(),
                note: Some(note),
                action: event.action.chars().take(128).collect(),
                secondary: None,
            };
            if let Err(error) = kube_call("publish an event", self.recorder.publish(&told, &reference)).await {
                tracing::warn!(%error, reason = event.reason, "an event was lost");
            }
        }
    }
}
