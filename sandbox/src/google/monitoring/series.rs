//! What is measured: requests and latencies of one source in one minute.

use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::google::users::Met;

pub(super) const REQUESTS: &str = "run.googleapis.com/request_count";
pub(super) const LATENCIES: &str = "run.googleapis.com/request_latencies";
/// Bounds of the latency buckets: 60 of them, each 1.4 times the one before, in milliseconds.
const BUCKETS: usize = 60;
const GROWTH: f64 = 1.4;

/// What requests go to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::google) struct Source {
    pub(in crate::google) project: String,
    pub(in crate::google) region: String,
    pub(in crate::google) service: String,
    pub(in crate::google) revision: String,
}

/// `metric.labels.response_code`, `resource.labels.location` and so on.
pub(super) type Labels = BTreeMap<String, String>;

/// One minute of a source.
#[derive(Debug)]
pub(super) struct Minute {
    /// When it can be read.
    pub(super) arrives: Timestamp,
    requests: i64,
    errors: i64,
    client_errors: i64,
    throttled: i64,
    latency: Latency,
}

#[derive(Clone, Debug)]
pub(super) struct Latency {
    pub(super) count: f64,
    pub(super) sum: f64,
    buckets: Vec<f64>,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Datum {
    Count(i64),
    Number(f64),
    Distribution(Latency),
}

impl Source {
    fn labels(&self, code: &str, class: &str) -> Labels {
        Labels::from([
            ("metric.labels.response_code".to_string(), code.to_string()),
            ("metric.labels.response_code_class".to_string(), class.to_string()),
            ("resource.labels.configuration_name".to_string(), self.service.clone()),
            ("resource.labels.location".to_string(), self.region.clone()),
            ("resource.labels.project_id".to_string(), self.project.clone()),
            ("resource.labels.revision_name".to_string(), self.revision.clone()),
            ("resource.labels.service_name".to_string(), self.service.clone()),
        ])
    }
}

impl Minute {
    pub(super) fn arriving(arrives: Timestamp) -> Self {
        Self { arrives, requests: 0, errors: 0, client_errors: 0, throttled: 0, latency: Latency::none() }
    }

    pub(super) fn add(&mut self, met: &Met) {
        self.requests += met.requests;
        self.errors += met.errors;
        self.client_errors += met.client_errors;
        self.throttled += met.throttled;
        met.latencies.iter().for_each(|(ms, requests)| self.latency.add(*ms, *requests as f64));
    }

    pub(super) fn points(&self, source: &Source, metric: &str) -> Vec<(Labels, Datum)> {
        let good = self.requests - self.errors - self.client_errors - self.throttled;
        let classes = [
            ("200", "2xx", good),
            ("404", "4xx", self.client_errors),
            ("429", "4xx", self.throttled),
            ("500", "5xx", self.errors),
        ];
        let classes = classes.into_iter().filter(|(.., count)| *count > 0);
        match metric {
            REQUESTS => classes.map(|(code, class, count)| (source.labels(code, class), Datum::Count(count))).collect(),
            LATENCIES => vec![(source.labels("200", "2xx"), Datum::Distribution(self.latency.clone()))],
            _ => vec![],
        }
    }
}

impl Latency {
    fn none() -> Self {
        Self { count: 0.0, sum: 0.0, buckets: vec![0.0; BUCKETS + 2] }
    }

    fn add(&mut self, ms: f64, weight: f64) {
        let index = if ms < 1.0 { 0 } else { (ms.ln() / GROWTH.ln()).floor() as usize + 1 };
        if let Some(bucket) = self.buckets.get_mut(index.min(BUCKETS + 1)) {
            *bucket += weight;
        }
        self.count += weight;
        self.sum += ms * weight;
    }

    /// The buckets' upper bounds in milliseconds, and how many lie below each; the last bound is infinite.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, f64)> {
        let bound =
            |index: usize| if index > BUCKETS { f64::INFINITY } else { GROWTH.powi(i32::try_from(index).unwrap_or(0)) };
        self.buckets.iter().enumerate().scan(0.0, move |sum, (index, count)| {
            *sum += count;
            Some((bound(index), *sum))
        })
    }

    /// The value that a share of the requests stays below, even within a bucket; none without requests.
    pub(super) fn percentile(&self, percent: f64) -> Option<f64> {
        let wanted = self.count * percent / 100.0;
        let (mut below, mut under) = (0.0, 0.0);
        for (bound, reached) in self.cumulative().filter(|_| self.count > 0.0) {
            if reached >= wanted && reached > under {
                let within =
                    if bound.is_finite() { (bound - below) * (wanted - under) / (reached - under) } else { 0.0 };
                return Some(below + within);
            }
            (below, under) = (bound, reached);
        }
        None
    }
}

impl Datum {
    pub(super) fn plus(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Count(a), Self::Count(b)) => Self::Count(a + b),
            (Self::Distribution(mut a), Self::Distribution(b)) => {
                a.count += b.count;
                a.sum += b.sum;
                a.buckets.iter_mut().zip(&b.buckets).for_each(|(a, b)| *a += b);
                Self::Distribution(a)
            }
            (Self::Distribution(mine), _) => Self::Distribution(mine),
            (mine, other) => Self::Number(mine.number() + other.number()),
        }
    }

    /// As one number; of a distribution its mean.
    pub(super) fn number(&self) -> f64 {
        match self {
            Self::Count(count) => *count as f64,
            Self::Number(number) => *number,
            Self::Distribution(latency) if latency.count > 0.0 => latency.sum / latency.count,
            Self::Distribution(_) => 0.0,
        }
    }

    pub(super) fn value_type(&self) -> &'static str {
        match self {
            Self::Count(_) => "INT64",
            Self::Number(_) => "DOUBLE",
            Self::Distribution(_) => "DISTRIBUTION",
        }
    }

    pub(super) fn document(&self) -> Value {
        match self {
            Self::Count(count) => json!({"int64Value": count.to_string()}),
            Self::Number(number) => json!({"doubleValue": number}),
            Self::Distribution(latency) => {
                let counts: Vec<String> = latency.buckets.iter().map(|c| format!("{:.0}", c.round())).collect();
                json!({"distributionValue": {
                    "count": format!("{:.0}", latency.count.round()), "mean": self.number(),
                    "bucketOptions": {"exponentialBuckets": {"numFiniteBuckets": BUCKETS, "growthFactor": GROWTH, "scale": 1.0}},
                    "bucketCounts": counts,
                }})
            }
        }
    }
}
