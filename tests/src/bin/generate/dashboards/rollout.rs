//! One Rollout, candidate and stable side by side.

use super::{Dashboard, Draws, Panel, panel};

pub(super) const ROLLOUT: Dashboard = Dashboard {
    uid: "orchestra-rollout",
    title: "Orchestra: one rollout",
    variables: &[
        ("namespace", "label_values(orchestra_rollout_info, namespace)"),
        ("rollout", r#"label_values(orchestra_rollout_info{namespace="$namespace"}, rollout)"#),
        (
            "environment",
            r#"label_values(orchestra_rollout_info{namespace="$namespace", rollout="$rollout"}, environment)"#,
        ),
        ("service", r#"label_values(orchestra_rollout_info{namespace="$namespace", rollout="$rollout"}, service)"#),
        (
            "project",
            r#"label_values(orchestra_environment_info{namespace="$namespace", environment="$environment"}, project)"#,
        ),
    ],
    rows: &[
        (
            "The release",
            &[
                panel!(
                    "Phase",
                    "",
                    Draws::Stat,
                    "none",
                    4,
                    [(r#"orchestra_rollout_phase{namespace="$namespace", rollout="$rollout"}"#, "{{phase}}"),]
                ),
                panel!(
                    "Age of the release",
                    "None under way: no value.",
                    Draws::Stat,
                    "s",
                    4,
                    [(
                        r#"time() - orchestra_rollout_release_started_timestamp_seconds{namespace="$namespace", rollout="$rollout"}"#,
                        "age"
                    ),]
                ),
                panel!(
                    "What runs",
                    "",
                    Draws::Table(&[
                        ("stable", "Stable"),
                        ("candidate", "Candidate"),
                        ("image", "Image"),
                        ("service", "Service")
                    ]),
                    "none",
                    16,
                    [(r#"orchestra_rollout_info{namespace="$namespace", rollout="$rollout"}"#, "")]
                ),
                panel!(
                    "Share of requests",
                    "Of the candidate while a release is under way, else of stable; as Cloud Run has it.",
                    Draws::Lines,
                    "percent",
                    12,
                    [(
                        r#"orchestra_rollout_weight_percent{namespace="$namespace", rollout="$rollout"}"#,
                        "{{region}} {{revision}}"
                    ),]
                ),
                panel!(
                    "Step",
                    "0: none in effect.",
                    Draws::Lines,
                    "none",
                    12,
                    [
                        (r#"orchestra_rollout_step{namespace="$namespace", rollout="$rollout"}"#, "{{region}}"),
                        (r#"orchestra_rollout_steps{namespace="$namespace", rollout="$rollout"}"#, "all"),
                    ]
                ),
            ],
        ),
        (
            "Candidate and stable, in the same minutes",
            &[
                panel!(
                    "Share of bad requests",
                    "Since the release started; of one that failed, until the next one starts.",
                    Draws::Lines,
                    "percentunit",
                    12,
                    [(
                        r#"orchestra_rollout_bad_requests{namespace="$namespace", rollout="$rollout"} / (orchestra_rollout_requests{namespace="$namespace", rollout="$rollout"} > 0)"#,
                        "{{region}} {{metric}} {{revision}}"
                    ),]
                ),
                panel!(
                    "Evidence against the candidate",
                    "By each metric, of one's own too, and by request logs. From 100 % on it is sure that it is worse; it is rolled back if the difference matters. In mode Threshold: looks that failed, of as many as fail a step.",
                    Draws::Lines,
                    "percent",
                    12,
                    [(
                        r#"orchestra_rollout_evidence_percent{namespace="$namespace", rollout="$rollout"}"#,
                        "{{region}} {{metric}}"
                    ),]
                ),
                panel!(
                    "Requests that were compared",
                    "",
                    Draws::Lines,
                    "none",
                    12,
                    [(
                        r#"orchestra_rollout_requests{namespace="$namespace", rollout="$rollout"}"#,
                        "{{region}} {{metric}} {{revision}}"
                    ),]
                ),
                panel!(
                    "Verdict",
                    "",
                    Draws::Stat,
                    "none",
                    12,
                    [(
                        r#"orchestra_rollout_verdict{namespace="$namespace", rollout="$rollout"}"#,
                        "{{region}} {{metric}}: {{verdict}}"
                    ),]
                ),
            ],
        ),
    ],
};
