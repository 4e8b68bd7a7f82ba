//! Containers, both ways.

use google_cloud_run_v2::model::probe::ProbeType;
use google_cloud_run_v2::model::{
    Container as SdkContainer, ContainerPort, EnvVar, EnvVarSource, GRPCAction, HTTPGetAction, HTTPHeader,
    Probe as SdkProbe, SecretKeySelector, TCPSocketAction, VolumeMount,
};
use orchestra_crds::{CpuAllocation, Protocol};
use orchestra_planner::template::{
    Bytes, Check, Container, EffectiveTemplate, EnvValue, Millis, Mount, Probe, SecretVersion, Version,
};

const GPU: &str = "nvidia.com/gpu";
const H2C: &str = "h2c";

/// The containers, each put over the one of its name that is there, or that is in its place.
pub(super) fn write_all(from: &EffectiveTemplate, base: &[SdkContainer]) -> Vec<SdkContainer> {
    let of_name = |name: &str| base.iter().find(|known| !name.is_empty() && known.name == name);
    let in_place = |at: usize| base.get(at).filter(|_| base.len() == from.containers.len());
    let known = |(at, container): (usize, &Container)| of_name(&container.name).or_else(|| in_place(at)).cloned();
    let pairs = from.containers.iter().enumerate();
    pairs.map(|(at, container)| write(from, container, known((at, container)).unwrap_or_default())).collect()
}

fn write(template: &EffectiveTemplate, from: &Container, base: SdkContainer) -> SdkContainer {
    let mount = |(path, mount): (&String, &Mount)| {
        let sub_path = mount.sub_path.clone().unwrap_or_default();
        VolumeMount::new().set_name(&mount.volume).set_mount_path(path).set_sub_path(sub_path)
    };
    let port = from.port.map(|port| {
        let name = if from.protocol == Protocol::H2c { H2C } else { "" };
        ContainerPort::new().set_container_port(port).set_name(name)
    });
    let limits = [
        ("cpu", Some(from.cpu.unwrap_or(Millis::DEFAULT).to_string())),
        ("memory", Some(from.memory.unwrap_or(Bytes::DEFAULT).to_string())),
        (GPU, Some(from.gpus).filter(|n| *n > 0).map(|n| n.to_string())),
    ];
    let limits = limits.into_iter().filter_map(|(name, limit)| Some((name, limit?)));
    // Cloud Run's defaults are named: where resources are sent without CPU's part, its default turns over.
    let resources = base.resources.clone().unwrap_or_default();
    let resources = resources
        .set_limits(limits)
        .set_cpu_idle(template.cpu_allocation == CpuAllocation::DuringRequests)
        .set_startup_cpu_boost(template.startup_cpu_boost);
    let over = |wanted: &Option<Probe>, known: &Option<SdkProbe>| {
        wanted.as_ref().map(|wanted| write_probe(wanted, known.clone().unwrap_or_default()))
    };
    let probes = [
        over(&from.startup, &base.startup_probe),
        over(&from.liveness, &base.liveness_probe),
        over(&from.readiness, &base.readiness_probe),
    ];
    let [startup, liveness, readiness] = probes;
    base.set_name(&from.name)
        .set_image(&from.image)
        .set_command(&from.command)
        .set_args(&from.args)
        .set_working_dir(from.working_dir.clone().unwrap_or_default())
        .set_ports(port)
        .set_env(from.env.iter().map(|(name, value)| variable(name, value)))
        .set_volume_mounts(from.mounts.iter().map(mount))
        .set_resources(resources)
        .set_or_clear_startup_probe(startup)
        .set_or_clear_liveness_probe(liveness)
        .set_or_clear_readiness_probe(readiness)
        .set_depends_on(&from.depends_on)
}

fn variable(name: &str, value: &EnvValue) -> EnvVar {
    let variable = EnvVar::new().set_name(name);
    match value {
        EnvValue::Plain(text) => variable.set_value(text.as_str()),
        EnvValue::Secret(secret) => {
            let selector = SecretKeySelector::new().set_secret(&secret.secret).set_version(secret.version.to_string());
            variable.set_value_source(EnvVarSource::new().set_secret_key_ref(selector))
        }
    }
}

fn write_probe(from: &Probe, base: SdkProbe) -> SdkProbe {
    let port = from.check.port().unwrap_or(0);
    let probe = base
        .set_initial_delay_seconds(from.initial_delay)
        .set_timeout_seconds(from.timeout)
        .set_period_seconds(from.period)
        .set_failure_threshold(from.failures);
    match &from.check {
        Check::Http { path, headers, .. } => {
            let headers = headers.iter().map(|(name, value)| HTTPHeader::new().set_name(name).set_value(value));
            probe.set_http_get(HTTPGetAction::new().set_path(path).set_port(port).set_http_headers(headers))
        }
        Check::Tcp { .. } => probe.set_tcp_socket(TCPSocketAction::new().set_port(port)),
        Check::Grpc { service, .. } => probe.set_grpc(GRPCAction::new().set_port(port).set_service(service)),
    }
}

/// A container that is there.
pub(super) fn read(container: &SdkContainer) -> Container {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let mount = |mount: &VolumeMount| {
        (mount.mount_path.clone(), Mount { volume: mount.name.clone(), sub_path: text(&mount.sub_path) })
    };
    let limit = |name: &str| container.resources.as_ref()?.limits.get(name);
    let port = container.ports.first();
    Container {
        name: container.name.clone(),
        image: container.image.clone(),
        command: container.command.clone(),
        args: container.args.clone(),
        working_dir: text(&container.working_dir),
        port: port.map(|port| port.container_port),
        protocol: if port.is_some_and(|port| port.name == H2C) { Protocol::H2c } else { Protocol::Http1 },
        env: container.env.iter().map(|variable| (variable.name.clone(), read_variable(variable))).collect(),
        mounts: container.volume_mounts.iter().map(mount).collect(),
        cpu: limit("cpu").and_then(|cpu| Millis::parse(cpu)),
        memory: limit("memory").and_then(|memory| Bytes::parse(memory)),
        gpus: limit(GPU).and_then(|gpus| gpus.parse().ok()).unwrap_or_default(),
        startup: container.startup_probe.as_ref().and_then(read_probe),
        liveness: container.liveness_probe.as_ref().and_then(read_probe),
        readiness: container.readiness_probe.as_ref().and_then(read_probe),
        depends_on: container.depends_on.iter().cloned().collect(),
    }
}

fn read_variable(variable: &EnvVar) -> EnvValue {
    match variable.value_source().and_then(|source| source.secret_key_ref.as_ref()) {
        Some(reference) => EnvValue::Secret(SecretVersion {
            secret: reference.secret.clone(),
            version: Version::parse(&reference.version),
            created_at: None,
        }),
        None => EnvValue::Plain(variable.value().cloned().unwrap_or_default()),
    }
}

fn read_probe(probe: &SdkProbe) -> Option<Probe> {
    let set = |port: i32| Some(port).filter(|port| *port != 0);
    let check = match probe.probe_type.as_ref()? {
        ProbeType::HttpGet(http) => Check::Http {
            path: if http.path.is_empty() { "/".into() } else { http.path.clone() },
            port: set(http.port),
            headers: http.http_headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect(),
        },
        ProbeType::TcpSocket(tcp) => Check::Tcp { port: set(tcp.port) },
        ProbeType::Grpc(grpc) => Check::Grpc { port: set(grpc.port), service: grpc.service.clone() },
        _ => return None,
    };
    let numbers = [probe.timeout_seconds, probe.period_seconds, probe.failure_threshold];
    Some(Probe::new(check, probe.initial_delay_seconds, numbers))
}
