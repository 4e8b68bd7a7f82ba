//! Cloud Monitoring: requests and latencies by revision and minute, sampled and late as the real ones are.

mod aggregate;
mod descriptors;
mod filter;
mod policies;
mod promql;
mod series;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::enums::MONITORING;
use super::logging::Logs;
use super::page::{page, turn};
use super::problem::Problem;
use super::users::{Behaviour, Met, lateness};
use super::{Context, instances, stamp};
use crate::exchange::Request;
use aggregate::{Aggregation, Series};
use filter::Filter;
use series::{Datum, Labels, Minute};

pub(super) use series::Source;

/// How long minutes are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How long a minute is.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Largest page of points.
const PAGE: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// By the beginning of the minute.
    minutes: BTreeMap<Timestamp, BTreeMap<Source, Minute>>,
    totals: BTreeMap<Source, (i64, i64)>,
    policies: policies::Policies,
    /// How many instances each had in its last round.
    instances: BTreeMap<Source, i64>,
    /// Entries of the same requests.
    pub(super) logs: Logs,
}

impl Metrics {
    pub(super) fn record(&mut self, seed: u64, at: Timestamp, source: Source, met: &Met, behaviour: &Behaviour) {
        let second = at.as_second().div_euclid(60) * 60;
        let start = Timestamp::from_second(second).unwrap_or(at);
        let late = 60 + lateness(seed, &source.service, second);
        self.logs.record(at, &source, met);
        let total = self.totals.entry(source.clone()).or_default();
        total.0 += met.requests;
        total.1 += met.errors;
        let before = self.instances.insert(source.clone(), 0).unwrap_or_default();
        if met.requests == 0 {
            return;
        }
        let instances = instances::round((seed, &source.revision, at), met.requests, behaviour, before);
        self.instances.insert(source.clone(), instances.number);
        let arrives = start + SignedDuration::from_secs(late);
        self.minutes
            .entry(start)
            .or_default()
            .entry(source)
            .or_insert_with(|| Minute::arriving(arrives))
            .add(met, &instances);
        if let Some(oldest) = self.minutes.first_entry().filter(|oldest| *oldest.key() + KEPT < at) {
            oldest.remove();
        }
    }

    /// What users met since the beginning, by region, service and revision.
    pub(super) fn totals(&self) -> Value {
        self.totals
            .iter()
            .map(|(s, (requests, errors))| {
                json!({"project": s.project, "region": s.region, "service": s.service, "revision": s.revision,
                       "requests": requests, "errors": errors})
            })
            .collect()
    }

    pub(super) fn handle(&mut self, context: Context<'_>, project: &str, rest: &[&str]) -> Result<Value, Problem> {
        match (rest, &context.request.method) {
            (["timeSeries"], &Method::GET) => self.list(context, project),
            (["alertPolicies"], &Method::POST) => self.create_policy(context, project),
            (["alertPolicies", rest @ ..], &Method::GET | &Method::DELETE) if rest.len() < 2 => {
                self.policies(context, project, rest)
            }
            (["alerts"], &Method::GET) => self.alerts(context, project),
            (["metricDescriptors", rest @ ..], &Method::GET) => descriptors::handle(context, project, rest),
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    /// The points of a metric that have arrived, whose minutes end after `start` and not after `end`.
    fn points(
        &self,
        project: &str,
        metric: &str,
        now: Timestamp,
        (start, end): (Timestamp, Timestamp),
        fits: impl Fn(&Labels) -> bool,
    ) -> Series {
        let mut series = Series::new();
        let first = start - MINUTE + SignedDuration::from_nanos(1);
        let minutes = self.minutes.range(first..).take_while(|(at, _)| **at + MINUTE <= end);
        for (at, sources) in minutes {
            let of_project = sources.iter().filter(|(s, minute)| s.project == project && minute.arrives <= now);
            for (labels, datum) in of_project.flat_map(|(source, minute)| minute.points(source, metric)) {
                if fits(&labels) {
                    series.entry(labels).or_default().insert(*at + MINUTE, datum);
                }
            }
        }
        series
    }

    /// `projects.timeSeries.list`.
    fn list(&self, context: Context<'_>, project: &str) -> Result<Value, Problem> {
        let request = context.request;
        let filter = Filter::parse(request.param("filter").unwrap_or_default())?;
        if request.param("orderBy").is_some_and(|order| !order.is_empty()) {
            return Err(Problem::unimplemented("orderBy"));
        }
        let time = |key: &str| {
            let sent = request.param(key).unwrap_or_default();
            sent.parse::<Timestamp>().map_err(|e| Problem::field(key, format!("it is no timestamp: {e}")))
        };
        let end = time("interval.endTime")?;
        let start = if request.param("interval.startTime").is_some() { time("interval.startTime")? } else { end };
        let served = Timestamp::UNIX_EPOCH..context.now + KEPT;
        if !served.contains(&start) || !served.contains(&end) {
            return Err(Problem::field("interval", "it must lie between 1970 and tomorrow"));
        }
        if start > end {
            return Err(Problem::field("interval.startTime", "it is after the end"));
        }
        let aggregation = Aggregation::of(request)?;
        let span = if start == end { (end - MINUTE, end) } else { (start, end) };
        let found = self.points(project, &filter.metric, context.now, span, |labels| filter.fits(labels));
        let found = aggregation.apply(found, end)?;
        let documents = found
            .iter()
            .map(|(labels, points)| (format!("{labels:?}"), document(&filter.metric, labels, points, &aggregation)));
        if MONITORING.param(request, "view") == "HEADERS" {
            let bare = documents.map(|(key, mut document)| {
                document.as_object_mut().map(|fields| fields.remove("points"));
                (key, document)
            });
            return page(request, "timeSeries", bare.collect(), PAGE);
        }
        by_points(request, documents.collect())
    }
}

/// A page of series, which is as large as it has points: a series may go on in the next.
fn by_points(request: &Request, series: Vec<(String, Value)>) -> Result<Value, Problem> {
    let mut points = vec![];
    for (index, (key, document)) in series.iter().enumerate() {
        for (number, point) in document["points"].as_array().into_iter().flatten().enumerate() {
            points.push((format!("{key} {number:06}"), (index, point)));
        }
    }
    let (shown, next) = turn(request, points, PAGE)?;
    let mut listed: Vec<Value> = vec![];
    for of_series in shown.chunk_by(|(one, _), (other, _)| one == other) {
        let Some((_, document)) = of_series.first().and_then(|(index, _)| series.get(*index)) else { continue };
        let mut document = document.clone();
        document["points"] = of_series.iter().map(|(_, point)| (*point).clone()).collect();
        listed.push(document);
    }
    let mut body = Map::new();
    if let Some(next) = next {
        body.insert("nextPageToken".into(), json!(next));
    }
    if !listed.is_empty() {
        body.insert("timeSeries".into(), json!(listed));
    }
    Ok(Value::Object(body))
}

fn document(metric: &str, labels: &Labels, points: &BTreeMap<Timestamp, Datum>, aggregation: &Aggregation) -> Value {
    let part = |prefix: &str| -> Map<String, Value> {
        labels.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_string(), json!(v)))).collect()
    };
    let deltas = aggregation.keeps_deltas();
    // Newest first, as the real API has it.
    let documents: Vec<Value> = points
        .iter()
        .rev()
        .map(|(end, datum)| {
            let start = if deltas { *end - aggregation.span() } else { *end };
            json!({"interval": {"startTime": stamp(start), "endTime": stamp(*end)}, "value": datum.document()})
        })
        .collect();
    json!({
        "metric": {"type": metric, "labels": part("metric.labels.")},
        "resource": {"type": "cloud_run_revision", "labels": part("resource.labels.")},
        "metricKind": if deltas { "DELTA" } else { "GAUGE" },
        "valueType": points.values().next().map_or("VALUE_TYPE_UNSPECIFIED", Datum::value_type),
        "points": documents,
    })
}
