//! What one minute's verdict for one metric takes, beside a whole pass that decides about its release.

use orchestra_crds::{Analysis, EvidenceStatus, Metric};
use orchestra_planner::cloud::{History, Measured, Minute, Tally, Window};
use orchestra_planner::names::ReleaseId;
use orchestra_planner::rollout::{Observation, plan, questions};
use orchestra_planner::verdict::{Subject, Terms, count};
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::Failure;

/// A release on a step, in two regions, as a controller saw it.
const SEEN: &str = include_str!("../../../../planner/src/rollout/tests/recorded/on-a-step.json");
/// Tries, each of which is compared with the next one of the other.
const TRIES: u32 = 2_000;
const MINUTE: i64 = 60;

fn at(minute: i64) -> Result<jiff::Timestamp, Failure> {
    Ok(jiff::Timestamp::from_second(1_800_000_000 + minute * MINUTE)?)
}

/// Evidence of an hour, and one minute more.
struct Next {
    release: ReleaseId,
    settings: Analysis,
    before: Option<EvidenceStatus>,
}

impl Next {
    fn new() -> Result<Self, Failure> {
        let release = ReleaseId::parse("api-two.1").ok_or("it is a release")?;
        let mut next = Self { release, settings: Analysis::default(), before: None };
        for minute in 0..60 {
            next.before = Some(next.minute(minute)?);
        }
        Ok(next)
    }

    fn minute(&self, number: i64) -> Result<EvidenceStatus, Failure> {
        let (start, end, began) = (at(number)?, at(number + 1)?, at(0)?);
        let subject = Subject {
            metric: Metric::ERRORS,
            release: &self.release,
            step: 1,
            written_at: began,
            since: began,
            has_all: false,
        };
        let terms = Terms { settings: &self.settings, planned_minutes: 60, regions: 1 };
        let minute = Minute { start, candidate: Tally::of_errors(600, 1), stable: Tally::of_errors(5_400, 5) };
        let history = self.before.is_none().then(History::default);
        let measured = Measured { minutes: vec![minute], history, delay_seconds: None };
        Ok(count(self.before.as_ref(), &subject, &terms, &measured, Window { from: start, to: end }))
    }
}

/// Prints both, and whether a verdict takes at most one pass.
pub fn beside_a_pass() -> Result<bool, Failure> {
    let record: serde_json::Value = serde_json::from_str(SEEN)?;
    let seen: Observation = serde_json::from_value(record["observation"].clone())?;
    let next = Next::new()?;
    let (mut verdict, mut pass) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TRIES {
        let began = Instant::now();
        black_box(next.minute(60)?);
        verdict += began.elapsed();
        let began = Instant::now();
        black_box((questions(&seen), plan(&seen)));
        pass += began.elapsed();
    }
    let micros = |all: Duration| all.as_secs_f64() * 1e6 / f64::from(TRIES);
    let ratio = verdict.as_secs_f64() / pass.as_secs_f64();
    println!(
        "verdict: one minute of one metric takes {:.0} µs, what a pass decides {:.0} µs: {ratio:.2} of it",
        micros(verdict),
        micros(pass)
    );
    Ok(ratio <= 1.0)
}
