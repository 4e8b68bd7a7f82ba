//! Metrics beside errors and latency, of one's own and of instances, in the simulation with the real controller.

use orchestra_crds::RolloutPhase;
use orchestra_sandbox::exchange::Request;
use orchestra_tests::disturbed::Disturbance;
use orchestra_tests::world::World;
use serde_json::{Value, json};
use std::time::Duration;

use super::scenarios::{SERVICE, promoted};

/// How long stable has been there where little is to be known of its instances before.
const DAY: Duration = Duration::from_secs(26 * 3600);

/// A world with a promoted release, an hour of history, and such an analysis.
async fn judged_by(analysis: Value) -> World {
    let mut world = promoted(&["us-central1"]).await;
    world.patch_rollout("api", json!({"spec": {"analysis": analysis}})).await;
    world.run_for(Duration::from_secs(3700)).await;
    world
}

/// Requests that were answered with 404, in PromQL.
fn lost_pages() -> Value {
    let requests = |more: &str| {
        format!("sum(increase(run_googleapis_com:request_count{{revision_name=\"{{{{revision}}}}\"{more}}}[1m]))")
    };
    json!({"promql": [{"name": "lost-pages", "ratio": {"bad": requests(",response_code=\"404\""), "total": requests("")}}]})
}

#[tokio::test(start_paused = true)]
async fn a_ratio_of_ones_own_takes_a_release_back_and_lets_a_good_one_pass() {
    let mut world = judged_by(lost_pages()).await;
    world.release("api", "app:2", &[("SANDBOX_CLIENT_ERROR_PERCENT", "10")]).await;
    world.run_until_phase("api", RolloutPhase::RolledBack).await;
    let message = world.status("api").await.failed.unwrap().message;
    assert!(message.contains("of lost-pages bad"), "{message}");
    world.release("api", "app:3", &[]).await;
    world.run_until_weights(SERVICE, "app:3", &[100]).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn where_prometheus_refuses_nothing_is_decided_and_the_role_is_told() {
    let mut world = judged_by(lost_pages()).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_weights(SERVICE, "app:2", &[10]).await;
    world.tap.disturb(Some(Disturbance::Refused(403)));
    world.run_for(Duration::from_secs(3600)).await;
    let status = world.status("api").await;
    let faults: Vec<String> = status.regions[0].evidence.iter().filter_map(|e| e.fault.clone()).collect();
    let wanted = "lost-pages, of Managed Service for Prometheus, can't be read (it needs roles/monitoring.viewer";
    assert!(faults.iter().any(|fault| fault.starts_with(wanted)), "{faults:?} {:?}", status.regions);
    assert_eq!((status.phase, world.weights(SERVICE, "app:2")), (Some(RolloutPhase::Paused), vec![10]));
    world.tap.disturb(None);
    world.run_until_weights(SERVICE, "app:2", &[100]).await;
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn a_prometheus_that_is_not_listed_is_not_called_and_who_lists_it_is_told() {
    let mut analysis = lost_pages();
    analysis["promql"][0]["address"] = "https://prometheus.example.com".into();
    let mut world = judged_by(analysis).await;
    world.release("api", "app:2", &[]).await;
    world.run_until_weights(SERVICE, "app:2", &[10]).await;
    world.run_for(Duration::from_secs(600)).await;
    let status = world.status("api").await;
    let told = status.regions[0].evidence.iter().find_map(|evidence| evidence.fault.clone()).unwrap();
    let wanted = "lost-pages can't be read: prometheus.example.com:443 may not be called: the platform team lists it";
    assert!(told.contains(wanted), "{told}");
}

#[tokio::test(start_paused = true)]
async fn instances_that_breach_or_fail_their_probes_take_a_release_back() {
    let mut world = judged_by(json!({"metrics": ["Errors"]})).await;
    let busy = ("SANDBOX_REQUESTS_PER_SECOND", "100");
    world.release("api", "app:1", &[busy]).await;
    world.run_for(DAY).await;
    let bad = [
        ("CpuUtilization", "SANDBOX_CPU_PERCENT", "97", "above 90 % of their CPU"),
        ("MemoryUtilization", "SANDBOX_MEMORY_PERCENT", "97", "above 90 % of their memory"),
        ("HealthChecks", "SANDBOX_UNHEALTHY_PERCENT", "100", "liveness probes failed"),
    ];
    for (number, (preset, name, value, why)) in (2..).zip(bad) {
        world.patch_rollout("api", json!({"spec": {"analysis": {"metrics": ["Errors", "Latency", preset]}}})).await;
        world.release("api", &format!("app:{number}"), &[(name, value), busy]).await;
        world.run_until_phase("api", RolloutPhase::RolledBack).await;
        let message = world.status("api").await.failed.unwrap().message;
        assert!(message.contains(why), "{message}");
    }
    let all = ["Errors", "Latency", "CpuUtilization", "MemoryUtilization", "HealthChecks", "StartupFailures"];
    world.patch_rollout("api", json!({"spec": {"analysis": {"metrics": all}}})).await;
    world.release("api", "app:9", &[busy]).await;
    world.run_until_weights(SERVICE, "app:9", &[100]).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world.assert_promises();
}

/// A policy that a team has: more than 5 % of the requests of a revision fail in a minute.
fn policy() -> Value {
    let requests = "metric.type = \"run.googleapis.com/request_count\" AND resource.type = \"cloud_run_revision\"";
    let by_revision = json!([{
        "alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_DELTA", "crossSeriesReducer": "REDUCE_SUM",
        "groupByFields": ["resource.label.location", "resource.label.service_name", "resource.label.revision_name"],
    }]);
    let threshold = json!({
        "filter": format!("{requests} AND metric.labels.response_code_class = \"5xx\""), "aggregations": by_revision,
        "denominatorFilter": requests, "denominatorAggregations": by_revision,
        "comparison": "COMPARISON_GT", "thresholdValue": 0.05, "duration": "0s",
    });
    json!({"displayName": "5xx above 5 %", "combiner": "OR", "conditions": [{"displayName": "5xx", "conditionThreshold": threshold}]})
}

fn create_policy(world: &World) -> String {
    let body = serde_json::to_vec(&policy()).unwrap().into();
    let request = Request::new(http::Method::POST, "/v3/projects/cherry-ai-project/alertPolicies", body);
    let reply = world.tap.sandbox.google.handle(&request);
    assert_eq!(reply.status, 200, "{:?}", reply.document());
    reply.document().unwrap()["name"].as_str().unwrap().to_string()
}

#[tokio::test(start_paused = true)]
async fn an_incident_of_a_policy_that_a_team_has_takes_a_release_back() {
    // The test itself is off: nothing but the policy finds it.
    let mut world =
        judged_by(json!({"mode": "Threshold", "threshold": {"errors": {"failAboveBasisPoints": 10000}}})).await;
    let name = create_policy(&world);
    world.patch_rollout("api", json!({"spec": {"analysis": {"alertPolicies": [name]}}})).await;
    world.release("api", "app:2", &[("SANDBOX_ERROR_PERCENT", "30")]).await;
    world.run_until_phase("api", RolloutPhase::RolledBack).await;
    let message = world.status("api").await.failed.unwrap().message;
    assert!(message.contains("an incident of the alert policy `5xx above 5 %` is open about it since"), "{message}");
    world.release("api", "app:3", &[]).await;
    world.run_until_weights(SERVICE, "app:3", &[100]).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world.assert_promises();
}
