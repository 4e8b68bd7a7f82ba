//! What an object shows in metrics, from its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use orchestra_crds::{
    EnvironmentStatus, EvidenceStatus, FastStatus, OrchestraEnvironment, RegionStatus, Rollout, RolloutStatus,
};

use super::catalogue::{self, Described};
use super::objects::{Key, Series, word};

fn series(metric: &'static Described, labels: &[&str], value: f64) -> Series {
    Series { metric, labels: labels.iter().map(ToString::to_string).collect(), value }
}

/// A count as a value: exact to 2⁵³.
#[allow(clippy::cast_precision_loss)]
fn value(count: i64) -> f64 {
    count as f64
}

fn seconds(time: jiff::Timestamp) -> f64 {
    value(time.as_second())
}

fn conditions<'a>((kind, namespace, name): &'a Key, all: &'a [Condition]) -> impl Iterator<Item = Series> + 'a {
    all.iter().map(move |condition| {
        let labels = [*kind, namespace, name, condition.type_.as_str(), condition.reason.as_str()];
        series(&catalogue::CONDITION, &labels, if condition.status == "True" { 1.0 } else { 0.0 })
    })
}

/// What an environment shows.
pub(crate) fn environment(key: &Key, environment: &OrchestraEnvironment, status: &EnvironmentStatus) -> Vec<Series> {
    let (_, namespace, name) = key;
    let spec = &environment.spec;
    let about = [namespace, name, spec.project.as_str(), &word(spec.stage)];
    let info = series(&catalogue::ENVIRONMENT_INFO, &about, 1.0);
    let under_way = status.operations.iter().filter(|operation| operation.failure.is_none());
    let operations = under_way.map(|operation| {
        let verb = word(operation.verb);
        let labels = [namespace, name, operation.resource.as_str(), verb.as_str()];
        series(&catalogue::OPERATION_STARTED, &labels, seconds(operation.started_at.0))
    });
    conditions(key, &status.conditions).chain(operations).chain([info]).collect()
}

/// What a Rollout shows.
pub(crate) fn rollout(key: &Key, rollout: &Rollout, status: &RolloutStatus) -> Vec<Series> {
    let (_, namespace, name) = key;
    let own = [namespace.as_str(), name.as_str()];
    let candidate = status.candidate.as_ref();
    let (stable, revision) = (
        status.stable.as_ref().map_or("", |stable| stable.revision.as_str()),
        candidate.map_or("", |candidate| candidate.revision.as_str()),
    );
    let (environment, service) = (rollout.spec.environment_ref.name.as_str(), rollout.spec.service_name.as_str());
    let image = status.image.as_deref().unwrap_or_default();
    let about = [own[0], own[1], environment, service, stable, revision, image];
    let course = candidate.and_then(|candidate| candidate.course.as_ref());
    let steps = course.and_then(|course| i64::try_from(course.steps.len()).ok()).unwrap_or(0);
    let mut all =
        vec![series(&catalogue::ROLLOUT_INFO, &about, 1.0), series(&catalogue::ROLLOUT_STEPS, &own, value(steps))];
    if let Some(phase) = status.phase {
        all.push(series(&catalogue::ROLLOUT_PHASE, &[own[0], own[1], &word(phase)], 1.0));
    }
    if let Some(candidate) = candidate {
        all.push(series(&catalogue::ROLLOUT_STARTED, &own, seconds(candidate.started_at.0)));
    }
    all.extend(status.regions.iter().flat_map(|region| of_region(own, status, region)));
    all.extend(conditions(key, &status.conditions));
    all
}

/// The release whose evidence is shown: the one under way, or the last one, if that failed.
fn judged(status: &RolloutStatus) -> Option<&str> {
    let failed = || status.failed.as_ref().map(|failed| failed.release.as_str());
    status.candidate.as_ref().map(|candidate| candidate.release.as_str()).or_else(failed)
}

fn of_region([namespace, name]: [&str; 2], status: &RolloutStatus, region: &RegionStatus) -> Vec<Series> {
    let at = [namespace, name, region.region.as_str()];
    let release = status.candidate.as_ref().map(|candidate| candidate.release.as_str());
    let step = region.step.as_ref().filter(|step| Some(step.release.as_str()) == release);
    let mut all = vec![series(&catalogue::ROLLOUT_STEP, &at, step.map_or(0.0, |step| f64::from(step.number)))];
    let revision = if release.is_some() { "candidate" } else { "stable" };
    let share = |weight: i32| series(&catalogue::ROLLOUT_WEIGHT, &[at[0], at[1], at[2], revision], f64::from(weight));
    all.extend(region.weight.map(share));
    let judged = judged(status);
    let own = region.evidence.iter().filter(|evidence| Some(evidence.release.as_str()) == judged);
    all.extend(own.flat_map(|evidence| of_evidence(at, evidence)));
    let fast = region.fast.iter().filter(|fast| Some(fast.release.as_str()) == judged);
    all.extend(fast.flat_map(|fast| of_logs(at, fast)));
    all
}

/// What request logs tell, beside the metrics that are read from Cloud Monitoring.
fn of_logs([namespace, name, region]: [&str; 3], fast: &FastStatus) -> Vec<Series> {
    const LOGS: &str = "RequestLogs";
    let failed = [("candidate", fast.candidate_failed), ("stable", fast.stable_failed)];
    let of_revision = failed.into_iter().map(|(revision, failed)| {
        series(&catalogue::ROLLOUT_BAD, &[namespace, name, region, LOGS, revision], value(failed))
    });
    let at = [namespace, name, region, LOGS];
    let verdict = word(fast.verdict);
    let judged = [
        series(&catalogue::ROLLOUT_EVIDENCE, &at, f64::from(fast.evidence_percent)),
        series(&catalogue::ROLLOUT_VERDICT, &[at[0], at[1], at[2], at[3], &verdict], 1.0),
    ];
    of_revision.chain(judged).collect()
}

fn of_evidence([namespace, name, region]: [&str; 3], evidence: &EvidenceStatus) -> Vec<Series> {
    let (metric, verdict) = (word(evidence.metric), word(evidence.verdict));
    let counts = [("candidate", evidence.candidate), ("stable", evidence.stable)];
    let of_revision = counts.into_iter().flat_map(|(revision, count)| {
        let labels = [namespace, name, region, metric.as_str(), revision];
        [
            series(&catalogue::ROLLOUT_REQUESTS, &labels, value(count.total)),
            series(&catalogue::ROLLOUT_BAD, &labels, value(count.bad)),
        ]
    });
    let at = [namespace, name, region, metric.as_str()];
    let judged = [
        series(&catalogue::ROLLOUT_EVIDENCE, &at, f64::from(evidence.evidence_percent)),
        series(&catalogue::ROLLOUT_VERDICT, &[at[0], at[1], at[2], at[3], &verdict], 1.0),
    ];
    of_revision.chain(judged).collect()
}
