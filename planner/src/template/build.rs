//! Takes the Rollout's template, the environment's part, and resolved secret versions together.

use orchestra_crds::{
    Container as ContainerSpec, EnvVar, EnvironmentStatus, Limits, OrchestraEnvironment, Resources, ServiceDefaults,
    Template, VolumeMount,
};
use std::collections::{BTreeMap, BTreeSet};

use super::fit;
use super::form::Form;
use super::{
    Bytes, Container, EffectiveTemplate, EnvValue, Gate, Millis, Mount, NetworkAccess, Probe, SecretVersion, Version,
    Volume,
};
use crate::conditions::note;
use crate::names::{Fingerprint, RevisionName, TemplateHash};
use crate::reason::Reason;

/// What a template comes to in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What a revision runs.
    pub template: EffectiveTemplate,
    /// Hash of that: the revision's name.
    pub hash: TemplateHash,
    /// Hash of what the user wrote.
    pub own: TemplateHash,
    /// Fingerprints of what the environment added.
    pub inputs: BTreeSet<Fingerprint>,
    /// The revision that others have made for it; none: one is made, with a name by the hash.
    pub made: Option<RevisionName>,
}

/// What the environment adds to a template.
#[derive(Default)]
struct Shared {
    defaults: ServiceDefaults,
    secrets: BTreeMap<String, SecretVersion>,
    redis: Option<(String, i32)>,
    project: String,
    service_account: Option<String>,
    network: Option<NetworkAccess>,
}

/// Hash of what the user wrote, whatever the environment adds: form 1, pinned by tests.
pub fn own_hash(template: &Template) -> TemplateHash {
    let unresolved = |name: &str| {
        (name.to_string(), SecretVersion { secret: name.into(), version: Version::Number(0), created_at: None })
    };
    let secrets = used_secrets(template).map(unresolved).collect();
    let redis = template.redis.then(|| (String::new(), 0));
    let mut form = Form::new("orchestra own template 1");
    form.template(&assemble(template, &Shared { secrets, redis, ..Shared::default() }));
    form.hash()
}

impl Wanted {
    /// A revision that others have made, and what it runs: its name is all that tells it from others.
    pub fn made_by_others(revision: &RevisionName, template: EffectiveTemplate) -> Self {
        let hash = TemplateHash::of(revision.as_str());
        Self { template, hash: hash.clone(), own: hash, inputs: BTreeSet::new(), made: Some(revision.clone()) }
    }

    /// What a template comes to in an environment. It waits for the parts of the environment that it uses, and for
    /// nothing else.
    ///
    /// # Errors
    /// The gate that is closed, naming the field and what opens it.
    pub fn build(template: &Template, environment: &OrchestraEnvironment) -> Result<Self, Gate> {
        let shared = Shared::of(template, environment)?;
        let effective = assemble(template, &shared);
        if let Some(why) = fit::refusal(&effective) {
            return Err(Gate::Blocked(note(Reason::InvalidResources, why)));
        }
        let inputs = shared.inputs(template);
        Ok(Self { hash: effective.hash(), own: own_hash(template), inputs, template: effective, made: None })
    }
}

impl Shared {
    fn of(template: &Template, environment: &OrchestraEnvironment) -> Result<Self, Gate> {
        let spec = &environment.spec;
        let mut shared = Self {
            defaults: spec.defaults.clone().unwrap_or_default(),
            project: spec.project.clone(),
            service_account: spec.service_account.as_ref().map(|name| account(name, &spec.project)),
            network: spec.network.as_ref().and_then(NetworkAccess::of),
            ..Self::default()
        };
        if template.redis {
            shared.redis = Some(redis_address(environment, observed(environment)?)?);
        }
        for name in used_secrets(template) {
            let version = secret_version(name, environment, observed(environment)?)?;
            shared.secrets.insert(name.to_string(), version);
        }
        Ok(shared)
    }

    /// A fingerprint of each thing that the environment adds to this template.
    fn inputs(&self, template: &Template) -> BTreeSet<Fingerprint> {
        let own = template.serving();
        let is_own = |name: &str| own.is_some_and(|c| c.env.iter().any(|e| e.name == name));
        let (mine, theirs) = (limits(own.and_then(|c| c.resources.as_ref())), limits(self.defaults.resources.as_ref()));
        let mut lines: Vec<String> = vec![];
        let defaults = self.defaults.env.iter().filter(|e| !is_own(&e.name));
        lines.extend(defaults.map(|e| format!("env {} {}", e.name, e.value.as_deref().unwrap_or_default())));
        let created = |s: &SecretVersion| s.created_at.map(|at| at.to_string()).unwrap_or_default();
        lines.extend(
            self.secrets.iter().map(|(name, s)| format!("secret {name} {} {} {}", s.secret, s.version, created(s))),
        );
        lines.extend(self.redis.iter().map(|(host, port)| format!("redis {host}:{port}")));
        lines.extend(
            theirs.cpu.filter(|_| mine.cpu.is_none()).and_then(|c| Millis::parse(&c.0)).map(|c| format!("cpu {}", c.0)),
        );
        lines.extend(
            theirs
                .memory
                .filter(|_| mine.memory.is_none())
                .and_then(|m| Bytes::parse(&m.0))
                .map(|m| format!("memory {}", m.0)),
        );
        let numbers = [
            ("concurrency", self.defaults.concurrency.filter(|_| template.concurrency.is_none())),
            ("timeout", self.defaults.timeout_seconds.filter(|_| template.timeout_seconds.is_none())),
        ];
        lines.extend(numbers.iter().filter_map(|(key, n)| n.map(|n| format!("{key} {n}"))));
        let account = self.service_account.iter().filter(|_| template.service_account.is_none());
        lines.extend(account.map(|account| format!("account {account}")));
        let network = self.network.iter().filter(|_| template.network.is_none());
        lines.extend(network.map(|network| format!("network {}", network.line())));
        lines.iter().map(|line| Fingerprint::of(line)).collect()
    }
}

/// Names of the environment's secrets that a template uses.
fn used_secrets(template: &Template) -> impl Iterator<Item = &str> {
    let variables = template.containers.iter().flat_map(|c| &c.env).filter_map(|e| e.value_from.as_ref());
    let variables = variables.map(|source| source.secret.name.as_str());
    variables.chain(template.volumes.iter().filter_map(|volume| Some(volume.secret.as_ref()?.name.as_str())))
}

fn limits(resources: Option<&Resources>) -> Limits {
    resources.and_then(|resources| resources.limits.clone()).unwrap_or_default()
}

fn assemble(template: &Template, shared: &Shared) -> EffectiveTemplate {
    // The environment's defaults and its Redis are for the container that takes the requests: a sidecar gets what it asks
    // for.
    let nothing = Shared { secrets: shared.secrets.clone(), ..Shared::default() };
    let serving = template.serving();
    let part = |own: &ContainerSpec| if serving.is_some_and(|s| std::ptr::eq(s, own)) { shared } else { &nothing };
    let volumes = template.volumes.iter();
    let scaling = template.scaling.clone().unwrap_or_default();
    let own_account = template.service_account.as_ref().map(|name| account(name, &shared.project));
    EffectiveTemplate {
        labels: template.labels.clone(),
        annotations: template.annotations.clone(),
        containers: template.containers.iter().map(|own| container(own, part(own))).collect(),
        volumes: volumes.filter_map(|v| Some((v.name.clone(), Volume::of(v, &shared.secrets)?))).collect(),
        concurrency: template.concurrency.or(shared.defaults.concurrency),
        timeout_seconds: template.timeout_seconds.or(shared.defaults.timeout_seconds),
        session_affinity: template.session_affinity,
        service_account: own_account.or_else(|| shared.service_account.clone()),
        network: template.network.as_ref().and_then(NetworkAccess::of).or_else(|| shared.network.clone()),
        min_instances: scaling.min_instances.unwrap_or_default(),
        max_instances: scaling.max_instances,
        cpu_allocation: template.cpu_allocation.unwrap_or_default(),
        startup_cpu_boost: template.startup_cpu_boost,
        execution_environment: template.execution_environment,
        accelerator: template.node_selector.as_ref().map(|selector| selector.accelerator.clone()),
        gpu_zonal_redundancy_disabled: template.gpu_zonal_redundancy_disabled,
        encryption_key: template.encryption_key.clone(),
        health_check_disabled: template.health_check_disabled,
    }
}

fn container(own: &ContainerSpec, shared: &Shared) -> Container {
    let (mine, theirs) = (limits(own.resources.as_ref()), limits(shared.defaults.resources.as_ref()));
    let mount =
        |m: &VolumeMount| (m.mount_path.clone(), Mount { volume: m.name.clone(), sub_path: m.sub_path.clone() });
    Container {
        name: own.name.clone().unwrap_or_default(),
        image: own.image.clone(),
        command: own.command.clone(),
        args: own.args.clone(),
        working_dir: own.working_dir.clone(),
        port: own.ports.first().map(|port| port.container_port),
        protocol: own.ports.first().and_then(|port| port.protocol).unwrap_or_default(),
        env: variables(&own.env, shared),
        mounts: own.volume_mounts.iter().map(mount).collect(),
        cpu: mine.cpu.or(theirs.cpu).and_then(|cpu| Millis::parse(&cpu.0)),
        memory: mine.memory.or(theirs.memory).and_then(|memory| Bytes::parse(&memory.0)),
        gpus: mine.gpu.or(theirs.gpu).and_then(|gpu| gpu.0.parse().ok()).unwrap_or_default(),
        startup: own.startup_probe.as_ref().and_then(Probe::of_startup),
        liveness: own.liveness_probe.as_ref().and_then(Probe::of_health),
        readiness: own.readiness_probe.as_ref().and_then(Probe::of_health),
        depends_on: own.depends_on.iter().cloned().collect(),
    }
}

/// The environment's defaults, then what the Rollout says itself, then the address of Redis.
fn variables(own: &[EnvVar], shared: &Shared) -> BTreeMap<String, EnvValue> {
    let value = |e: &EnvVar| match &e.value_from {
        Some(source) => shared.secrets.get(&source.secret.name).cloned().map(EnvValue::Secret),
        None => Some(EnvValue::Plain(e.value.clone().unwrap_or_default())),
    };
    let all = shared.defaults.env.iter().chain(own);
    let mut env: BTreeMap<String, EnvValue> = all.filter_map(|e| Some((e.name.clone(), value(e)?))).collect();
    if let Some((host, port)) = &shared.redis {
        env.insert("REDIS_HOST".into(), EnvValue::Plain(host.clone()));
        env.insert("REDIS_PORT".into(), EnvValue::Plain(port.to_string()));
    }
    env
}

/// The environment's status, if it speaks of the spec that we see.
fn observed(environment: &OrchestraEnvironment) -> Result<&EnvironmentStatus, Gate> {
    let name = environment.metadata.name.as_deref().unwrap_or_default();
    environment.status.as_ref().filter(|s| s.observed_generation == environment.metadata.generation).ok_or_else(|| {
        Gate::Waiting(note(Reason::EnvironmentNotReady, format!("environment `{name}` has not been looked at yet")))
    })
}

fn redis_address(environment: &OrchestraEnvironment, status: &EnvironmentStatus) -> Result<(String, i32), Gate> {
    if environment.spec.redis.is_none() {
        return Err(Gate::Blocked(note(
            Reason::NoRedis,
            "spec.template.redis: the environment has no spec.redis: add it there, or set this to false",
        )));
    }
    status.redis.as_ref().and_then(|r| Some((r.host.clone()?, r.port?))).ok_or_else(|| {
        Gate::Waiting(note(
            Reason::RedisNotReady,
            "the environment's Redis has no address yet: see its condition RedisReady",
        ))
    })
}

fn secret_version(
    name: &str,
    environment: &OrchestraEnvironment,
    status: &EnvironmentStatus,
) -> Result<SecretVersion, Gate> {
    if !environment.spec.secrets.iter().any(|s| s.name == name) {
        return Err(Gate::Blocked(note(
            Reason::UnknownSecret,
            format!(
                "spec.template: the environment has no secret named `{name}`: add it to the environment's spec.secrets, or \
                 correct the name"
            ),
        )));
    }
    let resolved = status.secrets.iter().find(|s| s.name == name);
    resolved
        .map(|s| SecretVersion {
            secret: s.secret.clone(),
            version: Version::Number(s.version),
            created_at: s.created_at.as_ref().map(|at| at.0),
        })
        .ok_or_else(|| {
            let message = format!(
                "spec.template: the environment has no version of the secret `{name}` yet: see its condition SecretsReady"
            );
            Gate::Waiting(note(Reason::SecretNotReady, message))
        })
}

/// The e-mail address of a service account.
pub(crate) fn account(name: &str, project: &str) -> String {
    if name.contains('@') { name.to_string() } else { format!("{name}@{project}.iam.gserviceaccount.com") }
}
