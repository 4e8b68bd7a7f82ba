//! What a revision runs, in the words of a Rollout: the way back from what was read to a spec that comes to the same.

use orchestra_crds as crds;
use orchestra_crds::{EnvVar, EnvironmentSecret, Limits, Resources, Template};
use std::collections::BTreeMap;

use super::{
    Bytes, Check, Container, EffectiveTemplate, EnvValue, Millis, NetworkAccess, Probe, Route, SecretVersion, Version,
    Volume,
};

/// Describes templates, for one environment.
#[derive(Clone, Debug, Default)]
pub struct Description {
    project: String,
    secrets: Secrets,
}

/// The secrets that were named so far.
#[derive(Clone, Debug, Default)]
struct Secrets {
    named: BTreeMap<String, SecretVersion>,
    left_out: Vec<String>,
}

impl Secrets {
    /// The environment's name for a version of a secret: its own, and of a further version one with the number.
    fn name(&mut self, read: &SecretVersion) -> String {
        if read.secret.contains('/') {
            self.note(format!("secret {}: it is of another project", read.secret));
        }
        if read.version == Version::Latest {
            self.note(format!(
                "secret {}: it is read as latest, and gets the number of its newest version",
                read.secret
            ));
        }
        let plain = read.secret.rsplit('/').next().unwrap_or(&read.secret).to_string();
        let numbered = format!("{plain}-{}", read.version);
        let is_free = |name: &String| self.named.get(name).is_none_or(|known| known == read);
        let name = if is_free(&plain) { plain } else { numbered };
        self.named.insert(name.clone(), read.clone());
        name
    }

    fn note(&mut self, what: String) {
        if !self.left_out.contains(&what) {
            self.left_out.push(what);
        }
    }

    fn written(&self) -> Vec<EnvironmentSecret> {
        let secret = |(name, read): (&String, &SecretVersion)| {
            let id = read.secret.rsplit('/').next().unwrap_or(&read.secret).to_string();
            let version = match read.version {
                Version::Number(number) => Some(number),
                Version::Latest => None,
            };
            EnvironmentSecret { name: name.clone(), secret: Some(id).filter(|id| id != name), version }
        };
        self.named.iter().map(secret).collect()
    }
}

impl Description {
    /// For an environment of that project.
    pub fn of_project(project: &str) -> Self {
        Self { project: project.into(), secrets: Secrets::default() }
    }

    /// What a revision runs, as a template that comes to the same in an environment without defaults. What is at Cloud Run's
    /// default is left out.
    pub fn template(&mut self, read: &EffectiveTemplate) -> Template {
        template(read, &self.project, &mut self.secrets)
    }

    /// The secrets that the environment must have for all of them.
    pub fn secrets(&self) -> Vec<EnvironmentSecret> {
        self.secrets.written()
    }

    /// What can't be said as it is, for people.
    pub fn left_out(&self) -> &[String] {
        &self.secrets.left_out
    }
}

fn template(read: &EffectiveTemplate, project: &str, secrets: &mut Secrets) -> Template {
    let normal = read.normal();
    // The mount of Cloud SQL is no difference, and is said all the same.
    let whole = normal.containers.iter().zip(&read.containers);
    let whole = whole.map(|(normal, read)| Container { mounts: read.mounts.clone(), ..normal.clone() });
    let containers = whole.map(|container| of_container(&container, secrets)).collect();
    let volumes = normal.volumes.iter().map(|(name, volume)| of_volume(name, volume, secrets)).collect();
    // Keys that only Cloud Run's own tools write stay on their own.
    let is_said = |key: &str| !key.contains('/') && !key.contains('.');
    let labels = normal.labels.iter().filter(|(key, _)| is_said(key));
    // What gcloud notes of its last deployment is of no other.
    let annotations = normal.annotations.iter().filter(|(key, _)| !key.starts_with("client.knative.dev/"));
    let scaling = crds::RevisionScaling {
        min_instances: Some(normal.min_instances).filter(|least| *least > 0),
        max_instances: normal.max_instances,
    };
    let of_project = format!("@{project}.iam.gserviceaccount.com");
    let is_name = |name: &&str| (6..=30).contains(&name.len());
    let short = |account: &String| account.strip_suffix(&of_project).filter(is_name).unwrap_or(account).to_string();
    // The project's default account is nobody's choice.
    let chosen = |account: &&String| !account.ends_with("-compute@developer.gserviceaccount.com");
    Template {
        labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
        annotations: annotations.map(|(key, value)| (key.clone(), value.clone())).collect(),
        containers,
        volumes,
        concurrency: normal.concurrency,
        timeout_seconds: normal.timeout_seconds,
        session_affinity: normal.session_affinity,
        redis: false,
        service_account: normal.service_account.as_ref().filter(chosen).map(short),
        network: normal.network.as_ref().map(of_network),
        scaling: Some(scaling).filter(|scaling| *scaling != crds::RevisionScaling::default()),
        cpu_allocation: Some(normal.cpu_allocation).filter(|when| *when != crds::CpuAllocation::default()),
        startup_cpu_boost: normal.startup_cpu_boost,
        execution_environment: normal.execution_environment,
        node_selector: normal.accelerator.clone().map(|accelerator| crds::NodeSelector { accelerator }),
        gpu_zonal_redundancy_disabled: normal.gpu_zonal_redundancy_disabled,
        encryption_key: normal.encryption_key.clone(),
        health_check_disabled: false,
    }
}

fn of_container(read: &Container, secrets: &mut Secrets) -> crds::Container {
    let port = read.port.map(|container_port| crds::ContainerPort {
        protocol: Some(read.protocol).filter(|protocol| *protocol != crds::Protocol::default()),
        container_port,
    });
    let limits = Limits {
        cpu: read.cpu.map(|Millis(millis)| {
            crds::Cpu(if millis % 1000 == 0 { (millis / 1000).to_string() } else { format!("{millis}m") })
        }),
        memory: read.memory.map(in_words),
        gpu: (read.gpus > 0).then(|| crds::Gpu(read.gpus.to_string())),
    };
    let mount = |(path, mount): (&String, &super::Mount)| crds::VolumeMount {
        name: mount.volume.clone(),
        mount_path: path.clone(),
        sub_path: mount.sub_path.clone(),
    };
    crds::Container {
        name: Some(read.name.clone()).filter(|name| !name.is_empty()),
        image: read.image.clone(),
        command: read.command.clone(),
        args: read.args.clone(),
        working_dir: read.working_dir.clone(),
        ports: port.into_iter().collect(),
        env: read.env.iter().map(|(name, value)| variable(name, value, secrets)).collect(),
        resources: (limits != Limits::default()).then_some(Resources { limits: Some(limits) }),
        volume_mounts: read.mounts.iter().map(mount).collect(),
        startup_probe: read.startup.as_ref().map(startup),
        liveness_probe: read.liveness.as_ref().map(health),
        readiness_probe: read.readiness.as_ref().map(health),
        depends_on: read.depends_on.iter().cloned().collect(),
    }
}

/// In the largest unit that it is a whole number of; else up to the next Mi: a spec has nothing smaller.
fn in_words(Bytes(bytes): Bytes) -> crds::Memory {
    let units = [("Gi", 1 << 30), ("Mi", 1 << 20), ("G", 1_000_000_000), ("M", 1_000_000)];
    let whole = units.iter().find(|(_, size)| bytes % size == 0);
    let rounded = || format!("{}Mi", bytes.div_ceil(1 << 20));
    crds::Memory(whole.map_or_else(rounded, |(unit, size)| format!("{}{unit}", bytes / size)))
}

fn variable(name: &str, value: &EnvValue, secrets: &mut Secrets) -> EnvVar {
    match value {
        EnvValue::Plain(text) => EnvVar { name: name.into(), value: Some(text.clone()), value_from: None },
        EnvValue::Secret(read) => {
            let secret = crds::SecretRef { name: secrets.name(read) };
            EnvVar { name: name.into(), value: None, value_from: Some(crds::EnvSource { secret }) }
        }
    }
}

fn startup(read: &Probe) -> crds::StartupProbe {
    let (http_get, tcp_socket, grpc) = checks(&read.check);
    let [initial_delay_seconds, timeout_seconds, period_seconds, failure_threshold] = numbers(read);
    crds::StartupProbe {
        http_get,
        tcp_socket,
        grpc,
        initial_delay_seconds,
        timeout_seconds,
        period_seconds,
        failure_threshold,
    }
}

fn health(read: &Probe) -> crds::HealthProbe {
    let (http_get, _, grpc) = checks(&read.check);
    let [initial_delay_seconds, timeout_seconds, period_seconds, failure_threshold] = numbers(read);
    crds::HealthProbe { http_get, grpc, initial_delay_seconds, timeout_seconds, period_seconds, failure_threshold }
}

fn numbers(read: &Probe) -> [Option<i32>; 4] {
    let Probe { initial_delay, timeout, period, failures, .. } = Probe::new(read.check.clone(), 0, [0; 3]);
    let other = |read: i32, default: i32| Some(read).filter(|read| *read != default);
    [
        other(read.initial_delay, initial_delay),
        other(read.timeout, timeout),
        other(read.period, period),
        other(read.failures, failures),
    ]
}

fn checks(check: &Check) -> (Option<crds::HttpGet>, Option<crds::TcpSocket>, Option<crds::Grpc>) {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    match check {
        Check::Http { path, port, headers } => {
            let header = |(name, value): &(String, String)| crds::HttpHeader { name: name.clone(), value: text(value) };
            let http_headers = headers.iter().map(header).collect();
            (
                Some(crds::HttpGet { path: Some(path.clone()).filter(|path| path != "/"), port: *port, http_headers }),
                None,
                None,
            )
        }
        Check::Tcp { port } => (None, Some(crds::TcpSocket { port: *port }), None),
        Check::Grpc { port, service } => (None, None, Some(crds::Grpc { port: *port, service: text(service) })),
    }
}

fn of_volume(name: &str, read: &Volume, secrets: &mut Secrets) -> crds::Volume {
    let volume = crds::Volume { name: name.into(), ..crds::Volume::default() };
    match read.clone() {
        Volume::Secret { secret, files, default_mode } => {
            // Of several versions each file names its own.
            let newest = SecretVersion { secret, version: Version::Latest, created_at: None };
            let first = files.values().next().map_or(newest, |file| file.version.clone());
            let name = secrets.name(&first);
            let item = |(path, file): (&String, &super::SecretFile)| crds::SecretItem {
                path: path.clone(),
                version: match file.version.version {
                    Version::Number(number) if file.version != first => Some(number),
                    _ => None,
                },
                mode: file.mode,
            };
            let items = files.iter().map(item).collect();
            crds::Volume { secret: Some(crds::SecretVolume { name, items, default_mode }), ..volume }
        }
        Volume::Gcs { bucket, read_only, mount_options } => {
            crds::Volume { gcs: Some(crds::GcsVolume { bucket, read_only, mount_options }), ..volume }
        }
        Volume::Nfs { server, path, read_only } => {
            crds::Volume { nfs: Some(crds::NfsVolume { server, path, read_only }), ..volume }
        }
        Volume::EmptyDir { size } => {
            crds::Volume { empty_dir: Some(crds::EmptyDir { medium: None, size_limit: size.map(in_words) }), ..volume }
        }
        Volume::CloudSql { instances } => {
            let instances = instances.into_iter().collect();
            crds::Volume { cloud_sql: Some(crds::CloudSqlVolume { instances }), ..volume }
        }
    }
}

fn of_network(read: &NetworkAccess) -> crds::Network {
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let (connector, direct_egress) = match &read.route {
        Route::Connector(name) => (Some(name.clone()), None),
        Route::Direct { network, subnetwork, tags } => {
            let direct =
                crds::DirectEgress { network: some(network), subnetwork: some(subnetwork), tags: tags.clone() };
            (None, Some(direct))
        }
    };
    crds::Network { connector, direct_egress, egress: read.egress }
}
