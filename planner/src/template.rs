//! The effective template: what a revision runs, once the environment has added its part and every secret is a number.

mod build;
mod form;
mod quantity;

use jiff::Timestamp;
use orchestra_crds::{Egress, OrchestraEnvironment};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::cloud::ContainerView;
use crate::conditions::{Note, note};
use crate::reason::Reason;
pub(crate) use build::account;
pub use build::{Wanted, own_hash};
pub use quantity::{Bytes, Millis};

/// What a revision runs. Two equal templates are the same revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveTemplate {
    /// Its containers; the first takes the requests.
    pub containers: Vec<Container>,
    /// Files that hold secrets, by the name of their volume.
    pub volumes: BTreeMap<String, SecretFile>,
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
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Entrypoint; empty: the image's.
    pub command: Vec<String>,
    /// Arguments of the entrypoint.
    pub args: Vec<String>,
    /// Port that requests come to; none: Cloud Run's default.
    pub port: Option<i32>,
    /// Environment variables, by name.
    pub env: BTreeMap<String, EnvValue>,
    /// Names of volumes, by the folder where they appear.
    pub mounts: BTreeMap<String, String>,
    /// CPU; none: Cloud Run's default.
    pub cpu: Option<Millis>,
    /// Memory; none: Cloud Run's default.
    pub memory: Option<Bytes>,
}

/// Value of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvValue {
    /// As it is.
    Plain(String),
    /// From Secret Manager.
    Secret(SecretVersion),
}

/// One version of a secret. Never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVersion {
    /// ID of the secret.
    pub secret: String,
    /// Number of the version.
    pub version: i64,
    /// When that version was created: the same number of a secret that was made anew is another value.
    pub created_at: Option<Timestamp>,
}

/// One file that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// Name of the file.
    pub path: String,
    /// What is in it.
    pub version: SecretVersion,
}

/// How a revision reaches the VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAccess {
    /// The connector, by its short name: the region is added where it is written.
    pub connector: String,
    /// Which traffic goes through it.
    pub egress: Egress,
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
    /// Image of the container that takes the requests.
    pub fn image(&self) -> &str {
        self.containers.first().map_or("", |container| container.image.as_str())
    }

    /// Whether a revision that was read runs this template, as far as what was read tells: a name alone says nothing.
    pub fn is_run_by(&self, containers: &[ContainerView]) -> bool {
        let same = |(wanted, read): (&Container, &ContainerView)| {
            let runs = |name: &String, value: &EnvValue| read.env.get(name).is_some_and(|v| *v == shown(value));
            same_image(&wanted.image, &read.image)
                && wanted.command == read.command
                && wanted.args == read.args
                && wanted.env.len() == read.env.len()
                && wanted.env.iter().all(|(name, value)| runs(name, value))
        };
        self.containers.len() == containers.len() && self.containers.iter().zip(containers).all(same)
    }
}

/// A variable's value as a container view has it.
pub fn shown(value: &EnvValue) -> String {
    match value {
        EnvValue::Plain(text) => text.clone(),
        EnvValue::Secret(secret) => format!("secret {} version {}", secret.secret, secret.version),
    }
}

/// Whether two names are of the same image. Google may answer with a digest where a tag was asked for.
fn same_image(wanted: &str, read: &str) -> bool {
    let repository = |image: &str| {
        let name = image.split('@').next().unwrap_or(image);
        let tag = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        tag.map_or(name.to_string(), |(repository, _)| repository.to_string())
    };
    let digest = |image: &str| image.split_once('@').map(|(_, digest)| digest.to_string());
    match (digest(wanted), digest(read)) {
        (Some(wanted), Some(read)) => wanted == read,
        (None, Some(_)) => repository(wanted) == repository(read),
        _ => wanted == read,
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
