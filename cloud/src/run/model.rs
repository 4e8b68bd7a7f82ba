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
    Binding, PolicyView, Readiness, RevisionView, ServiceId, ServiceSettings, ServiceView, Target, TrafficTarget,
    Trouble,
};
use orchestra_planner::marks::Marks;
use orchestra_planner::names::{Etag, Percent, RevisionName};
use orchestra_planner::plan::ServiceChange;
use orchestra_planner::template::{EffectiveTemplate, EnvValue};

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
        let mut scaling = ServiceScaling::new();
        if let Some(min) = settings.min_instances {
            scaling = scaling.set_min_instance_count(min);
            mask.push("scaling.min_instance_count");
        }
        if let Some(max) = settings.max_instances {
            scaling = scaling.set_max_instance_count(max);
            mask.push("scaling.max_instance_count");
        }
        service = service.set_scaling(scaling).set_labels(settings.labels.clone());
        mask.push("labels");
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
    let mut container = Container::new().set_image(&from.image).set_command(&from.command).set_args(&from.args);
    container = container.set_env(from.env.iter().map(|(name, value)| variable(name, value)));
    if let Some(port) = from.port {
        container = container.set_ports([ContainerPort::new().set_container_port(port)]);
    }
    let limits = [("cpu", &from.cpu), ("memory", &from.memory)];
    let limits: Vec<_> = limits.into_iter().filter_map(|(k, v)| Some((k, v.clone()?))).collect();
    if !limits.is_empty() {
        // Sent with resources, it must be said that CPU is only needed during requests: the default turns over.
        container = container.set_resources(ResourceRequirements::new().set_limits(limits).set_cpu_idle(true));
    }
    let (volumes, mounts) = files(from);
    let mut template = RevisionTemplate::new()
        .set_revision(revision.as_str())
        .set_containers([container.set_volume_mounts(mounts)])
        .set_volumes(volumes)
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
    if let Some((connector, egress)) = &from.network {
        let connector = format!("projects/{}/locations/{}/connectors/{connector}", id.project, id.region);
        template = template.set_vpc_access(VpcAccess::new().set_connector(connector).set_egress(match egress {
            Egress::PrivateRangesOnly => vpc_access::VpcEgress::PrivateRangesOnly,
            Egress::AllTraffic => vpc_access::VpcEgress::AllTraffic,
        }));
    }
    template
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

/// A volume and a mount for each file that holds a secret.
fn files(from: &EffectiveTemplate) -> (Vec<Volume>, Vec<VolumeMount>) {
    let file = |(index, (path, secret)): (usize, (&String, &orchestra_planner::template::SecretVersion))| {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let name = format!("secret-{index}");
        let item = VersionToPath::new().set_path(file).set_version(secret.version.to_string());
        let source = SecretVolumeSource::new().set_secret(&secret.secret).set_items([item]);
        let mount = VolumeMount::new().set_name(&name).set_mount_path(folder);
        (Volume::new().set_name(name).set_secret(source), mount)
    };
    from.files.iter().enumerate().map(file).unzip()
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
        etag: Etag(service.etag),
    }
}

fn settings(service: &Service) -> ServiceSettings {
    let scaling = service.scaling.as_ref();
    ServiceSettings {
        min_instances: Some(scaling.map_or(0, |s| s.min_instance_count)),
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

pub(super) fn revision_view(name: &RevisionName, revision: &Revision) -> RevisionView {
    let ready = revision.conditions.iter().find(|c| c.r#type == "Ready");
    let readiness = match ready.map(|c| (&c.state, c)) {
        Some((condition::State::ConditionSucceeded, _)) => Readiness::Ready,
        Some((condition::State::ConditionFailed, condition)) => Readiness::Failed(trouble(condition)),
        _ => Readiness::Pending,
    };
    RevisionView { name: name.clone(), image: revision.containers.first().map(|c| c.image.clone()), readiness }
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
        condition: b.condition.map(|c| [c.title, c.description, c.location, c.expression]),
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
            Some([title, description, location, expression]) => sent.set_condition(
                google_cloud_type::model::Expr::new()
                    .set_title(title)
                    .set_description(description)
                    .set_location(location)
                    .set_expression(expression),
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
