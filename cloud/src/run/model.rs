//! Between the SDK's model of Cloud Run and the planner's.

use google_cloud_iam_v1::model::{Binding as IamBinding, Policy};
use google_cloud_run_v2::model::{
    Condition, Container, ContainerPort, EnvVar, EnvVarSource, IngressTraffic, ResourceRequirements, Revision,
    RevisionTemplate, SecretKeySelector, SecretVolumeSource, Service, ServiceScaling, TrafficTarget as SdkTarget,
    TrafficTargetAllocationType as Allocation, VersionToPath, Volume, VolumeMount, VpcAccess, condition, vpc_access,
};
use google_cloud_wkt as wkt;
use jiff::Timestamp;
use orchestra_crds::{Egress, Ingress};
use orchestra_planner::cloud::{
    Binding, ContainerView, Expr, PolicyView, Readiness, RevisionView, SecretVersionId, ServiceId, ServiceSettings,
    ServiceView, Target, TrafficTarget, Trouble,
};
use orchestra_planner::marks::Marks;
use orchestra_planner::names::{Etag, Percent, RevisionName};
use orchestra_planner::plan::ServiceChange;
use orchestra_planner::template::{self, EffectiveTemplate, EnvValue, SecretVersion};
use std::collections::BTreeSet;

/// The service to send, and the mask that says which of its fields count.
pub(super) fn service(id: &ServiceId, change: &ServiceChange) -> (Service, Vec<&'static str>) {
    let (mut service, mut mask) = (Service::new(), vec![]);
    if let Some((revision, effective)) = &change.template {
        service = service.set_template(template(id, revision, effective));
        mask.push("template");
    }
    if let Some(traffic) = &change.traffic {
        service = service.set_traffic(traffic.iter().map(target));
        mask.push("traffic");
    }
    if let Some(marks) = &change.marks {
        service = service.set_annotations(marks.write());
        mask.push("annotations");
    }
    if let Some(settings) = &change.settings {
        // 0 instances at most is none: Cloud Run's own default holds.
        let scaling = ServiceScaling::new()
            .set_min_instance_count(settings.min_instances)
            .set_max_instance_count(settings.max_instances.unwrap_or(0));
        service = service.set_scaling(scaling).set_labels(settings.labels.clone());
        mask.extend(["scaling.min_instance_count", "scaling.max_instance_count", "labels"]);
        if let Some(ingress) = settings.ingress {
            service = service.set_ingress(match ingress {
                Ingress::All => IngressTraffic::All,
                Ingress::Internal => IngressTraffic::InternalOnly,
                Ingress::InternalAndLoadBalancer => IngressTraffic::InternalLoadBalancer,
            });
            mask.push("ingress");
        }
    }
    (service, mask)
}

fn template(id: &ServiceId, revision: &RevisionName, from: &EffectiveTemplate) -> RevisionTemplate {
    let mut template = RevisionTemplate::new()
        .set_revision(revision.as_str())
        .set_containers(from.containers.iter().map(container))
        .set_volumes(from.volumes.iter().map(|(name, file)| volume(name, file)))
        .set_session_affinity(from.session_affinity);
    if let Some(concurrency) = from.concurrency {
        template = template.set_max_instance_request_concurrency(concurrency);
    }
    if let Some(seconds) = from.timeout_seconds {
        template = template.set_timeout(wkt::Duration::clamp(seconds.into(), 0));
    }
    if let Some(account) = &from.service_account {
        template = template.set_service_account(account);
    }
    if let Some(network) = &from.network {
        let connector = format!("projects/{}/locations/{}/connectors/{}", id.project, id.region, network.connector);
        template =
            template.set_vpc_access(VpcAccess::new().set_connector(connector).set_egress(match network.egress {
                Egress::PrivateRangesOnly => vpc_access::VpcEgress::PrivateRangesOnly,
                Egress::AllTraffic => vpc_access::VpcEgress::AllTraffic,
            }));
    }
    template
}

fn container(from: &template::Container) -> Container {
    let mount = |(path, volume): (&String, &String)| VolumeMount::new().set_name(volume).set_mount_path(path);
    let mut container = Container::new()
        .set_image(&from.image)
        .set_command(&from.command)
        .set_args(&from.args)
        .set_env(from.env.iter().map(|(name, value)| variable(name, value)))
        .set_volume_mounts(from.mounts.iter().map(mount));
    if let Some(port) = from.port {
        container = container.set_ports([ContainerPort::new().set_container_port(port)]);
    }
    let limits = [("cpu", from.cpu.map(|cpu| cpu.to_string())), ("memory", from.memory.map(|m| m.to_string()))];
    let limits: Vec<_> = limits.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect();
    if !limits.is_empty() {
        // Sent with resources, it must be said that CPU is only needed during requests: the default turns over.
        container = container.set_resources(ResourceRequirements::new().set_limits(limits).set_cpu_idle(true));
    }
    container
}

/// A volume of one file that holds a secret.
fn volume(name: &str, file: &template::SecretFile) -> Volume {
    let version = file.version.version.to_string();
    let item = VersionToPath::new().set_path(&file.path).set_version(version);
    let source = SecretVolumeSource::new().set_secret(&file.version.secret).set_items([item]);
    Volume::new().set_name(name).set_secret(source)
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

fn target(target: &TrafficTarget) -> SdkTarget {
    let sent = SdkTarget::new().set_percent(target.percent.get()).set_tag(target.tag.clone().unwrap_or_default());
    match &target.to {
        Target::Latest => sent.set_type(Allocation::Latest),
        Target::Revision(name) => sent.set_type(Allocation::Revision).set_revision(name.as_str()),
    }
}

fn read_target(kind: &Allocation, revision: &str, percent: i32, tag: &str) -> TrafficTarget {
    let named = RevisionName::new(short(revision)).ok().filter(|_| *kind != Allocation::Latest);
    TrafficTarget {
        to: named.map_or(Target::Latest, Target::Revision),
        percent: Percent::clamped(percent),
        tag: (!tag.is_empty()).then(|| tag.to_string()),
    }
}

/// The last part of a resource name: Google gives some in full and some not.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

pub(super) fn service_view(service: Service) -> ServiceView {
    let terminal = service.terminal_condition.as_ref();
    let named = service.template.as_ref().map(|t| t.revision.as_str()).filter(|name| !name.is_empty());
    let requested = service.traffic.iter().map(|t| read_target(&t.r#type, &t.revision, t.percent, &t.tag));
    // A service that was never given traffic sends everything to its newest revision.
    let traffic: Vec<TrafficTarget> = match service.traffic.is_empty() {
        true => vec![TrafficTarget { to: Target::Latest, percent: Percent::ALL, tag: None }],
        false => requested.collect(),
    };
    // What serves is a revision, also where the newest was asked for.
    let newest = RevisionName::new(short(&service.latest_ready_revision)).ok();
    let serving = service.traffic_statuses.iter().map(|t| {
        let target = read_target(&t.r#type, &t.revision, t.percent, &t.tag);
        match (&target.to, &newest) {
            (Target::Latest, Some(newest)) => TrafficTarget { to: Target::Revision(newest.clone()), ..target },
            _ => target,
        }
    });
    let failed = terminal.is_some_and(|c| c.state == condition::State::ConditionFailed);
    ServiceView {
        // After a failure the observed generation stays that of the state that still serves.
        settled: !service.reconciling && (service.observed_generation == service.generation || failed),
        marks: Marks::read(&service.annotations.clone().into_iter().collect()),
        template_revision: named.and_then(|name| RevisionName::new(name).ok()),
        traffic,
        serving: serving.collect(),
        settings: settings(&service),
        url: (!service.uri.is_empty()).then(|| service.uri.clone()),
        trouble: terminal.filter(|c| c.state == condition::State::ConditionFailed).map(trouble),
        written_at: time(service.update_time.as_ref()),
        settled_at: terminal.and_then(|c| time(c.last_transition_time.as_ref())),
        uid: (!service.uid.is_empty()).then_some(service.uid),
        etag: Etag(service.etag),
    }
}

fn settings(service: &Service) -> ServiceSettings {
    let scaling = service.scaling.as_ref();
    ServiceSettings {
        min_instances: scaling.map_or(0, |s| s.min_instance_count),
        max_instances: scaling.map(|s| s.max_instance_count).filter(|max| *max > 0),
        ingress: match service.ingress {
            IngressTraffic::All => Some(Ingress::All),
            IngressTraffic::InternalOnly => Some(Ingress::Internal),
            IngressTraffic::InternalLoadBalancer => Some(Ingress::InternalAndLoadBalancer),
            _ => None,
        },
        labels: service.labels.clone().into_iter().collect(),
    }
}

pub(super) fn revision_view(id: &ServiceId, name: &RevisionName, revision: &Revision) -> RevisionView {
    let ready = revision.conditions.iter().find(|c| c.r#type == "Ready");
    let readiness = match ready.map(|c| (&c.state, c)) {
        Some((condition::State::ConditionSucceeded, _)) => Readiness::Ready,
        Some((condition::State::ConditionFailed, condition)) => Readiness::Failed(trouble(condition)),
        _ => Readiness::Pending,
    };
    RevisionView {
        name: name.clone(),
        containers: revision.containers.iter().map(container_view).collect(),
        secrets: secrets(id, revision),
        readiness,
    }
}

/// What a revision reads of its project by a number. One that is bound to `latest` reads whatever is there.
fn secrets(id: &ServiceId, revision: &Revision) -> BTreeSet<SecretVersionId> {
    let variables = revision.containers.iter().flat_map(|container| &container.env);
    let keys = variables.filter_map(|variable| variable.value_source()?.secret_key_ref.as_ref());
    let in_variables = keys.map(|key| (&key.secret, &key.version));
    let volumes = revision.volumes.iter().filter_map(|volume| volume.secret());
    let in_files = volumes.flat_map(|secret| secret.items.iter().map(|item| (&secret.secret, &item.version)));
    let own = format!("projects/{}/secrets/", id.project);
    let of_project = |(secret, version): (&String, &String)| {
        let name = secret.strip_prefix(&own).unwrap_or(secret);
        let version = version.parse().ok().filter(|_| !name.contains('/'))?;
        Some(SecretVersionId { secret: name.to_string(), version })
    };
    in_variables.chain(in_files).filter_map(of_project).collect()
}

fn container_view(container: &Container) -> ContainerView {
    let value = |variable: &EnvVar| {
        let secret = variable.value_source().and_then(|source| source.secret_key_ref.as_ref());
        match secret {
            Some(secret) => template::shown(&EnvValue::Secret(SecretVersion {
                secret: short(&secret.secret).to_string(),
                version: secret.version.parse().unwrap_or_default(),
                created_at: None,
            })),
            None => variable.value().cloned().unwrap_or_default(),
        }
    };
    ContainerView {
        image: container.image.clone(),
        command: container.command.clone(),
        args: container.args.clone(),
        env: container.env.iter().map(|variable| (variable.name.clone(), value(variable))).collect(),
    }
}

fn trouble(condition: &Condition) -> Trouble {
    let reason = match &condition.reasons {
        Some(condition::Reasons::Reason(reason)) => reason.name(),
        Some(condition::Reasons::RevisionReason(reason)) => reason.name(),
        _ => None,
    };
    Trouble { reason: camel_case(reason.unwrap_or("NOT_READY")), message: condition.message.clone() }
}

/// `HEALTH_CHECK_CONTAINER_ERROR` as Kubernetes writes reasons.
fn camel_case(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or(String::new(), |first| first.to_string() + &letters.as_str().to_lowercase())
        })
        .collect()
}

fn time(time: Option<&wkt::Timestamp>) -> Option<Timestamp> {
    time.and_then(|t| Timestamp::new(t.seconds(), t.nanos()).ok())
}

pub(super) fn policy_view(policy: Policy) -> PolicyView {
    use base64::Engine;
    let binding = |b: IamBinding| Binding {
        role: b.role,
        members: b.members,
        condition: b.condition.map(|c| Expr {
            title: c.title,
            description: c.description,
            location: c.location,
            expression: c.expression,
        }),
    };
    PolicyView {
        etag: Etag(base64::engine::general_purpose::STANDARD.encode(&policy.etag)),
        bindings: policy.bindings.into_iter().map(binding).collect(),
    }
}

pub(super) fn policy(view: &PolicyView) -> Policy {
    use base64::Engine;
    let binding = |b: &Binding| {
        let sent = IamBinding::new().set_role(&b.role).set_members(&b.members);
        match &b.condition {
            None => sent,
            Some(expr) => sent.set_condition(
                google_cloud_type::model::Expr::new()
                    .set_title(&expr.title)
                    .set_description(&expr.description)
                    .set_location(&expr.location)
                    .set_expression(&expr.expression),
            ),
        }
    };
    let conditional = view.bindings.iter().any(|b| b.condition.is_some());
    let etag = base64::engine::general_purpose::STANDARD.decode(&view.etag.0).unwrap_or_default();
    Policy::new()
        .set_version(if conditional { 3 } else { 1 })
        .set_bindings(view.bindings.iter().map(binding))
        .set_etag(etag)
}
