//! The same template, however it is written: what is at Cloud Run's default is left out. And whether a revision that was
//! read runs a template, as far as what was read tells.

use super::container::{Container, EnvValue};
use super::form::MAIN;
use super::{Bytes, EffectiveTemplate, Millis, NetworkAccess, Volume};

const DEFAULT_PORT: i32 = 8080;
const DEFAULT_TIMEOUT_SECONDS: i32 = 300;
const CLOUD_SQL: &str = "/cloudsql";

impl EffectiveTemplate {
    /// Without what is at Cloud Run's default.
    pub(super) fn normal(&self) -> Self {
        let mut normal = self.clone();
        let (concurrency, alone) = (self.default_concurrency(), self.containers.len() == 1);
        normal.containers = self.containers.iter().map(|container| container.normal(alone)).collect();
        normal.volumes = self.volumes.iter().map(|(name, volume)| (name.clone(), volume.clone().normal())).collect();
        normal.concurrency = self.concurrency.filter(|n| *n != concurrency);
        normal.timeout_seconds = self.timeout_seconds.filter(|n| *n != DEFAULT_TIMEOUT_SECONDS);
        normal
    }

    /// Requests at once that Cloud Run takes by itself: one where the containers have less than a CPU together.
    fn default_concurrency(&self) -> i32 {
        let cpu: u64 = self.containers.iter().map(|c| c.cpu.unwrap_or(Millis::DEFAULT).0).sum();
        if cpu < Millis::DEFAULT.0 { 1 } else { 80 }
    }

    /// Whether a revision that was read runs this template, as far as what was read tells: a name alone says nothing.
    /// What Cloud Run chooses where nothing was asked for is no difference, nor are labels that others put on it.
    pub fn is_run_by(&self, read: &Self) -> bool {
        let (wanted, read) = (self.normal(), read.normal());
        let pairs = wanted.containers.iter().zip(&read.containers);
        let containers = wanted.containers.len() == read.containers.len() && pairs.clone().all(|(w, r)| w.is_run_by(r));
        let volume = |(name, volume): (&String, &Volume)| read.volumes.get(name).is_some_and(|r| volume.is_met_by(r));
        let volumes = wanted.volumes.len() == read.volumes.len() && wanted.volumes.iter().all(volume);
        let network = match (&wanted.network, &read.network) {
            (Some(wanted), Some(read)) => NetworkAccess::is_met_by(wanted, read),
            (wanted, read) => wanted.is_none() && read.is_none(),
        };
        let has = |(key, value): (&String, &String)| read.labels.get(key) == Some(value);
        let noted = |(key, value): (&String, &String)| read.annotations.get(key) == Some(value);
        let rest = Self {
            service_account: read.service_account.clone().filter(|_| wanted.service_account.is_some()),
            max_instances: read.max_instances.filter(|_| wanted.max_instances.is_some()),
            execution_environment: read.execution_environment.filter(|_| wanted.execution_environment.is_some()),
            // A revision does not tell it.
            health_check_disabled: wanted.health_check_disabled,
            labels: wanted.labels.clone(),
            annotations: wanted.annotations.clone(),
            containers: wanted.containers.clone(),
            volumes: wanted.volumes.clone(),
            network: wanted.network.clone(),
            ..read.clone()
        };
        let labelled = wanted.labels.iter().all(has) && wanted.annotations.iter().all(noted);
        containers && volumes && network && labelled && rest == wanted
    }
}

impl Container {
    /// Without what is at Cloud Run's default. Of several containers the port tells which takes the requests.
    fn normal(&self, alone: bool) -> Self {
        let own_port = self.port.unwrap_or(DEFAULT_PORT);
        let serves = alone || self.port.is_some();
        let probe = |probe: &Option<super::Probe>| probe.clone().map(|probe| probe.normal(own_port));
        Self {
            name: if self.name == MAIN && alone { String::new() } else { self.name.clone() },
            // Cloud Run notes Cloud SQL of the revision as a whole, and shows it where the requests come to.
            mounts: self.mounts.clone().into_iter().filter(|(path, _)| path != CLOUD_SQL).collect(),
            port: self.port.filter(|port| !alone || *port != DEFAULT_PORT),
            cpu: self.cpu.filter(|cpu| *cpu != Millis::DEFAULT),
            memory: self.memory.filter(|memory| *memory != Bytes::DEFAULT),
            startup: probe(&self.startup).filter(|probe| !(serves && probe.is_default_startup())),
            liveness: probe(&self.liveness),
            readiness: probe(&self.readiness),
            ..self.clone()
        }
    }

    /// Of normal ones. A secret's creation is not told by a revision, and an image may be told by its digest.
    fn is_run_by(&self, read: &Self) -> bool {
        let as_read = |value: &EnvValue| match value {
            EnvValue::Plain(text) => EnvValue::Plain(text.clone()),
            EnvValue::Secret(secret) => EnvValue::Secret(super::SecretVersion { created_at: None, ..secret.clone() }),
        };
        let env = self.env.iter().map(|(name, value)| (name.clone(), as_read(value))).collect();
        same_image(&self.image, &read.image) && Self { env, image: read.image.clone(), ..self.clone() } == *read
    }
}

impl Volume {
    /// Of normal ones.
    fn is_met_by(&self, read: &Self) -> bool {
        match (self.clone(), read) {
            (Self::Secret { secret, mut files, default_mode }, read) => {
                files.values_mut().for_each(|file| file.version.created_at = None);
                Self::Secret { secret, files, default_mode } == *read
            }
            (Self::EmptyDir { size: None }, Self::EmptyDir { .. }) => true,
            (wanted, read) => wanted == *read,
        }
    }
}

/// Whether two names are of the same image. Google may answer with a digest where a tag was asked for.
fn same_image(wanted: &str, read: &str) -> bool {
    let repository = |image: &str| {
        let name = image.split('@').next().unwrap_or(image);
        let tag = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        tag.map_or(name.to_string(), |(repository, _)| repository.to_string())
    };
    let digest = |image: &str| image.split_once('@').map(|(_, digest)| digest.to_string());
    match (digest(wanted), digest(read)) {
        (Some(wanted), Some(read)) => wanted == read,
        (None, Some(_)) => repository(wanted) == repository(read),
        _ => wanted == read,
    }
}
