//! One pass over a Rollout: what was seen and what is known, from the status, and where that is gone from the marks on
//! the services.

use orchestra_crds::{Outcome, Request};
use std::collections::{BTreeMap, BTreeSet};

use super::memory::{Candidate, Course, Failure, Latch, Memory, Stable};
use super::place::Place;
use super::steps::{Step, Steps, analysis_of, strategy_hash};
use super::{Observation, by_others, failure, requests, unread};
use crate::cloud::{Fault, Readiness, ServiceView};
use crate::conditions::note;
use crate::marks::{CandidateMark, FailedMark, Marks, News, PROMOTED_KEPT, Position};
use crate::names::{Percent, Region, ReleaseId, RevisionName, ServiceName, TemplateHash};
use crate::reason::Reason;
use crate::template::{Gate, Wanted};
use crate::traffic;

/// One pass over a Rollout.
pub(super) struct Pass<'a> {
    pub(super) seen: &'a Observation,
    /// Its service, in the order of the waves; regions that leave come last.
    pub(super) places: Vec<Place<'a>>,
    /// Hash of the spec's template.
    pub(super) own: TemplateHash,
    /// What the spec's template comes to, or what is in the way.
    pub(super) built: Result<Wanted, Gate>,
    /// What revisions run that others had made: it is not in their names.
    pub(super) aliases: BTreeMap<RevisionName, TemplateHash>,
    /// Whether the status knew which revision is which; otherwise the marks have to tell.
    pub(super) remembers: bool,
}

impl<'a> Pass<'a> {
    /// What was seen, and what is known by it.
    pub(super) fn recover(seen: &'a Observation) -> (Self, Memory) {
        let mut memory = Memory::of(&seen.rollout);
        let remembers = memory.stable.is_some() || memory.candidate.is_some() || memory.failure.is_some();
        let mut places: Vec<Place<'a>> = seen.regions.iter().map(|region| Place::new(seen, region, &memory)).collect();
        let own = by_others::own(seen, &memory);
        let built = built(seen);
        let complete = seen.regions.iter().all(|region| region.service.is_ok());
        let pass = Self { seen, places: vec![], own, built, aliases: aliases(&memory, &places), remembers };
        if remembers || complete {
            // With one region's marks missing, stable and candidate could be mistaken for each other.
            let known = Recovery { pass: &pass, places: &places, lost: !remembers };
            known.complete(&mut memory);
        }
        sort_by_waves(&mut places, &memory);
        (Self { places, ..pass }, memory)
    }

    /// What the marks of one place tell of the release there, for what concerns it alone.
    pub(super) fn by_marks_of(&self, place: &Place<'a>) -> Memory {
        let mut memory = Memory::default();
        let only = std::slice::from_ref(place);
        Recovery { pass: self, places: only, lost: true }.complete(&mut memory);
        memory
    }

    /// The places that the release goes through.
    pub(super) fn waves(&self) -> impl Iterator<Item = &Place<'a>> {
        self.places.iter().filter(|place| !place.leaves)
    }

    /// The places whose service could not be read.
    pub(super) fn unread(&self) -> impl Iterator<Item = (&Place<'a>, &Fault)> {
        self.places.iter().filter_map(|place| Some((place, place.seen.service.as_ref().err()?)))
    }

    /// The same, of the places that the release goes through.
    pub(super) fn unread_waves(&self) -> impl Iterator<Item = (&Place<'a>, &Fault)> {
        self.unread().filter(|(place, _)| !place.leaves)
    }

    /// Whether a revision is an attempt at a template.
    pub(super) fn is_of(&self, revision: &RevisionName, wanted: &Wanted) -> bool {
        if let Some(made) = &wanted.made {
            return revision == made;
        }
        let is_alias = self.aliases.get(revision) == Some(&wanted.hash);
        is_alias || self.service().is_some_and(|service| revision.is_of(&service, &wanted.hash))
    }

    /// The service's name. The schema has checked it.
    pub(super) fn service(&self) -> Option<ServiceName> {
        ServiceName::new(self.seen.rollout.spec.service_name.as_str()).ok()
    }

    /// The next name for a template: that of the first attempt that has not failed, and of which no revision with other
    /// content is known.
    pub(super) fn fresh_name(&self, wanted: &Wanted, memory: &Memory) -> Option<RevisionName> {
        let service = self.service()?;
        let mut taken: BTreeSet<String> =
            self.places.iter().flat_map(|p| &p.marks.failed).map(|f| f.release.revision.to_string()).collect();
        taken.extend(memory.failure.iter().map(|f| f.release.revision.to_string()));
        taken.extend(memory.latches.iter().map(|l| l.release.revision.to_string()));
        let failed = memory.history.iter().filter(|r| matches!(r.outcome, Outcome::RolledBack | Outcome::Failed));
        taken.extend(failed.map(|r| r.revision.clone()));
        if let Some(made) = &wanted.made {
            return Some(made.clone()).filter(|made| !taken.contains(made.as_str()));
        }
        let other = |name: &RevisionName| self.is_other(name, wanted) || self.is_broken(name);
        let mut names = (1..1000).map(|attempt| RevisionName::for_template(&service, &wanted.hash, attempt));
        names.find(|name| !taken.contains(name.as_str()) && !other(name))
    }

    /// Whether a revision of that name is known that runs something else.
    pub(super) fn is_other(&self, name: &RevisionName, wanted: &Wanted) -> bool {
        self.places.iter().filter_map(|p| p.revision(name)).any(|read| !wanted.template.is_run_by(&read.template))
    }

    /// Whether a revision of that name is known that can't serve.
    fn is_broken(&self, name: &RevisionName) -> bool {
        let mut read = self.places.iter().filter_map(|place| place.revision(name));
        read.any(|revision| matches!(revision.readiness, Readiness::Failed(_)))
    }

    /// The number of the next release.
    pub(super) fn next_release(&self, memory: &Memory) -> u32 {
        let marked = self.places.iter().map(|place| place.marks.last_release).max().unwrap_or(0);
        marked.max(memory.last_release()).saturating_add(1)
    }

    /// How a person holds the release, if one does.
    pub(super) fn paused(&self, release: Option<&ReleaseId>) -> Option<&'static str> {
        requests::paused(&self.seen.rollout, release)
    }

    /// The image of a revision, where it was read.
    pub(super) fn image_of(&self, places: &[Place<'_>], revision: &RevisionName) -> Option<String> {
        places.iter().find_map(|place| place.revision(revision)?.image().map(str::to_string))
    }
}

/// What revisions run that others had made, by the status and by the marks.
fn aliases(memory: &Memory, places: &[Place<'_>]) -> BTreeMap<RevisionName, TemplateHash> {
    let marked = places.iter().filter(|place| place.ours().is_some()).flat_map(|place| &place.marks.promoted);
    let known = memory.promoted.iter().chain(marked);
    known.filter_map(|promoted| Some((promoted.revision.clone(), promoted.runs.clone()?))).collect()
}

/// What the spec's template comes to in its environment.
fn built(seen: &Observation) -> Result<Wanted, Gate> {
    if let Some(gate) = unread::gate(seen) {
        return Err(gate);
    }
    let reference = &seen.rollout.spec.environment_ref.name;
    let environment = seen.environment.as_ref().ok_or_else(|| {
        let message = format!(
            "spec.environmentRef: there is no OrchestraEnvironment `{reference}` in this namespace: create it, or delete \
             this Rollout and create one that names another"
        );
        Gate::Blocked(note(Reason::EnvironmentMissing, message))
    })?;
    if let Err(bad) = ServiceName::new(seen.rollout.spec.service_name.as_str()) {
        return Err(Gate::Blocked(note(Reason::InvalidSpec, format!("spec.serviceName: {bad}"))));
    }
    if seen.rollout.spec.traffic_only {
        return by_others::newest_wanted(seen);
    }
    super::settings::check(seen)?;
    Wanted::build(&seen.rollout.spec.template, environment)
}

/// The order of the release, then regions that are new, then those that leave.
fn sort_by_waves(places: &mut [Place<'_>], memory: &Memory) {
    let frozen: Vec<Region> =
        memory.candidate.iter().filter_map(|c| c.course.as_ref()).flat_map(|c| c.regions.clone()).collect();
    let wave = |place: &Place<'_>| frozen.iter().position(|r| r == place.region()).unwrap_or(usize::MAX);
    places.sort_by_key(|place| (place.leaves, wave(place)));
}

/// Finds in the marks what the status does not know.
struct Recovery<'p, 'a> {
    pass: &'p Pass<'a>,
    places: &'p [Place<'a>],
    /// The status knows nothing at all.
    lost: bool,
}

impl Recovery<'_, '_> {
    fn complete(&self, memory: &mut Memory) {
        if memory.stable.is_none() {
            memory.stable = self.stable(memory);
        }
        if let Some(stable) = memory.stable.clone()
            && !memory.promoted.iter().any(|p| p.revision == stable.revision)
        {
            self.promoted(memory);
            memory.note_promoted(&stable.revision, stable.template_hash);
        }
        if memory.adopted_since.is_none() {
            memory.adopted_since = self.ours().find_map(|(marks, _)| marks.adopted);
        }
        if memory.held.is_none() && self.lost {
            memory.held = self.ours().find_map(|(marks, _)| super::undo::of_marks(marks));
        }
        if memory.candidate.is_none() && memory.failure.is_none() {
            memory.candidate = self.ours().find_map(|(marks, view)| self.candidate(memory, marks, view));
        }
        if self.lost {
            self.failures(memory);
        }
    }

    /// Marks and services of ours: what another's say is none of our past.
    fn ours(&self) -> impl Iterator<Item = (&Marks, &ServiceView)> {
        self.places.iter().filter_map(|place| Some((&place.marks, place.ours()?)))
    }

    /// The revision that has everything everywhere; while a release is going on, the one that the marks name.
    fn stable(&self, memory: &Memory) -> Option<Stable> {
        let (_, first) = self.ours().next()?;
        let on_trial = |revision: &RevisionName| {
            let candidate = memory.candidate.as_ref().map(|c| &c.release.revision);
            candidate == Some(revision) || memory.failure.as_ref().map(|f| &f.release.revision) == Some(revision)
        };
        let has_all = |only: &RevisionName| {
            self.ours().all(|(marks, view)| {
                let done = marks.candidate_named(only).is_none_or(|c| c.position == Position::Full);
                let works = view.trouble.is_none() || view.template_revision.as_ref() != Some(only);
                traffic::only_revision(&view.serving) == Some(only) && works && done && !marks.has_failed(only)
            })
        };
        let everywhere = traffic::only_revision(&first.serving).filter(|only| !on_trial(only) && has_all(only));
        let revision = everywhere.cloned().or_else(|| self.ours().find_map(|(marks, _)| marks.stable.clone()))?;
        let template_hash = self.ours().find_map(|(marks, _)| {
            let as_candidate = marks.candidate_named(&revision).and_then(|c| c.template.clone());
            let as_promoted = marks.promoted.iter().find(|p| p.revision == revision).and_then(|p| p.template.clone());
            as_candidate.or(as_promoted)
        });
        let image = self.pass.image_of(self.places, &revision);
        Some(Stable {
            revision,
            image,
            template_hash,
            inputs: BTreeSet::new(),
            template: None,
            missing_secrets: BTreeSet::new(),
        })
    }

    fn promoted(&self, memory: &mut Memory) {
        let marked: Vec<_> = self.ours().flat_map(|(marks, _)| marks.promoted.iter().rev().cloned()).collect();
        for promoted in marked {
            let failed = self.ours().any(|(marks, _)| marks.has_failed(&promoted.revision));
            if !failed && !memory.promoted.iter().any(|p| p.revision == promoted.revision) {
                memory.promoted.insert(0, promoted);
                memory.promoted.truncate(PROMOTED_KEPT);
            }
        }
    }

    /// Whether the spec asks for that candidate.
    fn is_wanted(&self, mark: &CandidateMark) -> bool {
        match &self.pass.built {
            Ok(wanted) => self.pass.is_of(&mark.release.revision, wanted),
            Err(_) => mark.template.as_ref() == Some(&self.pass.own),
        }
    }

    fn candidate(&self, memory: &Memory, marks: &Marks, view: &ServiceView) -> Option<Candidate> {
        // What was under way when a person went back is over, also where that was not seen yet.
        let is_left =
            |mark: &&CandidateMark| memory.held.as_ref().is_some_and(|held| mark.release.number < held.release.number);
        let mark = marks.candidate.as_ref().filter(|mark| !is_left(mark))?;
        let revision = &mark.release.revision;
        let has_traffic = traffic::weight_of(revision, &view.traffic) > Percent::NONE;
        let failed = self.ours().any(|(marks, _)| marks.has_failed(revision));
        let is_over = memory.history.iter().any(|last| last.release == mark.release.to_string());
        let comes = has_traffic || (self.is_wanted(mark) && !is_over);
        if failed || memory.is_stable(revision) || !comes {
            return None;
        }
        let seen = self.pass.seen;
        let wanted = self.pass.built.as_ref().ok().filter(|_| self.is_wanted(mark));
        // One that was marked before templates were, and is not wanted, is of no template that could be.
        let unknown = || wanted.map_or_else(|| TemplateHash::of("unknown"), |wanted| wanted.own.clone());
        let template_hash = mark.template.clone().unwrap_or_else(unknown);
        let image = self.pass.image_of(self.places, revision);
        Some(Candidate {
            release: self.release(mark),
            image: image.unwrap_or_else(|| seen.rollout.spec.template.image().to_string()),
            // Where it is done, its time is over; where it is still to come, it begins.
            started_at: if mark.position == Position::Full { seen.now } else { mark.at },
            news: mark.news.clone().unwrap_or_else(|| News::Template(template_hash.clone())),
            template_hash,
            inputs: wanted.map(|wanted| wanted.inputs.clone()).unwrap_or_default(),
            course: self.course(mark, marks),
        })
    }

    /// The release that a mark is about. One from before releases had numbers has that of the other regions' marks.
    fn release(&self, mark: &CandidateMark) -> ReleaseId {
        let same = self.ours().filter_map(|(marks, _)| marks.candidate_named(&mark.release.revision));
        let numbered = same.map(|mark| &mark.release).max_by_key(|release| release.number);
        numbered.filter(|_| mark.release.number == 0).unwrap_or(&mark.release).clone()
    }

    /// How the candidate takes over, if the spec still says so, by the hash in the marks.
    fn course(&self, mark: &CandidateMark, marks: &Marks) -> Option<Course> {
        let spec = &self.pass.seen.rollout.spec;
        let analysis = analysis_of(spec);
        let steps = match &mark.strategy {
            Some(hash) => {
                let known = Steps::known_for(&spec.strategy, &analysis);
                known.into_iter().chain([Steps::default()]).find(|steps| strategy_hash(steps, &analysis) == *hash)?
            }
            // Written before there was a hash: the weights have to tell.
            None => Steps::known_for(&spec.strategy, &analysis).into_iter().find(|steps| agree(steps, mark))?,
        };
        Some(Course { steps, analysis: analysis.into_owned(), regions: self.regions(marks) })
    }

    fn regions(&self, marks: &Marks) -> Vec<Region> {
        let spec = self.pass.seen.environment.iter().flat_map(|e| &e.spec.regions);
        let spec = spec.filter_map(|region| Region::new(region.as_str()).ok());
        if marks.regions.is_empty() { spec.collect() } else { marks.regions.clone() }
    }

    /// Releases that the marks know to have failed: one that still has traffic, and those that the spec asks for.
    fn failures(&self, memory: &mut Memory) {
        let marked: Vec<FailedMark> = self.ours().flat_map(|(marks, _)| marks.failed.iter().rev().cloned()).collect();
        for failed in marked {
            let release = &failed.release;
            let retried = requests::means(&self.pass.seen.rollout, Request::Retry, release);
            let wanted = self.asks_for(&failed) && !retried;
            let lingers = self.places.iter().any(|place| place.ours().is_some() && place.uses(&release.revision));
            let proven = memory.is_stable(&release.revision) || (!lingers && is_stables(memory, &failed));
            if proven || (!wanted && !lingers) {
                continue;
            }
            let (reason, message) = failure::FAILED_BEFORE;
            let news = failed.news.clone().unwrap_or_else(|| News::Template(self.pass.own.clone()));
            if wanted && !memory.latches.iter().any(|l| l.release == *release) {
                let latch = Latch {
                    release: release.clone(),
                    news: news.clone(),
                    reason: reason.into(),
                    message: message.into(),
                };
                memory.latches.push(latch);
            }
            if memory.failure.is_none() && memory.candidate.is_none() {
                let seen = self.pass.seen;
                let image = self.pass.image_of(self.places, &release.revision);
                memory.failure = Some(Failure {
                    release: release.clone(),
                    image: image.unwrap_or_else(|| seen.rollout.spec.template.image().to_string()),
                    news,
                    generation: seen.generation(),
                    reason: reason.into(),
                    message: message.into(),
                    started_at: seen.now,
                    time: seen.now,
                    rolled_back: false,
                });
            }
        }
    }

    /// Whether what failed is in what the spec asks for.
    fn asks_for(&self, failed: &FailedMark) -> bool {
        if unread::told(self.pass.seen).is_some() {
            // It may: what failed stays known until all of the spec can be read.
            return true;
        }
        match (&failed.news, &self.pass.built) {
            (Some(news), Ok(wanted)) => news.is_in(&self.pass.own, &wanted.inputs),
            (Some(News::Template(template)), Err(_)) => *template == self.pass.own,
            (None, Ok(wanted)) => self.pass.is_of(&failed.release.revision, wanted),
            // It may be: the latch is kept until that is known.
            (Some(News::Inputs(_)), Err(_)) => true,
            (None, Err(_)) => false,
        }
    }
}

/// Whether the template that failed is the one that stable runs: it was promoted since.
fn is_stables(memory: &Memory, failed: &FailedMark) -> bool {
    let stable = memory.stable.as_ref().and_then(|stable| stable.template_hash.as_ref());
    matches!(&failed.news, Some(News::Template(template)) if stable == Some(template))
}

/// Whether a mark without a hash fits the steps: the one that it is on has its weight.
fn agree(steps: &Steps, mark: &CandidateMark) -> bool {
    match mark.position {
        Position::At(number) => steps.at(number).and_then(Step::share) == mark.weight && mark.weight.is_some(),
        Position::Deployed | Position::Full => true,
    }
}
