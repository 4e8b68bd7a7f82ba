//! What to read from the cloud before planning.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{OrchestraEnvironment, Request, Rollout, RolloutPhase, Unread};
use std::collections::BTreeSet;

use super::desire::Desire;
use super::judge::{analysis, subjects};
use super::memory::{Latch, Memory};
use super::pass::Pass;
use super::place::Place;
use super::progress::Placement;
use super::{
    Observation, adopt, advance, alerts, by_others, fast_lane, invokers, outdated, past, requests, secrets, tags, undo,
};
use crate::cloud::{CountsQuery, FailuresQuery, IncidentsQuery, SecretVersionId, ServiceId};
use crate::marks::News;
use crate::names::{ProjectId, Region, RevisionName, ServiceName};
use crate::plan::Haste;
use crate::template::own_hash;
use crate::verdict::{self, Subject};

/// What is still to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Services in regions that the marks of others tell of.
    pub services: Vec<ServiceId>,
    /// Versions of secrets, once nothing else is open: they are told of, and decide nothing.
    pub secrets: BTreeSet<SecretVersionId>,
    /// Incidents of the project.
    pub incidents: Option<IncidentsQuery>,
    /// About each region that was read, in the order of the observation.
    pub regions: Vec<RegionQuestions>,
}

/// What to ask about one region's service, once it has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionQuestions {
    /// These revisions.
    pub revisions: BTreeSet<RevisionName>,
    /// Who may call it.
    pub policy: bool,
    /// Counts by minute, of each metric.
    pub counts: Vec<CountsQuery>,
    /// Failed requests by its logs.
    pub failures: Option<FailuresQuery>,
}

impl Questions {
    /// Whether nothing is left to ask.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.secrets.is_empty()
            && self.incidents.is_none()
            && self.regions.iter().all(|asked| *asked == RegionQuestions::default())
    }
}

fn service_in(rollout: &Rollout, environment: &OrchestraEnvironment, region: &str) -> Option<ServiceId> {
    Some(ServiceId {
        project: ProjectId::new(environment.spec.project.as_str()).ok()?,
        region: Region::new(region).ok()?,
        name: ServiceName::new(rollout.spec.service_name.as_str()).ok()?,
    })
}

/// The services of a Rollout: in the regions of its environment, in their order, and in those that left it and are not
/// let go yet. None without an environment.
pub fn services(rollout: &Rollout, environment: Option<&OrchestraEnvironment>) -> Vec<ServiceId> {
    let Some(environment) = environment else { return vec![] };
    let known = rollout.status.iter().flat_map(|status| &status.regions).map(|region| &region.region);
    let mut regions: Vec<&String> = environment.spec.regions.iter().collect();
    known.for_each(|region| {
        if !regions.contains(&region) {
            regions.push(region)
        }
    });
    regions.into_iter().filter_map(|region| service_in(rollout, environment, region)).collect()
}

/// Whether users may be meeting a bad revision, by the object alone, of which all could be read or not: then nothing is
/// waited for that a way back does not use.
pub fn haste(rollout: &Rollout, unread: &[Unread], now: Timestamp) -> Haste {
    let memory = Memory::of(rollout);
    let phase = rollout.status.as_ref().and_then(|status| status.phase);
    // A way back is finished before what is new starts: what answers slowly has its part in that.
    let finishes = memory.candidate.as_ref().is_some_and(|candidate| advance::goes_back(&memory, candidate));
    let tried = finishes || matches!(phase, Some(RolloutPhase::RollingBack | RolloutPhase::Deleting));
    match (is_urgent(rollout, &memory, unread), tried) {
        (false, _) => Haste::Ordinary,
        (true, false) => Haste::Urgent,
        (true, true) => Haste::UrgentAgain { silent: silent(rollout, now) },
    }
}

/// How long a region has not been read.
fn silent(rollout: &Rollout, now: Timestamp) -> SignedDuration {
    let regions = rollout.status.iter().flat_map(|status| &status.regions);
    let since = regions.filter_map(|region| region.unreadable_since.as_ref()).map(|since| since.0).min();
    since.map_or(SignedDuration::ZERO, |since| now.duration_since(since).max(SignedDuration::ZERO))
}

fn is_urgent(rollout: &Rollout, memory: &Memory, unread: &[Unread]) -> bool {
    let failing = memory.failure.as_ref().is_some_and(|failure| !failure.rolled_back);
    let leaves = memory.candidate.as_ref().is_some_and(|candidate| {
        let aborted = requests::means(rollout, Request::Abort, &candidate.release);
        // One that is superseded while paused stays where it is, and goes on being judged.
        let held = requests::paused(rollout, Some(&candidate.release)).is_some();
        // Of a template that can't be read it is not known; while the spec's has failed, or may have, another stands in.
        let own = own_hash(&rollout.spec.template);
        // Which revision others made last the object does not tell.
        let is_own = !rollout.spec.traffic_only;
        let other_failed = |latch: &Latch| matches!(&latch.news, News::Template(failed) if *failed != own);
        let superseded =
            is_own && unread.is_empty() && own != candidate.template_hash && memory.latches.iter().all(other_failed);
        aborted || (superseded && !held)
    });
    let goes_back = undo::is_under_way(rollout, memory);
    failing || goes_back || leaves || rollout.metadata.deletion_timestamp.is_some()
}

/// What is still to be asked. Each answer may open another question, until none is left.
pub fn questions(seen: &Observation) -> Questions {
    let (pass, memory) = Pass::recover(seen);
    let urgent = is_urgent(&seen.rollout, &Memory::of(&seen.rollout), &seen.unread);
    let mut revisions = revisions(&pass, &memory);
    if !urgent {
        revisions.extend(by_others::revision_to_read(seen));
    }
    let about = |region: &super::RegionView| {
        let place = pass.places.iter().find(|place| place.region() == &region.id.region);
        place.map(|place| about_place(&pass, &memory, place, &revisions, urgent)).unwrap_or_default()
    };
    let (services, regions) = (other_services(&pass), seen.regions.iter().map(about).collect());
    let incidents = if urgent { None } else { alerts::question(&pass, &memory) };
    let asked = Questions { services, regions, incidents, secrets: undo::secrets_to_ask(&pass, &memory) };
    match asked.is_empty() && !urgent {
        true => Questions { secrets: secrets::to_ask(&pass, &memory), ..asked },
        false => asked,
    }
}

/// Regions that marks tell of and nothing else does: with the status lost, they would be forgotten.
fn other_services(pass: &Pass<'_>) -> Vec<ServiceId> {
    let Some(environment) = pass.seen.environment.as_ref().filter(|_| !pass.remembers) else { return vec![] };
    let marked: BTreeSet<&Region> =
        pass.places.iter().filter(|place| place.ours().is_some()).flat_map(|place| &place.marks.regions).collect();
    let unread = marked.into_iter().filter(|region| !pass.places.iter().any(|place| place.region() == *region));
    unread.filter_map(|region| service_in(&pass.seen.rollout, environment, region.as_str())).collect()
}

fn about_place(
    pass: &Pass<'_>,
    memory: &Memory,
    place: &Place<'_>,
    revisions: &BTreeSet<RevisionName>,
    urgent: bool,
) -> RegionQuestions {
    let counts = if urgent { vec![] } else { counts(pass, memory, place).unwrap_or_default() };
    if place.view().is_none() {
        return RegionQuestions { counts, ..RegionQuestions::default() };
    }
    let failures = if urgent { None } else { fast_lane::question(pass, memory, place) };
    // Where stable is not, what was promoted before is gone back to.
    let homes = if memory.stable.is_some() && place.global_stable(memory).is_none() {
        place.earlier_homes(memory)
    } else {
        vec![]
    };
    let unknown = revisions.iter().chain(&homes).filter(|name| !place.seen.revisions.contains_key(name));
    let policy = !urgent && place.seen.policy.is_none() && invokers::matter(pass.seen, &pass.seen.rollout);
    RegionQuestions { revisions: unknown.cloned().collect(), policy, counts, failures }
}

/// Revisions to know about: stable, the candidate, and the one that would be next.
fn revisions(pass: &Pass<'_>, memory: &Memory) -> BTreeSet<RevisionName> {
    let stable = memory.stable.iter().map(|stable| stable.revision.clone());
    let candidate = memory.candidate.iter().map(|candidate| candidate.release.revision.clone());
    let desire = Desire::of(pass, memory);
    let fresh = desire.built.as_ref().ok().and_then(|wanted| pass.fresh_name(wanted, memory));
    let next = desire.promoted_before(pass, memory).or(fresh);
    let adopted = adopt::revisions_to_read(pass);
    let of_others = pass.waves().filter_map(|place| past::deployed(pass, memory, place).cloned());
    stable
        .chain(candidate)
        .chain(next)
        .chain(undo::revision_to_read(pass, memory))
        .chain(adopted)
        .chain(of_others)
        .chain(outdated::revision_to_read(pass, memory).cloned())
        .chain(tags::revision_to_read(pass, memory))
        .collect()
}

/// The closed minutes of a weight that is in effect, by each metric.
fn counts(pass: &Pass<'_>, memory: &Memory, place: &Place<'_>) -> Option<Vec<CountsQuery>> {
    let candidate = memory.candidate.as_ref()?;
    let stable = place.stable(memory)?;
    let state = Placement { pass, memory, place, candidate }.progress();
    let (settings, known) = (analysis(pass, candidate), memory.region(place.region()));
    let metrics = settings.judged();
    let open = subjects(candidate, (&metrics, settings), &state, &known)
        .filter(|subject| !place.seen.counts.contains_key(&subject.metric));
    let query = |subject: Subject<'_>| {
        let before = known.evidence_of(&candidate.release, subject.metric);
        let verdict::Open { window, history_until } = verdict::open(before, &subject, settings, pass.seen.now)?;
        let (candidate, stable) = (candidate.release.revision.clone(), stable.clone());
        let promql = settings.promql(subject.metric).cloned().map(Box::new);
        Some(CountsQuery { metric: subject.metric, candidate, stable, window, history_until, promql })
    };
    Some(open.filter_map(query).collect())
}
