//! An object that can't be decoded: its status says so, by a patch that needs no decoding.

use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use orchestra_crds::FINALIZER;
use serde_json::json;

use crate::cluster::kube_call;
use crate::shell::{Managed, Shell};

/// Puts a condition on the object that says what is wrong and what to do. The time in it is that of the object's last
/// change, so that telling it again changes nothing.
pub(super) async fn tell<M: Managed>(shell: &Shell, invalid: &InvalidObject) {
    shell.metrics.undecodable.with_label_values(&[M::KIND]).inc();
    let (kind, name) = (M::KIND, invalid.metadata.name.clone().unwrap_or_default());
    let namespace = invalid.metadata.namespace.clone().unwrap_or_default();
    tracing::error!(kind, namespace, name, error = %invalid.error, "this object can't be decoded: correct it");
    let way_out = match invalid.metadata.deletion_timestamp {
        Some(_) => format!("; to let it go without its cloud resources, remove the finalizer `{FINALIZER}`"),
        None => String::new(),
    };
    let message = format!("the object can't be read: {}: correct it with kubectl edit{way_out}", invalid.error);
    let since = invalid.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0);
    let condition = |type_: &str, status: &str| {
        json!({"type": type_, "status": status, "reason": "Unreadable", "message": message, "lastTransitionTime": since,
               "observedGeneration": invalid.metadata.generation})
    };
    let conditions = [condition("Ready", "False"), condition("Reconciling", "False"), condition("Stalled", "True")];
    let patch = json!({"status": {"conditions": conditions, "message": message, "phase": null}});
    let api: Api<M> = Api::namespaced(shell.kube.clone(), &namespace);
    if !shell.may_write_now() {
        return;
    }
    // The answer can't be decoded, either: what counts is whether it was taken.
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let sent = api.patch_status(&name, &parameters, &patch);
    if let Err(error) = kube_call("tell that an object can't be read", sent).await
        && !matches!(&error, crate::error::PassError::Kube { source, .. } if matches!(**source, kube::Error::SerdeError(_)))
    {
        tracing::warn!(kind, namespace, name, %error, "its status could not be written");
    }
}
