use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens in Google Cloud when the object is deleted from the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Everything stays as it is and is released; an object of the same name takes it over again.
    #[default]
    Retain,
    /// What this object created is deleted. Data in Redis is lost.
    Delete,
}

/// CPU and memory of one container instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// CPU, as Kubernetes writes it: `1`, `2`, `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+m|[1-9][0-9]*)$"), length(max = 10))]
    pub cpu: Option<String>,
    /// Memory, as Kubernetes writes it: `512Mi`, `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(Mi|Gi)$"), length(max = 10))]
    pub memory: Option<String>,
}

/// Number of instances of a service, shared by its revisions in proportion to their traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.minInstances) || !has(self.maxInstances) || self.minInstances <= self.maxInstances",
    "minInstances must not be above maxInstances"
))]
pub struct Scaling {
    /// Instances kept warm even without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_instances: Option<i32>,
    /// Most instances that may run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_instances: Option<i32>,
}

/// Which networks may reach a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Ingress {
    /// The internet.
    #[default]
    All,
    /// Only the project's own networks.
    Internal,
    /// The project's own networks and external load balancers.
    InternalAndLoadBalancer,
}

/// Who may call a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Networks that may reach the service. Default: All.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// IAM members that get `roles/run.invoker` on the service: `allUsers`, `user:…`, `serviceAccount:…`.
    /// Members granted by others are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(min = 3, max = 200)))]
    pub invokers: Option<Vec<String>>,
}

/// A plain environment variable of the container. Secrets have a field of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name of the variable.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"), length(min = 1, max = 200))]
    pub name: String,
    /// Value of the variable.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub value: String,
}

/// Condition types of both kinds. The first three follow kstatus.
pub mod condition {
    /// True: everything is as the spec says.
    pub const READY: &str = "Ready";
    /// True: work is under way.
    pub const RECONCILING: &str = "Reconciling";
    /// True: no progress without a person.
    pub const STALLED: &str = "Stalled";
    /// Environment: its Memorystore instance is as the spec says.
    pub const REDIS_READY: &str = "RedisReady";
    /// Environment: every secret is resolved to a version number.
    pub const SECRETS_READY: &str = "SecretsReady";
}
