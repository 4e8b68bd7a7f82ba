//! What a revision runs, in Kubernetes' words.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{EnvVar, Resources};

/// What a revision runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.redis) || !self.redis || self.containers.all(c, !has(c.env) || c.env.all(e, !(e.name in ['REDIS_HOST', 'REDIS_PORT'])))",
    "redis: true sets REDIS_HOST and REDIS_PORT: take them out of env, or set redis to false"
), validation = (
    "self.containers.all(c, !has(c.volumeMounts) || c.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name)))",
    "each of volumeMounts must name one of template.volumes"
), validation = (
    "!has(self.volumes) || self.volumes.all(v, self.containers.exists(c, has(c.volumeMounts) && c.volumeMounts.exists(m, m.name == v.name)))",
    "each of volumes must be mounted by a container: add it to volumeMounts, or take it out"
))]
pub struct Template {
    /// The containers; one for the time being.
    // Keyed by name it would need a default in each item, which other tools then show as a difference.
    #[schemars(length(min = 1, max = 1))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub containers: Vec<Container>,
    /// Files for the containers to mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<Volume>,
    /// Requests that one instance handles at once. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: Option<i32>,
    /// Longest time a request may take. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<i32>,
    /// Whether a client's requests go to the same instance where possible. It distorts traffic splits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub session_affinity: bool,
    /// Whether the containers get REDIS_HOST and REDIS_PORT of the environment's Redis.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redis: bool,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name. Default: main.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 63))]
    pub name: Option<String>,
    /// Container image, best by digest.
    // The grammar of github.com/distribution/reference; the whole is in words, which no pattern would be.
    #[schemars(length(min = 1, max = 500))]
    #[x_kube(validation = (
        r"self.matches('^([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?([.][a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*(:[0-9]+)?/)?[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)*(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[0-9a-f]{64})?$')",
        "an image is [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST], its name in small letters and without https://"
    ))]
    pub image: String,
    /// Replaces the image's entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub command: Vec<String>,
    /// Arguments of the entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub args: Vec<String>,
    /// The port that requests come to; Cloud Run sets PORT to it. Default: 8080.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["containerPort".into()]))]
    pub ports: Vec<ContainerPort>,
    /// Environment variables. They win over the environment's defaults of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// CPU and memory. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where the volumes of the template appear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["mountPath".into()]))]
    pub volume_mounts: Vec<VolumeMount>,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    /// Its number.
    #[schemars(range(min = 1, max = 65535))]
    pub container_port: i32,
}

/// Files for the containers to mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Name by which `volumeMounts` refer to it.
    #[schemars(regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 63))]
    pub name: String,
    /// One file that holds a secret.
    pub secret: SecretVolume,
}

/// One file that holds a secret of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretVolume {
    /// The secret's name in the environment's `secrets`.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Name of the file. Default: the secret's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"), length(min = 1, max = 255))]
    pub path: Option<String>,
}

/// Where a volume appears in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!self.mountPath.matches('^/(dev|proc|sys)(/.*)?$')",
    "mountPath must not be in /dev, /proc or /sys: Cloud Run refuses that"
), validation = (
    "!self.mountPath.endsWith('/') && !self.mountPath.contains('//') && !self.mountPath.matches('(^|/)[.][.]?(/|$)')",
    "mountPath must be a plain absolute folder, such as /etc/keys: no slash at its end, no `.` or `..`"
))]
pub struct VolumeMount {
    /// The volume's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Absolute path of a folder; each holds one volume.
    #[schemars(regex(pattern = r"^/.+$"), length(min = 2, max = 300))]
    pub mount_path: String,
}

impl Template {
    /// The container that takes the requests. The schema asks for one; an object that slipped past it has none.
    pub fn serving(&self) -> Option<&Container> {
        self.containers.first()
    }

    /// Image of the container that takes the requests.
    pub fn image(&self) -> &str {
        self.serving().map_or("", |container| container.image.as_str())
    }
}
