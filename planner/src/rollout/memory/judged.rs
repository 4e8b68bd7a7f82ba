//! What was counted of a release, as it is kept on record once it is over.

use orchestra_crds::{CountStatus, EvidenceStatus, FastStatus, JudgedRecord, Lane, Metric, Verdict};
use std::collections::BTreeMap;

use super::Memory;
use crate::cloud::Count;
use crate::names::ReleaseId;
use crate::verdict::{Judgement, Pair, decisive, leans_to_harm};

/// How much of it is kept: a status has room for so much of each release.
const MOST_KEPT: usize = 6;

/// What was counted, over all regions: what says most comes first.
pub(super) fn of(memory: &Memory, release: &ReleaseId) -> Vec<JudgedRecord> {
    let release = release.to_string();
    let mut all = BTreeMap::<_, JudgedRecord>::new();
    for region in memory.regions.values() {
        let by_minutes = region.evidence.iter().filter(|evidence| evidence.release == release).map(by_minutes);
        // A lane that was off has counted nothing.
        let tells =
            |fast: &&FastStatus| fast.verdict != Verdict::NoData || fast.candidate_failed + fast.stable_failed > 0;
        let by_logs = region.fast.iter().filter(|fast| fast.release == release).filter(tells).map(by_logs);
        for told in by_minutes.chain(by_logs) {
            let key = (told.lane == Lane::RequestLogs, told.metric);
            let known = all.remove(&key).map_or_else(|| told.clone(), |known| together(known, &told));
            all.insert(key, known);
        }
    }
    let mut kept: Vec<JudgedRecord> = all.into_values().collect();
    kept.sort_by_key(|told| std::cmp::Reverse(told.evidence_percent));
    kept.truncate(MOST_KEPT);
    kept
}

fn by_minutes(evidence: &EvidenceStatus) -> JudgedRecord {
    // What decided, where that is not all that was counted.
    let Pair { candidate, stable } = decisive(evidence).map_or_else(|| all(evidence), |(_, counted)| counted);
    JudgedRecord {
        metric: evidence.metric,
        lane: if evidence.looks.is_some() { Lane::Looks } else { Lane::Minutes },
        verdict: standing(evidence),
        evidence_percent: evidence.evidence_percent,
        candidate_bad: candidate.bad,
        stable_bad: stable.bad,
        candidate_total: Some(candidate.total),
        stable_total: Some(stable.total),
        failed_looks: evidence.looks.as_ref().map(|looks| looks.failed),
    }
}

fn all(evidence: &EvidenceStatus) -> Pair {
    let count = |count: CountStatus| Count { total: count.total, bad: count.bad };
    Pair { candidate: count(evidence.candidate), stable: count(evidence.stable) }
}

/// Where it stood: at 100 % nothing is beside it, and what was ruled out before stays so.
fn standing(evidence: &EvidenceStatus) -> Verdict {
    let was_ruled_out = || Judgement::read(&evidence.state).is_some_and(|judgement| judgement.is_ruled_out());
    match evidence.verdict {
        Verdict::Undecided if !leans_to_harm(evidence) && evidence.looks.is_none() && was_ruled_out() => Verdict::Pass,
        verdict => verdict,
    }
}

fn by_logs(fast: &FastStatus) -> JudgedRecord {
    JudgedRecord {
        metric: Metric::ERRORS,
        lane: Lane::RequestLogs,
        verdict: fast.verdict,
        evidence_percent: fast.evidence_percent,
        candidate_bad: fast.candidate_failed,
        stable_bad: fast.stable_failed,
        candidate_total: None,
        stable_total: None,
        failed_looks: None,
    }
}

/// What two regions tell.
fn together(one: JudgedRecord, other: &JudgedRecord) -> JudgedRecord {
    let sum = |one: Option<i64>, other: Option<i64>| Some(one?.saturating_add(other?));
    // What failed is told by what decided, which is another thing than all that was counted elsewhere.
    match (one.verdict, other.verdict) {
        (Verdict::Fail, Verdict::Fail) => {}
        (Verdict::Fail, _) => return one,
        (_, Verdict::Fail) => return other.clone(),
        _ => {}
    }
    let says_more = other.evidence_percent > one.evidence_percent;
    let (verdict, evidence_percent) =
        if says_more { (other.verdict, other.evidence_percent) } else { (one.verdict, one.evidence_percent) };
    JudgedRecord {
        verdict,
        evidence_percent,
        candidate_bad: one.candidate_bad.saturating_add(other.candidate_bad),
        stable_bad: one.stable_bad.saturating_add(other.stable_bad),
        candidate_total: sum(one.candidate_total, other.candidate_total),
        stable_total: sum(one.stable_total, other.stable_total),
        failed_looks: one.failed_looks.max(other.failed_looks),
        ..one
    }
}
