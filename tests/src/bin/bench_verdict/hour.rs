//! A candidate held at its share for an hour or more, each closed minute looked at as soon as it ends.

use orchestra_crds::Analysis;
use orchestra_planner::cloud::Count;
use orchestra_planner::verdict::Pair;

use crate::cells::Trouble;
use crate::rules::Kind;
use crate::runs::{Mean, runs};
use crate::traffic::{Rates, Traffic};

/// What is held.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub rates: Rates,
    pub trouble: Trouble,
    pub minutes: usize,
    /// After how many minutes of health the candidate becomes as bad as its rate says.
    pub breaks_after: usize,
}

impl Held {
    /// An hour in which nothing happens.
    pub fn hour(rates: Rates) -> Self {
        Self { rates, trouble: Trouble::None, minutes: 60, breaks_after: 0 }
    }
}

/// How one run ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// The minute after which it was taken back.
    pub taken_back: Option<usize>,
    /// Requests that the candidate failed until then.
    pub bad: i64,
    /// All that it answered.
    pub requests: i64,
    /// It was taken back by request logs.
    pub by_logs: bool,
}

/// One run.
pub fn hold(seed: (u64, u64), held: &Held, rule: Kind, settings: &Analysis) -> Ended {
    let mut traffic = Traffic::new(seed.0, seed.1);
    let quiet = Rates { share: 0.0, ..held.rates };
    let before: Vec<Count> = (0..60).map(|_| traffic.minute(&quiet).stable).collect();
    let mut rule = rule.begin(&before, settings);
    let (mut ended, mut kept) = (Ended::default(), Pair::default());
    let warm_up = usize::try_from(settings.warmup_seconds / 60).unwrap_or(0);
    for number in 1..=held.minutes + held.breaks_after {
        let rates = held.trouble.rates(number, held.rates);
        let healthy = Rates { candidate: rates.stable, ..rates };
        let is_cold = held.trouble == Trouble::ColdStart && number == 1;
        let pair = traffic.minute(if number > held.breaks_after || is_cold { &rates } else { &healthy });
        if number > held.breaks_after {
            ended.bad += pair.candidate.bad;
            ended.requests += pair.candidate.total;
        }
        if number <= warm_up && held.trouble == Trouble::ColdStart {
            continue;
        }
        if held.trouble.lacks(number) {
            kept = if held.trouble == Trouble::Lumped { pair } else { Pair::default() };
            continue;
        }
        let pair = Pair { candidate: pair.candidate.plus(kept.candidate), stable: pair.stable.plus(kept.stable) };
        kept = Pair::default();
        if rule.add(number, pair) {
            ended.taken_back = Some(number.saturating_sub(held.breaks_after));
            return ended;
        }
    }
    ended
}

/// All runs of a cell.
pub struct Cell {
    pub ended: Vec<Ended>,
}

impl Cell {
    pub fn of(cell: u64, number: u64, held: &Held, rule: Kind) -> Self {
        let settings = Analysis::default();
        Self { ended: runs(number, |run| hold((cell, run), held, rule, &settings)) }
    }

    pub fn taken_back(&self) -> usize {
        self.ended.iter().filter(|ended| ended.taken_back.is_some()).count()
    }

    pub fn percent(&self) -> f64 {
        self.taken_back() as f64 * 100.0 / self.ended.len() as f64
    }

    pub fn mean(&self, of: impl Fn(&Ended) -> i64 + Clone) -> Mean {
        Mean::new(self.ended.iter().map(move |ended| of(ended) as f64))
    }

    pub fn median(&self) -> Option<usize> {
        crate::runs::median(self.ended.iter().filter_map(|ended| ended.taken_back).collect())
    }
}
