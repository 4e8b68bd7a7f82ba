//! A backtest for people, and for machines.

use orchestra_crds::{AnalysisMode, EvidenceStatus, Metric, Preset, Verdict};
use orchestra_planner::cloud::Count;
use orchestra_planner::verdict::replay::{Decision, Replayed};
use serde::Serialize;

use super::Backtest;

/// What a machine reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whose it is, where that is known.
    #[serde(flatten)]
    pub release: Option<ReportedRelease>,
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

/// Which revision took over from which.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedRelease {
    region: String,
    revision: String,
    stable: String,
    /// The minute of its first requests, from which minutes are counted.
    began: String,
}

/// Where it stood after a minute.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedMinute {
    minute: i64,
    verdict: Verdict,
    evidence_percent: i32,
    /// What was answered in that minute, and how much of it with 5xx.
    candidate_requests: i64,
    candidate_errors: i64,
    stable_requests: i64,
    stable_errors: i64,
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
    /// In mode Threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    looks: Option<Looks>,
}

/// Looks against fixed limits so far.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Looks {
    succeeded: i32,
    failed: i32,
    inconclusive: i32,
    empty_in_a_row: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
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
        looks: evidence.looks.as_ref().map(|looks| Looks {
            succeeded: looks.succeeded,
            failed: looks.failed,
            inconclusive: looks.inconclusive,
            empty_in_a_row: looks.empty_in_a_row,
            last_failure: looks.last_failure.clone(),
        }),
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
    if backtest.release.is_some() {
        notes.push("weights are not recorded: minutes in which they changed count, too".to_string());
    }
    if backtest.policy.analysis.mode == AnalysisMode::Threshold {
        notes.push("mode Threshold: fixed limits, which say nothing about chance".to_string());
    }
    let recorded = Preset::DEFAULT.map(Metric::Preset);
    for metric in backtest.policy.analysis.judged().iter().filter(|metric| !recorded.contains(metric)) {
        notes.push(format!("{metric} is not judged: a record has errors and latencies only"));
    }
    let delay = backtest.policy.analysis.metrics_delay_seconds;
    notes.push(format!("a release is told each minute up to {delay} s after its end: it would act that much later"));
    notes
}

/// A trace judged again is one report, releases that Cloud Monitoring remembers are a list of them.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Printed {
    /// Of a trace.
    One(Box<Report>),
    /// Of Cloud Monitoring.
    All {
        /// Oldest first.
        releases: Vec<Report>,
    },
}

/// Backtests for machines.
pub fn printed(backtests: &[Backtest]) -> Printed {
    match backtests {
        [one] if one.release.is_none() => Printed::One(Box::new(report(one))),
        all => Printed::All { releases: all.iter().map(report).collect() },
    }
}

fn report(backtest: &Backtest) -> Report {
    let replay = &backtest.replay;
    let minute = |minute: &Replayed| ReportedMinute {
        minute: minute.minute,
        verdict: minute.verdict,
        evidence_percent: minute.evidence_percent,
        candidate_requests: minute.candidate.total,
        candidate_errors: minute.candidate.bad,
        stable_requests: minute.stable.total,
        stable_errors: minute.stable.bad,
        evidence: minute.evidence.iter().map(part).collect(),
    };
    let release = backtest.release.as_ref().map(|release| ReportedRelease {
        region: release.region.to_string(),
        revision: release.candidate.to_string(),
        stable: release.stable.to_string(),
        began: release.began.to_string(),
    });
    Report {
        release,
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

/// Backtests for people: of a trace a line for each minute, and of all what became of it.
pub fn as_text(backtests: &[Backtest]) -> Vec<String> {
    let text = |backtest: &Backtest| {
        let mut lines = match &backtest.release {
            Some(release) => vec![format!(
                "{} instead of {} in {}, from {}",
                release.candidate, release.stable, release.region, release.began
            )],
            None => minute_by_minute(backtest),
        };
        lines.extend(outcome(backtest));
        lines
    };
    match backtests {
        [] => vec![
            "no revision of that service took over from another in that time: are name, project and region right?"
                .to_string(),
        ],
        all => {
            let texts: Vec<Vec<String>> = all.iter().map(text).collect();
            texts.join(&String::new())
        }
    }
}

fn minute_by_minute(backtest: &Backtest) -> Vec<String> {
    let count = |count: Count| format!("{} of {}", count.bad, count.total);
    let row = |minute: &str, candidate: &str, stable: &str, evidence: &str, verdict: &str| {
        format!("{minute:>7}  {candidate:>18}  {stable:>18}  {evidence:>9}  {verdict}")
    };
    let of_minute = |minute: &Replayed| {
        let evidence = format!("{} %", minute.evidence_percent);
        let (candidate, stable) = (count(minute.candidate), count(minute.stable));
        let verdict = format!("{}{}", in_a_word(minute, backtest.policy.analysis.mode), by_latency(minute));
        row(&minute.minute.to_string(), &candidate, &stable, &evidence, &verdict)
    };
    let mut lines = vec![row("minute", "candidate failed", "stable failed", "rollback?", "verdict")];
    lines.extend(backtest.replay.minutes.iter().map(of_minute));
    lines.push(String::new());
    lines
}

fn outcome(backtest: &Backtest) -> Vec<String> {
    let replay = &backtest.replay;
    let Count { total, bad } = replay.candidate;
    let mode = backtest.policy.analysis.mode;
    let outcome = match replay.decision {
        Decision::Fail => {
            let what = match mode {
                AnalysisMode::Observe => "would have been taken back (mode Observe records it only)",
                _ => "taken back",
            };
            format!("{what} after minute {}: {bad} of {total} requests of the candidate had failed", replay.minute)
        }
        Decision::Pass if mode == AnalysisMode::Threshold => {
            format!("within its limits since minute {}", replay.minute)
        }
        Decision::Pass => {
            format!("harm is ruled out since minute {}, and nothing spoke against it since", replay.minute)
        }
        Decision::Inconclusive => format!("undecided at its end, after {total} requests of the candidate"),
    };
    let reason = format!("  {}", replay.reason);
    let notes = notes(backtest).into_iter().map(|note| format!("  note: {note}"));
    [outcome, reason].into_iter().chain(notes).collect()
}

/// A word where latencies, which the columns don't show, say most against it.
fn by_latency(minute: &Replayed) -> &'static str {
    let most = minute.evidence.iter().max_by_key(|(_, evidence)| evidence.evidence_percent);
    let is_latency =
        most.is_some_and(|(_, evidence)| evidence.metric == Metric::LATENCY && evidence.evidence_percent > 0);
    if is_latency { " (latency)" } else { "" }
}

fn in_a_word(minute: &Replayed, mode: AnalysisMode) -> &'static str {
    match minute.verdict {
        Verdict::Fail if mode == AnalysisMode::Threshold => "outside its limits",
        Verdict::Pass if mode == AnalysisMode::Threshold => "within its limits",
        Verdict::Undecided if mode == AnalysisMode::Threshold => "not known yet",
        Verdict::NoData => "not counted yet",
        Verdict::Fail => "worse, sure enough to roll back",
        Verdict::Pass => "harm is ruled out",
        Verdict::Undecided if minute.evidence_percent > 0 => "signs that it is worse",
        Verdict::Undecided => "undecided",
    }
}
