//! Takes the Rollout's template, the environment's part, and resolved secret versions together.

use orchestra_crds::{EnvVar, EnvironmentStatus, OrchestraEnvironment, Resources, ServiceDefaults, Template, Volume};
use std::collections::{BTreeMap, BTreeSet};

use super::form::{Form, MAIN, egress_word};
use super::quantity::misfit;
use super::{Bytes, Container, EffectiveTemplate, EnvValue, Gate, Millis, NetworkAccess, SecretFile, SecretVersion};
use crate::conditions::note;
use crate::names::{Fingerprint, TemplateHash};
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
}

/// What the environment adds to a template.
#[derive(Default)]
struct Shared {
    defaults: ServiceDefaults,
    secrets: BTreeMap<String, SecretVersion>,
    redis: Option<(String, i32)>,
    service_account: Option<String>,
    network: Option<NetworkAccess>,
}

/// Hash of what the user wrote, whatever the environment adds: form 1, pinned by tests.
pub fn own_hash(template: &Template) -> TemplateHash {
    let unresolved =
        |name: &str| (name.to_string(), SecretVersion { secret: name.into(), version: 0, created_at: None });
    let secrets = used_secrets(template).map(unresolved).collect();
    let redis = template.redis.then(|| (String::new(), 0));
    let mut form = Form::new("orchestra own template 1");
    form.template(&assemble(template, &Shared { secrets, redis, ..Shared::default() }));
    form.hash()
}

impl Wanted {
    /// What a template comes to in an environment. It waits for the parts of the environment that it uses, and for
    /// nothing else.
    ///
    /// # Errors
    /// The gate that is closed, naming the field and what opens it.
    pub fn build(template: &Template, environment: &OrchestraEnvironment) -> Result<Self, Gate> {
        let shared = Shared::of(template, environment)?;
        let effective = assemble(template, &shared);
        for container in &effective.containers {
            if let Some(why) = misfit(container.cpu, container.memory) {
                let message = format!(
                    "spec.template.containers[0].resources.limits, with the environment's spec.defaults.resources: {why}"
                );
                return Err(Gate::Blocked(note(Reason::InvalidResources, message)));
            }
        }
        let inputs = shared.inputs(template);
        Ok(Self { hash: effective.hash(), own: own_hash(template), inputs, template: effective })
    }
}

impl Shared {
    fn of(template: &Template, environment: &OrchestraEnvironment) -> Result<Self, Gate> {
        let spec = &environment.spec;
        let mut shared = Self {
            defaults: spec.defaults.clone().unwrap_or_default(),
            service_account: spec.service_account.as_ref().map(|name| account(name, &spec.project)),
            network: spec.network.as_ref().map(|n| NetworkAccess { connector: n.connector.clone(), egress: n.egress }),
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
        let limits = |r: Option<&Resources>| r.and_then(|r| r.limits.clone()).unwrap_or_default();
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
        lines.extend(self.service_account.iter().map(|account| format!("account {account}")));
        lines.extend(self.network.iter().map(|n| format!("network {} {}", n.connector, egress_word(n.egress))));
        lines.iter().map(|line| Fingerprint::of(line)).collect()
    }
}

/// Names of the environment's secrets that a template uses.
fn used_secrets(template: &Template) -> impl Iterator<Item = &str> {
    let variables = template.containers.iter().flat_map(|c| &c.env).filter_map(|e| e.value_from.as_ref());
    let variables = variables.map(|source| source.secret.name.as_str());
    variables.chain(template.volumes.iter().map(|volume| volume.secret.name.as_str()))
}

fn assemble(template: &Template, shared: &Shared) -> EffectiveTemplate {
    let container = |own: &orchestra_crds::Container| {
        let limits = |r: &Option<Resources>| r.as_ref().and_then(|r| r.limits.clone()).unwrap_or_default();
        let (mine, theirs) = (limits(&own.resources), limits(&shared.defaults.resources));
        Container {
            name: own.name.clone().unwrap_or_else(|| MAIN.into()),
            image: own.image.clone(),
            command: own.command.clone(),
            args: own.args.clone(),
            port: own.ports.first().map(|port| port.container_port),
            env: variables(&own.env, shared),
            mounts: own.volume_mounts.iter().map(|m| (m.mount_path.clone(), m.name.clone())).collect(),
            cpu: mine.cpu.or(theirs.cpu).and_then(|cpu| Millis::parse(&cpu.0)),
            memory: mine.memory.or(theirs.memory).and_then(|memory| Bytes::parse(&memory.0)),
        }
    };
    let file = |volume: &Volume| {
        let path = volume.secret.path.clone().unwrap_or_else(|| volume.secret.name.clone());
        let version = shared.secrets.get(&volume.secret.name)?.clone();
        Some((volume.name.clone(), SecretFile { path, version }))
    };
    EffectiveTemplate {
        containers: template.containers.iter().map(container).collect(),
        volumes: template.volumes.iter().filter_map(file).collect(),
        concurrency: template.concurrency.or(shared.defaults.concurrency),
        timeout_seconds: template.timeout_seconds.or(shared.defaults.timeout_seconds),
        session_affinity: template.session_affinity,
        service_account: shared.service_account.clone(),
        network: shared.network.clone(),
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
            version: s.version,
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
