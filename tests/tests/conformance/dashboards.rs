//! Queries of dashboards and alerts: each can be read, and names metrics and labels that are served.

use orchestra_controller::metrics::catalogue::{GROUPS, Type};
use promql_parser::label::Matchers;
use promql_parser::parser::{self, Expr, VectorSelector};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const DASHBOARDS: [&str; 3] = [
    include_str!("../../../dashboards/orchestra-fleet.json"),
    include_str!("../../../dashboards/orchestra-rollout.json"),
    include_str!("../../../dashboards/orchestra-controller.json"),
];
const ALERTS: &str = include_str!("../../../dashboards/alerts.yaml");

/// Names that are served, with their labels.
fn served() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut all = BTreeMap::new();
    for metric in GROUPS.iter().flat_map(|group| group.metrics) {
        let labels: BTreeSet<&str> = metric.labels.iter().copied().collect();
        if let Type::Histogram(_) = metric.type_ {
            all.insert(format!("{}_count", metric.name), labels.clone());
            all.insert(format!("{}_sum", metric.name), labels.clone());
            all.insert(format!("{}_bucket", metric.name), labels.into_iter().chain(["le"]).collect());
        } else {
            all.insert(metric.name.to_string(), labels);
        }
    }
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        all.insert(name.into(), BTreeSet::new());
    }
    all
}

fn selectors<'a>(expression: &'a Expr, found: &mut Vec<&'a VectorSelector>) {
    match expression {
        Expr::Aggregate(of) => selectors(&of.expr, found),
        Expr::Unary(of) => selectors(&of.expr, found),
        Expr::Binary(of) => {
            selectors(&of.lhs, found);
            selectors(&of.rhs, found);
        }
        Expr::Paren(of) => selectors(&of.expr, found),
        Expr::Subquery(of) => selectors(&of.expr, found),
        Expr::VectorSelector(one) => found.push(one),
        Expr::MatrixSelector(of) => found.push(&of.vs),
        Expr::Call(call) => call.args.args.iter().for_each(|argument| selectors(argument, found)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn check(query: &str) {
    let plain = query.replace("$__rate_interval", "5m").replace("$__range", "1h").replace("$namespace", "shop");
    let plain = plain.replace("$rollout", "api").replace("$environment", "production");
    assert!(!plain.replace("\"$1\"", "").contains('$'), "an unknown variable: {query}");
    let expression = parser::parse(&plain).unwrap_or_else(|error| panic!("{error}: {query}"));
    let mut found = vec![];
    selectors(&expression, &mut found);
    let served = served();
    for selector in found {
        let name = selector.name.clone().unwrap_or_default();
        let labels = served.get(&name).unwrap_or_else(|| panic!("{name} is not served: {query}"));
        let Matchers { matchers, .. } = &selector.matchers;
        for matcher in matchers {
            assert!(labels.contains(matcher.name.as_str()), "{name} has no label {}: {query}", matcher.name);
        }
    }
}

#[test]
fn every_panel_asks_for_what_is_served() {
    let mut asked = 0;
    for text in DASHBOARDS {
        let dashboard: Value = serde_json::from_str(text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                check(target["expr"].as_str().unwrap());
                asked += 1;
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let query = variable["query"]["query"].as_str().unwrap_or_default();
            if let Some(inner) = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')) {
                let (selector, label) = inner.rsplit_once(", ").unwrap();
                check(selector);
                let name = selector.split('{').next().unwrap();
                assert!(served()[name].contains(label), "{query}");
            }
        }
    }
    assert!(asked > 40, "{asked}");
}

#[test]
fn every_alert_asks_for_what_is_served_and_says_what_to_do() {
    let rules: Value = serde_yaml_ng::from_str(ALERTS).unwrap();
    let all = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let page = include_str!("../../../docs/alerts.md");
    let mut names = BTreeSet::new();
    for rule in all {
        check(rule["expr"].as_str().unwrap());
        let name = rule["alert"].as_str().unwrap();
        let anchor = rule["annotations"]["runbook_url"].as_str().unwrap().rsplit_once('#').unwrap().1.to_string();
        assert!(anchor == name.to_lowercase() && page.contains(&format!("### {name}\n")), "{name}");
        assert!(names.insert(name), "{name} is there twice");
    }
    assert_eq!(names.len(), 15);
}
