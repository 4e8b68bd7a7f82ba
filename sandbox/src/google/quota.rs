//! How many calls of a kind a project may make in a minute, in a region.

use http::Method;
use jiff::Timestamp;
use std::collections::BTreeMap;

use super::problem::Problem;

/// An API with its limits for each minute: of reads, and of writes.
#[derive(Debug)]
pub(super) struct Api {
    service: &'static str,
    reads: u32,
    writes: u32,
}

/// By region.
pub(super) const RUN: Api = Api { service: "run.googleapis.com", reads: 3000, writes: 180 };
pub(super) const REDIS: Api = Api { service: "redis.googleapis.com", reads: 3000, writes: 3000 };
pub(super) const REDIS_CREATES: Api = Api { service: "redis.googleapis.com", reads: 0, writes: 30 };
/// By project; values of secrets have a limit of their own.
pub(super) const SECRETS: Api = Api { service: "secretmanager.googleapis.com", reads: 600, writes: 600 };
pub(super) const SECRET_VALUES: Api = Api { service: "secretmanager.googleapis.com", reads: 90_000, writes: 0 };

/// Of logs, which are read by a POST.
pub(super) const LOGS: Api = Api { service: "logging.googleapis.com", reads: 60, writes: 0 };

/// What was used in the present minute.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    minute: i64,
    used: BTreeMap<(&'static str, String, &'static str), u32>,
}

impl Quotas {
    /// Takes one call of what is left.
    pub(super) fn take(
        &mut self,
        api: &Api,
        now: Timestamp,
        project: &str,
        location: &str,
        method: &Method,
    ) -> Result<(), Problem> {
        let minute = now.as_second().div_euclid(60);
        if minute != self.minute {
            self.used.clear();
            self.minute = minute;
        }
        let (limit, name) = match *method {
            Method::GET => (api.reads, "Read requests"),
            _ => (api.writes, "Write requests"),
        };
        let used = self.used.entry((api.service, format!("{project}/{location}/{limit}"), name)).or_default();
        if *used >= limit {
            return Err(Problem::exhausted(api.service, name, limit, &format!("projects/{project}"), location));
        }
        *used += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_writes_in_a_region() {
        let (mut quotas, now) = (Quotas::default(), Timestamp::UNIX_EPOCH);
        let mut take = |at, region: &str| quotas.take(&RUN, at, "p", region, &Method::PATCH).map_err(|p| p.status());
        assert!((0..180).all(|_| take(now, "us-central1").is_ok()));
        assert_eq!(take(now, "us-central1"), Err(429));
        assert_eq!(take(now, "us-west4"), Ok(()));
        assert_eq!(take(now + jiff::SignedDuration::from_mins(1), "us-central1"), Ok(()));
    }
}
