//! Looks at the world of a Rollout.

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, ResourceExt};
use orchestra_crds::{Lenient, OrchestraEnvironment, Rollout, RolloutStatus, Unread};
use orchestra_planner::cloud::{
    Failures, FailuresQuery, Fault, Incidents, IncidentsQuery, Measured, PolicyView, Reading, RevisionView,
    SecretVersionId, ServiceId, ServiceView, VersionView,
};
use orchestra_planner::difference::Before;
use orchestra_planner::names::{ProjectId, RevisionName};
use orchestra_planner::plan::{Effect, Outcome, Plan};
use orchestra_planner::promises::{Broken, broken_by_rollout};
use orchestra_planner::resource::FailedWrites;
use orchestra_planner::rollout::{self, Counts, Logged, Observation, Questions, RegionView};

use std::collections::BTreeMap;

use super::{Patience, gather, prometheus};
use crate::cluster::kube_call;
use crate::error::PassError;
use crate::health::Source;
use crate::metrics::{Key, Metrics, Series, shown, word};
use crate::shell::{Managed, Shell, Watched};

/// More rounds of questions than any observation opens: services, revisions, another name, counts, secrets.
const ROUNDS: usize = 8;

impl Managed for Rollout {
    const KIND: &'static str = "Rollout";
    type Status = RolloutStatus;
    type Seen = Observation;

    async fn observe(
        shell: &Shell,
        read: &Lenient<Self>,
        failed_writes: FailedWrites,
    ) -> Result<Observation, PassError> {
        let namespace = read.namespace().unwrap_or_default();
        let (environment, environment_unread) = environment_of(shell, &read.object, &namespace).await?;
        let api = Api::namespaced(shell.kube.clone(), &namespace);
        let mut patience = Patience::new(api, read, rollout::haste, shell.clock.now());
        let services = rollout::services(&read.object, environment.as_ref());
        let regions = read_services(shell, &patience, services).await?;
        let Lenient { object: rollout, unread, .. } = read.clone();
        let now = shell.clock.now();
        let mut seen = Observation {
            now,
            rollout,
            unread,
            environment,
            environment_unread,
            regions,
            secrets: BTreeMap::new(),
            incidents: None,
            failed_writes,
        };
        for _ in 0..ROUNDS {
            let asked = rollout::questions(&seen);
            if asked.is_empty() {
                break;
            }
            if !asked.secrets.is_empty() {
                patience.ask_aside();
            }
            answer(shell, &patience, &mut seen, asked).await?;
        }
        Ok(seen)
    }

    fn plan(seen: &Observation) -> Plan<RolloutStatus> {
        rollout::plan(seen)
    }

    fn before<'a>(seen: &'a Observation, effect: &Effect) -> Before<'a> {
        rollout::before(seen, effect)
    }

    fn watched(seen: &Observation) -> Watched {
        let of = |region: &RegionView| {
            let service = region.service.as_ref().ok()?;
            Some((region.id.clone(), service.as_ref().map(|service| service.etag.clone())))
        };
        seen.regions.iter().filter_map(of).collect()
    }

    fn broken(seen: &Observation, effects: &[Effect]) -> Option<Broken> {
        broken_by_rollout(seen, effects)
    }

    fn shown(&self, key: &Key, status: &RolloutStatus) -> (Option<String>, Vec<Series>) {
        (status.phase.map(word), shown::rollout(key, self, status))
    }

    fn count(metrics: &Metrics, before: &RolloutStatus, after: &RolloutStatus, now: Timestamp) {
        metrics.count_releases(before, after, now);
    }

    fn status(&self) -> Option<&RolloutStatus> {
        self.status.as_ref()
    }

    fn observed_generation(status: &mut RolloutStatus) -> &mut Option<i64> {
        &mut status.observed_generation
    }

    fn set_status(&mut self, status: RolloutStatus) {
        self.status = Some(status);
    }

    fn conditions(status: &mut RolloutStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn absorb(status: RolloutStatus, _: &Effect, _: &Outcome, _: Timestamp) -> RolloutStatus {
        // A service tells itself how far its last write is.
        status
    }
}

/// The environment of a Rollout, as far as it can be read, and what can't be.
async fn environment_of(
    shell: &Shell,
    rollout: &Rollout,
    namespace: &str,
) -> Result<(Option<OrchestraEnvironment>, Vec<Unread>), PassError> {
    let environments: Api<Lenient<OrchestraEnvironment>> = Api::namespaced(shell.kube.clone(), namespace);
    let read = kube_call("read the environment", environments.get_opt(&rollout.spec.environment_ref.name)).await;
    match read {
        Ok(Some(environment)) => Ok((Some(environment.object), environment.unread)),
        Ok(None) => Ok((None, vec![])),
        Err(error) => match error.undecodable() {
            Some(why) => Ok((None, vec![Unread { field: "the object".into(), why }])),
            None => Err(error),
        },
    }
}

/// An answer to one question.
enum Answer {
    Service(Box<Reading<Option<ServiceView>>>),
    Revision(usize, RevisionName, Reading<Option<RevisionView>>),
    Policy(usize, Reading<PolicyView>),
    Counts(usize, orchestra_planner::cloud::CountsQuery, Reading<Measured>),
    Failures(usize, FailuresQuery, Reading<Failures>),
    Secret(SecretVersionId, Reading<Option<VersionView>>),
    Incidents(Reading<Incidents>),
}

async fn read_services(
    shell: &Shell,
    patience: &Patience<'_, Rollout>,
    ids: Vec<ServiceId>,
) -> Result<Vec<RegionView>, PassError> {
    let read = |id: &ServiceId| {
        let id = id.clone();
        async move { shell.noted(Source::of_service(&id), shell.cloud.run.service(&id).await) }.boxed()
    };
    let answers = gather(patience, ids.iter().map(read).collect::<Vec<_>>()).await?;
    let view = |(id, answer): (ServiceId, Option<_>)| RegionView::of(id, answer.unwrap_or_else(unanswered));
    Ok(ids.into_iter().zip(answers).map(view).collect())
}

fn unanswered<T>() -> Reading<T> {
    Err(Fault::unanswered())
}

/// Asks everything that is open, all at once. What is not answered in time is known not to be.
async fn answer(
    shell: &Shell,
    patience: &Patience<'_, Rollout>,
    seen: &mut Observation,
    asked: Questions,
) -> Result<(), PassError> {
    let open = open_questions(seen, &asked);
    let reads: Vec<BoxFuture<'_, Answer>> = open.iter().map(|question| question.clone().ask(shell)).collect();
    let answers = gather(patience, reads).await?;
    for (question, answer) in open.into_iter().zip(answers) {
        match answer.unwrap_or_else(|| question.clone().unanswered()) {
            Answer::Service(service) => {
                if let Question::Service(id) = question {
                    seen.regions.push(RegionView::of(id, *service));
                }
            }
            Answer::Incidents(incidents) => seen.incidents = Some(incidents),
            Answer::Secret(id, read) => drop(seen.secrets.insert(id, read)),
            Answer::Revision(region, name, read) => drop(seen.regions[region].revisions.insert(name, read)),
            Answer::Policy(region, read) => seen.regions[region].policy = Some(read),
            Answer::Counts(region, query, measured) => {
                let (metric, counts) = (query.metric, Counts { query, measured });
                seen.regions[region].counts.insert(metric, counts);
            }
            Answer::Failures(region, query, failures) => {
                seen.regions[region].failures = Some(Logged { query, failures });
            }
        }
    }
    Ok(())
}

/// One thing to ask.
#[derive(Clone)]
enum Question {
    Service(ServiceId),
    Secret(ProjectId, SecretVersionId),
    Incidents(ProjectId, IncidentsQuery),
    Revision(usize, ServiceId, RevisionName),
    Policy(usize, ServiceId),
    Counts(usize, ServiceId, orchestra_planner::cloud::CountsQuery),
    Failures(usize, ServiceId, FailuresQuery),
}

fn open_questions(seen: &Observation, asked: &Questions) -> Vec<Question> {
    let mut open: Vec<Question> = asked.services.iter().cloned().map(Question::Service).collect();
    if let Some(project) = seen.environment.as_ref().and_then(|e| ProjectId::new(e.spec.project.as_str()).ok()) {
        open.extend(asked.incidents.iter().map(|query| Question::Incidents(project.clone(), query.clone())));
        open.extend(asked.secrets.iter().map(|secret| Question::Secret(project.clone(), secret.clone())));
    }
    for (index, (region, asked)) in seen.regions.iter().zip(&asked.regions).enumerate() {
        let id = &region.id;
        open.extend(asked.revisions.iter().map(|name| Question::Revision(index, id.clone(), name.clone())));
        open.extend(asked.policy.then(|| Question::Policy(index, id.clone())));
        open.extend(asked.counts.iter().map(|query| Question::Counts(index, id.clone(), query.clone())));
        open.extend(asked.failures.iter().map(|query| Question::Failures(index, id.clone(), query.clone())));
    }
    open
}

impl Question {
    fn ask(self, shell: &Shell) -> BoxFuture<'_, Answer> {
        async move {
            let cloud = &shell.cloud;
            match self {
                Self::Service(id) => {
                    let read = cloud.run.service(&id).await;
                    Answer::Service(Box::new(shell.noted(Source::of_service(&id), read)))
                }
                Self::Secret(project, id) => {
                    let read = cloud.secrets.resolve(&project, &id.secret, Some(id.version)).await;
                    Answer::Secret(id, shell.noted(Source::new("secretmanager", &project), read))
                }
                Self::Incidents(project, query) => {
                    let incidents = cloud.monitoring.incidents(&project, &query).await;
                    Answer::Incidents(incidents.map_err(Fault::from))
                }
                Self::Revision(region, id, name) => {
                    let read = cloud.run.revision(&id, &name).await;
                    Answer::Revision(region, name, shell.noted(Source::of_service(&id), read))
                }
                Self::Policy(region, id) => {
                    let read = cloud.run.policy(&id).await;
                    Answer::Policy(region, shell.noted(Source::of_service(&id), read))
                }
                Self::Counts(region, id, query) => {
                    if let Some(promql) = query.promql.clone() {
                        let measured = prometheus::measured(shell, &id, &query, &promql).await;
                        return Answer::Counts(region, query, measured);
                    }
                    let measured = cloud.monitoring.measured(&id, &query).await;
                    Answer::Counts(region, query, shell.noted(Source::new("monitoring", &id.project), measured))
                }
                Self::Failures(region, id, query) => {
                    let failures = cloud.logging.failures(&id, &query).await;
                    Answer::Failures(region, query, failures.map_err(Fault::from))
                }
            }
        }
        .boxed()
    }

    fn unanswered(self) -> Answer {
        match self {
            Self::Service(_) => Answer::Service(Box::new(unanswered())),
            Self::Secret(_, id) => Answer::Secret(id, unanswered()),
            Self::Incidents(..) => Answer::Incidents(unanswered()),
            Self::Revision(region, _, name) => Answer::Revision(region, name, unanswered()),
            Self::Policy(region, _) => Answer::Policy(region, unanswered()),
            Self::Counts(region, _, query) => Answer::Counts(region, query, unanswered()),
            Self::Failures(region, _, query) => Answer::Failures(region, query, unanswered()),
        }
    }
}
