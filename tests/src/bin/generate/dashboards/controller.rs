//! Whether the controller keeps up.

use super::{Dashboard, Draws, Panel, panel};

pub(super) const CONTROLLER: Dashboard = Dashboard {
    uid: "orchestra-controller",
    title: "Orchestra: the controller",
    variables: &[],
    rows: &[
        (
            "Health",
            &[
                panel!("Leaders", "One leads.", Draws::Stat, "none", 4, [("sum(orchestra_leader)", "leaders")]),
                panel!(
                    "Broken promises",
                    "Must be 0.",
                    Draws::Stat,
                    "none",
                    4,
                    [("sum(orchestra_broken_promises_total) or vector(0)", "plans that were refused"),]
                ),
                panel!("Watches", "1: up.", Draws::Stat, "none", 4, [("orchestra_watch_up", "{{kind}}")]),
                panel!(
                    "Version",
                    "",
                    Draws::Table(&[("version", "Version"), ("rust_version", "Rust")]),
                    "none",
                    6,
                    [("orchestra_build_info", ""),]
                ),
                panel!(
                    "Objects",
                    "",
                    Draws::Stat,
                    "none",
                    6,
                    [
                        ("sum by (kind) (orchestra_objects)", "{{kind}}"),
                        ("sum(orchestra_metrics_objects_left_out)", "without series of their own"),
                    ]
                ),
            ],
        ),
        (
            "Looks at objects",
            &[
                panel!(
                    "Looks a second",
                    "By kind and result.",
                    Draws::Lines,
                    "ops",
                    8,
                    [(
                        "sum by (kind, result) (rate(orchestra_reconciliations_total[$__rate_interval]))",
                        "{{kind}} {{result}}"
                    ),]
                ),
                panel!(
                    "How long they take",
                    "Nine in ten.",
                    Draws::Lines,
                    "s",
                    8,
                    [(
                        "histogram_quantile(0.9, sum by (le, kind) (rate(orchestra_reconciliation_duration_seconds_bucket[$__rate_interval])))",
                        "{{kind}}"
                    ),]
                ),
                panel!(
                    "Looks that are due",
                    "",
                    Draws::Lines,
                    "none",
                    8,
                    [
                        ("sum by (kind) (orchestra_queue_depth)", "{{kind}}, how many"),
                        ("max by (kind) (orchestra_queue_oldest_age_seconds)", "{{kind}}, oldest in seconds"),
                    ]
                ),
                panel!(
                    "Unreadable objects and watch failures",
                    "",
                    Draws::Lines,
                    "none",
                    12,
                    [
                        (
                            "sum by (kind) (increase(orchestra_undecodable_objects_total[$__rate_interval])) or vector(0)",
                            "unreadable {{kind}}"
                        ),
                        (
                            "sum by (kind) (increase(orchestra_watch_failures_total[$__rate_interval])) or vector(0)",
                            "watch {{kind}}"
                        ),
                    ]
                ),
                panel!(
                    "Events",
                    "By reason.",
                    Draws::Bars,
                    "none",
                    12,
                    [(
                        "sum by (kind, reason) (increase(orchestra_events_total[$__rate_interval]))",
                        "{{kind}} {{reason}}"
                    ),]
                ),
            ],
        ),
        (
            "Google Cloud",
            &[
                panel!(
                    "Calls a second",
                    "By API and method.",
                    Draws::Lines,
                    "ops",
                    8,
                    [(
                        "sum by (api, method) (rate(orchestra_google_requests_total[$__rate_interval]))",
                        "{{api}} {{method}}"
                    ),]
                ),
                panel!(
                    "Calls that fail",
                    "By code; NOT_FOUND is an answer.",
                    Draws::Lines,
                    "ops",
                    8,
                    [(
                        r#"sum by (api, code) (rate(orchestra_google_requests_total{code!~"OK|NOT_FOUND|CANCELLED"}[$__rate_interval])) or vector(0)"#,
                        "{{api}} {{code}}"
                    ),]
                ),
                panel!(
                    "How long they take",
                    "Nine in ten.",
                    Draws::Lines,
                    "s",
                    8,
                    [(
                        "histogram_quantile(0.9, sum by (le, api) (rate(orchestra_google_request_duration_seconds_bucket[$__rate_interval])))",
                        "{{api}}"
                    ),]
                ),
                panel!(
                    "Writes",
                    "In the steady state there are none.",
                    Draws::Bars,
                    "none",
                    12,
                    [(
                        "sum by (verb, result) (increase(orchestra_cloud_writes_total[$__rate_interval]))",
                        "{{verb}} {{result}}"
                    ),]
                ),
                panel!(
                    "Long operations",
                    "Age of those under way.",
                    Draws::Lines,
                    "s",
                    12,
                    [(
                        "time() - orchestra_operation_started_timestamp_seconds",
                        "{{namespace}}/{{environment}} {{verb}}"
                    ),]
                ),
            ],
        ),
        (
            "The process",
            &[
                panel!(
                    "CPU",
                    "",
                    Draws::Lines,
                    "none",
                    8,
                    [("rate(process_cpu_seconds_total[$__rate_interval])", "{{instance}}")]
                ),
                panel!("Memory", "", Draws::Lines, "bytes", 8, [("process_resident_memory_bytes", "{{instance}}")]),
                panel!("Open files", "", Draws::Lines, "none", 8, [("process_open_fds", "{{instance}}")]),
            ],
        ),
    ],
};
