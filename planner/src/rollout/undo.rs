//! A person goes back to a revision that was promoted: one write of traffic in each region, all regions at once. It needs no metrics
//! and no ready environment, and waits for nothing. It holds until the template changes, whatever the environment changes, Git
//! syncs or metrics say meanwhile: who went back knows why.
//!
//! The request names the revision and the number of the last release that was seen, so that a late one does nothing. The hold is
//! in the status, and in the marks with the traffic that it speaks of.

use jiff::Timestamp;
use orchestra_crds::{Outcome, Request, Rollout, RolloutPhase, RolloutSpec};
use std::collections::BTreeSet;

use super::decision::Decision;
use super::memory::{Memory, Stable};
use super::pass::Pass;
use super::place::{Ownership, Place};
use super::rollback::written_long_ago;
use super::{Turn, reach, requests, unread};
use crate::cloud::{Readiness, ServiceView};
use crate::marks::{HeldMark, Marks, PromotedMark};
use crate::names::{Percent, ReleaseId, RevisionName};
use crate::plan::{Effect, ServiceChange};
use crate::reason::Reason;
use crate::resource::ROLLBACK_AGAIN;
use crate::traffic::{all_to, same_shares, weight_of};

/// What a person went back to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// The way back counts as a release of its own: its number makes requests late that were meant for what was before.
    pub(super) release: ReleaseId,
    /// The Rollout's template of then: another one ends the hold.
    pub(super) template: crate::names::TemplateHash,
    pub(super) by: Option<String>,
    pub(super) since: Timestamp,
}

impl Held {
    fn mark(&self) -> HeldMark {
        HeldMark { revision: self.release.revision.clone(), template: self.template.clone(), since: self.since }
    }

    /// Whether it was seen to be at its end.
    fn is_recorded(&self, memory: &Memory) -> bool {
        memory.history.iter().any(|record| record.release == self.release.to_string())
    }

    /// What is told while it holds.
    pub(super) fn words(&self, spec: &RolloutSpec) -> String {
        let by = self.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
        let since = self.since.strftime("%Y-%m-%dT%H:%M:%SZ");
        let until = if spec.traffic_only { "another revision is deployed" } else { "the template changes" };
        format!("held at `{}`{by} since {since}, until {until}", self.release.revision)
    }
}

/// A request that was not answered yet, as it is written.
fn unanswered<'r>(rollout: &'r Rollout, memory: &Memory) -> Option<(ReleaseId, &'r str)> {
    let value = requests::value(rollout, Request::Undo)?;
    let is_answered = memory.requests.iter().any(|r| r.request == Request::Undo.name() && r.target == value);
    ReleaseId::parse(value).filter(|_| !is_answered).map(|asked| (asked, value))
}

/// The revision that a request asks to go back to, and the request's value. None: there is none that means what is now.
fn asked(pass: &Pass<'_>, memory: &Memory) -> Option<(RevisionName, String)> {
    let (ReleaseId { revision, number }, value) = unanswered(&pass.seen.rollout, memory)?;
    let is_now = number == memory.last_release() || number.checked_add(1) == Some(pass.next_release(memory));
    (is_now && is_known(pass, memory)).then(|| (revision, value.to_string()))
}

/// Whether a way back is asked for that was not taken yet, or is not at its end: nothing else is urgent then.
pub(super) fn is_under_way(rollout: &Rollout, memory: &Memory) -> bool {
    // With the status lost it is not known which release was the last.
    let may_mean_now = |number: u32| memory.stable.is_none() || number == memory.last_release();
    let is_asked = unanswered(rollout, memory).is_some_and(|(asked, _)| may_mean_now(asked.number));
    is_asked || memory.held.as_ref().is_some_and(|held| !held.is_recorded(memory))
}

/// Whether which revision is which is known.
fn is_known(pass: &Pass<'_>, memory: &Memory) -> bool {
    memory.stable.is_some() && (pass.remembers || pass.unread().next().is_none())
}

/// The revision to read before anything is decided about it.
pub(super) fn revision_to_read(pass: &Pass<'_>, memory: &Memory) -> Option<RevisionName> {
    asked(pass, memory).map(|(revision, _)| revision).or_else(|| Some(memory.held.as_ref()?.release.revision.clone()))
}

/// The versions of secrets that must be there for going back.
pub(super) fn secrets_to_ask(pass: &Pass<'_>, memory: &Memory) -> BTreeSet<crate::cloud::SecretVersionId> {
    let Some((revision, _)) = asked(pass, memory) else { return BTreeSet::new() };
    let read = pass.places.iter().filter_map(|place| place.revision(&revision)).flat_map(|read| read.secrets.clone());
    read.filter(|id| !pass.seen.secrets.contains_key(id)).collect()
}

/// Goes back, or holds what was gone back to until it is there everywhere. None: nothing is to be done about it.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    let is_other = |held: &Held| held.template != pass.own && unread::told(pass.seen).is_none();
    if memory.held.as_ref().is_some_and(is_other) {
        memory.held = None;
        return Some(Turn::Again);
    }
    if let Some((revision, value)) = asked(pass, memory) {
        let by = requests::written_by(&pass.seen.rollout, Request::Undo);
        match refusal(pass, memory, &revision) {
            Some(why) => memory.refuse_request(Request::Undo, &value, (by, why), pass.seen.now),
            None => {
                memory.note_request(Request::Undo, &value, by.clone(), pass.seen.now);
                go_back(pass, memory, revision, by);
            }
        }
        return Some(Turn::Again);
    }
    let held = memory.held.clone()?;
    if held.is_recorded(memory) { None } else { bring(pass, memory, &held) }
}

/// Why a revision can't be gone back to. None: it can.
fn refusal(pass: &Pass<'_>, memory: &Memory, revision: &RevisionName) -> Option<String> {
    let kept = memory.promoted.iter().any(|promoted| promoted.revision == *revision);
    if !kept && !memory.is_stable(revision) {
        let kept: Vec<String> = memory.promoted.iter().map(|promoted| format!("`{}`", promoted.revision)).collect();
        return Some(format!("`{revision}` is none of the last promoted revisions ({})", kept.join(", ")));
    }
    let is_elsewhere = |place: &Place<'_>| place.view().is_some() && place.ours().is_none();
    if pass.waves().all(is_elsewhere) {
        return Some("no region has a service of this Rollout".into());
    }
    for place in pass.waves().filter(|place| place.ours().is_some()) {
        let region = place.region();
        if place.seen.lacks(revision) {
            return Some(format!("{region}: `{revision}` is not there any more"));
        }
        if let Some(Readiness::Failed(trouble)) = place.revision(revision).map(|read| &read.readiness)
            && !place.uses(revision)
        {
            return Some(format!("{region}: `{revision}` can't serve ({}): {}", trouble.reason, trouble.message));
        }
        for id in place.revision(revision).iter().flat_map(|read| &read.secrets) {
            if let Some(Ok(None)) = pass.seen.secrets.get(id) {
                return Some(format!(
                    "`{revision}` reads version {} of secret `{}`, which is disabled or gone: no instance of it could start",
                    id.version, id.secret
                ));
            }
        }
    }
    None
}

/// From now on that revision is stable, and nothing is under way.
fn go_back(pass: &Pass<'_>, memory: &mut Memory, revision: RevisionName, by: Option<String>) {
    let release = ReleaseId { revision: revision.clone(), number: pass.next_release(memory) };
    let held = Held { release, template: pass.own.clone(), by, since: pass.seen.now };
    if let Some(candidate) = memory.candidate.take() {
        let times = (candidate.started_at, pass.seen.now);
        let message = format!("a person went back to `{revision}`");
        memory.note_end((&candidate.release, candidate.image), Outcome::Superseded, message, times);
    }
    let known = memory.promoted.iter().find(|promoted| promoted.revision == revision);
    let template_hash = known.and_then(|promoted| promoted.template.clone());
    if !memory.is_stable(&revision) {
        memory.stable = Some(Stable {
            image: pass.image_of(&pass.places, &revision).or_else(|| image_in(memory, &revision)),
            template_hash: template_hash.clone(),
            inputs: BTreeSet::new(),
            template: None,
            missing_secrets: BTreeSet::new(),
            revision: revision.clone(),
        });
    }
    memory.note_promoted(&revision, template_hash);
    memory.held = Some(held);
    // What has failed and is not on record yet is told by what was counted of it.
    let failing =
        memory.failure.as_ref().filter(|failure| !failure.rolled_back).map(|failure| failure.release.to_string());
    for known in memory.regions.values_mut() {
        known.evidence.retain(|evidence| failing.as_ref() == Some(&evidence.release));
        known.fast = known.fast.take().filter(|fast| failing.as_ref() == Some(&fast.release));
        known.step = None;
    }
}

/// The image that a revision had when it was released.
fn image_in(memory: &Memory, revision: &RevisionName) -> Option<String> {
    memory.history.iter().find(|record| record.revision == revision.as_str()).map(|record| record.image.clone())
}

/// The traffic of every region goes there; once that is seen, it is on record. None: it is.
fn bring(pass: &Pass<'_>, memory: &mut Memory, held: &Held) -> Option<Turn> {
    let revision = &held.release.revision;
    let (mut effects, mut remaining) = (vec![], vec![]);
    for place in pass.waves() {
        if let Err(fault) = &place.seen.service {
            remaining.push(reach::unread_words(place.region(), fault));
        }
        let Some(view) = place.ours().filter(|_| !place.seen.lacks(revision)) else { continue };
        let is_there = weight_of(revision, &view.serving) == Percent::ALL;
        effects.extend(write(pass, memory, place, view));
        if !is_there || !is_marked(memory, place) {
            remaining.push(place.region().to_string());
        }
    }
    let by = held.by.as_deref().map(|by| format!(" ({by})")).unwrap_or_default();
    if remaining.is_empty() && pass.waves().all(|place| place.ours().is_none()) {
        // There is nothing left that it could hold.
        memory.held = None;
        return Some(Turn::Again);
    }
    if remaining.is_empty() {
        let image = memory.stable.as_ref().and_then(|stable| stable.image.clone()).unwrap_or_default();
        let message = format!("a person{by} went back to it");
        memory.note_end((&held.release, image), Outcome::Returned, message, (held.since, pass.seen.now));
        return Some(Turn::Again);
    }
    let message = format!("back to `{revision}`, as a person{by} asked; not done in {}", remaining.join(", "));
    let decision = Decision::working(RolloutPhase::RollingBack, Reason::RollingBack, message);
    Some(decision.with_effects(effects).urgent(ROLLBACK_AGAIN).into())
}

/// The write that a region still needs.
fn write(pass: &Pass<'_>, memory: &Memory, place: &Place<'_>, view: &ServiceView) -> Option<Effect> {
    let home = &memory.held.as_ref()?.release.revision;
    let traffic = all_to(home, &view.traffic);
    let moves = !same_shares(&traffic, &view.traffic);
    let overdue = weight_of(home, &view.serving) != Percent::ALL && written_long_ago(view, pass.seen.now);
    (moves || overdue || !is_marked(memory, place)).then(|| {
        let marks = Some(marks(place, place.owned_marks(pass.seen, memory), memory));
        let change = ServiceChange { traffic: Some(traffic), marks, ..ServiceChange::default() };
        Effect::UpdateService { service: place.seen.id.clone(), etag: view.etag.clone(), change: Box::new(change) }
    })
}

/// The marks of a service whose traffic goes back.
fn marks(place: &Place<'_>, marks: Marks, memory: &Memory) -> Marks {
    let Some(held) = &memory.held else { return marks };
    let promoted: Vec<PromotedMark> = memory.promoted.clone();
    Marks {
        stable: Some(held.release.revision.clone()),
        candidate: None,
        last_release: place.marks.last_release.max(held.release.number),
        promoted,
        ..marks
    }
}

fn is_marked(memory: &Memory, place: &Place<'_>) -> bool {
    let held = memory.held.as_ref().map(Held::mark);
    let stable = held.as_ref().map(|held| &held.revision);
    place.marks.held == held
        && place.marks.stable.as_ref() == stable
        && place.marks.candidate.is_none()
        && place.ownership == Ownership::Ours
}

/// What the marks of a service tell of a hold.
pub(super) fn mark(memory: &Memory) -> Option<HeldMark> {
    memory.held.as_ref().map(Held::mark)
}

/// What the marks know of a hold that the status does not.
pub(super) fn of_marks(marks: &Marks) -> Option<Held> {
    let mark = marks.held.as_ref().filter(|mark| marks.stable.as_ref() == Some(&mark.revision))?;
    let release = ReleaseId { revision: mark.revision.clone(), number: marks.last_release };
    Some(Held { release, template: mark.template.clone(), by: None, since: mark.since })
}
