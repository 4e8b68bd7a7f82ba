//! Volumes: files for the containers to mount.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Memory;

/// Files for the containers to mount: exactly one of `secret`, `gcs`, `nfs`, `emptyDir` and `cloudSql`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.secret), has(self.gcs), has(self.nfs), has(self.emptyDir), has(self.cloudSql)].exists_one(x, x)",
    "a volume is exactly one of secret, gcs, nfs, emptyDir and cloudSql"
), validation = (
    "has(self.cloudSql) == (self.name == 'cloudsql')",
    "a volume of cloudSql is named cloudsql, and no other is: Cloud Run takes no other name"
))]
pub struct Volume {
    /// Name by which `volumeMounts` refer to it.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 63))]
    pub name: String,
    /// Files that hold a secret of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolume>,
    /// A Cloud Storage bucket. It needs the second generation of the execution environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsVolume>,
    /// A network file system. It needs the second generation of the execution environment, and a way into its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nfs: Option<NfsVolume>,
    /// A folder in memory, shared by the containers of an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDir>,
    /// Sockets of Cloud SQL instances, mounted at /cloudsql.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_sql: Option<CloudSqlVolume>,
}

/// Files that hold a secret of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretVolume {
    /// The secret's name in the environment's `secrets`.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The files. Default: one, named as the secret, with the version that the environment has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    pub items: Vec<SecretItem>,
    /// Permissions of the files, in decimal: 292 is 0444, its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub default_mode: Option<i32>,
}

/// A file that holds a version of a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretItem {
    /// Name of the file.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"), length(min = 1, max = 255))]
    pub path: String,
    /// Number of the version. Default: the one that the environment has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<i64>,
    /// Permissions, in decimal: 256 is 0400. Default: `defaultMode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub mode: Option<i32>,
}

/// A Cloud Storage bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcsVolume {
    /// Its name.
    #[schemars(regex(pattern = r"^[a-z0-9][-a-z0-9_.]*[a-z0-9]$"), length(min = 3, max = 222))]
    pub bucket: String,
    /// Whether the containers may not write to it. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Options of Cloud Storage FUSE, without their dashes: `implicit-dirs`, `uid=1000`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 300), regex(pattern = r"^[^-]")))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub mount_options: Vec<String>,
}

/// A folder of a network file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NfsVolume {
    /// Host name or address of the server.
    #[schemars(regex(pattern = r"^[^\s/]+$"), length(min = 1, max = 253))]
    pub server: String,
    /// Path that the server exports.
    #[schemars(regex(pattern = r"^/.*$"), length(min = 1, max = 300))]
    pub path: String,
    /// Whether the containers may not write to it. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A folder in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDir {
    /// What it is made of. Default: Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// How large it may become; it counts to the memory of the containers. Default: half of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Memory>,
}

/// What an empty folder is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Medium {
    /// The memory of the instance.
    #[default]
    Memory,
}

/// Sockets of Cloud SQL instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudSqlVolume {
    /// Their connection names: PROJECT:REGION:INSTANCE.
    #[schemars(
        length(min = 1, max = 100),
        inner(
            regex(pattern = r"^([a-z][-a-z0-9.]*:)?[a-z][-a-z0-9]*:[a-z]+-[a-z]+[0-9]+:[a-z][-a-z0-9]*$"),
            length(max = 200)
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub instances: Vec<String>,
}
