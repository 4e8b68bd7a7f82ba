//! Alert policies that a team has: what an open incident of one says about a candidate.
//!
//! An incident that names the candidate's revision takes it back; so does one that names the service, once the candidate has all of its
//! requests. Any other that names no revision may be about anything: nothing goes on while it is open. Silence is no health: where
//! incidents can't be read, or a policy tells nothing, nothing goes on either.

use jiff::Timestamp;
use orchestra_crds::{AnalysisMode, Request};

use super::judge::analysis;
use super::memory::{Candidate, Memory, RegionMemory};
use super::pass::Pass;
use super::place::Place;
use super::progress::Progress;
use super::steps::{Step, Steps};
use crate::cloud::{AlertPolicy, Incident, Incidents, IncidentsQuery};
use crate::conditions::{Note, note};
use crate::names::Percent;
use crate::reason::Reason;

/// For how long what was asked is told to all who ask, in seconds.
const TOLD_TO_ALL: i64 = 30;

/// What the labels of an incident say about a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Candidate,
    /// It names its service, and no revision.
    Service,
    /// It names neither.
    Unknown,
    Other,
}

/// The question about incidents; none: none is open.
pub(super) fn question(pass: &Pass<'_>, memory: &Memory) -> Option<IncidentsQuery> {
    let candidate = memory.candidate.as_ref().filter(|candidate| has_policies(pass, candidate))?;
    let on_step = |known: &RegionMemory| known.step.as_ref().is_some_and(|s| s.release == candidate.release);
    let has_users = memory.regions.values().any(on_step) || pass.waves().any(|place| has_users(candidate, place));
    let at = pass.seen.now.as_second().div_euclid(TOLD_TO_ALL) * TOLD_TO_ALL;
    let at = Timestamp::from_second(at).ok().filter(|_| has_users && pass.seen.incidents.is_none())?;
    let ids = policies(pass, candidate).filter_map(|policy| policy.ok()).map(String::from);
    Some(IncidentsQuery { at, policies: ids.collect() })
}

/// Whether the candidate has users in a region.
fn has_users(candidate: &Candidate, place: &Place<'_>) -> bool {
    place.ours().is_some() && place.uses(&candidate.release.revision)
}

fn has_policies(pass: &Pass<'_>, candidate: &Candidate) -> bool {
    let settings = analysis(pass, candidate);
    // What was promoted before goes back, or to another region, without analysis.
    let is_judged = candidate.steps() != Steps::default();
    is_judged && !settings.alert_policies.is_empty() && settings.mode != AnalysisMode::Observe
}

/// The policies that are listed, by the last part of their names; those of another project are errors, by their whole name.
fn policies<'p>(pass: &'p Pass<'_>, candidate: &'p Candidate) -> impl Iterator<Item = Result<&'p str, &'p str>> {
    let project = pass.seen.environment.as_ref().map(|environment| environment.spec.project.as_str());
    analysis(pass, candidate).alert_policies.iter().map(move |name| {
        match name.split('/').collect::<Vec<_>>().as_slice() {
            [_, of, _, id] if project.is_none_or(|project| project == *of) => Ok(*id),
            _ => Err(name.as_str()),
        }
    })
}

fn is_policy_of(pass: &Pass<'_>, candidate: &Candidate, incident: &Incident) -> bool {
    policies(pass, candidate).any(|policy| policy == Ok(incident.policy.as_str()))
}

/// What it says about the candidate in a region.
fn about(incident: &Incident, candidate: &Candidate, place: &Place<'_>) -> About {
    let label = |name: &str| incident.labels.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let differs = |name: &str, own: &str| label(name).is_some_and(|value| value != own);
    let id = &place.seen.id;
    let of_another =
        [("project_id", id.project.as_str()), ("location", id.region.as_str()), ("service_name", id.name.as_str())];
    if of_another.into_iter().any(|(name, own)| differs(name, own)) {
        return About::Other;
    }
    match label("revision_name") {
        Some(revision) if revision == candidate.release.revision.as_str() => About::Candidate,
        Some(_) => About::Other,
        None if label("service_name").is_some() => About::Service,
        None => About::Unknown,
    }
}

/// The open incidents of the policies that are listed, with what they say in a region.
fn open<'s>(
    pass: &'s Pass<'_>,
    candidate: &'s Candidate,
    place: &'s Place<'_>,
) -> impl Iterator<Item = (&'s Incident, About)> {
    let all = pass.seen.incidents.iter().filter_map(|read| read.as_ref().ok()).flat_map(|told| &told.open);
    let ours = all.filter(|incident| is_policy_of(pass, candidate, incident));
    ours.map(|incident| (incident, about(incident, candidate, place)))
}

/// Why incidents say to roll back, in any region.
pub(super) fn failing(pass: &Pass<'_>, candidate: &Candidate, states: &[(&Place<'_>, Progress)]) -> Option<String> {
    if !has_policies(pass, candidate) {
        return None;
    }
    states.iter().find_map(|(place, state)| {
        let alone = alone_since(pass, candidate, (place, state));
        let is_its = |(incident, about): &(&Incident, About)| match about {
            // One of an earlier release of the same revision is over with it.
            About::Candidate => incident.opened >= candidate.started_at,
            About::Service => alone.is_some_and(|since| incident.opened >= since),
            About::Unknown | About::Other => false,
        };
        let (incident, about) = open(pass, candidate, place).find(is_its)?;
        let it = if about == About::Service { "the service, of which it has all requests," } else { "it" };
        let (region, called, opened) = (place.region(), &incident.called, incident.opened);
        Some(format!("{region}: an incident of the alert policy `{called}` is open about {it} since {opened}"))
    })
}

/// Since when it has had all requests in a region; none: it hasn't.
fn alone_since(pass: &Pass<'_>, candidate: &Candidate, (place, state): (&Place<'_>, &Progress)) -> Option<Timestamp> {
    if *state == Progress::Done {
        // Its mark was written once the watch was over, unless a person ended that sooner.
        let steps = candidate.steps();
        let watch = steps.iter().last().filter(|step| step.share() == Some(Percent::ALL));
        let watched = watch.filter(|_| !was_promoted(pass, candidate)).map(Step::takes);
        let mark = place.marks.candidate_named(&candidate.release.revision)?;
        return mark.at.checked_sub(watched.unwrap_or_default()).ok();
    }
    let weight = state.weight()?;
    candidate.steps().at(weight.step)?.share().filter(|share| *share == Percent::ALL).map(|_| weight.since)
}

/// Whether a person ended a step of it.
fn was_promoted(pass: &Pass<'_>, candidate: &Candidate) -> bool {
    let own = format!("{}/", candidate.release);
    let mut known = pass.seen.rollout.status.iter().flat_map(|status| &status.requests);
    known.any(|record| record.request == Request::Promote.name() && record.target.starts_with(&own))
}

/// Why nothing is heard of a policy; none: incidents of it would be.
fn silence(id: &str, told: &Incidents) -> Option<String> {
    let Some(policy) = told.policies.get(id) else { return Some(format!("nothing is told of the alert policy {id}")) };
    match policy {
        None => Some(format!("there is no alert policy {id} in the project")),
        Some(AlertPolicy { called, enabled: false, .. }) => {
            Some(format!("the alert policy `{called}` is switched off"))
        }
        Some(AlertPolicy { called, invalid, .. }) => {
            invalid.as_ref().map(|why| format!("the alert policy `{called}` is broken: {why}"))
        }
    }
}

/// Why no step passes; none: nothing is open, or no policies are listed.
pub(super) fn holds(pass: &Pass<'_>, candidate: &Candidate, place: &Place<'_>) -> Option<Note> {
    if !has_policies(pass, candidate) {
        return None;
    }
    if pass.seen.incidents.is_none() {
        return Some(note(Reason::Holding, "the incidents of its alert policies are not known yet"));
    }
    why_held(pass, candidate, place).map(|why| note(Reason::AlertPolicyHolds, why))
}

fn why_held(pass: &Pass<'_>, candidate: &Candidate, place: &Place<'_>) -> Option<String> {
    if let Some(other) = policies(pass, candidate).find_map(Result::err) {
        return Some(format!(
            "the alert policy {other} is not of the environment's project, by its ID: list one that is"
        ));
    }
    match &pass.seen.incidents {
        Some(Err(fault)) => Some(fault.unread("the incidents of its alert policies", "roles/monitoring.alertViewer")),
        None => None,
        Some(Ok(told)) => {
            let silent: Vec<String> = policies(pass, candidate).flatten().filter_map(|id| silence(id, told)).collect();
            if !silent.is_empty() {
                return Some(silent.join("; "));
            }
            // Trouble in any region with users of the candidate holds it everywhere.
            let others = pass.waves().filter(|other| has_users(candidate, other) && other.region() != place.region());
            let its = |place| open(pass, candidate, place).map(move |(incident, about)| (place, incident, about));
            let mut all = std::iter::once(place).chain(others).flat_map(its);
            all.find(|(.., about)| *about != About::Other).map(|(of, incident, about)| {
                let what = match about {
                    About::Candidate => "it names this revision, and is of before this release",
                    About::Service => "it names the service, and no revision",
                    About::Unknown | About::Other => "it names neither service nor revision",
                };
                let elsewhere = match of.region() == place.region() {
                    true => String::new(),
                    false => format!(" about {}", of.region()),
                };
                format!(
                    "an incident of the alert policy `{}` is open since {}{elsewhere}: {what}",
                    incident.called, incident.opened
                )
            })
        }
    }
}
