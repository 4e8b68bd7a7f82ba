//! The evidence for and against a candidate, on a screen.

use orchestra_crds::{
    Analysis, CountStatus, EvidenceStatus, FastStatus, JudgedRecord, Lane, Metric, Preset, RegionStatus, RolloutStatus,
    Verdict,
};
use orchestra_planner::verdict::{counts_requests, standing};

/// Cells of the bar that shows the evidence.
const BAR: usize = 20;

/// Counts, bar and how much was judged, for each region and metric of the release that is going on.
pub fn lines(status: &RolloutStatus) -> Vec<String> {
    let Some(candidate) = &status.candidate else { return vec![] };
    let settings = candidate.course.as_ref().map(|course| course.analysis.clone()).unwrap_or_default();
    let own = |evidence: &&EvidenceStatus| evidence.release == candidate.release;
    let of_region = |region: &RegionStatus| -> Vec<String> {
        let by_metric = region.evidence.iter().filter(own).flat_map(|evidence| of(region, evidence, &settings));
        let fast = region.fast.iter().filter(|fast| fast.release == candidate.release);
        by_metric.chain(fast.flat_map(|fast| by_logs(region, fast))).collect()
    };
    status.regions.iter().flat_map(of_region).collect()
}

fn of(region: &RegionStatus, evidence: &EvidenceStatus, settings: &Analysis) -> Vec<String> {
    let enough = match (evidence.step_candidate >= i64::from(settings.minimum_requests), evidence.requests_needed) {
        (true, Some(0)) => " ✔".to_string(),
        (_, Some(needed)) if needed > 0 => format!(", about {needed} more for a verdict"),
        _ => String::new(),
    };
    let through = evidence.through.0.strftime("%H:%MZ");
    let mut lines = vec![
        String::new(),
        format!(
            "  {:<10} candidate {}   stable {}   {}",
            metric(evidence.metric),
            counted(evidence.candidate),
            counted(evidence.stable),
            region.region
        ),
        format!("  rollback?  {}   {}", bar(evidence.evidence_percent), standing(evidence, settings)),
        match (evidence.looks.is_some(), counts_requests(evidence.metric)) {
            (_, false) => format!("  judged     {} at this step   metrics up to {through}", evidence.step_candidate),
            (true, true) => {
                format!("  judged     {} requests at this step   metrics up to {through}", evidence.step_candidate)
            }
            (false, true) => format!(
                "  judged     {} of {} requests at this step{enough}   metrics up to {through}",
                evidence.step_candidate, settings.minimum_requests
            ),
        },
    ];
    lines.extend(evidence.fault.as_ref().map(|fault| format!("  metrics    {fault}")));
    lines
}

/// What request logs tell within seconds.
fn by_logs(region: &RegionStatus, fast: &FastStatus) -> Vec<String> {
    let through = fast.through.0.strftime("%H:%M:%SZ");
    let FastStatus { candidate_failed, stable_failed, .. } = fast;
    let told = match &fast.off_because {
        Some(why) => format!("  logs       off: {why}"),
        None => format!(
            "  logs       {candidate_failed} failed requests of the candidate, {stable_failed} of stable, up to {through}   {}",
            region.region
        ),
    };
    let waits = fast.waits_for.iter().map(|what| format!("  waits for  {what}"));
    [String::new(), told, format!("  rollback?  {}", bar(fast.evidence_percent))].into_iter().chain(waits).collect()
}

/// What was counted of a release that is over.
pub fn recorded(record: &JudgedRecord) -> String {
    let count = |bad: i64, total: Option<i64>| match total {
        Some(0) => "nothing counted".to_string(),
        Some(total) => counted(CountStatus { total, bad }),
        None => format!("{bad} failed"),
    };
    let by = match record.lane {
        Lane::RequestLogs => "logs".to_string(),
        Lane::Minutes | Lane::Looks => metric(record.metric),
    };
    let end = match (record.verdict, record.lane) {
        (Verdict::NoData, _) => "no data".to_string(),
        (Verdict::Undecided, Lane::Looks) => "undecided".to_string(),
        (Verdict::Pass, Lane::Looks) => "within its limits".to_string(),
        (Verdict::Fail, Lane::Looks) => "above its limits".to_string(),
        (Verdict::Undecided, _) => format!("undecided, {} % of what a rollback needs", record.evidence_percent),
        (Verdict::Pass, _) => "no harm found".to_string(),
        (Verdict::Fail, _) => "worse".to_string(),
    };
    let looks = record.failed_looks.filter(|failed| *failed > 0);
    let looks = looks.map(|failed| format!(", {failed} looks of its last step failed")).unwrap_or_default();
    let (candidate, stable) =
        (count(record.candidate_bad, record.candidate_total), count(record.stable_bad, record.stable_total));
    format!("    {by:<10} candidate {candidate}   stable {stable}   {end}{looks}")
}

fn counted(count: CountStatus) -> String {
    match count.total {
        0 => "no requests".into(),
        // As parts of 10,000, rounded: exact enough for a screen.
        total => {
            let parts = (count.bad.saturating_mul(10_000) + total / 2) / total;
            format!("{} of {total} ({}.{:02} %)", count.bad, parts / 100, parts % 100)
        }
    }
}

fn metric(metric: Metric) -> String {
    let word = match metric {
        Metric::Named(name) => return name.to_string(),
        Metric::Preset(Preset::Errors) => "errors",
        Metric::Preset(Preset::Latency) => "slow",
        Metric::Preset(Preset::ClientErrors) => "4xx",
        Metric::Preset(Preset::TooManyRequests) => "429",
        Metric::Preset(Preset::CpuUtilization) => "cpu",
        Metric::Preset(Preset::MemoryUtilization) => "memory",
        Metric::Preset(Preset::HealthChecks) => "health",
        Metric::Preset(Preset::StartupFailures) => "startup",
    };
    word.to_string()
}

fn bar(percent: i32) -> String {
    let percent = usize::try_from(percent).unwrap_or(0).min(100);
    let full = percent * BAR / 100;
    format!("[{}{}] {percent} %", "█".repeat(full), "░".repeat(BAR - full))
}
