//! What pages of time series tell: each point once, and no minute of which a part can't be read.

use google_cloud_monitoring_v3::model::TimeSeries;
use google_cloud_monitoring_v3::model::typed_value::Value;
use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Metric, Preset};
use orchestra_planner::cloud::Tally;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Place, Revisions, Tallies, buckets};

/// From which share of its limit on an instance breaches it.
const BREACH: f64 = 0.9;

/// Points of a series, by when their span of time began. None: it can't be read.
type Points = BTreeMap<Timestamp, Option<Tally>>;
/// The series of a service, by revision, and class or code of the answer.
type Series = BTreeMap<(String, String), Points>;

/// What was told, by place.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<Place, Series>);

impl Told {
    /// Takes in a series. A point ends at the end of its span; one that is told again is what it was told last.
    pub(super) fn add(&mut self, series: &TimeSeries, metric: Metric, span: SignedDuration) {
        let label = |labels: Option<&HashMap<String, String>>, key: &str| {
            labels.and_then(|l| l.get(key).cloned()).unwrap_or_default()
        };
        let of_resource = |key: &str| label(series.resource.as_ref().map(|r| &r.labels), key);
        let place = (of_resource("location"), of_resource("service_name"));
        let of_metric = |key: &str| label(series.metric.as_ref().map(|m| &m.labels), key);
        let labels = ["response_code", "response_code_class", "probe_type", "is_healthy"].map(of_metric);
        let Some(value_of) = value_of(metric, &labels) else { return };
        let answer = labels.join(" ");
        let points = self.0.entry(place).or_default().entry((of_resource("revision_name"), answer)).or_default();
        for point in &series.points {
            let end = point.interval.as_ref().and_then(|i| i.end_time.as_ref());
            let Some(end) = end.and_then(|t| Timestamp::new(t.seconds(), t.nanos()).ok()) else { continue };
            let value = point.value.as_ref().and_then(|value| value.value.as_ref());
            points.insert(end - span, value.and_then(|value| tally(metric, value, value_of)));
        }
    }

    /// What each revision of each service did. A span of which a part can't be read is missing in all of a service.
    pub(super) fn tallies(self) -> BTreeMap<Place, Revisions> {
        self.0.into_iter().map(|(place, series)| (place, of_service(series))).collect()
    }
}

/// What each of a series with such labels counts as, bad ones as 1; none: they are not of this metric.
fn value_of(metric: Metric, [code, class, probe, is_healthy]: &[String; 4]) -> Option<i64> {
    let Metric::Preset(preset) = metric else { return None };
    let of_probe =
        |kind: &str| probe.eq_ignore_ascii_case(kind).then_some(i64::from(!is_healthy.eq_ignore_ascii_case("true")));
    match preset {
        Preset::Errors if class == "4xx" => Some(Tally::CLIENT_ERROR),
        Preset::Errors => Some(i64::from(class == "5xx")),
        Preset::ClientErrors => Some(i64::from(class == "4xx")),
        Preset::TooManyRequests => Some(i64::from(code == "429")),
        Preset::HealthChecks => of_probe("LIVENESS"),
        Preset::StartupFailures => of_probe("STARTUP"),
        // The values tell by themselves.
        Preset::Latency | Preset::CpuUtilization | Preset::MemoryUtilization => Some(0),
    }
}

fn of_service(series: Series) -> Revisions {
    let all = series.values().flatten();
    let unread: BTreeSet<Timestamp> = all.filter(|(_, tally)| tally.is_none()).map(|(start, _)| *start).collect();
    let mut revisions = Revisions::new();
    for ((revision, _), points) in series {
        let tallies: &mut Tallies = revisions.entry(revision).or_default();
        for (start, tally) in points.into_iter().filter(|(start, _)| !unread.contains(start)) {
            let sum = tallies.entry(start).or_default();
            tally.iter().flat_map(|tally| &tally.0).for_each(|(bound, values)| sum.add(*bound, *values));
        }
    }
    revisions
}

/// What a point tells; none: it can't be read.
fn tally(metric: Metric, value: &Value, counts_as: i64) -> Option<Tally> {
    let mut tally = Tally::default();
    match (metric, value) {
        (Metric::LATENCY, Value::DistributionValue(distribution)) => buckets::add(&mut tally, distribution),
        (
            Metric::Preset(Preset::CpuUtilization | Preset::MemoryUtilization),
            Value::DistributionValue(distribution),
        ) => {
            buckets::add_looks(&mut tally, distribution, BREACH)?;
        }
        (Metric::Preset(Preset::Latency | Preset::CpuUtilization | Preset::MemoryUtilization), _) => return None,
        (_, value) => tally.add(counts_as, number(value)?),
    }
    Some(tally)
}

/// A count, whichever way it is written; none: it is none.
fn number(value: &Value) -> Option<i64> {
    let count = match value {
        Value::Int64Value(n) => Some(*n),
        Value::DoubleValue(n) if n.is_finite() => Some(n.round() as i64),
        _ => None,
    };
    count.filter(|count| *count >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use google_cloud_api::model::{Metric as Described, MonitoredResource};
    use google_cloud_monitoring_v3::model::{Point, TimeInterval, TypedValue};

    const MINUTE: SignedDuration = SignedDuration::from_mins(1);

    fn series(revision: &str, class: &str, points: &[(i64, Value)]) -> TimeSeries {
        let labels = [("location", "us-central1"), ("service_name", "api"), ("revision_name", revision)];
        let point = |(minute, value): &(i64, Value)| {
            let end = google_cloud_wkt::Timestamp::clamp(minute * 60, 0);
            let value = TypedValue::new().set_value(Some(value.clone()));
            Point::new().set_interval(TimeInterval::new().set_end_time(end)).set_value(value)
        };
        TimeSeries::new()
            .set_resource(MonitoredResource::new().set_labels(labels))
            .set_metric(Described::new().set_labels([("response_code_class", class)]))
            .set_points(points.iter().map(point))
    }

    fn counted(all: &[TimeSeries]) -> BTreeMap<String, Vec<(i64, i64, i64)>> {
        let mut told = Told::default();
        all.iter().for_each(|series| told.add(series, Metric::ERRORS, MINUTE));
        let of =
            |(start, tally): (&Timestamp, &Tally)| (start.as_second() / 60, tally.above(0).total, tally.above(0).bad);
        let revisions = told.tallies().into_values().next().unwrap_or_default();
        revisions.into_iter().map(|(name, tallies)| (name, tallies.iter().map(of).collect())).collect()
    }

    #[test]
    fn a_point_that_comes_twice_counts_once() {
        let good = series("a", "2xx", &[(1, Value::Int64Value(90)), (1, Value::Int64Value(90))]);
        let bad = series("a", "5xx", &[(1, Value::Int64Value(10))]);
        let told = counted(&[good.clone(), bad.clone(), good, bad]);
        assert_eq!(told["a"], [(0, 100, 10)]);
    }

    #[test]
    fn a_minute_of_which_a_part_is_no_count_is_missing_as_a_whole() {
        let wrong = [
            Value::DoubleValue(f64::NAN),
            Value::DoubleValue(f64::INFINITY),
            Value::Int64Value(-1),
            Value::BoolValue(true),
        ];
        for wrong in wrong {
            let bad = series("a", "5xx", &[(1, wrong), (2, Value::Int64Value(3))]);
            let good = series("a", "2xx", &[(1, Value::Int64Value(90)), (2, Value::Int64Value(97))]);
            let other = series("b", "2xx", &[(1, Value::Int64Value(900)), (2, Value::DoubleValue(900.0))]);
            let told = counted(&[bad, good, other]);
            assert_eq!((told["a"].clone(), told["b"].clone()), (vec![(1, 100, 3)], vec![(1, 900, 0)]));
        }
    }
}
