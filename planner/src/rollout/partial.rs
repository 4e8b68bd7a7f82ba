//! The status is lost, and a region can't be read: which revision is stable everywhere can't be told, and nothing goes
//! forward. What the marks of a region say of that region is enough for the way back there.

use orchestra_crds::{Request, RolloutPhase};

use super::decision::Decision;
use super::desire::Desire;
use super::memory::{Candidate, Memory};
use super::pass::Pass;
use super::place::Place;
use super::rollback::{Withdrawn, withdraw};
use super::{Turn, judge, reach, requests, unread};
use crate::cloud::Fault;
use crate::marks::Position;
use crate::names::Percent;
use crate::reason::Reason;
use crate::resource::ROLLBACK_AGAIN;
use crate::traffic::weight_of;

/// Takes back what a person, or the spec, does not want any more; else waits. None: enough is known for all else.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    if pass.remembers || memory.failure.is_some() {
        return None;
    }
    let (unread, fault) = pass.unread().next()?;
    let mut under_way = None;
    let trials: Vec<Memory> = pass.places.iter().filter_map(|place| on_trial(pass, place)).collect();
    for mut known in trials {
        let Some(candidate) = known.candidate.clone() else { continue };
        if requests::means(&pass.seen.rollout, Request::Abort, &candidate.release) {
            let aborted = judge::aborted(pass, &mut known, &candidate);
            *memory = Memory { regions: memory.regions.clone(), ..known };
            return aborted;
        }
        under_way.get_or_insert(candidate.release.clone());
        if let Some(decision) = superseded(pass, &known, &candidate, (unread, fault)) {
            return Some(decision.into());
        }
    }
    let what = format!("the service in {}", unread.region());
    let mut decision = Decision::unreadable(RolloutPhase::Pending, &what, fault);
    if let Some(release) = under_way {
        let words = format!("to take `{release}` back elsewhere, annotate {}={release}", Request::Abort.key());
        decision.overall = decision.overall.followed_by(&words);
    }
    Some(decision.into())
}

/// What the marks of one region tell of a release that has a share of the requests there, and not all.
fn on_trial(pass: &Pass<'_>, place: &Place<'_>) -> Option<Memory> {
    let (view, mark) = (place.ours()?, place.marks.candidate.as_ref()?);
    let has_traffic = weight_of(&mark.release.revision, &view.traffic) > Percent::NONE;
    let is_under_way = matches!(mark.position, Position::At(_));
    (has_traffic && is_under_way).then(|| pass.by_marks_of(place))
}

/// The write that takes out a candidate which the spec does not ask for. What the status knew is still lost after it.
fn superseded(
    pass: &Pass<'_>,
    known: &Memory,
    candidate: &Candidate,
    (unread, fault): (&Place<'_>, &Fault),
) -> Option<Decision> {
    let desire = Desire::of(pass, known);
    let held = pass.paused(Some(&candidate.release)).is_some() && !desire.goes_back(pass, known);
    // Of a template that can't be read in full it is not known whether it is another.
    let is_read = unread::told(pass.seen).is_none();
    if !is_read || desire.wants(pass, candidate) || held || known.spreads_stable() {
        return None;
    }
    let back = withdraw(pass, known, &Withdrawn { release: &candidate.release, failed: None });
    let message = format!(
        "`{}` is superseded; its traffic goes back to stable where it can be read; not known: {}",
        candidate.release.revision,
        reach::unread_words(unread.region(), fault)
    );
    let decision = Decision::working(RolloutPhase::RollingBack, Reason::Superseding, message);
    (!back.effects.is_empty()).then(|| decision.with_effects(back.effects).urgent(ROLLBACK_AGAIN))
}
