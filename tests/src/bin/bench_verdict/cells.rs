//! What is tried: traffic, and what happens in it.

use crate::traffic::Rates;

/// Requests a second.
pub const REQUESTS: [f64; 4] = [1.0, 10.0, 100.0, 1_000.0];
/// Stable's rate of errors, and the candidates' that are tried beside it: none worse, twice, five times, 1, 5 and 50 %.
pub const EFFECTS: [(f64, &[f64]); 4] = [
    (0.001, &[0.001, 0.002, 0.005, 0.01, 0.05, 0.5]),
    (0.01, &[0.01, 0.02, 0.05, 0.5]),
    (0.05, &[0.05, 0.1, 0.25, 0.4, 0.5]),
    (0.2, &[0.2, 0.4, 0.5]),
];

/// What happens to a healthy release.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// Both fail 3 % for ten minutes of each half hour.
    SharedIncident,
    /// Requests and errors follow a day of four hours.
    Diurnal,
    /// The candidate fails 5 % in the first minute of its traffic.
    ColdStart,
    /// Each fifth minute is missing.
    Missing,
    /// Each fifth minute comes with the one after it.
    Lumped,
    /// The share goes from 1 to 50 % and back, every ten minutes.
    Ramp,
}

impl Trouble {
    pub const ALL: [Self; 7] =
        [Self::None, Self::SharedIncident, Self::Diurnal, Self::ColdStart, Self::Missing, Self::Lumped, Self::Ramp];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SharedIncident => "shared incident",
            Self::Diurnal => "diurnal",
            Self::ColdStart => "cold start",
            Self::Missing => "missing minutes",
            Self::Lumped => "lumped minutes",
            Self::Ramp => "weight ramps",
        }
    }

    /// The rates of a minute, from 1.
    pub fn rates(self, number: usize, rates: Rates) -> Rates {
        let wave = (number as f64 / 240.0 * std::f64::consts::TAU).sin();
        match self {
            Self::SharedIncident if number % 30 >= 20 => Rates { stable: 0.03, candidate: 0.03, ..rates },
            Self::Diurnal => Rates {
                requests_per_second: rates.requests_per_second * (1.0 + 0.8 * wave),
                stable: rates.stable * (1.0 + 0.5 * wave),
                candidate: rates.candidate * (1.0 + 0.5 * wave),
                ..rates
            },
            Self::ColdStart if number == 1 => Rates { candidate: 0.05, ..rates },
            Self::Ramp => Rates { share: [0.01, 0.1, 0.25, 0.5][number / 10 % 4], ..rates },
            _ => rates,
        }
    }

    /// Whether a minute is not there by itself.
    pub fn lacks(self, number: usize) -> bool {
        matches!(self, Self::Missing | Self::Lumped) && number.is_multiple_of(5)
    }
}

/// The fewest requests of the candidate, on average, after which any test at that level can know: with an unknown
/// baseline beside it, `ln(1/α)` over the information of one.
pub fn minimum(rates: &Rates, level: f64) -> f64 {
    let divergence = |p: f64, q: f64| {
        let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
        part(p, q) + part(1.0 - p, 1.0 - q)
    };
    let pooled = rates.share * rates.candidate + (1.0 - rates.share) * rates.stable;
    let others = (1.0 - rates.share) / rates.share * divergence(rates.stable, pooled);
    (1.0 / level).ln() / (divergence(rates.candidate, pooled) + others)
}
