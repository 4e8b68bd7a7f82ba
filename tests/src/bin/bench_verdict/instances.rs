//! Values of instances, which stay as they are for a while: looks at a gauge, and probes. And counters that Prometheus reads so
//! seldom that it makes a minute of a part of it.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Analysis, Metric, Preset};
use orchestra_planner::cloud::{Count, History, Minute, Tally};
use orchestra_planner::verdict::{Judgement, Kind, Terms};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::traffic::{Rates, Traffic};

/// Minutes of stable's that are known before, and how many hours of its day.
const BEFORE: i64 = 60;
const DAY: i64 = 24;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// A look at each instance a minute.
    Looks,
    /// So many probes of each instance a minute.
    Probes(i64),
}

/// Instances of two revisions.
#[derive(Clone, Copy, Debug)]
pub struct Instances {
    pub measured: Measured,
    pub stable: usize,
    pub candidate: usize,
    /// The share of them that is bad, of stable and of the candidate.
    pub bad: (f64, f64),
    /// For how many minutes one stays bad, on average.
    pub stays: f64,
}

/// Instances that become bad and good again by chance.
struct Arm {
    are_bad: Vec<bool>,
    becomes: f64,
    recovers: f64,
}

impl Arm {
    fn new(number: usize, bad: f64, stays: f64, random: &mut StdRng) -> Self {
        let recovers = 1.0 / stays;
        // So that the share of the time in which one is bad is as wanted.
        let becomes = (recovers * bad / (1.0 - bad)).min(1.0);
        Self { are_bad: (0..number).map(|_| random.random_bool(bad)).collect(), becomes, recovers }
    }

    fn minute(&mut self, measured: Measured, random: &mut StdRng) -> Count {
        for is_bad in &mut self.are_bad {
            let change = if *is_bad { self.recovers } else { self.becomes };
            *is_bad ^= random.random_bool(change);
        }
        let each = match measured {
            Measured::Looks => 1,
            Measured::Probes(number) => number,
        };
        let count = |all: usize| i64::try_from(all).unwrap_or(0) * each;
        Count { total: count(self.are_bad.len()), bad: count(self.are_bad.iter().filter(|bad| **bad).count()) }
    }
}

/// The settings in which that metric is judged beside errors, and the metric.
fn of(measured: Measured) -> (Analysis, Metric) {
    beside_errors(match measured {
        Measured::Looks => Preset::CpuUtilization,
        Measured::Probes(_) => Preset::HealthChecks,
    })
}

fn beside_errors(preset: Preset) -> (Analysis, Metric) {
    (Analysis { metrics: vec![Preset::Errors, preset], ..Analysis::default() }, Metric::Preset(preset))
}

fn at(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(30_000_000 + minute)
}

/// How an hour ends.
pub struct Ended {
    /// After which minute it is taken back.
    pub taken_back: Option<usize>,
    /// Whether a breach goes on at its end, so that no step passes.
    pub held: bool,
}

/// How it ends by that metric.
fn judged(
    settings: &Analysis,
    metric: Metric,
    before: &[Count],
    during: impl Iterator<Item = (Count, Count)>,
) -> Ended {
    let tally = |count: Count| Tally::of_errors(count.total, count.bad);
    let terms = Terms { settings, planned_minutes: 20, regions: 1 };
    let (question, needed) = (terms.question(metric), terms.needed() - terms.weight(metric));
    let first = -i64::try_from(before.len()).unwrap_or(0);
    let hour = |(number, counts): (i64, &[Count])| {
        (at(first + number * 60), tally(counts.iter().copied().fold(Count::default(), Count::plus)))
    };
    let hours = (0..).zip(before.chunks(60)).map(hour).collect();
    let last = before.iter().skip(before.len().saturating_sub(60));
    let minutes = (-BEFORE..0).zip(last).map(|(minute, count)| (at(minute), tally(*count))).collect();
    let mut judgement = Judgement::default();
    judgement.begin(Kind::of(metric, settings), &History { minutes, hours });
    let taken_back = (0..).zip(during).position(|(minute, (candidate, stable))| {
        let minute = Minute { start: at(minute), candidate: tally(candidate), stable: tally(stable) };
        judgement.add(&minute, &question, false);
        judgement.evidence_that_matters(&question) >= needed
    });
    Ended { taken_back: taken_back.map(|minute| minute + 1), held: judgement.minutes_in_breach() > 0.0 }
}

/// One run of an hour.
pub fn hold(seed: (u64, u64), instances: &Instances) -> Ended {
    let mut random = StdRng::seed_from_u64(seed.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.1);
    let Instances { measured, bad, stays, .. } = *instances;
    let mut stable = Arm::new(instances.stable, bad.0, stays, &mut random);
    let mut candidate = Arm::new(instances.candidate, bad.1, stays, &mut random);
    let before: Vec<Count> = (0..BEFORE * DAY).map(|_| stable.minute(measured, &mut random)).collect();
    let during: Vec<(Count, Count)> =
        (0..60).map(|_| (candidate.minute(measured, &mut random), stable.minute(measured, &mut random))).collect();
    let (settings, metric) = of(measured);
    judged(&settings, metric, &before, during.into_iter())
}

/// One run of an hour of a counter of which Prometheus sees so many seconds of each minute, and makes the whole of them.
pub fn hold_thinned(seed: (u64, u64), rates: &Rates, seen_seconds: f64) -> Ended {
    let mut traffic = Traffic::new(seed.0, seed.1);
    let whole = |count: Count| {
        let extrapolated = |number: i64| (number as f64 * 60.0 / seen_seconds).round() as i64;
        Count { total: extrapolated(count.total), bad: extrapolated(count.bad) }
    };
    let quiet = Rates { share: 0.0, ..*rates };
    let before: Vec<Count> = (0..BEFORE).map(|_| whole(traffic.seconds(seen_seconds, &quiet).stable)).collect();
    let during: Vec<(Count, Count)> = (0..60)
        .map(|_| traffic.seconds(seen_seconds, rates))
        .map(|pair| (whole(pair.candidate), whole(pair.stable)))
        .collect();
    let (settings, metric) = beside_errors(Preset::ClientErrors);
    judged(&settings, metric, &before, during.into_iter())
}
