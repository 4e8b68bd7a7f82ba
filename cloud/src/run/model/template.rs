//! Templates of revisions, both ways.

use google_cloud_run_v2::model::vpc_access::{NetworkInterface, VpcEgress};
use google_cloud_run_v2::model::{
    ExecutionEnvironment as SdkExecution, NodeSelector, Revision, RevisionTemplate, Service, VpcAccess,
};
use google_cloud_wkt as wkt;
use orchestra_crds::{CpuAllocation, Egress, ExecutionEnvironment};
use orchestra_planner::cloud::ServiceId;
use orchestra_planner::names::RevisionName;
use orchestra_planner::template::{EffectiveTemplate, NetworkAccess, Route};

use super::{container, volume};

/// What a revision tells beside its template.
const OF_REVISION: [&str; 17] = [
    "name",
    "uid",
    "generation",
    "createTime",
    "updateTime",
    "deleteTime",
    "expireTime",
    "launchStage",
    "service",
    "reconciling",
    "conditions",
    "observedGeneration",
    "logUri",
    "satisfiesPzs",
    "scalingStatus",
    "creator",
    "etag",
];

/// What a new template is put over: what is there now, or where there is a revision of that name, what that runs.
/// Cloud Run refuses a name that it knows with anything else in it.
pub(in crate::run) fn base(service: Service, revision: Option<Revision>) -> RevisionTemplate {
    let known = revision.as_ref().and_then(template_of);
    known.or(service.template).unwrap_or_default()
}

/// The template of a revision, with what is not known here.
fn template_of(revision: &Revision) -> Option<RevisionTemplate> {
    let mut told = serde_json::to_value(revision).ok()?;
    let fields = told.as_object_mut()?;
    OF_REVISION.iter().for_each(|field| drop(fields.remove(*field)));
    serde_json::from_value(told).ok()
}

pub(super) fn write(
    id: &ServiceId,
    revision: &RevisionName,
    from: &EffectiveTemplate,
    base: RevisionTemplate,
) -> RevisionTemplate {
    let (containers, volumes) = (container::write_all(from, &base.containers), volume::write_all(from, &base.volumes));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let scaling = (from.min_instances != 0 || from.max_instances.is_some()).then(|| {
        base.scaling
            .clone()
            .unwrap_or_default()
            .set_min_instance_count(from.min_instances)
            .set_max_instance_count(from.max_instances.unwrap_or(0))
    });
    let selector = from.accelerator.as_ref().map(|kind| NodeSelector::new().set_accelerator(kind));
    base.set_revision(revision.as_str())
        .set_labels(from.labels.clone())
        .set_annotations(from.annotations.clone())
        .set_containers(containers)
        .set_volumes(volumes)
        .set_or_clear_scaling(scaling)
        .set_session_affinity(from.session_affinity)
        .set_max_instance_request_concurrency(from.concurrency.unwrap_or(0))
        .set_or_clear_timeout(from.timeout_seconds.map(|seconds| wkt::Duration::clamp(seconds.into(), 0)))
        .set_service_account(text(&from.service_account))
        .set_or_clear_vpc_access(from.network.as_ref().map(|network| network_access(id, network)))
        .set_execution_environment(match from.execution_environment {
            None => SdkExecution::Unspecified,
            Some(ExecutionEnvironment::Gen1) => SdkExecution::Gen1,
            Some(ExecutionEnvironment::Gen2) => SdkExecution::Gen2,
        })
        .set_or_clear_node_selector(selector)
        .set_or_clear_gpu_zonal_redundancy_disabled(from.gpu_zonal_redundancy_disabled.then_some(true))
        .set_encryption_key(text(&from.encryption_key))
        .set_health_check_disabled(from.health_check_disabled)
}

fn network_access(id: &ServiceId, from: &NetworkAccess) -> VpcAccess {
    let access = VpcAccess::new().set_egress(match from.egress {
        Egress::PrivateRangesOnly => VpcEgress::PrivateRangesOnly,
        Egress::AllTraffic => VpcEgress::AllTraffic,
    });
    match &from.route {
        Route::Connector(name) => {
            access.set_connector(format!("projects/{}/locations/{}/connectors/{name}", id.project, id.region))
        }
        Route::Direct { network, subnetwork, tags } => access.set_network_interfaces([NetworkInterface::new()
            .set_network(network)
            .set_subnetwork(subnetwork)
            .set_tags(tags)]),
    }
}

/// What a revision runs.
pub(super) fn read(id: &ServiceId, revision: &Revision) -> EffectiveTemplate {
    let scaling = revision.scaling.clone().unwrap_or_default();
    let resources = || revision.containers.iter().filter_map(|container| container.resources.as_ref());
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    EffectiveTemplate {
        labels: revision.labels.clone().into_iter().collect(),
        annotations: revision.annotations.clone().into_iter().collect(),
        containers: revision.containers.iter().map(container::read).collect(),
        volumes: revision.volumes.iter().filter_map(volume::read).collect(),
        concurrency: Some(revision.max_instance_request_concurrency).filter(|n| *n > 0),
        timeout_seconds: revision.timeout.as_ref().and_then(|timeout| i32::try_from(timeout.seconds()).ok()),
        session_affinity: revision.session_affinity,
        service_account: text(&revision.service_account),
        network: revision.vpc_access.as_ref().and_then(|access| network_view(id, access)),
        min_instances: scaling.min_instance_count,
        max_instances: Some(scaling.max_instance_count).filter(|n| *n > 0),
        cpu_allocation: match resources().any(|resources| !resources.cpu_idle) {
            true => CpuAllocation::Always,
            false => CpuAllocation::DuringRequests,
        },
        startup_cpu_boost: resources().any(|resources| resources.startup_cpu_boost),
        execution_environment: match revision.execution_environment {
            SdkExecution::Gen1 => Some(ExecutionEnvironment::Gen1),
            SdkExecution::Gen2 => Some(ExecutionEnvironment::Gen2),
            _ => None,
        },
        accelerator: revision.node_selector.as_ref().and_then(|selector| text(&selector.accelerator)),
        gpu_zonal_redundancy_disabled: revision.gpu_zonal_redundancy_disabled.unwrap_or_default(),
        encryption_key: text(&revision.encryption_key),
        health_check_disabled: false,
    }
}

fn network_view(id: &ServiceId, access: &VpcAccess) -> Option<NetworkAccess> {
    let own = format!("projects/{}/locations/{}/connectors/", id.project, id.region);
    let connector = || access.connector.strip_prefix(&own).unwrap_or(&access.connector).to_string();
    let direct = |interface: &NetworkInterface| Route::Direct {
        network: interface.network.clone(),
        subnetwork: interface.subnetwork.clone(),
        tags: interface.tags.clone(),
    };
    let route = match access.network_interfaces.first() {
        Some(interface) => direct(interface),
        None if access.connector.is_empty() => return None,
        None => Route::Connector(connector()),
    };
    let egress = match access.egress {
        VpcEgress::AllTraffic => Egress::AllTraffic,
        _ => Egress::PrivateRangesOnly,
    };
    Some(NetworkAccess { route, egress })
}
