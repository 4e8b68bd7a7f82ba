//! The end of a release that went well: its revision is stable from now on, with what its users met.

use orchestra_crds::{AnalysisMode, EvidenceStatus, Fallback, Outcome, Request, RequestRecord};

use super::desire::Desire;
use super::memory::{Candidate, Memory, RegionMemory};
use super::pass::Pass;
use super::steps::Steps;
use super::{Turn, judge};
use crate::names::Region;
use crate::verdict::all_in_words;

/// What its users met, region by region where there are several. None: nothing was judged.
fn judged_words(pass: &Pass<'_>, memory: &Memory, candidate: &Candidate) -> Option<String> {
    let settings = judge::analysis(pass, candidate);
    let of = |known: &RegionMemory| {
        let judged: Vec<&EvidenceStatus> = known.evidence_about(&candidate.release).collect();
        (!judged.is_empty()).then(|| all_in_words(&judged, settings))
    };
    let regions: Vec<(&Region, Option<String>)> =
        pass.waves().filter_map(|place| Some((place.region(), of(memory.regions.get(place.region())?)))).collect();
    match regions.as_slice() {
        [(_, words)] => words.clone(),
        several if several.iter().all(|(_, words)| words.is_none()) => None,
        several => {
            let each =
                several.iter().map(|(region, words)| format!("{region}: {}", words.as_deref().unwrap_or("not judged")));
            Some(each.collect::<Vec<_>>().join("; "))
        }
    }
}

/// Who or what ended its steps where that was no verdict; empty: verdicts did.
fn let_pass(pass: &Pass<'_>, memory: &Memory, candidate: &Candidate) -> String {
    let own = format!("{}/", candidate.release);
    let by_hand = |record: &&RequestRecord| {
        record.request == Request::Promote.name() && record.refused.is_none() && record.target.starts_with(&own)
    };
    let ended = memory.requests.iter().filter(by_hand).count();
    let nothing = |known: &RegionMemory| known.evidence_about(&candidate.release).all(|told| told.candidate.total == 0);
    let settings = judge::analysis(pass, candidate);
    match ended {
        0 if candidate.steps() == Steps::default() || settings.mode == AnalysisMode::Observe => String::new(),
        0 if settings.on_no_data == Fallback::Promote && memory.regions.values().all(nothing) => {
            "; nothing was measured, and analysis.onNoData is Promote".into()
        }
        0 => String::new(),
        1 => "; a person ended one of its steps".into(),
        ended => format!("; a person ended {ended} of its steps"),
    }
}

/// The candidate has everything everywhere: it is stable now.
pub(super) fn promoted(pass: &Pass<'_>, memory: &mut Memory, desire: &Desire, candidate: Candidate) -> Turn {
    let spreads_stable = memory.spreads_stable();
    let message = match judged_words(pass, memory, &candidate) {
        Some(words) if judge::analysis(pass, &candidate).mode == AnalysisMode::Observe => {
            format!("analysis.mode is Observe, which acts on nothing: {words}")
        }
        Some(words) => words,
        None if memory.stable.is_none() => "first revision: nothing to compare with".to_string(),
        None if candidate.steps() == Steps::default() => {
            "without analysis: without steps, or promoted before".to_string()
        }
        None => "without analysis: no minute was judged on its steps".to_string(),
    };
    let message = format!("{message}{}", let_pass(pass, memory, &candidate));
    let revision = candidate.release.revision.clone();
    let template = desire.wants(pass, &candidate).then(|| desire.template.clone()).filter(|t| !t.is_absent());
    if !spreads_stable {
        memory.stable = Some(candidate.as_stable(template));
        memory.note_promoted(&revision, Some(candidate.template_hash.clone()));
        let times = (candidate.started_at, pass.seen.now);
        memory.note_end((&candidate.release, candidate.image.clone()), Outcome::Promoted, message, times);
    }
    memory.candidate = None;
    Turn::Again
}
