//! A template in words, to tell what a change changes. Of variables the names are told, never a value.

use orchestra_crds::{CpuAllocation, Protocol};
use std::collections::BTreeMap;

use super::{Check, Container, EffectiveTemplate, NetworkAccess, Probe, Route, Volume, shown};

/// Each setting that is not at Cloud Run's default, by its name. Variables are left out.
pub(crate) fn settings(template: &EffectiveTemplate) -> BTreeMap<String, String> {
    let template = template.normal();
    let several = template.containers.len() > 1;
    let mut all: Vec<(String, String)> = template.containers.iter().flat_map(|c| of_container(c, several)).collect();
    all.extend(template.volumes.iter().map(|(name, volume)| (format!("volume {name}"), of_volume(volume))));
    all.extend(template.labels.iter().map(|(key, value)| (format!("revision label {key}"), value.clone())));
    all.extend(template.annotations.iter().map(|(key, value)| (format!("revision annotation {key}"), value.clone())));
    let always = template.cpu_allocation == CpuAllocation::Always;
    let rest = [
        ("concurrency", template.concurrency.map(|n| n.to_string())),
        ("time-out", template.timeout_seconds.map(|n| format!("{n} s"))),
        ("session affinity", flag(template.session_affinity)),
        ("service account", template.service_account.clone()),
        ("network", template.network.as_ref().map(of_network)),
        ("revision's fewest instances", Some(template.min_instances).filter(|n| *n != 0).map(|n| n.to_string())),
        ("revision's most instances", template.max_instances.map(|n| n.to_string())),
        ("CPU", always.then(|| "always".to_string())),
        ("CPU boost at the start", flag(template.startup_cpu_boost)),
        ("execution environment", template.execution_environment.map(|e| format!("{e:?}"))),
        ("GPU", template.accelerator.clone()),
        ("GPUs in one zone", flag(template.gpu_zonal_redundancy_disabled)),
        ("encryption key", template.encryption_key.clone()),
        ("no health check", flag(template.health_check_disabled)),
    ];
    all.extend(rest.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))));
    all.into_iter().collect()
}

/// Variables by their name, with what tells one value from another; of several containers with the container's name.
pub(crate) fn variables(template: &EffectiveTemplate) -> BTreeMap<String, String> {
    let several = template.containers.len() > 1;
    let named = |c: &Container, name: &str| if several { format!("{} of {}", name, c.name) } else { name.to_string() };
    let all = template.containers.iter().flat_map(|c| c.env.iter().map(move |(name, value)| (c, name, value)));
    all.map(|(c, name, value)| (named(c, name), shown(value))).collect()
}

fn flag(is_set: bool) -> Option<String> {
    is_set.then(|| "yes".to_string())
}

fn of_container(container: &Container, several: bool) -> Vec<(String, String)> {
    let list = |words: &[String]| Some(words.join(" ")).filter(|_| !words.is_empty());
    let after: Vec<String> = container.depends_on.iter().cloned().collect();
    let fields = [
        ("image", Some(container.image.clone())),
        ("command", list(&container.command)),
        ("arguments", list(&container.args)),
        ("folder", container.working_dir.clone()),
        ("port", container.port.map(|port| port.to_string())),
        ("protocol", (container.protocol == Protocol::H2c).then(|| "h2c".to_string())),
        ("cpu", container.cpu.map(|cpu| cpu.to_string())),
        ("memory", container.memory.map(|memory| memory.to_string())),
        ("GPUs", Some(container.gpus).filter(|n| *n != 0).map(|n| n.to_string())),
        ("start-up probe", container.startup.as_ref().map(of_probe)),
        ("liveness probe", container.liveness.as_ref().map(of_probe)),
        ("readiness probe", container.readiness.as_ref().map(of_probe)),
        ("starts after", list(&after)),
    ];
    let named = |name: &str| if several { format!("{name} of {}", container.name) } else { name.to_string() };
    let fields = fields.into_iter().filter_map(|(name, value)| Some((named(name), value?)));
    let mounts = container.mounts.iter().map(|(path, mount)| {
        let within = mount.sub_path.as_deref().map(|path| format!(" ({path})")).unwrap_or_default();
        (named(&format!("at {path}")), format!("{}{within}", mount.volume))
    });
    fields.chain(mounts).collect()
}

fn of_probe(probe: &Probe) -> String {
    let port = probe.check.port().map(|port| format!(" on port {port}")).unwrap_or_default();
    let asked = match &probe.check {
        Check::Http { path, headers, .. } if headers.is_empty() => format!("HTTP {path}"),
        Check::Http { path, headers, .. } => format!("HTTP {path} with {} headers", headers.len()),
        Check::Tcp { .. } => "TCP".to_string(),
        Check::Grpc { service, .. } => format!("gRPC {service}"),
    };
    let Probe { initial_delay, timeout, period, failures, .. } = probe;
    format!("{asked}{port}, after {initial_delay} s each {period} s, {timeout} s for an answer, {failures} failures")
}

fn of_network(network: &NetworkAccess) -> String {
    let route = match &network.route {
        Route::Connector(connector) => format!("connector {connector}"),
        Route::Direct { network, subnetwork, tags } => {
            let named: Vec<&str> =
                [network.as_str(), subnetwork.as_str()].into_iter().filter(|n| !n.is_empty()).collect();
            let tags = if tags.is_empty() { String::new() } else { format!(" tagged {}", tags.join(", ")) };
            format!("addresses of {}{tags}", named.join("/"))
        }
    };
    format!("{route}, {:?}", network.egress)
}

fn of_volume(volume: &Volume) -> String {
    let access = |read_only: &bool| if *read_only { ", read only" } else { "" };
    match volume {
        Volume::Secret { secret, files, default_mode } => {
            let file = |(path, file): (&String, &super::SecretFile)| {
                let mode = file.mode.map(|mode| format!(" with mode {mode:o}")).unwrap_or_default();
                format!("{path}: version {}{mode}", file.version.version)
            };
            let files: Vec<String> = files.iter().map(file).collect();
            let mode = default_mode.map(|mode| format!(", mode {mode:o}")).unwrap_or_default();
            format!("secret {secret}, {}{mode}", files.join(", "))
        }
        Volume::Gcs { bucket, read_only, mount_options } => {
            let options: String = mount_options.iter().map(|option| format!(", {option}")).collect();
            format!("bucket {bucket}{}{options}", access(read_only))
        }
        Volume::Nfs { server, path, read_only } => format!("NFS {server}:{path}{}", access(read_only)),
        Volume::EmptyDir { size } => size.map_or("in memory".to_string(), |size| format!("in memory, {size} at most")),
        Volume::CloudSql { instances } => {
            format!("Cloud SQL {}", instances.iter().cloned().collect::<Vec<_>>().join(", "))
        }
    }
}
