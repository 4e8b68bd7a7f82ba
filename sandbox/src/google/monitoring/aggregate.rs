//! Alignment of each series to a period, and reduction of many series to few.

use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

use super::filter::label;
use super::series::{Datum, Labels, Spread};
use crate::exchange::Request;
use crate::google::enums::MONITORING;
use crate::google::problem::Problem;

/// Series of points, by the end of their time.
pub(super) type Series = BTreeMap<Labels, BTreeMap<Timestamp, Datum>>;

/// Longest alignment period, in seconds: 104 weeks.
const LONGEST: i64 = 104 * 7 * 24 * 3600;

/// How the points of one series, or of several at one time, become one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fold {
    Sum,
    Rate,
    Mean,
    Min,
    Max,
    Count,
    Deviation,
    Percentile(f64),
}

/// What is to be done with the series.
#[derive(Debug)]
pub(super) struct Aggregation {
    aligner: Option<Fold>,
    reducer: Option<Fold>,
    period: SignedDuration,
    groups: Vec<String>,
}

impl Aggregation {
    pub(super) fn of(request: &Request) -> Result<Self, Problem> {
        if request.query.iter().any(|(key, _)| key.starts_with("secondaryAggregation.")) {
            return Err(Problem::unimplemented("secondaryAggregation"));
        }
        let (aligner, reducer) = ("aggregation.perSeriesAligner", "aggregation.crossSeriesReducer");
        let fold = |field: &str| fold(&MONITORING.param(request, field)).map_err(|why| Problem::field(field, why));
        let groups = request.query.iter().filter(|(key, _)| key == "aggregation.groupByFields");
        let found = Self {
            aligner: fold(aligner)?,
            reducer: fold(reducer)?,
            period: period(request.param("aggregation.alignmentPeriod").unwrap_or_default())?,
            groups: groups.flat_map(|(_, fields)| fields.split(',')).map(label).collect(),
        };
        if found.aligner.is_some() && request.param("aggregation.alignmentPeriod").is_none_or(str::is_empty) {
            return Err(Problem::field("aggregation.alignmentPeriod", "an aligner other than ALIGN_NONE needs it"));
        }
        if found.reducer == Some(Fold::Rate) {
            return Err(Problem::field(reducer, "there is no such reducer"));
        }
        if found.reducer.is_some() && found.aligner.is_none() {
            return Err(Problem::field(aligner, "a reducer needs an aligner other than ALIGN_NONE"));
        }
        Ok(found)
    }

    /// Whether the points still tell of a span of time.
    pub(super) fn keeps_deltas(&self) -> bool {
        matches!(self.aligner, None | Some(Fold::Sum)) && matches!(self.reducer, None | Some(Fold::Sum))
    }

    /// The span that a point tells of.
    pub(super) fn span(&self) -> SignedDuration {
        if self.aligner.is_some() { self.period } else { SignedDuration::from_mins(1) }
    }

    pub(super) fn apply(&self, series: Series, end: Timestamp) -> Result<Series, Problem> {
        let Some(aligner) = self.aligner else { return Ok(series) };
        let mut aligned = Series::new();
        for (labels, points) in series {
            let mut windows: BTreeMap<Timestamp, Vec<Datum>> = BTreeMap::new();
            for (at, datum) in points {
                windows.entry(self.window(at, end)).or_default().push(datum);
            }
            aligned.insert(labels, self.folded(windows, aligner)?);
        }
        let Some(reducer) = self.reducer else { return Ok(aligned) };
        let mut groups: BTreeMap<Labels, BTreeMap<Timestamp, Vec<Datum>>> = BTreeMap::new();
        for (labels, points) in aligned {
            let kept: Labels = labels.into_iter().filter(|(key, _)| self.groups.contains(key)).collect();
            let group = groups.entry(kept).or_default();
            points.into_iter().for_each(|(at, datum)| group.entry(at).or_default().push(datum));
        }
        groups.into_iter().map(|(labels, points)| Ok((labels, self.folded(points, reducer)?))).collect()
    }

    /// The end of the window that a point falls into: windows reach back from the end of the interval.
    fn window(&self, at: Timestamp, end: Timestamp) -> Timestamp {
        let whole = end.duration_since(at).as_secs().div_euclid(self.period.as_secs().max(1));
        end - SignedDuration::from_secs(whole * self.period.as_secs())
    }

    fn folded(
        &self,
        points: BTreeMap<Timestamp, Vec<Datum>>,
        fold: Fold,
    ) -> Result<BTreeMap<Timestamp, Datum>, Problem> {
        let one = |(at, data): (Timestamp, Vec<Datum>)| Ok(self.one(data, fold)?.map(|datum| (at, datum)));
        points.into_iter().map(one).filter_map(Result::transpose).collect()
    }

    fn one(&self, data: Vec<Datum>, fold: Fold) -> Result<Option<Datum>, Problem> {
        let distributed = data.iter().any(|datum| matches!(datum, Datum::Distribution(_)));
        if distributed && matches!(fold, Fold::Rate | Fold::Min | Fold::Max | Fold::Deviation) {
            return Err(Problem::invalid("The aligner or reducer cannot be applied to values of type DISTRIBUTION."));
        }
        let counts = data.iter().all(|datum| matches!(datum, Datum::Count(_)));
        if counts && matches!(fold, Fold::Percentile(_)) && self.aligner == Some(fold) {
            return Err(Problem::invalid("A percentile aligner cannot be applied to values of type INT64."));
        }
        let numbers: Vec<f64> = data.iter().map(Datum::number).collect();
        let count = numbers.len() as f64;
        let sum = |data: Vec<Datum>| data.into_iter().reduce(|sum, datum| sum.plus(&datum));
        let mean = numbers.iter().sum::<f64>() / count;
        let whole = data.iter().all(|datum| matches!(datum, Datum::Count(_)));
        let extreme = |found: Option<f64>| found.map(|n| if whole { Datum::Count(n as i64) } else { Datum::Number(n) });
        Ok(match fold {
            Fold::Sum => sum(data),
            Fold::Rate => Some(Datum::Number(numbers.iter().sum::<f64>() / self.period.as_secs_f64())),
            Fold::Mean if distributed => sum(data).map(|all| Datum::Number(all.number())),
            Fold::Mean => Some(Datum::Number(mean)),
            Fold::Min => extreme(numbers.into_iter().reduce(f64::min)),
            Fold::Max => extreme(numbers.into_iter().reduce(f64::max)),
            Fold::Count => Some(Datum::Count(i64::try_from(numbers.len()).unwrap_or(i64::MAX))),
            Fold::Deviation => {
                let squares: f64 = numbers.iter().map(|n| (n - mean).powi(2)).sum();
                Some(Datum::Number((squares / count).sqrt()))
            }
            Fold::Percentile(percent) => match sum(data.clone()) {
                Some(Datum::Distribution(merged)) => Spread::percentile(&merged, percent).map(Datum::Number),
                _ => rank(numbers, percent).map(Datum::Number),
            },
        })
    }
}

/// The value at a share of the sorted values.
fn rank(mut numbers: Vec<f64>, percent: f64) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let at = percent / 100.0 * numbers.len().saturating_sub(1) as f64;
    let (low, high) = (numbers.get(at.floor() as usize)?, numbers.get(at.ceil() as usize)?);
    Some(low + (high - low) * at.fract())
}

fn fold(name: &str) -> Result<Option<Fold>, String> {
    let (_, what) = name.split_once('_').unwrap_or(("", name));
    Ok(Some(match what {
        "" | "NONE" => return Ok(None),
        "DELTA" | "SUM" => Fold::Sum,
        "RATE" => Fold::Rate,
        "MEAN" => Fold::Mean,
        "MIN" => Fold::Min,
        "MAX" => Fold::Max,
        "COUNT" => Fold::Count,
        "STDDEV" => Fold::Deviation,
        "PERCENTILE_99" => Fold::Percentile(99.0),
        "PERCENTILE_95" => Fold::Percentile(95.0),
        "PERCENTILE_50" => Fold::Percentile(50.0),
        "PERCENTILE_05" => Fold::Percentile(5.0),
        _ => return Err(format!("{name} does not fit a metric of kind DELTA, or is not supported")),
    }))
}

/// `120s`; none means a minute.
fn period(text: &str) -> Result<SignedDuration, Problem> {
    let seconds = match text {
        "" => Some(60),
        text => text.strip_suffix('s').and_then(|n| n.parse::<f64>().ok()).map(|n| n as i64),
    };
    let field = "aggregation.alignmentPeriod";
    let seconds = seconds.ok_or_else(|| Problem::field(field, format!("{text:?} is no duration")))?;
    match seconds {
        60..=LONGEST => Ok(SignedDuration::from_secs(seconds)),
        _ => Err(Problem::field(field, "it must be between 60 seconds and 104 weeks")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::Method;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn aggregated(query: &str) -> Result<Series, Problem> {
        let labels = |revision: &str| {
            let pairs = [("resource.labels.service_name", "api"), ("resource.labels.revision_name", revision)];
            Labels::from(pairs.map(|(key, value)| (key.to_string(), value.to_string())))
        };
        let points = |counts: [i64; 4]| (1..).zip(counts).map(|(minute, n)| (at(minute), Datum::Count(n))).collect();
        let series = Series::from([(labels("a"), points([1, 2, 3, 4])), (labels("b"), points([10, 20, 30, 40]))]);
        let request = Request::new(Method::GET, &format!("/v3/projects/p/timeSeries?{query}"), Bytes::new());
        Aggregation::of(&request)?.apply(series, at(4))
    }

    fn numbers(series: &Series) -> Vec<Vec<f64>> {
        series.values().map(|points| points.values().map(Datum::number).collect()).collect()
    }

    #[test]
    fn windows_reach_back_from_the_end_and_groups_are_summed() {
        let aligned = "aggregation.alignmentPeriod=120s&aggregation.perSeriesAligner";
        assert_eq!(numbers(&aggregated(&format!("{aligned}=ALIGN_DELTA")).unwrap()), [[3.0, 7.0], [30.0, 70.0]]);
        assert_eq!(numbers(&aggregated(&format!("{aligned}=2")).unwrap())[0], [3.0 / 120.0, 7.0 / 120.0], "ALIGN_RATE");
        let reduced = "aggregation.crossSeriesReducer=REDUCE_SUM&aggregation.groupByFields=resource.label.service_name";
        let reduced = aggregated(&format!("{aligned}=ALIGN_DELTA&{reduced}")).unwrap();
        assert_eq!(numbers(&reduced), [[33.0, 77.0]]);
        assert_eq!(reduced.keys().next().unwrap().len(), 1, "only the label that it is grouped by");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for query in [
            "aggregation.perSeriesAligner=ALIGN_DELTA",
            "aggregation.alignmentPeriod=30s&aggregation.perSeriesAligner=ALIGN_DELTA",
            "aggregation.crossSeriesReducer=REDUCE_SUM",
            "aggregation.alignmentPeriod=60s&aggregation.perSeriesAligner=ALIGN_PERCENTILE_99",
            "aggregation.alignmentPeriod=60s&aggregation.perSeriesAligner=ALIGN_INTERPOLATE",
        ] {
            assert!(aggregated(query).is_err(), "{query}");
        }
    }
}
