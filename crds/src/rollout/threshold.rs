//! Limits, as people know them from other tools.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Limits: a look at each interval, held against fixed numbers. It is quick to say and weak to rely on: with few requests good
/// releases fail it, and what is below a limit passes, however much worse than stable it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// How long a look looks at: whole minutes.
    #[serde(default = "default_interval")]
    #[schemars(range(min = 60, max = 3600))]
    #[x_kube(validation = ("self % 60 == 0", "intervalSeconds: metrics come by the minute: write a multiple of 60"))]
    pub interval_seconds: i32,
    /// How many looks of a step must succeed. Default: each until its hold ends, but for those that may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub count: Option<i32>,
    /// How many looks of a step may fail: one more takes the candidate back.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub failure_limit: i32,
    /// How many looks in a row may see no requests of the candidate: with one more, onNoData says what happens.
    #[serde(default = "default_error_limit")]
    #[schemars(range(min = 0, max = 1000))]
    pub consecutive_error_limit: i32,
    /// What is wrong with errors. Default: a look fails above 5 %.
    #[serde(default)]
    pub errors: ErrorLimits,
    /// What is wrong with latencies. Default: a look fails where the 95th percentile is above twice stable's.
    #[serde(default)]
    pub latency: LatencyLimits,
}

impl Default for Threshold {
    fn default() -> Self {
        Self {
            interval_seconds: default_interval(),
            count: None,
            failure_limit: 0,
            consecutive_error_limit: default_error_limit(),
            errors: ErrorLimits::default(),
            latency: LatencyLimits::default(),
        }
    }
}

fn default_interval() -> i32 {
    60
}
fn default_error_limit() -> i32 {
    4
}

/// Limits of the share of requests that are answered with 5xx, in hundredths of a percent point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.passAtMostBasisPoints) || self.passAtMostBasisPoints <= self.failAboveBasisPoints",
    "errors: passAtMostBasisPoints is at most failAboveBasisPoints: between the two a look is inconclusive"
))]
pub struct ErrorLimits {
    /// Above it, a look fails.
    #[serde(default = "default_fail_above")]
    #[schemars(range(min = 0, max = 10000))]
    pub fail_above_basis_points: i32,
    /// Up to it, a look succeeds; between the two it is inconclusive. Default: what doesn't fail succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub pass_at_most_basis_points: Option<i32>,
}

impl Default for ErrorLimits {
    fn default() -> Self {
        Self { fail_above_basis_points: default_fail_above(), pass_at_most_basis_points: None }
    }
}

fn default_fail_above() -> i32 {
    500
}

/// Limits of how long requests take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.passAtMostMilliseconds) || !has(self.failAboveMilliseconds) || \
     self.passAtMostMilliseconds <= self.failAboveMilliseconds",
    "latency: passAtMostMilliseconds is at most failAboveMilliseconds: between the two a look is inconclusive"
), validation = (
    "!has(self.failAbovePercentOfStable) || self.failAbovePercentOfStable == 0 || self.failAbovePercentOfStable >= 100",
    "latency.failAbovePercentOfStable: a candidate as fast as stable would fail below 100: write 100 for no slower, 150 for half as long again, or 0 for no comparison"
))]
pub struct LatencyLimits {
    /// Of which percentile.
    #[serde(default = "default_percentile")]
    #[schemars(range(min = 1, max = 99))]
    pub percentile: i32,
    /// Above so much of stable's at the same time, a look fails: 200 is twice as long. 0: it is not compared with stable.
    #[serde(default = "default_of_stable")]
    #[schemars(range(min = 0, max = 100000))]
    pub fail_above_percent_of_stable: i32,
    /// Above it, in milliseconds, a look fails, whatever stable does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600000))]
    pub fail_above_milliseconds: Option<i32>,
    /// Up to it, in milliseconds, a look succeeds; else it is inconclusive, unless it fails. Default: what doesn't fail succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600000))]
    pub pass_at_most_milliseconds: Option<i32>,
}

impl Default for LatencyLimits {
    fn default() -> Self {
        Self {
            percentile: default_percentile(),
            fail_above_percent_of_stable: default_of_stable(),
            fail_above_milliseconds: None,
            pass_at_most_milliseconds: None,
        }
    }
}

fn default_percentile() -> i32 {
    95
}
fn default_of_stable() -> i32 {
    200
}
