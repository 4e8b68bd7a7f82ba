//! Looks at the world of a Rollout.

use futures::future::join_all;
use kube::{Api, ResourceExt};
use orchestra_cloud::{Cloud, CloudError};
use orchestra_crds::{OrchestraEnvironment, Rollout, RolloutStatus};
use orchestra_planner::cloud::{Fault, ServiceId};
use orchestra_planner::names::RevisionName;
use orchestra_planner::plan::{Effect, Plan};
use orchestra_planner::rollout::{Minutes, Observation, Questions, RegionView, plan, questions, services};
use std::collections::BTreeSet;

use crate::error::PassError;
use crate::shell::{Managed, Shell, kube_call};

impl Managed for Rollout {
    const KIND: &'static str = "Rollout";
    type Status = RolloutStatus;

    async fn look_and_plan(
        shell: &Shell,
        object: Self,
        last_fault: Option<Fault>,
    ) -> Result<Plan<RolloutStatus>, PassError> {
        let namespace = object.namespace().unwrap_or_default();
        let environments: Api<OrchestraEnvironment> = Api::namespaced(shell.kube.clone(), &namespace);
        let name = object.spec.environment_ref.name.clone();
        let environment = kube_call("read the environment", environments.get_opt(&name)).await?;
        let ids = services(&object, environment.as_ref());
        let regions = join_all(ids.into_iter().map(|id| read_service(&shell.cloud, id))).await;
        let mut seen = Observation { now: shell.clock.now(), rollout: object, environment, regions, last_fault };
        ask(shell, &mut seen).await;
        // Revisions are known now; they tell whether a step is in effect, and so which minutes to ask for.
        ask(shell, &mut seen).await;
        Ok(plan(&seen))
    }

    fn status(&self) -> Option<&RolloutStatus> {
        self.status.as_ref()
    }

    fn set_status(&mut self, status: RolloutStatus) {
        self.status = Some(status);
    }

    fn absorb(_: &Shell, status: RolloutStatus, _: &Effect, _: &str) -> RolloutStatus {
        // A service tells itself how far its last write is.
        status
    }
}

fn fault(error: CloudError) -> Fault {
    error.into()
}

async fn read_service(cloud: &Cloud, id: ServiceId) -> RegionView {
    let service = cloud.run.service(&id).await.map_err(fault);
    RegionView::of(id, service)
}

/// Asks what the planner wants to know, all regions at once.
async fn ask(shell: &Shell, seen: &mut Observation) {
    let asked = questions(seen);
    let regions = std::mem::take(&mut seen.regions);
    let answers = regions.into_iter().zip(asked).map(|(region, asked)| answer(&shell.cloud, region, asked));
    seen.regions = join_all(answers).await;
}

async fn answer(cloud: &Cloud, mut region: RegionView, asked: Questions) -> RegionView {
    let unknown: BTreeSet<RevisionName> =
        asked.revisions.into_iter().filter(|name| !region.revisions.contains_key(name)).collect();
    for name in unknown {
        let read = cloud.run.revision(&region.id, &name).await.map_err(fault);
        region.revisions.insert(name, read);
    }
    if asked.policy && region.policy.is_none() {
        region.policy = Some(cloud.run.policy(&region.id).await.map_err(fault));
    }
    if let Some(query) = asked.minutes.filter(|_| region.minutes.is_none()) {
        let counts = cloud.metrics.minutes(&region.id, &query).await.map_err(fault);
        region.minutes = Some(Minutes { window: query.window, counts });
    }
    region
}
