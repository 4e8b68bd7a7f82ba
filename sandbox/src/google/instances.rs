//! What is to be seen of a revision's instances: how much of their limits they use, and how their probes end.

use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::users::{Behaviour, ROUND_SECONDS, binomial};

/// How many requests a second one instance answers; Cloud Run starts as many as that takes.
const ANSWERED: f64 = 40.0;
/// How far looks at instances lie apart, as a share of their limit: each is a step from the next.
const APART: f64 = 0.02;

/// Probes that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Probes {
    pub(super) healthy: i64,
    pub(super) failed: i64,
}

/// What is to be seen in one round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Instances {
    pub(super) number: i64,
    /// Shares of their limits, one for each instance, once a minute.
    pub(super) cpu: Vec<f64>,
    pub(super) memory: Vec<f64>,
    pub(super) liveness: Probes,
    pub(super) startup: Probes,
}

/// How many instances answer so many requests in a round.
fn number(requests: i64) -> i64 {
    ((requests as f64 / ROUND_SECONDS as f64 / ANSWERED).ceil() as i64).max(i64::from(requests > 0))
}

/// Looks around a mean, none the same.
fn spread(mean_percent: f64, number: i64) -> Vec<f64> {
    let middle = (number - 1) as f64 / 2.0;
    let look = |instance: i64| mean_percent / 100.0 + (instance as f64 - middle).clamp(-2.0, 2.0) * APART;
    (0..number).map(|instance| look(instance).clamp(0.0, 1.0)).collect()
}

/// What is to be seen of a revision in a round, of which so many instances were there before.
pub(super) fn round(
    (seed, revision, at): (u64, &str, Timestamp),
    requests: i64,
    behaviour: &Behaviour,
    before: i64,
) -> Instances {
    let mut hasher = DefaultHasher::new();
    (seed, "instances", revision, at.as_second()).hash(&mut hasher);
    let mut random = StdRng::seed_from_u64(hasher.finish());
    let number = number(requests);
    let mut probes = |all: i64, failing_percent: f64| {
        let failed = binomial(all, failing_percent / 100.0, &mut random);
        Probes { healthy: all - failed, failed }
    };
    let is_look = at.as_second().rem_euclid(60) < ROUND_SECONDS;
    let looks = if is_look { number } else { 0 };
    Instances {
        number,
        cpu: spread(behaviour.cpu_percent, looks),
        memory: spread(behaviour.memory_percent, looks),
        liveness: probes(number, behaviour.unhealthy_percent),
        startup: probes((number - before).max(0), behaviour.failed_start_percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn instances_follow_the_requests_and_their_limits() {
        let env = json!([{"name": "SANDBOX_CPU_PERCENT", "value": "95"}, {"name": "SANDBOX_UNHEALTHY_PERCENT", "value": "100"}]);
        let behaviour = Behaviour::of(&json!({"containers": [{"env": env}]})).unwrap();
        let seen = round((1, "api-one", Timestamp::UNIX_EPOCH), 1_000, &behaviour, 1);
        assert_eq!((seen.number, seen.cpu.len(), seen.memory.len()), (3, 3, 3), "100 a second");
        assert!(seen.cpu.iter().all(|share| *share > 0.9) && seen.memory.iter().all(|share| *share < 0.9));
        assert_eq!((seen.liveness, seen.startup), (Probes { healthy: 0, failed: 3 }, Probes { healthy: 2, failed: 0 }));
        let later = Timestamp::from_second(10).unwrap();
        assert!(round((1, "api-one", later), 1_000, &behaviour, 3).cpu.is_empty(), "one look a minute");
        assert_eq!(round((1, "api-one", later), 0, &behaviour, 3).number, 0);
    }
}
