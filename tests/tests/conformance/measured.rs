//! What Cloud Monitoring and Managed Service for Prometheus tell, through the cloud adapter over HTTP.

use jiff::{SignedDuration, Timestamp};
use orchestra_cloud::CloudError;
use orchestra_crds::{GaugeQuery, HistogramQuery, Metric, MetricName, Preset, Promql, RatioQueries};
use orchestra_planner::cloud::{Count, CountsQuery, FaultClass, Tally, Window};
use orchestra_planner::promql;
use orchestra_planner::template::EnvValue;

use super::wire::{cloud, id, new_service, revision, until};

#[tokio::test]
async fn requests_and_latencies_are_counted_by_revision_and_minute() {
    let (cloud, sandbox) = cloud().await;
    let mut new = new_service();
    for (name, percent) in [("SANDBOX_CLIENT_ERROR_PERCENT", "20"), ("SANDBOX_THROTTLED_PERCENT", "10")] {
        new.template.containers[0].env.insert(name.into(), EnvValue::Plain(percent.into()));
    }
    cloud.run.create(&id(), &new).await.unwrap();
    until(async || cloud.run.service(&id()).await, |s| s.as_ref().is_some_and(|s| s.settled)).await;
    let start = Timestamp::from_second(sandbox.journal.clock().now().as_second() / 60 * 60 + 60).unwrap();
    let window = Window { from: start, to: start + SignedDuration::from_mins(10) };
    for metric in
        [Metric::ERRORS, Metric::LATENCY, Metric::Preset(Preset::ClientErrors), Metric::Preset(Preset::TooManyRequests)]
    {
        let (candidate, stable) = (revision("api-one"), revision("api-none"));
        let query = CountsQuery { metric, candidate, stable, window, history_until: None, promql: None };
        let all = until(async || cloud.monitoring.measured(&id(), &query).await, |m| m.minutes.len() == 10).await;
        assert_eq!(all.minutes[0].start, start);
        let requests: i64 = all.minutes.iter().map(|m| m.candidate.above(0).total).sum();
        assert!((10_500..13_500).contains(&requests), "{metric:?}: {requests}: 20 in a second for 10 minutes");
        assert!(all.minutes.iter().all(|m| m.stable.is_empty()));
        let bad = all.minutes.iter().map(|m| m.candidate.above(0).bad).sum::<i64>() as f64 / requests as f64;
        let expected = match metric {
            Metric::ERRORS => 0.0..0.01,
            Metric::LATENCY => 0.99..1.01,
            Metric::Preset(Preset::ClientErrors) => 0.25..0.31,
            Metric::Preset(Preset::TooManyRequests) => 0.06..0.10,
            other => panic!("{other}"),
        };
        assert!(expected.contains(&bad), "{metric:?}: {bad}");
        if metric == Metric::LATENCY {
            // A median of 40 ms, and a bucket that ends there: half of them is above it.
            let slow: i64 = all.minutes.iter().map(|m| m.candidate.above(41_000).bad).sum();
            assert!((requests / 3..requests * 2 / 3).contains(&slow), "{slow} of {requests}");
        }
        let (candidate, stable) = (revision("api-none"), revision("api-one"));
        let until = Some(window.to);
        let query = CountsQuery { metric, candidate, stable, window, history_until: until, promql: None };
        let history = cloud.monitoring.measured(&id(), &query).await.unwrap().history.unwrap();
        assert!(history.minutes.len() >= 10 && history.hours.len() == 1, "{history:?}");
        assert!(history.hours.values().map(|hour| hour.above(0).total).sum::<i64>() >= requests);
    }
}

#[tokio::test]
async fn instances_and_their_probes_are_counted_by_revision_and_minute() {
    let (cloud, sandbox) = cloud().await;
    let mut new = new_service();
    for (name, percent) in [("SANDBOX_CPU_PERCENT", "95"), ("SANDBOX_UNHEALTHY_PERCENT", "50")] {
        new.template.containers[0].env.insert(name.into(), EnvValue::Plain(percent.into()));
    }
    cloud.run.create(&id(), &new).await.unwrap();
    until(async || cloud.run.service(&id()).await, |s| s.as_ref().is_some_and(|s| s.settled)).await;
    let start = Timestamp::from_second(sandbox.journal.clock().now().as_second() / 60 * 60 + 60).unwrap();
    let window = Window { from: start, to: start + SignedDuration::from_mins(10) };
    let counts = async |preset: Preset, window: Window| {
        let (candidate, stable) = (revision("api-one"), revision("api-none"));
        let query = CountsQuery { metric: preset.into(), candidate, stable, window, history_until: None, promql: None };
        let all = cloud.monitoring.measured(&id(), &query).await?;
        Ok::<_, CloudError>(all.minutes.iter().fold(Count::default(), |sum, m| sum.plus(m.candidate.above(0))))
    };
    // 20 requests a second: one instance, a look each minute, and six probes.
    for (preset, total, bad) in [
        (Preset::CpuUtilization, 10, 10..11),
        (Preset::MemoryUtilization, 10, 0..1),
        (Preset::HealthChecks, 60, 15..46),
    ] {
        let all = until(async || counts(preset, window).await, |all| all.total == total).await;
        assert!(bad.contains(&all.bad), "{preset:?}: {all:?}");
    }
    let before = Window { from: start - SignedDuration::from_mins(10), to: start };
    assert_eq!(counts(Preset::StartupFailures, before).await.unwrap(), Count { total: 1, bad: 0 });
}

#[tokio::test]
async fn managed_prometheus_tells_the_same_as_cloud_monitoring() {
    let (cloud, sandbox) = cloud().await;
    let mut new = new_service();
    new.template.containers[0].env.insert("SANDBOX_CLIENT_ERROR_PERCENT".into(), EnvValue::Plain("20".into()));
    cloud.run.create(&id(), &new).await.unwrap();
    until(async || cloud.run.service(&id()).await, |s| s.as_ref().is_some_and(|s| s.settled)).await;
    let start = Timestamp::from_second(sandbox.journal.clock().now().as_second() / 60 * 60 + 60).unwrap();
    let window = Window { from: start, to: start + SignedDuration::from_mins(10) };
    let requests = |more: &str| {
        format!("sum(increase(run_googleapis_com:request_count{{revision_name=\"{{{{revision}}}}\"{more}}}[1m]))")
    };
    let took =
        "sum by (le) (increase(run_googleapis_com:request_latencies_bucket{revision_name=\"{{revision}}\"}[1m]))";
    let named = |name: &str| Promql {
        name: MetricName::new(name).unwrap(),
        address: None,
        ratio: None,
        histogram: None,
        gauge: None,
        limits: None,
    };
    let ratio = RatioQueries { bad: requests(",response_code_class=\"4xx\""), total: requests("") };
    // Of Cloud Run's, in milliseconds: a thousandth of them are seconds, and it is told as a thousand times as long.
    let all = [
        (Promql { ratio: Some(ratio), ..named("refused") }, Preset::ClientErrors, 1),
        (Promql { histogram: Some(HistogramQuery { buckets: took.into() }), ..named("took") }, Preset::Latency, 1_000),
    ];
    for (promql, preset, scale) in all {
        let (candidate, stable) = (revision("api-one"), revision("api-none"));
        let query = CountsQuery { metric: preset.into(), candidate, stable, window, history_until: None, promql: None };
        let monitored = until(async || cloud.monitoring.measured(&id(), &query).await, |m| m.minutes.len() == 10).await;
        let mut answers = vec![];
        for ask in promql::asks(&promql, &id(), &query) {
            let answer = cloud.monitoring.promql(&id().project, &ask).await.unwrap();
            answers.push((ask, answer));
        }
        let told = promql::measured(&promql, &query, &answers).unwrap();
        let scaled = |tally: &Tally| {
            let bound = |bound: i64| if bound < i64::MAX { bound * scale } else { bound };
            Tally(tally.0.iter().map(|(b, values)| (bound(*b), *values)).collect())
        };
        for (minute, other) in monitored.minutes.iter().zip(&told.minutes) {
            assert_eq!((minute.start, minute.candidate.above(0).total), (other.start, other.candidate.above(0).total));
            let (values, others): (Vec<i64>, Vec<i64>) =
                (scaled(&minute.candidate).0.into_values().collect(), other.candidate.0.values().copied().collect());
            assert_eq!(values, others, "{preset:?}");
        }
        assert_eq!(told.minutes.len(), 10);
    }
    let wrong = GaugeQuery { value: "sum({{revision}}".into(), bad_above: "1".into() };
    let promql = Promql { gauge: Some(wrong), ..named("wrong") };
    let (candidate, stable) = (revision("api-one"), revision("api-none"));
    let metric = Metric::Named(promql.name);
    let query = CountsQuery { metric, candidate, stable, window, history_until: None, promql: None };
    let ask = &promql::asks(&promql, &id(), &query)[0];
    let error = cloud.monitoring.promql(&id().project, ask).await.unwrap_err();
    assert_eq!(error.class(), FaultClass::Permanent);
    assert!(error.to_string().len() > "query prometheus: HTTP status 400".len(), "{error}");
}
