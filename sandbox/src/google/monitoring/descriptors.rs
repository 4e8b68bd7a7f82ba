//! What metrics there are.

use serde_json::{Value, json};

use super::filter::Types;
use super::series::{ALL, CPU, LATENCIES, MEMORY, REQUESTS};
use crate::google::Context;
use crate::google::page::page;
use crate::google::problem::Problem;

/// How a metric is described: its name for people, what it is, its labels, type and unit, and how late it comes at most.
struct Described {
    shown: &'static str,
    what: &'static str,
    labels: &'static [&'static str],
    value: &'static str,
    unit: &'static str,
    delay: &'static str,
}

fn described(metric: &str) -> Described {
    const ANSWER: &[&str] = &["response_code", "response_code_class"];
    const CONTAINER: &[&str] = &["container_name"];
    const PROBE: &[&str] = &["probe_action", "is_healthy", "container_name", "is_default", "probe_type"];
    let of_requests = |shown, what, value, unit| Described { shown, what, labels: ANSWER, value, unit, delay: "180s" };
    let of_instances = |shown, what| Described {
        shown,
        what,
        labels: CONTAINER,
        value: "DISTRIBUTION",
        unit: "10^2.%",
        delay: "120s",
    };
    match metric {
        REQUESTS => of_requests("Request Count", "Number of requests reaching the revision.", "INT64", "1"),
        LATENCIES => of_requests(
            "Request Latency",
            "Distribution of request latency in milliseconds reaching the revision.",
            "DISTRIBUTION",
            "ms",
        ),
        CPU => of_instances("Container CPU Utilization", "Container CPU utilization across all instances."),
        MEMORY => of_instances("Container Memory Utilization", "Container memory utilization across all instances."),
        _ => Described {
            shown: "Completed Health Check Probe Count",
            what: "Number of completed health check probes and their results.",
            labels: PROBE,
            value: "INT64",
            unit: "1",
            delay: "120s",
        },
    }
}

fn descriptor(project: &str, metric: &str) -> Value {
    let Described { shown, what, labels, value, unit, delay } = described(metric);
    let labels: Vec<Value> = labels.iter().map(|key| json!({"key": key})).collect();
    json!({
        "name": format!("projects/{project}/metricDescriptors/{metric}"), "type": metric,
        "displayName": shown, "description": what, "labels": labels,
        "metricKind": "DELTA", "valueType": value, "unit": unit, "launchStage": "GA",
        "metadata": {"launchStage": "GA", "samplePeriod": "60s", "ingestDelay": delay},
        "monitoredResourceTypes": ["cloud_run_revision"],
    })
}

pub(super) fn handle(context: Context<'_>, project: &str, rest: &[&str]) -> Result<Value, Problem> {
    let known = ALL;
    match rest.join("/").as_str() {
        "" => {
            let all = known.map(|metric| (metric.to_string(), descriptor(project, metric)));
            let filter = context.request.param("filter").unwrap_or_default();
            let wanted = Types::parse(filter)?;
            let found = all.into_iter().filter(|(metric, _)| wanted.as_ref().is_none_or(|types| types.fits(metric)));
            page(context.request, "metricDescriptors", found.collect(), 10_000)
        }
        metric if known.contains(&metric) => Ok(descriptor(project, metric)),
        metric => Err(Problem::missing(format!("Could not find descriptor for metric '{metric}'."))),
    }
}
