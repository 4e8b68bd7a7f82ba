//! The effective template: what a revision runs, once the environment has added its part and every secret is a number.

use orchestra_crds::{Egress, EnvironmentStatus, OrchestraEnvironment, Rollout, SecretUse};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

use crate::conditions::{Note, note};
use crate::names::TemplateHash;

/// What a revision runs. Two equal templates are the same revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EffectiveTemplate {
    /// Container image.
    pub image: String,
    /// Entrypoint; empty: the image's.
    pub command: Vec<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Port; none: Cloud Run's default.
    pub port: Option<i32>,
    /// Environment variables, by name.
    pub env: BTreeMap<String, EnvValue>,
    /// Files that hold secrets, by path.
    pub files: BTreeMap<String, SecretVersion>,
    /// CPU.
    pub cpu: Option<String>,
    /// Memory.
    pub memory: Option<String>,
    /// Requests at once.
    pub concurrency: Option<i32>,
    /// Longest request, in seconds.
    pub timeout_seconds: Option<i32>,
    /// Whether clients stick to an instance.
    pub session_affinity: bool,
    /// E-mail address of the service account.
    pub service_account: Option<String>,
    /// VPC connector, by its short name: the region is added where it is written.
    pub network: Option<(String, Egress)>,
}

/// Value of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// As it is.
    Plain(String),
    /// From Secret Manager.
    Secret(SecretVersion),
}

/// One version of a secret. Never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// ID of the secret.
    pub secret: String,
    /// Number of the version.
    pub version: i64,
}

/// Why there is no effective template yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It will be there by waiting.
    Waiting(Note),
    /// A person has to change something.
    Blocked(Note),
}

impl Gate {
    /// Its note.
    pub fn note(&self) -> &Note {
        let (Self::Waiting(note) | Self::Blocked(note)) = self;
        note
    }
}

impl EffectiveTemplate {
    /// Takes the Rollout's template, the environment's part, and resolved secret versions together.
    ///
    /// # Errors
    /// The gate that is closed, naming the field and what opens it.
    pub fn build(rollout: &Rollout, environment: &OrchestraEnvironment) -> Result<Self, Gate> {
        let (own, shared) = (&rollout.spec.template, &environment.spec);
        let defaults = shared.defaults.clone().unwrap_or_default();
        let (mine, theirs) = (own.resources.clone().unwrap_or_default(), defaults.resources.unwrap_or_default());
        let mut env: BTreeMap<String, EnvValue> =
            defaults.env.iter().chain(&own.env).map(|e| (e.name.clone(), EnvValue::Plain(e.value.clone()))).collect();
        let status = observed(environment)?;
        if own.redis {
            env.extend(redis_variables(environment, status)?);
        }
        let mut files = BTreeMap::new();
        for used in &own.secrets {
            let version = secret_version(used, environment, status)?;
            match (&used.env, &used.path) {
                (Some(name), _) => drop(env.insert(name.clone(), EnvValue::Secret(version))),
                (None, Some(path)) => drop(files.insert(path.clone(), version)),
                (None, None) => {}
            }
        }
        Ok(Self {
            image: own.image.clone(),
            command: own.command.clone(),
            args: own.args.clone(),
            port: own.port,
            env,
            files,
            cpu: mine.cpu.or(theirs.cpu),
            memory: mine.memory.or(theirs.memory),
            concurrency: own.concurrency.or(defaults.concurrency),
            timeout_seconds: own.timeout_seconds.or(defaults.timeout_seconds),
            session_affinity: own.session_affinity,
            service_account: shared.service_account.as_ref().map(|name| account(name, &shared.project)),
            network: shared.network.as_ref().map(|n| (n.connector.clone(), n.egress)),
        })
    }

    /// The template's hash, over form 1: a line for each field that is not at its default, names sorted, texts as JSON.
    /// The form is pinned by tests: upgrading the controller must start no rollout.
    pub fn hash(&self) -> TemplateHash {
        let mut form = String::from("orchestra template 1\n");
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(form, "{key} {value}");
        };
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        line("image", &quoted(&self.image));
        self.command.iter().for_each(|word| line("command", &quoted(word)));
        self.args.iter().for_each(|word| line("arg", &quoted(word)));
        for (name, value) in &self.env {
            match value {
                EnvValue::Plain(text) => line("env", &format!("{name} {}", quoted(text))),
                EnvValue::Secret(s) => line("env-secret", &format!("{name} {} {}", s.secret, s.version)),
            }
        }
        for (path, s) in &self.files {
            line("file-secret", &format!("{} {} {}", quoted(path), s.secret, s.version));
        }
        for (key, text) in [("cpu", &self.cpu), ("memory", &self.memory), ("account", &self.service_account)] {
            text.iter().for_each(|text| line(key, &quoted(text)));
        }
        for (key, n) in [("port", self.port), ("concurrency", self.concurrency), ("timeout", self.timeout_seconds)] {
            n.iter().for_each(|n| line(key, n));
        }
        if self.session_affinity {
            line("affinity", &true);
        }
        if let Some((connector, egress)) = &self.network {
            line("network", &format!("{connector} {egress:?}"));
        }
        TemplateHash::from_digest(&Sha256::digest(form.as_bytes()))
    }
}

/// The environment's status, if it speaks of the spec that we see.
fn observed(environment: &OrchestraEnvironment) -> Result<&EnvironmentStatus, Gate> {
    let name = environment.metadata.name.as_deref().unwrap_or_default();
    environment.status.as_ref().filter(|s| s.observed_generation == environment.metadata.generation).ok_or_else(|| {
        Gate::Waiting(note("EnvironmentNotReady", format!("environment `{name}` has not been looked at yet")))
    })
}

/// Whether an image may be released into an environment. Going back to what was released before needs no leave.
///
/// # Errors
/// The gate that is closed, naming the field and what opens it.
pub fn allowed(image: &str, environment: &OrchestraEnvironment) -> Result<(), Gate> {
    let Some(policy) = &environment.spec.images else {
        return Ok(());
    };
    let inside = |repository: &String| {
        image.strip_prefix(repository.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    };
    if !policy.repositories.is_empty() && !policy.repositories.iter().any(inside) {
        return Err(Gate::Blocked(note(
            "ImageNotAllowed",
            format!(
                "spec.template.image: `{image}` is outside the environment's repositories ({}): push it to one of \
                 them, or add its repository to the environment's spec.images.repositories",
                policy.repositories.join(", ")
            ),
        )));
    }
    if policy.digest_required && !image.contains("@sha256:") {
        return Err(Gate::Blocked(note(
            "DigestRequired",
            format!("spec.template.image: `{image}` has no digest: name it as IMAGE@sha256:DIGEST"),
        )));
    }
    Ok(())
}

fn redis_variables(
    environment: &OrchestraEnvironment,
    status: &EnvironmentStatus,
) -> Result<[(String, EnvValue); 2], Gate> {
    if environment.spec.redis.is_none() {
        return Err(Gate::Blocked(note(
            "NoRedis",
            "spec.template.redis: the environment has no spec.redis: add it there, or set this to false",
        )));
    }
    match status.redis.as_ref().and_then(|r| Some((r.host.clone()?, r.port?))) {
        Some((host, port)) => {
            Ok([("REDIS_HOST".into(), EnvValue::Plain(host)), ("REDIS_PORT".into(), EnvValue::Plain(port.to_string()))])
        }
        None => Err(Gate::Waiting(note("RedisNotReady", "the environment's Redis has no address yet"))),
    }
}

fn secret_version(
    used: &SecretUse,
    environment: &OrchestraEnvironment,
    status: &EnvironmentStatus,
) -> Result<SecretVersion, Gate> {
    if !environment.spec.secrets.iter().any(|s| s.name == used.name) {
        return Err(Gate::Blocked(note(
            "UnknownSecret",
            format!(
                "spec.template.secrets: the environment has no secret named `{}`: add it to the environment's \
                 spec.secrets, or correct the name",
                used.name
            ),
        )));
    }
    status
        .secrets
        .iter()
        .find(|s| s.name == used.name)
        .map(|s| SecretVersion { secret: s.secret.clone(), version: s.version })
        .ok_or_else(|| {
            Gate::Waiting(note(
                "SecretNotReady",
                format!(
                    "spec.template.secrets: the environment has no version of `{}` yet: see its condition SecretsReady",
                    used.name
                ),
            ))
        })
}

/// The e-mail address of a service account.
fn account(name: &str, project: &str) -> String {
    if name.contains('@') { name.to_string() } else { format!("{name}@{project}.iam.gserviceaccount.com") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestra_crds::{EnvironmentSecret, OrchestraEnvironmentSpec, ResolvedSecret, RolloutSpec};
    use serde_json::json;

    fn environment(extra: serde_json::Value) -> OrchestraEnvironment {
        let mut spec = json!({"project": "cherry-ai-project", "stage": "Development", "regions": ["us-central1"]});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let spec: OrchestraEnvironmentSpec = serde_json::from_value(spec).unwrap();
        let mut environment = OrchestraEnvironment::new("dev", spec);
        environment.status = Some(EnvironmentStatus::default());
        environment
    }

    fn rollout(template: serde_json::Value) -> Rollout {
        let spec = json!({
            "environmentRef": {"name": "dev"}, "serviceName": "api", "template": template, "strategy": {"immediate": {}}
        });
        let spec: RolloutSpec = serde_json::from_value(spec).unwrap();
        Rollout::new("api", spec)
    }

    fn hash(template: &EffectiveTemplate) -> String {
        template.hash().as_str().to_string()
    }

    /// These values may never change: a change would start a rollout of every service at an upgrade.
    #[test]
    fn hashes_are_pinned() {
        let plain = EffectiveTemplate { image: "eu.example/app:1".into(), ..Default::default() };
        assert_eq!(hash(&plain), "e4idcftbrx");
        let full = EffectiveTemplate {
            image: "eu.example/app@sha256:00".into(),
            command: vec!["/app".into()],
            args: vec!["serve".into(), "a \"quoted\"\nword".into()],
            port: Some(8080),
            env: BTreeMap::from([
                ("A".into(), EnvValue::Plain("1".into())),
                ("KEY".into(), EnvValue::Secret(SecretVersion { secret: "key".into(), version: 7 })),
            ]),
            files: BTreeMap::from([("/etc/key".into(), SecretVersion { secret: "key".into(), version: 7 })]),
            cpu: Some("2".into()),
            memory: Some("2Gi".into()),
            concurrency: Some(80),
            timeout_seconds: Some(300),
            session_affinity: true,
            service_account: Some("a@b.iam.gserviceaccount.com".into()),
            network: Some(("orchestra-dev".into(), Egress::PrivateRangesOnly)),
        };
        assert_eq!(hash(&full), "wqy635k4gz");
    }

    #[test]
    fn the_rollout_wins_over_the_environment() {
        let environment = environment(json!({"defaults": {
            "env": [{"name": "LEVEL", "value": "info"}, {"name": "STAGE", "value": "dev"}],
            "resources": {"cpu": "2", "memory": "2Gi"}
        }}));
        let rollout = rollout(json!({
            "image": "x/app", "env": [{"name": "LEVEL", "value": "debug"}], "resources": {"cpu": "1"}
        }));
        let template = EffectiveTemplate::build(&rollout, &environment).unwrap();
        assert_eq!(template.env["LEVEL"], EnvValue::Plain("debug".into()));
        assert_eq!(template.env["STAGE"], EnvValue::Plain("dev".into()));
        assert_eq!((template.cpu.as_deref(), template.memory.as_deref()), (Some("1"), Some("2Gi")));
    }

    #[test]
    fn images_outside_the_repositories_are_refused() {
        let environment = environment(json!({"images": {"repositories": ["eu.example/team"]}}));
        for (image, allowed) in [("eu.example/team/app", true), ("eu.example/teammate/app", false), ("app", false)] {
            assert_eq!(super::allowed(image, &environment).is_ok(), allowed, "{image}");
        }
    }

    #[test]
    fn another_secret_version_is_another_template() {
        let mut environment = environment(json!({}));
        environment.spec.secrets = vec![EnvironmentSecret { name: "key".into(), secret: None, version: None }];
        let rollout = rollout(json!({"image": "app", "secrets": [{"name": "key", "env": "KEY"}]}));
        assert!(matches!(EffectiveTemplate::build(&rollout, &environment), Err(Gate::Waiting(_))));
        let mut with = |version| {
            let resolved = ResolvedSecret { name: "key".into(), secret: "key".into(), version };
            environment.status = Some(EnvironmentStatus { secrets: vec![resolved], ..Default::default() });
            hash(&EffectiveTemplate::build(&rollout, &environment).unwrap())
        };
        assert_ne!(with(1), with(2));
        assert_eq!(with(1), with(1));
    }
}
