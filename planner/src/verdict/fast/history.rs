//! Stable's hour before the release: how its failures are spread over windows, and whether the logs have all of them. So a lane
//! is sure from its first window on.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Analysis, EvidenceStatus, FastStatus};

use super::entries::{Counted, ERROR};
use super::trust::{COMPARABLE, LEAST_LOGGED, OFF};
use super::{Beside, LATE, Look, Memory, WINDOW, counts_from, empty, number_of, whole, window_after, window_before};
use crate::cloud::{Failures, Window};
use crate::verdict::spread::Spread;
use crate::verdict::{HOUR, Subject, later};

/// The hour.
pub fn history_window(subject: &Subject<'_>) -> Window {
    let before = |by: SignedDuration| window_before(subject.written_at.checked_sub(by).unwrap_or(Timestamp::MIN));
    Window { from: before(HOUR), to: before(LATE) }
}

/// A lane that knows stable's time before the release, as far as it was told.
pub fn begin(
    look: &Look<'_>,
    settings: &Analysis,
    (failures, window): (&Failures, Window),
    errors: Option<&EvidenceStatus>,
) -> FastStatus {
    let counts_from = counts_from(look.subject, settings);
    let mut memory = Memory::default();
    memory.learn(failures, look, window);
    let known = errors.filter(|errors| errors.candidate.total == 0).and_then(Beside::of);
    let off_because = match known {
        Some(beside) if !failures.is_cut => memory.compare_history(failures, beside.failed, counts_from),
        _ => None,
    };
    let state = memory.write();
    let reads_from = if look.is_short { window_after(look.subject.since) } else { counts_from };
    FastStatus { state, off_because, ..empty(look.subject.release, reads_from) }
}

impl Memory {
    /// Learns how stable's failures are spread over windows, up to what was told of last.
    fn learn(&mut self, failures: &Failures, look: &Look<'_>, window: Window) {
        let last = failures.requests.iter().map(|request| request.at).max();
        let to = if failures.is_cut { last.map_or(window.from, window_before) } else { window.to };
        let mut start = window.from;
        while start < to {
            let end = later(start, WINDOW);
            let counted = Counted::of(failures, look, Window { from: start, to: end });
            match counted.strange {
                0 => self.stable.learn(number_of(start), whole(counted.failed.stable)),
                // Another revision served: what is known of stable begins after it.
                _ => self.stable = Spread::default(),
            }
            start = end;
        }
    }

    /// Compares stable's logs before the release with how many requests it failed then, by the metrics; why the lane is off,
    /// if they lack entries.
    pub(super) fn compare_history(&mut self, failures: &Failures, failed: i64, from: Timestamp) -> Option<String> {
        if failed < COMPARABLE {
            return None;
        }
        self.checked = true;
        let logged = failures.requests.iter().filter(|request| request.status >= ERROR).count() as f64;
        if logged < LEAST_LOGGED * failed as f64 {
            self.off_until = Some(later(from, OFF).as_second());
        }
        self.incomplete(from)
    }
}
