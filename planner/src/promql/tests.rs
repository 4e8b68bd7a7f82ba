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
fn what_is_no_number_or_more_bad_than_all_is_a_missing_minute_of_both() {
    for wrong in ["NaN", "+Inf", "-1", "112", "many", "1e16"] {
        for arm in ["api-new", "api-old"] {
            let given = |query: &str| match (query.starts_with("bad"), query.contains(arm)) {
                (true, true) => vec![series(json!({}), &[(0, wrong), (1, "5")])],
                (true, false) => vec![series(json!({}), &[(0, "5"), (1, "5")])],
                _ => vec![series(json!({}), &[(0, "100"), (1, "100")])],
            };
            let found = measure(&ratio(), &question(&ratio(), 0, 2), &given).unwrap();
            assert_eq!(counts(&found), [(1, [100, 5], [100, 5])], "{wrong}");
        }
    }
}

#[test]
fn histograms_with_other_bounds_are_not_compared() {
    let bucket = |le: &str, count: &str| series(json!({"le": le}), &[(0, count)]);
    let given = |bounds: [&'static str; 3]| {
        move |query: &str| match query.contains("api-new") {
            true => bounds.map(|le| bucket(le, "10")).to_vec(),
            false => ["0.25", "+Inf"].map(|le| bucket(le, "10")).to_vec(),
        }
    };
    assert!(measure(&histogram(), &question(&histogram(), 0, 1), &given(["0.1", "0.25", "+Inf"])).is_ok());
    let other = measure(&histogram(), &question(&histogram(), 0, 1), &given(["0.2", "0.5", "+Inf"]));
    assert_eq!(other, Err(Unusable::OtherBounds));
}

#[test]
fn queries_that_were_swapped_are_told() {
    let given = |query: &str| vec![series(json!({}), &[(0, if query.starts_with("bad") { "100" } else { "3" })])];
    assert_eq!(measure(&ratio(), &question(&ratio(), 0, 1), &given), Err(Unusable::MoreBadThanAll));
    let only_bad = |query: &str| match query.starts_with("bad") {
        true => vec![series(json!({}), &[(0, "100")])],
        false => vec![],
    };
    assert_eq!(measure(&ratio(), &question(&ratio(), 0, 1), &only_bad), Err(Unusable::MoreBadThanAll));
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
fn a_look_that_is_no_number_says_nothing_of_the_others_and_infinity_is_above_every_bound() {
    let given =
        |_: &str| [("1", "NaN"), ("2", "+Inf"), ("3", "0.5")].map(|(i, v)| series(json!({"i": i}), &[(0, v)])).to_vec();
    assert_eq!(counts(&measure(&gauge(), &question(&gauge(), 0, 1), &given).unwrap()), [(0, [2, 1], [2, 1])]);
}

#[test]
fn two_counters_that_do_not_quite_agree_are_all_bad() {
    let given = |query: &str| vec![series(json!({}), &[(0, if query.starts_with("bad") { "1003" } else { "1000" })])];
    assert_eq!(
        counts(&measure(&ratio(), &question(&ratio(), 0, 1), &given).unwrap()),
        [(0, [1000, 1000], [1000, 1000])]
    );
}

#[test]
fn an_answer_that_says_that_it_lacks_something_is_none() {
    let read = |more: Value| {
        let mut whole = json!({"status": "success", "data": {"resultType": "matrix", "result": []}});
        for (key, value) in more.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let asked = asks(&ratio(), &service(), &question(&ratio(), 0, 1));
        let answer: Answer = serde_json::from_value(whole).unwrap();
        let answers: Vec<(Ask, Answer)> = asked.into_iter().map(|ask| (ask, answer.clone())).collect();
        measured(&ratio(), &question(&ratio(), 0, 1), &answers).map(|measured| measured.minutes.len())
    };
    assert_eq!(read(json!({})), Ok(0));
    assert_eq!(read(json!({"warnings": ["PromQL info: metric might not be a counter"], "infos": ["x"]})), Ok(0));
    let lacking = read(json!({"warnings": ["receive series from store-1: unavailable"]})).unwrap_err();
    assert!(lacking.may_pass() && lacking.to_string().contains("store-1"), "{lacking}");
    let failed = read(json!({"status": "error", "error": "query timed out", "data": null})).unwrap_err();
    assert_eq!(failed, Unusable::Error("query timed out".into()));
    let native = json!({"resultType": "matrix", "result": [{"metric": {}, "histograms": [[1, {"count": "1"}]]}]});
    assert_eq!(read(json!({"data": native})), Err(Unusable::Native("`bad`")));
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
fn history_is_stables_last_hour_by_minutes_and_of_a_histogram_its_day_by_hours() {
    let (hour, day) = history_windows(Metric::ERRORS, at(0));
    let all: Vec<(i64, String)> = (-1440..1).map(|minute| (minute, "10".to_string())).collect();
    let values = all.iter().map(|(m, v)| (*m, v.as_str())).collect::<Vec<_>>();
    for promql in [ratio(), histogram()] {
        let query = CountsQuery { history_until: Some(at(0)), ..question(&promql, 0, 1) };
        let asked = asks(&promql, &service(), &query);
        let stable = asked.iter().filter(|ask| ask.query.contains("api-old")).map(|ask| ask.start).min().unwrap();
        let given = |query: &str| match query.starts_with("bad") {
            true => vec![],
            false => vec![series(json!({"le": "+Inf"}), &values)],
        };
        let found = measure(&promql, &query, &given).unwrap();
        assert_eq!(counts(&found)[0].0, 0);
        let history = found.history.unwrap();
        assert!(history.minutes.len() == 60 && history.minutes.keys().all(|start| *start >= hour.from));
        let first = if promql.histogram.is_some() { day.from } else { hour.from };
        assert_eq!(stable, first + MINUTE, "what is asked");
    }
}

#[test]
fn a_name_is_filled_in_however_its_braces_are_spaced() {
    for text in ["{{revision}}", "{{ revision }}", "{{ revision}}", "{{revision }}"] {
        let revision = RevisionName::new("api-new").unwrap();
        assert_eq!(filled(&format!("a{text}b"), &service(), &revision), "aapi-newb", "{text}");
    }
}

#[test]
fn of_too_many_series_no_more_is_kept_than_tells_so() {
    let many: Vec<Value> = (0..12_000).map(|n| series(json!({"path": n.to_string()}), &[(0, "1")])).collect();
    let read = answer(&many);
    assert_eq!(read.series().unwrap().len(), MOST_SERIES + 1);
    let unusable = measure(&ratio(), &question(&ratio(), 0, 1), &|_| many.clone()).unwrap_err();
    assert!(matches!(unusable, Unusable::TooMany(..)), "{unusable}");
}

#[test]
fn what_is_no_answer_to_a_range_query_is_no_missing_data() {
    let vector =
        json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "2"]}]}});
    let answer: Answer = serde_json::from_value(vector).unwrap();
    assert_eq!(answer.series().unwrap_err(), Unusable::NoRange("vector".into()));
    let scalar = json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}});
    assert!(serde_json::from_value::<Answer>(scalar).is_err(), "it does not answer as Prometheus does");
}
