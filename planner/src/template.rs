//! The effective template: what a revision runs, once the environment has added its part and every secret is a number.
//!
//! It is the whole of what Orchestra knows of Cloud Run's template, one file a thing: [`Container`], [`Probe`], [`Volume`],
//! [`NetworkAccess`]. It is made of specs (`build`) and read from revisions (the cloud adapter); what is at Cloud Run's
//! default is the same however it is written (`normal`), and hashed in one form (`form`).

mod build;
mod container;
mod describe;
mod fit;
mod form;
mod network;
mod normal;
mod probe;
mod quantity;
mod volume;
pub(crate) mod words;

use orchestra_crds::{CpuAllocation, ExecutionEnvironment, OrchestraEnvironment};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::conditions::{Note, note};
use crate::reason::Reason;
pub(crate) use build::account;
pub use build::{Wanted, own_hash};
pub use container::{Container, EnvValue, Mount, SecretVersion, Version, shown};
pub use describe::Description;
pub use network::{NetworkAccess, Route};
pub use probe::{Check, Probe};
pub use quantity::{Bytes, Millis};
pub use volume::{SecretFile, Volume};

/// What a revision runs. Two equal templates are the same revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EffectiveTemplate {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its containers; of several the one with a port takes the requests.
    pub containers: Vec<Container>,
    /// Its volumes, by name.
    pub volumes: BTreeMap<String, Volume>,
    /// Requests at once; none: Cloud Run's default.
    pub concurrency: Option<i32>,
    /// Longest request, in seconds; none: Cloud Run's default.
    pub timeout_seconds: Option<i32>,
    /// Whether clients stick to an instance.
    pub session_affinity: bool,
    /// E-mail address of the service account; none: the project's default one.
    pub service_account: Option<String>,
    /// How it reaches the VPC; none: it doesn't.
    pub network: Option<NetworkAccess>,
    /// Fewest instances of this revision alone.
    pub min_instances: i32,
    /// Most instances of this revision alone; none: Cloud Run's default.
    pub max_instances: Option<i32>,
    /// When it has CPU.
    pub cpu_allocation: CpuAllocation,
    /// Whether it has more of it at the start.
    pub startup_cpu_boost: bool,
    /// Its sandbox; none: Cloud Run chooses.
    pub execution_environment: Option<ExecutionEnvironment>,
    /// Kind of its GPU; none: it has none.
    pub accelerator: Option<String>,
    /// Whether its GPUs may all be in one zone.
    pub gpu_zonal_redundancy_disabled: bool,
    /// Key that encrypts its image.
    pub encryption_key: Option<String>,
    /// Whether it is ready without having started once.
    pub health_check_disabled: bool,
}

/// What is in the way of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It will open by waiting.
    Waiting(Note),
    /// A person has to change something.
    Blocked(Note),
}

impl Gate {
    /// Its note.
    pub fn note(&self) -> &Note {
        let (Self::Waiting(note) | Self::Blocked(note)) = self;
        note
    }
}

impl EffectiveTemplate {
    /// The container that takes the requests.
    pub fn serving(&self) -> Option<&Container> {
        self.containers.iter().find(|container| container.port.is_some()).or_else(|| self.containers.first())
    }

    /// Image of the container that takes the requests.
    pub fn image(&self) -> &str {
        self.serving().map_or("", |container| container.image.as_str())
    }
}

/// Whether an image may be released into an environment now. Going back to what was released before needs no leave.
///
/// # Errors
/// The gate that is closed, naming the field and what opens it.
pub fn allowed(image: &str, environment: &OrchestraEnvironment) -> Result<(), Gate> {
    if environment.metadata.deletion_timestamp.is_some() {
        let name = environment.metadata.name.as_deref().unwrap_or_default();
        let message = format!(
            "spec.environmentRef: the OrchestraEnvironment `{name}` is being deleted, and waits for its Rollouts to go: \
             delete this one, or delete it and create one that names another"
        );
        return Err(Gate::Blocked(note(Reason::EnvironmentDeleting, message)));
    }
    let Some(policy) = &environment.spec.images else {
        return Ok(());
    };
    let inside = |repository: &String| {
        image.strip_prefix(repository.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    };
    if !policy.repositories.is_empty() && !policy.repositories.iter().any(inside) {
        return Err(Gate::Blocked(note(
            Reason::ImageNotAllowed,
            format!(
                "spec.template.containers[0].image: `{image}` is outside the environment's repositories ({}): push it to \
                 one of them, or add its repository to the environment's spec.images.repositories",
                policy.repositories.join(", ")
            ),
        )));
    }
    if policy.digest_required && !image.contains("@sha256:") {
        let message = format!(
            "spec.template.containers[0].image: `{image}` has no digest, and the environment's spec.images asks for one: \
             name it as IMAGE@sha256:DIGEST"
        );
        return Err(Gate::Blocked(note(Reason::DigestRequired, message)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
