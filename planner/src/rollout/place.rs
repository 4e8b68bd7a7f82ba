//! A Rollout's service in one region, and whose it is.

use orchestra_crds::{ADOPT_UID, Outcome, StepKind};

use super::memory::{Candidate, Memory, RegionMemory};
use super::pass::Pass;
use super::{Observation, RegionView};
use crate::cloud::{Readiness, RevisionView, ServiceView, TrafficTarget};
use crate::marks::{CandidateMark, FailedMark, Marks, Owner, Position};
use crate::names::{Percent, Region, ReleaseId, RevisionName};
use crate::traffic::{revisions, weight_of};

/// Whose a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// This very object's.
    Ours,
    /// This very object's, by the status: somebody took its marks off.
    Stripped,
    /// Let go by an object of the same name, or another's mark that an annotation names by its UID.
    Released,
    /// Nobody's, and the spec names it for adoption.
    Adoptable,
    /// Another's, or nobody's.
    Foreign,
}

impl Ownership {
    fn of(seen: &Observation, known: &RegionMemory, view: &ServiceView) -> Self {
        let is_it = |uid: &Option<String>| uid.is_some() && *uid == view.uid;
        match &view.marks.owner {
            Some(owner) if owner.name == seen.full_name() && owner.uid.as_deref() == Some(seen.uid()) => Self::Ours,
            Some(owner) if owner.name == seen.full_name() && owner.uid.is_none() => Self::Released,
            Some(owner) if inherits(seen, owner) || is_left(seen, owner) => Self::Released,
            Some(_) => Self::Foreign,
            None if is_it(&known.service_uid) => Self::Stripped,
            // Whose marks are gone for a moment, it stays.
            None if is_it(&known.others_service_uid) => Self::Foreign,
            None if seen.rollout.spec.adopt.is_some() => Self::Adoptable,
            None => Self::Foreign,
        }
    }
}

fn namespace(name: &str) -> Option<&str> {
    name.split_once('/').map(|(namespace, _)| namespace)
}

/// Whether a Rollout of another name has let go of it, and the spec names it for adoption.
fn is_left(seen: &Observation, owner: &Owner) -> bool {
    owner.uid.is_none() && seen.rollout.spec.adopt.is_some()
}

/// Whether a mark is that of a lost cluster, or of this Rollout's name of before: it is of the same namespace, and an annotation
/// names its UID.
fn inherits(seen: &Observation, owner: &Owner) -> bool {
    let named = seen.rollout.metadata.annotations.as_ref().and_then(|all| all.get(ADOPT_UID));
    named.is_some() && named == owner.uid.as_ref() && namespace(&owner.name) == namespace(&seen.full_name())
}

/// A Rollout's service in one region.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub(super) seen: &'a RegionView,
    pub(super) ownership: Ownership,
    /// The marks, or where they were stripped, what they must have been.
    pub(super) marks: Marks,
    /// The region is none of the environment's any more.
    pub(super) leaves: bool,
}

impl<'a> Place<'a> {
    pub(super) fn new(seen: &Observation, region: &'a RegionView, memory: &Memory) -> Self {
        let known = memory.region(&region.id.region);
        let view = region.view();
        let ownership = view.map_or(Ownership::Foreign, |view| Ownership::of(seen, &known, view));
        let marks = view.map(|view| view.marks.clone()).unwrap_or_default();
        let spec = seen.environment.as_ref().map(|e| e.spec.regions.as_slice()).unwrap_or_default();
        let known_regions = seen.environment.is_some() && seen.environment_unread.is_empty();
        let leaves = known_regions && !spec.iter().any(|r| r == region.id.region.as_str());
        let mut place = Self { seen: region, ownership, marks, leaves };
        if let (Ownership::Stripped, Some(view)) = (ownership, view) {
            place.marks = rebuilt(seen, memory, &place.seen.id.region, view);
        }
        place
    }

    pub(super) fn region(&self) -> &'a Region {
        &self.seen.id.region
    }

    pub(super) fn view(&self) -> Option<&'a ServiceView> {
        self.seen.view()
    }

    /// The service, if it may be written.
    pub(super) fn ours(&self) -> Option<&'a ServiceView> {
        self.view().filter(|_| !self.is_others())
    }

    /// Whether the service is not ours, or not yet.
    pub(super) fn is_others(&self) -> bool {
        matches!(self.ownership, Ownership::Foreign | Ownership::Adoptable)
    }

    /// A revision as it was read here; none: it was not, or there is none.
    pub(super) fn revision(&self, name: &RevisionName) -> Option<&'a RevisionView> {
        self.seen.revisions.get(name).and_then(|read| read.as_ref().ok()?.as_ref())
    }

    /// Whether a revision has a share here, as asked for or in effect.
    pub(super) fn uses(&self, revision: &RevisionName) -> bool {
        self.view().is_some_and(|view| {
            weight_of(revision, &view.traffic) > Percent::NONE || weight_of(revision, &view.serving) > Percent::NONE
        })
    }

    /// The revision to go back to here: the stable one, where it serves or may. Where it does not, the one that most
    /// requests go to, unless it is on trial or has failed; or else the newest that was promoted before and is ready.
    pub(super) fn stable(&self, memory: &Memory) -> Option<RevisionName> {
        self.global_stable(memory).or_else(|| self.local_stable(memory))
    }

    /// Stable, where it serves, or is there and may: a revision that can't serve and serves nobody is none. One that is
    /// asked for is there, whatever a read of it says.
    pub(super) fn global_stable(&self, memory: &Memory) -> Option<RevisionName> {
        let stable = &memory.stable.as_ref()?.revision;
        // One that is starting may: it is waited for.
        let may_serve = self.revision(stable).is_none_or(|read| !matches!(read.readiness, Readiness::Failed(_)));
        let has = |of: fn(&ServiceView) -> &[TrafficTarget]| {
            self.view().is_some_and(|view| weight_of(stable, of(view)) > Percent::NONE)
        };
        let (serves, is_asked) = (has(|view| &view.serving), has(|view| &view.traffic));
        (serves || (may_serve && (is_asked || !self.seen.lacks(stable)))).then(|| stable.clone())
    }

    fn local_stable(&self, memory: &Memory) -> Option<RevisionName> {
        let (view, _) = (self.view()?, memory.stable.as_ref()?);
        let share = |name: &RevisionName| weight_of(name, &view.serving).max(weight_of(name, &view.traffic));
        let is_ready = |name: &RevisionName| self.revision(name).is_some_and(|r| r.readiness == Readiness::Ready);
        let serving = revisions(&view.serving).chain(revisions(&view.traffic));
        // What can't serve and serves nobody is nothing to go back to, though it is asked for.
        let is_dead = |name: &RevisionName| {
            let failed = self.revision(name).is_some_and(|r| matches!(r.readiness, Readiness::Failed(_)));
            failed && weight_of(name, &view.serving) == Percent::NONE
        };
        let may_be = |name: &&RevisionName| !is_dead(name) && self.may_be_home(name, memory);
        let serving = serving.filter(|name| share(name) > Percent::NONE && may_be(name));
        let most = serving.max_by(|a, b| share(a).cmp(&share(b)).then(b.cmp(a))).cloned();
        most.or_else(|| self.earlier_homes(memory).into_iter().find(is_ready))
    }

    fn may_be_home(&self, name: &RevisionName, memory: &Memory) -> bool {
        let on_trial = memory.candidate.as_ref().map(|candidate| &candidate.release.revision);
        let failing = memory.failure.as_ref().map(|failure| &failure.release.revision);
        Some(name) != on_trial && Some(name) != failing && !memory.is_stable(name) && !self.marks.has_failed(name)
    }

    /// What was promoted before and could be gone back to here, newest first.
    pub(super) fn earlier_homes(&self, memory: &Memory) -> Vec<RevisionName> {
        let promoted = memory.promoted.iter().map(|promoted| &promoted.revision);
        promoted.filter(|name| self.may_be_home(name, memory)).cloned().collect()
    }

    /// Whether the marks name every region that the Rollout is in: with the status lost, they have to tell which ones.
    pub(super) fn knows_regions(&self, pass: &Pass<'_>) -> bool {
        pass.waves().all(|place| self.marks.regions.contains(place.region()))
    }

    /// Whether the marks tell of each release that failed, and what was new in it. One service may go, with its marks.
    pub(super) fn knows_failures(&self, memory: &Memory) -> bool {
        let of = |release: &ReleaseId| self.marks.failed.iter().find(|mark| mark.release.revision == release.revision);
        memory.failures().all(|(release, _)| of(release).is_some_and(|mark| mark.news.is_some()))
    }

    /// The marks of this service with our owner mark and every region.
    pub(super) fn marks_with_regions(&self, pass: &Pass<'_>, memory: &Memory) -> Marks {
        let regions = pass.waves().map(|place| place.region().clone()).collect();
        Marks { regions, ..self.owned_marks(pass.seen, memory) }
    }

    /// The marks of this service with our owner mark, and with what failed.
    pub(super) fn owned_marks(&self, seen: &Observation, memory: &Memory) -> Marks {
        let held = super::undo::mark(memory);
        Marks { owner: Some(self.owner(seen)), held, ..self.marks.clone() }.knowing(memory.failures())
    }

    /// The owner mark that a write leaves here: one that takes a release back where the region was let go takes nothing
    /// over.
    pub(super) fn owner(&self, seen: &Observation) -> Owner {
        let is_let_go = self.leaves && self.ownership == Ownership::Released;
        let owner = seen.owner();
        Owner { uid: owner.uid.filter(|_| !is_let_go), ..owner }
    }
}

impl Observation {
    /// Our owner mark.
    pub(super) fn owner(&self) -> Owner {
        Owner { name: self.full_name(), uid: Some(self.uid().to_string()) }
    }
}

/// The marks that a service must have had: from what is remembered, and from the traffic that it has.
fn rebuilt(seen: &Observation, memory: &Memory, region: &Region, view: &ServiceView) -> Marks {
    let mut marks = Marks {
        stable: memory.stable.as_ref().map(|stable| stable.revision.clone()),
        last_release: memory.last_release(),
        promoted: memory.promoted.clone(),
        adopted: memory.adopted_since,
        regions: memory
            .candidate
            .iter()
            .flat_map(|c| c.course.iter().flat_map(|course| course.regions.clone()))
            .collect(),
        others: view.marks.others.clone(),
        failed: failed_before(memory),
        ..Marks::default()
    };
    marks = marks.knowing(memory.failures());
    let candidate = memory.candidate.as_ref().filter(|candidate| {
        let revision = &candidate.release.revision;
        view.template_revision.as_ref() == Some(revision) || weight_of(revision, &view.traffic) > Percent::NONE
    });
    marks.candidate = candidate.map(|candidate| rebuilt_candidate(seen, memory, region, view, candidate));
    marks
}

/// Releases that failed at any time, by what is remembered, oldest first: no revision of theirs is used again.
fn failed_before(memory: &Memory) -> Vec<FailedMark> {
    let failed = memory.history.iter().rev().filter(|r| matches!(r.outcome, Outcome::RolledBack | Outcome::Failed));
    let releases = failed.filter_map(|record| ReleaseId::parse(&record.release));
    let ended = releases.filter(|release| !memory.promoted.iter().any(|p| p.revision == release.revision));
    ended.map(|release| FailedMark { release, news: None }).collect()
}

fn rebuilt_candidate(
    seen: &Observation,
    memory: &Memory,
    region: &Region,
    view: &ServiceView,
    candidate: &Candidate,
) -> CandidateMark {
    let (steps, share) = (candidate.steps(), weight_of(&candidate.release.revision, &view.traffic));
    let known = memory.region(region).step.filter(|step| step.release == candidate.release);
    let on_known = known.as_ref().and_then(|step| match step.kind {
        StepKind::Weight | StepKind::Watch => Some(step.number),
        StepKind::Pause => steps.weight_step(step.number),
    });
    let fits = |number: &u32| steps.share_at(Position::At(*number)) == Some(share);
    let position = match (share, on_known) {
        (_, Some(number)) if fits(&number) => Position::At(number),
        // Moved by hand: it belongs on the step that it was seen on. Another step's share may have been written just now.
        (Percent::NONE | Percent::ALL, Some(number)) => Position::At(number),
        (Percent::NONE, None) => Position::Deployed,
        (Percent::ALL, None) => Position::Full,
        (share, on_known) => steps.with_share(share).or(on_known).map_or(Position::Deployed, Position::At),
    };
    let since = known.filter(|step| Some(step.number) == on_known && position == Position::At(step.number));
    let analysis = candidate.course.as_ref().map_or(&seen.rollout.spec.analysis, |course| &course.analysis);
    CandidateMark {
        release: candidate.release.clone(),
        position,
        weight: steps.share_at(position),
        at: since.map_or(seen.now, |step| step.started_at),
        strategy: candidate.course.as_ref().map(|course| super::steps::strategy_hash(&course.steps, analysis)),
        template: Some(candidate.template_hash.clone()),
        news: Some(candidate.news.clone()),
    }
}
