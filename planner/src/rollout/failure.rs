//! A release failed: it is latched, and what was new in it is not released again until it changes or a retry is asked.

use orchestra_crds::{EvidenceStatus, Outcome, Request, RolloutPhase};

use super::decision::Decision;
use super::desire::Desire;
use super::memory::{Failure, Latch, Memory};
use super::pass::Pass;
use super::place::Place;
use super::{Turn, keep, reach, requests, rollback};
use crate::conditions::{Note, Overall, note};
use crate::names::RevisionName;
use crate::reason::Reason;
use crate::verdict::all_in_words;

/// Latches the failure; the next turn rolls back. The shell writes the status before the traffic.
pub(super) fn latch(pass: &Pass<'_>, memory: &mut Memory, why: Note) -> Turn {
    if memory.spreads_stable() {
        // Stable does not work in a region that is new to it; elsewhere it serves, must not count as failed, and is kept.
        let kept = keep::elsewhere(pass, memory);
        return Decision::new(RolloutPhase::Pending, Overall::Stalled(why)).with_effects(kept).into();
    }
    let Some(candidate) = memory.candidate.take() else { return Turn::Again };
    memory.promoted.retain(|promoted| promoted.revision != candidate.release.revision);
    memory.latch(Latch {
        release: candidate.release.clone(),
        news: candidate.news.clone(),
        reason: why.reason.clone(),
        message: why.message.clone(),
    });
    memory.failure = Some(Failure {
        release: candidate.release,
        image: candidate.image,
        news: candidate.news,
        generation: pass.seen.generation(),
        reason: why.reason,
        message: why.message,
        started_at: candidate.started_at,
        time: pass.seen.now,
        rolled_back: false,
    });
    Turn::Again
}

/// What a release that the marks know to have failed is told by, where the status does not.
pub(super) const FAILED_BEFORE: (Reason, &str) =
    (Reason::FailedBefore, "the service is marked: this release failed before");

/// A release under way that the marks know to have failed: the status that said so could not be written. None: there is
/// none.
pub(super) fn of_marks(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    let release = memory.candidate.as_ref().map(|candidate| candidate.release.clone())?;
    let marked = |place: &Place<'_>| place.ours().is_some() && place.marks.failed.iter().any(|f| f.release == release);
    let (reason, message) = FAILED_BEFORE;
    pass.places.iter().any(marked).then(|| latch(pass, memory, note(reason, message)))
}

/// Takes a failed release back. None: nothing has failed that is not back.
pub(super) fn take_back(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    let failure = memory.failure.clone().filter(|failure| !failure.rolled_back)?;
    match rollback::of_failure(pass, memory, &failure) {
        Ok(decision) => Some(decision.into()),
        Err(beyond) => {
            note_end(pass, memory, &failure, &beyond);
            Some(Turn::Again)
        }
    }
}

/// Opens what was latched, where a retry is asked for or what failed is not asked for any more. None: no retry is asked.
pub(super) fn release_again(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    // A revision of others that failed is never used again: there is nothing to try once more.
    let may_be_tried = !pass.seen.rollout.spec.traffic_only;
    let means = |latch: &&Latch| requests::means(&pass.seen.rollout, Request::Retry, &latch.release);
    let retried = memory.latches.iter().find(means).filter(|_| may_be_tried);
    if let Some(release) = retried.map(|latch| latch.release.clone()) {
        let by = requests::written_by(&pass.seen.rollout, Request::Retry);
        memory.note_request(Request::Retry, &release.to_string(), by, pass.seen.now);
        memory.latches.retain(|latch| latch.release != release);
        return Some(Turn::Again);
    }
    forget_what_changed(pass, memory);
    None
}

/// The rollback is over: what came of it is what was seen.
fn note_end(pass: &Pass<'_>, memory: &mut Memory, failure: &Failure, beyond: &[String]) {
    if let Some(known) = memory.failure.as_mut() {
        known.rolled_back = true;
    }
    let told_already = failure.reason == Reason::AnalysisFailed;
    let settings = &pass.seen.rollout.spec.analysis;
    let counted: Vec<&EvidenceStatus> =
        memory.regions.values().flat_map(|known| known.evidence_about(&failure.release)).collect();
    let evidence = (!told_already && !counted.is_empty()).then(|| all_in_words(&counted, settings));
    let why = words(failure);
    let outcome = if beyond.is_empty() && memory.stable.is_some() { Outcome::RolledBack } else { Outcome::Failed };
    // A record is cut: what matters most comes first.
    let message = match beyond {
        [] => why,
        stuck => format!("{why}. It can't be taken back in {}", stuck.join(", ")),
    };
    let message = match evidence {
        None => message,
        Some(evidence) => format!("{message}. Counted so far: {evidence}"),
    };
    let times = (failure.started_at, pass.seen.now);
    memory.note_end((&failure.release, failure.image.clone()), outcome, message, times);
}

/// Why it failed, for people.
pub(super) fn words(failure: &Failure) -> String {
    let message = failure.message.trim_end_matches('.');
    format!("`{}` failed ({}): {message}", failure.release.revision, failure.reason)
}

/// A latch goes when what it is about is not asked for any more, neither by the spec nor on stable's template.
fn forget_what_changed(pass: &Pass<'_>, memory: &mut Memory) {
    let spec = Desire {
        own: pass.own.clone(),
        built: pass.built.clone(),
        template: pass.seen.rollout.spec.template.clone(),
        latch: None,
        held: None,
    };
    let present = Desire::of(pass, memory);
    memory.latches.retain(|latch| spec.holds(latch) || present.holds(latch));
    let latched = |failure: &Failure| memory.latches.iter().any(|latch| latch.release == failure.release);
    if memory.failure.as_ref().is_some_and(|failure| !latched(failure)) {
        memory.failure = None;
    }
}

/// Where the requests go that a failed release had, as far as there are services and they can be read.
fn home_words(pass: &Pass<'_>, memory: &Memory, stable: &RevisionName) -> (RolloutPhase, String) {
    let unread: Vec<String> =
        keep::unread_for_long(pass, memory).map(|(place, fault)| reach::unread_words(place.region(), fault)).collect();
    let all = match unread.as_slice() {
        [] => format!("all requests go to `{stable}`"),
        unread => format!("all requests go to `{stable}`, but for what is not known: {}", unread.join(", ")),
    };
    let Some(region) = keep::without_service(pass) else { return (RolloutPhase::RolledBack, all) };
    let none = format!("{region}: there is no service, and `{stable}` can't be made there by itself");
    match pass.waves().any(|place| place.view().is_some()) {
        true => (RolloutPhase::RolledBack, format!("{all} elsewhere. {none}")),
        false => (RolloutPhase::Failed, none),
    }
}

/// What is told while something is latched and nothing else is going on.
pub(super) fn latched(pass: &Pass<'_>, memory: &Memory, latch: &Latch) -> Decision {
    let failed = &latch.release.revision;
    let message = latch.message.trim_end_matches('.');
    let why = format!("`{failed}` failed ({}): {message}", latch.reason);
    let stuck: Vec<String> = pass.waves().filter_map(|p| rollback::beyond(memory, p, failed)).collect();
    let (phase, done) = match &memory.stable {
        _ if !stuck.is_empty() => {
            (RolloutPhase::Failed, format!("`{failed}` can't be taken back in {}", stuck.join(", ")))
        }
        Some(stable) => home_words(pass, memory, &stable.revision),
        None => (RolloutPhase::Failed, "there is no stable revision to go back to".to_string()),
    };
    let what = match &latch.news {
        crate::marks::News::Template(_) => "Change the template",
        crate::marks::News::Inputs(_) => {
            "Change what the environment changed (a secret's version, a default, an address)"
        }
    };
    let waits = match (&latch.news, &memory.stable) {
        (crate::marks::News::Inputs(_), Some(stable)) if stable.template_hash.as_ref() != Some(&pass.own) => {
            format!(" The spec's template ({}) waits for that, too.", pass.seen.rollout.spec.template.image())
        }
        _ => String::new(),
    };
    if pass.seen.rollout.spec.traffic_only {
        let message = format!("{done}. {why}. Deploy another revision: one that failed is never used again");
        return Decision::new(phase, Overall::Stalled(Note::told(&latch.reason, message)));
    }
    let message = format!(
        "{done}. {why}.{waits} {what}, or ask for a retry: kubectl orchestra retry {} -n {}",
        pass.seen.rollout.metadata.name.as_deref().unwrap_or_default(),
        pass.seen.rollout.metadata.namespace.as_deref().unwrap_or_default()
    );
    Decision::new(phase, Overall::Stalled(Note::told(&latch.reason, message)))
}
