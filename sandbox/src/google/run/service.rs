//! A service: every write makes it reconcile; it settles when its newest revision is ready or has failed and its
//! traffic is in effect. What failed leaves the serving state as it was.

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::super::mask::Mask;
use super::super::problem::Problem;
use super::document::with_defaults;
use super::limits::{check_labels, check_scaling, check_service, check_template};
use super::revision::{Outcome, Revision, Usable, letters, new_uid};
use super::rules::{check_annotations, check_traffic};

/// Fields that a caller may write.
const MUTABLE: [&str; 19] = [
    "description",
    "labels",
    "annotations",
    "client",
    "clientVersion",
    "ingress",
    "launchStage",
    "template",
    "traffic",
    "scaling",
    "invokerIamDisabled",
    "customAudiences",
    "binaryAuthorization",
    "defaultUriDisabled",
    "iapEnabled",
    "multiRegionSettings",
    "buildConfig",
    "threatDetectionEnabled",
    "sshEnabled",
];
/// Revisions of a service that are kept.
const KEPT_REVISIONS: usize = 1000;

#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) id: String,
    region: String,
    pub(super) uid: String,
    /// What callers wrote.
    pub(super) spec: Value,
    pub(super) generation: i64,
    pub(super) observed: i64,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    /// Who made it, and who wrote it last.
    pub(super) creator: String,
    pub(super) modifier: String,
    pub(super) revisions: BTreeMap<String, Revision>,
    pub(super) latest_created: Option<String>,
    pub(super) latest_ready: Option<String>,
    /// Traffic that is in effect: targets as they were asked for.
    pub(super) serving: Vec<Value>,
    pub(super) state: State,
    made: u32,
    deleting: bool,
    /// The reconciliation under way is going to fail for no reason of its own.
    spoiled: bool,
}

/// How far a service is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Until then at least.
    Reconciling(Timestamp),
    /// Since then.
    Ready(Timestamp),
    /// Since then.
    Failed(Timestamp, Failure),
}

/// Why something is not ready.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Failure {
    fn of_revision(mut self, name: &str) -> Self {
        self.message = format!("Revision '{name}' is not ready and cannot serve traffic. {}", self.message);
        self
    }
}

/// How a service settled.
pub(super) enum Settled {
    Ready,
    Failed { code: i64, message: String },
    Deleted,
}

impl Service {
    pub(super) fn create(
        (id, region): (&str, &str),
        wanted: Value,
        now: Timestamp,
        random: &mut StdRng,
        usable: Usable<'_>,
    ) -> Result<Self, Problem> {
        let mut service = Self {
            id: id.to_string(),
            region: region.to_string(),
            uid: new_uid(random),
            spec: json!({}),
            generation: 0,
            observed: 0,
            created: now,
            updated: now,
            creator: String::new(),
            modifier: String::new(),
            revisions: BTreeMap::new(),
            latest_created: None,
            latest_ready: None,
            serving: vec![],
            state: State::Ready(now),
            made: 0,
            deleting: false,
            spoiled: false,
        };
        if wanted["template"].is_null() {
            return Err(Problem::field("template", "it is required"));
        }
        service.update(&wanted, &Mask::parse(""), now, random, usable)?;
        Ok(service)
    }

    pub(super) fn etag(&self) -> String {
        format!("\"{}-{}\"", self.uid.split('-').next().unwrap_or_default(), self.generation)
    }

    /// Writes the fields of the mask; without one, all that can be written.
    pub(super) fn update(
        &mut self,
        wanted: &Value,
        mask: &Mask,
        now: Timestamp,
        random: &mut StdRng,
        usable: Usable<'_>,
    ) -> Result<(), Problem> {
        let spec = self.with(wanted, mask)?;
        check_annotations(&spec)?;
        check_labels(&spec)?;
        check_scaling(&spec)?;
        check_service(&spec)?;
        check_traffic(&spec["traffic"], &self.id)?;
        check_template(&spec["template"])?;
        // What is shown where nothing was set changes nothing when it is written back.
        let full = |spec: &Value| with_defaults(spec["template"].clone());
        let template_changed = full(&spec) != full(&self.spec);
        let new = if template_changed { self.new_revision(&spec["template"], now, random, usable)? } else { None };
        self.spec = spec;
        self.generation += 1;
        self.updated = now;
        let mut settles = now + SignedDuration::from_millis(random.random_range(3000..8000));
        if let Some(revision) = new {
            if let Outcome::Pending(at, _) = &revision.outcome {
                settles = settles.max(*at + SignedDuration::from_secs(1));
            }
            self.latest_created = Some(revision.name.clone());
            self.revisions.insert(revision.name.clone(), revision);
            self.collect();
        }
        self.state = State::Reconciling(settles);
        self.spoiled = false;
        Ok(())
    }

    /// Notes who wrote it last, and what they have made.
    pub(super) fn note_author(&mut self, who: &str) {
        self.modifier = who.into();
        let made = self.revisions.values_mut().map(|revision| &mut revision.creator);
        let unknown = made.chain(std::iter::once(&mut self.creator)).filter(|creator| creator.is_empty());
        unknown.for_each(|creator| *creator = who.into());
    }

    /// The reconciliation under way fails, and leaves what serves as it is.
    pub(super) fn fail_next(&mut self) {
        self.spoiled = true;
    }

    /// The reconciliation under way never ends, until another write begins one.
    pub(super) fn stall(&mut self) {
        self.state = State::Reconciling(Timestamp::MAX);
    }

    fn with(&self, wanted: &Value, mask: &Mask) -> Result<Value, Problem> {
        let everything = mask.is_empty() || mask.paths().eq(["*"]);
        let mask = if everything { Mask::parse(&MUTABLE.join(",")) } else { mask.clone() };
        if let Some(fixed) = mask.outside(&MUTABLE) {
            return Err(Problem::field("update_mask", format!("field '{fixed}' cannot be updated")));
        }
        let mut spec = self.spec.clone();
        mask.apply(wanted, &mut spec)?;
        Ok(spec)
    }

    /// The revision that a template makes; none when it names one that is already there.
    fn new_revision(
        &mut self,
        template: &Value,
        now: Timestamp,
        random: &mut StdRng,
        usable: Usable<'_>,
    ) -> Result<Option<Revision>, Problem> {
        let mut new = Revision::of((&self.id, &self.region), template, now, random, usable)?;
        if let Some(known) = self.revisions.get(&new.name) {
            if with_defaults(known.template.clone()) == with_defaults(new.template.clone()) {
                return Ok(None);
            }
            let message = format!("Revision named '{}' with different configuration already exists.", new.name);
            return Err(Problem::already_exists(message));
        }
        self.made += 1;
        if new.name.is_empty() {
            new.name = format!("{}-{:05}-{}", self.id, self.made, letters(random));
        }
        Ok(Some(new))
    }

    /// Beyond a thousand revisions the oldest go that nothing leads to.
    fn collect(&mut self) {
        let excess = self.revisions.len().saturating_sub(KEPT_REVISIONS);
        let mut idle: Vec<(Timestamp, String)> = match excess {
            0 => vec![],
            _ => {
                self.revisions.values().filter(|r| !self.in_use(&r.name)).map(|r| (r.created, r.name.clone())).collect()
            }
        };
        idle.sort();
        for (_, name) in idle.into_iter().take(excess) {
            self.revisions.remove(&name);
        }
    }

    pub(super) fn delete(&mut self, now: Timestamp) {
        self.deleting = true;
        self.spoiled = false;
        self.generation += 1;
        self.state = State::Reconciling(now + SignedDuration::from_secs(5));
    }

    /// When something happens next by itself.
    pub(super) fn next_event(&self) -> Option<Timestamp> {
        let pending = self.revisions.values().filter_map(|r| match &r.outcome {
            Outcome::Pending(at, _) => Some(*at),
            _ => None,
        });
        pending.chain(self.settles_at()).min()
    }

    /// When a change is done: with all traffic to the newest revision and none ready yet, not before that one.
    fn settles_at(&self) -> Option<Timestamp> {
        let State::Reconciling(at) = &self.state else { return None };
        let waits = |target: &Value| target["percent"].as_i64().unwrap_or(0) > 0 && self.resolve(target).is_none();
        let newest = self.latest_created.as_ref().and_then(|name| self.revisions.get(name)).map(|r| &r.outcome);
        match newest {
            Some(Outcome::Pending(due, _)) if !self.deleting && self.targets().iter().any(waits) => Some(*at.max(due)),
            _ => Some(*at),
        }
    }

    /// Lets happen what is due at that time.
    pub(super) fn happen(&mut self, at: Timestamp) -> Option<Settled> {
        for revision in self.revisions.values_mut() {
            if let Outcome::Pending(due, failure) = &revision.outcome
                && *due <= at
            {
                revision.outcome = match failure.clone() {
                    Some(failure) => Outcome::Failed(at, failure),
                    None => Outcome::Ready(at),
                };
                let newest = self.latest_created.as_deref() == Some(revision.name.as_str());
                if newest && matches!(revision.outcome, Outcome::Ready(_)) {
                    self.latest_ready = Some(revision.name.clone());
                }
            }
        }
        self.settles_at().filter(|due| *due <= at).map(|_| self.settle(at))
    }

    fn settle(&mut self, at: Timestamp) -> Settled {
        let internal = Failure { code: 13, reason: "INTERNAL", message: "an internal error has occurred".into() };
        if self.deleting && !self.spoiled {
            return Settled::Deleted;
        }
        self.deleting = false;
        let targets = self.targets();
        let routed = self.spoiled.then_some(internal).or_else(|| self.route(&targets));
        if routed.is_none() {
            self.serving = targets;
        }
        match routed.or_else(|| self.failure_of_newest()) {
            Some(failure) => {
                let settled = Settled::Failed { code: failure.code, message: failure.message.clone() };
                self.state = State::Failed(at, failure);
                settled
            }
            None => {
                self.observed = self.generation;
                self.state = State::Ready(at);
                Settled::Ready
            }
        }
    }

    /// Why the newest revision is not ready, when it has failed.
    fn failure_of_newest(&self) -> Option<Failure> {
        let revision = self.revisions.get(self.latest_created.as_ref()?)?;
        let Outcome::Failed(_, failure) = &revision.outcome else { return None };
        Some(failure.clone().of_revision(&revision.name))
    }

    /// The traffic that is asked for; nothing means all to the newest.
    fn targets(&self) -> Vec<Value> {
        match self.spec["traffic"].as_array() {
            Some(targets) if !targets.is_empty() => targets.clone(),
            _ => vec![json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100})],
        }
    }

    /// Why traffic can't take effect.
    fn route(&self, targets: &[Value]) -> Option<Failure> {
        targets.iter().find_map(|target| {
            let percent = target["percent"].as_i64().unwrap_or(0);
            let Some(name) = self.resolve(target) else {
                // Of all traffic to the newest nothing can come before one is ready: its own failure tells more.
                let message = "no revision is ready".to_string();
                let told = self.failure_of_newest().unwrap_or(Failure { code: 9, reason: "REVISION_FAILED", message });
                return (percent > 0).then_some(told);
            };
            let Some(revision) = self.revisions.get(&name) else {
                let message = format!("Revision '{name}' does not exist or is deleted.");
                return Some(Failure { code: 13, reason: "UNKNOWN", message });
            };
            match &revision.outcome {
                Outcome::Failed(_, failure) if percent > 0 => Some(failure.clone().of_revision(&name)),
                _ => None,
            }
        })
    }

    /// The revision that a target means.
    pub(super) fn resolve(&self, target: &Value) -> Option<String> {
        match target["revision"].as_str() {
            Some(name) if !name.is_empty() => Some(name.rsplit('/').next().unwrap_or(name).to_string()),
            _ => self.latest_ready.clone(),
        }
    }

    /// Shares in effect by revision.
    pub(super) fn shares(&self) -> BTreeMap<String, i64> {
        let mut shares = BTreeMap::new();
        for target in &self.serving {
            let percent = target["percent"].as_i64().unwrap_or(0);
            if let (Some(name), true) = (self.resolve(target), percent > 0) {
                *shares.entry(name).or_insert(0) += percent;
            }
        }
        shares
    }

    /// Whether a revision serves, is asked for, or is the newest.
    pub(super) fn in_use(&self, revision: &str) -> bool {
        let targets = self.targets();
        let named = |target: &Value| self.resolve(target).as_deref() == Some(revision);
        self.serving.iter().any(named)
            || targets.iter().any(named)
            || self.latest_created.as_deref() == Some(revision)
            || self.latest_ready.as_deref() == Some(revision)
    }
}
