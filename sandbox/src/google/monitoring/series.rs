//! What is measured: requests and latencies of one source in one minute.

use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::google::instances::{Instances, Probes};
use crate::google::users::Met;

pub(super) const REQUESTS: &str = "run.googleapis.com/request_count";
pub(super) const LATENCIES: &str = "run.googleapis.com/request_latencies";
pub(super) const CPU: &str = "run.googleapis.com/container/cpu/utilizations";
pub(super) const MEMORY: &str = "run.googleapis.com/container/memory/utilizations";
pub(super) const PROBES: &str = "run.googleapis.com/container/completed_probe_count";
/// All that there are.
pub(super) const ALL: [&str; 5] = [REQUESTS, LATENCIES, CPU, MEMORY, PROBES];

/// Where the buckets of a distribution end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Milliseconds: 60 buckets, each 1.4 times as wide as the one before.
    Growing,
    /// Shares: 100 buckets of a hundredth.
    Even,
}

const GROWTH: f64 = 1.4;
const WIDTH: f64 = 0.01;

impl Layout {
    /// How many buckets lie between those that are open to one side.
    fn finite(self) -> usize {
        match self {
            Self::Growing => 60,
            Self::Even => 100,
        }
    }

    fn bucket(self, value: f64) -> usize {
        let index = match self {
            Self::Growing if value < 1.0 => 0,
            Self::Growing => (value.ln() / GROWTH.ln()).floor() as usize + 1,
            Self::Even => (value / WIDTH).floor() as usize + 1,
        };
        index.min(self.finite() + 1)
    }

    fn upper_bound(self, index: usize) -> f64 {
        match self {
            _ if index > self.finite() => f64::INFINITY,
            Self::Growing => GROWTH.powi(i32::try_from(index).unwrap_or(0)),
            Self::Even => index as f64 * WIDTH,
        }
    }

    fn document(self) -> Value {
        let finite = self.finite();
        match self {
            Self::Growing => {
                json!({"exponentialBuckets": {"numFiniteBuckets": finite, "growthFactor": GROWTH, "scale": 1.0}})
            }
            // No offset: as everywhere in JSON of Google's, what is 0 is left out.
            Self::Even => json!({"linearBuckets": {"numFiniteBuckets": finite, "width": WIDTH}}),
        }
    }
}

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
    latency: Spread,
    cpu: Spread,
    memory: Spread,
    liveness: Probes,
    startup: Probes,
}

#[derive(Clone, Debug)]
pub(super) struct Spread {
    layout: Layout,
    pub(super) count: f64,
    pub(super) sum: f64,
    buckets: Vec<f64>,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Datum {
    Count(i64),
    Number(f64),
    Distribution(Spread),
}

impl Source {
    fn labels(&self, code: &str, class: &str) -> Labels {
        self.with([("response_code", code), ("response_code_class", class)])
    }

    fn of_instances(&self) -> Labels {
        self.with([("container_name", "app")])
    }

    fn of_probe(&self, kind: &str, is_healthy: &str) -> Labels {
        let container = [("container_name", "app"), ("is_default", "false"), ("probe_action", "HTTP_GET")];
        let labels = container.into_iter().chain([("probe_type", kind), ("is_healthy", is_healthy)]);
        self.with(labels)
    }

    /// The labels of the resource, with some of the metric.
    fn with<'l>(&self, of_metric: impl IntoIterator<Item = (&'l str, &'l str)>) -> Labels {
        let of_metric = of_metric.into_iter().map(|(key, value)| (format!("metric.labels.{key}"), value.to_string()));
        let of_resource = Labels::from([
            ("resource.labels.configuration_name".to_string(), self.service.clone()),
            ("resource.labels.location".to_string(), self.region.clone()),
            ("resource.labels.project_id".to_string(), self.project.clone()),
            ("resource.labels.revision_name".to_string(), self.revision.clone()),
            ("resource.labels.service_name".to_string(), self.service.clone()),
        ]);
        of_resource.into_iter().chain(of_metric).collect()
    }
}

impl Minute {
    pub(super) fn arriving(arrives: Timestamp) -> Self {
        Self {
            arrives,
            requests: 0,
            errors: 0,
            client_errors: 0,
            throttled: 0,
            latency: Spread::none(Layout::Growing),
            cpu: Spread::none(Layout::Even),
            memory: Spread::none(Layout::Even),
            liveness: Probes::default(),
            startup: Probes::default(),
        }
    }

    pub(super) fn add(&mut self, met: &Met, instances: &Instances) {
        self.requests += met.requests;
        self.errors += met.errors;
        self.client_errors += met.client_errors;
        self.throttled += met.throttled;
        met.latencies.iter().for_each(|(ms, requests)| self.latency.add(*ms, *requests as f64));
        instances.cpu.iter().for_each(|share| self.cpu.add(*share, 1.0));
        instances.memory.iter().for_each(|share| self.memory.add(*share, 1.0));
        for (all, more) in [(&mut self.liveness, instances.liveness), (&mut self.startup, instances.startup)] {
            all.healthy += more.healthy;
            all.failed += more.failed;
        }
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
            CPU => vec![(source.of_instances(), Datum::Distribution(self.cpu.clone()))],
            MEMORY => vec![(source.of_instances(), Datum::Distribution(self.memory.clone()))],
            PROBES => {
                let of = |kind: &'static str, probes: Probes| {
                    [(kind, "true", probes.healthy), (kind, "false", probes.failed)]
                };
                let all = of("LIVENESS", self.liveness).into_iter().chain(of("STARTUP", self.startup));
                let ended = all.filter(|(.., count)| *count > 0);
                ended.map(|(kind, healthy, n)| (source.of_probe(kind, healthy), Datum::Count(n))).collect()
            }
            _ => vec![],
        }
    }
}

impl Spread {
    fn none(layout: Layout) -> Self {
        Self { layout, count: 0.0, sum: 0.0, buckets: vec![0.0; layout.finite() + 2] }
    }

    fn add(&mut self, value: f64, weight: f64) {
        if let Some(bucket) = self.buckets.get_mut(self.layout.bucket(value)) {
            *bucket += weight;
        }
        self.count += weight;
        self.sum += value * weight;
    }

    /// The buckets' upper bounds, and how many lie below each; the last bound is infinite.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, f64)> {
        self.buckets.iter().enumerate().scan(0.0, move |sum, (index, count)| {
            *sum += count;
            Some((self.layout.upper_bound(index), *sum))
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
                    "bucketOptions": latency.layout.document(),
                    "bucketCounts": counts,
                }})
            }
        }
    }
}
