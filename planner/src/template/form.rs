//! The form that a template is hashed in: a line for each field that is not at Cloud Run's default, names sorted, texts
//! as JSON. It is pinned by tests: upgrading the controller must start no rollout.

use orchestra_crds::Egress;
use std::fmt::{Display, Write};

use super::{Bytes, Container, EffectiveTemplate, EnvValue, Millis, SecretVersion};
use crate::names::TemplateHash;

const DEFAULT_PORT: i32 = 8080;
const DEFAULT_TIMEOUT_SECONDS: i32 = 300;
/// Name of a container that has none.
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

    pub(super) fn hash(&self) -> TemplateHash {
        TemplateHash::of(&self.0)
    }

    pub(super) fn template(&mut self, template: &EffectiveTemplate) {
        template.containers.iter().for_each(|container| self.container(container));
        for (name, file) in &template.volumes {
            self.line("volume", format_args!("{name} {} {}", quoted(&file.path), version(&file.version)));
        }
        if let Some(n) = template.concurrency.filter(|n| *n != default_concurrency(template)) {
            self.line("concurrency", n);
        }
        if let Some(n) = template.timeout_seconds.filter(|n| *n != DEFAULT_TIMEOUT_SECONDS) {
            self.line("timeout", n);
        }
        if template.session_affinity {
            self.line("affinity", true);
        }
        if let Some(account) = &template.service_account {
            self.line("account", quoted(account));
        }
        if let Some(network) = &template.network {
            self.line("network", format_args!("{} {}", network.connector, egress_word(network.egress)));
        }
    }

    fn container(&mut self, container: &Container) {
        self.line("image", quoted(&container.image));
        if container.name != MAIN {
            self.line("name", &container.name);
        }
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
        container
            .mounts
            .iter()
            .for_each(|(path, volume)| self.line("mount", format_args!("{} {volume}", quoted(path))));
        if let Some(port) = container.port.filter(|port| *port != DEFAULT_PORT) {
            self.line("port", port);
        }
        if let Some(cpu) = container.cpu.filter(|cpu| *cpu != Millis::DEFAULT) {
            self.line("cpu", cpu.0);
        }
        if let Some(memory) = container.memory.filter(|memory| *memory != Bytes::DEFAULT) {
            self.line("memory", memory.0);
        }
    }
}

/// Requests at once that Cloud Run takes by itself: one where the containers have less than a CPU together.
fn default_concurrency(template: &EffectiveTemplate) -> i32 {
    let cpu: u64 = template.containers.iter().map(|c| c.cpu.unwrap_or(Millis::DEFAULT).0).sum();
    if cpu < Millis::DEFAULT.0 { 1 } else { 80 }
}

/// Written by hand: the name of a variant may change, the form may not.
pub(super) fn egress_word(egress: Egress) -> &'static str {
    match egress {
        Egress::PrivateRangesOnly => "PrivateRangesOnly",
        Egress::AllTraffic => "AllTraffic",
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
