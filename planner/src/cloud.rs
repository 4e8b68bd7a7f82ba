//! Google Cloud as the planner sees it: values read, and values to write.

use jiff::Timestamp;
use std::collections::BTreeMap;

use crate::marks::Marks;
use crate::names::{Etag, Percent, ProjectId, Region, RevisionName, ServiceName};

/// What could not be read or done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What to do about it.
    pub class: FaultClass,
    /// Why, for people; never holds a secret.
    pub message: String,
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultClass {
    /// Try again later.
    Retryable,
    /// Something changed meanwhile: look again and plan anew.
    Conflict,
    /// Credentials or permissions: a person has to grant them.
    Denied,
    /// Trying again changes nothing: a person has to mend the spec or the cloud.
    Permanent,
}

/// A value read from the cloud, or why it could not be.
pub type Reading<T> = Result<T, Fault>;

/// A Cloud Run service in one region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceId {
    /// Its project.
    pub project: ProjectId,
    /// Its region.
    pub region: Region,
    /// Its name.
    pub name: ServiceName,
}

/// A Cloud Run service as last read.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceView {
    /// For the next write.
    pub etag: Etag,
    /// Whether the last write is in effect: not reconciling, and the generation observed.
    pub settled: bool,
    /// Orchestra's own annotations.
    pub marks: Marks,
    /// The revision that the template names.
    pub template_revision: Option<RevisionName>,
    /// Traffic as it was asked for.
    pub traffic: Vec<TrafficTarget>,
    /// Traffic as it is.
    pub serving: Vec<TrafficTarget>,
    /// Service-level settings.
    pub settings: ServiceSettings,
    /// Address.
    pub url: Option<String>,
    /// What Cloud Run says about the service, when it is not ready.
    pub trouble: Option<Trouble>,
    /// When the service last became ready or stopped being so.
    pub settled_at: Option<Timestamp>,
    /// When anybody last wrote it.
    pub written_at: Option<Timestamp>,
}

/// Why Cloud Run says that something is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A CamelCase word.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Where a share of the requests goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficTarget {
    /// To which revision.
    pub to: Target,
    /// How much; a target with a tag may have none.
    pub percent: Percent,
    /// Tag with an address of its own.
    pub tag: Option<String>,
}

/// A revision, or whatever is the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The newest ready revision. Orchestra never writes it with a share.
    Latest,
    /// One revision.
    Revision(RevisionName),
}

/// Service-level settings: a change makes no revision. Unset fields are left as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Fewest instances.
    pub min_instances: Option<i32>,
    /// Most instances.
    pub max_instances: Option<i32>,
    /// Networks that may reach it.
    pub ingress: Option<orchestra_crds::Ingress>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl ServiceSettings {
    /// Whether the settings read already hold everything that is wanted.
    pub fn satisfied_by(&self, read: &Self) -> bool {
        fn agrees<T: PartialEq>(wanted: &Option<T>, read: &Option<T>) -> bool {
            wanted.is_none() || wanted == read
        }
        agrees(&self.min_instances, &read.min_instances)
            && agrees(&self.max_instances, &read.max_instances)
            && agrees(&self.ingress, &read.ingress)
            && self.labels.iter().all(|(k, v)| read.labels.get(k) == Some(v))
    }

    /// What was read, with what is wanted put over it.
    pub fn over(&self, read: &Self) -> Self {
        let mut labels = read.labels.clone();
        labels.extend(self.labels.clone());
        Self {
            min_instances: self.min_instances.or(read.min_instances),
            max_instances: self.max_instances.or(read.max_instances),
            ingress: self.ingress.or(read.ingress),
            labels,
        }
    }
}

/// A revision as last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionView {
    /// Its name.
    pub name: RevisionName,
    /// Its image.
    pub image: Option<String>,
    /// Whether it can serve.
    pub readiness: Readiness,
}

/// Whether a revision can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not known yet.
    Pending,
    /// It can.
    Ready,
    /// It cannot, and will not by waiting.
    Failed(Trouble),
}

/// Requests of one revision in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub requests: i64,
    /// Those answered with 5xx.
    pub errors: i64,
}

/// Requests of candidate and stable in one closed minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// When it began.
    pub start: Timestamp,
    /// The candidate's.
    pub candidate: Count,
    /// Stable's.
    pub stable: Count,
}

/// Who may do what on a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyView {
    /// For the next write.
    pub etag: Etag,
    /// All bindings; those of others are written back untouched.
    pub bindings: Vec<Binding>,
}

/// One role given to members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: String,
    /// Its members.
    pub members: Vec<String>,
    /// Title, description, location and expression of the condition, if there is one.
    pub condition: Option<[String; 4]>,
}

/// A Memorystore instance of an environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedisId {
    /// Its project.
    pub project: ProjectId,
    /// Its region.
    pub region: Region,
    /// Its name.
    pub name: String,
}

/// A Memorystore instance as last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisView {
    /// READY, CREATING, UPDATING, …
    pub state: String,
    /// Its tier, when it is one that we know.
    pub tier: Option<orchestra_crds::RedisTier>,
    /// Its memory, in GiB.
    pub memory_size_gb: i32,
    /// Address for clients.
    pub host: Option<String>,
    /// Port for clients.
    pub port: Option<i32>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A long-running operation as last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationView {
    /// Under way.
    Pending,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed(Fault),
    /// Google no longer knows it; what it did must be read from the resource.
    Forgotten,
}
