//! What both kinds share.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// What Orchestra does about what it sees in Google Cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementPolicy {
    /// What differs from the specs is put right.
    #[default]
    Reconcile,
    /// What differs is told, field by field, and nothing is written: no release, no step, no rollback, no deletion.
    Observe,
}

/// What happens in Google Cloud when the object is deleted from the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Everything stays as it is and is released; an object of the same name takes it over again.
    #[default]
    Retain,
    /// What this object created is deleted. Data in Redis is lost.
    Delete,
}

/// An amount of CPU as Kubernetes writes it: `2`, `"0.5"`, `500m`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Cpu(pub String);

/// An amount of memory as Kubernetes writes it: `512Mi`, `0.5Gi`, `512M`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Memory(pub String);

/// Text, or a number taken as its text. Other amounts than the schema means are refused where they are used, with their field:
/// what can't be read at all could not be rolled back either.
fn int_or_string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        other => Err(D::Error::custom(format!("`{other}` is no quantity: write it as 2, 500m or 512Mi"))),
    }
}

/// A number of GPUs: `"1"`, the only one that an instance can have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Gpu(pub String);

macro_rules! quantity {
    ($name:ident, $pattern:literal, $description:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                int_or_string(deserializer).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "x-kubernetes-int-or-string": true, "pattern": $pattern, "maxLength": 12, "description": $description,
                })
            }
        }
    };
}
quantity!(Cpu, r"^([0-9]+m|[0-9]+(\.[0-9]{1,3})?)$", "CPU, as Kubernetes writes it: `2`, `\"0.5\"`, `500m`.");
quantity!(Gpu, r"^1$", "A number of GPUs: `\"1\"`, the only one that an instance can have.");
quantity!(Memory, r"^[0-9]+(\.[0-9]{1,3})?(Mi|Gi|M|G)$", "Memory, as Kubernetes writes it: `512Mi`, `0.5Gi`, `512M`.");

/// What one container instance gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// CPU and memory. Cloud Run gives exactly this much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// CPU and memory of one container instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.cpu) || (!quantity(string(self.cpu)).isLessThan(quantity('80m')) && !quantity(string(self.cpu)).isGreaterThan(quantity('1'))) || string(self.cpu) in ['2', '4', '6', '8', '2000m', '4000m', '6000m', '8000m'] || (has(self.nvidia__dot__com__slash__gpu) && string(self.cpu) in ['20', '22', '24', '26', '28', '30'])",
    "cpu must be 80m to 1, or 2, 4, 6 or 8, or with a large GPU 20 to 30 in steps of 2: Cloud Run has no other sizes"
), validation = (
    "!has(self.memory) || (!quantity(string(self.memory)).isLessThan(quantity('128Mi')) && !quantity(string(self.memory)).isGreaterThan(quantity('120Gi')))",
    "memory must be 128Mi to 32Gi, or with a large GPU 120Gi, with its unit: 512Mi, not 512"
), validation = (
    "!has(self.cpu) || !has(self.memory) || !quantity(string(self.memory)).isGreaterThan(quantity(quantity(string(self.cpu)).isLessThan(quantity('500m')) ? '512Mi' : quantity(string(self.cpu)).isLessThan(quantity('1')) ? '1Gi' : quantity(string(self.cpu)).isLessThan(quantity('2')) ? '4Gi' : quantity(string(self.cpu)).isLessThan(quantity('4')) ? '8Gi' : quantity(string(self.cpu)).isLessThan(quantity('6')) ? '16Gi' : quantity(string(self.cpu)).isLessThan(quantity('8')) ? '24Gi' : quantity(string(self.cpu)).isLessThan(quantity('20')) ? '32Gi' : '120Gi'))",
    "memory is more than this cpu can have: 512Mi below 500m, 1Gi below 1, 4Gi with 1, 8Gi with 2, 16Gi with 4, 24Gi with 6, 32Gi with 8"
), validation = (
    "!has(self.cpu) || !has(self.memory) || quantity(string(self.cpu)).isLessThan(quantity('4')) || !quantity(string(self.memory)).isLessThan(quantity(quantity(string(self.cpu)).isLessThan(quantity('6')) ? '2Gi' : '4Gi'))",
    "memory is too little for this cpu: at least 2Gi with 4, and 4Gi with 6 or 8"
), validation = (
    "!has(self.nvidia__dot__com__slash__gpu) || (has(self.cpu) && has(self.memory) && !quantity(string(self.cpu)).isLessThan(quantity('4')) && !quantity(string(self.memory)).isLessThan(quantity('16Gi')))",
    "a container with a GPU needs cpu 4 and memory 16Gi at least"
))]
pub struct Limits {
    /// CPU. Default: the environment's, or else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Memory. Default: the environment's, or else 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// GPUs, of the kind that `nodeSelector.accelerator` names. Default: none.
    #[serde(default, rename = "nvidia.com/gpu", skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
}

/// Number of instances of a service, shared by its revisions in proportion to their traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.minInstances) || !has(self.maxInstances) || self.minInstances <= self.maxInstances",
    "minInstances must not be above maxInstances"
), validation = (
    "!has(self.manualInstances) || (!has(self.minInstances) && !has(self.maxInstances))",
    "manualInstances is the number of instances, whatever the requests: leave out minInstances and maxInstances"
))]
pub struct Scaling {
    /// Instances kept warm even without requests. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_instances: Option<i32>,
    /// Most instances that may run at once. Default: Cloud Run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_instances: Option<i32>,
    /// So many instances, whatever the requests; 0 takes the service out of use. Default: as many as the requests need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub manual_instances: Option<i32>,
}

/// Whether something is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Switch {
    /// It is.
    Enabled,
    /// It is not.
    Disabled,
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
    /// IAM members that get `roles/run.invoker` on the service: `allUsers`, `user:…`, `serviceAccount:…`. What is taken
    /// out of the list is revoked; members granted by others are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 50),
        inner(
            length(min = 3, max = 200),
            regex(
                pattern = r"^(allUsers|allAuthenticatedUsers|(user|group|serviceAccount):[^\s@]+@[^\s@]+|(domain|principal|principalSet):[^\s]+)$"
            )
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub invokers: Option<Vec<String>>,
    /// Whether a caller must have `roles/run.invoker`. Disabled: everybody that reaches the service may call it; a policy of the
    /// organization may refuse that. Default: what is set on the service stays; Cloud Run's is Enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoker_iam_check: Option<Switch>,
    /// Whether the service has an address of Cloud Run's, and tags have. Disabled: it is reached through a load balancer alone.
    /// Default: what is set on the service stays; Cloud Run's is Enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_address: Option<Switch>,
    /// Whether Identity-Aware Proxy asks each caller who they are; who may pass is set there. Default: what is set on the
    /// service stays; Cloud Run's is Disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iap: Option<Switch>,
    /// What identity tokens may be made out to, beside the service's address: a URL or a word. What is taken out of the list is
    /// taken away; those that others added stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 256), regex(pattern = r"^\S+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub custom_audiences: Option<Vec<String>>,
}

/// An environment variable: its value, or where that comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!(has(self.value) && has(self.valueFrom))",
    "set value or valueFrom, not both"
), validation = (
    "!(self.name in ['PORT', 'K_SERVICE', 'K_REVISION', 'K_CONFIGURATION'])",
    "Cloud Run sets PORT, K_SERVICE, K_REVISION and K_CONFIGURATION itself: choose another name; the port is ports[0].containerPort"
))]
pub struct EnvVar {
    /// Name of the variable; Cloud Run takes any but an empty one, without `=`.
    #[schemars(regex(pattern = r"^[^=\x00]+$"), length(min = 1, max = 300))]
    pub name: String,
    /// Value of the variable. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub value: Option<String>,
    /// Where the value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvSource>,
}

/// Where the value of a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvSource {
    /// A secret of the environment.
    pub secret: SecretRef,
}

/// Names a secret of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name in the environment's `secrets`.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
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
    pub const IDENTITY_READY: &str = "IdentityReady";
    pub const SECRETS_READY: &str = "SecretsReady";
    /// Environment: its spec names things as Google Cloud takes them, and Google knows its project and regions.
    pub const PROJECT_READY: &str = "ProjectReady";
}
