//! Leader election on a Lease. The decision is the planner's; here are the reads and writes.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use orchestra_planner::lease::{
    CALL_LIMIT, DURATION, LeaseRecord, Move, RENEW_EVERY, RETRY_EVERY, Seen, decide, may_write,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

use crate::cluster::kube_call_within;
use crate::error::PassError;
use crate::health::{Health, cluster_trouble};

const NAME: &str = "orchestra-controller";
const LEASE: &str = "the Lease for leader election";
const RELEASE_ATTEMPTS: u32 = 5;

async fn lease_call<T>(operation: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, PassError> {
    kube_call_within(CALL_LIMIT, operation, call).await
}

/// Whether this process may write, asked before each write.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    /// There is only one.
    Alone,
    /// By a Lease: when the last good renewal began.
    Lease { start: Instant, renewed: Mutex<Option<Duration>> },
}

impl Leadership {
    /// For a process that is known to be the only one.
    pub fn alone() -> Self {
        Self(Arc::new(Inner::Alone))
    }

    fn by_lease() -> Self {
        Self(Arc::new(Inner::Lease { start: Instant::now(), renewed: Mutex::new(None) }))
    }

    /// Whether this process may write now. False well before another process may start to.
    pub fn may_write(&self) -> bool {
        match self.0.as_ref() {
            Inner::Alone => true,
            Inner::Lease { start, renewed } => {
                may_write(*renewed.lock().unwrap_or_else(PoisonError::into_inner), start.elapsed())
            }
        }
    }

    fn now(&self) -> Duration {
        match self.0.as_ref() {
            Inner::Alone => Duration::ZERO,
            Inner::Lease { start, .. } => start.elapsed(),
        }
    }

    fn set(&self, value: Option<Duration>) {
        if let Inner::Lease { renewed, .. } = self.0.as_ref() {
            *renewed.lock().unwrap_or_else(PoisonError::into_inner) = value;
        }
    }
}

/// Where Orchestra is installed.
const INSTALLED: &str = "orchestra-system";
/// The namespace that each cluster has.
const ALWAYS_THERE: &str = "default";

/// The namespace of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// The one that was asked for, or the one where Orchestra is installed.
    Fixed(String),
    /// Orchestra is not installed, until somebody leads from there.
    Makeshift,
}

impl Home {
    /// Where it is when none was asked for. It is the same for each who asks, whatever namespace their kubeconfig is set
    /// to: two leases would be two leaders.
    pub async fn of_cluster(client: &Client, health: &Health) -> Self {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        loop {
            match lease_call("read the namespace", namespaces.get_opt(INSTALLED)).await {
                Ok(found) => {
                    health.note_cluster(LEASE, None);
                    return found.map_or(Self::Makeshift, |_| Self::Fixed(INSTALLED.into()));
                }
                // Whoever may not ask is in a cluster that is looked after.
                Err(error) if error.is_forbidden() => return Self::Fixed(INSTALLED.into()),
                Err(error) => note(health, &error),
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Its name.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Fixed(namespace) => namespace,
            Self::Makeshift => ALWAYS_THERE,
        }
    }

    /// Waits until the lease belongs elsewhere: somebody leads from where Orchestra is installed by now.
    pub async fn moved(&self, client: &Client) {
        if let Self::Fixed(_) = self {
            return std::future::pending().await;
        }
        let leases: Api<Lease> = Api::namespaced(client.clone(), INSTALLED);
        let is_held = |lease: &Lease| record(lease).holder.is_some_and(|holder| !holder.is_empty());
        loop {
            let read = lease_call("read the lease", leases.get_opt(NAME)).await;
            if read.is_ok_and(|lease| lease.as_ref().is_some_and(is_held)) {
                return;
            }
            tokio::time::sleep(RENEW_EVERY).await;
        }
    }
}

fn note(health: &Health, error: &PassError) {
    let message = match error {
        PassError::Kube { source, .. } if error.is_unknown_kind() => {
            let way_out = "create it, or name another by --lease-namespace";
            format!("{}: {way_out}", cluster_trouble("the cluster", source))
        }
        PassError::Kube { source, .. } => cluster_trouble("the cluster", source),
        other => other.to_string(),
    };
    health.note_cluster(LEASE, Some(message));
}

/// A candidate for the lease.
pub struct Elector {
    api: Api<Lease>,
    me: String,
    seen: Option<Seen>,
    leadership: Leadership,
    health: Health,
}

impl Elector {
    /// A candidate of that name in that namespace.
    pub fn new(client: Client, namespace: &str, me: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            me,
            seen: None,
            leadership: Leadership::by_lease(),
            health: Health::default(),
        }
    }

    /// The same, telling its troubles where others can read them.
    #[must_use]
    pub fn with_health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// What to ask before each write.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Waits until this process leads.
    pub async fn acquire(&mut self) {
        loop {
            match self.step().await {
                Ok(true) => {
                    self.health.note_cluster(LEASE, None);
                    return;
                }
                Ok(false) => self.health.note_cluster(LEASE, None),
                Err(error) => note(&self.health, &error),
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Renews the lease until it is lost.
    pub async fn keep(&mut self) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match self.step().await {
                Ok(true) => self.health.note_cluster(LEASE, None),
                Ok(false) => {
                    self.leadership.set(None);
                    return;
                }
                Err(error) => note(&self.health, &error),
            }
            if !self.leadership.may_write() {
                return;
            }
        }
    }

    /// Lets go of the lease, so that another need not wait.
    pub async fn release(&mut self) {
        self.leadership.set(None);
        // A renewal that was cut off may still arrive between the read and the write.
        for _ in 0..RELEASE_ATTEMPTS {
            match self.try_release().await {
                Ok(()) => return,
                Err(PassError::Stale) => {}
                Err(error) => {
                    tracing::warn!(%error, "the lease could not be released: another leader waits for its end");
                    return;
                }
            }
        }
    }

    async fn try_release(&self) -> Result<(), PassError> {
        let lease = lease_call("read the lease", self.api.get_opt(NAME)).await?;
        let Some(mut lease) = lease.filter(|l| record(l).holder.as_deref() == Some(self.me.as_str())) else {
            return Ok(());
        };
        lease.spec.get_or_insert_default().holder_identity = None;
        lease_call("release the lease", self.api.replace(NAME, &PostParams::default(), &lease)).await?;
        Ok(())
    }

    /// One read, one decision, at most one write. Whether this process leads now.
    async fn step(&mut self) -> Result<bool, PassError> {
        let began = self.leadership.now();
        let lease = lease_call("read the lease", self.api.get_opt(NAME)).await?;
        let record = lease.as_ref().map(record);
        let (step, seen) = decide(&self.me, record.as_ref(), self.seen.as_ref(), self.leadership.now());
        self.seen = seen;
        let written = match (step, lease) {
            (Move::Wait, _) => return Ok(false),
            (Move::Create, _) => {
                let metadata = ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(self.spec(None)) };
                lease_call("create the lease", self.api.create(&PostParams::default(), &lease)).await
            }
            (Move::Renew | Move::Take, Some(mut lease)) => {
                lease.spec = Some(self.spec(lease.spec.as_ref()));
                lease_call("write the lease", self.api.replace(NAME, &PostParams::default(), &lease)).await
            }
            (Move::Renew | Move::Take, None) => return Ok(false),
        };
        match written {
            Ok(_) => {
                // Counted from before the write: its answer may have taken long.
                self.leadership.set(Some(began));
                Ok(true)
            }
            Err(PassError::Stale) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let mine = before.is_some_and(|b| b.holder_identity.as_deref() == Some(self.me.as_str()));
        let transitions = before.and_then(|b| b.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(now.clone()),
            acquire_time: before.filter(|_| mine).and_then(|b| b.acquire_time.clone()).or(Some(now)),
            lease_transitions: Some(if mine || before.is_none() { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }
}

fn record(lease: &Lease) -> LeaseRecord {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
    LeaseRecord {
        holder: spec.holder_identity,
        version: lease.resource_version().unwrap_or_default(),
        duration: seconds.map_or(DURATION, Duration::from_secs),
    }
}
