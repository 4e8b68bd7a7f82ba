//! Metrics that are asked for in PromQL: what is asked, and what the answers say. Whose answer it is, and how it is fetched,
//! is the shell's.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Metric, Promql};
use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::{CountsQuery, History, Measured, Minute, ServiceId, Tally, Window};
use crate::names::RevisionName;
use crate::verdict::history_windows;

mod answer;
pub use answer::Answer;
use answer::{Labels, Point, Series};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Microseconds of a second.
const SECOND: f64 = 1_000_000.0;
/// How much more bad ones than all there may seem to be: each count is rounded, and `increase` extrapolates.
const SLACK: f64 = 1.0;
/// The same as a factor: two counters are read at two times.
const MORE: f64 = 1.1;
/// More events than any service has in a minute: such a count is none.
const MOST: f64 = 1e15;
/// More series than any sensible answer has.
const MOST_SERIES: usize = 10_000;

/// Whose values a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arm {
    Candidate,
    Stable,
}

/// What the values of a query are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Bad,
    Total,
    Buckets,
    Values,
}

/// A range query: a value at the end of each minute of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    arm: Arm,
    part: Part,
    /// In PromQL.
    pub query: String,
    /// The end of the first minute.
    pub start: Timestamp,
    /// The end of the last minute.
    pub end: Timestamp,
}

impl Ask {
    /// As Prometheus's `query_range` takes it.
    pub fn form(&self) -> [(&'static str, String); 4] {
        let seconds = |time: Timestamp| time.as_second().to_string();
        [
            ("query", self.query.clone()),
            ("start", seconds(self.start)),
            ("end", seconds(self.end)),
            ("step", MINUTE.as_secs().to_string()),
        ]
    }
}

/// Why answers can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There are more series than any sensible answer has.
    #[error("the query {0} gives more than {MOST_SERIES} series: aggregate, for example with {1}")]
    TooMany(&'static str, &'static str),
    /// A series of a histogram has no bound.
    #[error("the query `buckets` gives a series without the label `le`: keep it, with sum by (le) (…)")]
    NoBound,
    /// The candidate's histogram has other bounds than stable's.
    #[error(
        "the candidate's buckets lack some of stable's bounds, so what is slow can't be compared: keep the old bounds beside the new ones for one release"
    )]
    OtherBounds,
    /// It is an error.
    #[error("Prometheus answers {0}")]
    Error(String),
    /// A part of it is missing.
    #[error("Prometheus warns that its answer may lack something: {0}")]
    Partial(String),
    /// It is no answer to a range query.
    #[error("it answers with a {0}, where a range query gives a matrix: the address must lead to Prometheus's own API")]
    NoRange(String),
    /// It is a native histogram.
    #[error(
        "the query {0} gives native histograms, which are not read: ask for the classic buckets, or for histogram_count and histogram_fraction"
    )]
    Native(&'static str),
    /// There are more bad ones than there are in all.
    #[error("the query `bad` gives more than the query `total`: compare the two")]
    MoreBadThanAll,
}

impl Unusable {
    /// Whether the next answer may be another, though nobody changes the queries.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Partial(_) | Self::Error(_))
    }
}

impl Part {
    /// What keeps the meaning of it.
    fn aggregate(self) -> &'static str {
        match self {
            Self::Bad | Self::Total => "sum(…)",
            Self::Buckets => "sum by (le) (…)",
            Self::Values => "max by (instance) (…)",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Bad => "`bad`",
            Self::Total => "`total`",
            Self::Buckets => "`buckets`",
            Self::Values => "`value`",
        }
    }
}

/// What is to be asked, to answer a question in PromQL.
pub fn asks(promql: &Promql, id: &ServiceId, query: &CountsQuery) -> Vec<Ask> {
    let arms =
        [(Arm::Candidate, &query.candidate, Some(query.window)), (Arm::Stable, &query.stable, stable_window(query))];
    let mut asks = vec![];
    for (arm, revision, window) in arms {
        let Some(window) = window.filter(|window| window.from < window.to) else { continue };
        let ask = |(part, text): (Part, &str)| Ask {
            arm,
            part,
            query: filled(text, id, revision),
            start: window.from + MINUTE,
            end: window.to,
        };
        asks.extend(parts(promql).into_iter().map(ask));
    }
    asks
}

fn parts(promql: &Promql) -> Vec<(Part, &str)> {
    let ratio = promql.ratio.iter().flat_map(|ratio| [(Part::Bad, ratio.bad.as_str()), (Part::Total, &ratio.total)]);
    let histogram = promql.histogram.iter().map(|histogram| (Part::Buckets, histogram.buckets.as_str()));
    let gauge = promql.gauge.iter().map(|gauge| (Part::Values, gauge.value.as_str()));
    ratio.chain(histogram).chain(gauge).collect()
}

/// Stable's minutes of the window, and the day before them where that is asked.
fn stable_window(query: &CountsQuery) -> Option<Window> {
    match query.history_until {
        Some(until) => {
            let (hour, day) = history_windows(query.metric, until);
            // Bounds are taken from the day, and how often instances are bad.
            let needs_day = query.promql.as_ref().is_some_and(|promql| promql.ratio.is_none());
            let from = if needs_day { day.from } else { hour.from };
            Some(Window { from, to: query.window.to.max(until) })
        }
        None => Some(query.window),
    }
}

fn filled(text: &str, id: &ServiceId, revision: &RevisionName) -> String {
    // Names are of letters, digits and hyphens: none can end a text of PromQL's.
    let names = [
        ("revision", revision.as_str()),
        ("service", id.name.as_str()),
        ("region", id.region.as_str()),
        ("project", id.project.as_str()),
    ];
    let written = |name: &str| [name.to_string(), format!(" {name} "), format!("{name} "), format!(" {name}")];
    names.into_iter().fold(text.to_string(), |text, (name, value)| {
        written(name).iter().fold(text, |text, name| text.replace(&format!("{{{{{name}}}}}"), value))
    })
}

/// Values by when their minute began, and in a histogram by bound. A minute with a value that is none is not in it.
#[derive(Clone, Debug, Default)]
struct Values {
    by_minute: BTreeMap<Timestamp, Vec<(Option<i64>, f64)>>,
    unread: BTreeSet<Timestamp>,
}

impl Values {
    fn read(part: Part, answer: &Answer) -> Result<Self, Unusable> {
        let series = answer.series()?;
        if series.len() > MOST_SERIES {
            return Err(Unusable::TooMany(part.word(), part.aggregate()));
        }
        let mut read = Self::default();
        for Series { metric, values, histograms } in series {
            if !histograms.is_empty() {
                return Err(Unusable::Native(part.word()));
            }
            let bound = match part {
                Part::Buckets => Some(bound(metric).ok_or(Unusable::NoBound)?),
                _ => None,
            };
            for Point { at, value } in values {
                let Some(start) = minute_before(*at) else { continue };
                // Each series of a gauge is a look of its own: one that is none says nothing of the others.
                match value.filter(|value| value.abs() < MOST || part == Part::Values) {
                    None if part == Part::Values => {}
                    Some(value) => read.by_minute.entry(start).or_default().push((bound, value)),
                    None => drop(read.unread.insert(start)),
                }
            }
        }
        read.by_minute.retain(|start, _| !read.unread.contains(start));
        Ok(read)
    }

    fn sum(&self, start: Timestamp) -> f64 {
        self.by_minute.get(&start).into_iter().flatten().map(|(_, value)| value).sum()
    }
}

/// A bucket's upper bound, in microseconds.
fn bound(labels: &Labels) -> Option<i64> {
    let seconds: f64 = labels.le.as_ref()?.parse().ok()?;
    let micros = seconds * SECOND;
    (!micros.is_nan()).then_some(if micros < i64::MAX as f64 { micros.round() as i64 } else { i64::MAX })
}

/// The beginning of the minute that ends then.
fn minute_before(at: f64) -> Option<Timestamp> {
    let end = Timestamp::from_second(at.is_finite().then_some(at.round() as i64)?).ok()?;
    end.checked_sub(MINUTE).ok()
}

/// What the answers to all that was asked say.
///
/// # Errors
/// Where they can't mean what the analysis says of them.
pub fn measured(promql: &Promql, query: &CountsQuery, answers: &[(Ask, Answer)]) -> Result<Measured, Unusable> {
    let [candidate, stable] = [Arm::Candidate, Arm::Stable].map(|arm| tallies(promql, arm, answers));
    let ((mut candidate, unread), (mut stable, also_unread)) = (candidate?, stable?);
    if promql.histogram.is_some() {
        check_bounds(answers)?;
    }
    // A minute of which a part can't be read is missing in both: the one is not compared with another minute of the other.
    candidate.retain(|start, _| !also_unread.contains(start));
    stable.retain(|start, _| !unread.contains(start));
    let of = |tallies: &BTreeMap<Timestamp, Tally>, start: &Timestamp| tallies.get(start).cloned().unwrap_or_default();
    let within = |start: &&Timestamp| **start >= query.window.from && **start < query.window.to;
    let starts: BTreeSet<&Timestamp> = candidate.keys().chain(stable.keys()).filter(within).collect();
    let minute =
        |start: &Timestamp| Minute { start: *start, candidate: of(&candidate, start), stable: of(&stable, start) };
    Ok(Measured {
        minutes: starts.into_iter().map(minute).collect(),
        history: query.history_until.map(|until| history(query.metric, &stable, until)),
        delay_seconds: None,
    })
}

/// Whether each of stable's bounds is one of the candidate's: between others, what is slow can't be told.
fn check_bounds(answers: &[(Ask, Answer)]) -> Result<(), Unusable> {
    let bounds = |arm: Arm| -> Result<BTreeSet<i64>, Unusable> {
        let of_arm = answers.iter().filter(|(ask, _)| ask.arm == arm);
        let mut all = BTreeSet::new();
        for (_, answer) in of_arm {
            all.extend(answer.series()?.iter().filter_map(|series| bound(&series.metric)));
        }
        Ok(all)
    };
    let (candidate, stable) = (bounds(Arm::Candidate)?, bounds(Arm::Stable)?);
    let fits = candidate.is_empty() || stable.is_subset(&candidate);
    if fits { Ok(()) } else { Err(Unusable::OtherBounds) }
}

/// What was told by minute, and the minutes of which a part can't be read.
type Told = (BTreeMap<Timestamp, Tally>, BTreeSet<Timestamp>);

fn history(metric: Metric, stable: &BTreeMap<Timestamp, Tally>, until: Timestamp) -> History {
    let (hour, day) = history_windows(metric, until);
    let mut history = History::default();
    for (start, tally) in stable.range(day.from..day.to) {
        let hours = start.duration_since(day.from).as_hours();
        let of_hour: &mut Tally = history.hours.entry(day.from + SignedDuration::from_hours(hours)).or_default();
        tally.0.iter().for_each(|(bound, values)| of_hour.add(*bound, *values));
        if *start >= hour.from {
            history.minutes.insert(*start, tally.clone());
        }
    }
    history
}

fn tallies(promql: &Promql, arm: Arm, answers: &[(Ask, Answer)]) -> Result<Told, Unusable> {
    let of = |part: Part| {
        let answer = answers.iter().find(|(ask, _)| ask.arm == arm && ask.part == part);
        answer.map_or(Ok(Values::default()), |(_, answer)| Values::read(part, answer))
    };
    if let Some(gauge) = &promql.gauge {
        let limit: f64 = gauge.bad_above.parse().unwrap_or(f64::INFINITY);
        return Ok((looks(&of(Part::Values)?, limit), BTreeSet::new()));
    }
    match promql.histogram {
        Some(_) => {
            let values = of(Part::Buckets)?;
            Ok((durations(&values), values.unread))
        }
        None => counts(&of(Part::Bad)?, &of(Part::Total)?),
    }
}

fn looks(values: &Values, limit: f64) -> BTreeMap<Timestamp, Tally> {
    let tally = |values: &Vec<(Option<i64>, f64)>| {
        let mut tally = Tally::default();
        values.iter().for_each(|(_, value)| tally.add(i64::from(*value > limit), 1));
        tally
    };
    values.by_minute.iter().map(|(start, values)| (*start, tally(values))).collect()
}

/// Cumulative buckets as how many are in each. Rounding makes none of them negative.
fn durations(values: &Values) -> BTreeMap<Timestamp, Tally> {
    let tally = |values: &Vec<(Option<i64>, f64)>| {
        let mut cumulative: BTreeMap<i64, f64> = BTreeMap::new();
        values.iter().for_each(|(bound, value)| *cumulative.entry(bound.unwrap_or(i64::MAX)).or_default() += value);
        let (mut tally, mut below) = (Tally::default(), 0_i64);
        for (bound, value) in cumulative {
            let reached = (value.max(0.0).round() as i64).max(below);
            tally.add(bound, reached - below);
            below = reached;
        }
        tally
    };
    values.by_minute.iter().map(|(start, values)| (*start, tally(values))).collect()
}

fn counts(bad: &Values, total: &Values) -> Result<Told, Unusable> {
    let readable = total.by_minute.keys().filter(|start| !bad.unread.contains(start));
    let has_bad = bad.by_minute.values().flatten().any(|(_, value)| *value > SLACK);
    if total.by_minute.is_empty() && has_bad {
        return Err(Unusable::MoreBadThanAll);
    }
    let (mut tallies, mut wrong) = (BTreeMap::new(), BTreeSet::new());
    for start in readable {
        let (bad, total) = (bad.sum(*start), total.sum(*start));
        if bad < 0.0 || total < 0.0 || bad > total * MORE + SLACK {
            wrong.insert(*start);
            continue;
        }
        let total = total.round() as i64;
        tallies.insert(*start, Tally::of_errors(total, (bad.round() as i64).min(total)));
    }
    // A minute may be torn between two scrapes; where none is right, the queries are wrong.
    if !wrong.is_empty() && tallies.values().all(Tally::is_empty) {
        return Err(Unusable::MoreBadThanAll);
    }
    let unread = wrong.into_iter().chain(bad.unread.iter().copied()).chain(total.unread.iter().copied());
    Ok((tallies, unread.collect()))
}

#[cfg(test)]
mod tests;
