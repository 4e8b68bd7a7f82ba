//! Back to stable: one write in each region, all regions at once. It needs no metrics and no steps, and it waits for
//! nothing that it does not use.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::RolloutPhase;

use super::deadline;
use super::decision::Decision;
use super::failure::words;
use super::memory::{Failure, Memory};
use super::pass::Pass;
use super::place::{Ownership, Place};
use super::reach;
use crate::cloud::{FaultClass, ServiceView, TrafficTarget};
use crate::marks::News;
use crate::names::{Percent, ReleaseId, RevisionName};
use crate::plan::{Effect, ServiceChange};
use crate::reason::Reason;
use crate::resource::ROLLBACK_AGAIN;
use crate::traffic::{all_to, same_shares, weight_of};

/// How long a traffic write may take before it is written again; usually it takes seconds.
const TAKES_EFFECT_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// What is taken out of the traffic.
pub(super) struct Withdrawn<'a> {
    pub(super) release: &'a ReleaseId,
    /// It failed: what was new in it is marked in the same write.
    pub(super) failed: Option<&'a News>,
}

/// How far taking a revision out of the traffic is.
#[derive(Default)]
pub(super) struct Withdrawal {
    pub(super) effects: Vec<Effect>,
    /// Regions that still send requests to it, or that it came to and that can't be read.
    pub(super) remaining: Vec<String>,
    /// Regions that send requests to it where nothing can be done about that, and why.
    pub(super) beyond: Vec<String>,
}

/// Takes a failed release back.
///
/// # Errors
/// When nothing is left to do: the regions where it has requests all the same, and why.
pub(super) fn of_failure(pass: &Pass<'_>, memory: &Memory, failure: &Failure) -> Result<Decision, Vec<String>> {
    let withdrawn = Withdrawn { release: &failure.release, failed: Some(&failure.news) };
    let back = withdraw(pass, memory, &withdrawn);
    if back.remaining.is_empty() {
        return Err(back.beyond);
    }
    let message = format!("back to stable, not done in {}. {}", back.remaining.join(", "), words(failure));
    let decision = match deadline::is_over(pass, failure.time) {
        false => Decision::working(RolloutPhase::RollingBack, Reason::RollingBack, message),
        true => Decision::stalled(RolloutPhase::RollingBack, Reason::RollbackBlocked, format!("{message}. It goes on")),
    };
    Ok(decision.with_effects(back.effects).urgent(ROLLBACK_AGAIN))
}

/// Whether what is in the way needs a person: a region where the release may be that Google doesn't let us read, or not
/// for long.
pub(super) fn is_blocked(pass: &Pass<'_>, memory: &Memory, release: &ReleaseId) -> bool {
    pass.unread().filter(|(place, _)| reach::may_be_in(memory, place.region(), release)).any(|(place, fault)| {
        let since = memory.region(place.region()).unreadable_since.unwrap_or(pass.seen.now);
        matches!(fault.class, FaultClass::Denied | FaultClass::Permanent) || deadline::is_over(pass, since)
    })
}

/// Takes a revision out of the traffic of every region where there is a stable one, those that leave among them.
pub(super) fn withdraw(pass: &Pass<'_>, memory: &Memory, withdrawn: &Withdrawn<'_>) -> Withdrawal {
    let mut back = Withdrawal::default();
    for place in &pass.places {
        // Where it never came, there is nothing to take back.
        if let Err(fault) = &place.seen.service
            && reach::may_be_in(memory, place.region(), withdrawn.release)
        {
            back.remaining.push(reach::unread_words(place.region(), fault));
        }
        back.beyond.extend(beyond(memory, place, &withdrawn.release.revision));
        let Some(view) = place.ours() else { continue };
        let (effect, remains) = from_place(pass, memory, place, view, withdrawn);
        back.effects.extend(effect);
        if remains {
            back.remaining.push(place.region().to_string());
        }
    }
    back
}

/// Why a revision that has requests in a region can't be taken out of it.
pub(super) fn beyond(memory: &Memory, place: &Place<'_>, revision: &RevisionName) -> Option<String> {
    let home = place.stable(memory).filter(|home| home != revision);
    let why = match (place.uses(revision), place.ownership, home) {
        (true, Ownership::Foreign | Ownership::Adoptable, _) => "the service is not ours",
        (true, _, None) => "there is no revision to go back to",
        _ => return None,
    };
    Some(format!("{} ({why})", place.region()))
}

/// The write that takes it out of one region, and whether that is still to be seen.
fn from_place(
    pass: &Pass<'_>,
    memory: &Memory,
    place: &Place<'_>,
    view: &ServiceView,
    withdrawn: &Withdrawn<'_>,
) -> (Option<Effect>, bool) {
    let revision = &withdrawn.release.revision;
    let stable = place.stable(memory).filter(|stable| stable != revision);
    let traffic = stable.map(|stable| all_to(&stable, &view.traffic));
    let asked = traffic.as_ref().is_some_and(|to| !same_shares(to, &view.traffic));
    let serves = traffic.is_some() && weight_of(revision, &view.serving) > Percent::NONE;
    // One service may go, with its marks: each tells of what failed. Only those that it was meant for are waited for.
    let unaware = withdrawn.failed.is_some() && !view.marks.has_failed(revision);
    let unmarked = unaware && touched(place, view, revision);
    let has_traffic = asked && (serves || weight_of(revision, &view.traffic) > Percent::NONE);
    let overdue = serves && !asked && written_long_ago(view, pass.seen.now);
    let stripped = place.ownership == Ownership::Stripped;
    let moves = has_traffic || unmarked || overdue || stripped;
    let effect = (moves || unaware)
        .then(|| effect(pass, memory, place, view, withdrawn, traffic.filter(|_| has_traffic || unmarked || overdue)));
    (effect, has_traffic || serves || unmarked || stripped)
}

/// A write that Cloud Run accepted may still fail, or never take effect: it is then written again.
pub(super) fn written_long_ago(view: &ServiceView, now: Timestamp) -> bool {
    view.written_at.is_none_or(|at| now.duration_since(at) >= TAKES_EFFECT_WITHIN)
}

/// Whether a revision was ever meant for this service.
fn touched(place: &Place<'_>, view: &ServiceView, revision: &RevisionName) -> bool {
    place.marks.candidate_named(revision).is_some()
        || view.template_revision.as_ref() == Some(revision)
        || weight_of(revision, &view.traffic) > Percent::NONE
}

fn effect(
    pass: &Pass<'_>,
    memory: &Memory,
    place: &Place<'_>,
    view: &ServiceView,
    withdrawn: &Withdrawn<'_>,
    traffic: Option<Vec<TrafficTarget>>,
) -> Effect {
    let mut marks = place.owned_marks(pass.seen, memory);
    if let Some(news) = withdrawn.failed {
        marks = marks.with_failed(withdrawn.release, news);
        // What failed is nothing to go back to.
        marks.promoted.retain(|promoted| promoted.revision != withdrawn.release.revision);
    }
    marks.last_release = marks.last_release.max(withdrawn.release.number);
    marks.candidate = marks.candidate.filter(|c| c.release.revision != withdrawn.release.revision);
    let change = ServiceChange { traffic, marks: Some(marks), ..ServiceChange::default() };
    let (service, etag) = (place.seen.id.clone(), view.etag.clone());
    Effect::UpdateService { service, etag, change: Box::new(change) }
}
