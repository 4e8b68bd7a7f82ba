//! Cloud Monitoring: requests and latencies by revision and minute, sampled and late as the real ones are.

use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::problem::Problem;
use super::users::{Met, lateness};
use super::{Context, stamp};

const REQUESTS: &str = "run.googleapis.com/request_count";
const LATENCIES: &str = "run.googleapis.com/request_latencies";
/// Bounds of the latency buckets: 60 of them, each 1.4 times the one before, in milliseconds.
const BUCKETS: usize = 60;
const GROWTH: f64 = 1.4;
/// How long minutes are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Default)]
pub(super) struct Metrics {
    minutes: BTreeMap<(Timestamp, Source), Minute>,
    totals: BTreeMap<Source, (i64, i64)>,
}

/// What requests go to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) project: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) revision: String,
}

#[derive(Debug)]
struct Minute {
    /// When it can be read.
    arrives: Timestamp,
    requests: i64,
    errors: i64,
    latency: Latency,
}

#[derive(Clone, Debug)]
struct Latency {
    count: f64,
    sum: f64,
    buckets: Vec<f64>,
}

/// A series of points: what it is labelled with, and its values by the end of their minute.
type Series = BTreeMap<BTreeMap<String, String>, BTreeMap<Timestamp, Datum>>;

#[derive(Clone, Debug)]
enum Datum {
    Count(i64),
    Distribution(Latency),
}

impl Metrics {
    pub(super) fn record(&mut self, seed: u64, at: Timestamp, source: Source, met: &Met) {
        let second = at.as_second().div_euclid(60) * 60;
        let start = Timestamp::from_second(second).unwrap_or(at);
        let late = 60 + lateness(seed, &source.service, second);
        let total = self.totals.entry(source.clone()).or_default();
        total.0 += met.requests;
        total.1 += met.errors;
        if met.requests == 0 {
            return;
        }
        let minute = self.minutes.entry((start, source)).or_insert_with(|| Minute {
            arrives: start + SignedDuration::from_secs(late),
            requests: 0,
            errors: 0,
            latency: Latency { count: 0.0, sum: 0.0, buckets: vec![0.0; BUCKETS + 2] },
        });
        minute.requests += met.requests;
        minute.errors += met.errors;
        met.latencies.iter().for_each(|ms| minute.latency.add(*ms, met.each));
        if let Some(entry) = self.minutes.first_entry().filter(|e| e.key().0 + KEPT < at) {
            entry.remove();
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

    /// `projects.timeSeries.list`.
    pub(super) fn list(&self, context: Context<'_>, project: &str) -> Result<Value, Problem> {
        let request = context.request;
        let filter = Filter::parse(request.param("filter").unwrap_or_default())?;
        let time = |key: &str| {
            let sent = request.param(key).unwrap_or_default();
            sent.parse::<Timestamp>().map_err(|e| Problem::invalid(format!("Field {key} is no timestamp: {e}")))
        };
        let end = time("interval.endTime")?;
        let start = if request.param("interval.startTime").is_some() { time("interval.startTime")? } else { end };
        let name = |key: &str, names: &[&str]| enum_name(request.param(key).unwrap_or_default(), names);
        let aligner = name("aggregation.perSeriesAligner", &["ALIGN_NONE", "ALIGN_DELTA", "ALIGN_RATE"]);
        let reducer = name(
            "aggregation.crossSeriesReducer",
            &["REDUCE_NONE", "REDUCE_MEAN", "REDUCE_MIN", "REDUCE_MAX", "REDUCE_SUM"],
        );
        let supported = matches!(aligner.as_str(), "" | "ALIGN_NONE" | "ALIGN_DELTA")
            && matches!(reducer.as_str(), "" | "REDUCE_NONE" | "REDUCE_SUM");
        if !supported {
            return Err(Problem::unimplemented(&format!("aligner {aligner} with reducer {reducer}")));
        }
        let period = request.param("aggregation.alignmentPeriod").filter(|p| !p.is_empty());
        if period.is_some_and(|p| p != "60s") {
            return Err(Problem::unimplemented("an alignment period other than 60s"));
        }
        let group: Vec<&str> =
            request.query.iter().filter(|(k, _)| k == "aggregation.groupByFields").map(|(_, v)| v.as_str()).collect();
        let mut series = Series::new();
        let in_time = |start_of: Timestamp| {
            start_of >= start - SignedDuration::from_secs(59) && start_of + SignedDuration::from_mins(1) <= end
        };
        for ((minute, source), data) in
            self.minutes.iter().filter(|((m, _), d)| in_time(*m) && d.arrives <= context.now)
        {
            for (labels, datum) in data.points(source, &filter.metric) {
                if source.project != project || !filter.fits(&labels) {
                    continue;
                }
                let kept = match reducer.as_str() {
                    "REDUCE_SUM" => labels.into_iter().filter(|(k, _)| group.contains(&k.as_str())).collect(),
                    _ => labels,
                };
                let ends = *minute + SignedDuration::from_mins(1);
                let points = series.entry(kept).or_default();
                let sum = points.remove(&ends).map_or(datum.clone(), |before| before.plus(&datum));
                points.insert(ends, sum);
            }
        }
        let documents: Vec<Value> =
            series.iter().map(|(labels, points)| document(&filter.metric, labels, points)).collect();
        Ok(if documents.is_empty() { json!({}) } else { json!({"timeSeries": documents}) })
    }
}

fn enum_name(sent: &str, names: &[&str]) -> String {
    let known = sent.parse::<usize>().ok().and_then(|number| names.get(number).copied());
    known.unwrap_or(sent).to_string()
}

impl Minute {
    fn points(&self, source: &Source, metric: &str) -> Vec<(BTreeMap<String, String>, Datum)> {
        let good = self.requests - self.errors;
        let classes = [("200", "2xx", good), ("500", "5xx", self.errors)].into_iter().filter(|(.., count)| *count > 0);
        let labels = |code: &str, class: &str| {
            BTreeMap::from([
                ("metric.labels.response_code".to_string(), code.to_string()),
                ("metric.labels.response_code_class".to_string(), class.to_string()),
                ("resource.labels.configuration_name".to_string(), source.service.clone()),
                ("resource.labels.location".to_string(), source.region.clone()),
                ("resource.labels.project_id".to_string(), source.project.clone()),
                ("resource.labels.revision_name".to_string(), source.revision.clone()),
                ("resource.labels.service_name".to_string(), source.service.clone()),
            ])
        };
        match metric {
            REQUESTS => classes.map(|(code, class, count)| (labels(code, class), Datum::Count(count))).collect(),
            LATENCIES => vec![(labels("200", "2xx"), Datum::Distribution(self.latency.clone()))],
            _ => vec![],
        }
    }
}

impl Latency {
    fn add(&mut self, ms: f64, weight: f64) {
        let index = if ms < 1.0 { 0 } else { (ms.ln() / GROWTH.ln()).floor() as usize + 1 };
        if let Some(bucket) = self.buckets.get_mut(index.min(BUCKETS + 1)) {
            *bucket += weight;
        }
        self.count += weight;
        self.sum += ms * weight;
    }
}

impl Datum {
    fn plus(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Count(a), Self::Count(b)) => Self::Count(a + b),
            (Self::Distribution(mut a), Self::Distribution(b)) => {
                a.count += b.count;
                a.sum += b.sum;
                a.buckets.iter_mut().zip(&b.buckets).for_each(|(a, b)| *a += b);
                Self::Distribution(a)
            }
            (mine, _) => mine,
        }
    }

    fn document(&self) -> Value {
        match self {
            Self::Count(count) => json!({"int64Value": count.to_string()}),
            Self::Distribution(latency) => {
                let counts: Vec<String> = latency.buckets.iter().map(|c| format!("{:.0}", c.round())).collect();
                json!({"distributionValue": {
                    "count": format!("{:.0}", latency.count.round()),
                    "mean": if latency.count > 0.0 { latency.sum / latency.count } else { 0.0 },
                    "bucketOptions": {"exponentialBuckets": {"numFiniteBuckets": BUCKETS, "growthFactor": GROWTH, "scale": 1.0}},
                    "bucketCounts": counts,
                }})
            }
        }
    }
}

fn document(metric: &str, labels: &BTreeMap<String, String>, points: &BTreeMap<Timestamp, Datum>) -> Value {
    let part = |prefix: &str| -> Map<String, Value> {
        labels.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_string(), json!(v)))).collect()
    };
    // Newest first, as the real API has it.
    let points: Vec<Value> = points
        .iter()
        .rev()
        .map(|(end, datum)| {
            let start = *end - SignedDuration::from_mins(1);
            json!({"interval": {"startTime": stamp(start), "endTime": stamp(*end)}, "value": datum.document()})
        })
        .collect();
    json!({
        "metric": {"type": metric, "labels": part("metric.labels.")},
        "resource": {"type": "cloud_run_revision", "labels": part("resource.labels.")},
        "metricKind": "DELTA", "valueType": if metric == LATENCIES { "DISTRIBUTION" } else { "INT64" },
        "points": points,
    })
}

/// A comparison of a filter: a field with one value, or with one of several.
static TERM: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^\s*([\w.]+)\s*=\s*(?:"([^"]*)"|one_of\(([^)]*)\))\s*$"#).ok());

/// A monitoring filter: comparisons joined by AND.
struct Filter {
    metric: String,
    terms: Vec<(String, Vec<String>)>,
}

impl Filter {
    fn parse(text: &str) -> Result<Self, Problem> {
        let bad = |what: &str| Problem::invalid(format!("The filter is not understood: {what}"));
        let term = TERM.as_ref().ok_or_else(|| bad(text))?;
        let mut filter = Self { metric: String::new(), terms: vec![] };
        for part in text.split(" AND ") {
            let found = term.captures(part).ok_or_else(|| bad(part))?;
            let field = found.get(1).map_or("", |m| m.as_str());
            let values: Vec<String> = match (found.get(2), found.get(3)) {
                (Some(one), _) => vec![one.as_str().to_string()],
                (None, Some(list)) => {
                    list.as_str().split(',').map(|v| v.trim().trim_matches('"').to_string()).collect()
                }
                (None, None) => vec![],
            };
            match field {
                "metric.type" => filter.metric = values.concat(),
                "resource.type" if values == ["cloud_run_revision"] => {}
                field if field.starts_with("resource.labels.") || field.starts_with("metric.labels.") => {
                    filter.terms.push((field.to_string(), values));
                }
                other => return Err(bad(other)),
            }
        }
        match filter.metric.as_str() {
            REQUESTS | LATENCIES => Ok(filter),
            other => Err(bad(&format!("metric.type {other:?}"))),
        }
    }

    fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        self.terms.iter().all(|(key, values)| labels.get(key).is_some_and(|v| values.contains(v)))
    }
}
