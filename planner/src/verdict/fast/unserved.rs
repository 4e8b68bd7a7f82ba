//! Users' requests of the candidate that met no free instance, minute by minute, while its share of the service's instances was too
//! small: `MINUTE:UNSERVED:FAILED …`.

use jiff::Timestamp;
use orchestra_crds::FastStatus;
use std::collections::BTreeMap;

use super::entries::Counted;
use crate::verdict::judgement::minute_of;

/// Minutes that are kept: metrics tell of theirs by then.
const KEPT: usize = 16;
/// For how many minutes they keep a step from passing.
const RECENT: i64 = 5;

/// What failed in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OfMinute {
    /// Met no free instance.
    unserved: i64,
    /// All that failed, those among them.
    failed: i64,
}

/// Requests that met no free instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unserved(BTreeMap<i64, OfMinute>);

impl Unserved {
    /// Of a lane.
    pub fn of(fast: &FastStatus) -> Self {
        let minute = |text: &str| {
            let numbers: Vec<i64> = text.split(':').map(|number| number.parse().ok()).collect::<Option<_>>()?;
            let [minute, unserved, failed] = numbers.as_slice() else { return None };
            Some((*minute, OfMinute { unserved: *unserved, failed: *failed }))
        };
        Self(fast.unserved.split(' ').filter_map(minute).collect())
    }

    pub(super) fn write(&self) -> String {
        let minutes = self.0.iter().map(|(minute, of)| format!("{minute}:{}:{}", of.unserved, of.failed));
        minutes.collect::<Vec<_>>().join(" ")
    }

    /// Takes in a window that began then.
    pub(super) fn note(&mut self, start: Timestamp, counted: &Counted) {
        if counted.of_users == 0 {
            return;
        }
        let known = self.0.entry(minute_of(start)).or_default();
        known.unserved = known.unserved.saturating_add(counted.unserved);
        known.failed = known.failed.saturating_add(counted.of_users);
        while self.0.len() > KEPT {
            self.0.pop_first();
        }
    }

    /// How many in the minute that began then.
    pub fn in_minute(&self, start: Timestamp) -> i64 {
        self.0.get(&minute_of(start)).map_or(0, |of| of.unserved)
    }

    /// How many in the last minutes, where they are most of what failed; none: they aren't.
    pub fn lately(&self, now: Timestamp) -> Option<i64> {
        let recent = self.0.range(minute_of(now) - RECENT..).map(|(_, of)| *of);
        let all = recent.fold(OfMinute::default(), |sum, of| OfMinute {
            unserved: sum.unserved.saturating_add(of.unserved),
            failed: sum.failed.saturating_add(of.failed),
        });
        Some(all.unserved).filter(|unserved| *unserved > 0 && unserved.saturating_mul(2) >= all.failed)
    }
}
