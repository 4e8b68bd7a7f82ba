//! The evidence in words.

use orchestra_crds::{Analysis, CountStatus, EvidenceStatus, LooksStatus, Metric, Preset, Promql, Threshold, Verdict};

use super::kind::Need;
use super::trial::LEAST_CEILING;
use super::{Judgement, Pair, is_all_bad, leans_to_harm};
use crate::cloud::Count;

/// By how much more often bad instances are told of, once their breach is over.
const WORSE_BY: f64 = 0.05;

/// The evidence in one line, for people.
pub fn in_words(evidence: &EvidenceStatus, settings: &Analysis) -> String {
    let none = if what(evidence.metric).is_some() { "nothing" } else { "no requests" };
    let fault = evidence.fault.as_ref().map(|fault| format!("; {fault}")).unwrap_or_default();
    let earlier = matches!(evidence.verdict, Verdict::NoData) && evidence.candidate.total > 0;
    let decisive = decisive(evidence);
    let (candidate, stable, when) = match decisive {
        Some((_, Pair { candidate, stable })) => (count(candidate), count(stable), ", since it went wrong"),
        None => (evidence.candidate, evidence.stable, ""),
    };
    let slow_above = evidence.slow_above_micros.map(|known| decisive.map_or(known, |(bound, _)| bound));
    let bad = bad_of(evidence.metric, settings, slow_above);
    let rate = |count: CountStatus| match count.total {
        0 => none.to_string(),
        total => format!("{} of {total} {bad} ({:.2} %)", count.bad, count.bad as f64 * 100.0 / total as f64),
    };
    if evidence.candidate.total == 0 {
        let stable = evidence.stable.total;
        return format!("{}, and {stable} of stable at the same time{fault}", standing(evidence, settings));
    }
    let is_ratio = settings.promql(evidence.metric).is_some_and(|promql| promql.ratio.is_some());
    let fault = match (is_ratio, evidence.candidate.bad + evidence.stable.bad) {
        (true, 0) => format!("; `bad` has found nothing of either so far{fault}"),
        (true, _) if is_all_bad(evidence) => {
            format!("; `bad` has found all that `total` has, of both: is it the right query?{fault}")
        }
        _ => fault,
    };
    let over = if is_alone(evidence) { "; over the whole release" } else { "" };
    format!(
        "{}{}: candidate {}, stable {} {}{when}{fault}",
        standing(evidence, settings),
        if earlier { "; before it" } else { over },
        rate(candidate),
        if over.is_empty() || earlier { "at the same time" } else { "while it had requests, too," },
        rate(stable)
    )
}

/// What is said of the bad ones of a metric, after how many of how many they are; from when on they are slow, where known.
pub(super) fn bad_of(metric: Metric, settings: &Analysis, slow_above: Option<i64>) -> String {
    let slow = || match slow_above {
        Some(micros) => format!("slower than {}", milliseconds(micros)),
        None => "slow (stable has no history to say what is)".to_string(),
    };
    let named = |promql: &Promql| match (&promql.histogram, &promql.gauge) {
        (Some(_), _) => slow(),
        (None, Some(gauge)) => format!("above {}", gauge.bad_above),
        (None, None) => "bad".to_string(),
    };
    match metric {
        Metric::Preset(Preset::Errors) => "requests failed".to_string(),
        Metric::Preset(Preset::ClientErrors) => "answered with 4xx".to_string(),
        Metric::Preset(Preset::TooManyRequests) => "answered with 429".to_string(),
        Metric::Preset(Preset::Latency) => slow(),
        Metric::Preset(Preset::CpuUtilization) => "looks at instances above 90 % of their CPU".to_string(),
        Metric::Preset(Preset::MemoryUtilization) => "looks at instances above 90 % of their memory".to_string(),
        Metric::Preset(Preset::HealthChecks) => "liveness probes failed".to_string(),
        Metric::Preset(Preset::StartupFailures) => "startup probes failed".to_string(),
        Metric::Named(name) => format!("of {name} {}", settings.promql(metric).map_or("bad".to_string(), named)),
    }
}

/// Evidence by several metrics in one line: what is the same for each is said once.
pub fn all_in_words(evidence: &[&EvidenceStatus], settings: &Analysis) -> String {
    let mut told: Vec<String> = vec![];
    let mut sorted = evidence.to_vec();
    // What says most against it is read first.
    sorted.sort_by_key(|evidence| std::cmp::Reverse(evidence.evidence_percent));
    for words in sorted.into_iter().map(|evidence| in_words(evidence, settings)) {
        if !told.contains(&words) {
            told.push(words);
        }
    }
    told.join("; ")
}

/// What tells that a candidate fails, if that is not all that was counted: since it went wrong, and of latencies by the bound
/// that says most.
pub fn decisive(evidence: &EvidenceStatus) -> Option<(i64, Pair)> {
    let is_compared = evidence.verdict == Verdict::Fail && evidence.looks.is_none() && ceiling(evidence).is_none();
    let (bound, since) = Judgement::read(&evidence.state).filter(|_| is_compared)?.since_wrong()?;
    let differs = evidence.slow_above_micros.is_some_and(|told| told != bound);
    let is_part = since.candidate.total < evidence.candidate.total;
    (since.candidate.bad > 0 && (is_part || differs)).then_some((bound, since))
}

/// The ceiling, where that is what a candidate is above.
fn ceiling(evidence: &EvidenceStatus) -> Option<f64> {
    Judgement::read(&evidence.state)?.ceiling_that_tells()
}

fn count(Count { total, bad }: Count) -> CountStatus {
    CountStatus { total, bad }
}

/// Where the evidence stands, without the counts.
pub fn standing(evidence: &EvidenceStatus, settings: &Analysis) -> String {
    if let (Some(limits), Some(looks)) = (settings.limits(), &evidence.looks) {
        return by_limits(evidence.verdict, looks, &limits);
    }
    match evidence.verdict {
        Verdict::NoData if evidence.step_candidate > 0 => {
            format!("nothing more of the candidate comes by {}", evidence.metric)
        }
        Verdict::NoData => {
            let at_step = if evidence.candidate.total > 0 { " at this step" } else { "" };
            match what(evidence.metric) {
                Some(named) => {
                    format!("nothing of the candidate{at_step} is counted yet by {named}{}", hint(evidence))
                }
                None if was_ruled_out(evidence) => {
                    format!("harm was ruled out beside stable; no requests of the candidate{at_step} are counted yet")
                }
                None => format!("no requests of the candidate{at_step} are counted yet"),
            }
        }
        Verdict::Fail => match ceiling(evidence) {
            Some(ceiling) => {
                let by = if ceiling > LEAST_CEILING { ", which stable's last day sets" } else { ", the lowest there is" };
                let rate = ceiling * 100.0;
                format!("sure enough that it is now above the ceiling of {rate:.1} %{by}; over the whole release")
            }
            None => "sure enough that it is worse".to_string(),
        },
        Verdict::Pass if evidence.candidate.total == 0 => format!("nothing was measured by {}", evidence.metric),
        Verdict::Pass if Need::of(evidence.metric, settings) < Need::NoHarm && was_worse(evidence) => {
            "no breach goes on now, and those that were are no proof that it is worse".to_string()
        }
        Verdict::Pass if Need::of(evidence.metric, settings) < Need::NoHarm => "no sign that it is worse".to_string(),
        Verdict::Pass => "harm is ruled out".to_string(),
        Verdict::Undecided if evidence.evidence_percent >= 100 => {
            "sure enough that it is worse, by less than minimumIncreaseBasisPoints and relativeIncreasePercent let matter".into()
        }
        Verdict::Undecided
            if leans_to_harm(evidence) && evidence.stable.total == 0 && what(evidence.metric).is_some() =>
        {
            format!("bad ones by {}, of which stable has none at all to compare with", evidence.metric)
        }
        Verdict::Undecided if leans_to_harm(evidence) => {
            format!("signs that it is worse, {} % of what a rollback needs", evidence.evidence_percent)
        }
        Verdict::Undecided if is_alone(evidence) => alone(evidence),
        Verdict::Undecided
            if matches!(evidence.metric, Metric::Preset(_))
                && evidence.step_candidate < i64::from(settings.minimum_requests) =>
        {
            format!("undecided so far: {} of {} requests judged", evidence.step_candidate, settings.minimum_requests)
        }
        Verdict::Undecided => "no sign that it is worse, and harm not ruled out yet".to_string(),
    }
}

/// Whether instances of the candidate were bad, and clearly more often than stable's.
fn was_worse(evidence: &EvidenceStatus) -> bool {
    let rate = |count: CountStatus| if count.total == 0 { 0.0 } else { count.bad as f64 / count.total as f64 };
    rate(evidence.candidate) > WORSE_BY + rate(evidence.stable)
}

/// What may be wrong where nothing comes of a metric.
fn hint(evidence: &EvidenceStatus) -> &'static str {
    match evidence.metric {
        // A query that was refused has found nothing out.
        Metric::Named(_) if evidence.fault.is_none() && had_empty_minutes(evidence) => {
            ": do its queries find that revision?"
        }
        Metric::Named(_) | Metric::Preset(_) => "",
    }
}

/// Whether minutes were closed without any values.
fn had_empty_minutes(evidence: &EvidenceStatus) -> bool {
    Judgement::read(&evidence.state).is_some_and(|judgement| judgement.has_empty())
}

/// Whether what a metric counts are requests.
pub fn counts_requests(metric: Metric) -> bool {
    matches!(metric, Metric::Preset(Preset::Errors | Preset::Latency | Preset::ClientErrors | Preset::TooManyRequests))
}

/// What a metric is called that counts something else than requests.
fn what(metric: Metric) -> Option<String> {
    (!counts_requests(metric)).then(|| metric.to_string())
}

/// Whether it is told to be alone, without more to say.
fn is_alone(evidence: &EvidenceStatus) -> bool {
    let says_nothing = evidence.verdict == Verdict::Undecided && !leans_to_harm(evidence);
    says_nothing && evidence.step_stable == 0 && evidence.looks.is_none()
}

/// Whether harm was ruled out before a step of which nothing is counted yet.
fn was_ruled_out(evidence: &EvidenceStatus) -> bool {
    Judgement::read(&evidence.state).is_some_and(|judgement| judgement.is_ruled_out())
}

/// Where evidence stands at a step at which stable has no requests: it has all of them, or nobody calls stable.
fn alone(evidence: &EvidenceStatus) -> String {
    let judgement = Judgement::read(&evidence.state).unwrap_or_default();
    let beside = match judgement.is_ruled_out() {
        true => "harm was ruled out beside stable",
        false => "nothing of stable is beside it to compare with",
    };
    match judgement.ceiling() {
        Some(ceiling) => format!("{beside}, and it is not above the ceiling of {:.1} %", ceiling * 100.0),
        None => beside.to_string(),
    }
}

/// Where a step's looks against fixed limits stand.
fn by_limits(verdict: Verdict, looks: &LooksStatus, limits: &Threshold) -> String {
    let LooksStatus { succeeded, failed, inconclusive, empty_in_a_row, .. } = looks;
    let limit = limits.failure_limit;
    let told = match verdict {
        Verdict::Fail => "the limits say that it is bad".to_string(),
        Verdict::Pass => "it is within its limits".to_string(),
        Verdict::NoData if *empty_in_a_row > 0 => {
            let looks = looks_in_words(*empty_in_a_row);
            return format!("{empty_in_a_row} {looks} in a row saw no requests of the candidate");
        }
        Verdict::NoData => return "no look saw requests of the candidate yet".to_string(),
        Verdict::Undecided => "it is not known yet whether it is within its limits".to_string(),
    };
    let neither = match inconclusive {
        0 => String::new(),
        inconclusive => format!(", {inconclusive} neither"),
    };
    let why = match (&looks.last_failure, failed) {
        (Some(why), 1) => format!(": {why}"),
        (Some(why), _) => format!(", the last because {why}"),
        (None, _) => String::new(),
    };
    format!("{told}: {succeeded} {} succeeded{neither}, {failed} failed ({limit} may){why}", looks_in_words(*succeeded))
}

fn looks_in_words(number: i32) -> &'static str {
    if number == 1 { "look" } else { "looks" }
}

/// Microseconds as milliseconds, as exact as a person reads.
pub(super) fn milliseconds(micros: i64) -> String {
    match micros {
        micros if micros < 10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        micros => format!("{} ms", (micros + 500) / 1_000),
    }
}
