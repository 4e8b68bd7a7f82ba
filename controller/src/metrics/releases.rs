//! Releases, counted from what changes between two statuses.

use jiff::Timestamp;
use orchestra_crds::{FailureStatus, Metric, Outcome, ReleaseRecord, RolloutStatus};
use orchestra_planner::reason::Reason;

use super::Metrics;
use super::objects::word;

/// Releases that one status has on record as ended and the one before has not.
fn ended<'a>(before: &'a RolloutStatus, after: &'a RolloutStatus) -> impl Iterator<Item = &'a ReleaseRecord> {
    after.history.iter().take_while(|record| before.history.first() != Some(record))
}

/// The failure of a status, if it is not that of the one before.
fn new_failure<'a>(
    before: &RolloutStatus,
    after: &'a RolloutStatus,
    is_same: impl Fn(&FailureStatus, &FailureStatus) -> bool,
) -> Option<&'a FailureStatus> {
    let failed = after.failed.as_ref()?;
    let known = before.failed.as_ref().is_some_and(|known| known.release == failed.release && is_same(known, failed));
    (!known).then_some(failed)
}

/// Requests of a release that were counted, and those answered with 5xx.
fn counted(status: &RolloutStatus, release: &str) -> (i64, i64) {
    let evidence = status.regions.iter().flat_map(|region| &region.evidence);
    let own = evidence.filter(|evidence| evidence.release == release && evidence.metric == Metric::ERRORS);
    own.fold((0, 0), |(total, bad), evidence| (total + evidence.candidate.total, bad + evidence.candidate.bad))
}

/// Cloud Run's word for a container that does not start.
const NOT_STARTED: &str = "HealthCheckContainerError";

/// Outcomes of releases, with the usual reasons of those that fail.
const ENDS: [(Outcome, &[&str]); 6] = [
    (Outcome::Promoted, &[""]),
    (
        Outcome::RolledBack,
        &[Reason::AnalysisFailed.word(), Reason::Aborted.word(), NOT_STARTED, Reason::ProgressDeadlineExceeded.word()],
    ),
    (Outcome::Failed, &[NOT_STARTED, Reason::ProgressDeadlineExceeded.word()]),
    (Outcome::Superseded, &[""]),
    (Outcome::Returned, &[""]),
    (Outcome::Adopted, &[""]),
];

impl Metrics {
    pub(super) fn begin_releases_at_zero(&self) {
        for (outcome, reasons) in ENDS {
            let outcome = word(outcome);
            self.release_seconds.with_label_values(&[outcome.as_str()]);
            for reason in reasons {
                self.releases.with_label_values(&[outcome.as_str(), *reason]);
            }
        }
    }

    /// Counts what ended between two statuses that were stored one after the other.
    pub(crate) fn count_releases(&self, before: &RolloutStatus, after: &RolloutStatus, now: Timestamp) {
        for record in ended(before, after) {
            let failure = [&after.failed, &before.failed].into_iter().flatten().find(|f| f.release == record.release);
            let bad = matches!(record.outcome, Outcome::RolledBack | Outcome::Failed);
            let reason = failure.filter(|_| bad).map_or("", |failure| failure.reason.as_str());
            let outcome = word(record.outcome);
            self.releases.with_label_values(&[outcome.as_str(), reason]).inc();
            let took = record.finished_at.0.duration_since(record.started_at.0).as_secs_f64();
            self.release_seconds.with_label_values(&[outcome.as_str()]).observe(took.max(0.0));
        }
        if let Some(failed) = new_failure(before, after, |_, _| true) {
            let (of_before, of_after) = (counted(before, &failed.release), counted(after, &failed.release));
            self.bad_requests.inc_by(u64::try_from(of_before.0.max(of_after.0)).unwrap_or(0));
            self.bad_errors.inc_by(u64::try_from(of_before.1.max(of_after.1)).unwrap_or(0));
        }
        let back = new_failure(before, after, |known, _| known.rolled_back).filter(|failed| failed.rolled_back);
        if let Some(failed) = back {
            self.rollback_seconds.observe(now.duration_since(failed.time.0).as_secs_f64().max(0.0));
        }
    }
}
