//! What should run: the spec's template, or while that has failed, the stable one with what the environment changed.

use orchestra_crds::Template;

use super::memory::{Candidate, Latch, Memory, Stable};
use super::pass::Pass;
use super::undo::Held;
use crate::conditions::{Note, note};
use crate::marks::News;
use crate::names::{RevisionName, TemplateHash};
use crate::reason::Reason;
use crate::template::{EffectiveTemplate, Gate, Wanted, own_hash};

/// What should run.
#[derive(Clone, Debug)]
pub(super) struct Desire {
    /// Hash of what the user wrote, of the template that should run.
    pub(super) own: TemplateHash,
    /// What that comes to, or what is in the way.
    pub(super) built: Result<Wanted, Gate>,
    /// The template itself.
    pub(super) template: Template,
    /// The spec's template, or what the environment adds to it, has failed and is not released again.
    pub(super) latch: Option<Latch>,
    /// A person went back to that revision.
    pub(super) held: Option<RevisionName>,
}

impl Desire {
    /// What should run, by what is remembered.
    pub(super) fn of(pass: &Pass<'_>, memory: &Memory) -> Self {
        let spec = &pass.seen.rollout.spec.template;
        if let Some(held) = &memory.held {
            return Self::held(pass, memory, held);
        }
        let asked =
            Self { own: pass.own.clone(), built: pass.built.clone(), template: spec.clone(), latch: None, held: None };
        if let Some(kept) = asked.already_left(pass, memory) {
            return kept;
        }
        let Some(latch) = asked.latched_by(pass, memory) else { return asked };
        let stand_in = memory.stable.as_ref().and_then(|stable| Self::on_stable(pass, stable));
        match stand_in.filter(|stand_in| stand_in.latched_by(pass, memory).is_none()) {
            Some(stand_in) => Self { latch: Some(latch), ..stand_in },
            None => {
                let closed = Gate::Blocked(Note::told(latch.reason.clone(), latch.message.clone()));
                Self { built: Err(closed), latch: Some(latch), ..asked }
            }
        }
    }

    /// Where others deploy, and the last that they did was promoted and left before: stable stays. None: it wasn't.
    fn already_left(&self, pass: &Pass<'_>, memory: &Memory) -> Option<Self> {
        let made = self.built.as_ref().ok()?.made.as_ref()?;
        let stable = memory.stable.as_ref().filter(|stable| stable.revision != *made)?;
        let was_promoted = memory.promoted.iter().any(|promoted| promoted.revision == *made);
        Self::on_stable(pass, stable).filter(|_| was_promoted)
    }

    /// What a person went back to, whatever the spec and the environment say.
    fn held(pass: &Pass<'_>, memory: &Memory, held: &Held) -> Self {
        let to = &held.release.revision;
        let known = memory.promoted.iter().find(|promoted| promoted.revision == *to);
        let own = known.and_then(|promoted| promoted.template.clone()).unwrap_or_else(|| TemplateHash::of(to.as_str()));
        let closed = Gate::Waiting(note(Reason::HeldByPerson, held.words(&pass.seen.rollout.spec)));
        let template = pass.seen.rollout.spec.template.clone();
        Self { own, built: Err(closed), template, latch: None, held: Some(to.clone()) }
    }

    /// Stable's template with what the environment adds to it now.
    fn on_stable(pass: &Pass<'_>, stable: &Stable) -> Option<Self> {
        if pass.seen.rollout.spec.traffic_only {
            let built = Wanted::made_by_others(&stable.revision, EffectiveTemplate::default());
            let template = pass.seen.rollout.spec.template.clone();
            return Some(Self { own: built.own.clone(), built: Ok(built), template, latch: None, held: None });
        }
        let template = stable.template.clone()?;
        let environment = pass.seen.environment.as_ref()?;
        let built = Wanted::build(&template, environment);
        Some(Self { own: own_hash(&template), built, template, latch: None, held: None })
    }

    /// What failed and is in this, unless it was promoted since.
    fn latched_by(&self, pass: &Pass<'_>, memory: &Memory) -> Option<Latch> {
        let runs = |revision: &RevisionName| match &self.built {
            Ok(wanted) => pass.is_of(revision, wanted),
            Err(_) => false,
        };
        let by_name = |template: &Option<TemplateHash>| self.built.is_err() && *template == Some(self.own.clone());
        let is_stable = memory.stable.as_ref().is_some_and(|s| runs(&s.revision) || by_name(&s.template_hash));
        let was_promoted = memory.promoted.iter().any(|p| runs(&p.revision));
        if is_stable || was_promoted {
            return None;
        }
        // A template that was promoted with other inputs may have failed since: that it ran once is no proof then.
        let ran_once = memory.promoted.iter().any(|p| by_name(&p.template));
        let counts = |latch: &&Latch| self.holds(latch) && !(ran_once && matches!(latch.news, News::Inputs(_)));
        memory.latches.iter().find(counts).cloned()
    }

    /// Whether all of what a latch is about is in this. Where the environment's part is not known, a latch on it holds.
    pub(super) fn holds(&self, latch: &Latch) -> bool {
        match &self.built {
            Ok(wanted) => latch.news.is_in(&self.own, &wanted.inputs),
            Err(_) => match &latch.news {
                News::Template(failed) => *failed == self.own,
                News::Inputs(_) => true,
            },
        }
    }

    /// Whether that candidate is still what should run, as far as that is known.
    pub(super) fn wants(&self, pass: &Pass<'_>, candidate: &Candidate) -> bool {
        if let Some(held) = &self.held {
            return candidate.release.revision == *held;
        }
        match (&self.built, &self.latch) {
            (Ok(wanted), _) => pass.is_of(&candidate.release.revision, wanted),
            (Err(_), Some(_)) => false,
            (Err(_), None) => self.own == candidate.template_hash,
        }
    }

    /// Whether the stable revision is what should run, as far as that is known.
    pub(super) fn wants_stable(&self, pass: &Pass<'_>, stable: &Stable) -> bool {
        if let Some(held) = &self.held {
            return stable.revision == *held;
        }
        match (&self.built, &self.latch) {
            (Ok(wanted), _) => pass.is_of(&stable.revision, wanted),
            (Err(_), Some(_)) => true,
            (Err(_), None) => stable.template_hash.as_ref() == Some(&self.own),
        }
    }

    /// Whether it is what was proven before: going there is no move forward.
    pub(super) fn goes_back(&self, pass: &Pass<'_>, memory: &Memory) -> bool {
        let to_stable = memory.stable.as_ref().is_some_and(|stable| self.wants_stable(pass, stable));
        to_stable || self.promoted_before(pass, memory).is_some()
    }

    /// The revision that was promoted before and runs this: going back to it waits for nothing.
    pub(super) fn promoted_before(&self, pass: &Pass<'_>, memory: &Memory) -> Option<RevisionName> {
        if let Some(held) = &self.held {
            return Some(held.clone());
        }
        let runs = |p: &&crate::marks::PromotedMark| match &self.built {
            Ok(wanted) => pass.is_of(&p.revision, wanted),
            Err(_) => self.latch.is_none() && p.template.as_ref() == Some(&self.own),
        };
        memory.promoted.iter().find(runs).map(|p| p.revision.clone())
    }

    /// Whether the template was promoted before, and the environment adds nothing to it that stable does not run with:
    /// it needs a revision of its own, and no steps.
    pub(super) fn template_was_promoted(&self, memory: &Memory) -> bool {
        let (Ok(wanted), Some(stable)) = (&self.built, &memory.stable) else { return false };
        memory.promoted.iter().any(|p| p.template.as_ref() == Some(&self.own))
            && stable.template_hash.as_ref() != Some(&self.own)
            && wanted.inputs.is_subset(&stable.inputs)
    }
}
