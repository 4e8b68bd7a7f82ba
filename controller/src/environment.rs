//! Looks at the world of an environment.

use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};
use orchestra_crds::{EnvironmentStatus, OrchestraEnvironment, Rollout};
use orchestra_planner::cloud::Fault;
use orchestra_planner::environment::{Observation, absorb, home, instance_id, plan, secrets_to_resolve};
use orchestra_planner::plan::{Effect, Plan};
use std::collections::BTreeMap;

use crate::error::PassError;
use crate::shell::{Managed, Shell, kube_call};

impl Managed for OrchestraEnvironment {
    const KIND: &'static str = "OrchestraEnvironment";
    type Status = EnvironmentStatus;

    async fn look_and_plan(
        shell: &Shell,
        object: Self,
        last_fault: Option<Fault>,
    ) -> Result<Plan<EnvironmentStatus>, PassError> {
        let deleting = object.metadata.deletion_timestamp.is_some();
        let rollouts = if deleting { rollouts_of(shell, &object).await? } else { vec![] };
        let redis = match instance_id(&object) {
            Some(id) => shell.cloud.redis.instance(&id).await.map_err(Fault::from),
            None => Ok(None),
        };
        let operation = object.status.as_ref().and_then(|s| s.redis.as_ref()?.operation.as_ref()?.name.clone());
        let redis_operation = match operation {
            Some(name) => Some(shell.cloud.redis.operation(&name).await.map_err(Fault::from)),
            None => None,
        };
        let mut secrets = BTreeMap::new();
        if let Some((project, _)) = home(&object) {
            for query in secrets_to_resolve(&object) {
                let found = shell.cloud.secrets.resolve(&project, &query.secret, query.version).await;
                secrets.insert(query.name, found.map_err(Fault::from));
            }
        }
        let now = shell.clock.now();
        Ok(plan(&Observation { now, environment: object, rollouts, redis, redis_operation, secrets, last_fault }))
    }

    fn status(&self) -> Option<&EnvironmentStatus> {
        self.status.as_ref()
    }

    fn set_status(&mut self, status: EnvironmentStatus) {
        self.status = Some(status);
    }

    fn absorb(shell: &Shell, status: EnvironmentStatus, effect: &Effect, operation: &str) -> EnvironmentStatus {
        absorb(status, effect, operation, shell.clock.now())
    }
}

/// Names of the Rollouts that refer to an environment. One that can't be decoded counts: it may refer to it.
async fn rollouts_of(shell: &Shell, environment: &OrchestraEnvironment) -> Result<Vec<String>, PassError> {
    let namespace = environment.namespace().unwrap_or_default();
    let api: Api<DeserializeGuard<Rollout>> = Api::namespaced(shell.kube.clone(), &namespace);
    let all = kube_call("list the Rollouts", api.list(&ListParams::default())).await?;
    let name = environment.name_any();
    let refers = |DeserializeGuard(rollout): DeserializeGuard<Rollout>| match rollout {
        Ok(rollout) => (rollout.spec.environment_ref.name == name).then(|| rollout.name_any()),
        Err(invalid) => invalid.metadata.name,
    };
    Ok(all.items.into_iter().filter_map(refers).collect())
}
