//! Cloud Monitoring: requests by revision and minute.

use google_cloud_monitoring_v3::client::MetricService;
use google_cloud_monitoring_v3::model::aggregation::{Aligner, Reducer};
use google_cloud_monitoring_v3::model::list_time_series_request::TimeSeriesView;
use google_cloud_monitoring_v3::model::typed_value::Value;
use google_cloud_monitoring_v3::model::{Aggregation, TimeInterval, TimeSeries};
use google_cloud_wkt as wkt;
use jiff::{SignedDuration, Timestamp};
use orchestra_crds::Metric;
use orchestra_planner::cloud::{Count, CountsQuery, Minute, ServiceId};
use std::collections::BTreeMap;

use crate::CloudError;
use crate::call::{Calls, PAGES};

/// The Monitoring port.
#[derive(Clone, Debug)]
pub struct Monitoring {
    pub(crate) client: MetricService,
    pub(crate) calls: Calls,
}

impl Monitoring {
    /// Counts of candidate and stable in each minute of the window that had any requests.
    ///
    /// # Errors
    /// When Google does not answer, refuses, or gives more pages than any sensible answer has: a part of the answer must
    /// not be taken for the whole.
    pub async fn counts(&self, id: &ServiceId, query: &CountsQuery) -> Result<Vec<Minute>, CloudError> {
        let Metric::Errors = query.metric;
        let filter = format!(
            "metric.type = \"run.googleapis.com/request_count\" AND resource.type = \"cloud_run_revision\" \
             AND resource.labels.service_name = \"{}\" AND resource.labels.location = \"{}\" \
             AND resource.labels.revision_name = one_of(\"{}\",\"{}\")",
            id.name, id.region, query.candidate, query.stable
        );
        let aggregation = Aggregation::new()
            .set_alignment_period(wkt::Duration::clamp(60, 0))
            .set_per_series_aligner(Aligner::AlignDelta)
            .set_cross_series_reducer(Reducer::ReduceSum)
            .set_group_by_fields(["resource.labels.revision_name", "metric.labels.response_code_class"]);
        let interval =
            TimeInterval::new().set_start_time(stamp(query.window.from)).set_end_time(stamp(query.window.to));
        let mut minutes = BTreeMap::new();
        let mut token = String::new();
        for _ in 0..PAGES {
            let list = self
                .client
                .list_time_series()
                .set_name(format!("projects/{}", id.project))
                .set_filter(filter.as_str())
                .set_interval(interval.clone())
                .set_aggregation(aggregation.clone())
                .set_view(TimeSeriesView::Full)
                .set_page_token(token);
            let page = self.calls.call("list time series", list.send()).await?;
            page.time_series.iter().for_each(|series| add(&mut minutes, series, query));
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(minutes.into_values().collect());
            }
        }
        Err(CloudError::endless("list time series"))
    }
}

fn stamp(time: Timestamp) -> wkt::Timestamp {
    wkt::Timestamp::clamp(time.as_second(), time.subsec_nanosecond())
}

/// Counts a series' points. A point ends at its minute's end.
fn add(minutes: &mut BTreeMap<Timestamp, Minute>, series: &TimeSeries, query: &CountsQuery) {
    let label = |labels: Option<&std::collections::HashMap<String, String>>, key: &str| {
        labels.and_then(|l| l.get(key).cloned()).unwrap_or_default()
    };
    let revision = label(series.resource.as_ref().map(|r| &r.labels), "revision_name");
    let failed = label(series.metric.as_ref().map(|m| &m.labels), "response_code_class") == "5xx";
    for point in &series.points {
        let end = point.interval.as_ref().and_then(|i| i.end_time.as_ref());
        let end = end.and_then(|t| Timestamp::new(t.seconds(), t.nanos()).ok());
        let (Some(end), Some(requests)) = (end, point.value.as_ref().and_then(|v| number(v.value.as_ref()))) else {
            continue;
        };
        let start = end - SignedDuration::from_mins(1);
        let empty = Minute { start, candidate: Count::default(), stable: Count::default() };
        let minute = minutes.entry(start).or_insert(empty);
        let count = match revision.as_str() {
            name if name == query.candidate.as_str() => &mut minute.candidate,
            name if name == query.stable.as_str() => &mut minute.stable,
            _ => continue,
        };
        count.total += requests;
        count.bad += if failed { requests } else { 0 };
    }
}

/// A count, whichever way it is written.
fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Int64Value(n) => Some(*n),
        Value::DoubleValue(n) if n.is_finite() => Some(n.round() as i64),
        _ => None,
    }
}
