//! The fast lane beside the minutes: ten seconds after ten seconds, logs after twenty seconds, metrics after three minutes.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Analysis, EvidenceStatus, FastStatus, Metric, Verdict};
use orchestra_planner::cloud::{Count, FailedRequest, Failures, History, Measured, Minute, Tally, Window};
use orchestra_planner::names::{Percent, ReleaseId, RevisionName};
use orchestra_planner::verdict::fast::{Look, begin, compared, count_failures, history_window};
use orchestra_planner::verdict::{Pair, Subject, Terms, count};
use std::collections::{BTreeMap, VecDeque};

use crate::hour::Ended;
use crate::traffic::{Rates, Traffic};

/// When a release's first weight takes effect.
const BEGAN: i64 = 1_800_000_000;
/// How long after a window's end its entries are read, and a minute's metrics after its end, in seconds.
const LOGS_LATE: i64 = 6;
const METRICS_LATE: i64 = 180;
/// How long a write of the traffic takes to be in effect, in seconds.
const TAKES: i64 = 10;
/// When the first window begins that counts.
const FIRST: i64 = 20;
/// Entries of a look: three pages.
const MOST_ENTRIES: usize = 3_000;
/// How long taking back takes, in seconds.
const WRITE: i64 = 2;

/// What is held.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    pub rates: Rates,
    pub minutes: i64,
    pub breaks_after: i64,
    /// Whether logs are read.
    pub fast: bool,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGAN + second).unwrap()
}

struct Run<'a> {
    subject: Subject<'a>,
    terms: Terms<'a>,
    look_at: (&'a RevisionName, &'a RevisionName),
    share: Percent,
    errors: Option<EvidenceStatus>,
    logs: Option<FastStatus>,
    told: u32,
}

impl Run<'_> {
    /// A closed minute that has arrived; whether it fails the candidate.
    fn minute(&mut self, start: i64, pair: Pair) -> bool {
        let tally = |count: Count| Tally::of_errors(count.total, count.bad);
        let minute = Minute { start: at(start), candidate: tally(pair.candidate), stable: tally(pair.stable) };
        let measured = Measured { minutes: vec![minute], history: None, delay_seconds: None };
        let window = Window { from: at(start), to: at(start + 60) };
        let after = count(self.errors.as_ref(), &self.subject, &self.terms, &measured, window);
        let fails = after.verdict == Verdict::Fail;
        self.errors = Some(after);
        self.logs = self.logs.as_ref().map(|logs| compared(logs, &self.subject, &measured));
        fails
    }

    fn window(&mut self, start: i64, pair: Pair) -> bool {
        let requests = self.failed(start, pair);
        let failures = Failures { requests, is_cut: false };
        let window = Window { from: at(start), to: at(start + 10) };
        let look = self.look();
        let after = count_failures(self.logs.as_ref(), &look, &self.terms, (&failures, window), self.errors.as_ref());
        let fails = after.verdict == Verdict::Fail;
        self.logs = Some(after);
        fails
    }

    fn look(&self) -> Look<'_> {
        let (candidate, stable) = self.look_at;
        Look { subject: &self.subject, share: self.share, is_short: false, candidate, stable }
    }

    /// The entries of ten seconds.
    fn failed(&mut self, start: i64, pair: Pair) -> Vec<FailedRequest> {
        let (candidate, stable) = self.look_at;
        let mut requests = vec![];
        for (revision, many) in [(candidate, pair.candidate.bad), (stable, pair.stable.bad)] {
            for n in 0..many {
                self.told += 1;
                requests.push(FailedRequest {
                    id: self.told.to_string(),
                    at: at(start) + SignedDuration::from_millis(n * 10_000 / many),
                    took: SignedDuration::from_millis(50),
                    revision: revision.to_string(),
                    host: "api.a.run.app".into(),
                    status: 500,
                    client: self.told,
                    platform: String::new(),
                });
            }
        }
        requests
    }
}

/// One run.
pub fn lanes(seed: (u64, u64), lanes: &Lanes, settings: &Analysis) -> Ended {
    let release = ReleaseId { revision: RevisionName::new("api-2").unwrap(), number: 1 };
    let stable = RevisionName::new("api-1").unwrap();
    let subject = Subject {
        metric: Metric::ERRORS,
        release: &release,
        step: 1,
        written_at: at(-TAKES),
        since: at(0),
        has_all: false,
    };
    let share = Percent::clamped((lanes.rates.share * 100.0) as i32);
    let terms = Terms { settings, planned_minutes: 20, regions: 1 };
    let mut traffic = Traffic::new(seed.0, seed.1);
    let mut run =
        Run { subject, terms, look_at: (&release.revision, &stable), share, errors: None, logs: None, told: 0 };
    run.begin(&mut traffic, lanes);
    let mut ended = Ended::default();
    let (mut minute, mut minutes) = (Pair::default(), VecDeque::new());
    let breaks = lanes.breaks_after * 60;
    let mut taken_back = None;
    for second in (0..lanes.minutes * 60 + breaks + METRICS_LATE).step_by(10) {
        let rates = match second < breaks {
            true => Rates { candidate: lanes.rates.stable, ..lanes.rates },
            false => lanes.rates,
        };
        let pair = traffic.seconds(10.0, &rates);
        if let Some(at) = taken_back {
            // What users meet until the write takes effect.
            let left: i64 = second + 10 - at;
            ended.bad += pair.candidate.bad * (10 - left.clamp(0, 10)) / 10;
            return ended;
        }
        if second >= breaks {
            ended.bad += pair.candidate.bad;
            ended.requests += pair.candidate.total;
        }
        minute = add(minute, pair);
        if second % 60 == 50 {
            minutes.push_back((second - 50, minute));
            minute = Pair::default();
        }
        let now = second + 10;
        let mut fails = false;
        while minutes.front().is_some_and(|(start, _)| start + 60 + METRICS_LATE <= now) {
            let Some((start, pair)) = minutes.pop_front() else { break };
            // The first minute is cold.
            fails |= start >= 60 && run.minute(start, pair);
        }
        // Whether it fails is known some seconds after the window's end, within the next ten.
        let by_logs = lanes.fast && second >= FIRST && run.window(second, pair);
        if fails || by_logs {
            ended.taken_back = Some(usize::try_from((now - breaks).max(0) / 60).unwrap_or(0));
            ended.by_logs = by_logs && !fails;
            taken_back = Some(if fails { now + WRITE } else { now + LOGS_LATE + WRITE });
        }
    }
    ended
}

impl Run<'_> {
    /// An hour of stable alone, as metrics and logs tell of it.
    fn begin(&mut self, traffic: &mut Traffic, lanes: &Lanes) {
        let quiet = Rates { share: 0.0, ..lanes.rates };
        let (mut minutes, mut requests) = (BTreeMap::new(), vec![]);
        for start in (-3_600..0).step_by(10) {
            let pair = traffic.seconds(10.0, &quiet);
            requests.extend(self.failed(start, pair));
            let minute: &mut Tally = minutes.entry(at(start.div_euclid(60) * 60)).or_default();
            Tally::of_errors(pair.stable.total, pair.stable.bad).0.iter().for_each(|(bound, n)| minute.add(*bound, *n));
        }
        let history = History { minutes, ..History::default() };
        let measured = Measured { minutes: vec![], history: Some(history), delay_seconds: None };
        let window = Window { from: at(60), to: at(60) };
        self.errors = Some(count(None, &self.subject, &self.terms, &measured, window));
        let is_cut = requests.len() > MOST_ENTRIES;
        requests.truncate(MOST_ENTRIES);
        let told = (&Failures { requests, is_cut }, history_window(&self.subject));
        self.logs = Some(begin(&self.look(), self.terms.settings, told, self.errors.as_ref()));
    }
}

fn add(a: Pair, b: Pair) -> Pair {
    Pair { candidate: a.candidate.plus(b.candidate), stable: a.stable.plus(b.stable) }
}
