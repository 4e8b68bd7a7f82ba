//! What a revision runs, in Kubernetes' words.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::container::Container;
use super::volume::Volume;
use crate::Network;

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
), validation = (
    "self.containers.all(c, !has(c.volumeMounts) || c.volumeMounts.all(m, (m.name == 'cloudsql') == (m.mountPath == '/cloudsql')))",
    "the volume cloudsql is mounted at /cloudsql, and nothing else is"
), validation = (
    "!has(self.volumes) || self.containers.all(c, !has(c.volumeMounts) || c.volumeMounts.all(m, !has(m.subPath) || !self.volumes.exists(v, v.name == m.name && has(v.secret))))",
    "subPath does not go with a secret: name the file in the volume's items"
), validation = (
    "self.containers.map(c, has(c.env) ? c.env.size() : 0).sum() <= 1000 && self.containers.map(c, has(c.args) ? c.args.size() : 0).sum() <= 1000",
    "Cloud Run takes 1,000 variables and 1,000 arguments at most, of all containers together"
), validation = (
    "self.containers.size() == 1 || self.containers.exists_one(c, has(c.ports) && c.ports.size() > 0)",
    "of several containers exactly one has ports: the one that takes the requests"
), validation = (
    "self.containers.all(c, !has(c.name) || self.containers.exists_one(o, has(o.name) && o.name == c.name))",
    "containers must have different names"
), validation = (
    "self.containers.all(c, !has(c.dependsOn) || c.dependsOn.all(d, self.containers.exists(o, has(o.name) && o.name == d && has(o.startupProbe) && (!has(c.name) || c.name != d))))",
    "each of dependsOn must name another container, and that one needs a startupProbe"
), validation = (
    "!has(self.executionEnvironment) || self.executionEnvironment == 'Gen2' || !has(self.volumes) || self.volumes.all(v, !has(v.gcs) && !has(v.nfs))",
    "volumes of gcs and nfs need executionEnvironment Gen2"
), validation = (
    "has(self.nodeSelector) == self.containers.exists(c, has(c.resources) && has(c.resources.limits) && has(c.resources.limits.nvidia__dot__com__slash__gpu))",
    "a GPU needs both: nodeSelector.accelerator says which, and limits of a container, 'nvidia.com/gpu': '1', that it has it"
))]
pub struct Template {
    /// Labels of the revision.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::labels::labels")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the revision.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::labels::annotations")]
    pub annotations: BTreeMap<String, String>,
    /// The containers of an instance. Of several exactly one has `ports` and takes the requests; the others are its sidecars.
    // Keyed by name it would need a default in each item, which other tools then show as a difference.
    #[schemars(length(min = 1, max = 10))]
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
    /// Whether the container that takes the requests gets REDIS_HOST and REDIS_PORT of the environment's Redis.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redis: bool,
    /// Service account that the containers run as: a name in the project, or a whole e-mail address. Default: the
    /// environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(
            pattern = r"^([a-z]([-a-z0-9]{4,28}[a-z0-9])|[a-z0-9]([-a-z0-9.]*[a-z0-9])?@[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$"
        ),
        length(min = 6, max = 100)
    )]
    pub service_account: Option<String>,
    /// How the containers reach the VPC. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Instances of this revision alone, whatever its share of the traffic; `spec.scaling` is what all revisions share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<RevisionScaling>,
    /// When the containers have CPU. Default: DuringRequests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_allocation: Option<CpuAllocation>,
    /// Whether a starting instance gets more CPU for a while.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub startup_cpu_boost: bool,
    /// The sandbox that containers run in. Default: Cloud Run chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_environment: Option<ExecutionEnvironment>,
    /// What the machines must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<NodeSelector>,
    /// Whether instances with a GPU may all be in one zone, of which there are more. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gpu_zonal_redundancy_disabled: bool,
    /// Key of Cloud KMS that encrypts the image: projects/P/locations/L/keyRings/R/cryptoKeys/K.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$"),
        length(max = 500)
    )]
    pub encryption_key: Option<String>,
    /// Whether a revision counts as ready without having started once. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub health_check_disabled: bool,
}

/// Instances of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.minInstances) || !has(self.maxInstances) || self.minInstances <= self.maxInstances",
    "minInstances must not be above maxInstances"
))]
pub struct RevisionScaling {
    /// Instances kept warm even without requests, and without traffic as long as the revision has a tag. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_instances: Option<i32>,
    /// Most instances that may run at once. Default: Cloud Run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_instances: Option<i32>,
}

/// When the containers have CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CpuAllocation {
    /// While they start, and while there is a request.
    #[default]
    DuringRequests,
    /// As long as they live.
    Always,
}

/// The sandbox that containers run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExecutionEnvironment {
    /// The first generation: starts faster, emulates Linux.
    Gen1,
    /// The second: all of Linux, faster CPU and network; needs 512Mi of memory.
    Gen2,
}

/// What the machines must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// Kind of GPU: nvidia-l4.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 63))]
    pub accelerator: String,
}

impl Template {
    /// Whether none was given.
    pub fn is_absent(&self) -> bool {
        self.containers.is_empty()
    }

    /// The container that takes the requests: of several the one with a port. The schema asks for one; an object that
    /// slipped past it has none.
    pub fn serving(&self) -> Option<&Container> {
        self.containers.iter().find(|container| !container.ports.is_empty()).or_else(|| self.containers.first())
    }

    /// Image of the container that takes the requests.
    pub fn image(&self) -> &str {
        self.serving().map_or("", |container| container.image.as_str())
    }
}
