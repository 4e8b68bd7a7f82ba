//! Settings of a service beside its template, both ways.

use google_cloud_run_v2::model::service_scaling::ScalingMode;
use google_cloud_run_v2::model::{
    BinaryAuthorization as SdkBinary, IngressTraffic, Service, binary_authorization::BinauthzMethod,
};
use orchestra_crds::{BinaryAuthorization, Ingress, Switch};
use orchestra_planner::cloud::{ServiceSettings, Setting};

/// Puts a setting into a service to send; gives the paths of the mask that say so.
pub(super) fn write(service: &mut Service, setting: &Setting) -> &'static [&'static str] {
    let disabled = |switch: Switch| switch == Switch::Disabled;
    match setting {
        Setting::Description(text) => {
            service.description.clone_from(text);
            &["description"]
        }
        Setting::Labels(labels) => {
            service.labels = labels.clone().into_iter().collect();
            &["labels"]
        }
        Setting::MinInstances(least) => {
            service.scaling.get_or_insert_default().min_instance_count = *least;
            &["scaling.min_instance_count"]
        }
        // 0 instances at most is none: Cloud Run's own default holds.
        Setting::MaxInstances(most) => {
            service.scaling.get_or_insert_default().max_instance_count = most.unwrap_or(0);
            &["scaling.max_instance_count"]
        }
        Setting::ManualInstances(count) => {
            let scaling = service.scaling.get_or_insert_default();
            scaling.manual_instance_count = *count;
            scaling.scaling_mode = if count.is_some() { ScalingMode::Manual } else { ScalingMode::Automatic };
            &["scaling.manual_instance_count", "scaling.scaling_mode"]
        }
        Setting::Ingress(ingress) => {
            service.ingress = match ingress {
                Ingress::All => IngressTraffic::All,
                Ingress::Internal => IngressTraffic::InternalOnly,
                Ingress::InternalAndLoadBalancer => IngressTraffic::InternalLoadBalancer,
            };
            &["ingress"]
        }
        Setting::InvokerIamCheck(switch) => {
            service.invoker_iam_disabled = disabled(*switch);
            &["invoker_iam_disabled"]
        }
        Setting::DefaultAddress(switch) => {
            service.default_uri_disabled = disabled(*switch);
            &["default_uri_disabled"]
        }
        Setting::Iap(switch) => {
            service.iap_enabled = !disabled(*switch);
            &["iap_enabled"]
        }
        Setting::CustomAudiences(audiences) => {
            service.custom_audiences = audiences.iter().cloned().collect();
            &["custom_audiences"]
        }
        Setting::BinaryAuthorization(binary) => {
            service.binary_authorization = binary.as_ref().map(write_binary);
            &["binary_authorization"]
        }
    }
}

fn write_binary(binary: &BinaryAuthorization) -> SdkBinary {
    let method = match &binary.policy {
        Some(policy) => BinauthzMethod::Policy(policy.clone()),
        None => BinauthzMethod::UseDefault(binary.use_default),
    };
    SdkBinary::new()
        .set_binauthz_method(method)
        .set_breakglass_justification(binary.breakglass_justification.clone().unwrap_or_default())
}

pub(super) fn read(service: &Service) -> ServiceSettings {
    let scaling = service.scaling.clone().unwrap_or_default();
    let enabled = |is: bool| if is { Switch::Enabled } else { Switch::Disabled };
    ServiceSettings {
        description: service.description.clone(),
        labels: service.labels.clone().into_iter().collect(),
        min_instances: scaling.min_instance_count,
        max_instances: Some(scaling.max_instance_count).filter(|most| *most > 0),
        manual_instances: (scaling.scaling_mode == ScalingMode::Manual)
            .then(|| scaling.manual_instance_count.unwrap_or(0)),
        ingress: match service.ingress {
            IngressTraffic::All => Some(Ingress::All),
            IngressTraffic::InternalOnly => Some(Ingress::Internal),
            IngressTraffic::InternalLoadBalancer => Some(Ingress::InternalAndLoadBalancer),
            _ => None,
        },
        invoker_iam_check: enabled(!service.invoker_iam_disabled),
        default_address: enabled(!service.default_uri_disabled),
        iap: enabled(service.iap_enabled),
        custom_audiences: service.custom_audiences.iter().cloned().collect(),
        binary_authorization: service.binary_authorization.as_ref().and_then(read_binary),
    }
}

/// One without a method is switched off.
fn read_binary(binary: &SdkBinary) -> Option<BinaryAuthorization> {
    let why = Some(binary.breakglass_justification.clone()).filter(|why| !why.is_empty());
    let (use_default, policy) = match binary.binauthz_method.as_ref()? {
        BinauthzMethod::UseDefault(is) => (*is, None),
        BinauthzMethod::Policy(policy) => (false, Some(policy.clone())),
        _ => return None,
    };
    (use_default || policy.is_some()).then_some(BinaryAuthorization {
        use_default,
        policy,
        breakglass_justification: why,
    })
}
