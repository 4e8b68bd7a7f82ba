//! Prometheus metrics. No label names an object.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

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
    /// Reads of Google by API and result.
    pub reads: IntCounterVec,
    /// Plans that would have broken a promise, by its number.
    pub broken_promises: IntCounterVec,
    /// Failures of watches by kind.
    pub watch_failures: IntCounterVec,
    /// Objects that could not be decoded, by kind.
    pub undecodable: IntCounterVec,
    /// 1 while this process leads.
    pub leader: IntGauge,
}

impl Metrics {
    /// Registers them all.
    ///
    /// # Errors
    /// When a name is taken twice.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let passes =
            counter("orchestra_reconciliations_total", "Passes over objects by kind and result.", &["kind", "result"])?;
        let effects =
            counter("orchestra_cloud_writes_total", "Writes to Google Cloud by verb and result.", &["verb", "result"])?;
        let reads =
            counter("orchestra_cloud_reads_total", "Reads of Google Cloud by API and result.", &["api", "result"])?;
        let broken_promises = counter(
            "orchestra_broken_promises_total",
            "Plans that would have broken a safety promise, by its number.",
            &["promise"],
        )?;
        let watch_failures =
            counter("orchestra_watch_failures_total", "Failures of watches of the cluster by kind.", &["kind"])?;
        let undecodable =
            counter("orchestra_undecodable_objects_total", "Objects that could not be decoded by kind.", &["kind"])?;
        let options = HistogramOpts::new("orchestra_reconciliation_duration_seconds", "Duration of passes by kind.");
        let pass_seconds = HistogramVec::new(options, &["kind"])?;
        registry.register(Box::new(pass_seconds.clone()))?;
        let leader = IntGauge::new("orchestra_leader", "1 while this process leads.")?;
        registry.register(Box::new(leader.clone()))?;
        Ok(Self {
            registry,
            passes,
            pass_seconds,
            effects,
            reads,
            broken_promises,
            watch_failures,
            undecodable,
            leader,
        })
    }

    /// All of them, in Prometheus' text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}
