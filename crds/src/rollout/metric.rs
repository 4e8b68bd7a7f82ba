//! What a candidate is judged by.

use arrayvec::ArrayString;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

use super::ErrorLimits;

/// Metrics that Cloud Monitoring has of every service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Preset {
    /// Requests, and those answered with 5xx.
    Errors,
    /// Requests, and those slower than a bound taken from stable's history.
    Latency,
    /// Requests, and those answered with 4xx.
    ClientErrors,
    /// Requests, and those answered with 429: there was no room for them, or a limit was reached.
    TooManyRequests,
    /// Looks at the CPU of each instance, and those above 90 % of its limit.
    CpuUtilization,
    /// Looks at the memory of each instance, and those above 90 % of its limit.
    MemoryUtilization,
    /// Liveness probes, and those that failed.
    HealthChecks,
    /// Startup probes, and those that failed.
    StartupFailures,
}

impl Preset {
    /// Those that are judged where nothing else is said.
    pub const DEFAULT: [Self; 2] = [Self::Errors, Self::Latency];

    /// All of them, as they are written.
    const ALL: [(Self, &str); 8] = [
        (Self::Errors, "Errors"),
        (Self::Latency, "Latency"),
        (Self::ClientErrors, "ClientErrors"),
        (Self::TooManyRequests, "TooManyRequests"),
        (Self::CpuUtilization, "CpuUtilization"),
        (Self::MemoryUtilization, "MemoryUtilization"),
        (Self::HealthChecks, "HealthChecks"),
        (Self::StartupFailures, "StartupFailures"),
    ];

    /// As it is written.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(preset, _)| *preset == self).map_or("", |(_, word)| *word)
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, written)| *written == word).map(|(preset, _)| *preset)
    }
}

/// The name that somebody gave a metric: at most 32 lowercase letters, digits and hyphens, first a letter. No preset is
/// written so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricName(ArrayString<32>);

impl MetricName {
    const PATTERN: &'static str = "^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$";

    /// Reads a name. None: it is none.
    pub fn new(text: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
        let fits = starts && !text.ends_with('-') && text.bytes().all(is_plain);
        ArrayString::from(text).ok().filter(|_| fits).map(Self)
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MetricName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MetricName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is no name of a metric")))
    }
}

impl JsonSchema for MetricName {
    fn schema_name() -> Cow<'static, str> {
        "MetricName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Self::PATTERN, "maxLength": 32})
    }
}

/// What is counted: a preset, or a metric of somebody's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// One that Cloud Monitoring has.
    Preset(Preset),
    /// One that the analysis says how to ask for.
    Named(MetricName),
}

impl Metric {
    /// Requests, and those answered with 5xx.
    pub const ERRORS: Self = Self::Preset(Preset::Errors);
    /// Requests, and those that are slow.
    pub const LATENCY: Self = Self::Preset(Preset::Latency);
}

impl From<Preset> for Metric {
    fn from(preset: Preset) -> Self {
        Self::Preset(preset)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(preset) => f.write_str(preset.word()),
            Self::Named(name) => name.fmt(f),
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let preset = Preset::of(&text).map(Self::Preset);
        let named = || MetricName::new(&text).map(Self::Named);
        preset.or_else(named).ok_or_else(|| de::Error::custom(format!("`{text}` is no metric")))
    }
}

impl JsonSchema for Metric {
    fn schema_name() -> Cow<'static, str> {
        "Metric".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A metric that is asked for in PromQL, once for the candidate and once for stable. Exactly one kind of it is set.
///
/// In a query `{{revision}}`, `{{service}}`, `{{region}}` and `{{project}}` stand for the names. Each is asked at the end of each
/// minute: `increase(…[1m])` is what that minute added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.ratio), has(self.histogram), has(self.gauge)].filter(set, set).size() == 1",
    "promql: set exactly one of ratio, histogram and gauge"
), validation = (
    "!has(self.limits) || !has(self.histogram)",
    "promql: a histogram has no limits of its own: it is held against threshold.latency"
))]
pub struct Promql {
    /// Its name, in status, events and metrics.
    pub name: MetricName,
    /// Where it is asked for: `https://HOST[:PORT][/PATH]` of a Prometheus, which the platform team must allow. Default: Managed
    /// Service for Prometheus of the environment's project, which has Cloud Run's metrics, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(
            pattern = r"^https?://([^/@?#\s:\[\]]+|\[[0-9a-fA-F:.]+\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[^@?#\s]*)?$"
        ),
        length(max = 512)
    )]
    #[x_kube(validation = (
        "!self.matches('^https?://(169[.]254[.]|metadata([.]google[.]internal)?([:/]|$)|[^a-zA-Z0-9][fF][eE]80:)')",
        "address: link-local addresses and metadata servers are never asked"
    ))]
    pub address: Option<String>,
    /// Two counts: the share of bad ones is judged as errors are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<RatioQueries>,
    /// A histogram of durations: it is judged as latencies are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<HistogramQuery>,
    /// A value of each instance: those above a bound are bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauge: Option<GaugeQuery>,
    /// In mode Threshold: the share of bad ones that it may have. Default: a look fails above 5 %. A histogram is held against
    /// `threshold.latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ShareLimits>,
}

/// Limits of the share of bad ones, in hundredths of a percent point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.passAtMostBasisPoints) || self.passAtMostBasisPoints <= self.failAboveBasisPoints",
    "limits: passAtMostBasisPoints is at most failAboveBasisPoints: between the two a look is inconclusive"
))]
pub struct ShareLimits {
    /// Above it, a look fails.
    #[schemars(range(min = 0, max = 10000))]
    pub fail_above_basis_points: i32,
    /// Up to it, a look succeeds; between the two it is inconclusive. Default: what doesn't fail succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub pass_at_most_basis_points: Option<i32>,
}

impl From<&ShareLimits> for ErrorLimits {
    fn from(limits: &ShareLimits) -> Self {
        let ShareLimits { fail_above_basis_points, pass_at_most_basis_points } = *limits;
        Self { fail_above_basis_points, pass_at_most_basis_points }
    }
}

/// Counts of events, and of bad ones among them. Several series are added up; none of bad ones, where there are events, is 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RatioQueries {
    /// The bad ones, for example `sum(increase(checkouts_total{revision_name="{{revision}}",result="failed"}[1m]))`.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = ("self.matches('[{][{] ?revision ?[}][}]')", "bad: write {{revision}} where the revision's name goes"
    ), validation = (
        "self.matches('^([^{]|[{][^{]|[{][{] ?(revision|service|region|project) ?[}][}])*$')",
        "bad: in double braces there are only {{revision}}, {{service}}, {{region}} and {{project}}"
    ))]
    pub bad: String,
    /// All of them.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = ("self.matches('[{][{] ?revision ?[}][}]')", "total: write {{revision}} where the revision's name goes"
    ), validation = (
        "self.matches('^([^{]|[{][^{]|[{][{] ?(revision|service|region|project) ?[}][}])*$')",
        "total: in double braces there are only {{revision}}, {{service}}, {{region}} and {{project}}"
    ))]
    pub total: String,
}

/// How many events took at most how long: a series for each bound, in seconds, as the label `le`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistogramQuery {
    /// For example `sum by (le) (increase(checkout_seconds_bucket{revision_name="{{revision}}"}[1m]))`.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = ("self.matches('[{][{] ?revision ?[}][}]')", "buckets: write {{revision}} where the revision's name goes"
    ), validation = (
        "self.matches('^([^{]|[{][^{]|[{][{] ?(revision|service|region|project) ?[}][}])*$')",
        "buckets: in double braces there are only {{revision}}, {{service}}, {{region}} and {{project}}"
    ))]
    pub buckets: String,
}

/// A value of each instance, each a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GaugeQuery {
    /// For example `max_over_time(pool_used_ratio{revision_name="{{revision}}"}[1m])`.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = ("self.matches('[{][{] ?revision ?[}][}]')", "value: write {{revision}} where the revision's name goes"
    ), validation = (
        "self.matches('^([^{]|[{][^{]|[{][{] ?(revision|service|region|project) ?[}][}])*$')",
        "value: in double braces there are only {{revision}}, {{service}}, {{region}} and {{project}}"
    ))]
    pub value: String,
    /// Above it a value is bad: a number, as text.
    #[schemars(regex(pattern = r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$"), length(max = 26))]
    pub bad_above: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_read_as_it_is_written() {
        let presets = Preset::ALL.iter().map(|(preset, _)| Metric::Preset(*preset));
        let named =
            ["a", "checkout-failures", "p99", &"a".repeat(32)].map(|name| MetricName::new(name).map(Metric::Named));
        for metric in presets.chain(named.into_iter().flatten()) {
            let text = serde_json::to_string(&metric).expect("it is written");
            assert_eq!(serde_json::from_str::<Metric>(&text).expect("it is read"), metric, "{text}");
        }
        for (preset, word) in Preset::ALL {
            assert_eq!(serde_json::to_value(preset).expect("it is written"), word);
        }
    }

    #[test]
    fn what_is_no_name_is_no_metric() {
        for text in ["", "Errros", "-a", "a-", "a b", "1st", "ä", &"a".repeat(33)] {
            assert!(serde_json::from_value::<Metric>(text.into()).is_err(), "{text}");
        }
    }
}
