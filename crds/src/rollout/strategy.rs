//! How a new revision takes over.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Metric, Preset, Promql, Threshold};

/// How a new revision takes over. Exactly one is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.canary), has(self.blueGreen), has(self.rolling), has(self.immediate)].filter(set, set).size() == 1",
    "set exactly one strategy: canary, blueGreen, rolling or immediate"
))]
pub struct Strategy {
    /// Step by step, judged all the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Beside stable without a request, then everything at once, then watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// In even parts, by readiness alone: nothing is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// At once, as soon as the new revision is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immediate: Option<Immediate>,
}

/// Step by step: the candidate starts at 0 %, then takes the steps in turn, then all traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The steps, in order; 100 % follows the last one by itself.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(merge_strategy = ListMerge::Atomic, validation = (
        "self.filter(s, has(s.weight)).map(s, s.weight).isSorted()",
        "weights must not go down from one step to the next: order the steps by weight"
    ))]
    pub steps: Vec<Step>,
}

/// One step: exactly one kind of it is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.weight), has(self.pause)].filter(set, set).size() == 1",
    "set exactly one kind of step: weight or pause"
), validation = (
    "!has(self.holdSeconds) || has(self.weight)",
    "holdSeconds belongs to a weight: a pause has pause.durationSeconds"
))]
pub struct Step {
    /// Share of requests that the candidate gets, in percent. 100 % is no step: it follows the last one by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 99))]
    pub weight: Option<i32>,
    /// How long it stays at that share, at least. Default: 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604800))]
    pub hold_seconds: Option<i32>,
    /// Waits for a time, or for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
}

/// A planned wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// How long. Default: until somebody promotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2592000))]
    pub duration_seconds: Option<i32>,
}

/// Beside stable without a request of users, at an address of its own; then it gets everything in one write, and is watched for
/// `analysis.watchSeconds`. With `history.keepWarmSeconds` the revision before stays warm for the way back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreen {
    /// How long it stands there before it gets everything. Default: until somebody promotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604800))]
    pub preview_seconds: Option<i32>,
}

/// In even parts, each as soon as the one before is in effect and its time is over. Nothing is judged and nothing is watched: what
/// can't start gets no request, and what fails later is a person's to take back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rolling {
    /// In how many parts. Default: 4, so 25, 50, 75 and 100 %.
    #[serde(default = "default_increments")]
    #[schemars(range(min = 2, max = 20))]
    pub increments: i32,
    /// How long each part but the last is in effect, at least. Default: 60.
    #[serde(default = "default_interval")]
    #[schemars(range(min = 0, max = 86400))]
    pub interval_seconds: i32,
}

impl Default for Rolling {
    fn default() -> Self {
        Self { increments: default_increments(), interval_seconds: default_interval() }
    }
}

fn default_increments() -> i32 {
    4
}
fn default_interval() -> i32 {
    60
}

/// At once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Immediate {}

/// How the candidate is judged: against the stable revision, at the same time, from Cloud Monitoring's closed minutes.
/// The settings are frozen with a release: an edit applies to the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.metrics.exists(m, m == 'Errors')",
    "metrics: Errors is always judged: list it, too"
), validation = (
    "self.mode != 'Threshold' || self.metrics.all(m, m != 'ClientErrors' && m != 'TooManyRequests')",
    "metrics: mode Threshold has no limits for ClientErrors and TooManyRequests"
), validation = (
    "self.mode == 'Threshold' || !has(self.promql) || self.promql.all(m, !has(m.limits))",
    "promql: limits belong to mode Threshold: set it, or leave them out"
), validation = (
    "!has(self.threshold) || self.mode != 'Sequential'",
    "threshold: mode Sequential does not use it: set mode: Threshold, or leave threshold out"
))]
pub struct Analysis {
    /// Sequential acts on the verdict; Threshold acts on fixed limits instead, as other tools do; Observe records the verdict and
    /// never acts.
    #[serde(default)]
    pub mode: AnalysisMode,
    /// What is judged: requests must rule harm out for a step to pass, of instances and their probes there must be no sign of it, and
    /// all together say when to roll back. Default: errors and latency.
    #[serde(default = "default_metrics")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub metrics: Vec<Preset>,
    /// Metrics of your own, from Prometheus or from Managed Service for Prometheus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub promql: Vec<Promql>,
    /// Alert policies of Cloud Monitoring, as projects/PROJECT/alertPolicies/ID: an incident that is open about the candidate's
    /// revision takes it back; one that names no revision keeps it where it is. It needs roles/monitoring.alertViewer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 10),
        inner(length(max = 128), regex(pattern = r"^projects/[^/\s]+/alertPolicies/[^/\s]+$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub alert_policies: Vec<String>,
    /// The limits of mode Threshold. Default: one look a minute, errors up to 5 %, latencies up to twice stable's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// How sure a rollback must be: at 99, at most 1 of 100 good releases is rolled back, however often it is looked at.
    #[serde(default = "default_confidence")]
    #[schemars(range(min = 80, max = 99))]
    pub confidence_percent: i32,
    /// How long after its end a minute's metrics count as complete. Cloud Run's arrive up to 180 s late.
    #[serde(default = "default_metrics_delay")]
    #[schemars(range(min = 180, max = 1800))]
    pub metrics_delay_seconds: i32,
    /// How long the first requests of a new revision in a region are not counted: its instances start cold.
    #[serde(default = "default_warmup")]
    #[schemars(range(min = 0, max = 600))]
    pub warmup_seconds: i32,
    /// Requests of the candidate that a step must have judged to pass; with fewer, it ends undecided.
    #[serde(default = "default_minimum_requests")]
    #[schemars(range(min = 0, max = 1000000))]
    pub minimum_requests: i32,
    /// How much higher than stable's the candidate's error rate must be to act on it, as a share of stable's.
    #[serde(default = "default_relative_increase")]
    #[schemars(range(min = 0, max = 1000))]
    pub relative_increase_percent: i32,
    /// How much higher than stable's the candidate's error rate must be to act on it, in hundredths of a percent point.
    #[serde(default = "default_minimum_increase")]
    #[schemars(range(min = 0, max = 10000))]
    pub minimum_increase_basis_points: i32,
    /// How long the candidate is watched once it has all requests, before the release counts as promoted: it is held against a
    /// ceiling taken from stable's last day, and taken back above it. 0: not at all.
    #[serde(default = "default_watch")]
    #[schemars(range(min = 0, max = 604800))]
    pub watch_seconds: i32,
    /// Whether request logs may fail a candidate within seconds, before the metrics tell of it. Auto: wherever they can be
    /// read (roles/logging.viewer) and trusted; the status tells either way.
    #[serde(default)]
    pub fast_lane: FastLane,
    /// The size of harm that a pass rules out: of releases that are so much worse from their start, by both measures, at most
    /// 1 in 20 passes.
    #[serde(default)]
    pub harm: Harm,
    /// How long a step goes on after its time that has no verdict yet.
    #[serde(default = "default_extend")]
    #[schemars(range(min = 0, max = 86400))]
    pub extend_seconds: i32,
    /// What to do when a step ends with too few requests for a verdict. Signs of harm never promote by themselves: then
    /// Promote waits for a person, too.
    #[serde(default = "default_on_inconclusive")]
    pub on_inconclusive: Fallback,
    /// What to do when a step ends without any metrics of the candidate.
    #[serde(default = "default_on_no_data")]
    pub on_no_data: Fallback,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            mode: AnalysisMode::default(),
            metrics: default_metrics(),
            promql: vec![],
            alert_policies: vec![],
            threshold: None,
            confidence_percent: default_confidence(),
            metrics_delay_seconds: default_metrics_delay(),
            warmup_seconds: default_warmup(),
            minimum_requests: default_minimum_requests(),
            relative_increase_percent: default_relative_increase(),
            minimum_increase_basis_points: default_minimum_increase(),
            watch_seconds: default_watch(),
            fast_lane: FastLane::default(),
            harm: Harm::default(),
            extend_seconds: default_extend(),
            on_inconclusive: default_on_inconclusive(),
            on_no_data: default_on_no_data(),
        }
    }
}

impl Analysis {
    /// All that a candidate is judged by.
    pub fn judged(&self) -> Vec<Metric> {
        let named = self.promql.iter().map(|promql| Metric::Named(promql.name));
        self.metrics.iter().copied().map(Metric::Preset).chain(named).collect()
    }

    /// How a metric of somebody's own is asked for; none: it isn't one of these.
    pub fn promql(&self, metric: Metric) -> Option<&Promql> {
        self.promql.iter().find(|promql| Metric::Named(promql.name) == metric)
    }

    /// The limits that a candidate is held against; none: the test judges it.
    pub fn limits(&self) -> Option<Threshold> {
        (self.mode == AnalysisMode::Threshold).then(|| self.threshold.clone().unwrap_or_default())
    }
}

fn default_metrics() -> Vec<Preset> {
    Preset::DEFAULT.to_vec()
}
fn default_confidence() -> i32 {
    99
}
fn default_metrics_delay() -> i32 {
    180
}
fn default_warmup() -> i32 {
    60
}
fn default_minimum_requests() -> i32 {
    500
}
fn default_watch() -> i32 {
    600
}
fn default_extend() -> i32 {
    1200
}
fn default_relative_increase() -> i32 {
    50
}
fn default_minimum_increase() -> i32 {
    10
}
fn default_on_inconclusive() -> Fallback {
    Fallback::Promote
}
fn default_on_no_data() -> Fallback {
    Fallback::Pause
}

/// Whether request logs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FastLane {
    /// Where they can be read and trusted.
    #[default]
    Auto,
    /// Never.
    Disabled,
}

/// A size of harm, of which both are true of a harmful candidate: a pass rules one of the two out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Harm {
    /// How much higher than stable's the odds of a bad request are, as a share of stable's: 200 is three times.
    #[serde(default = "default_harm_relative")]
    #[schemars(range(min = 20, max = 10000))]
    pub relative_percent: i32,
    /// How high the candidate's error rate is, in hundredths of a percent point. Counts where stable's is a third of it at
    /// most.
    #[serde(default = "default_harm_absolute")]
    #[schemars(range(min = 1, max = 5000))]
    pub absolute_basis_points: i32,
}

impl Default for Harm {
    fn default() -> Self {
        Self { relative_percent: default_harm_relative(), absolute_basis_points: default_harm_absolute() }
    }
}

fn default_harm_relative() -> i32 {
    200
}
fn default_harm_absolute() -> i32 {
    100
}

/// Whether a verdict is acted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AnalysisMode {
    /// An anytime-valid two-sample test; a bad verdict rolls back.
    #[default]
    Sequential,
    /// Fixed limits, held against each interval: too many failed looks roll back.
    Threshold,
    /// The same test, recorded only.
    Observe,
}

/// What to do when a step ends without a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Fallback {
    /// Go on to the next step.
    Promote,
    /// Wait for a person.
    Pause,
    /// Go back to stable.
    Rollback,
}
