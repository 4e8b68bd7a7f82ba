//! Dashboards for Grafana, in its classic form: each panel is a line here, and its queries name metrics of the catalogue.

use serde_json::{Value, json};

/// How a panel draws.
#[derive(Clone, Copy)]
enum Draws {
    /// The last value, large.
    Stat,
    /// Lines over time.
    Lines,
    /// Bars that add up.
    Bars,
    /// The last values, as rows: what their labels are called.
    Table(&'static [(&'static str, &'static str)]),
}

struct Panel {
    title: &'static str,
    about: &'static str,
    draws: Draws,
    unit: &'static str,
    /// Width of 24.
    width: u32,
    /// Queries, each with the name of what it draws.
    queries: &'static [(&'static str, &'static str)],
}

/// A dashboard.
pub struct Dashboard {
    /// Its identity; also the name of its file.
    pub uid: &'static str,
    title: &'static str,
    /// Its variables, and the query for their values.
    variables: &'static [(&'static str, &'static str)],
    rows: &'static [(&'static str, &'static [Panel])],
}

const HEIGHT: u32 = 8;

macro_rules! panel {
    ($title:literal, $about:literal, $draws:expr, $unit:literal, $width:literal, [$(($query:expr, $legend:literal)),* $(,)?]) => {
        Panel { title: $title, about: $about, draws: $draws, unit: $unit, width: $width, queries: &[$(($query, $legend)),*] }
    };
}

const FLEET: Dashboard = Dashboard {
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

const ROLLOUT: Dashboard = Dashboard {
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
                    "Of the candidate, as Cloud Run has it.",
                    Draws::Lines,
                    "percent",
                    12,
                    [(r#"orchestra_rollout_weight_percent{namespace="$namespace", rollout="$rollout"}"#, "{{region}}"),]
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
                    "Since the release started.",
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
                    "At 100 % it is rolled back.",
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

const CONTROLLER: Dashboard = Dashboard {
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

/// Each of them.
pub fn all() -> [Dashboard; 3] {
    [FLEET, ROLLOUT, CONTROLLER]
}

const SOURCE: &str = "${datasource}";

impl Panel {
    fn targets(&self) -> Vec<Value> {
        let table = matches!(self.draws, Draws::Table(_));
        let target = |(index, (query, legend)): (usize, &(&str, &str))| {
            let reference = char::from(b'A' + u8::try_from(index).unwrap_or(25));
            json!({
                "refId": reference.to_string(), "expr": query, "legendFormat": legend, "instant": table, "range": !table,
                "format": if table { "table" } else { "time_series" },
                "datasource": {"type": "prometheus", "uid": SOURCE},
            })
        };
        self.queries.iter().enumerate().map(target).collect()
    }

    fn json(&self, id: u32, x: u32, y: u32) -> Value {
        let kind = match self.draws {
            Draws::Stat => "stat",
            Draws::Lines | Draws::Bars => "timeseries",
            Draws::Table(_) => "table",
        };
        let custom = match self.draws {
            Draws::Bars => {
                json!({"drawStyle": "bars", "fillOpacity": 60, "stacking": {"mode": "normal", "group": "A"}})
            }
            Draws::Lines => json!({"drawStyle": "line", "fillOpacity": 10, "showPoints": "never"}),
            Draws::Stat | Draws::Table(_) => json!({}),
        };
        let mut panel = json!({
            "id": id, "type": kind, "title": self.title, "description": self.about,
            "datasource": {"type": "prometheus", "uid": SOURCE},
            "gridPos": {"x": x, "y": y, "w": self.width, "h": HEIGHT},
            "fieldConfig": {"defaults": {"unit": self.unit, "custom": custom}, "overrides": []},
            "targets": self.targets(),
        });
        match self.draws {
            Draws::Stat => {
                panel["options"] =
                    json!({"textMode": "value_and_name", "reduceOptions": {"calcs": ["lastNotNull"], "values": false}});
            }
            Draws::Table(columns) => panel["transformations"] = columns_of(columns),
            Draws::Lines | Draws::Bars => {
                panel["options"] = json!({"legend": {"displayMode": "list", "placement": "bottom"}})
            }
        }
        panel
    }
}

/// Shows those labels alone, in that order and under those names.
fn columns_of(columns: &[(&str, &str)]) -> Value {
    let names: Vec<&str> = columns.iter().map(|(label, _)| *label).collect();
    let shown: serde_json::Map<String, Value> =
        columns.iter().map(|(label, name)| (label.to_string(), json!(name))).collect();
    let order: serde_json::Map<String, Value> =
        names.iter().enumerate().map(|(index, label)| (label.to_string(), json!(index))).collect();
    json!([
        {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
        {"id": "organize", "options": {"indexByName": order, "renameByName": shown}},
    ])
}

impl Dashboard {
    fn variables(&self) -> Vec<Value> {
        let source = json!({"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0});
        let is_fleet = self.uid == FLEET.uid;
        let variable = |(name, query): &(&str, &str)| {
            let derived = matches!(*name, "environment" | "service" | "project");
            json!({
                "name": name, "type": "query", "query": {"query": query, "refId": name}, "definition": query, "refresh": 2,
                "datasource": {"type": "prometheus", "uid": SOURCE}, "includeAll": is_fleet, "multi": is_fleet, "sort": 1,
                "hide": if derived { 2 } else { 0 },
            })
        };
        std::iter::once(source).chain(self.variables.iter().map(variable)).collect()
    }

    fn links(&self) -> Value {
        let others = all().into_iter().filter(|other| other.uid != self.uid);
        let mut links: Vec<Value> = others
            .map(|other| json!({"type": "link", "title": other.title, "url": format!("/d/{}", other.uid), "keepTime": true}))
            .collect();
        if self.uid == ROLLOUT.uid {
            let url = "https://console.cloud.google.com/run?project=${project}&search=${service}";
            links.push(json!({"type": "link", "title": "Cloud Run", "url": url, "targetBlank": true}));
        }
        json!(links)
    }

    /// As Grafana imports it.
    pub fn json(&self) -> Value {
        let (mut panels, mut id, mut y) = (vec![], 0, 0);
        for (title, row) in self.rows {
            id += 1;
            panels.push(json!({"id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
                               "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}));
            y += 1;
            let mut x = 0;
            for panel in *row {
                if x + panel.width > 24 {
                    (x, y) = (0, y + HEIGHT);
                }
                id += 1;
                panels.push(panel.json(id, x, y));
                x += panel.width;
            }
            y += HEIGHT;
        }
        json!({
            "uid": self.uid, "title": self.title, "tags": ["orchestra"], "schemaVersion": 39, "version": 1, "editable": true,
            "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
            "templating": {"list": self.variables()}, "annotations": {"list": []}, "links": self.links(), "panels": panels,
        })
    }
}
