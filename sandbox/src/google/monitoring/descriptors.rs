//! What metrics there are.

use serde_json::{Value, json};

use super::series::{LATENCIES, REQUESTS};
use crate::google::Context;
use crate::google::page::page;
use crate::google::problem::Problem;

fn descriptor(project: &str, metric: &str) -> Value {
    let latencies = metric == LATENCIES;
    let label = |key: &str, description: &str| json!({"key": key, "description": description});
    json!({
        "name": format!("projects/{project}/metricDescriptors/{metric}"), "type": metric,
        "displayName": if latencies { "Request Latency" } else { "Request Count" },
        "description": if latencies { "Distribution of request latency in milliseconds reaching the revision." }
                       else { "Number of requests reaching the revision." },
        "labels": [label("response_code", "Response code of a request."),
                   label("response_code_class", "Response code class of a request.")],
        "metricKind": "DELTA", "valueType": if latencies { "DISTRIBUTION" } else { "INT64" },
        "unit": if latencies { "ms" } else { "1" }, "launchStage": "GA",
        "metadata": {"launchStage": "GA", "samplePeriod": "60s", "ingestDelay": "180s"},
        "monitoredResourceTypes": ["cloud_run_revision"],
    })
}

pub(super) fn handle(context: Context<'_>, project: &str, rest: &[&str]) -> Result<Value, Problem> {
    let known = [REQUESTS, LATENCIES];
    match rest.join("/").as_str() {
        "" => {
            let all = known.map(|metric| (metric.to_string(), descriptor(project, metric)));
            let filter = context.request.param("filter").unwrap_or_default();
            let wanted = filter.rsplit('=').next().unwrap_or_default().trim().trim_matches('"').to_string();
            if !filter.is_empty() && (!filter.starts_with("metric.type") || filter.contains('(')) {
                return Err(Problem::unimplemented(&format!("the filter {filter}")));
            }
            let fits = |metric: &str| !filter.starts_with("metric.type") || metric == wanted;
            page(context.request, "metricDescriptors", all.into_iter().filter(|(m, _)| fits(m)).collect(), 10_000)
        }
        metric if known.contains(&metric) => Ok(descriptor(project, metric)),
        metric => Err(Problem::missing(format!("Could not find descriptor for metric '{metric}'."))),
    }
}
