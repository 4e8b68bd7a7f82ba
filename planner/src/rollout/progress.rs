//! How far a candidate is in one region, and the writes that take it on.

use jiff::Timestamp;

use super::desire::Desire;
use super::memory::{Candidate, Memory};
use super::pass::Pass;
use super::place::Place;
use super::steps::{Move, Steps, strategy_hash};
use crate::cloud::{Fault, FaultClass, Readiness, ServiceView, TrafficTarget, Trouble};
use crate::marks::{CandidateMark, Marks, Position};
use crate::names::{Percent, RevisionName};
use crate::plan::{Effect, ServiceChange};
use crate::resource::ResourceId;
use crate::traffic;

/// Most characters of a tag and a service's name together, by Cloud Run.
const TAG_AND_NAME: usize = 46;

/// How far a candidate is in one region.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Progress {
    /// Not known.
    Unreadable(Fault),
    /// The service is another's.
    Foreign,
    /// There is no service.
    Missing,
    /// The service speaks of a stable revision that was not found: nothing may move until it is.
    StableMissing,
    /// There is no such revision, and none on its way.
    NotDeployed,
    /// It is being made, since then.
    Starting(Timestamp),
    /// It can't serve.
    Broken(Trouble),
    /// It can serve, and has no traffic; the first step moves some.
    Ready,
    /// Its traffic is not yet as it was written, then.
    Moving(Timestamp),
    /// Somebody else changed the traffic.
    Drifted(Position),
    /// A step is in effect.
    On(Standing),
    /// It has all traffic.
    Done,
}

impl Progress {
    /// The weight that is in effect while a step is; none: no step is, or it is before the first weight.
    pub(super) fn weight(&self) -> Option<InEffect> {
        match self {
            Self::On(Standing { weight, .. }) => *weight,
            _ => None,
        }
    }
}

/// A step that is in effect.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Standing {
    /// Its number, counted from 1.
    pub(super) step: u32,
    /// Since when.
    pub(super) since: Timestamp,
    /// The weight that is in effect; none: the candidate has no traffic yet.
    pub(super) weight: Option<InEffect>,
}

/// A weight that is in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InEffect {
    /// The step that it is of, counted from 1.
    pub(super) step: u32,
    /// When it was written.
    pub(super) written_at: Timestamp,
    /// Since when it has been in effect.
    pub(super) since: Timestamp,
}

/// A candidate, as far as one region is concerned.
#[derive(Clone, Copy)]
pub(super) struct Placement<'p, 'a> {
    pub(super) pass: &'p Pass<'a>,
    pub(super) memory: &'p Memory,
    pub(super) place: &'p Place<'a>,
    pub(super) candidate: &'p Candidate,
}

impl Placement<'_, '_> {
    fn revision(&self) -> &RevisionName {
        &self.candidate.release.revision
    }

    fn steps(&self) -> Steps {
        self.candidate.steps()
    }

    /// The mark of this very release. One of an earlier release of the same revision tells how far that one was; only that
    /// it got everything still holds.
    fn mark(&self) -> Option<&CandidateMark> {
        let mark = self.place.marks.candidate_named(self.revision())?;
        (mark.may_be_of(&self.candidate.release) || mark.position == Position::Full).then_some(mark)
    }

    pub(super) fn progress(&self) -> Progress {
        let view = match &self.place.seen.service {
            Err(fault) => return Progress::Unreadable(fault.clone()),
            Ok(None) => return Progress::Missing,
            Ok(Some(view)) => view,
        };
        if self.place.is_others() {
            return Progress::Foreign;
        }
        let mark = self.mark();
        let since = mark.map_or(self.candidate.started_at, |mark| mark.at);
        let stable_vanished = self.stable_vanished(view);
        match self.place.seen.revisions.get(self.revision()) {
            None | Some(Ok(None)) if view.template_revision.as_ref() == Some(self.revision()) => {
                return Progress::Starting(since);
            }
            None | Some(Ok(None)) if stable_vanished => return Progress::StableMissing,
            None | Some(Ok(None)) => return Progress::NotDeployed,
            Some(Err(fault)) => return Progress::Unreadable(fault.clone()),
            Some(Ok(Some(revision))) => match &revision.readiness {
                Readiness::Pending => return Progress::Starting(self.starting_since(since)),
                Readiness::Failed(trouble) => return Progress::Broken(trouble.clone()),
                Readiness::Ready => {}
            },
        }
        if stable_vanished {
            return Progress::StableMissing;
        }
        match mark {
            Some(mark) => self.marked_progress(view, mark),
            None => Progress::Ready,
        }
    }

    /// Since when it starts: one that has had traffic was ready before, and starts again.
    fn starting_since(&self, written: Timestamp) -> Timestamp {
        match self.mark().map(|mark| mark.position) {
            Some(Position::At(_) | Position::Full) => {
                self.memory.region(self.place.region()).waiting_since.unwrap_or(self.pass.seen.now)
            }
            Some(Position::Deployed) | None => written,
        }
    }

    fn marked_progress(&self, view: &ServiceView, mark: &CandidateMark) -> Progress {
        // A write of somebody else makes the service move again: the deadline is not about the step then.
        let moving_since = view.written_at.map_or(mark.at, |written| written.max(mark.at));
        let stable = self.stable();
        let expected = self.shares(stable.as_ref(), self.share_of(mark), &view.traffic);
        if !traffic::same_shares(&expected, &view.traffic) {
            // Where another served until stable came, nobody has moved anything.
            let comes_home = mark.position == Position::Deployed && stable.as_ref() == Some(self.revision());
            return match view.settled {
                true if comes_home => Progress::Ready,
                true => Progress::Drifted(mark.position),
                false => Progress::Moving(moving_since),
            };
        }
        if !view.settled || !traffic::same_shares(&expected, &view.serving) {
            return Progress::Moving(moving_since);
        }
        match mark.position {
            Position::Full => Progress::Done,
            Position::Deployed if stable.is_none() => Progress::Done,
            Position::Deployed => self.before_traffic(view, mark),
            Position::At(number) => Progress::On(self.standing(view, mark, number)),
        }
    }

    /// The share that a mark is about: by the steps, or as it was written, where those are lost.
    fn share_of(&self, mark: &CandidateMark) -> Percent {
        let share = self.steps().share_at(mark.position);
        share.or(mark.weight).unwrap_or(Percent::NONE)
    }

    /// Deployed, with steps before the first that moves traffic, or none.
    fn before_traffic(&self, view: &ServiceView, mark: &CandidateMark) -> Progress {
        match self.steps().after(0) {
            // Whoever is to look at it meanwhile needs its address.
            // What has begun goes on without.
            Move::Begin(first)
                if self.remembered_step(mark, 0, first).is_none()
                    && self.may_have_address()
                    && !traffic::is_addressed(&view.traffic) =>
            {
                Progress::Ready
            }
            Move::Begin(first) => {
                let (step, since) =
                    self.remembered_step(mark, 0, first).unwrap_or((first, mark.at.max(self.pass.seen.now)));
                Progress::On(Standing { step, since, weight: None })
            }
            Move::Traffic(_) => Progress::Ready,
        }
    }

    fn standing(&self, view: &ServiceView, mark: &CandidateMark, number: u32) -> Standing {
        let since = self.in_effect_since(view, mark, number);
        let weight = Some(InEffect { step: number, written_at: mark.at, since });
        match self.remembered_step(mark, number, number + 1) {
            Some((step, since)) => Standing { step, since, weight },
            None => Standing { step: number, since, weight },
        }
    }

    /// The remembered step, if it is one of those that follow a position without moving traffic. Where the position was
    /// written again since, it holds anew.
    fn remembered_step(&self, mark: &CandidateMark, position: u32, first: u32) -> Option<(u32, Timestamp)> {
        let known = self.memory.region(self.place.region()).step?;
        let fits = known.release == self.candidate.release
            && known.number >= first
            && self.steps().are_still(position, known.number)
            && known.started_at.as_second() >= mark.at.as_second()
            && known.started_at <= self.pass.seen.now;
        fits.then_some((known.number, known.started_at))
    }

    /// Whether stable has traffic here and yet was not found. One stale read must not count as having no stable revision:
    /// the candidate would get everything.
    fn stable_vanished(&self, view: &ServiceView) -> bool {
        let stable = self.memory.stable.as_ref().map(|stable| &stable.revision);
        stable.filter(|stable| *stable != self.revision() && self.place.seen.lacks(stable)).is_some_and(|stable| {
            let has_traffic = |targets| traffic::weight_of(stable, targets) > Percent::NONE;
            has_traffic(&view.traffic) || has_traffic(&view.serving)
        })
    }

    /// Since when a weight has been in effect: as first seen, or as Cloud Run's own clock tells.
    fn in_effect_since(&self, view: &ServiceView, mark: &CandidateMark, number: u32) -> Timestamp {
        let known = self.memory.region(self.place.region()).step;
        let recorded = known.filter(|step| step.release == self.candidate.release && step.number == number);
        // What was recorded before it was written again is about another time.
        let since_written = recorded.map(|step| step.started_at).filter(|at| at.as_second() >= mark.at.as_second());
        since_written.unwrap_or_else(|| view.settled_at.map_or(mark.at, |settled| settled.max(mark.at)))
    }

    /// The revision that this region can go back to.
    pub(super) fn stable(&self) -> Option<RevisionName> {
        self.place.stable(self.memory)
    }

    fn shares(&self, stable: Option<&RevisionName>, share: Percent, before: &[TrafficTarget]) -> Vec<TrafficTarget> {
        match stable {
            Some(stable) if stable != self.revision() => traffic::split(stable, self.revision(), share, before),
            _ => traffic::all_to(self.revision(), before),
        }
    }

    /// The marks of the candidate at a position.
    pub(super) fn marks(&self, position: Position) -> Marks {
        let course = self.candidate.course.as_ref();
        let before = &self.place.marks;
        let candidate = CandidateMark {
            release: self.candidate.release.clone(),
            position,
            weight: self.steps().share_at(position).or_else(|| before.candidate.as_ref().and_then(|mark| mark.weight)),
            at: self.pass.seen.now,
            strategy: course.map(|course| strategy_hash(&course.steps, &course.analysis)),
            template: Some(self.candidate.template_hash.clone()),
            news: Some(self.candidate.news.clone()),
        };
        Marks {
            owner: Some(self.place.owner(self.pass.seen)),
            stable: self.memory.stable.as_ref().map(|stable| stable.revision.clone()),
            candidate: Some(candidate),
            last_release: before.last_release.max(self.candidate.release.number),
            failed: before.failed.clone(),
            promoted: self.memory.promoted.clone(),
            regions: course.map(|course| course.regions.clone()).unwrap_or_default(),
            held: super::undo::mark(self.memory),
            adopted: before.adopted,
            unknown: None,
            others: before.others.clone(),
        }
        .knowing(self.memory.failures())
    }

    /// The write that puts the candidate at a position: traffic and marks together.
    pub(super) fn put_at(&self, view: &ServiceView, position: Position) -> Effect {
        let marks = self.marks(position);
        let share = marks.candidate.as_ref().map_or(Percent::NONE, |mark| self.share_of(mark));
        let stable = self.stable();
        let shares = self.shares(stable.as_ref(), share, &view.traffic);
        let is_beside = stable.is_some_and(|stable| stable != *self.revision()) && share < Percent::ALL;
        let traffic =
            if is_beside && self.may_have_address() { traffic::with_address(self.revision(), shares) } else { shares };
        let change = ServiceChange { traffic: Some(traffic), marks: Some(marks), ..ServiceChange::default() };
        Effect::UpdateService { service: self.place.seen.id.clone(), etag: view.etag.clone(), change: Box::new(change) }
    }

    /// Cloud Run takes so many characters of a tag and the service's name together; and what others have named may bear a tag
    /// of theirs.
    fn may_have_address(&self) -> bool {
        let fits = self.place.seen.id.name.as_str().len() + traffic::CANDIDATE.len() <= TAG_AND_NAME;
        let failed = self.pass.seen.failed_writes.get(&ResourceId::Service(self.place.seen.id.clone()));
        // What Google refuses for good may be the tag: the release goes on without.
        let is_refused = failed.is_some_and(|w| matches!(w.fault.class, FaultClass::Denied | FaultClass::Permanent));
        let is_ours =
            self.revision().is_made_for(&self.place.seen.id.name) && !self.pass.seen.rollout.spec.traffic_only;
        fits && is_ours && !is_refused
    }

    /// Whether the candidate is still what should run, and so may be made here.
    pub(super) fn template<'d>(&self, desire: &'d Desire) -> Option<&'d crate::template::EffectiveTemplate> {
        let wanted = desire.built.as_ref().ok()?;
        self.pass.is_of(self.revision(), wanted).then_some(&wanted.template)
    }
}
