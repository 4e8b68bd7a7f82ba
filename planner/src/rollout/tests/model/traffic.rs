//! Requests of the model: as metrics and as logs tell of them.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Metric, Preset};

use super::World;
use crate::cloud::{CountsQuery, FailedRequest, FailuresQuery, History, Minute, Tally};
use crate::names::RevisionName;
use crate::traffic::weight_of;

impl World {
    /// What the minutes of a question count.
    pub(super) fn minutes(&self, place: &str, query: &CountsQuery) -> Vec<Minute> {
        let weight = i64::from(weight_of(&query.candidate, &self.cloud[place].serving).get());
        let image = &self.revisions[query.candidate.as_str()];
        let errors = self.traits.get(image).map_or(0, |t| t.error_percent);
        let requests = self.requests_per_minute * weight / 100;
        let others = self.requests_per_minute - requests;
        let tallies = match query.metric {
            Metric::ERRORS => (
                Tally::of_errors(requests, requests * errors / 100),
                Tally::of_errors(others, (1 + others * self.stable_error_percent / 100).min(others)),
            ),
            Metric::LATENCY => (latencies(requests), latencies(others)),
            Metric::Preset(Preset::CpuUtilization | Preset::MemoryUtilization) => {
                let breaches = self.traits.get(image).is_some_and(|t| t.breaches);
                (Tally::of_errors(2, if breaches { 2 } else { 0 }), Tally::of_errors(8, 0))
            }
            // No instance starts.
            Metric::Preset(Preset::StartupFailures) => <(Tally, Tally)>::default(),
            Metric::Preset(_) | Metric::Named(_) => {
                let refused = self.traits.get(image).map_or(0, |t| t.refused_percent);
                let tally = |requests: i64, percent: i64| Tally::of_errors(requests, requests * percent / 100);
                (tally(requests, refused), tally(others, 0))
            }
        };
        let has_stable = self.only_candidate_has.map(Metric::Preset) != Some(query.metric);
        let stable = if has_stable { tallies.1 } else { Tally::default() };
        let minute = |start| Minute { start, candidate: tallies.0.clone(), stable: stable.clone() };
        let (from, to) = (query.window.from.as_second(), query.window.to.as_second());
        let minutes = (from..to).step_by(60).map(|s| minute(Timestamp::from_second(s).unwrap()));
        if self.requests_per_minute > 0 { minutes.collect() } else { vec![] }
    }

    /// As stable would have been all the time before.
    pub(super) fn history(&self, metric: Metric, until: Timestamp) -> History {
        let tally = |minutes: i64| match metric {
            Metric::ERRORS => {
                let total = self.requests_per_minute * minutes;
                Tally::of_errors(total, minutes + total * self.stable_error_percent / 100)
            }
            Metric::LATENCY => latencies(self.requests_per_minute * minutes),
            Metric::Preset(_) | Metric::Named(_) => Tally::of_errors(self.requests_per_minute * minutes, 0),
        };
        let before = |minutes: i64| until - SignedDuration::from_mins(minutes);
        match self.requests_per_minute {
            0 => History::default(),
            _ => History {
                minutes: (1..=60).map(|n| (before(n), tally(1))).collect(),
                hours: (1..=24).map(|n| (before(n * 60), tally(60))).collect(),
            },
        }
    }

    /// As logs tell of them: what the minutes count, evenly.
    pub(super) fn failed_requests(&self, place: &str, query: &FailuresQuery) -> Vec<FailedRequest> {
        let weight = i64::from(weight_of(&query.candidate, &self.cloud[place].serving).get());
        let requests = self.requests_per_minute * weight / 100;
        let errors = self.traits.get(&self.revisions[query.candidate.as_str()]).map_or(0, |t| t.error_percent);
        let others = self.requests_per_minute - requests;
        let of = |revision: &RevisionName, bad: i64| -> Vec<FailedRequest> {
            let (from, to) = (query.window.from.as_second(), query.window.to.as_second());
            let at = (from..to).flat_map(|second| {
                let told = |second: i64| bad * second.rem_euclid(60) / 60;
                let new = if second.rem_euclid(60) == 59 { bad } else { told(second + 1) } - told(second);
                (0..new).map(move |n| (second, n))
            });
            at.map(|(second, n)| FailedRequest {
                id: format!("{revision}-{second}-{n}"),
                at: Timestamp::from_second(second).unwrap(),
                took: SignedDuration::from_millis(50),
                revision: revision.to_string(),
                host: "api-abc.a.run.app".into(),
                status: 500,
                client: (second * 100 + n) as u32,
                platform: String::new(),
            })
            .collect()
        };
        let mut all = of(&query.candidate, requests * errors / 100);
        all.extend(of(&query.stable, (1 + others * self.stable_error_percent / 100).min(others)));
        all
    }
}

/// Requests of which a tenth takes 200 ms, and half of them 20.
fn latencies(requests: i64) -> Tally {
    let mut tally = Tally::default();
    [(20_000, 5), (100_000, 4), (200_000, 1)]
        .iter()
        .for_each(|(micros, tenths)| tally.add(*micros, requests * tenths / 10));
    tally
}
