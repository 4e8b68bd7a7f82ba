//! Between the SDK's model of Cloud Run and the planner's.

mod container;
mod policy;
mod settings;
mod template;
mod volume;

use google_cloud_run_v2::model::{
    Condition, Revision, RevisionTemplate, Service, TrafficTarget as SdkTarget,
    TrafficTargetAllocationType as Allocation, condition,
};
use google_cloud_wkt as wkt;
use jiff::Timestamp;
use orchestra_planner::cloud::{
    Readiness, RevisionView, SecretVersionId, ServiceId, ServiceView, Target, TrafficTarget, Trouble,
};
use orchestra_planner::marks::Marks;
use orchestra_planner::names::{Etag, Percent, ProjectId, Region, RevisionName, ServiceName};
use orchestra_planner::plan::ServiceChange;
use orchestra_planner::template::{EffectiveTemplate, EnvValue, SecretVersion, Version, Volume};
use std::collections::BTreeSet;

pub(super) use policy::{policy, policy_view};
pub(super) use template::base;

/// The service to send, and the mask that says which of its fields count. Its template is put over what is there: what
/// Orchestra does not know of it stays.
pub(super) fn service(id: &ServiceId, change: &ServiceChange, base: RevisionTemplate) -> (Service, Vec<&'static str>) {
    let (mut service, mut mask) = (Service::new(), vec![]);
    if let Some((revision, effective)) = &change.template {
        service = service.set_template(template::write(id, revision, effective, base));
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
    for setting in &change.settings {
        mask.extend(settings::write(&mut service, setting));
    }
    (service, mask)
}

/// Which service of a list this is, and its etag. None: its name is no service's.
pub(super) fn etag(project: &ProjectId, region: &Region, service: &Service) -> Option<(ServiceId, Etag)> {
    let name = ServiceName::new(short(&service.name)).ok()?;
    Some((ServiceId { project: project.clone(), region: region.clone(), name }, Etag(service.etag.clone())))
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
        newest: RevisionName::new(short(&service.latest_created_revision)).ok(),
        traffic,
        serving: serving.collect(),
        settings: settings::read(&service),
        url: (!service.uri.is_empty()).then(|| service.uri.clone()),
        trouble: terminal.filter(|c| c.state == condition::State::ConditionFailed).map(trouble),
        written_at: time(service.update_time.as_ref()),
        health_check_disabled: service.template.as_ref().is_some_and(|template| template.health_check_disabled),
        modified_by: Some(service.last_modifier).filter(|who| !who.is_empty()),
        settled_at: terminal.and_then(|c| time(c.last_transition_time.as_ref())),
        uid: (!service.uid.is_empty()).then_some(service.uid),
        etag: Etag(service.etag),
    }
}

pub(super) fn revision_view(id: &ServiceId, name: &RevisionName, revision: &Revision) -> RevisionView {
    let ready = revision.conditions.iter().find(|c| c.r#type == "Ready");
    let readiness = match ready.map(|c| (&c.state, c)) {
        Some((condition::State::ConditionSucceeded, _)) => Readiness::Ready,
        Some((condition::State::ConditionFailed, condition)) => Readiness::Failed(trouble(condition)),
        _ => Readiness::Pending,
    };
    let template = template::read(id, revision);
    let created_by = Some(revision.creator.clone()).filter(|who| !who.is_empty());
    RevisionView { name: name.clone(), secrets: secrets(id, &template), template, readiness, created_by }
}

/// What a revision reads of its project by a number. One that is bound to `latest` reads whatever is there.
fn secrets(id: &ServiceId, template: &EffectiveTemplate) -> BTreeSet<SecretVersionId> {
    let variables = template.containers.iter().flat_map(|container| container.env.values());
    let in_variables = variables.filter_map(|value| match value {
        EnvValue::Secret(version) => Some(version),
        EnvValue::Plain(_) => None,
    });
    let in_files = template.volumes.values().flat_map(|volume| match volume {
        Volume::Secret { files, .. } => files.values().map(|file| &file.version).collect(),
        _ => vec![],
    });
    let own = format!("projects/{}/secrets/", id.project);
    let of_project = |read: &SecretVersion| {
        let name = read.secret.strip_prefix(&own).unwrap_or(&read.secret);
        match read.version {
            Version::Number(version) if !name.contains('/') => {
                Some(SecretVersionId { secret: name.to_string(), version })
            }
            _ => None,
        }
    };
    in_variables.chain(in_files).filter_map(of_project).collect()
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
