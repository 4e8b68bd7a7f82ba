//! Prometheus metrics.

pub mod catalogue;
mod objects;
mod releases;
pub(crate) mod shown;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use orchestra_crds::{OrchestraEnvironment, Rollout};
use std::collections::BTreeSet;

use crate::shell::Managed;
use catalogue::Described;
pub(crate) use objects::word;
pub use objects::{DEFAULT_BOUND, Key, Series};
use orchestra_cloud::{Made, Observer};
use orchestra_planner::plan::Severity;
use orchestra_planner::reason::Reason;

/// Numbers of the promises.
const PROMISES: std::ops::RangeInclusive<u8> = 1..=26;

/// The controller's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Passes by kind and result.
    pub passes: IntCounterVec,
    /// Duration of passes by kind, in seconds.
    pub pass_seconds: HistogramVec,
    /// Writes to Google by verb and result.
    pub effects: IntCounterVec,
    /// Calls of Google by API, method and code.
    pub google: IntCounterVec,
    /// Duration of calls of Google by API and method, in seconds.
    pub google_seconds: HistogramVec,
    /// Plans that would have broken a promise, by its number.
    pub broken_promises: IntCounterVec,
    /// Failures of watches by kind.
    pub watch_failures: IntCounterVec,
    /// 1 while the watch of a kind works.
    pub watching: IntGaugeVec,
    /// Objects that could not be decoded, by kind.
    pub undecodable: IntCounterVec,
    /// Events by kind, type and reason.
    pub events: IntCounterVec,
    /// 1 while this process leads.
    pub leader: IntGauge,
    releases: IntCounterVec,
    release_seconds: HistogramVec,
    rollback_seconds: Histogram,
    bad_requests: IntCounter,
    bad_errors: IntCounter,
    objects: objects::Objects,
}

/// Registers metrics as the catalogue has them.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counters(&self, metric: &Described) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(metric.options(), metric.labels)?)
    }

    fn counter(&self, metric: &Described) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::with_opts(metric.options())?)
    }

    fn gauges(&self, metric: &Described) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(metric.options(), metric.labels)?)
    }

    fn histograms(&self, metric: &Described) -> Result<HistogramVec, prometheus::Error> {
        self.register(HistogramVec::new(metric.histogram(), metric.labels)?)
    }
}

impl Metrics {
    /// Registers them all; single objects have series of their own up to a bound.
    ///
    /// # Errors
    /// When a name is taken twice.
    pub fn new(object_bound: usize) -> Result<Self, prometheus::Error> {
        use catalogue as all;
        let registry = Registry::new();
        let with = Registrar(&registry);
        with.gauges(&all::BUILD)?
            .with_label_values(&[env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_RUST_VERSION")])
            .set(1);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let metrics = Self {
            passes: with.counters(&all::RECONCILIATIONS)?,
            pass_seconds: with.histograms(&all::RECONCILIATION_SECONDS)?,
            effects: with.counters(&all::GOOGLE_WRITES)?,
            google: with.counters(&all::GOOGLE_REQUESTS)?,
            google_seconds: with.histograms(&all::GOOGLE_SECONDS)?,
            broken_promises: with.counters(&all::BROKEN_PROMISES)?,
            watch_failures: with.counters(&all::WATCH_FAILURES)?,
            watching: with.gauges(&all::WATCHING)?,
            undecodable: with.counters(&all::UNDECODABLE)?,
            events: with.counters(&all::EVENTS)?,
            leader: with.register(IntGauge::with_opts(all::LEADER.options())?)?,
            releases: with.counters(&all::RELEASES_ENDED)?,
            release_seconds: with.histograms(&all::RELEASE_SECONDS)?,
            rollback_seconds: with.register(Histogram::with_opts(all::ROLLBACK_SECONDS.histogram())?)?,
            bad_requests: with.counter(&all::BAD_REQUESTS)?,
            bad_errors: with.counter(&all::BAD_ERRORS)?,
            objects: with.register(objects::Objects::new(object_bound)?)?,
            registry,
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// A counter that is first seen at 1 has grown by nothing, for Prometheus: what is rare is shown before it happens.
    fn begin_at_zero(&self) {
        for promise in PROMISES {
            self.broken_promises.with_label_values(&[&promise.to_string()]);
        }
        for reason in Reason::DRIFT {
            self.events.with_label_values(&[Rollout::KIND, Severity::Warning.word(), reason.word()]);
        }
        for (severity, reason) in Reason::OF_RELEASES {
            self.events.with_label_values(&[Rollout::KIND, severity.word(), reason.word()]);
        }
        self.begin_releases_at_zero();
    }

    /// Whether the watches work, where this process leads.
    pub(crate) fn show_watches(&self, failing: &BTreeSet<&'static str>) {
        if self.leader.get() == 1 {
            for kind in [Rollout::KIND, OrchestraEnvironment::KIND] {
                self.watching.with_label_values(&[kind]).set(i64::from(!failing.contains(kind)));
            }
        }
    }

    /// What one object shows from now on.
    pub fn show(&self, key: &Key, phase: Option<String>, series: Vec<Series>) {
        self.objects.show(key, phase, series);
    }

    /// A look at an object begins.
    pub(crate) fn look_begins(&self, key: &Key) {
        self.objects.look_begins(key);
    }

    /// When the next look at an object is due; none: it is gone.
    pub(crate) fn look_ended(&self, key: &Key, next: Option<std::time::Duration>) {
        self.objects.look_ended(key, next);
    }

    /// All of them, in Prometheus' text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl Observer for Metrics {
    fn made(&self, call: Made) {
        let method = call.operation.replace(' ', "_").to_lowercase();
        self.google.with_label_values(&[call.api, method.as_str(), call.code]).inc();
        self.google_seconds.with_label_values(&[call.api, method.as_str()]).observe(call.took.as_secs_f64());
    }
}
