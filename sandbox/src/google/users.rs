//! Simulated users: requests follow the traffic split; errors and latencies follow the revision's environment.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rand_distr::{Binomial, Distribution, LogNormal, Poisson};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use super::problem::Problem;
use super::run::ingress;

/// How long one round of requests lasts, in seconds.
pub(super) const ROUND_SECONDS: i64 = 10;
/// Requests of one round whose latencies are drawn one by one; more are spread over slices.
const DRAWN: i64 = 200;
/// Standard deviation of the logarithm of a latency.
const DEVIATION: f64 = 0.5;
/// Slices of a latency's logarithm, each a tenth of its standard deviation wide, on each side of the median.
const SLICES: i32 = 40;

/// Longest median latency: Cloud Run lets no request take longer.
const LONGEST_MS: f64 = 3_600_000.0;

/// How a revision behaves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Behaviour {
    /// `SANDBOX_ERROR_PERCENT`: share of requests answered with 500.
    pub(super) error_percent: f64,
    /// `SANDBOX_NO_INSTANCE_PERCENT`: share of requests for which Cloud Run has no free instance, and answers itself.
    pub(super) no_instance_percent: f64,
    /// `SANDBOX_NO_INSTANCE_STATUS`: with what it answers them, 429 as at the maximum of instances, or else 500.
    pub(super) no_instance_status: f64,
    /// `SANDBOX_CLIENT_ERROR_PERCENT`: share of requests answered with 404.
    pub(super) client_error_percent: f64,
    /// `SANDBOX_THROTTLED_PERCENT`: share of requests answered with 429.
    pub(super) throttled_percent: f64,
    /// `SANDBOX_CPU_PERCENT` and `SANDBOX_MEMORY_PERCENT`: how much of their limits its instances use.
    pub(super) cpu_percent: f64,
    pub(super) memory_percent: f64,
    /// `SANDBOX_UNHEALTHY_PERCENT`: share of liveness probes that fail.
    pub(super) unhealthy_percent: f64,
    /// `SANDBOX_FAILED_START_PERCENT`: share of startup probes that fail, of instances that start under load.
    pub(super) failed_start_percent: f64,
    /// `SANDBOX_LATENCY_MS`: median latency.
    pub(super) latency_ms: f64,
    /// `SANDBOX_REQUESTS_PER_SECOND`: of the whole service.
    pub(super) requests_per_second: f64,
    /// `SANDBOX_STARTUP`.
    pub(super) startup: Startup,
}

/// How a container starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Startup {
    Ok,
    /// It exits.
    Fail,
    /// It never listens.
    Never,
    /// The container ends at once, in this region.
    FailIn(String),
}

impl Behaviour {
    /// Reads the plain environment variables of the container that takes the requests. What the sandbox can't follow is refused:
    /// nobody should wait for errors that never come.
    pub(super) fn of(template: &Value) -> Result<Self, Problem> {
        let env = ingress(template)["env"].as_array();
        let value = |name: &str| env.into_iter().flatten().find(|v| v["name"] == name)?["value"].as_str();
        let refuse = |name: &str, value: &str, wanted: String| {
            let why = format!("{name} is \"{value}\" and must be {wanted}");
            Problem::field("template.containers[0].env", why)
        };
        let number = |name: &str, default: f64, within: RangeInclusive<f64>| {
            let Some(text) = value(name) else { return Ok(default) };
            let wanted = || format!("a number from {} to {}", within.start(), within.end());
            let number = text.parse().ok().filter(|number| within.contains(number));
            number.ok_or_else(|| refuse(name, text, wanted()))
        };
        Ok(Self {
            error_percent: number("SANDBOX_ERROR_PERCENT", 0.1, 0.0..=100.0)?,
            no_instance_percent: number("SANDBOX_NO_INSTANCE_PERCENT", 0.0, 0.0..=100.0)?,
            no_instance_status: number("SANDBOX_NO_INSTANCE_STATUS", 500.0, 429.0..=500.0)?,
            client_error_percent: number("SANDBOX_CLIENT_ERROR_PERCENT", 0.0, 0.0..=100.0)?,
            throttled_percent: number("SANDBOX_THROTTLED_PERCENT", 0.0, 0.0..=100.0)?,
            cpu_percent: number("SANDBOX_CPU_PERCENT", 40.0, 0.0..=100.0)?,
            memory_percent: number("SANDBOX_MEMORY_PERCENT", 50.0, 0.0..=100.0)?,
            unhealthy_percent: number("SANDBOX_UNHEALTHY_PERCENT", 0.0, 0.0..=100.0)?,
            failed_start_percent: number("SANDBOX_FAILED_START_PERCENT", 0.0, 0.0..=100.0)?,
            latency_ms: number("SANDBOX_LATENCY_MS", 40.0, 1.0..=LONGEST_MS)?,
            requests_per_second: number("SANDBOX_REQUESTS_PER_SECOND", 20.0, 0.0..=100_000.0)?,
            startup: match value("SANDBOX_STARTUP") {
                None | Some("ok") => Startup::Ok,
                Some("fail") => Startup::Fail,
                Some("never") => Startup::Never,
                Some(text) => match text.strip_prefix("fail@") {
                    Some(region) => Startup::FailIn(region.into()),
                    None => {
                        let wanted = "ok, fail, never or fail@REGION".to_string();
                        return Err(refuse("SANDBOX_STARTUP", text, wanted));
                    }
                },
            },
        })
    }
}

/// What the users of one revision met in one round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Met {
    pub(super) requests: i64,
    pub(super) errors: i64,
    /// Those errors that met no free instance.
    pub(super) unserved: i64,
    /// Those of the 429 that did.
    pub(super) refused: i64,
    /// Answered with 404, and with 429.
    pub(super) client_errors: i64,
    pub(super) throttled: i64,
    /// Latencies in milliseconds, and how many requests had each.
    pub(super) latencies: Vec<(f64, i64)>,
}

/// One round of requests to a service. The same seed, service and round give the same requests.
pub(super) fn round(seed: u64, service: &str, number: i64, shares: &[(i64, &Behaviour)]) -> Vec<Met> {
    let mut hasher = DefaultHasher::new();
    (seed, service, number).hash(&mut hasher);
    let mut random = StdRng::seed_from_u64(hasher.finish());
    let busiest = shares.iter().max_by_key(|(percent, _)| *percent);
    let rate = busiest.map_or(0.0, |(_, b)| b.requests_per_second) * ROUND_SECONDS as f64;
    let mut left = Poisson::new(rate).map_or(0, |poisson| poisson.sample(&mut random) as i64);
    let mut percent_left = 100;
    let mut all = vec![];
    for (percent, behaviour) in shares {
        let share = if percent_left > 0 { *percent as f64 / percent_left as f64 } else { 0.0 };
        let requests = binomial(left, share, &mut random);
        left -= requests;
        percent_left -= percent;
        all.push(meet(requests, behaviour, &mut random));
    }
    all
}

pub(super) fn binomial(n: i64, p: f64, random: &mut StdRng) -> i64 {
    let n = u64::try_from(n).unwrap_or(0);
    Binomial::new(n, p.clamp(0.0, 1.0)).map_or(0, |b| i64::try_from(b.sample(random)).unwrap_or(0))
}

fn meet(requests: i64, behaviour: &Behaviour, random: &mut StdRng) -> Met {
    let errors = binomial(requests, behaviour.error_percent / 100.0, random);
    let latencies = match LogNormal::new(behaviour.latency_ms.ln(), DEVIATION) {
        Ok(latency) if requests <= DRAWN => (0..requests).map(|_| (latency.sample(random), 1)).collect(),
        Ok(_) => spread(requests, behaviour.latency_ms, random),
        Err(_) => vec![],
    };
    let client_errors = binomial(requests - errors, behaviour.client_error_percent / 100.0, random);
    let throttled = binomial(requests - errors - client_errors, behaviour.throttled_percent / 100.0, random);
    let unserved = match behaviour.no_instance_percent {
        0.0 => 0,
        percent => binomial(requests - errors - client_errors - throttled, percent / 100.0, random),
    };
    let (unserved, refused) = if behaviour.no_instance_status < 500.0 { (0, unserved) } else { (unserved, 0) };
    let (errors, throttled) = (errors + unserved, throttled + refused);
    Met { requests, errors, unserved, refused, client_errors, throttled, latencies }
}

/// How the latencies of many requests fall, as they would one by one.
fn spread(requests: i64, median: f64, random: &mut StdRng) -> Vec<(f64, i64)> {
    let below = |deviations: f64| libm::erfc(-deviations / std::f64::consts::SQRT_2) / 2.0;
    let (mut left, mut above) = (requests, 1.0);
    let mut slices = vec![];
    for slice in -SLICES..=SLICES {
        let (from, to) = (f64::from(slice) / 10.0 - 0.05, f64::from(slice) / 10.0 + 0.05);
        let is_last = slice == SLICES;
        let share = below(to) - if slice == -SLICES { 0.0 } else { below(from) };
        let hit = if is_last { left } else { binomial(left, share / above, random) };
        (left, above) = (left - hit, above - share);
        if hit > 0 {
            slices.push((median * (f64::from(slice) / 10.0 * DEVIATION).exp(), hit));
        }
    }
    slices
}

/// How late a minute's metrics arrive, in seconds after its end.
pub(super) fn lateness(seed: u64, service: &str, minute: i64) -> i64 {
    let mut hasher = DefaultHasher::new();
    (seed, "late", service, minute).hash(&mut hasher);
    StdRng::seed_from_u64(hasher.finish()).random_range(60..=180)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_can_not_be_followed_is_refused() {
        let env = |name: &str, value: &str| json!({"containers": [{"env": [{"name": name, "value": value}]}]});
        let taken = |name: &str, value: &str| Behaviour::of(&env(name, value)).is_ok();
        for value in ["inf", "1e308", "NaN", "", "0", "fast"] {
            assert!(!taken("SANDBOX_LATENCY_MS", value), "{value}");
        }
        assert!(taken("SANDBOX_LATENCY_MS", "2.5"));
        assert!(!taken("SANDBOX_ERROR_PERCENT", "101"));
        assert!(!taken("SANDBOX_STARTUP", "nevr"));
        assert!(taken("SANDBOX_STARTUP", "fail@us-west4"));
    }

    #[test]
    fn the_latencies_of_many_fall_as_those_of_few() {
        let mut random = StdRng::seed_from_u64(1);
        let slices = spread(100_000, 40.0, &mut random);
        assert_eq!(slices.iter().map(|(_, hit)| hit).sum::<i64>(), 100_000);
        let slower = |than: f64| slices.iter().filter(|(ms, _)| *ms > than).map(|(_, hit)| hit).sum::<i64>();
        // The quantiles of a normal distribution at 1 and 2 deviations, each half a slice away at most.
        assert!((14_000..18_500).contains(&slower(40.0 * 0.5_f64.exp())), "{}", slower(40.0 * 0.5_f64.exp()));
        assert!((1_700..2_900).contains(&slower(40.0 * 1.0_f64.exp())), "{}", slower(40.0 * 1.0_f64.exp()));
    }

    #[test]
    fn requests_follow_the_split_and_errors_the_revision() {
        let template = json!({"containers": [{"env": [
            {"name": "SANDBOX_ERROR_PERCENT", "value": "50"}, {"name": "SANDBOX_REQUESTS_PER_SECOND", "value": "1000"}
        ]}]});
        let (bad, good) = (Behaviour::of(&template).unwrap(), Behaviour::of(&json!({})).unwrap());
        let busy = Behaviour { requests_per_second: 1000.0, ..good };
        let shares = [(90, &busy), (10, &bad)];
        let met = round(1, "s", 1, &shares);
        assert!((8500..9500).contains(&met[0].requests), "{}", met[0].requests);
        assert!((800..1200).contains(&met[1].requests), "{}", met[1].requests);
        assert!(met[1].errors * 3 > met[1].requests && met[0].errors * 50 < met[0].requests);
        assert_eq!(met, round(1, "s", 1, &shares));
    }
}
