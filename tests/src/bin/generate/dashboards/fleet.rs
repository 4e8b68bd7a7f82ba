//! The fleet: every Rollout, and how releases end.

use super::{Dashboard, Draws, Panel, panel};

pub(super) const FLEET: Dashboard = Dashboard {
    uid: "orchestra-fleet",
    title: "Orchestra: fleet",
    variables: &[("namespace", "label_values(orchestra_rollout_info, namespace)")],
    rows: &[
        (
            "Now",
            &[
                panel!(
                    "Rollouts by phase",
                    "Every Rollout of the cluster.",
                    Draws::Bars,
                    "none",
                    10,
                    [("sum by (phase) (orchestra_rollouts)", "{{phase}}"),]
                ),
                panel!(
                    "Failed, and still asked for",
                    "Taken back; users are on stable.",
                    Draws::Stat,
                    "none",
                    4,
                    [(r#"sum(orchestra_rollouts{phase=~"RolledBack|Failed"}) or vector(0)"#, "failed"),]
                ),
                panel!(
                    "Being taken back",
                    "Users may still meet a bad revision.",
                    Draws::Stat,
                    "none",
                    4,
                    [(r#"sum(orchestra_rollouts{phase="RollingBack"}) or vector(0)"#, "rolling back"),]
                ),
                panel!(
                    "Wait for a person",
                    "Stalled, and not because they failed.",
                    Draws::Stat,
                    "none",
                    6,
                    [(
                        r#"count(orchestra_condition{kind="Rollout", condition="Stalled", namespace=~"$namespace"} == 1) or vector(0)"#,
                        "stalled"
                    ),]
                ),
            ],
        ),
        (
            "Releases",
            &[
                panel!(
                    "Releases that ended",
                    "By outcome.",
                    Draws::Bars,
                    "none",
                    12,
                    [("sum by (outcome) (increase(orchestra_releases_total[$__rate_interval]))", "{{outcome}}"),]
                ),
                panel!(
                    "Why they failed",
                    "Reasons of those that were taken back.",
                    Draws::Bars,
                    "none",
                    12,
                    [(
                        r#"sum by (reason) (increase(orchestra_releases_total{reason!=""}[$__rate_interval]))"#,
                        "{{reason}}"
                    ),]
                ),
                panel!(
                    "How long a release takes",
                    "Half of them, and nine in ten.",
                    Draws::Lines,
                    "s",
                    8,
                    [
                        (
                            "histogram_quantile(0.5, sum by (le, outcome) (increase(orchestra_release_duration_seconds_bucket[1h])))",
                            "{{outcome}}, half"
                        ),
                        (
                            "histogram_quantile(0.9, sum by (le, outcome) (increase(orchestra_release_duration_seconds_bucket[1h])))",
                            "{{outcome}}, nine in ten"
                        ),
                    ]
                ),
                panel!(
                    "How long a rollback takes",
                    "From the verdict until no region sends requests.",
                    Draws::Lines,
                    "s",
                    8,
                    [(
                        "histogram_quantile(0.9, sum by (le) (increase(orchestra_rollback_duration_seconds_bucket[1h])))",
                        "nine in ten"
                    ),]
                ),
                panel!(
                    "What bad releases cost",
                    "As far as Monitoring had counted.",
                    Draws::Stat,
                    "none",
                    8,
                    [
                        ("sum(increase(orchestra_failed_release_requests_total[$__range]))", "requests met one"),
                        ("sum(increase(orchestra_failed_release_errors_total[$__range]))", "of them failed"),
                    ]
                ),
            ],
        ),
        (
            "Rollouts",
            &[
                panel!(
                    "All of them",
                    "A click leads to the one.",
                    Draws::Table(&[
                        ("namespace", "Namespace"),
                        ("rollout", "Rollout"),
                        ("environment", "Environment"),
                        ("phase", "Phase"),
                        ("image", "Image"),
                        ("stable", "Stable"),
                        ("candidate", "Candidate"),
                    ]),
                    "none",
                    24,
                    [(
                        r#"orchestra_rollout_info{namespace=~"$namespace"} * on (namespace, rollout) group_left (phase) orchestra_rollout_phase"#,
                        ""
                    )]
                ),
                panel!(
                    "Environments",
                    "Parts that are not ready, and why.",
                    Draws::Table(&[
                        ("namespace", "Namespace"),
                        ("name", "Environment"),
                        ("condition", "Part"),
                        ("reason", "Reason")
                    ]),
                    "none",
                    12,
                    [(
                        r#"orchestra_condition{kind="OrchestraEnvironment", namespace=~"$namespace", condition!~"Reconciling|Stalled"}"#,
                        ""
                    )]
                ),
                panel!(
                    "Drift",
                    "Changes past Orchestra that were put back, or told.",
                    Draws::Bars,
                    "none",
                    12,
                    [(
                        r#"sum by (reason) (increase(orchestra_events_total{reason=~"TrafficCorrected|TrafficChanged|MarksRestored|ServiceGone"}[$__rate_interval]))"#,
                        "{{reason}}"
                    ),]
                ),
            ],
        ),
    ],
};
