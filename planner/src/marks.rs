//! Orchestra's own annotations on a Cloud Run service: who owns it, and how far its release is. They make the status
//! of a Rollout rebuildable, and they change in the same etag-checked write as the traffic they speak of.

use jiff::Timestamp;
use std::collections::BTreeMap;

use crate::names::{Percent, RevisionName};

const OWNER: &str = "orchestra.cherry-ai.me/owner";
const OWNER_UID: &str = "orchestra.cherry-ai.me/owner-uid";
const STABLE: &str = "orchestra.cherry-ai.me/stable";
const CANDIDATE: &str = "orchestra.cherry-ai.me/candidate";
const STEP: &str = "orchestra.cherry-ai.me/step";
const FAILED: &str = "orchestra.cherry-ai.me/failed";
const KEYS: [&str; 6] = [OWNER, OWNER_UID, STABLE, CANDIDATE, STEP, FAILED];

/// How many steps the schema of a Rollout allows.
const MOST_STEPS: u32 = 20;
/// How many failed revisions are remembered.
const FAILED_KEPT: usize = 20;

/// Orchestra's annotations on one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The Rollout that the service belongs to.
    pub owner: Option<Owner>,
    /// The revision that traffic goes back to.
    pub stable: Option<RevisionName>,
    /// The revision that is taking over, and how far it is.
    pub candidate: Option<CandidateMark>,
    /// Revisions that failed, oldest first.
    pub failed: Vec<RevisionName>,
    /// Annotations of others, written back as they are.
    pub others: BTreeMap<String, String>,
}

/// The Rollout that a service belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `namespace/name` of the Rollout.
    pub name: String,
    /// Its UID; none after it let go of the service, for one of the same name to take it over.
    pub uid: Option<String>,
}

/// The revision that is taking over, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateMark {
    /// Its name.
    pub revision: RevisionName,
    /// Its step.
    pub step: Step,
    /// The weight of that step: the spec may have other steps by the time that this is read.
    pub weight: Option<Percent>,
    /// When that step was written.
    pub at: Timestamp,
}

/// How far a candidate is in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Created, without traffic.
    Deployed,
    /// On a step of the canary, counted from 1.
    Weight(u32),
    /// All traffic.
    Full,
}

impl Marks {
    /// Reads them from a service's annotations. What cannot be understood counts as absent.
    pub fn read(annotations: &BTreeMap<String, String>) -> Self {
        let revision = |key| annotations.get(key).and_then(|v: &String| RevisionName::new(v.as_str()).ok());
        let candidate = revision(CANDIDATE).and_then(|revision| {
            let (step, at) = annotations.get(STEP)?.split_once('@')?;
            let (step, weight) = step.split_once(':').map_or((step, None), |(step, weight)| (step, Some(weight)));
            let step = match step {
                "deployed" => Step::Deployed,
                "full" => Step::Full,
                number => Step::Weight(number.parse().ok().filter(|number| (1..=MOST_STEPS).contains(number))?),
            };
            let weight = weight.and_then(|weight| weight.parse().ok()).map(Percent::clamped);
            Some(CandidateMark { revision, step, weight, at: at.parse().ok()? })
        });
        Self {
            owner: annotations
                .get(OWNER)
                .map(|name| Owner { name: name.clone(), uid: annotations.get(OWNER_UID).cloned() }),
            stable: revision(STABLE),
            candidate,
            failed: annotations
                .get(FAILED)
                .map(|list| list.split(',').filter_map(|name| RevisionName::new(name).ok()).collect())
                .unwrap_or_default(),
            others: annotations
                .iter()
                .filter(|(key, _)| !KEYS.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }

    /// All annotations of the service, those of others among them.
    pub fn write(&self) -> BTreeMap<String, String> {
        let mut annotations = self.others.clone();
        if let Some(owner) = &self.owner {
            annotations.insert(OWNER.into(), owner.name.clone());
            if let Some(uid) = &owner.uid {
                annotations.insert(OWNER_UID.into(), uid.clone());
            }
        }
        if let Some(stable) = &self.stable {
            annotations.insert(STABLE.into(), stable.to_string());
        }
        if let Some(candidate) = &self.candidate {
            let step = match candidate.step {
                Step::Deployed => "deployed".to_string(),
                Step::Weight(number) => number.to_string(),
                Step::Full => "full".to_string(),
            };
            let weight = candidate.weight.map(|weight| format!(":{}", weight.get())).unwrap_or_default();
            annotations.insert(CANDIDATE.into(), candidate.revision.to_string());
            annotations.insert(STEP.into(), format!("{step}{weight}@{}", candidate.at));
        }
        if !self.failed.is_empty() {
            let names: Vec<&str> = self.failed.iter().map(RevisionName::as_str).collect();
            annotations.insert(FAILED.into(), names.join(","));
        }
        annotations
    }

    /// These marks after a candidate failed.
    #[must_use]
    pub fn with_failed(mut self, revision: &RevisionName) -> Self {
        if !self.failed.contains(revision) {
            self.failed.push(revision.clone());
        }
        let extra = self.failed.len().saturating_sub(FAILED_KEPT);
        self.failed.drain(..extra);
        self.candidate = None;
        self
    }

    /// The step of that candidate, if the marks speak of it.
    pub fn candidate_named(&self, revision: &RevisionName) -> Option<&CandidateMark> {
        self.candidate.as_ref().filter(|c| c.revision == *revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn revision(n: u32) -> RevisionName {
        RevisionName::new(format!("api-{n:010}")).unwrap()
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![Just(Step::Deployed), Just(Step::Full), (1..20u32).prop_map(Step::Weight)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            stable in proptest::option::of(0..9u32), candidate in proptest::option::of((0..9u32, step(), 0..2_000_000_000i64)),
            weight in proptest::option::of(0..=100i32),
            failed in proptest::collection::vec(0..99u32, 0..30), owned in any::<bool>(), released in any::<bool>(),
        ) {
            let mut marks = Marks {
                owner: owned.then(|| Owner { name: "shop/api".into(), uid: (!released).then(|| "u-1".into()) }),
                stable: stable.map(revision),
                candidate: None,
                failed: vec![],
                others: BTreeMap::from([("team".to_string(), "core".to_string())]),
            };
            for n in failed {
                marks = marks.with_failed(&revision(n));
            }
            marks.candidate = candidate.map(|(n, step, s)| CandidateMark {
                revision: revision(n), step, weight: weight.map(Percent::clamped), at: Timestamp::from_second(s).unwrap(),
            });
            prop_assert_eq!(Marks::read(&marks.write()), marks);
        }
    }
}
