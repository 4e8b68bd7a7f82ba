//! The status and the events: the story of a release, readable from `kubectl get` and `describe` alone.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::condition::STALLED;
use orchestra_crds::{Outcome, RegionStatus, RequestRecord, RolloutPhase, RolloutStatus};

use super::deadline::overdue_since;
use super::identity::{Ownership, Release};
use super::region::{Placement, Progress};
use super::{Decision, RegionView};
use crate::analysis::in_words;
use crate::conditions::{self, Overall};
use crate::names::RevisionName;
use crate::plan::{Event, Finalizer, Plan};
use crate::traffic::weight_of;

const REQUESTS_KEPT: usize = 10;

/// Remembers a request that was acted on.
pub(super) fn record_request(status: &mut RolloutStatus, request: &str, target: &str, now: Timestamp) {
    let known = status.requests.iter().any(|r| r.request == request && r.target == target);
    if !known {
        let record = RequestRecord { request: request.into(), target: target.into(), time: Time(now) };
        status.requests.insert(0, record);
        status.requests.truncate(REQUESTS_KEPT);
    }
}

/// The plan of a decision.
pub(super) fn finish(release: &Release<'_>, mut status: RolloutStatus, decision: Decision) -> Plan<RolloutStatus> {
    let (seen, old) = (release.seen, release.seen.rollout.status.clone().unwrap_or_default());
    status.observed_generation = seen.rollout.metadata.generation;
    status.phase = Some(decision.phase);
    status.message = Some(decision.overall.note().message.clone());
    let subject = subject(&status);
    status.regions =
        seen.regions.iter().map(|region| region_status(release, &status, region, subject.as_ref())).collect();
    let shown = decision.region.or(if status.regions.is_empty() { None } else { Some(0) });
    let shown = shown.and_then(|index| status.regions.get(index)).cloned();
    status.region = decision.region.and(shown.as_ref()).map(|r| r.region.clone());
    status.weight = shown.as_ref().and_then(|r| r.weight);
    let steps = status.candidate.as_ref().map_or(0, |c| c.steps.len());
    status.step = shown.and_then(|r| r.step).map(|step| format!("{step}/{steps}"));
    status.image = shown_image(&status);
    if let Some(candidate) = status.candidate.as_mut()
        && status.step.is_none()
    {
        candidate.promote_token = None;
    }
    let generation = seen.rollout.metadata.generation;
    status.conditions = conditions::update(&old.conditions, decision.overall.conditions(), generation, seen.now);
    let events = events(release, &old, &status, &decision);
    Plan { finalizer: Finalizer::Keep, status, effects: decision.effects, events, next: decision.next }
}

/// The revision whose weight is shown: the candidate, or the one that is failing, or stable.
fn subject(status: &RolloutStatus) -> Option<RevisionName> {
    let candidate = status.candidate.as_ref().map(|c| &c.revision);
    // Once a failure is over, what runs is told, as the image is.
    let failed = status.failed.as_ref().filter(|f| !f.rolled_back).map(|f| &f.revision);
    let stable = status.stable.as_ref().map(|s| &s.revision);
    RevisionName::new(candidate.or(failed).or(stable)?.as_str()).ok()
}

fn region_status(
    release: &Release<'_>,
    status: &RolloutStatus,
    region: &RegionView,
    subject: Option<&RevisionName>,
) -> RegionStatus {
    let before = status.regions.iter().find(|r| r.region == region.name());
    let mut new = RegionStatus { region: region.name().into(), ..RegionStatus::default() };
    let Some(view) = region.view() else {
        // What is not seen is not claimed.
        new.state = if region.service.is_err() { "not readable".into() } else { "no service yet".into() };
        new.url = before.and_then(|b| b.url.clone());
        if region.service.is_err() {
            // Which step is going on is remembered, or its beginning would be told again.
            new.step = before.and_then(|b| b.step);
            new.step_started_at = before.and_then(|b| b.step_started_at.clone());
            new.overdue_since = before.and_then(|b| b.overdue_since.clone());
        }
        return new;
    };
    if release.ownership(&view.marks) == Ownership::Foreign {
        new.state = "a service that is not ours".into();
        return new;
    }
    new.url = view.url.clone();
    new.weight = subject.map(|revision| weight_of(revision, &view.serving).get());
    new.state = match subject {
        Some(revision) => format!("`{revision}` gets {} % of the requests", weight_of(revision, &view.serving).get()),
        None => "no revision of ours".into(),
    };
    if let (Some(_), Some(revision)) = (&status.candidate, subject) {
        let progress = Placement { release, status, region, candidate: revision }.progress();
        new.overdue_since = overdue_since(release, status, region, &progress).map(Time);
        match progress {
            Progress::On { step, since } => {
                new.step = i32::try_from(step).ok();
                new.step_started_at = Some(Time(since));
            }
            Progress::Starting(_) => new.state = format!("`{revision}` is starting"),
            // Between two steps the one before is still shown.
            Progress::Moving(_) => {
                new.step = before.and_then(|b| b.step);
                new.step_started_at = before.and_then(|b| b.step_started_at.clone());
            }
            _ => {}
        }
    }
    new
}

/// The end of an image's name, its digest cut short.
fn shown_image(status: &RolloutStatus) -> Option<String> {
    let candidate = status.candidate.as_ref().map(|c| c.image.clone());
    let image = candidate.or(status.stable.as_ref().and_then(|s| s.image.clone()))?;
    let name = image.rsplit('/').next().unwrap_or(&image);
    Some(match name.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@{}", digest.chars().take(12).collect::<String>()),
        None => name.to_string(),
    })
}

/// What changed between two statuses, told once.
fn events(release: &Release<'_>, old: &RolloutStatus, new: &RolloutStatus, decision: &Decision) -> Vec<Event> {
    let mut events = vec![];
    if let Some(c) = new.candidate.as_ref().filter(|c| old.candidate.as_ref().is_none_or(|o| o.revision != c.revision))
    {
        let weights: Vec<String> = c.steps.iter().map(|s| format!("{} → ", s.weight)).collect();
        let regions: Vec<&str> = release.seen.regions.iter().map(RegionView::name).collect();
        let note =
            format!("`{}` ({}) starts: {}100 % in {}", c.revision, c.image, weights.concat(), regions.join(", "));
        let action = format!("{}-{}", c.revision, c.started_at.0.as_second());
        events.push(Event::normal("ReleaseStarted", action, note));
    }
    events.extend(weights_changed(old, new));
    if let Some(failed) = new.failed.as_ref().filter(|f| old.failed.as_ref().is_none_or(|o| o.revision != f.revision)) {
        let note = format!("`{}` failed ({}): {}", failed.revision, failed.reason, failed.message);
        events.push(Event::warning("ReleaseFailed", &failed.revision, note));
    }
    let ended = new.history.first().filter(|last| old.history.first() != Some(last));
    if let Some(last) = ended {
        let seconds = last.finished_at.0.duration_since(last.started_at.0).as_secs();
        let note = format!("`{}`: {:?} after {seconds} s; {}", last.revision, last.outcome, last.message);
        let reason = format!("{:?}", last.outcome);
        // The same revision may be released again: another release is another event.
        let action = format!("{}-{}", last.revision, last.finished_at.0.as_second());
        events.push(match last.outcome {
            Outcome::RolledBack => Event::warning(&reason, action, note),
            Outcome::Promoted | Outcome::Superseded | Outcome::Returned => Event::normal(&reason, action, note),
        });
    }
    let stalled = |conditions: &[_]| conditions::is_true(conditions, STALLED);
    let reason = |s: &RolloutStatus| s.conditions.first().map(|c| c.reason.clone());
    let newly = !stalled(&old.conditions) || reason(old) != reason(new);
    if let (Overall::Stalled(note), true, None) = (&decision.overall, newly, ended) {
        let phase = format!("{:?}", decision.phase);
        events.push(match decision.phase {
            RolloutPhase::Paused => Event::normal("Paused", phase, &note.message),
            _ => Event::warning(&note.reason, phase, &note.message),
        });
    }
    events
}

/// Steps that were seen to take effect.
fn weights_changed(old: &RolloutStatus, new: &RolloutStatus) -> Vec<Event> {
    let Some(candidate) = &new.candidate else { return vec![] };
    let steps = candidate.steps.len();
    let changed = new.regions.iter().filter(|now| {
        let before = old.regions.iter().find(|b| b.region == now.region);
        let same_candidate = old.candidate.as_ref().is_some_and(|c| c.revision == candidate.revision);
        now.step.is_some() && (!same_candidate || before.is_none_or(|b| b.step != now.step))
    });
    changed
        .map(|now| {
            let (step, weight) = (now.step.unwrap_or_default(), now.weight.unwrap_or_default());
            let judged = old.analysis.as_ref().filter(|a| a.revision == candidate.revision).map(in_words);
            let before = judged.map_or(String::new(), |words| format!("; up to here {words}"));
            let note = format!(
                "{}: `{}` gets {weight} % of the requests, step {step}/{steps}{before}",
                now.region, candidate.revision
            );
            Event::normal("StepInEffect", format!("{}-{}-step-{step}", candidate.revision, now.region), note)
        })
        .collect()
}
