//! A container of an effective template.

use jiff::Timestamp;
use orchestra_crds::Protocol;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Bytes, Millis, Probe};

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// Its name; empty: it is the only one and has none.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Entrypoint; empty: the image's.
    pub command: Vec<String>,
    /// Arguments of the entrypoint.
    pub args: Vec<String>,
    /// Folder of the entrypoint; none: the image's.
    pub working_dir: Option<String>,
    /// Port that requests come to; none: Cloud Run's default, or it takes none.
    pub port: Option<i32>,
    /// What requests come as.
    pub protocol: Protocol,
    /// Environment variables, by name.
    pub env: BTreeMap<String, EnvValue>,
    /// Volumes, by the folder where they appear.
    pub mounts: BTreeMap<String, Mount>,
    /// CPU; none: Cloud Run's default.
    pub cpu: Option<Millis>,
    /// Memory; none: Cloud Run's default.
    pub memory: Option<Bytes>,
    /// GPUs.
    pub gpus: u32,
    /// When it has started; none: Cloud Run's default.
    pub startup: Option<Probe>,
    /// When its instance is replaced; none: never.
    pub liveness: Option<Probe>,
    /// When its instance takes requests; none: always.
    pub readiness: Option<Probe>,
    /// Containers that have started before.
    pub depends_on: BTreeSet<String>,
}

/// A volume in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Its name.
    pub volume: String,
    /// The folder within it; none: all of it.
    pub sub_path: Option<String>,
}

/// Value of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
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
    /// Its number, or the newest.
    pub version: Version,
    /// When that version was created: the same number of a secret that was made anew is another value.
    pub created_at: Option<Timestamp>,
}

/// Which version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Version {
    /// That one.
    Number(i64),
    /// The newest when it is read: instances of one revision may have different ones. Orchestra never asks for it by
    /// itself; a service that others made may.
    Latest,
}

impl Version {
    /// As Secret Manager names it: a number, or `latest`.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or(Self::Latest, Self::Number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Latest => f.write_str("latest"),
        }
    }
}

/// A variable's value as it is told apart from others.
pub fn shown(value: &EnvValue) -> String {
    match value {
        EnvValue::Plain(text) => text.clone(),
        EnvValue::Secret(secret) => format!("secret {} version {}", secret.secret, secret.version),
    }
}
