//! Alerts: the rules for Prometheus, and docs/alerts.md with what to do about each.

use serde_json::{Value, json};

/// Where the runbooks are.
const RUNBOOKS: &str = "https://orchestra.cherry-ai.me/docs/alerts";

struct Alert {
    name: &'static str,
    /// `page`: users may be hurt now, and nobody but a person ends that. `ticket`: today is soon enough.
    severity: &'static str,
    expression: &'static str,
    lasts: &'static str,
    summary: &'static str,
    /// What it means, and what to do.
    runbook: &'static str,
}

const RELEASES: [Alert; 6] = [
    Alert {
        name: "OrchestraReleaseFailed",
        severity: "ticket",
        expression: r#"max by (namespace, rollout, phase) (orchestra_rollout_phase{phase=~"RolledBack|Failed"}) == 1"#,
        lasts: "0m",
        summary: "{{ $labels.namespace }}/{{ $labels.rollout }}: the release failed; phase {{ $labels.phase }}",
        runbook: "A release was taken back (RolledBack), or failed where there was nothing to go back to (Failed). Users are on \
                  the stable revision, or on none at all for a first release. `kubectl describe oro NAME` has the cause and \
                  what was counted. It stays until the template changes, or somebody asks for a retry: `kubectl orchestra \
                  retry NAME`.",
    },
    Alert {
        name: "OrchestraRollbackSlow",
        severity: "page",
        expression: r#"max by (namespace, rollout) (orchestra_rollout_phase{phase="RollingBack"}) == 1"#,
        lasts: "3m",
        summary: "{{ $labels.namespace }}/{{ $labels.rollout }} is being taken back for minutes: users may still meet it",
        runbook: "A rollback takes seconds. `kubectl get oro NAME -o wide` names the region that is left, and why: Cloud Run \
                  does not answer there, a role is missing, or there is no revision to go back to. It goes on by itself; \
                  where Cloud Run can be reached by hand, `gcloud run services update-traffic SERVICE --region REGION \
                  --to-revisions STABLE=100` does the same.",
    },
    Alert {
        name: "OrchestraWaitsForPerson",
        severity: "ticket",
        expression: r#"max by (namespace, name) (orchestra_condition{kind="Rollout", condition="Stalled"}) == 1
  unless on (namespace, name) label_replace(orchestra_rollout_phase{phase=~"RolledBack|Failed"}, "name", "$1", "rollout", "(.*)")"#,
        lasts: "10m",
        summary: "{{ $labels.namespace }}/{{ $labels.name }} waits for a person",
        runbook: "Nothing goes on without a person. The message of the condition Stalled says what is asked: `kubectl orchestra \
                  promote NAME` or `abort NAME`, or a field to correct. docs/troubleshooting.md has each reason.",
    },
    Alert {
        name: "OrchestraReleaseTakesLong",
        severity: "ticket",
        expression: "time() - max by (namespace, rollout) (orchestra_rollout_release_started_timestamp_seconds) > 6 * 3600",
        lasts: "5m",
        summary: "{{ $labels.namespace }}/{{ $labels.rollout }}: a release is under way for {{ $value | humanizeDuration }}",
        runbook: "Longer than most releases take. It may be paused, wait for a person, or see too few requests to be judged: \
                  `kubectl get oro NAME -o wide` says which. A canary by design takes that long? Then raise the bound.",
    },
    Alert {
        name: "OrchestraNoEvidence",
        severity: "ticket",
        expression: r#"max by (namespace, rollout, region) (orchestra_rollout_verdict{verdict="NoData", metric!="RequestLogs"} and on (namespace, rollout) orchestra_rollout_release_started_timestamp_seconds) == 1"#,
        lasts: "20m",
        summary: "{{ $labels.namespace }}/{{ $labels.rollout }} in {{ $labels.region }}: no metrics of the candidate for 20 min",
        runbook: "Cloud Monitoring is at most some minutes late. Longer without a word: the service has no requests, the role \
                  `monitoring.viewer` is missing, or Monitoring fails; the status names the cause. What then happens says \
                  `analysis.onNoData`.",
    },
    Alert {
        name: "OrchestraEnvironmentNotReady",
        severity: "ticket",
        expression: r#"max by (namespace, name) (orchestra_condition{kind="OrchestraEnvironment", condition="Ready"}) == 0"#,
        lasts: "45m",
        summary: "{{ $labels.namespace }}/{{ $labels.name }} is not ready",
        runbook: "Releases that use the part that is not ready wait. Redis takes up to half an hour to make or resize; all else \
                  is a matter of minutes. `kubectl describe oenv NAME` names the part and what is in the way.",
    },
];

const CONTROLLER: [Alert; 9] = [
    Alert {
        name: "OrchestraNoLeader",
        severity: "page",
        expression: "(sum(orchestra_leader) or vector(0)) < 1",
        lasts: "2m",
        summary: "no controller leads: nothing is released, and nothing is taken back",
        runbook: "Another replica leads within 20 s after one died. Look at the Pods and their logs: `kubectl -n \
                  orchestra-system get pods,lease`. Without the API server nobody leads; what runs goes on running.",
    },
    Alert {
        name: "OrchestraTwoLeaders",
        severity: "page",
        expression: "sum(orchestra_leader) > 1",
        lasts: "2m",
        summary: "{{ $value }} controllers lead at once",
        runbook: "Two installations in one cluster, each with a lease of its own: `kubectl get lease -A | grep orchestra`. Take \
                  one away.",
    },
    Alert {
        name: "OrchestraBrokenPromise",
        severity: "page",
        expression: "sum by (promise) (increase(orchestra_broken_promises_total[1h])) > 0",
        lasts: "0m",
        summary: "a plan would have broken promise {{ $labels.promise }}",
        runbook: "A fault of Orchestra's. It was not carried out, unless all it does is take traffic back, and the object says \
                  PromiseWouldBreak. Please report it with the object's YAML and the controller's log.",
    },
    Alert {
        name: "OrchestraGoogleDenied",
        severity: "page",
        expression: r#"sum by (api, method) (rate(orchestra_google_requests_total{code=~"PERMISSION_DENIED|UNAUTHENTICATED"}[5m])) > 0"#,
        lasts: "5m",
        summary: "Google refuses {{ $labels.api }} {{ $labels.method }}: a role is missing, or credentials are",
        runbook: "Releases stop, and so do rollbacks where Cloud Run is meant. `/readyz` of the controller names project and \
                  region. docs/install.md has the roles.",
    },
    Alert {
        name: "OrchestraGoogleThrottled",
        severity: "ticket",
        expression: r#"sum by (api, method) (rate(orchestra_google_requests_total{code="RESOURCE_EXHAUSTED"}[5m])) > 0"#,
        lasts: "10m",
        summary: "a quota of {{ $labels.api }} is used up by {{ $labels.method }}",
        runbook: "Calls are tried again later, rollbacks first. Ask for more of the quota, or spread services over projects.",
    },
    Alert {
        name: "OrchestraGoogleFails",
        severity: "ticket",
        expression: r#"sum by (api) (rate(orchestra_google_requests_total{code=~"UNAVAILABLE|INTERNAL|DEADLINE_EXCEEDED|UNKNOWN"}[10m]))
  / sum by (api) (rate(orchestra_google_requests_total[10m])) > 0.2"#,
        lasts: "10m",
        summary: "{{ $value | humanizePercentage }} of the calls of {{ $labels.api }} fail",
        runbook: "Google, or the way to it. What can't be read is not claimed, and nothing moves forward on it.",
    },
    Alert {
        name: "OrchestraLate",
        severity: "ticket",
        expression: "max by (kind) (orchestra_queue_oldest_age_seconds) > 120",
        lasts: "5m",
        summary: "looks at {{ $labels.kind }} objects are {{ $value | humanizeDuration }} late",
        runbook: "The controller can't keep up: too many objects for its CPU, or reads of Google that hang \
                  (`orchestra_google_request_duration_seconds`).",
    },
    Alert {
        name: "OrchestraWatchDown",
        severity: "ticket",
        expression: "min by (kind) (orchestra_watch_up) == 0",
        lasts: "5m",
        summary: "the watch of {{ $labels.kind }} objects fails",
        runbook: "Changes of objects are seen late. A right is missing, or the API server does not answer; `/readyz` says which.",
    },
    Alert {
        name: "OrchestraUnreadableObject",
        severity: "ticket",
        expression: "sum by (kind) (rate(orchestra_undecodable_objects_total[15m])) > 0",
        lasts: "15m",
        summary: "a part of a {{ $labels.kind }} can't be read by this version",
        runbook: "The CRDs are of another version than the controller, or somebody wrote past them. The object's condition names \
                  the field: `kubectl get oro,oenv -A`.",
    },
];

fn rule(alert: &Alert) -> Value {
    json!({
        "alert": alert.name, "expr": alert.expression, "for": alert.lasts,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook_url": format!("{RUNBOOKS}#{}", alert.name.to_lowercase())},
    })
}

/// Rules for Prometheus.
pub fn rules() -> String {
    let group =
        |name: &str, alerts: &[Alert]| json!({"name": name, "rules": alerts.iter().map(rule).collect::<Vec<_>>()});
    let groups =
        json!({"groups": [group("orchestra-releases", &RELEASES), group("orchestra-controller", &CONTROLLER)]});
    let text = serde_yaml_ng::to_string(&groups).unwrap_or_default();
    format!("# Generated by `make generate` from tests/src/bin/generate/alerts.rs; do not edit.\n{text}")
}

/// docs/alerts.md
pub fn page() -> String {
    let section = |alert: &Alert| {
        let Alert { name, severity, expression, lasts, runbook, .. } = alert;
        format!("\n### {name}\n\nSeverity `{severity}`, after {lasts}:\n\n```promql\n{expression}\n```\n\n{runbook}\n")
    };
    let of = |alerts: &[Alert]| alerts.iter().map(section).collect::<String>();
    format!(
        "<!-- Generated by `make generate` from tests/src/bin/generate/alerts.rs; do not edit. -->\n# Alerts\n\nThe rules are in \
         `dashboards/alerts.yaml`, and come with the chart as a PrometheusRule (`metrics.prometheusRule.enabled`). `page` means \
         that users may be hurt now and only a person ends that; `ticket` that today is soon enough.\n\n## Releases\n{}\n## The \
         controller\n{}",
        of(&RELEASES),
        of(&CONTROLLER)
    )
}
