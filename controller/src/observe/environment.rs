//! Looks at the world of an environment.

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};
use orchestra_crds::{EnvironmentStatus, Lenient, OrchestraEnvironment, Rollout};
use orchestra_planner::cloud::{AccountView, Fault, OperationView, Reading, RedisView, VersionView};
use orchestra_planner::difference::Before;
use orchestra_planner::environment::{
    self, Observation, SecretQuery, absorb, account_to_ask, instance_to_ask, operations_to_ask, project, regions,
    secrets_to_resolve,
};
use orchestra_planner::names::{ProjectId, Region};
use orchestra_planner::plan::Haste;
use orchestra_planner::plan::{Effect, Outcome, Plan};
use orchestra_planner::promises::{Broken, broken_by_any};
use orchestra_planner::resource::{FailedWrites, ResourceId};
use std::collections::BTreeMap;

use super::{Patience, gather};
use crate::cluster::kube_call;
use crate::error::PassError;
use crate::health::Source;
use crate::metrics::{Key, Metrics, Series, shown};
use crate::shell::{Managed, Shell, Watched};

impl Managed for OrchestraEnvironment {
    const KIND: &'static str = "OrchestraEnvironment";
    type Status = EnvironmentStatus;
    type Seen = Observation;

    async fn observe(
        shell: &Shell,
        read: &Lenient<Self>,
        failed_writes: FailedWrites,
    ) -> Result<Observation, PassError> {
        let object = &read.object;
        let rollouts = match object.metadata.deletion_timestamp {
            Some(_) => rollouts_of(shell, object).await?,
            None => vec![],
        };
        let namespace = object.namespace().unwrap_or_default();
        let patience = Patience::new(
            Api::namespaced(shell.kube.clone(), &namespace),
            read,
            |_, _, _| Haste::Ordinary,
            shell.clock.now(),
        );
        let mut seen = Observation {
            now: shell.clock.now(),
            environment: object.clone(),
            unread: read.unread.clone(),
            rollouts,
            regions: BTreeMap::new(),
            account: None,
            redis: Ok(None),
            operations: BTreeMap::new(),
            secrets: BTreeMap::new(),
            failed_writes,
        };
        // An operation that has ended must not be read beside what its resource was like before.
        for asked in [operations(object), questions(object)] {
            let reads: Vec<BoxFuture<'_, Answer>> = asked.iter().map(|question| question.clone().ask(shell)).collect();
            let answers = gather(&patience, reads).await?;
            for (question, answer) in asked.into_iter().zip(answers) {
                answer.unwrap_or_else(|| question.unanswered()).note(&mut seen);
            }
        }
        seen.now = shell.clock.now();
        Ok(seen)
    }

    fn plan(seen: &Observation) -> Plan<EnvironmentStatus> {
        environment::plan(seen)
    }

    fn before<'a>(seen: &'a Observation, _: &Effect) -> Before<'a> {
        Before { redis: seen.redis.as_ref().ok().and_then(Option::as_ref), ..Before::default() }
    }

    fn watched(_: &Observation) -> Watched {
        Watched::new()
    }

    fn broken(_: &Observation, effects: &[Effect]) -> Option<Broken> {
        broken_by_any(effects)
    }

    fn shown(&self, key: &Key, status: &EnvironmentStatus) -> (Option<String>, Vec<Series>) {
        (None, shown::environment(key, self, status))
    }

    fn count(_: &Metrics, _: &EnvironmentStatus, _: &EnvironmentStatus, _: Timestamp) {}

    fn status(&self) -> Option<&EnvironmentStatus> {
        self.status.as_ref()
    }

    fn observed_generation(status: &mut EnvironmentStatus) -> &mut Option<i64> {
        &mut status.observed_generation
    }

    fn set_status(&mut self, status: EnvironmentStatus) {
        self.status = Some(status);
    }

    fn conditions(status: &mut EnvironmentStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn absorb(status: EnvironmentStatus, effect: &Effect, outcome: &Outcome, now: Timestamp) -> EnvironmentStatus {
        absorb(status, effect, outcome, now)
    }
}

/// One thing to ask.
#[derive(Clone)]
enum Question {
    Region(ProjectId, Region),
    Account(ProjectId, String),
    Redis(orchestra_planner::cloud::RedisId),
    Operation(ResourceId, String),
    Secret(ProjectId, SecretQuery),
}

/// An answer to it.
enum Answer {
    Region(Region, Reading<()>),
    Account(Reading<Option<AccountView>>),
    Redis(Reading<Option<RedisView>>),
    Operation(ResourceId, Reading<OperationView>),
    Secret(String, Reading<Option<VersionView>>),
}

fn operations(object: &OrchestraEnvironment) -> Vec<Question> {
    operations_to_ask(object).into_iter().map(|(resource, name)| Question::Operation(resource, name)).collect()
}

/// Everything else that the planner wants to know. Nothing but what is to be let go, once it is being deleted.
fn questions(object: &OrchestraEnvironment) -> Vec<Question> {
    let mut asked: Vec<Question> = instance_to_ask(object).map(Question::Redis).into_iter().collect();
    if object.metadata.deletion_timestamp.is_none()
        && let Some(project) = project(object)
    {
        asked.extend(regions(object).into_iter().map(|region| Question::Region(project.clone(), region)));
        asked.extend(account_to_ask(object).map(|email| Question::Account(project.clone(), email)));
        asked.extend(secrets_to_resolve(object).into_iter().map(|secret| Question::Secret(project.clone(), secret)));
    }
    asked
}

impl Question {
    fn ask(self, shell: &Shell) -> BoxFuture<'_, Answer> {
        async move {
            let cloud = &shell.cloud;
            match self {
                Self::Region(project, region) => {
                    let source = Source::of_region("run", &project, &region);
                    let read = shell.noted(source, cloud.run.look(&project, &region).await);
                    Answer::Region(region, read)
                }
                Self::Account(project, email) => {
                    let read = cloud.accounts.account(&email).await;
                    Answer::Account(shell.noted(Source::new("iam", &project), read))
                }
                Self::Redis(id) => {
                    let source = Source::of_region("redis", &id.project, &id.region);
                    Answer::Redis(shell.noted(source, cloud.redis.instance(&id).await))
                }
                Self::Operation(resource, name) => {
                    let source = Source::new("redis", "operations");
                    let read = shell.noted(source, cloud.redis.operation(&name).await);
                    Answer::Operation(resource, read)
                }
                Self::Secret(project, query) => {
                    let read = cloud.secrets.resolve(&project, &query.secret, query.version).await;
                    Answer::Secret(query.name, shell.noted(Source::new("secretmanager", &project), read))
                }
            }
        }
        .boxed()
    }

    fn unanswered(self) -> Answer {
        let late = Fault::unanswered();
        match self {
            Self::Region(_, region) => Answer::Region(region, Err(late)),
            Self::Account(..) => Answer::Account(Err(late)),
            Self::Redis(_) => Answer::Redis(Err(late)),
            Self::Operation(resource, _) => Answer::Operation(resource, Err(late)),
            Self::Secret(_, query) => Answer::Secret(query.name, Err(late)),
        }
    }
}

impl Answer {
    fn note(self, seen: &mut Observation) {
        match self {
            Self::Region(region, read) => drop(seen.regions.insert(region, read)),
            Self::Account(read) => seen.account = Some(read),
            Self::Redis(read) => seen.redis = read,
            Self::Operation(resource, read) => drop(seen.operations.insert(resource, read)),
            Self::Secret(name, read) => drop(seen.secrets.insert(name, read)),
        }
    }
}

/// Names of the Rollouts that refer to an environment. One that can't be decoded counts: it may refer to it.
async fn rollouts_of(shell: &Shell, environment: &OrchestraEnvironment) -> Result<Vec<String>, PassError> {
    let namespace = environment.namespace().unwrap_or_default();
    let api: Api<DeserializeGuard<Rollout>> = Api::namespaced(shell.kube.clone(), &namespace);
    let all = match kube_call("list the Rollouts", api.list(&ListParams::default())).await {
        Ok(all) => all,
        // Without their CRD there are none.
        Err(error) if error.is_unknown_kind() => return Ok(vec![]),
        Err(error) => return Err(error),
    };
    let name = environment.name_any();
    let refers = |DeserializeGuard(rollout): DeserializeGuard<Rollout>| match rollout {
        Ok(rollout) => (rollout.spec.environment_ref.name == name).then(|| rollout.name_any()),
        Err(invalid) => invalid.metadata.name,
    };
    Ok(all.items.into_iter().filter_map(refers).collect())
}
