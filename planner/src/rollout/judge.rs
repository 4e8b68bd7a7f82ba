//! The judgement of a candidate: an abort, what breaks, what users meet, what takes too long. It goes on in every region,
//! whatever holds the release up in another.

use jiff::SignedDuration;
use orchestra_crds::{Analysis, AnalysisMode, EvidenceStatus, Metric, Request};

use super::deadline::{self, Overdue};
use super::memory::{Candidate, Memory, RegionMemory};
use super::pass::Pass;
use super::place::Place;
use super::progress::{InEffect, Placement, Progress, Standing};
use super::steps::Step;
use super::{Turn, alerts, capacity, failure, fast_lane, requests};
use crate::cloud::{CountsQuery, Fault};
use crate::conditions::{Note, note};
use crate::names::Percent;
use crate::reason::Reason;
use crate::verdict::{self, Kind, Subject, Terms, in_words};

/// A person takes it back. None: nobody asks for that, or there is nothing to go back to.
pub(super) fn aborted(pass: &Pass<'_>, memory: &mut Memory, candidate: &Candidate) -> Option<Turn> {
    let asked = requests::means(&pass.seen.rollout, Request::Abort, &candidate.release);
    if !asked || memory.spreads_stable() {
        return None;
    }
    let by = requests::written_by(&pass.seen.rollout, Request::Abort);
    memory.note_request(Request::Abort, &candidate.release.to_string(), by, pass.seen.now);
    Some(failure::latch(pass, memory, note(Reason::Aborted, "a person asked for it")))
}

/// The judgement of one that stays where it is: it is no longer wanted and everything is paused, what is wanted can't be
/// read, or its service has vanished.
pub(super) fn held(pass: &Pass<'_>, memory: &mut Memory, candidate: &Candidate) -> Option<Turn> {
    if let Some(aborted) = aborted(pass, memory, candidate) {
        return Some(aborted);
    }
    let states = states(pass, memory, candidate);
    failing(pass, memory, candidate, &states)
}

/// A candidate that breaks in any region, or that users meet failures of, is taken back whatever the other regions do.
pub(super) fn failing(
    pass: &Pass<'_>,
    memory: &mut Memory,
    candidate: &Candidate,
    states: &[(&Place<'_>, Progress)],
) -> Option<Turn> {
    let broken = states.iter().find_map(|(place, state)| match state {
        Progress::Broken(trouble) => Some((trouble, format!("{}: {}", place.region(), trouble.message))),
        _ => None,
    });
    if let Some((trouble, message)) = broken {
        return Some(failure::latch(pass, memory, Note::told(&trouble.reason, message)));
    }
    count_minutes(pass, memory, candidate, states);
    fast_lane::count(pass, memory, candidate, states);
    let why = verdict_to_act_on(pass, memory, candidate, states)
        .or_else(|| fast_lane::failing(pass, memory, candidate, states))
        .or_else(|| alerts::failing(pass, candidate, states))?;
    Some(failure::latch(pass, memory, note(Reason::AnalysisFailed, why)))
}

/// What takes too long in any region: the first look at it waits for what a second one says.
pub(super) fn overdue(
    pass: &Pass<'_>,
    memory: &mut Memory,
    candidate: &Candidate,
    states: &[(&Place<'_>, Progress)],
) -> Option<Turn> {
    let mut first_look = None;
    for (place, state) in states {
        match deadline::check(pass, memory, place, candidate, state) {
            Some(Overdue::Missed(message)) => {
                return Some(failure::latch(pass, memory, note(Reason::ProgressDeadlineExceeded, message)));
            }
            Some(Overdue::LookAgain(decision)) if first_look.is_none() => {
                first_look = Some(decision.in_region(place.region()));
            }
            Some(Overdue::LookAgain(_)) | None => {}
        }
    }
    first_look.map(Turn::from)
}

/// How far the candidate is in each region of the release.
pub(super) fn states<'p, 'a>(
    pass: &'p Pass<'a>,
    memory: &Memory,
    candidate: &Candidate,
) -> Vec<(&'p Place<'a>, Progress)> {
    let in_course = |place: &&Place<'_>| match &candidate.course {
        // A region that is new waits for the end of the release.
        Some(course) if !course.regions.is_empty() => course.regions.contains(place.region()),
        _ => true,
    };
    let progress = |place| (place, Placement { pass, memory, place, candidate }.progress());
    pass.waves().filter(in_course).map(progress).collect()
}

/// How the candidate is judged: as when its release started, or where that is lost as the spec says now.
pub(super) fn analysis<'a>(pass: &'a Pass<'_>, candidate: &'a Candidate) -> &'a Analysis {
    candidate.course.as_ref().map_or(&pass.seen.rollout.spec.analysis, |course| &course.analysis)
}

/// By what the candidate is judged.
pub(super) fn terms<'a>(pass: &'a Pass<'_>, candidate: &'a Candidate) -> Terms<'a> {
    let minutes: SignedDuration = candidate.steps().iter().map(Step::takes).sum();
    let regions = candidate.course.as_ref().map_or(pass.places.len(), |course| course.regions.len());
    Terms {
        settings: analysis(pass, candidate),
        planned_minutes: u32::try_from(minutes.as_mins()).unwrap_or(u32::MAX),
        regions: u32::try_from(regions.max(1)).unwrap_or(u32::MAX),
    }
}

/// What the evidence in a region is about, by each metric, while a weight is in effect there. Where the service can't be
/// read, where somebody changed its traffic, or where the candidate is not ready for a while, that is the one that was last
/// seen, if nothing was written since.
pub(super) fn subjects<'c>(
    candidate: &'c Candidate,
    (metrics, settings): (&'c [Metric], &'c Analysis),
    state: &Progress,
    known: &RegionMemory,
) -> impl Iterator<Item = Subject<'c>> + use<'c> {
    let weight = match state {
        Progress::On(Standing { weight, .. }) => *weight,
        // Its users are there all the same.
        Progress::Unreadable(_) | Progress::Drifted(_) | Progress::Starting(_) => last_weight(candidate, known),
        _ => None,
    };
    let about = move |InEffect { step, written_at, since }| {
        let release = &candidate.release;
        let has_all = has_all(candidate, step);
        let is_compared = move |metric: &&Metric| !has_all || !is_only_compared(**metric, settings);
        let judged = metrics.iter().filter(is_compared);
        judged.map(move |metric| Subject { metric: *metric, release, step, written_at, since, has_all })
    };
    weight.into_iter().flat_map(about)
}

fn has_all(candidate: &Candidate, step: u32) -> bool {
    candidate.steps().at(step).and_then(Step::share) == Some(Percent::ALL)
}

/// Whether a metric says nothing where no stable revision is beside the candidate: errors alone have a ceiling.
fn is_only_compared(metric: Metric, settings: &Analysis) -> bool {
    settings.limits().is_none() && Kind::of(metric, settings) != Kind::Errors
}

/// The weight that was last seen in effect, and since when at the latest.
pub(super) fn last_weight(candidate: &Candidate, known: &RegionMemory) -> Option<InEffect> {
    let seen = known.step.as_ref().filter(|_| known.moving_since.is_none());
    let step = seen.filter(|step| step.release == candidate.release)?;
    let (number, since) = (candidate.steps().weight_step(step.number)?, step.started_at);
    Some(InEffect { step: number, written_at: since, since })
}

/// Counts what each region's users met, also while another region holds the release up.
fn count_minutes(pass: &Pass<'_>, memory: &mut Memory, candidate: &Candidate, states: &[(&Place<'_>, Progress)]) {
    let mut subjects: Vec<(&Place<'_>, bool, Subject<'_>)> = vec![];
    let settings = analysis(pass, candidate);
    let metrics = settings.judged();
    for (place, state) in states {
        let about = self::subjects(candidate, (&metrics, settings), state, &memory.region(place.region()));
        let reads_logs = fast_lane::reads(pass, memory, candidate, (place, state));
        subjects.extend(about.map(|subject| (*place, reads_logs, subject)));
    }
    for (place, reads_logs, subject) in subjects {
        let Some(counts) = place.seen.counts.get(&subject.metric) else { continue };
        let known = memory.region_mut(place.region());
        let before = known.evidence_of(&candidate.release, subject.metric).cloned();
        let terms = terms(pass, candidate);
        let after = match &counts.measured {
            Ok(measured) => {
                let served = capacity::served(candidate, known, (place, &subject), measured);
                let window =
                    capacity::told_of(candidate, known, (place, subject.step), reads_logs, counts.query.window);
                verdict::count(before.as_ref(), &subject, &terms, &served, window)
            }
            Err(fault) => {
                verdict::unknown(before.as_ref(), &subject, terms.settings, &unread_metrics(&counts.query, fault))
            }
        };
        known.set_evidence(after);
    }
}

fn unread_metrics(query: &CountsQuery, fault: &Fault) -> String {
    if query.promql.as_ref().is_some_and(|promql| promql.address.is_some()) {
        return format!("{} can't be read: {}", query.metric, fault.message);
    }
    let what = match query.metric {
        Metric::Preset(_) => "Cloud Monitoring".to_string(),
        Metric::Named(name) => format!("{name}, of Managed Service for Prometheus,"),
    };
    fault.unread(&what, "roles/monitoring.viewer")
}

/// Why the evidence says to roll back, in any region.
fn verdict_to_act_on(
    pass: &Pass<'_>,
    memory: &Memory,
    candidate: &Candidate,
    states: &[(&Place<'_>, Progress)],
) -> Option<String> {
    let terms = terms(pass, candidate);
    if terms.settings.mode == AnalysisMode::Observe {
        return None;
    }
    let mut all: Vec<&EvidenceStatus> = vec![];
    for (region, known) in &memory.regions {
        let state = states.iter().find_map(|(place, state)| (place.region() == region).then_some(state));
        let is_past = |evidence: &EvidenceStatus| Kind::of(evidence.metric, terms.settings).is_of_instances();
        let is_alone = state.is_some_and(|state| match state {
            Progress::Done => true,
            state => state.weight().is_some_and(|weight| has_all(candidate, weight.step)),
        });
        let counts = |evidence: &&EvidenceStatus| !is_alone || terms.settings.limits().is_some() || !is_past(evidence);
        all.extend(known.evidence_about(&candidate.release).filter(counts));
    }
    let failing = verdict::together(&all, &terms)?;
    let is_its = |known: &RegionMemory| known.evidence_about(&candidate.release).any(|evidence| evidence == failing);
    let (region, known) = memory.regions.iter().find(|(_, known)| is_its(known))?;
    let place = states.iter().find_map(|(place, _)| (place.region() == region).then_some(place));
    let suspicion = place.map(|place| capacity::suspicion(candidate, known, place, failing)).unwrap_or_default();
    Some(format!("{region}, step {}: {}{suspicion}", failing.step, in_words(failing, terms.settings)))
}
