//! Orchestra's own annotations on a Cloud Run service: who owns it, and how far its release is. They make the status
//! of a Rollout rebuildable, and they change in the same etag-checked write as the traffic they speak of.
//!
//! They have a version. What was written before there was one is read as well; a mark that this version can't read is
//! never taken for absent, because a release would be taken for none, or a step for another: nothing is touched then.

mod news;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::names::{Percent, Region, ReleaseId, RevisionName, TemplateHash};
pub use news::News;

/// The version that is written, the one of marks that hold a revision, and the one of a service that was adopted: who does not
/// know of the one would not hold it, and of the other might delete it.
const VERSION: &str = "2";
const VERSION_WITH_HOLD: &str = "3";
const VERSION_OF_ADOPTED: &str = "4";
const PREFIX: &str = "orchestra.cherry-ai.me/";
const KEYS: [&str; 15] = [
    "marks",
    "owner",
    "owner-uid",
    "stable",
    "candidate",
    "release",
    "step",
    "strategy",
    "template",
    "news",
    "failed",
    "promoted",
    "regions",
    "held",
    "adopted",
];

/// How many steps the schema of a Rollout allows.
const MOST_STEPS: u32 = 20;
/// How many failed revisions are remembered.
const FAILED_KEPT: usize = 20;
/// How many promoted revisions are remembered.
pub const PROMOTED_KEPT: usize = 5;

/// Orchestra's annotations on one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The Rollout that the service belongs to.
    pub owner: Option<Owner>,
    /// The revision that traffic goes back to.
    pub stable: Option<RevisionName>,
    /// The revision that is taking over, and how far it is.
    pub candidate: Option<CandidateMark>,
    /// Number of the last release that was seen here.
    pub last_release: u32,
    /// Revisions that failed, oldest first.
    pub failed: Vec<FailedMark>,
    /// Revisions that were promoted, newest first.
    pub promoted: Vec<PromotedMark>,
    /// The revision that a person went back to.
    pub held: Option<HeldMark>,
    /// Since when the service is Orchestra's; none: Orchestra has made it.
    pub adopted: Option<Timestamp>,
    /// The regions of the last release, in its order.
    pub regions: Vec<Region>,
    /// The first mark that this version of the controller can't read.
    pub unknown: Option<String>,
    /// Annotations of others, written back as they are.
    pub others: BTreeMap<String, String>,
}

/// The Rollout that a service belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `namespace/name` of the Rollout.
    pub name: String,
    /// Its UID; none after it let go of the service, for one of the same name to take it over.
    pub uid: Option<String>,
}

/// The revision that is taking over, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateMark {
    /// Its release.
    pub release: ReleaseId,
    /// How far it is.
    pub position: Position,
    /// The weight of that position: the spec may have other steps by the time that this is read.
    pub weight: Option<Percent>,
    /// When that position was written.
    pub at: Timestamp,
    /// Hash of how it takes over; none: written before that was marked.
    pub strategy: Option<TemplateHash>,
    /// Hash of the Rollout's template that it runs.
    pub template: Option<TemplateHash>,
    /// What is new in it.
    pub news: Option<News>,
}

impl CandidateMark {
    /// Whether it speaks of that release. One from before releases had numbers speaks of each of its revision.
    pub fn may_be_of(&self, release: &ReleaseId) -> bool {
        self.release == *release || (self.release.number == 0 && self.release.revision == release.revision)
    }
}

/// How far a candidate is in one region, by the last write of its traffic. Steps that write no traffic leave no mark:
/// each of them says where its progress is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Position {
    /// Created, without traffic.
    Deployed,
    /// On the weight of a step, counted from 1.
    At(u32),
    /// All traffic.
    Full,
}

/// A release that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedMark {
    /// The release.
    pub release: ReleaseId,
    /// What was new in it; none: written before that was marked.
    pub news: Option<News>,
}

/// A revision that was promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotedMark {
    /// Its name.
    pub revision: RevisionName,
    /// Hash of the Rollout's template that it runs, where known.
    pub template: Option<TemplateHash>,
    /// Of a revision that others had made: the hash of what it runs, which is not in its name.
    #[serde(default)]
    pub runs: Option<TemplateHash>,
}

/// A revision that a person went back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldMark {
    /// Its name.
    pub revision: RevisionName,
    /// Hash of the Rollout's template of then.
    pub template: TemplateHash,
    /// Since when.
    pub since: Timestamp,
}

/// Reads marks one by one and keeps the first that it can't.
struct Reader<'a> {
    annotations: &'a BTreeMap<String, String>,
    unknown: Option<String>,
}

impl Reader<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.annotations.get(&format!("{PREFIX}{key}")).map(String::as_str)
    }

    fn read<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(key)?;
        let value = parse(text);
        if value.is_none() && self.unknown.is_none() {
            self.unknown = Some(format!("{PREFIX}{key}: {text}"));
        }
        value
    }

    fn candidate(&mut self) -> Option<CandidateMark> {
        let revision = self.read("candidate", |text| RevisionName::new(text).ok())?;
        let number = self.read("release", |text| text.parse().ok()).unwrap_or(0);
        let step = self.read("step", parse_step);
        let (strategy, template) = (self.read("strategy", hash), self.read("template", hash));
        let news = self.read("news", News::parse);
        if step.is_none() && self.unknown.is_none() {
            self.unknown = Some(format!("{PREFIX}candidate without {PREFIX}step"));
        }
        let (position, weight, at) = step?;
        let release = ReleaseId { revision, number };
        Some(CandidateMark { release, position, weight, at, strategy, template, news })
    }
}

fn hash(text: &str) -> Option<TemplateHash> {
    TemplateHash::new(text).ok()
}

/// `deployed@TIME`, `2:50@TIME`, `full@TIME`.
fn parse_step(text: &str) -> Option<(Position, Option<Percent>, Timestamp)> {
    let (step, at) = text.split_once('@')?;
    let (step, weight) = step.split_once(':').map_or((step, None), |(step, weight)| (step, Some(weight)));
    let position = match step {
        "deployed" => Position::Deployed,
        "full" => Position::Full,
        number => Position::At(number.parse().ok().filter(|number| (1..=MOST_STEPS).contains(number))?),
    };
    let weight = match weight {
        Some(weight) => Some(Percent::clamped(weight.parse().ok().filter(|w| (0..=100).contains(w))?)),
        None => None,
    };
    Some((position, weight, at.parse().ok()?))
}

/// `REVISION=HASH@TIME`.
fn parse_held(text: &str) -> Option<HeldMark> {
    let (revision, rest) = text.split_once('=')?;
    let (template, since) = rest.split_once('@')?;
    Some(HeldMark {
        revision: RevisionName::new(revision).ok()?,
        template: hash(template)?,
        since: since.parse().ok()?,
    })
}

/// A list of `name` or `name=detail`.
fn list<T>(text: &str, item: impl Fn(&str, Option<&str>) -> Option<T>) -> Option<Vec<T>> {
    let items = text.split(',').filter(|item| !item.is_empty());
    items
        .map(|one| one.split_once('=').map_or_else(|| item(one, None), |(name, detail)| item(name, Some(detail))))
        .collect()
}

fn parse_failed(name: &str, news: Option<&str>) -> Option<FailedMark> {
    let news = match news {
        Some(text) => Some(News::parse(text)?),
        None => None,
    };
    let before_numbers = || RevisionName::new(name).ok().map(|revision| ReleaseId { revision, number: 0 });
    Some(FailedMark { release: ReleaseId::parse(name).or_else(before_numbers)?, news })
}

/// `REVISION`, `REVISION=TEMPLATE` or `REVISION=TEMPLATE:RUNS`.
fn parse_promoted(name: &str, detail: Option<&str>) -> Option<PromotedMark> {
    let (template, runs) = match detail.map(|detail| detail.split_once(':').unwrap_or((detail, ""))) {
        Some((template, "")) => (Some(hash(template)?), None),
        Some((template, runs)) => (Some(hash(template)?), Some(hash(runs)?)),
        None => (None, None),
    };
    Some(PromotedMark { revision: RevisionName::new(name).ok()?, template, runs })
}

fn promoted_text(promoted: &PromotedMark) -> String {
    match (&promoted.template, &promoted.runs) {
        (Some(template), Some(runs)) => format!("{}={template}:{runs}", promoted.revision),
        (Some(template), None) => format!("{}={template}", promoted.revision),
        (None, _) => promoted.revision.to_string(),
    }
}

impl Marks {
    /// Reads them from a service's annotations.
    pub fn read(annotations: &BTreeMap<String, String>) -> Self {
        let mut reader = Reader { annotations, unknown: None };
        reader
            .read("marks", |version| [VERSION, VERSION_WITH_HOLD, VERSION_OF_ADOPTED].contains(&version).then_some(()));
        let owner = reader.text("owner").map(str::to_string);
        let uid = reader.text("owner-uid").map(str::to_string);
        Self {
            owner: owner.map(|name| Owner { name, uid }),
            stable: reader.read("stable", |text| RevisionName::new(text).ok()),
            candidate: reader.candidate(),
            last_release: reader.read("release", |text| text.parse().ok()).unwrap_or(0),
            failed: reader.read("failed", |text| list(text, parse_failed)).unwrap_or_default(),
            promoted: reader.read("promoted", |text| list(text, parse_promoted)).unwrap_or_default(),
            regions: reader.read("regions", |text| list(text, |name, _| Region::new(name).ok())).unwrap_or_default(),
            held: reader.read("held", parse_held),
            adopted: reader.read("adopted", |text| text.parse().ok()),
            unknown: reader.unknown,
            others: annotations
                .iter()
                .filter(|(key, _)| !key.strip_prefix(PREFIX).is_some_and(|key| KEYS.contains(&key)))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }

    /// All annotations of the service, those of others among them.
    pub fn write(&self) -> BTreeMap<String, String> {
        let mut annotations = self.others.clone();
        let mut put = |key: &str, value: String| drop(annotations.insert(format!("{PREFIX}{key}"), value));
        let version = match (&self.adopted, &self.held) {
            (Some(_), _) => VERSION_OF_ADOPTED,
            (None, Some(_)) => VERSION_WITH_HOLD,
            (None, None) => VERSION,
        };
        put("marks", version.into());
        if let Some(owner) = &self.owner {
            put("owner", owner.name.clone());
            owner.uid.iter().for_each(|uid| put("owner-uid", uid.clone()));
        }
        self.stable.iter().for_each(|stable| put("stable", stable.to_string()));
        if self.last_release > 0 {
            put("release", self.last_release.to_string());
        }
        if let Some(candidate) = &self.candidate {
            put("candidate", candidate.release.revision.to_string());
            put("step", step_text(candidate));
            candidate.strategy.iter().for_each(|hash| put("strategy", hash.to_string()));
            candidate.template.iter().for_each(|hash| put("template", hash.to_string()));
            candidate.news.iter().for_each(|news| put("news", news.to_string()));
        }
        let joined = |items: Vec<String>| (!items.is_empty()).then(|| items.join(","));
        let with = |name: &dyn std::fmt::Display, detail: Option<String>| {
            detail.map_or_else(|| name.to_string(), |detail| format!("{name}={detail}"))
        };
        let failed = self.failed.iter().map(|f| with(&f.release, f.news.as_ref().map(ToString::to_string)));
        joined(failed.collect()).into_iter().for_each(|text| put("failed", text));
        self.adopted.iter().for_each(|since| put("adopted", since.to_string()));
        joined(self.promoted.iter().map(promoted_text).collect()).into_iter().for_each(|text| put("promoted", text));
        let held = self.held.iter().map(|h| format!("{}={}@{}", h.revision, h.template, h.since));
        held.for_each(|text| put("held", text));
        joined(self.regions.iter().map(ToString::to_string).collect())
            .into_iter()
            .for_each(|text| put("regions", text));
        annotations
    }

    /// Whether a revision is marked as failed.
    pub fn has_failed(&self, revision: &RevisionName) -> bool {
        self.failed.iter().any(|failed| failed.release.revision == *revision)
    }

    /// These marks after a release failed.
    #[must_use]
    pub fn with_failed(mut self, release: &ReleaseId, news: &News) -> Self {
        if !self.has_failed(&release.revision) {
            self.failed.push(FailedMark { release: release.clone(), news: Some(news.clone()) });
        }
        let extra = self.failed.len().saturating_sub(FAILED_KEPT);
        self.failed.drain(..extra);
        self.last_release = self.last_release.max(release.number);
        self.candidate = None;
        self
    }

    /// These marks with releases that are known to have failed. One that was marked before news were gets them.
    #[must_use]
    pub fn knowing<'n>(mut self, failed: impl Iterator<Item = (&'n ReleaseId, &'n News)>) -> Self {
        for (release, news) in failed {
            let known = FailedMark { release: release.clone(), news: Some(news.clone()) };
            match self.failed.iter_mut().find(|mark| mark.release.revision == release.revision) {
                Some(mark) if mark.news.is_none() => *mark = known,
                Some(_) => {}
                None => self.failed.push(known),
            }
        }
        let extra = self.failed.len().saturating_sub(FAILED_KEPT);
        self.failed.drain(..extra);
        self
    }

    /// The mark of that revision as candidate, if the marks speak of it.
    pub fn candidate_named(&self, revision: &RevisionName) -> Option<&CandidateMark> {
        self.candidate.as_ref().filter(|c| c.release.revision == *revision)
    }
}

fn step_text(candidate: &CandidateMark) -> String {
    let step = match candidate.position {
        Position::Deployed => "deployed".to_string(),
        Position::At(number) => number.to_string(),
        Position::Full => "full".to_string(),
    };
    let weight = candidate.weight.map(|weight| format!(":{}", weight.get())).unwrap_or_default();
    format!("{step}{weight}@{}", candidate.at)
}

#[cfg(test)]
mod tests;
