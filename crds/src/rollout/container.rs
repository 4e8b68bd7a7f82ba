//! A container of a revision, in Kubernetes' words.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::probe::{HealthProbe, StartupProbe};
use crate::{EnvVar, Resources};

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.readinessProbe) || !has(self.readinessProbe.initialDelaySeconds)",
    "readinessProbe has no initialDelaySeconds: Cloud Run sends the first when the container has started"
), validation = (
    "!has(self.readinessProbe) || !has(self.readinessProbe.timeoutSeconds) || self.readinessProbe.timeoutSeconds <= 300",
    "timeoutSeconds of a readinessProbe must be 300 at most"
))]
pub struct Container {
    /// Its name. Default: none, which `dependsOn` of others can't name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 63))]
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
    #[schemars(length(max = 1000))]
    pub args: Vec<String>,
    /// Folder that the entrypoint is started in. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    pub working_dir: Option<String>,
    /// The port that requests come to; Cloud Run sets PORT to it. Of several containers exactly one has it. Default: 8080.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["containerPort".into()]))]
    pub ports: Vec<ContainerPort>,
    /// Environment variables. They win over the environment's defaults of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// CPU, memory and GPU. Default: the environment's, for the container that takes the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where the volumes of the template appear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["mountPath".into()]))]
    pub volume_mounts: Vec<VolumeMount>,
    /// When the container has started: other probes, and containers that depend on it, wait for this. Default: once it
    /// listens on its port, within 240 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<StartupProbe>,
    /// When the instance is beyond help, and replaced. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<HealthProbe>,
    /// When the instance takes no more requests, until it is well again. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<HealthProbe>,
    /// Names of containers that have started before this one is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub depends_on: Vec<String>,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    /// Its protocol. Default: Http1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Its number.
    #[schemars(range(min = 1, max = 65535))]
    pub container_port: i32,
}

/// What requests come as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// HTTP/1, as which HTTP/2 of clients arrives, too.
    #[default]
    Http1,
    /// HTTP/2 without TLS (h2c), which gRPC with streams needs.
    H2c,
}

/// Where a volume appears in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!self.mountPath.matches('^/(dev|proc|sys)(/.*)?$')",
    "mountPath must not be in /dev, /proc or /sys: Cloud Run refuses that"
), validation = (
    "!self.mountPath.endsWith('/') && !self.mountPath.contains('//') && !self.mountPath.matches('(^|/)[.][.]?(/|$)') && !self.mountPath.contains(':')",
    "mountPath must be a plain absolute folder, such as /etc/keys: no slash at its end, no `.` or `..`, no colon"
), validation = (
    "!has(self.subPath) || (!self.subPath.startsWith('/') && !self.subPath.matches('(^|/)[.][.](/|$)'))",
    "subPath must be a folder within the volume: no slash at its start, no `..`"
))]
pub struct VolumeMount {
    /// The volume's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Absolute path of a folder; each holds one volume. Of Cloud SQL it is /cloudsql.
    #[schemars(regex(pattern = r"^/.+$"), length(min = 2, max = 300))]
    pub mount_path: String,
    /// Folder within the volume that appears there. Default: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    pub sub_path: Option<String>,
}
