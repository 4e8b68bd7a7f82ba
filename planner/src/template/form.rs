//! The form that a template is hashed in: a line for each field that is not at Cloud Run's default, names sorted, texts
//! as JSON. It is pinned by tests: upgrading the controller must start no rollout. So a field that comes later has a line
//! only where it is set.

use orchestra_crds::{CpuAllocation, ExecutionEnvironment, Protocol};
use std::fmt::{Display, Write};

use super::container::{Container, EnvValue, SecretVersion};
use super::probe::{Check, Probe};
use super::{EffectiveTemplate, Volume};
use crate::names::TemplateHash;

/// Name of the only container, where it has none.
pub(super) const MAIN: &str = "main";

/// A form under way.
pub(super) struct Form(String);

impl Form {
    pub(super) fn new(title: &str) -> Self {
        Self(format!("{title}\n"))
    }

    fn line(&mut self, key: &str, value: impl Display) {
        // Writing to a text can't fail.
        let _ = writeln!(self.0, "{key} {value}");
    }

    fn some(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.line(key, value);
        }
    }

    fn flag(&mut self, key: &str, is_set: bool) {
        self.some(key, is_set.then_some(true));
    }

    pub(super) fn hash(&self) -> TemplateHash {
        TemplateHash::of(&self.0)
    }

    pub(super) fn template(&mut self, template: &EffectiveTemplate) {
        let template = template.normal();
        template.containers.iter().for_each(|container| self.container(container));
        template.volumes.iter().for_each(|(name, volume)| self.volume(name, volume));
        self.some("concurrency", template.concurrency);
        self.some("timeout", template.timeout_seconds);
        self.flag("affinity", template.session_affinity);
        self.some("account", template.service_account.as_deref().map(quoted));
        self.some("network", template.network.as_ref().map(|network| network.line()));
        for (key, value) in &template.labels {
            self.line("label", format_args!("{} {}", quoted(key), quoted(value)));
        }
        for (key, value) in &template.annotations {
            self.line("annotation", format_args!("{} {}", quoted(key), quoted(value)));
        }
        self.some("min-instances", Some(template.min_instances).filter(|n| *n != 0));
        self.some("max-instances", template.max_instances);
        self.flag("cpu-always", template.cpu_allocation == CpuAllocation::Always);
        self.flag("cpu-boost", template.startup_cpu_boost);
        self.some("execution", template.execution_environment.map(generation));
        self.some("accelerator", template.accelerator.as_deref().map(quoted));
        self.flag("gpu-in-one-zone", template.gpu_zonal_redundancy_disabled);
        self.some("key", template.encryption_key.as_deref().map(quoted));
        self.flag("health-check-disabled", template.health_check_disabled);
    }

    fn container(&mut self, container: &Container) {
        self.line("image", quoted(&container.image));
        self.some("name", Some(&container.name).filter(|name| !name.is_empty()));
        container.command.iter().for_each(|word| self.line("command", quoted(word)));
        container.args.iter().for_each(|word| self.line("arg", quoted(word)));
        for (name, value) in &container.env {
            match value {
                EnvValue::Plain(text) => self.line("env", format_args!("{} {}", quoted(name), quoted(text))),
                EnvValue::Secret(secret) => {
                    self.line("env-secret", format_args!("{} {}", quoted(name), version(secret)))
                }
            }
        }
        for (path, mount) in &container.mounts {
            let within = mount.sub_path.as_deref().map(|path| format!(" {}", quoted(path))).unwrap_or_default();
            self.line("mount", format_args!("{} {}{within}", quoted(path), mount.volume));
        }
        self.some("port", container.port);
        self.some("cpu", container.cpu.map(|cpu| cpu.0));
        self.some("memory", container.memory.map(|memory| memory.0));
        self.some("gpus", Some(container.gpus).filter(|n| *n != 0));
        self.some("folder", container.working_dir.as_deref().map(quoted));
        self.some("protocol", (container.protocol == Protocol::H2c).then_some("h2c"));
        self.some("startup", container.startup.as_ref().map(probe));
        self.some("liveness", container.liveness.as_ref().map(probe));
        self.some("readiness", container.readiness.as_ref().map(probe));
        container.depends_on.iter().for_each(|name| self.line("after", name));
    }

    fn volume(&mut self, name: &str, volume: &Volume) {
        match volume {
            Volume::Secret { files, default_mode, .. } => {
                for (path, file) in files {
                    let mode = file.mode.map(|mode| format!(" mode {mode}")).unwrap_or_default();
                    self.line("volume", format_args!("{name} {} {}{mode}", quoted(path), version(&file.version)));
                }
                self.some("volume-mode", default_mode.map(|mode| format!("{name} {mode}")));
            }
            Volume::Gcs { bucket, read_only, mount_options } => {
                let options: Vec<String> = mount_options.iter().map(|option| quoted(option)).collect();
                self.line("bucket", format_args!("{name} {} {read_only} {}", quoted(bucket), options.join(" ")));
            }
            Volume::Nfs { server, path, read_only } => {
                self.line("nfs", format_args!("{name} {} {} {read_only}", quoted(server), quoted(path)));
            }
            Volume::EmptyDir { size } => {
                self.line("folder-in-memory", format_args!("{name} {}", size.map_or(0, |size| size.0)));
            }
            Volume::CloudSql { instances } => instances
                .iter()
                .for_each(|instance| self.line("cloud-sql", format_args!("{name} {}", quoted(instance)))),
        }
    }
}

fn probe(probe: &Probe) -> String {
    let port = |port: &Option<i32>| port.map(|port| port.to_string()).unwrap_or_else(|| "own".into());
    let check = match &probe.check {
        Check::Http { path, port: of, headers } => {
            let headers: Vec<String> = headers.iter().map(|(k, v)| format!(" {} {}", quoted(k), quoted(v))).collect();
            format!("http {} {}{}", quoted(path), port(of), headers.concat())
        }
        Check::Tcp { port: of } => format!("tcp {}", port(of)),
        Check::Grpc { port: of, service } => format!("grpc {} {}", quoted(service), port(of)),
    };
    format!("{check} {} {} {} {}", probe.initial_delay, probe.timeout, probe.period, probe.failures)
}

/// Written by hand: the name of a variant may change, the form may not.
fn generation(environment: ExecutionEnvironment) -> &'static str {
    match environment {
        ExecutionEnvironment::Gen1 => "gen1",
        ExecutionEnvironment::Gen2 => "gen2",
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn version(secret: &SecretVersion) -> String {
    let created = secret.created_at.map(|at| format!(" {at}")).unwrap_or_default();
    format!("{} {}{created}", secret.secret, secret.version)
}

impl EffectiveTemplate {
    /// The template's hash, over form 2.
    pub fn hash(&self) -> TemplateHash {
        let mut form = Form::new("orchestra template 2");
        form.template(self);
        form.hash()
    }
}
