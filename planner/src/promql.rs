//! Metrics that are asked for in PromQL: what is asked, and what the answers say. Whose answer it is, and how it is fetched,
//! is the shell's.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::Promql;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::{CountsQuery, History, Measured, Minute, ServiceId, Tally, Window};
use crate::names::RevisionName;
use crate::verdict::history_windows;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Microseconds of a second.
const SECOND: f64 = 1_000_000.0;
/// How much more bad ones than all there may seem to be: each count is rounded, and `increase` extrapolates.
const SLACK: f64 = 1.0;
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

/// An answer as Prometheus writes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    data: Data,
}

#[derive(Clone, Debug, Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Clone, Debug, Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// Why answers can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There are more series than any sensible answer has.
    #[error("the query {0} gives more than {MOST_SERIES} series: aggregate, for example with sum(…)")]
    TooMany(&'static str),
    /// A series of a histogram has no bound.
    #[error("the query `buckets` gives a series without the label `le`: keep it, with sum by (le) (…)")]
    NoBound,
    /// There are more bad ones than there are in all.
    #[error("the query `bad` gives more than the query `total`: compare the two")]
    MoreBadThanAll,
}

impl Part {
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
            let (_, day) = history_windows(until);
            Some(Window { from: day.from, to: query.window.to.max(until) })
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
    names.into_iter().fold(text.to_string(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value).replace(&format!("{{{{ {name} }}}}"), value)
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
        let series = &answer.data.result;
        if series.len() > MOST_SERIES {
            return Err(Unusable::TooMany(part.word()));
        }
        let mut read = Self::default();
        for Series { metric, values } in series {
            let bound = match part {
                Part::Buckets => Some(bound(metric).ok_or(Unusable::NoBound)?),
                _ => None,
            };
            for (at, text) in values {
                let Some(start) = minute_before(*at) else { continue };
                match text.parse::<f64>().ok().filter(|value| value.is_finite()) {
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
fn bound(labels: &BTreeMap<String, String>) -> Option<i64> {
    let seconds: f64 = labels.get("le")?.parse().ok()?;
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
    let (candidate, stable) = (candidate?, stable?);
    let of = |tallies: &BTreeMap<Timestamp, Tally>, start: &Timestamp| tallies.get(start).cloned().unwrap_or_default();
    let within = |start: &&Timestamp| **start >= query.window.from && **start < query.window.to;
    let starts: BTreeSet<&Timestamp> = candidate.keys().chain(stable.keys()).filter(within).collect();
    let minute =
        |start: &Timestamp| Minute { start: *start, candidate: of(&candidate, start), stable: of(&stable, start) };
    Ok(Measured {
        minutes: starts.into_iter().map(minute).collect(),
        history: query.history_until.map(|until| history(&stable, until)),
        delay_seconds: None,
    })
}

fn history(stable: &BTreeMap<Timestamp, Tally>, until: Timestamp) -> History {
    let (hour, day) = history_windows(until);
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

fn tallies(promql: &Promql, arm: Arm, answers: &[(Ask, Answer)]) -> Result<BTreeMap<Timestamp, Tally>, Unusable> {
    let of = |part: Part| {
        let answer = answers.iter().find(|(ask, _)| ask.arm == arm && ask.part == part);
        answer.map_or(Ok(Values::default()), |(_, answer)| Values::read(part, answer))
    };
    if let Some(gauge) = &promql.gauge {
        let limit: f64 = gauge.bad_above.parse().unwrap_or(f64::INFINITY);
        return Ok(looks(&of(Part::Values)?, limit));
    }
    match promql.histogram {
        Some(_) => Ok(durations(&of(Part::Buckets)?)),
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

fn counts(bad: &Values, total: &Values) -> Result<BTreeMap<Timestamp, Tally>, Unusable> {
    let readable = total.by_minute.keys().filter(|start| !bad.unread.contains(start));
    let (mut tallies, mut wrong) = (BTreeMap::new(), false);
    for start in readable {
        let (bad, total) = (bad.sum(*start), total.sum(*start));
        if bad < 0.0 || total < 0.0 || bad > total + SLACK {
            wrong = true;
            continue;
        }
        let total = total.round() as i64;
        tallies.insert(*start, Tally::of_errors(total, (bad.round() as i64).min(total)));
    }
    // A minute may be torn between two scrapes; where none is right, the queries are wrong.
    let is_wrong = wrong && tallies.values().all(Tally::is_empty);
    if is_wrong { Err(Unusable::MoreBadThanAll) } else { Ok(tallies) }
}

#[cfg(test)]
mod tests;
