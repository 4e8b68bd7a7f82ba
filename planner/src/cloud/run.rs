//! Cloud Run: services and their revisions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use super::{SecretVersionId, ServiceSettings};
use crate::marks::Marks;
use crate::names::{Etag, Percent, ProjectId, Region, RevisionName, ServiceName};
use crate::template::EffectiveTemplate;

/// A Cloud Run service in one region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceId {
    /// Its project.
    pub project: ProjectId,
    /// Its region.
    pub region: Region,
    /// Its name.
    pub name: ServiceName,
}

/// A Cloud Run service as last read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    /// For the next write.
    pub etag: Etag,
    /// Cloud Run's own identity of it: another service of the same name has another.
    pub uid: Option<String>,
    /// Whether the last write is in effect: not reconciling, and the generation observed.
    pub settled: bool,
    /// Orchestra's own annotations.
    pub marks: Marks,
    /// The revision that the template names.
    pub template_revision: Option<RevisionName>,
    /// The revision that was made last, ready or not.
    #[serde(default)]
    pub newest: Option<RevisionName>,
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
    /// Who wrote it last.
    #[serde(default)]
    pub modified_by: Option<String>,
    /// Whether its template has the check of new instances switched off: revisions don't tell.
    #[serde(default)]
    pub health_check_disabled: bool,
}

/// Why Cloud Run says that something is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// A CamelCase word.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Where a share of the requests goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficTarget {
    /// To which revision.
    pub to: Target,
    /// How much; a target with a tag may have none.
    pub percent: Percent,
    /// Tag with an address of its own.
    pub tag: Option<String>,
}

/// A revision, or whatever is the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The newest ready revision. Orchestra never writes it with a share.
    Latest,
    /// One revision.
    Revision(RevisionName),
}

/// A revision as last read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionView {
    /// Its name.
    pub name: RevisionName,
    /// What it runs, as far as it tells one template from another.
    #[serde(flatten)]
    pub template: EffectiveTemplate,
    /// The versions of secrets that it reads, in variables and files.
    #[serde(default)]
    pub secrets: BTreeSet<SecretVersionId>,
    /// Whether it can serve.
    pub readiness: Readiness,
    /// Who made it.
    #[serde(default)]
    pub created_by: Option<String>,
}

impl RevisionView {
    /// Image of the container that takes the requests.
    pub fn image(&self) -> Option<&str> {
        Some(self.template.image()).filter(|image| !image.is_empty())
    }
}

/// Whether a revision can serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readiness {
    /// Not known yet.
    Pending,
    /// It can.
    Ready,
    /// It cannot, and will not by waiting.
    Failed(Trouble),
}
