//! What metrics tell of what happened.

use orchestra_controller::metrics::catalogue::GROUPS;
use orchestra_tests::scenario::Scenario;
use orchestra_tests::world::World;
use std::collections::BTreeSet;

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

async fn after(scenario: Scenario) -> (World, String) {
    let (_, world) = scenario.play(None).await;
    let text = world.shell().metrics().render();
    (world, text)
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_taken_back_is_counted_with_what_it_cost() {
    let (world, text) = after(Scenario::CanaryThatRollsBack).await;
    let of = |series: &str| value(&text, series).unwrap_or_else(|| panic!("no {series} in {text}"));
    assert!(of(r#"orchestra_releases_total{outcome="Promoted",reason=""}"#) >= 1.0);
    assert!(of(r#"orchestra_releases_total{outcome="RolledBack",reason="AnalysisFailed"}"#) >= 1.0);
    assert!(of("orchestra_rollback_duration_seconds_count") >= 1.0);
    let (met, failed) = (of("orchestra_failed_release_requests_total"), of("orchestra_failed_release_errors_total"));
    assert!(failed > 0.0 && met > failed, "{failed} of {met}");
    let phase = r#"orchestra_rollout_phase{namespace="default",phase="RolledBack",rollout="api"}"#;
    assert_eq!(value(&text, phase), Some(1.0), "{}", world.rollout("api")["status"]);
    assert_eq!(value(&text, r#"orchestra_rollouts{phase="RolledBack"}"#), Some(1.0));
    assert!(!text.contains("orchestra_rollout_release_started_timestamp_seconds{"), "none is under way");
}

#[tokio::test(start_paused = true)]
async fn what_is_served_is_what_the_catalogue_has() {
    let (_, text) = after(Scenario::EnvironmentThatIsRetained).await;
    let (_, more) = after(Scenario::CanaryThatPromotes).await;
    let named = |line: &str| line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()).map(String::from);
    let served: BTreeSet<String> = text.lines().chain(more.lines()).filter_map(named).collect();
    let all = GROUPS.iter().flat_map(|group| group.metrics).map(|metric| metric.name);
    let known: BTreeSet<String> = all.clone().map(String::from).collect();
    assert_eq!(known.len(), all.count(), "a name is there twice");
    let others: Vec<&String> = served.difference(&known).filter(|name| !name.starts_with("process_")).collect();
    assert!(others.is_empty(), "not in the catalogue: {others:?}");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_has_no_series() {
    let (_, text) = after(Scenario::EnvironmentThatIsDeleted).await;
    for series in ["orchestra_rollout_", "orchestra_condition{", "orchestra_environment_info{"] {
        assert!(!text.lines().any(|line| line.starts_with(series)), "{text}");
    }
}
