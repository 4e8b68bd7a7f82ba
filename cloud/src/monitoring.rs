//! Cloud Monitoring: what was measured of revisions, by minute.

use google_cloud_monitoring_v3::client::MetricService;
use google_cloud_monitoring_v3::model::aggregation::{Aligner, Reducer};
use google_cloud_monitoring_v3::model::list_time_series_request::TimeSeriesView;
use google_cloud_monitoring_v3::model::{Aggregation, TimeInterval};
use google_cloud_wkt as wkt;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Metric, Preset};
use orchestra_planner::cloud::{
    AlertPolicy, CountsQuery, FaultClass, History, Incident, Incidents, IncidentsQuery, Measured, Minute, ServiceId,
    Tally, Window,
};
use orchestra_planner::names::{ProjectId, RevisionName};
use orchestra_planner::promql::{self, Ask};
use orchestra_planner::verdict::history_windows;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::CloudError;
use crate::call::{Calls, PAGES};
use crate::rest::Rest;
use crate::shared::Shared;
use told::Told;

mod buckets;
mod incidents;
mod told;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The Monitoring port.
#[derive(Clone, Debug)]
pub struct Monitoring {
    client: MetricService,
    pub(crate) calls: Calls,
    rest: Rest,
    shared: Arc<Shared<Asked, BTreeMap<Place, Revisions>>>,
    delays: Arc<Shared<(ProjectId, &'static str), Option<i64>>>,
    incidents: Arc<Shared<(ProjectId, Timestamp), Vec<Incident>>>,
    policies: Arc<Shared<PolicyKey, Option<AlertPolicy>>>,
}

/// What one revision did, by when each span of time began.
type Tallies = BTreeMap<Timestamp, Tally>;
/// Revisions of a service.
type Revisions = BTreeMap<String, Tallies>;
/// What is read of all services of a project at once: a metric, in that time, by spans so long.
type Asked = (ProjectId, Metric, Window, SignedDuration);
/// A service, by region and name.
type Place = (String, String);

/// A policy of a project, by its ID, in a minute in which so many of its incidents are open.
type PolicyKey = (ProjectId, String, i64, usize);

/// How much is read of all services of a project at once: the minutes that may still fill, and the delay of some.
const READ_AT_ONCE: SignedDuration = SignedDuration::from_mins(18);

impl Monitoring {
    pub(crate) fn new(client: MetricService, rest: Rest) -> Self {
        Self {
            client,
            calls: Calls::of("monitoring"),
            rest,
            shared: Arc::default(),
            delays: Arc::default(),
            incidents: Arc::default(),
            policies: Arc::default(),
        }
    }

    /// What was measured of candidate and stable in each minute of the window, and of stable before it where that is asked.
    ///
    /// # Errors
    /// When Google does not answer, refuses, or gives more pages than any sensible answer has: a part of the answer must
    /// not be taken for the whole.
    pub async fn measured(&self, id: &ServiceId, query: &CountsQuery) -> Result<Measured, CloudError> {
        let mut found = self.minutes(id, query).await?;
        let mut minutes: BTreeMap<Timestamp, Minute> = BTreeMap::new();
        let mut of = |revision: &RevisionName| found.remove(revision.as_str()).unwrap_or_default();
        let (candidate, stable) = (of(&query.candidate), of(&query.stable));
        let empty = |start| Minute { start, candidate: Tally::default(), stable: Tally::default() };
        for (start, tally) in candidate {
            minutes.entry(start).or_insert_with(|| empty(start)).candidate = tally;
        }
        for (start, tally) in stable {
            minutes.entry(start).or_insert_with(|| empty(start)).stable = tally;
        }
        let (history, delay_seconds) = match query.history_until {
            Some(until) => {
                let history = self.history(id, query, until).await?;
                (Some(history), self.delay(&id.project, query.metric).await?)
            }
            None => (None, None),
        };
        Ok(Measured { minutes: minutes.into_values().collect(), history, delay_seconds })
    }

    /// How many requests each revision of a service answered, by when each span of time began.
    ///
    /// # Errors
    /// As above.
    pub async fn requests(
        &self,
        id: &ServiceId,
        window: Window,
        span: SignedDuration,
    ) -> Result<BTreeMap<String, BTreeMap<Timestamp, i64>>, CloudError> {
        let found = self.tallies(&id.project, Metric::ERRORS, of_one(id), window, span).await?;
        let revisions = found.get(&place(id)).cloned().unwrap_or_default();
        let count = |spans: Tallies| spans.into_iter().map(|(start, tally)| (start, tally.above(0).total)).collect();
        Ok(revisions.into_iter().map(|(name, spans)| (name, count(spans))).collect())
    }

    /// How late a metric comes at most, in seconds, as its descriptor says. It is asked for once: Google changes it with its
    /// documentation.
    async fn delay(&self, project: &ProjectId, metric: Metric) -> Result<Option<i64>, CloudError> {
        let (name, _) = series_of(metric).ok_or_else(|| CloudError::unmeasured(metric))?;
        let ask = async {
            let get = self.client.get_metric_descriptor();
            let get = get.set_name(format!("projects/{project}/metricDescriptors/{name}"));
            match self.calls.find("get metric descriptor", get.send()).await {
                Ok(told) => Ok(told.and_then(|it| it.metadata?.ingest_delay).map(|delay| delay.seconds())),
                // Who may read the values need not be let read what they are.
                Err(error) if error.class() == FaultClass::Denied => Ok(None),
                Err(error) => Err(error),
            }
        };
        Ok(*self.delays.get((project.clone(), name), ask).await?)
    }

    /// The incidents of a project's alert policies that are open; all who ask about the same time are told the same.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn incidents(&self, project: &ProjectId, query: &IncidentsQuery) -> Result<Incidents, CloudError> {
        let ask = incidents::open(&self.rest, &self.calls, project);
        let open = self.incidents.get((project.clone(), query.at), ask).await?.as_ref().clone();
        // Policies change seldom; that an incident is over may be because its policy is gone.
        let minute = query.at.as_second().div_euclid(MINUTE.as_secs());
        let mut policies = BTreeMap::new();
        for id in &query.policies {
            let ask = incidents::policy(&self.rest, &self.calls, project, id);
            let own = open.iter().filter(|incident| incident.policy == *id).count();
            let policy = self.policies.get((project.clone(), id.clone(), minute, own), ask).await?;
            policies.insert(id.clone(), policy.as_ref().clone());
        }
        Ok(Incidents { open, policies })
    }

    /// What Managed Service for Prometheus of a project answers.
    ///
    /// # Errors
    /// When Google does not answer, or refuses: the query, or who asks.
    pub async fn promql(&self, project: &ProjectId, ask: &Ask) -> Result<promql::Answer, CloudError> {
        let path = format!("/v1/projects/{project}/location/global/prometheus/api/v1/query_range");
        let body: serde_json::Map<String, Value> =
            ask.form().into_iter().map(|(key, value)| (key.to_string(), value.into())).collect();
        let asked = self.rest.send("monitoring", Method::POST, path, Some(body.into()));
        self.calls.call("query prometheus", asked).await
    }

    /// The minutes of the window: of this service alone, or read with those of all others.
    async fn minutes(&self, id: &ServiceId, query: &CountsQuery) -> Result<Revisions, CloudError> {
        let window = query.window;
        let at_once = Window { from: window.to - READ_AT_ONCE, to: window.to };
        if window.from < window.to && self.shared.are_many(id) && window.from >= at_once.from {
            let mut own = self.of_all(id, query.metric, at_once, MINUTE).await?;
            own.values_mut().for_each(|tallies| tallies.retain(|start, _| *start >= window.from));
            return Ok(own);
        }
        self.of_service(id, query.metric, &[&query.candidate, &query.stable], window, MINUTE).await
    }

    /// A service's part of what is read of all of its project.
    async fn of_all(
        &self,
        id: &ServiceId,
        metric: Metric,
        window: Window,
        span: SignedDuration,
    ) -> Result<Revisions, CloudError> {
        let ask = self.tallies(&id.project, metric, String::new(), window, span);
        let all = self.shared.get((id.project.clone(), metric, window, span), ask).await?;
        Ok(all.get(&place(id)).cloned().unwrap_or_default())
    }

    async fn of_service(
        &self,
        id: &ServiceId,
        metric: Metric,
        revisions: &[&RevisionName],
        window: Window,
        span: SignedDuration,
    ) -> Result<Revisions, CloudError> {
        let quoted: Vec<String> = revisions.iter().map(|revision| format!("\"{revision}\"")).collect();
        let only = format!("{} AND resource.labels.revision_name = one_of({})", of_one(id), quoted.join(","));
        let mut found = self.tallies(&id.project, metric, only, window, span).await?;
        Ok(found.remove(&place(id)).unwrap_or_default())
    }

    async fn history(&self, id: &ServiceId, query: &CountsQuery, until: Timestamp) -> Result<History, CloudError> {
        let (hour, long) = history_windows(query.metric, until);
        let read = async |window, span| {
            let mut found = match self.shared.are_many(id) {
                true => self.of_all(id, query.metric, window, span).await?,
                false => self.of_service(id, query.metric, &[&query.stable], window, span).await?,
            };
            Ok::<_, CloudError>(found.remove(query.stable.as_str()).unwrap_or_default())
        };
        Ok(History { minutes: read(hour, MINUTE).await?, hours: read(long, HOUR).await? })
    }

    /// What was measured of revisions, each span of time by itself.
    async fn tallies(
        &self,
        project: &ProjectId,
        metric: Metric,
        only: String,
        window: Window,
        span: SignedDuration,
    ) -> Result<BTreeMap<Place, Revisions>, CloudError> {
        let (name, labels) = series_of(metric).ok_or_else(|| CloudError::unmeasured(metric))?;
        let filter = format!("metric.type = \"{name}\" AND resource.type = \"cloud_run_revision\"{only}");
        let aggregation = Aggregation::new()
            .set_alignment_period(wkt::Duration::clamp(span.as_secs(), 0))
            .set_per_series_aligner(Aligner::AlignDelta)
            .set_cross_series_reducer(Reducer::ReduceSum)
            .set_group_by_fields(GROUPS.into_iter().chain(labels.iter().copied()));
        let interval = TimeInterval::new().set_start_time(stamp(window.from)).set_end_time(stamp(window.to));
        let mut told = Told::default();
        let mut token = String::new();
        if window.from >= window.to {
            return Ok(BTreeMap::new());
        }
        for _ in 0..PAGES {
            let list = self
                .client
                .list_time_series()
                .set_name(format!("projects/{project}"))
                .set_filter(filter.as_str())
                .set_interval(interval.clone())
                .set_aggregation(aggregation.clone())
                .set_view(TimeSeriesView::Full)
                .set_page_token(token);
            let page = self.calls.call("list time series", list.send()).await?;
            page.time_series.iter().for_each(|series| told.add(series, metric, span));
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(told.tallies());
            }
        }
        Err(CloudError::endless("list time series"))
    }
}

/// What series are told apart by.
const GROUPS: [&str; 3] = ["resource.labels.location", "resource.labels.service_name", "resource.labels.revision_name"];

/// A filter's part that is true of one service only.
fn of_one(id: &ServiceId) -> String {
    format!(" AND resource.labels.service_name = \"{}\" AND resource.labels.location = \"{}\"", id.name, id.region)
}

fn place(id: &ServiceId) -> Place {
    (id.region.to_string(), id.name.to_string())
}

/// The metric of Cloud Run's that tells it, and the labels beside the revision that it is told apart by. None: it has none.
fn series_of(metric: Metric) -> Option<(&'static str, &'static [&'static str])> {
    const CLASS: &[&str] = &["metric.labels.response_code_class"];
    const CODE: &[&str] = &["metric.labels.response_code"];
    const PROBE: &[&str] = &["metric.labels.probe_type", "metric.labels.is_healthy"];
    let Metric::Preset(preset) = metric else { return None };
    Some(match preset {
        Preset::Errors | Preset::ClientErrors => ("run.googleapis.com/request_count", CLASS),
        Preset::TooManyRequests => ("run.googleapis.com/request_count", CODE),
        Preset::Latency => ("run.googleapis.com/request_latencies", &[]),
        Preset::CpuUtilization => ("run.googleapis.com/container/cpu/utilizations", &[]),
        Preset::MemoryUtilization => ("run.googleapis.com/container/memory/utilizations", &[]),
        Preset::HealthChecks | Preset::StartupFailures => ("run.googleapis.com/container/completed_probe_count", PROBE),
    })
}

fn stamp(time: Timestamp) -> wkt::Timestamp {
    wkt::Timestamp::clamp(time.as_second(), time.subsec_nanosecond())
}
