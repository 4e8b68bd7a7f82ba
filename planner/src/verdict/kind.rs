//! What kind of values a metric has, and what a step needs of it to pass.

use orchestra_crds::{Analysis, Metric, Preset};

/// What the values of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests, and those that the service failed: also held against a ceiling, where stable isn't beside it.
    Errors,
    /// Events, each good or bad by itself.
    Events,
    /// Probes of instances. One that fails is likely to fail again, and there are few.
    Probes,
    /// Durations: those above stable's quantiles are bad.
    Durations,
    /// Looks at instances. An instance that is bad stays so for a while, and there are few.
    Looks,
}

/// What a step needs of a metric to pass, beside no sign of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing: there may be nothing to measure.
    Nothing,
    /// That anything was measured: there is too little of it to rule harm out.
    Data,
    /// That harm is ruled out.
    NoHarm,
}

impl Kind {
    /// Of a metric, as the analysis says.
    pub fn of(metric: Metric, settings: &Analysis) -> Self {
        let promql = settings.promql(metric);
        match metric {
            Metric::Preset(Preset::Errors) => Self::Errors,
            Metric::Preset(Preset::Latency) => Self::Durations,
            Metric::Preset(Preset::HealthChecks | Preset::StartupFailures) => Self::Probes,
            Metric::Preset(Preset::CpuUtilization | Preset::MemoryUtilization) => Self::Looks,
            Metric::Named(_) if promql.is_some_and(|promql| promql.histogram.is_some()) => Self::Durations,
            Metric::Named(_) if promql.is_some_and(|promql| promql.gauge.is_some()) => Self::Looks,
            Metric::Preset(_) | Metric::Named(_) => Self::Events,
        }
    }

    /// Whether its values are of instances, which stay as they are for a while.
    pub(crate) fn is_of_instances(self) -> bool {
        matches!(self, Self::Probes | Self::Looks)
    }
}

impl Need {
    /// Of a metric, as the analysis says.
    pub fn of(metric: Metric, settings: &Analysis) -> Self {
        match metric {
            // Instances start when they are needed: in many a step none does.
            Metric::Preset(Preset::StartupFailures) => Self::Nothing,
            Metric::Preset(Preset::HealthChecks) => Self::Data,
            _ if Kind::of(metric, settings) == Kind::Looks => Self::Data,
            _ => Self::NoHarm,
        }
    }
}
