//! Releases that Cloud Monitoring remembers: which revision took over from which, and what both answered.

use jiff::{SignedDuration, Timestamp};
use orchestra_cloud::Cloud;
use orchestra_controller::clock::Clock;
use orchestra_crds::{Metric, Preset};
use orchestra_planner::cloud::{CountsQuery, Minute, ServiceId, Tally, Window};
use orchestra_planner::names::{ProjectId, Region, RevisionName, ServiceName};
use orchestra_planner::verdict::replay::{Recorded, Served as Answered};
use std::collections::BTreeMap;

use crate::args::MonitoredArgs;
use crate::error::CliError;
use crate::time;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// For how long before a revision's first minute one served that it took over from.
const BEFORE: SignedDuration = SignedDuration::from_mins(10);
/// How much of stable's history a release is judged by.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How many requests each revision answered, by when each span of time began.
type Served = BTreeMap<String, BTreeMap<Timestamp, i64>>;

/// A release: one revision took over from another, in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub region: Region,
    pub candidate: RevisionName,
    pub stable: RevisionName,
    /// The minute in which the candidate had its first requests.
    pub began: Timestamp,
    /// The end of what is judged.
    pub ended: Timestamp,
}

/// The releases of a service, oldest first, each with its record.
///
/// # Errors
/// When a name is none, or Google can't be asked.
pub async fn releases(service: &str, args: &MonitoredArgs) -> Result<Vec<(Release, Vec<Recorded>)>, CliError> {
    let wrong = |error: orchestra_planner::names::BadName| CliError::BadName(error.to_string());
    let name = ServiceName::new(service).map_err(wrong)?;
    let project = ProjectId::new(args.project.as_deref().unwrap_or_default()).map_err(wrong)?;
    let cloud = Cloud::connect(args.google_endpoint.as_deref()).await.map_err(unread)?;
    let clock = time::of_sandbox(args.google_endpoint.as_deref()).await;
    let to = clock.unwrap_or_else(Clock::of_this_machine).now();
    let window = Window { from: to - SignedDuration::from_hours(24 * i64::from(args.days)), to };
    let mut found = vec![];
    for region in &args.regions {
        let region = Region::new(region.as_str()).map_err(wrong)?;
        let id = ServiceId { project: project.clone(), region, name: name.clone() };
        let hours = cloud.monitoring.requests(&id, window, HOUR).await.map_err(unread)?;
        for candidate in hours.keys() {
            if let Some(release) = release(&cloud, &id, &hours, candidate, window).await? {
                let rows = record(&cloud, &id, &release).await?;
                found.push((release, rows));
            }
        }
    }
    found.sort_by_key(|(release, _)| release.began);
    Ok(found)
}

/// When a revision took over, and from which; none: from none that is known.
async fn release(
    cloud: &Cloud,
    id: &ServiceId,
    hours: &Served,
    candidate: &str,
    window: Window,
) -> Result<Option<Release>, CliError> {
    let Some(hour) = first(hours, candidate) else { return Ok(None) };
    let around = Window { from: (hour - HOUR).max(window.from), to: (hour + HOUR).min(window.to) };
    let minutes = cloud.monitoring.requests(id, around, MINUTE).await.map_err(unread)?;
    let Some((began, stable)) = taken_over(&minutes, candidate) else { return Ok(None) };
    let ended =
        last(hours, candidate).min(last(hours, &stable) + HOUR).min(began + DAY).max(began + HOUR).min(window.to);
    let (Ok(candidate), Ok(stable)) = (RevisionName::new(candidate), RevisionName::new(stable)) else {
        return Ok(None);
    };
    Ok(Some(Release { region: id.region.clone(), candidate, stable, began, ended }))
}

/// When a revision had its first requests.
fn first(served: &Served, revision: &str) -> Option<Timestamp> {
    served.get(revision)?.iter().find(|(_, requests)| **requests > 0).map(|(start, _)| *start)
}

/// The end of the last hour in which a revision had requests.
fn last(hours: &Served, revision: &str) -> Timestamp {
    let own = hours.get(revision).into_iter().flatten();
    own.filter(|(_, requests)| **requests > 0).map(|(start, _)| *start + HOUR).max().unwrap_or(Timestamp::MIN)
}

/// The first minute of a revision, and which one had most requests in the minutes before.
fn taken_over(minutes: &Served, candidate: &str) -> Option<(Timestamp, String)> {
    let began = first(minutes, candidate)?;
    let before = |revision: &str| -> i64 {
        let own = minutes.get(revision).into_iter().flatten();
        own.filter(|(start, _)| **start < began && **start >= began - BEFORE).map(|(_, requests)| *requests).sum()
    };
    let others = minutes.keys().filter(|other| *other != candidate && before(other) > 0);
    others.max_by_key(|other| before(other)).map(|stable| (began, stable.clone()))
}

fn unread(error: orchestra_cloud::CloudError) -> CliError {
    CliError::Unmonitored(error.to_string())
}

/// What candidate and stable answered, with a day of stable's before.
async fn record(cloud: &Cloud, id: &ServiceId, release: &Release) -> Result<Vec<Recorded>, CliError> {
    let mut rows: BTreeMap<Timestamp, Recorded> = BTreeMap::new();
    for metric in Preset::DEFAULT.map(Metric::Preset) {
        let query = CountsQuery {
            metric,
            candidate: release.candidate.clone(),
            stable: release.stable.clone(),
            window: Window { from: release.began - DAY, to: release.ended },
            history_until: None,
            promql: None,
        };
        for minute in cloud.monitoring.measured(id, &query).await.map_err(unread)?.minutes {
            let number = minute.start.duration_since(release.began).as_mins();
            let row = rows.entry(minute.start).or_insert_with(|| Recorded {
                minute: number,
                region: id.region.to_string(),
                weight: None,
                candidate: Answered::default(),
                stable: Answered::default(),
            });
            add(row, metric, minute);
        }
    }
    Ok(until_gone(rows.into_values().collect()))
}

/// What is after the candidate's last request is of no release: it was taken back, or another took over from it.
fn until_gone(mut rows: Vec<Recorded>) -> Vec<Recorded> {
    let last = rows.iter().rposition(|row| row.candidate.requests.total > 0).map_or(0, |last| last + 1);
    rows.truncate(last);
    rows
}

fn add(row: &mut Recorded, metric: Metric, minute: Minute) {
    let put = |served: &mut Answered, tally: Tally| match metric {
        Metric::ERRORS => served.requests = tally.above(0),
        Metric::LATENCY => served.latencies = Some(tally),
        // They are not recorded.
        Metric::Preset(_) | Metric::Named(_) => {}
    };
    put(&mut row.candidate, minute.candidate);
    put(&mut row.stable, minute.stable);
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestra_planner::cloud::Count;

    fn served(of: &[(&str, std::ops::Range<i64>)]) -> Served {
        let at = |n: i64| Timestamp::from_second(n * 60).unwrap();
        of.iter().map(|(name, minutes)| (name.to_string(), minutes.clone().map(|n| (at(n), 10)).collect())).collect()
    }

    #[test]
    fn a_record_ends_with_the_candidate() {
        let row = |minute, candidate| Recorded {
            minute,
            region: String::new(),
            weight: None,
            candidate: Answered { requests: Count { total: candidate, bad: 0 }, latencies: None },
            stable: Answered { requests: Count { total: 90, bad: 0 }, latencies: None },
        };
        let rows = until_gone(vec![row(-1, 0), row(0, 10), row(1, 0), row(2, 10), row(3, 0), row(4, 0)]);
        assert_eq!(rows.iter().map(|row| row.minute).collect::<Vec<_>>(), [-1, 0, 1, 2]);
    }

    #[test]
    fn a_revision_takes_over_from_the_one_that_served_before() {
        let minutes = served(&[("api-a", 0..30), ("api-b", 29..60), ("api-c", 50..51), ("api-d", 80..90)]);
        let of = |candidate: &str| taken_over(&minutes, candidate).map(|(at, from)| (at.as_second() / 60, from));
        assert_eq!(of("api-b"), Some((29, "api-a".to_string())));
        assert_eq!(of("api-c"), Some((50, "api-b".to_string())), "and not from the one before that");
        assert_eq!(of("api-a"), None, "it was the first");
        assert_eq!(of("api-d"), None, "nothing served before it");
    }
}
