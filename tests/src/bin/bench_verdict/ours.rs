//! Orchestra's own verdict, as the planner has it.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Analysis, Metric};
use orchestra_planner::cloud::{Count, History, Minute, Tally};
use orchestra_planner::verdict::{Judgement, Kind, Pair, Question, Terms};
use std::collections::BTreeMap;

/// When the first minute of a release begins.
fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn tally(count: Count) -> Tally {
    Tally::of_errors(count.total, count.bad)
}

/// The judgement of one run.
pub struct Ours {
    judgement: Judgement,
    question: Question,
    needed: f64,
    next: Timestamp,
}

impl Ours {
    /// With an hour of stable's minutes before, and its day as 24 times that.
    pub fn new(before: &[Count], settings: &Analysis, planned_minutes: u32) -> Self {
        let terms = Terms { settings, planned_minutes, regions: 1 };
        let at = |n: usize| start() - SignedDuration::from_mins(i64::try_from(before.len() - n).unwrap_or(0));
        let minutes: BTreeMap<Timestamp, Tally> =
            before.iter().enumerate().map(|(n, count)| (at(n), tally(*count))).collect();
        let hour = before.iter().copied().fold(Count::default(), Count::plus);
        let hours = (1..=24).map(|n| (start() - SignedDuration::from_hours(n), tally(hour))).collect();
        let mut judgement = Judgement::default();
        judgement.begin(Kind::Errors, &History { minutes, hours });
        let needed = terms.needed() - terms.weight(Metric::ERRORS);
        Self { judgement, question: terms.question(Metric::ERRORS), needed, next: start() }
    }

    /// Takes in the next minute.
    pub fn add(&mut self, pair: Pair) {
        let minute = Minute { start: self.next, candidate: tally(pair.candidate), stable: tally(pair.stable) };
        self.judgement.add(&minute, &self.question, false);
        self.next += SignedDuration::from_mins(1);
    }

    /// The next minute is not counted.
    pub fn skip(&mut self) {
        self.next += SignedDuration::from_mins(1);
    }

    /// Another weight is in effect.
    pub fn begins_step(&mut self) {
        self.judgement.close();
    }

    pub fn fails(&self) -> bool {
        self.judgement.evidence_that_matters(&self.question) >= self.needed
    }

    pub fn leans(&self) -> bool {
        self.judgement.evidence(&self.question) > 0.0
    }

    pub fn passes(&self) -> bool {
        self.judgement.is_ruled_out() && !self.leans()
    }
}
