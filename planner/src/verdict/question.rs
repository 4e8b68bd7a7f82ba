//! What is asked of a test, by metric: its constants.

use orchestra_crds::{Analysis, Metric};

use super::kind::{Kind, Need};
use super::spread::Limits;
use super::trial::Question;

/// What a rollback's share of the budget of false ones is, in thousandths: of the comparison by closed minutes, of errors
/// as request logs tell of them, and of the ceiling.
const COMPARISON: f64 = 0.7;
const FAST: f64 = 0.2;
const CEILING: f64 = 0.1;

/// What evidence by errors weighs among all metrics.
const ERRORS: f64 = 0.85;
/// The highest rate at which stable's instances may be bad where those of the candidate are held against it: where they are
/// more often, one bad instance of the candidate says little.
const QUIET: f64 = 0.01;
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
            kind @ (Kind::Errors | Kind::Events | Kind::Probes | Kind::Looks) => Question {
                ratios: [2.0, 5.0, 20.0, 300.0],
                weights: [11.0, 6.0, 2.0, 1.0],
                limits: match kind {
                    Kind::Probes | Kind::Looks => Limits { least: 0.5, unproven: 1.0 },
                    _ => Limits { least: 0.03, unproven: 0.05 },
                },
                floor: Some(share(*minimum_increase_basis_points)).filter(|floor| *floor > 0.0),
                times: 1.0 + f64::from(*relative_increase_percent) / 100.0,
                above: share(*minimum_increase_basis_points),
                harm_ratio,
                harm_rate: share(harm.absolute_basis_points),
                stable_at_most: (kind == Kind::Looks).then_some(QUIET),
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
                stable_at_most: None,
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

    /// The logarithm of the weight that the evidence of a metric in one region has among all: errors most, the others the rest; each region the same. A weighted mean of such evidence needs no independence (Vovk and Wang, arXiv
    /// 1912.06116).
    pub fn weight(&self, metric: Metric) -> f64 {
        let others = (self.settings.metrics.len() + self.settings.promql.len()).saturating_sub(1);
        let of_metric = match metric {
            _ if others == 0 => 1.0,
            Metric::ERRORS => ERRORS,
            _ => (1.0 - ERRORS) / others as f64,
        };
        (of_metric / f64::from(self.regions.max(1))).ln()
    }
}
