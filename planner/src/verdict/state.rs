//! What the test has to remember between looks, as one text with a version: `1;LOGS;EMPTY`. The logarithms of its
//! components are in millionths; the empty minutes are those that were closed without any data, counted since 1970.

use jiff::Timestamp;
use orchestra_crds::Analysis;
use std::collections::BTreeSet;

use super::sequential::{RATIOS, log_ratio, percent};
use crate::cloud::Minute;

const VERSION: &str = "1";
const MICROS: f64 = 1e6;
/// How many empty minutes are kept in mind: what arrives later than that is not counted.
const EMPTY_KEPT: usize = 15;

/// What the test has to remember.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    logs: [i64; RATIOS.len()],
    empty: BTreeSet<i64>,
}

fn minute_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

impl State {
    /// Reads it; none where another version wrote it.
    pub(super) fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(';').collect();
        let [VERSION, logs, empty] = parts.as_slice() else { return None };
        let logs: Vec<i64> = logs.split(',').map(|log| log.parse().ok()).collect::<Option<_>>()?;
        let empty = empty.split(',').filter(|minute| !minute.is_empty()).map(|minute| minute.parse().ok());
        Some(Self { logs: logs.try_into().ok()?, empty: empty.collect::<Option<_>>()? })
    }

    pub(super) fn write(&self) -> String {
        let joined = |numbers: Vec<String>| numbers.join(",");
        let logs = joined(self.logs.iter().map(ToString::to_string).collect());
        let empty = joined(self.empty.iter().map(ToString::to_string).collect());
        format!("{VERSION};{logs};{empty}")
    }

    /// Counts a minute.
    pub(super) fn add(&mut self, minute: &Minute) {
        self.empty.remove(&minute_of(minute.start));
        for (sum, ratio) in self.logs.iter_mut().zip(RATIOS) {
            // Rounded down, so that rounding never adds evidence.
            *sum = sum.saturating_add((log_ratio(minute, ratio) * MICROS).floor() as i64);
        }
    }

    /// How much of the evidence needed for a rollback there is.
    pub(super) fn percent(&self, settings: &Analysis) -> i32 {
        percent(self.logs.map(|micros| micros as f64 / MICROS), settings.confidence_percent)
    }

    /// Whether a minute was closed without data and may still fill.
    pub(super) fn was_empty(&self, start: Timestamp) -> bool {
        self.empty.contains(&minute_of(start))
    }

    /// The first minute that may still fill, if it is before a time.
    pub(super) fn first_empty(&self, before: Timestamp) -> Option<Timestamp> {
        let first = self.empty.first().and_then(|minute| Timestamp::from_second(minute * 60).ok());
        first.filter(|first| *first < before)
    }

    /// Keeps in mind which minutes from then to then have no data.
    pub(super) fn note_empty(&mut self, minutes: &[Minute], from: Timestamp, to: Timestamp) {
        let told: BTreeSet<i64> = minutes
            .iter()
            .filter(|m| m.candidate.total > 0 || m.stable.total > 0)
            .map(|m| minute_of(m.start))
            .collect();
        let last = minute_of(to);
        let first = minute_of(from).max(last - EMPTY_KEPT as i64);
        self.empty.extend((first..last).filter(|minute| !told.contains(minute)));
        self.empty.retain(|minute| *minute >= last - EMPTY_KEPT as i64);
    }
}
