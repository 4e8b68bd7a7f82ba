//! Volumes of an effective template.

use orchestra_crds as crds;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::{Bytes, SecretVersion, Version};

/// Files for the containers to mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Volume {
    /// Files that hold versions of one secret.
    Secret {
        /// ID of the secret.
        secret: String,
        /// The files, by name.
        files: BTreeMap<String, SecretFile>,
        /// Their permissions; none: Cloud Run's default.
        default_mode: Option<i32>,
    },
    /// A bucket.
    Gcs {
        /// Its name.
        bucket: String,
        /// Whether it can't be written to.
        read_only: bool,
        /// Options of Cloud Storage FUSE.
        mount_options: Vec<String>,
    },
    /// A folder of a network file system.
    Nfs {
        /// Host or address.
        server: String,
        /// What it exports.
        path: String,
        /// Whether it can't be written to.
        read_only: bool,
    },
    /// A folder in memory.
    EmptyDir {
        /// Most that is in it; none: Cloud Run's default.
        size: Option<Bytes>,
    },
    /// Sockets of Cloud SQL instances.
    CloudSql {
        /// Their connection names.
        instances: BTreeSet<String>,
    },
}

/// One file that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// What is in it.
    pub version: SecretVersion,
    /// Its permissions; none: the volume's default.
    pub mode: Option<i32>,
}

/// Permissions of a secret's file that nothing is said about: 0444.
const DEFAULT_MODE: i32 = 0o444;

impl Volume {
    /// What a template's volume comes to, with the environment's secrets by name. None: one of those isn't known.
    pub(super) fn of(volume: &crds::Volume, secrets: &BTreeMap<String, SecretVersion>) -> Option<Self> {
        if let Some(secret) = &volume.secret {
            return of_secret(secret, secrets.get(&secret.name)?);
        }
        let gcs = volume.gcs.as_ref().map(|gcs| Self::Gcs {
            bucket: gcs.bucket.clone(),
            read_only: gcs.read_only,
            mount_options: gcs.mount_options.clone(),
        });
        let nfs = || {
            let nfs = volume.nfs.as_ref()?;
            Some(Self::Nfs { server: nfs.server.clone(), path: nfs.path.clone(), read_only: nfs.read_only })
        };
        let memory = || {
            let limit = volume.empty_dir.as_ref()?.size_limit.as_ref();
            Some(Self::EmptyDir { size: limit.and_then(|limit| Bytes::parse(&limit.0)) })
        };
        let sql = || Some(Self::CloudSql { instances: volume.cloud_sql.as_ref()?.instances.iter().cloned().collect() });
        gcs.or_else(nfs).or_else(memory).or_else(sql)
    }

    pub(super) fn normal(mut self) -> Self {
        if let Self::Secret { default_mode, .. } = &mut self {
            *default_mode = default_mode.filter(|mode| ![0, DEFAULT_MODE].contains(mode));
        }
        self
    }
}

fn of_secret(volume: &crds::SecretVolume, newest: &SecretVersion) -> Option<Volume> {
    let file = |item: &crds::SecretItem| {
        let version = match item.version {
            Some(number) => SecretVersion { version: Version::Number(number), created_at: None, ..newest.clone() },
            None => newest.clone(),
        };
        (item.path.clone(), SecretFile { version, mode: item.mode })
    };
    let whole = || (volume.name.clone(), SecretFile { version: newest.clone(), mode: None });
    let files = match volume.items.is_empty() {
        true => BTreeMap::from([whole()]),
        false => volume.items.iter().map(file).collect(),
    };
    Some(Volume::Secret { secret: newest.secret.clone(), files, default_mode: volume.default_mode })
}
