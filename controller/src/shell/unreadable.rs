//! An object that the cluster and this version don't agree about: nothing of it can be read, or it takes no status. People
//! are told by a write that needs neither.

use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use orchestra_crds::FINALIZER;
use orchestra_planner::plan::{Event, Severity};
use orchestra_planner::reason::Reason;
use serde_json::json;

use super::{Key, Managed, Shell};
use crate::cluster::kube_call;
use crate::error::PassError;

impl Shell {
    /// Puts a condition on an object of which nothing can be read: what is wrong, and what to do. The time in it is that of
    /// the object's creation, so that telling it again changes nothing.
    pub(super) async fn tell_unreadable<M: Managed>(&self, key: &Key, why: &str) -> Result<(), PassError> {
        let (kind, namespace, name) = (key.0, key.1.as_str(), key.2.as_str());
        self.metrics.undecodable.with_label_values(&[kind]).inc();
        tracing::error!(kind, namespace, name, error = why, "this object can't be read: correct it");
        let api: Api<M> = Api::namespaced(self.kube.clone(), namespace);
        let read = kube_call("read the object's metadata", api.get_metadata_opt(name)).await?;
        let Some(PartialObjectMeta { metadata, .. }) = read else { return Ok(()) };
        let way_out = match metadata.deletion_timestamp {
            Some(_) => format!("; to let it go without its cloud resources, remove the finalizer `{FINALIZER}`"),
            None => String::new(),
        };
        let message = format!("the object can't be read: {why}: correct it with kubectl edit{way_out}");
        let since = metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0);
        let condition = |type_: &str, status: &str| {
            json!({"type": type_, "status": status, "reason": Reason::Unreadable.word(), "message": message,
                   "lastTransitionTime": since, "observedGeneration": metadata.generation})
        };
        let conditions = [condition("Ready", "False"), condition("Reconciling", "False"), condition("Stalled", "True")];
        let patch = json!({"status": {"observedGeneration": metadata.generation, "conditions": conditions, "message": message, "phase": null}});
        self.may_write()?;
        // The answer can't be decoded, either: what counts is whether it was taken.
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let sent = kube_call("tell that an object can't be read", api.patch_status(name, &parameters, &patch)).await;
        match sent {
            Err(error) if error.undecodable().is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells by an event that the cluster takes no status of an object: it was stored under another schema.
    pub(super) async fn tell_refused<M: Managed>(&self, key: &Key, error: &PassError) {
        let api: Api<M> = Api::namespaced(self.kube.clone(), &key.1);
        let read = kube_call("read the object's metadata", api.get_metadata_opt(&key.2)).await;
        let Ok(Some(object)) = read else { return };
        let event = Event {
            severity: Severity::Warning,
            reason: Reason::StatusRefused.into(),
            action: "WriteStatus".into(),
            note: format!(
                "the cluster refuses this object's status, which stays as it was and must not be trusted: {error}: is the \
                 CRD of the controller's version? Then correct the fields that are named with kubectl edit"
            ),
        };
        self.publish(&object, &[event]).await;
    }
}
