use super::*;
use crate::names::{ProjectId, Region, ServiceName};
use crate::verdict::history_windows;
use orchestra_crds::{GaugeQuery, HistogramQuery, Metric, MetricName, RatioQueries};
use serde_json::{Value, json};

const REVISIONS: [&str; 2] = ["api-new", "api-old"];

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_040 + minute * 60).unwrap()
}

fn service() -> ServiceId {
    ServiceId {
        project: ProjectId::new("cherry-ai-project").unwrap(),
        region: Region::new("us-central1").unwrap(),
        name: ServiceName::new("api").unwrap(),
    }
}

fn ratio() -> Promql {
    let ratio = RatioQueries {
        bad: "bad({{revision}})".into(),
        total: "all({{project}},{{ region }},{{service}},{{ revision }})".into(),
    };
    let name = MetricName::new("checkouts").unwrap();
    Promql { name, address: None, ratio: Some(ratio), histogram: None, gauge: None, limits: None }
}

fn gauge() -> Promql {
    let gauge = GaugeQuery { value: "used({{revision}})".into(), bad_above: "0.9".into() };
    Promql { ratio: None, gauge: Some(gauge), ..ratio() }
}

fn histogram() -> Promql {
    Promql { ratio: None, histogram: Some(HistogramQuery { buckets: "took({{revision}})".into() }), ..ratio() }
}

fn question(promql: &Promql, from: i64, to: i64) -> CountsQuery {
    let [candidate, stable] = REVISIONS.map(|name| RevisionName::new(name).unwrap());
    let window = Window { from: at(from), to: at(to) };
    let metric = Metric::Named(promql.name);
    CountsQuery { metric, candidate, stable, window, history_until: None, promql: Some(Box::new(promql.clone())) }
}

/// One series, of a value at the end of each minute.
fn series(labels: Value, values: &[(i64, &str)]) -> Value {
    let values: Vec<Value> = values.iter().map(|(minute, v)| json!([at(*minute).as_second() + 60, v])).collect();
    json!({"metric": labels, "values": values})
}

fn answer(series: &[Value]) -> Answer {
    let whole = json!({"status": "success", "data": {"resultType": "matrix", "result": series}});
    serde_json::from_value(whole).unwrap()
}

/// What is measured where each query, by its text, gives those series.
fn measure(promql: &Promql, query: &CountsQuery, given: &dyn Fn(&str) -> Vec<Value>) -> Result<Measured, Unusable> {
    let answers: Vec<(Ask, Answer)> =
        asks(promql, &service(), query).into_iter().map(|ask| (ask.clone(), answer(&given(&ask.query)))).collect();
    measured(promql, query, &answers)
}

fn counts(measured: &Measured) -> Vec<(i64, [i64; 2], [i64; 2])> {
    let of = |tally: &Tally| {
        let count = tally.above(0);
        [count.total, count.bad]
    };
    let minute = |start: Timestamp| (start.as_second() - at(0).as_second()) / 60;
    measured.minutes.iter().map(|m| (minute(m.start), of(&m.candidate), of(&m.stable))).collect()
}

#[test]
fn each_arm_is_asked_by_name_at_the_end_of_each_minute() {
    let asked = asks(&ratio(), &service(), &question(&ratio(), 0, 3));
    let texts: Vec<&str> = asked.iter().map(|ask| ask.query.as_str()).collect();
    assert_eq!(
        texts,
        [
            "bad(api-new)",
            "all(cherry-ai-project,us-central1,api,api-new)",
            "bad(api-old)",
            "all(cherry-ai-project,us-central1,api,api-old)"
        ]
    );
    assert!(asked.iter().all(|ask| (ask.start, ask.end) == (at(1), at(3))));
    assert!(asks(&ratio(), &service(), &question(&ratio(), 3, 3)).is_empty());
}

#[test]
fn series_are_added_up_and_no_bad_ones_are_none() {
    let given = |query: &str| match query {
        "all(cherry-ai-project,us-central1,api,api-new)" => {
            vec![series(json!({"pod": "a"}), &[(0, "100"), (1, "99.7")]), series(json!({"pod": "b"}), &[(0, "20")])]
        }
        "bad(api-new)" => vec![series(json!({}), &[(1, "3.2")])],
        query if query.starts_with("all") => vec![series(json!({}), &[(0, "900"), (1, "900")])],
        _ => vec![],
    };
    let found = measure(&ratio(), &question(&ratio(), 0, 2), &given).unwrap();
    assert_eq!(counts(&found), [(0, [120, 0], [900, 0]), (1, [100, 3], [900, 0])]);
}

#[test]
fn what_is_no_number_or_more_bad_than_all_is_a_missing_minute() {
    for wrong in ["NaN", "+Inf", "-1", "101.5", "many"] {
        let given = |query: &str| match query.starts_with("bad") {
            true => vec![series(json!({}), &[(0, wrong), (1, "5")])],
            false => vec![series(json!({}), &[(0, "100"), (1, "100")])],
        };
        let found = measure(&ratio(), &question(&ratio(), 0, 2), &given).unwrap();
        assert_eq!(counts(&found), [(1, [100, 5], [100, 5])], "{wrong}");
    }
}

#[test]
fn queries_that_were_swapped_are_told() {
    let given = |query: &str| vec![series(json!({}), &[(0, if query.starts_with("bad") { "100" } else { "3" })])];
    assert_eq!(measure(&ratio(), &question(&ratio(), 0, 1), &given), Err(Unusable::MoreBadThanAll));
}

#[test]
fn each_series_of_a_gauge_is_a_look() {
    let given = |query: &str| match query {
        "used(api-new)" => vec![series(json!({"i": "1"}), &[(0, "0.91")]), series(json!({"i": "2"}), &[(0, "0.9")])],
        _ => vec![series(json!({"i": "3"}), &[(0, "0.1")])],
    };
    assert_eq!(counts(&measure(&gauge(), &question(&gauge(), 0, 1), &given).unwrap()), [(0, [2, 1], [1, 0])]);
}

#[test]
fn buckets_are_no_longer_cumulative_and_in_microseconds() {
    let bucket = |le: &str, count: &str| series(json!({"le": le}), &[(0, count)]);
    let given = |_: &str| vec![bucket("+Inf", "10"), bucket("0.25", "6.4"), bucket("1", "6.2")];
    let found = measure(&histogram(), &question(&histogram(), 0, 1), &given).unwrap();
    assert_eq!(found.minutes[0].candidate.0, BTreeMap::from([(250_000, 6), (i64::MAX, 4)]));
    let unbound = |_: &str| vec![series(json!({"pod": "a"}), &[(0, "10")])];
    assert_eq!(measure(&histogram(), &question(&histogram(), 0, 1), &unbound), Err(Unusable::NoBound));
}

#[test]
fn history_is_stables_day_by_hours_and_its_last_hour_by_minutes() {
    let query = CountsQuery { history_until: Some(at(0)), ..question(&ratio(), 0, 1) };
    let all: Vec<(i64, String)> = (-1440..1).map(|minute| (minute, "10".to_string())).collect();
    let given = |query: &str| match query.starts_with("bad") {
        true => vec![],
        false => vec![series(json!({}), &all.iter().map(|(m, v)| (*m, v.as_str())).collect::<Vec<_>>())],
    };
    let found = measure(&ratio(), &query, &given).unwrap();
    assert_eq!(counts(&found), [(0, [10, 0], [10, 0])]);
    let history = found.history.unwrap();
    let (hour, day) = history_windows(at(0));
    assert_eq!((history.minutes.len(), history.hours.len()), (60, 24));
    assert!(history.minutes.keys().all(|start| *start >= hour.from) && history.hours.contains_key(&day.from));
    assert!(history.hours.values().all(|tally| tally.above(0).total == 600));
}
