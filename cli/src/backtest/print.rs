//! A backtest for people, and for machines.

use orchestra_crds::{AnalysisMode, EvidenceStatus, Metric, Verdict};
use orchestra_planner::cloud::Count;
use orchestra_planner::verdict::replay::{Decision, Replayed};
use serde::Serialize;

use super::Backtest;

/// What a machine reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What became of it.
    pub verdict: Decision,
    /// After which minute of the trace: of a pass, the first since which it stood.
    pub minute: i64,
    /// Errors that the candidate answered up to that minute's end.
    pub bad_requests: i64,
    /// Requests that it answered until then.
    pub candidate_requests: i64,
    /// How much of the evidence for a rollback there was, in percent.
    pub evidence_percent: i32,
    /// Why.
    pub reason: String,
    /// What is to be known about it.
    pub notes: Vec<String>,
    /// Minute by minute.
    pub minutes: Vec<ReportedMinute>,
}

/// Where it stood after a minute.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedMinute {
    minute: i64,
    verdict: Verdict,
    evidence_percent: i32,
    evidence: Vec<Part>,
}

/// The evidence of one metric in one region.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(skip_serializing_if = "String::is_empty")]
    region: String,
    metric: Metric,
    verdict: Verdict,
    evidence_percent: i32,
    candidate_requests: i64,
    candidate_bad: i64,
    stable_requests: i64,
    stable_bad: i64,
}

fn part((region, evidence): &(String, EvidenceStatus)) -> Part {
    Part {
        region: region.clone(),
        metric: evidence.metric,
        verdict: evidence.verdict,
        evidence_percent: evidence.evidence_percent,
        candidate_requests: evidence.candidate.total,
        candidate_bad: evidence.candidate.bad,
        stable_requests: evidence.stable.total,
        stable_bad: evidence.stable.bad,
    }
}

/// What is to be known about a backtest.
fn notes(backtest: &Backtest) -> Vec<String> {
    let rows = &backtest.rows;
    let first = rows.iter().filter(|row| row.candidate.requests.total > 0).map(|row| row.minute).min();
    let has_history = first.is_some_and(|first| rows.iter().any(|row| row.minute < first));
    let has_latencies = rows.iter().any(|row| row.candidate.latencies.is_some());
    let mut notes = vec![];
    if first.is_some() && !has_history {
        notes.push(
            "no minutes before the candidate's first: how much stable varies is learned on the way, and there is no ceiling \
             for a candidate alone"
                .to_string(),
        );
    }
    if has_latencies && !has_history {
        notes.push("latency can't be judged: its bounds come from stable's minutes before the release".to_string());
    }
    if backtest.policy.analysis.mode == AnalysisMode::Observe {
        notes.push("mode Observe: a failure would be recorded, and not acted on".to_string());
    }
    let delay = backtest.policy.analysis.metrics_delay_seconds;
    notes.push(format!("a release is told each minute up to {delay} s after its end: it would act that much later"));
    notes
}

/// A backtest for machines.
pub fn report(backtest: &Backtest) -> Report {
    let replay = &backtest.replay;
    let minute = |minute: &Replayed| ReportedMinute {
        minute: minute.minute,
        verdict: minute.verdict,
        evidence_percent: minute.evidence_percent,
        evidence: minute.evidence.iter().map(part).collect(),
    };
    Report {
        verdict: replay.decision,
        minute: replay.minute,
        bad_requests: replay.candidate.bad,
        candidate_requests: replay.candidate.total,
        evidence_percent: replay.minutes.last().map_or(0, |last| last.evidence_percent),
        reason: replay.reason.clone(),
        notes: notes(backtest),
        minutes: replay.minutes.iter().map(minute).collect(),
    }
}

/// A backtest for people: a line for each minute, and what became of it.
pub fn as_text(backtest: &Backtest) -> Vec<String> {
    let replay = &backtest.replay;
    let count = |count: Count| format!("{} of {}", count.bad, count.total);
    let line = |minute: &Replayed| {
        format!(
            "{:>7}  {:>18}  {:>18}  {:>9}  {}",
            minute.minute,
            count(minute.candidate),
            count(minute.stable),
            format!("{} %", minute.evidence_percent),
            in_a_word(minute)
        )
    };
    let mut lines = vec![format!(
        "{:>7}  {:>18}  {:>18}  {:>9}  {}",
        "minute", "candidate failed", "stable failed", "rollback?", "verdict"
    )];
    lines.extend(replay.minutes.iter().map(line));
    lines.push(String::new());
    let Count { total, bad } = replay.candidate;
    lines.push(match replay.decision {
        Decision::Fail => {
            format!("taken back after minute {}: {bad} of {total} requests of the candidate had failed", replay.minute)
        }
        Decision::Pass => {
            format!("harm is ruled out since minute {}, and nothing spoke against it since", replay.minute)
        }
        Decision::Inconclusive => format!("undecided at its end, after {total} requests of the candidate"),
    });
    lines.push(format!("  {}", replay.reason));
    lines.extend(notes(backtest).into_iter().map(|note| format!("  note: {note}")));
    lines
}

fn in_a_word(minute: &Replayed) -> &'static str {
    match minute.verdict {
        Verdict::NoData => "not counted yet",
        Verdict::Fail => "worse, sure enough to roll back",
        Verdict::Pass => "harm is ruled out",
        Verdict::Undecided if minute.evidence_percent > 0 => "signs that it is worse",
        Verdict::Undecided => "undecided",
    }
}
