//! Latency: a candidate held at its share, whose requests take longer by a factor; looked at each minute as it ends.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Analysis, Metric};
use orchestra_planner::cloud::{Count, History, Minute, Tally};
use orchestra_planner::verdict::{Judgement, Kind, Terms};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution, Poisson};
use std::collections::BTreeMap;

use crate::hour::Ended;
use crate::traffic::{Rates, Traffic};

/// When the first minute begins.
const BEGAN: i64 = 1_800_000_000;
/// Each bucket's bound is so many times the one's before, and the first is a millisecond.
const GROWTH: f64 = 1.4;
const BUCKETS: i32 = 40;
/// Half of stable's requests take longer than this, in microseconds.
const MEDIAN: f64 = 120_000.0;

/// What is held.
#[derive(Clone, Copy, Debug)]
pub struct Slow {
    pub requests_per_second: f64,
    pub share: f64,
    /// How many times as long the candidate's requests take.
    pub times: f64,
    /// Standard deviation of the logarithm of a latency.
    pub deviation: f64,
    pub minutes: i64,
    /// Errors are judged, too: of both, at that rate, in bursts so large.
    pub errors: Option<(f64, f64)>,
}

/// How likely a latency is in each bucket, by its bound.
struct Shape(Vec<(i64, f64)>);

/// The distribution function of a standard normal variable.
fn below(z: f64) -> f64 {
    libm::erfc(-z / std::f64::consts::SQRT_2) / 2.0
}

impl Shape {
    fn new(median: f64, deviation: f64) -> Self {
        let bounds = (0..BUCKETS).map(|power| 1_000.0 * GROWTH.powi(power));
        let mut known = 0.0;
        let mut buckets: Vec<(i64, f64)> = bounds
            .map(|bound| {
                let all = below((bound / median).ln() / deviation);
                let own = all - known;
                known = all;
                (bound as i64, own)
            })
            .collect();
        buckets.push((i64::MAX, 1.0 - known));
        Self(buckets)
    }

    fn sample(&self, requests: f64, random: &mut StdRng) -> Tally {
        let mut left = if requests > 0.0 { Poisson::new(requests).map_or(0.0, |p| p.sample(random)) as u64 } else { 0 };
        let (mut tally, mut rest) = (Tally::default(), 1.0);
        for (bound, likely) in &self.0 {
            let share = (likely / rest).clamp(0.0, 1.0);
            let own = Binomial::new(left, share).map_or(0, |binomial| binomial.sample(random));
            tally.add(*bound, own as i64);
            (left, rest) = (left - own, rest - likely);
        }
        tally
    }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(BEGAN).unwrap_or(Timestamp::UNIX_EPOCH) + SignedDuration::from_mins(minute)
}

/// One metric's judgement.
struct Judged {
    metric: Metric,
    judgement: Judgement,
}

/// One run.
pub fn hold(seed: (u64, u64), slow: &Slow, settings: &Analysis) -> Ended {
    let mut random = StdRng::seed_from_u64(seed.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.1);
    let mut traffic = Traffic::new(seed.0 + 500, seed.1);
    let all = slow.requests_per_second * 60.0;
    let shapes = [Shape::new(MEDIAN * slow.times, slow.deviation), Shape::new(MEDIAN, slow.deviation)];
    let terms = Terms { settings, planned_minutes: 20, regions: 1 };
    let rates = |share: f64| {
        let (rate, bursts) = slow.errors.unwrap_or_default();
        Rates { requests_per_second: slow.requests_per_second, share, stable: rate, candidate: rate, bursts }
    };
    let of_errors = |count: Count| Tally::of_errors(count.total, count.bad);
    let mut judged = vec![];
    let history = (-60..0).map(|minute| (at(minute), shapes[1].sample(all, &mut random))).collect();
    judged.push(Judged::begin(Metric::LATENCY, history));
    if slow.errors.is_some() {
        let history = (-60..0).map(|minute| (at(minute), of_errors(traffic.minute(&rates(0.0)).stable))).collect();
        judged.push(Judged::begin(Metric::ERRORS, history));
    }
    let mut ended = Ended::default();
    for number in 0..slow.minutes {
        let pair = traffic.minute(&rates(slow.share));
        for judged in &mut judged {
            let [candidate, stable] = match judged.metric {
                Metric::ERRORS => [of_errors(pair.candidate), of_errors(pair.stable)],
                _ => [
                    shapes[0].sample(all * slow.share, &mut random),
                    shapes[1].sample(all * (1.0 - slow.share), &mut random),
                ],
            };
            let minute = Minute { start: at(number), candidate, stable };
            judged.judgement.add(&minute, &terms.question(judged.metric), false);
        }
        // As all of a release is taken together.
        let said: f64 = judged.iter().map(|judged| judged.evidence(&terms).exp()).sum();
        if said.ln() >= terms.needed() {
            ended.taken_back = usize::try_from(number + 1).ok();
            return ended;
        }
    }
    ended
}

impl Judged {
    fn begin(metric: Metric, minutes: BTreeMap<Timestamp, Tally>) -> Self {
        let mut judgement = Judgement::default();
        judgement.begin(Kind::of(metric, &Analysis::default()), &History { minutes, ..History::default() });
        Self { metric, judgement }
    }

    fn evidence(&self, terms: &Terms<'_>) -> f64 {
        terms.weight(self.metric) + self.judgement.evidence_that_matters(&terms.question(self.metric))
    }
}
