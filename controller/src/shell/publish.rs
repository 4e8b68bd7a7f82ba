//! Tells people what happened.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event as KubeEvent, EventType};
use orchestra_planner::plan::{Event, Severity};

use super::Shell;
use crate::cluster::kube_call;

/// Longest that the cluster takes of an event's note, in bytes, less a little, and of its action.
const NOTE: usize = 1000;
const ACTION: usize = 128;

/// What fits, with a sign that there was more.
fn cut(note: &str) -> String {
    match note.len() > NOTE {
        false => note.to_string(),
        true => format!("{}…", &note[..note.floor_char_boundary(NOTE)]),
    }
}

impl Shell {
    /// Tells people. An event that is lost loses nothing else.
    pub(super) async fn publish<R: Resource<DynamicType = ()>>(&self, object: &R, events: &[Event]) {
        let reference: ObjectReference = object.object_ref(&());
        for event in events {
            let kind = R::kind(&());
            self.metrics.events.with_label_values(&[&kind, event.severity.word(), event.reason.as_str()]).inc();
            let (namespace, name) = (reference.namespace.as_deref(), reference.name.as_deref());
            let (reason, told) = (event.reason.as_str(), event.note.as_str());
            match event.severity {
                Severity::Normal => tracing::info!(kind = %kind, namespace, name, reason, told, "what happened"),
                Severity::Warning => tracing::warn!(kind = %kind, namespace, name, reason, told, "what happened"),
            }
            let told = KubeEvent {
                type_: match event.severity {
                    Severity::Normal => EventType::Normal,
                    Severity::Warning => EventType::Warning,
                },
                reason: event.reason.clone(),
                note: Some(cut(&event.note)),
                action: if event.action.is_empty() {
                    "Reconcile".into()
                } else {
                    event.action.chars().take(ACTION).collect()
                },
                secondary: None,
            };
            if let Err(error) = kube_call("publish an event", self.recorder.publish(&told, &reference)).await {
                // In a namespace that ends, or of an object that is gone, nobody reads them any more.
                if object.meta().deletion_timestamp.is_some() {
                    tracing::debug!(%error, reason = event.reason, "an event was lost");
                } else {
                    tracing::warn!(%error, reason = event.reason, "an event was lost");
                }
            }
        }
    }
}
