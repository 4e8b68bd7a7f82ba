//! The evidence in words.

use orchestra_crds::{Analysis, CountStatus, EvidenceStatus, Verdict};

use super::leans_to_harm;

/// The evidence in one line, for people.
pub fn in_words(evidence: &EvidenceStatus, settings: &Analysis) -> String {
    let rate = |count: CountStatus| match count.total {
        0 => "no requests".to_string(),
        total => format!("{} of {total} failed ({:.2} %)", count.bad, count.bad as f64 * 100.0 / total as f64),
    };
    let fault = evidence.fault.as_ref().map(|fault| format!("; {fault}")).unwrap_or_default();
    let earlier = matches!(evidence.verdict, Verdict::NoData) && evidence.candidate.total > 0;
    format!(
        "{}{}: candidate {}, stable at the same time {}{fault}",
        standing(evidence, settings),
        if earlier { "; before it" } else { "" },
        rate(evidence.candidate),
        rate(evidence.stable)
    )
}

/// Where the evidence stands, without the counts.
pub fn standing(evidence: &EvidenceStatus, settings: &Analysis) -> String {
    match evidence.verdict {
        Verdict::NoData if evidence.candidate.total > 0 => {
            "no requests of the candidate at this step are counted yet".to_string()
        }
        Verdict::NoData => "no requests of the candidate are counted yet".to_string(),
        Verdict::Fail => "sure enough that it is worse".to_string(),
        Verdict::Pass => "no sign that it is worse".to_string(),
        Verdict::Undecided if evidence.evidence_percent >= 100 => {
            "sure enough that it is worse, by less than what the analysis counts as harm".to_string()
        }
        Verdict::Undecided if leans_to_harm(evidence) => {
            format!("signs that it is worse, {} % of what a rollback needs", evidence.evidence_percent)
        }
        Verdict::Undecided if evidence.step_stable == 0 => "undecided so far: stable had no requests".to_string(),
        Verdict::Undecided => {
            format!("undecided so far: {} of {} requests judged", evidence.step_candidate, settings.minimum_requests)
        }
    }
}
