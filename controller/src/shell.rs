//! The one loop that runs every plan: observe, plan, write the status, then act. Nothing else writes to the cluster's
//! objects or to Google.

mod drift;
mod effects;
mod publish;
mod retry;
mod status;
mod unreadable;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client, Resource};
use orchestra_cloud::Cloud;
use orchestra_crds::{Lenient, Unread};
use orchestra_planner::difference::{Before, Difference};
use orchestra_planner::hosts::AllowedHost;
use orchestra_planner::plan::{Effect, Finalizer, Outcome, Plan, QUIET, Urgency};
use orchestra_planner::promises::Broken;
use orchestra_planner::resource::FailedWrites;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::cluster::kube_call;
use crate::error::PassError;
use crate::health::Health;
use crate::lease::Leadership;
use crate::metrics::{Key, Metrics, Series};
use crate::outbound::Outbound;
pub use drift::{LOOK_FOR_DRIFT, Watched};
use retry::Troubles;

/// What the shell works with.
pub struct Shell {
    pub(crate) kube: Client,
    pub(crate) cloud: Cloud,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) outbound: Outbound,
    leadership: Leadership,
    recorder: Recorder,
    witness: Option<Arc<dyn Witness>>,
    troubles: Mutex<BTreeMap<Key, Troubles>>,
    /// What each object that is quiet waits to see changed.
    watched: Mutex<BTreeMap<Key, drift::Waiting>>,
}

/// Told of each write before it is made.
pub trait Witness: Debug + Send + Sync {
    /// A write, and what it changes.
    fn writes(&self, effect: &Effect, differences: &[Difference]);
}

/// A kind that the shell manages.
pub trait Managed: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
where
    Self: Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static,
{
    /// Its name in metrics.
    const KIND: &'static str;
    /// Its status.
    type Status: Clone + PartialEq + Default + Send + Sync;
    /// Everything that its plan depends on.
    type Seen: Serialize + Send + Sync;

    /// Looks at the world: asks what the planner wants to know, until no question is open.
    fn observe(
        shell: &Shell,
        read: &Lenient<Self>,
        failed_writes: FailedWrites,
    ) -> impl Future<Output = Result<Self::Seen, PassError>> + Send;

    /// Decides what to do.
    fn plan(seen: &Self::Seen) -> Plan<Self::Status>;

    /// What a write is to change, as it was read.
    fn before<'a>(seen: &'a Self::Seen, effect: &Effect) -> Before<'a>;

    /// The services that it is about, as they were seen.
    fn watched(seen: &Self::Seen) -> Watched;

    /// The first promise that these effects would break.
    fn broken(seen: &Self::Seen, effects: &[Effect]) -> Option<Broken>;

    /// Its status as read.
    fn status(&self) -> Option<&Self::Status>;

    /// The generation that a status is about.
    fn observed_generation(status: &mut Self::Status) -> &mut Option<i64>;

    /// Puts another status on it.
    fn set_status(&mut self, status: Self::Status);

    /// The conditions of a status.
    fn conditions(status: &mut Self::Status) -> &mut Vec<Condition>;

    /// What an object shows in metrics, with its phase.
    fn shown(&self, key: &Key, status: &Self::Status) -> (Option<String>, Vec<Series>);

    /// Counts what happened between two statuses that were stored one after the other.
    fn count(metrics: &Metrics, before: &Self::Status, after: &Self::Status, now: Timestamp);

    /// The status with what came of an effect.
    fn absorb(status: Self::Status, effect: &Effect, outcome: &Outcome, now: Timestamp) -> Self::Status;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shell {
    /// A shell over a cluster and a cloud.
    pub fn new(kube: Client, cloud: Cloud, clock: Clock, leadership: Leadership, metrics: Metrics) -> Self {
        let recorder = Recorder::new(kube.clone(), Reporter::from("orchestra-controller"));
        Self {
            kube,
            cloud,
            clock,
            metrics,
            leadership,
            recorder,
            health: Health::default(),
            outbound: Outbound::default(),
            witness: None,
            troubles: Mutex::default(),
            watched: Mutex::default(),
        }
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The same, telling its health where others can read it.
    #[must_use]
    pub fn with_health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// The same, allowed to call these hosts where users name them.
    #[must_use]
    pub fn with_hosts(mut self, hosts: &[AllowedHost]) -> Self {
        self.outbound = Outbound::to(hosts);
        self
    }

    /// The same, telling somebody of each write.
    #[must_use]
    pub fn witnessed(mut self, witness: Arc<dyn Witness>) -> Self {
        self.witness = Some(witness);
        self
    }

    /// One pass over one object. Gives the real time after which to look again; none when the object is gone.
    pub async fn reconcile<M: Managed>(&self, namespace: &str, name: &str) -> Option<Duration> {
        let key = (M::KIND, namespace.to_string(), name.to_string());
        self.metrics.look_begins(&key);
        let timer = self.metrics.pass_seconds.with_label_values(&[M::KIND]).start_timer();
        let result = self.pass::<M>(namespace, name, &key).await;
        timer.observe_duration();
        let word = result.as_ref().map_or_else(|e| e.category(), |_| "ok");
        self.metrics.passes.with_label_values(&[M::KIND, word]).inc();
        let next = self.next_look::<M>(&key, result).await;
        self.metrics.look_ended(&key, next);
        next
    }

    /// An object is gone, as the watch tells.
    pub(crate) fn forget<M: Managed>(&self, namespace: &str, name: &str) {
        let key = (M::KIND, namespace.to_string(), name.to_string());
        self.calm(&key, true);
        self.metrics.look_ended(&key, None);
    }

    /// What the end of a pass means for the next.
    async fn next_look<M: Managed>(
        &self,
        key: &Key,
        result: Result<Option<SignedDuration>, PassError>,
    ) -> Option<Duration> {
        match result {
            Ok(None) => {
                let again = self.look_once_more(key);
                if again.is_none() {
                    self.calm(key, true);
                }
                again.map(|again| self.clock.real_span(again))
            }
            Ok(next) => {
                self.calm(key, false);
                next.map(|next| self.clock.real_span(next))
            }
            Err(error) => {
                if error.is_status_refused() {
                    self.tell_refused::<M>(key, &error).await;
                }
                Some(self.after_error(key, &error))
            }
        }
    }

    /// One pass, without what belongs to a queue.
    pub(crate) async fn pass<M: Managed>(
        &self,
        namespace: &str,
        name: &str,
        key: &Key,
    ) -> Result<Option<SignedDuration>, PassError> {
        let api: Api<Lenient<M>> = Api::namespaced(self.kube.clone(), namespace);
        let object = match kube_call("read the object", api.get_opt(name)).await {
            Ok(Some(object)) => object,
            Ok(None) => return Ok(None),
            Err(error) => {
                let Some(why) = error.undecodable() else { return Err(error) };
                return self.tell_unreadable::<M>(key, &why).await.map(|()| Some(QUIET));
            }
        };
        self.note_unread(key, &object.unread);
        let seen = M::observe(self, &object, self.failed_writes(key, object.meta().uid.as_deref())).await?;
        let plan = M::plan(&seen);
        self.note_urgency(key, plan.urgency);
        self.note_watched(key, M::watched(&seen), plan.urgency);
        if plan.finalizer != Finalizer::Keep {
            self.change_finalizer(&api, &object, plan.finalizer).await?;
            return Ok(Some(plan.next));
        }
        if let Some(broken) = self.broken_promise::<M>(&seen, &plan, key) {
            return self.refuse(&api, object, &broken).await.map(Some);
        }
        let written = match self.write_status(&api, object.clone(), plan.status.clone(), &plan.effects).await {
            Err(error) if error.is_status_denied() && plan.urgency == Urgency::Rollback => {
                // Users don't wait for a status: the marks, which change with the traffic, say what failed.
                let live = self.live(&api, &object).await?;
                self.run_effects(&api, live, &seen, &plan, key).await?;
                return Err(error);
            }
            written => written?,
        };
        self.note_status(key, &object.object, &plan.status);
        let acted = match written {
            Some(written) => self.run_effects(&api, written, &seen, &plan, key).await,
            None => Ok(None),
        };
        // Traffic first, words after.
        self.publish(&object, &plan.events).await;
        let again = acted?;
        Ok(Some(again.map_or(plan.next, |again| again.min(plan.next))))
    }

    /// Counts and logs what can't be read of an object.
    pub(crate) fn note_unread(&self, key: &Key, unread: &[Unread]) {
        let (kind, namespace, name) = (key.0, key.1.as_str(), key.2.as_str());
        if !unread.is_empty() {
            self.metrics.undecodable.with_label_values(&[kind]).inc();
        }
        for unread in unread {
            tracing::error!(kind, namespace, name, %unread, "a part of this object can't be read: correct it");
        }
    }

    /// Counts what a status that is stored now tells, and shows it.
    fn note_status<M: Managed>(&self, key: &Key, before: &M, stored: &M::Status) {
        // A status that was lost says nothing of what was counted before.
        if let Some(known) = before.status().filter(|known| *known != stored) {
            M::count(&self.metrics, known, stored, self.clock.now());
        }
        let (phase, series) = before.shown(key, stored);
        self.metrics.show(key, phase, series);
    }

    fn may_write(&self) -> Result<(), PassError> {
        if self.leadership.may_write() { Ok(()) } else { Err(PassError::NotLeader) }
    }

    /// The promise that a plan would break, counted. A write that only takes traffic back to stable is done all the same.
    fn broken_promise<M: Managed>(&self, seen: &M::Seen, plan: &Plan<M::Status>, key: &Key) -> Option<Broken> {
        let broken = M::broken(seen, &plan.effects)?;
        let (kind, namespace, name) = (key.0, key.1.as_str(), key.2.as_str());
        self.metrics.broken_promises.with_label_values(&[&broken.promise.to_string()]).inc();
        tracing::error!(kind, namespace, name, %broken, "a plan would break a promise: please report this");
        (!broken.only_back).then_some(broken)
    }
}
