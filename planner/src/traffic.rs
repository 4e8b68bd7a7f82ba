//! Traffic splits. Every split made here names revisions, sums to 100, and keeps the tags that people put on.

use crate::cloud::{Target, TrafficTarget};
use crate::names::{Percent, RevisionName, ServiceName};

/// The tag of a revision that is kept warm without requests. It is Orchestra's own.
pub const KEPT_WARM: &str = "kept-warm";

/// The tag that gives a candidate an address of its own. It is Orchestra's on a revision that Orchestra has named.
pub const CANDIDATE: &str = "candidate";

/// Whether a target is a candidate's address.
pub fn is_address(target: &TrafficTarget, service: &ServiceName) -> bool {
    let is_made = matches!(&target.to, Target::Revision(revision) if revision.is_made_for(service));
    is_made && target.tag.as_deref() == Some(CANDIDATE)
}

/// The same with an address for the candidate, unless somebody else uses that tag.
pub fn with_address(candidate: &RevisionName, mut traffic: Vec<TrafficTarget>) -> Vec<TrafficTarget> {
    if !is_addressed(&traffic) {
        traffic.push(TrafficTarget { tag: Some(CANDIDATE.into()), ..share(candidate, Percent::NONE) });
    }
    traffic
}

/// Whether that tag is in use, by whomever.
pub fn is_addressed(traffic: &[TrafficTarget]) -> bool {
    traffic.iter().any(|target| target.tag.as_deref() == Some(CANDIDATE))
}

/// The same without the addresses of candidates, but for one that keeps its own. No share goes with it.
pub fn without_address(
    traffic: &[TrafficTarget],
    service: &ServiceName,
    but: Option<&RevisionName>,
) -> Vec<TrafficTarget> {
    let stays = |target: &TrafficTarget| {
        !is_address(target, service) || matches!(&target.to, Target::Revision(revision) if Some(revision) == but)
    };
    let without = |target: &TrafficTarget| match stays(target) {
        true => target.clone(),
        false => TrafficTarget { tag: None, ..target.clone() },
    };
    traffic.iter().filter(|target| stays(target) || target.percent > Percent::NONE).map(without).collect()
}

/// Whether a candidate has its address.
pub fn has_address(candidate: &RevisionName, traffic: &[TrafficTarget]) -> bool {
    let is_its = |target: &TrafficTarget| target.to == Target::Revision(candidate.clone());
    traffic.iter().any(|target| is_its(target) && target.tag.as_deref() == Some(CANDIDATE))
}

/// The revision that is kept warm.
pub fn kept_warm(traffic: &[TrafficTarget]) -> Option<&RevisionName> {
    let tagged = traffic.iter().find(|target| target.tag.as_deref() == Some(KEPT_WARM))?;
    match &tagged.to {
        Target::Revision(revision) => Some(revision),
        Target::Latest => None,
    }
}

/// The same shares and other tags, with that tag on a revision, or on none.
pub fn keeping_warm(revision: Option<&RevisionName>, before: &[TrafficTarget]) -> Vec<TrafficTarget> {
    let is_ours = |target: &TrafficTarget| target.tag.as_deref() == Some(KEPT_WARM);
    let without = |target: &TrafficTarget| match is_ours(target) {
        true => TrafficTarget { tag: None, ..target.clone() },
        false => target.clone(),
    };
    let tag = revision.map(|revision| TrafficTarget { tag: Some(KEPT_WARM.into()), ..share(revision, Percent::NONE) });
    let kept = before.iter().filter(|target| !is_ours(target) || target.percent > Percent::NONE).map(without);
    kept.chain(tag).collect()
}

/// Everything to one revision.
pub fn all_to(revision: &RevisionName, before: &[TrafficTarget]) -> Vec<TrafficTarget> {
    with_tags(vec![share(revision, Percent::ALL)], before)
}

/// A share to the candidate, the rest to stable.
pub fn split(
    stable: &RevisionName,
    candidate: &RevisionName,
    weight: Percent,
    before: &[TrafficTarget],
) -> Vec<TrafficTarget> {
    let shares = [share(stable, weight.rest()), share(candidate, weight)];
    with_tags(shares.into_iter().filter(|t| t.percent > Percent::NONE).collect(), before)
}

/// The shares that are in effect, with the tags that were asked for; none: they are not all of named revisions.
pub fn as_served(serving: &[TrafficTarget], before: &[TrafficTarget]) -> Option<Vec<TrafficTarget>> {
    let shares = serving.iter().filter(|target| target.percent > Percent::NONE);
    let shares: Vec<TrafficTarget> = shares.map(|target| TrafficTarget { tag: None, ..target.clone() }).collect();
    let named = shares.iter().all(|target| target.to != Target::Latest);
    let sum: i32 = shares.iter().map(|target| target.percent.get()).sum();
    (named && sum == Percent::ALL.get()).then(|| with_tags(shares, before))
}

fn share(revision: &RevisionName, percent: Percent) -> TrafficTarget {
    TrafficTarget { to: Target::Revision(revision.clone()), percent, tag: None }
}

fn with_tags(mut shares: Vec<TrafficTarget>, before: &[TrafficTarget]) -> Vec<TrafficTarget> {
    shares.extend(
        before.iter().filter(|t| t.tag.is_some()).map(|t| TrafficTarget { percent: Percent::NONE, ..t.clone() }),
    );
    shares
}

/// The revisions that it names.
pub fn revisions(traffic: &[TrafficTarget]) -> impl Iterator<Item = &RevisionName> {
    traffic.iter().filter_map(|target| match &target.to {
        Target::Revision(revision) => Some(revision),
        Target::Latest => None,
    })
}

/// The share of one revision, tags included.
pub fn weight_of(revision: &RevisionName, traffic: &[TrafficTarget]) -> Percent {
    let sum =
        traffic.iter().filter(|t| matches!(&t.to, Target::Revision(r) if r == revision)).map(|t| t.percent.get()).sum();
    Percent::clamped(sum)
}

/// Whether two splits send the same shares to the same revisions.
pub fn same_shares(a: &[TrafficTarget], b: &[TrafficTarget]) -> bool {
    let names = |traffic: &[TrafficTarget]| -> Vec<(String, i32)> {
        let mut shares = std::collections::BTreeMap::new();
        for target in traffic.iter().filter(|t| t.percent > Percent::NONE) {
            let name = match &target.to {
                Target::Latest => "LATEST".to_string(),
                Target::Revision(name) => name.to_string(),
            };
            *shares.entry(name).or_insert(0) += target.percent.get();
        }
        shares.into_iter().collect()
    };
    names(a) == names(b)
}

/// The revision that most users meet.
pub fn busiest(serving: &[TrafficTarget]) -> Option<&RevisionName> {
    let most = serving.iter().filter(|target| target.percent > Percent::NONE).max_by_key(|target| target.percent);
    most.and_then(|target| match &target.to {
        Target::Revision(revision) => Some(revision),
        Target::Latest => None,
    })
}

/// The one revision that gets everything, if there is one.
pub fn only_revision(traffic: &[TrafficTarget]) -> Option<&RevisionName> {
    traffic.iter().find_map(|t| match &t.to {
        Target::Revision(name) if weight_of(name, traffic) == Percent::ALL => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn revision(n: u8) -> RevisionName {
        RevisionName::new(format!("api-{n}")).unwrap()
    }

    fn target() -> impl Strategy<Value = TrafficTarget> {
        (0..4u8, 0..100, proptest::option::of("[a-z]{1,5}")).prop_map(|(n, percent, tag)| TrafficTarget {
            to: if n == 0 { Target::Latest } else { Target::Revision(revision(n)) },
            percent: Percent::clamped(percent),
            tag,
        })
    }

    proptest! {
        #[test]
        fn a_split_sums_to_100_is_pinned_and_keeps_tags(
            weight in 0..=100, before in proptest::collection::vec(target(), 0..5)
        ) {
            let weight = Percent::clamped(weight);
            let after = split(&revision(8), &revision(9), weight, &before);
            prop_assert_eq!(after.iter().map(|t| t.percent.get()).sum::<i32>(), 100);
            prop_assert!(after.iter().all(|t| t.to != Target::Latest || t.percent == Percent::NONE));
            prop_assert_eq!(weight_of(&revision(9), &after), weight);
            let tags = |t: &[TrafficTarget]| t.iter().filter_map(|t| t.tag.clone()).collect::<Vec<_>>();
            prop_assert_eq!(tags(&before), tags(&after));
        }
    }
}
