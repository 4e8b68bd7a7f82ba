//! Writes of an object: its status and its finalizers. Each proves that the object is still the one that was planned for.

use jiff::SignedDuration;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use orchestra_crds::{FINALIZER, Lenient};
use orchestra_planner::conditions::{self, Overall, note};
use orchestra_planner::plan::{Effect, Finalizer, QUIET};
use orchestra_planner::promises::Broken;
use orchestra_planner::reason::Reason;

use super::{Managed, Shell};
use crate::cluster::kube_call;
use crate::error::{PassError, WRITE_STATUS};

/// Writes a status; refused when the object is not the version that was read.
pub(super) async fn replace_status<M: Managed>(
    api: &Api<Lenient<M>>,
    name: &str,
    object: &Lenient<M>,
) -> Result<Lenient<M>, PassError> {
    let parameters = PostParams::default();
    kube_call(WRITE_STATUS, api.replace_status(name, &parameters, object)).await
}

impl Shell {
    pub(super) async fn change_finalizer<M: Managed>(
        &self,
        api: &Api<Lenient<M>>,
        object: &Lenient<M>,
        change: Finalizer,
    ) -> Result<(), PassError> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.retain(|f| f != FINALIZER);
        if change == Finalizer::Add {
            finalizers.push(FINALIZER.to_string());
        }
        let metadata = serde_json::json!({
            "metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()},
        });
        self.may_write()?;
        let parameters = PatchParams::default();
        kube_call("change the finalizer", api.patch(&object.name_any(), &parameters, &Patch::Merge(&metadata))).await?;
        Ok(())
    }

    /// Writes the status if it changed, and makes sure that the object is still the one that was planned for: a write
    /// with the version that was read proves it, and where there is nothing to write another read does. Without
    /// effects to run, none comes back.
    pub(super) async fn write_status<M: Managed>(
        &self,
        api: &Api<Lenient<M>>,
        mut object: Lenient<M>,
        status: M::Status,
        effects: &[Effect],
    ) -> Result<Option<Lenient<M>>, PassError> {
        let name = object.name_any();
        if object.object.status() != Some(&status) {
            self.may_write()?;
            object.object.set_status(status);
            let written = replace_status(api, &name, &object).await?;
            self.note_kept(&object, &written);
            return Ok((!effects.is_empty()).then_some(written));
        }
        if effects.is_empty() {
            return Ok(None);
        }
        self.live(api, &object).await.map(Some)
    }

    /// Whether the cluster keeps all of a status: a CRD that is older than this version drops the fields that it doesn't
    /// know, and what is remembered there is lost.
    fn note_kept<M: Managed>(&self, sent: &Lenient<M>, kept: &Lenient<M>) {
        // As they were sent: a time has no more than seconds then.
        let written = |object: &Lenient<M>| Some(serde_json::to_value(&object.object).ok()?["status"].take());
        if written(kept) != written(sent) {
            self.health.status_cut(M::KIND);
        }
    }

    /// The object, if it is still the version that was read.
    pub(super) async fn live<M: Managed>(
        &self,
        api: &Api<Lenient<M>>,
        read: &Lenient<M>,
    ) -> Result<Lenient<M>, PassError> {
        let live = kube_call("read the object again", api.get_opt(&read.name_any())).await?;
        let same = live.filter(|live| live.resource_version() == read.resource_version() && live.uid() == read.uid());
        same.ok_or(PassError::Stale)
    }

    /// A plan that would break a promise is not carried out: the object says so.
    pub(super) async fn refuse<M: Managed>(
        &self,
        api: &Api<Lenient<M>>,
        mut object: Lenient<M>,
        broken: &Broken,
    ) -> Result<SignedDuration, PassError> {
        let name = object.name_any();
        let message = format!("{broken}; nothing was done: please report this, with the object's YAML");
        let overall = Overall::Stalled(note(Reason::PromiseWouldBreak, message));
        let generation = object.object.meta().generation;
        let mut status = object.object.status().cloned().unwrap_or_default();
        *M::observed_generation(&mut status) = generation;
        let before = M::conditions(&mut status).clone();
        *M::conditions(&mut status) = conditions::update(&before, overall.conditions(), generation, self.clock.now());
        if object.object.status() != Some(&status) {
            self.may_write()?;
            object.object.set_status(status);
            replace_status(api, &name, &object).await?;
        }
        Ok(QUIET)
    }
}
