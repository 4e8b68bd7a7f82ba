//! What changed between two statuses, told once.

use orchestra_crds::condition::STALLED;
use orchestra_crds::{
    CandidateStatus, EvidenceStatus, Outcome, RegionStatus, RequestRecord, RolloutPhase, RolloutStatus,
};

use super::decision::Decision;
use super::pass::Pass;
use super::report;
use super::steps::{Step, Steps};
use crate::conditions::{self, Note, Overall};
use crate::names::Fingerprint;
use crate::plan::{Event, Severity};
use crate::reason::Reason;
use crate::verdict::all_in_words;
use crate::words::span;

/// What changed between two statuses.
pub(super) fn between(pass: &Pass<'_>, old: &RolloutStatus, new: &RolloutStatus, decision: &Decision) -> Vec<Event> {
    let mut events = requests(old, new);
    events.extend(started(pass, old, new));
    events.extend(steps_in_effect(old, new));
    events.extend(failed(old, new));
    let ended = ended(old, new);
    let told = ended.is_some();
    let went_well =
        new.history.first().is_some_and(|last| !matches!(last.outcome, Outcome::RolledBack | Outcome::Failed));
    events.extend(ended);
    // That a release failed says why it goes no further; that it was promoted does not.
    let stalled = stalled(old, new, decision).filter(|_| !told || went_well);
    let stalled_reason = stalled.as_ref().map(|event| event.reason.clone());
    events.extend(stalled);
    events.extend(warned(old, new, decision));
    events.extend(unread_metrics(old, new));
    events.extend(deployed_by_others(old, new));
    events.extend(decision.corrected.iter().map(corrected));
    let unread = unread_services(pass, old, new);
    events.extend(unread.into_iter().filter(|event| stalled_reason.as_ref() != Some(&event.reason)));
    events
}

/// Requests that were acted on.
fn requests(old: &RolloutStatus, new: &RolloutStatus) -> Vec<Event> {
    let taken = new.requests.iter().filter(|record| !old.requests.contains(record));
    let event = |record: &RequestRecord| {
        let by = record.by.as_deref().map(|by| format!(", written by {by}")).unwrap_or_default();
        let note = format!("{} of `{}`{by}", record.request, record.target);
        if let Some(why) = &record.refused {
            let action = format!("{}-{}", record.request, record.target);
            return Event::warning(Reason::RequestRefused, action, format!("{note}: {why}"));
        }
        Event::normal(Reason::RequestTaken, format!("{}-{}", record.request, record.target), note)
    };
    taken.map(event).collect()
}

fn started(pass: &Pass<'_>, old: &RolloutStatus, new: &RolloutStatus) -> Option<Event> {
    let is_new = |c: &&CandidateStatus| old.candidate.as_ref().is_none_or(|o| o.release != c.release);
    let candidate = new.candidate.as_ref().filter(is_new)?;
    let course = candidate.course.clone().unwrap_or_default();
    let steps = Steps::read(&course.steps).told(Step::words);
    let regions: Vec<String> = pass.waves().map(|place| place.region().to_string()).collect();
    let note = format!(
        "`{}` ({}) starts: {} in {}",
        candidate.revision,
        candidate.image,
        steps.join(" → "),
        regions.join(", ")
    );
    Some(Event::normal(Reason::ReleaseStarted, &candidate.release, note))
}

/// Steps that were seen to take effect.
fn steps_in_effect(old: &RolloutStatus, new: &RolloutStatus) -> Vec<Event> {
    let Some(candidate) = &new.candidate else { return vec![] };
    let course = candidate.course.clone().unwrap_or_default();
    let changed = new.regions.iter().filter_map(|now| {
        let step = now.step.as_ref()?;
        let before = old.regions.iter().find(|b| b.region == now.region).and_then(|b| b.step.as_ref());
        let same = before.is_some_and(|before| before.release == step.release && before.number == step.number);
        (!same).then_some((now, step))
    });
    let event = |(now, step): (&RegionStatus, &orchestra_crds::StepStatus)| {
        // Evidence of now is about the step that begins: why the one before it is over, the status before says.
        let own = |evidence: &&EvidenceStatus| evidence.release == candidate.release && evidence.candidate.total > 0;
        let before = old.regions.iter().find(|before| before.region == now.region);
        let later = |known: &'_ EvidenceStatus| {
            let same = |now: &&EvidenceStatus| {
                (now.metric, now.step, &now.release) == (known.metric, known.step, &known.release)
            };
            now.evidence.iter().find(same)
        };
        let known = before.iter().flat_map(|before| &before.evidence).filter(own);
        // A step that moves no traffic begins in the pass that counted the last minutes of the one before.
        let judged: Vec<&EvidenceStatus> = known.map(|known| later(known).unwrap_or(known)).collect();
        let before = match judged.as_slice() {
            [] => String::new(),
            judged => format!("; up to here {}", all_in_words(judged, &course.analysis)),
        };
        let note = format!(
            "{}: `{}` gets {} % of the requests, step {}/{}{before}",
            now.region,
            candidate.revision,
            now.weight.unwrap_or_default(),
            step.number,
            course.steps.len()
        );
        Event::normal(Reason::StepInEffect, format!("{}-{}-step-{}", candidate.release, now.region, step.number), note)
    };
    changed.map(event).collect()
}

fn failed(old: &RolloutStatus, new: &RolloutStatus) -> Option<Event> {
    let failed = new.failed.as_ref().filter(|f| old.failed.as_ref().is_none_or(|o| o.release != f.release))?;
    let note = format!("`{}` failed ({}): {}", failed.revision, failed.reason, failed.message);
    Some(Event::warning(Reason::ReleaseFailed, &failed.release, note))
}

fn ended(old: &RolloutStatus, new: &RolloutStatus) -> Option<Event> {
    let last = new.history.first().filter(|last| old.history.first() != Some(last))?;
    let took = span(last.started_at.0, last.finished_at.0);
    let (reason, warn) = match last.outcome {
        Outcome::Promoted => (Reason::Promoted, false),
        Outcome::RolledBack => (Reason::RolledBack, true),
        Outcome::Failed => (Reason::Failed, true),
        Outcome::Superseded => (Reason::Superseded, false),
        Outcome::Returned => (Reason::Returned, false),
        Outcome::Adopted => (Reason::Adopted, false),
    };
    let revision = format!("`{}`", last.revision);
    // What failed names its revision itself.
    let subject = if last.message.starts_with(&revision) { String::new() } else { format!("{revision}: ") };
    let note = format!("{subject}{} after {took}; {}", reason.word(), last.message);
    let event = if warn { Event::warning } else { Event::normal };
    Some(event(reason, &last.release, note))
}

fn reason(status: &RolloutStatus) -> Option<&str> {
    status.conditions.first().map(|condition| condition.reason.as_str())
}

/// The release waits for a person, or can't go on.
fn stalled(old: &RolloutStatus, new: &RolloutStatus, decision: &Decision) -> Option<Event> {
    let newly = !conditions::is_true(&old.conditions, STALLED) || reason(old) != reason(new);
    let release = new.candidate.as_ref().map_or("", |candidate| candidate.release.as_str());
    match &decision.overall {
        Overall::Stalled(note) if newly => {
            Some(Event::told(Severity::Warning, &note.reason, occasion(release, note), &note.message))
        }
        Overall::Reconciling(note) if decision.phase == RolloutPhase::Paused && reason(old) != reason(new) => {
            Some(Event::told(Severity::Normal, &note.reason, occasion(release, note), &note.message))
        }
        _ => None,
    }
}

/// What makes an event another one than the last of its reason: clients count those of the same occasion, and show the
/// words of the first.
fn occasion(about: &str, note: &Note) -> String {
    format!("{about}-{}", Fingerprint::of(&note.message))
}

/// Something was changed past Orchestra, or holds a release that is not at the end of its time.
fn warned(old: &RolloutStatus, new: &RolloutStatus, decision: &Decision) -> Option<Event> {
    let Overall::Reconciling(note) = &decision.overall else { return None };
    let mut told = Reason::DRIFT.iter().chain(&Reason::TOLD_AT_ONCE);
    let tell = told.any(|reason| note.reason == *reason) && reason(old) != reason(new);
    let about = format!("generation-{}", new.observed_generation.unwrap_or_default());
    tell.then(|| Event::told(Severity::Warning, &note.reason, occasion(&about, note), &note.message))
}

/// Regions that can't be read, and not only for a moment.
fn unread_services(pass: &Pass<'_>, old: &RolloutStatus, new: &RolloutStatus) -> Vec<Event> {
    let is_unread = |region: &RegionStatus| region.message.starts_with(report::NOT_READABLE);
    let event = |region: &RegionStatus| {
        let before = old.regions.iter().find(|before| before.region == region.region);
        let (_, fault) = pass.unread().find(|(place, _)| place.region().as_str() == region.region)?;
        let newly = is_unread(region) && !before.is_some_and(is_unread);
        let overall = Overall::of_fault(fault, format!("{}: {}", region.region, fault.message));
        let action = format!("{}-unread", region.region);
        newly.then(|| Event::told(Severity::Warning, &overall.note().reason, action, &overall.note().message))
    };
    new.regions.iter().filter_map(event).collect()
}

/// Revisions that others deployed past Orchestra.
fn deployed_by_others(old: &RolloutStatus, new: &RolloutStatus) -> Vec<Event> {
    let event = |region: &RegionStatus| {
        let what = region.deployed_by_others.as_ref()?;
        let before = old.regions.iter().find(|before| before.region == region.region);
        let is_known = before.is_some_and(|before| before.deployed_by_others.as_ref() == Some(what));
        let note = format!(
            "{}: deployed past Orchestra, and without requests: {what}. A release is what spec.template says",
            region.region
        );
        (!is_known).then(|| {
            Event::warning(Reason::DeployedByOthers, format!("{}-{}", region.region, Fingerprint::of(what)), note)
        })
    };
    new.regions.iter().filter_map(event).collect()
}

/// Settings that others changed are put back.
fn corrected(told: &String) -> Event {
    Event::warning(Reason::SettingsCorrected, Fingerprint::of(told).to_string(), told)
}

/// Metrics that can't be read now, and could before.
fn unread_metrics(old: &RolloutStatus, new: &RolloutStatus) -> Option<Event> {
    let fault = |status: &RolloutStatus| {
        status.regions.iter().find_map(|region| {
            let fault = region.evidence.iter().find_map(|evidence| evidence.fault.clone())?;
            Some((region.region.clone(), fault))
        })
    };
    let (region, now) = fault(new)?;
    let release = new.candidate.as_ref().map_or("", |candidate| candidate.release.as_str());
    fault(old).is_none().then(|| Event::warning(Reason::MetricsUnavailable, release, format!("{region}: {now}")))
}
