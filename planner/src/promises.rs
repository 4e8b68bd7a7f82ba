//! The promises of the design as pure code: what a plan must never do, asked by the shell before it acts. The numbers are
//! the design's; docs/promises.md lists where each is kept and checked.

use std::fmt;

use crate::cloud::{ServiceView, Target, TrafficTarget};
use crate::names::{Percent, ReleaseId, RevisionName, ServiceName};
use crate::plan::{Effect, ServiceChange, writes_each_resource_once};
use crate::rollout::{Observation, paused};
use crate::traffic::{KEPT_WARM, is_address, revisions, weight_of};

/// A promise that a plan would break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its number in the design.
    pub promise: u32,
    /// How.
    pub why: String,
    /// Whether the write that breaks it only takes traffic from a candidate to stable. Such a write is counted and done.
    pub only_back: bool,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promise {} would be broken: {}", self.promise, self.why)
    }
}

/// What is wrong with effects whatever they are about: each resource is written once, and each write of a service carries
/// the etag of what was read.
pub fn broken_by_any(effects: &[Effect]) -> Option<Broken> {
    if !writes_each_resource_once(effects) {
        return Some(Broken { promise: 18, why: "one resource would be written twice".into(), only_back: false });
    }
    effects.iter().find_map(|effect| match effect {
        Effect::UpdateService { service, etag, .. } | Effect::DeleteService { service, etag } if etag.0.is_empty() => {
            Some(Broken {
                promise: 7,
                why: format!("{} would be written without an etag", service.name),
                only_back: false,
            })
        }
        Effect::SetPolicy { service, policy } if policy.etag.0.is_empty() => {
            let why = format!("the policy of {} would be written without an etag", service.name);
            Some(Broken { promise: 7, why, only_back: false })
        }
        _ => None,
    })
}

/// The promise that effects of a Rollout would break, by what was seen: of several, one by a write that does not only go
/// back.
pub fn broken_by_rollout(seen: &Observation, effects: &[Effect]) -> Option<Broken> {
    let broken = || effects.iter().filter_map(|effect| of_effect(seen, effect));
    broken_by_any(effects).or_else(|| broken().min_by_key(|broken| broken.only_back))
}

fn of_effect(seen: &Observation, effect: &Effect) -> Option<Broken> {
    match effect {
        Effect::CreateService { new, .. } => of_shares(&new.traffic, false),
        Effect::UpdateService { service, change, etag } => {
            let view = seen.regions.iter().find(|region| region.id == *service)?.service.as_ref().ok()?.as_ref()?;
            if view.etag != *etag {
                let why = format!("{}: the etag is not that of the read", service.region);
                return Some(Broken { promise: 7, why, only_back: false });
            }
            let traffic = change.traffic.as_ref()?;
            let back = only_back(&view.traffic, traffic, change);
            // The release that the write is for may be another than the one before.
            let of_write = change.marks.as_ref().and_then(|marks| marks.candidate.as_ref());
            let release = of_write.or(view.marks.candidate.as_ref()).map(|candidate| &candidate.release);
            let moved = Move {
                region: service.region.as_str(),
                service: &service.name,
                view,
                traffic,
                release,
                only_back: back,
            };
            of_shares(traffic, back).or_else(|| of_move(seen, &moved))
        }
        Effect::DeleteRevision { service, revision } => {
            let view = seen.regions.iter().find(|region| region.id == *service)?.service.as_ref().ok()?.as_ref()?;
            let is_stable = view.marks.stable.as_ref() == Some(revision);
            let is_used = revisions(&view.traffic).chain(revisions(&view.serving)).any(|used| used == revision);
            let why = format!("{}: `{revision}` would be deleted while it is needed", service.region);
            (is_stable || is_used).then_some(Broken { promise: 6, why, only_back: false })
        }
        _ => None,
    }
}

/// Whether traffic only goes back: to stable, or to one that has some already or was promoted, and is not the candidate.
fn only_back(before: &[TrafficTarget], after: &[TrafficTarget], change: &ServiceChange) -> bool {
    let only = crate::traffic::only_revision(after);
    let marks = change.marks.as_ref();
    let stable = marks.and_then(|marks| marks.stable.as_ref());
    let takes_over = |only| marks.is_some_and(|marks| marks.candidate_named(only).is_some() || marks.has_failed(only));
    let promoted = |only: &RevisionName| marks.is_some_and(|marks| marks.promoted.iter().any(|p| p.revision == *only));
    let is_home = |only| promoted(only) || weight_of(only, before) > Percent::NONE;
    only.is_some_and(|only| stable == Some(only) || (!takes_over(only) && is_home(only))) && change.template.is_none()
}

/// A write of traffic: where, what was read there, what would be, and the release that it is for.
#[derive(Clone, Copy)]
struct Move<'a> {
    region: &'a str,
    service: &'a ServiceName,
    view: &'a ServiceView,
    traffic: &'a [TrafficTarget],
    release: Option<&'a ReleaseId>,
    only_back: bool,
}

/// 1 and 2: shares sum to 100, are pinned, and two revisions serve at most.
fn of_shares(traffic: &[TrafficTarget], only_back: bool) -> Option<Broken> {
    let sum: i32 = traffic.iter().map(|t| t.percent.get()).sum();
    let broken = |promise, why| Some(Broken { promise, why, only_back });
    if sum != 100 {
        return broken(1, format!("shares would sum to {sum}"));
    }
    if traffic.iter().any(|t| t.to == Target::Latest && t.percent > Percent::NONE) {
        return broken(1, "the newest revision would have a share".into());
    }
    let serving = revisions(traffic).filter(|revision| weight_of(revision, traffic) > Percent::NONE);
    let serving: std::collections::BTreeSet<&RevisionName> = serving.collect();
    if serving.len() > 2 {
        return broken(2, format!("{} revisions would serve", serving.len()));
    }
    None
}

/// 3, 5 and 8: what failed gets no more, nothing moves forward while paused or while the service is changing.
fn of_move(seen: &Observation, moved: &Move<'_>) -> Option<Broken> {
    let Move { region, service, view, traffic, release, only_back } = *moved;
    let broken = |promise, why| Some(Broken { promise, why, only_back });
    // Of the newest revision, whatever it is, the shares in effect tell the name.
    let by_name = view.traffic.iter().all(|target| target.to != Target::Latest || target.percent == Percent::NONE);
    let before = if by_name { &view.traffic } else { &view.serving };
    let grows = |revision: &&RevisionName| weight_of(revision, traffic) > weight_of(revision, before);
    let stable = seen.rollout.status.as_ref().and_then(|s| s.stable.as_ref()).map(|s| s.revision.as_str());
    let gaining: Vec<&RevisionName> =
        revisions(traffic).filter(grows).filter(|revision| Some(revision.as_str()) != stable).collect();
    let theirs = |target: &&TrafficTarget| !is_address(target, service);
    let tagged = |target: &TrafficTarget| target.tag.clone().filter(|tag| tag != KEPT_WARM);
    let (before, after): (Vec<_>, Vec<_>) = (
        view.traffic.iter().filter(theirs).filter_map(tagged).collect(),
        traffic.iter().filter(theirs).filter_map(tagged).collect(),
    );
    if before != after {
        return broken(2, format!("{region}: tags would change from {before:?} to {after:?}"));
    }
    if let Some(failed) = gaining.iter().find(|revision| view.marks.has_failed(revision)) {
        return broken(3, format!("{region}: the failed `{failed}` would get more traffic"));
    }
    if paused(&seen.rollout, release).is_some() && !gaining.is_empty() && stable.is_some() {
        let returns = seen.rollout.status.iter().flat_map(|s| &s.promoted).any(|p| gaining[0].as_str() == p.revision);
        if !returns {
            return broken(5, format!("{region}: `{}` would get more traffic while paused", gaining[0]));
        }
    }
    let candidate = view.marks.candidate.as_ref().map(|c| &c.release.revision);
    if !view.settled && !view.serving.is_empty() && gaining.iter().any(|revision| Some(*revision) == candidate) {
        return broken(8, format!("{region}: a step would be taken while the service is changing"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(name: &str, percent: i32) -> TrafficTarget {
        let to = Target::Revision(RevisionName::new(name).unwrap());
        TrafficTarget { to, percent: Percent::clamped(percent), tag: None }
    }

    #[test]
    fn shares_that_dont_sum_or_are_not_pinned_are_told() {
        assert_eq!(of_shares(&[to("a", 90), to("b", 10)], false), None);
        assert_eq!(of_shares(&[to("a", 90)], false).map(|b| b.promise), Some(1));
        let latest = TrafficTarget { to: Target::Latest, percent: Percent::ALL, tag: None };
        assert_eq!(of_shares(&[latest], false).map(|b| b.promise), Some(1));
        assert_eq!(of_shares(&[to("a", 80), to("b", 10), to("c", 10)], false).map(|b| b.promise), Some(2));
    }
}
