//! What is asked of a test, by metric: its constants.

use orchestra_crds::{Analysis, Metric};

use super::kind::{Kind, Need};
use super::spread::Limits;
use super::trial::{OfInstances, Question};

/// What a rollback's share of the budget of false ones is, in thousandths: of the comparison by closed minutes, of errors
/// as request logs tell of them, and of the ceiling.
const COMPARISON: f64 = 0.7;
const FAST: f64 = 0.2;
const CEILING: f64 = 0.1;

/// What evidence by errors weighs among all metrics of requests and events.
const ERRORS: f64 = 0.85;
/// What all metrics of instances weigh together, where there are any. Their evidence has a bound, and needs it; that of the others
/// grows by the minute, and half of it costs them less than one.
const INSTANCES: f64 = 0.5;
/// For how many minutes an instance of stable's that is bad stays so, on average: there is a look at it each minute, by Cloud Run's
/// metrics, and a probe each ten seconds, by its default.
const STAYS_BAD: f64 = 5.0;
const PROBES: f64 = 6.0;
/// The share of looks or probes that must be bad to matter.
const BREACH: f64 = 0.1;
/// The share of slow requests that a pass rules out where stable has hardly any.
const SLOW_HARM: f64 = 0.1;

/// What is to be judged, and how sure.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The settings of the release.
    pub settings: &'a Analysis,
    /// For how many minutes it is planned.
    pub planned_minutes: u32,
    /// How many regions it comes to.
    pub regions: u32,
}

/// Basis points as a share.
fn share(basis_points: i32) -> f64 {
    f64::from(basis_points) / 10_000.0
}

impl Terms<'_> {
    /// What is asked about a metric.
    pub fn question(&self, metric: Metric) -> Question {
        let Analysis { harm, relative_increase_percent, minimum_increase_basis_points, .. } = self.settings;
        let planned_minutes = self.planned_minutes;
        let harm_ratio = 1.0 + f64::from(harm.relative_percent) / 100.0;
        match self.kind(metric) {
            // Each is a count, of which stable has few bad ones.
            Kind::Errors | Kind::Events => Question {
                ratios: [2.0, 5.0, 20.0, 300.0],
                weights: [11.0, 6.0, 2.0, 1.0],
                limits: Limits { least: 0.03, unproven: 0.05 },
                floor: Some(share(*minimum_increase_basis_points)).filter(|floor| *floor > 0.0),
                times: 1.0 + f64::from(*relative_increase_percent) / 100.0,
                above: share(*minimum_increase_basis_points),
                harm_ratio,
                harm_rate: share(harm.absolute_basis_points),
                instances: None,
                planned_minutes,
            },
            kind @ (Kind::Probes | Kind::Looks) => Question {
                // There is one sum, and nothing is ruled out.
                ratios: [1.0; 4],
                weights: [1.0, 0.0, 0.0, 0.0],
                limits: Limits { least: 0.03, unproven: 0.05 },
                floor: None,
                times: 1.0 + f64::from(*relative_increase_percent) / 100.0,
                above: BREACH,
                harm_ratio,
                harm_rate: share(harm.absolute_basis_points),
                instances: Some(OfInstances {
                    in_a_row: if kind == Kind::Probes { STAYS_BAD * PROBES } else { STAYS_BAD },
                    are_rare: self.need(metric) == Need::Nothing,
                }),
                planned_minutes,
            },
            Kind::Durations => Question {
                ratios: [1.25, 1.6, 2.5, 6.0],
                weights: [2.0, 6.0, 9.0, 3.0],
                limits: Limits { least: 0.0005, unproven: 0.02 },
                floor: None,
                times: 1.25,
                above: 0.0,
                harm_ratio,
                harm_rate: SLOW_HARM,
                instances: None,
                planned_minutes,
            },
        }
    }

    /// What kind of values a metric has.
    pub fn kind(&self, metric: Metric) -> Kind {
        Kind::of(metric, self.settings)
    }

    /// What a step needs of a metric to pass.
    pub(super) fn need(&self, metric: Metric) -> Need {
        Need::of(metric, self.settings)
    }

    /// The share of the error budget that false rollbacks may take in all.
    fn budget(&self) -> f64 {
        f64::from(100 - self.settings.confidence_percent.clamp(0, 99)) / 100.0
    }

    /// The logarithm of the evidence that a rollback needs by comparison with stable.
    pub fn needed(&self) -> f64 {
        -(COMPARISON * self.budget()).ln()
    }

    /// The logarithm of the evidence that a rollback needs by request logs, in one of the regions.
    pub(super) fn needed_fast(&self) -> f64 {
        f64::from(self.regions.max(1)).ln() - (FAST * self.budget()).ln()
    }

    /// The logarithm of the evidence that a rollback needs of a candidate alone.
    pub(super) fn needed_alone(&self) -> f64 {
        f64::from(self.regions.max(1)).ln() - (CEILING * self.budget()).ln()
    }

    /// The logarithm of the weight that the evidence of a metric in one region has among all: those of instances have their part,
    /// of the rest errors most, and the others what is left; each region the same. A weighted mean of such evidence needs no
    /// independence (Vovk and Wang, arXiv 1912.06116).
    pub fn weight(&self, metric: Metric) -> f64 {
        let (of_instances, rest): (Vec<Metric>, Vec<Metric>) =
            self.settings.judged().into_iter().partition(|metric| self.kind(*metric).is_of_instances());
        let of_rest = if of_instances.is_empty() { 1.0 } else { 1.0 - INSTANCES };
        let others = rest.len().saturating_sub(1);
        let of_metric = match metric {
            _ if self.kind(metric).is_of_instances() => INSTANCES / of_instances.len().max(1) as f64,
            _ if others == 0 => of_rest,
            Metric::ERRORS => of_rest * ERRORS,
            _ => of_rest * (1.0 - ERRORS) / others as f64,
        };
        (of_metric / f64::from(self.regions.max(1))).ln()
    }
}
