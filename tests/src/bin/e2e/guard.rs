//! Whether a cluster may be used: nothing in it may come to harm.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeMap;

use crate::Failure;
use crate::stage::{ACCOUNT, LABEL, MANAGER, NAMESPACE, resource_of};

/// Whoever has renewed the lease since then is at work.
const AT_WORK: SignedDuration = SignedDuration::from_secs(60);

/// The controller under test acts on every object of the cluster, and finds none of their services in its simulated
/// cloud: it must not meet those of somebody who uses Orchestra here, nor somebody's controller those of the run.
pub async fn refuse_where_in_use(client: &Client) -> Result<(), Failure> {
    for kind in ["Rollout", "OrchestraEnvironment"] {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource_of(kind));
        let all = match api.list(&Default::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            all => all?.items,
        };
        let of_another = |object: &&DynamicObject| !object.namespace().unwrap_or_default().starts_with(NAMESPACE);
        if let Some(object) = all.iter().find(of_another) {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            return Err(format!(
                "this cluster is in use: it has {kind} {namespace}/{name}, which the controller under test would act \
                 on; take another cluster, or delete it"
            )
            .into());
        }
    }
    let named = ListParams::default().fields(&format!("metadata.name={ACCOUNT}"));
    let leases = Api::<Lease>::all(client.clone()).list(&named).await?;
    let now = Timestamp::now();
    let held = |lease: &&Lease| {
        let Some(spec) = &lease.spec else { return false };
        let is_held = spec.holder_identity.as_ref().is_some_and(|holder| !holder.is_empty());
        is_held && spec.renew_time.as_ref().is_some_and(|at| now.duration_since(at.0) < AT_WORK)
    };
    match leases.items.iter().find(held) {
        None => Ok(()),
        Some(lease) => Err(format!(
            "this cluster is in use: a controller, perhaps another run's, renews the lease {}/{ACCOUNT}; take another \
             cluster, or stop it and wait for {} s",
            lease.namespace().unwrap_or_default(),
            AT_WORK.as_secs()
        )
        .into()),
    }
}

/// Refuses what somebody else put there, unless it is as it is shipped: then it is used, and stays as it is.
pub async fn check_equal(
    api: &Api<DynamicObject>,
    shipped: &DynamicObject,
    live: &DynamicObject,
) -> Result<(), Failure> {
    let mut shipped = shipped.clone();
    shipped.labels_mut().remove(LABEL);
    let trial = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER) };
    let name = live.name_any();
    let same = match api.patch(&name, &trial, &Patch::Apply(&shipped)).await {
        Ok(then) => essence(&then) == essence(live),
        Err(kube::Error::Api(status)) if status.code == 409 => false,
        Err(error) => return Err(error.into()),
    };
    if same {
        return Ok(());
    }
    let kind = shipped.types.map(|types| types.kind).unwrap_or_default();
    Err(format!("this cluster has a {kind} {name} that differs from the shipped one; take another cluster").into())
}

type Words = Option<BTreeMap<String, String>>;

/// What of an object is not the server's own.
fn essence(object: &DynamicObject) -> (&serde_json::Value, &Words, &Words) {
    (&object.data, &object.metadata.labels, &object.metadata.annotations)
}
