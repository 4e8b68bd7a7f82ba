//! PromQL over the same metrics: `query` and `query_range`. Deltas are shown as the counters that Google makes of them.

mod evaluate;
mod vector;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::Expr;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::series::{CPU, Datum, LATENCIES, MEMORY, PROBES, REQUESTS};
use super::{KEPT, Metrics};
use crate::exchange::{Reply, Request};
use crate::google::Context;
use evaluate::Evaluation;
use vector::{Found, Labels};

/// Most points of one series.
const MOST_POINTS: f64 = 11_000.0;
/// Longest query: it is read and evaluated by recursion, and a deep one must not exhaust the stack.
const LONGEST: usize = 4096;

/// What was measured of one series: what each minute added, by its end.
pub(super) type Deltas = Vec<(Labels, BTreeMap<Timestamp, f64>)>;

fn parse(query: &str) -> Result<Expr, String> {
    if query.len() > LONGEST {
        return Err(format!("the sandbox reads queries of at most {LONGEST} characters; this one has {}", query.len()));
    }
    promql_parser::parser::parse(query)
}

impl Metrics {
    /// `…/location/global/prometheus/api/v1/…`
    pub(in crate::google) fn prometheus(&self, context: Context<'_>, project: &str, rest: &[&str]) -> Reply {
        let form = form(context.request);
        let answered = match rest {
            ["query"] => self.instant(&form, context.now, project),
            ["query_range"] => self.range(&form, context.now, project),
            _ => Err(format!("the sandbox does not serve {}", rest.join("/"))),
        };
        match answered {
            Ok(data) => Reply::ok(json!({"status": "success", "data": data})),
            Err(error) => Reply::json(400, json!({"status": "error", "errorType": "bad_data", "error": error})),
        }
    }

    fn instant(&self, form: &Request, now: Timestamp, project: &str) -> Result<Value, String> {
        let at = match form.param("time") {
            Some(text) => time(text)?,
            None => now,
        };
        let expression = parse(form.param("query").unwrap_or_default())?;
        Ok(match (Evaluation { metrics: self, project, now, at }).of(&expression)? {
            Found::Scalar(number) => json!({"resultType": "scalar", "result": sample(at, number)}),
            Found::Vector(all) => {
                let shown = all.iter().map(|(labels, number)| json!({"metric": labels, "value": sample(at, *number)}));
                json!({"resultType": "vector", "result": shown.collect::<Vec<_>>()})
            }
        })
    }

    fn range(&self, form: &Request, now: Timestamp, project: &str) -> Result<Value, String> {
        let param = |key: &str| form.param(key).ok_or_else(|| format!("{key} is required"));
        let (start, end) = (time(param("start")?)?, time(param("end")?)?);
        let step = step(param("step")?)?;
        if end.duration_since(start).as_secs_f64() / step.as_secs_f64() > MOST_POINTS {
            return Err(format!("more than {MOST_POINTS} points in a series: take a longer step"));
        }
        let expression = parse(param("query")?)?;
        let mut series: BTreeMap<Labels, Vec<Value>> = BTreeMap::new();
        let mut at = start;
        while at <= end {
            let found = match (Evaluation { metrics: self, project, now, at }).of(&expression)? {
                Found::Scalar(number) => vec![(Labels::new(), number)],
                Found::Vector(all) => all,
            };
            for (labels, number) in found {
                series.entry(labels).or_default().push(sample(at, number));
            }
            at = at.checked_add(step).unwrap_or(Timestamp::MAX);
            if at == Timestamp::MAX {
                break;
            }
        }
        let shown = series.iter().map(|(labels, values)| json!({"metric": labels, "values": values}));
        Ok(json!({"resultType": "matrix", "result": shown.collect::<Vec<_>>()}))
    }

    /// What a selector means, between two times.
    fn deltas(
        &self,
        project: &str,
        now: Timestamp,
        name: Option<&str>,
        matchers: &Matchers,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Deltas, String> {
        if !matchers.or_matchers.is_empty() {
            return Err("`or` between matchers is not supported by the sandbox".into());
        }
        let named = matchers.find_matchers("__name__").into_iter().next();
        if named.as_ref().is_some_and(|matcher| matcher.op != MatchOp::Equal) {
            return Err("__name__ can only be compared with = in the sandbox".into());
        }
        let by_label = named.map(|matcher| matcher.value);
        let name = name.map(ToString::to_string).or(by_label).ok_or("a selector must name its metric")?;
        let name = name.replace("run.googleapis.com/", "run_googleapis_com:");
        let Some((metric, part)) = metric_of(name.strip_prefix("run_googleapis_com:").unwrap_or(&name)) else {
            return Ok(vec![]);
        };
        let mut all: BTreeMap<Labels, BTreeMap<Timestamp, f64>> = BTreeMap::new();
        for (labels, points) in self.points(project, metric, now, (from, to), |_| true) {
            let short = |key: &str| key.rsplit('.').next().unwrap_or(key).to_string();
            let mut labels: Labels = labels.into_iter().map(|(key, value)| (short(&key), value)).collect();
            labels.insert("monitored_resource".into(), "cloud_run_revision".into());
            let fits = matchers.matchers.iter().filter(|matcher| matcher.name != "__name__");
            let empty = String::new();
            if !fits.into_iter().all(|m| m.is_match(labels.get(&m.name).unwrap_or(&empty))) {
                continue;
            }
            labels.insert("__name__".into(), name.clone());
            for (at, datum) in points {
                for (bound, number) in parts(&datum, part) {
                    let mut labels = labels.clone();
                    labels.extend(bound.map(|bound| ("le".to_string(), bound)));
                    all.entry(labels).or_default().insert(at, number);
                }
            }
        }
        Ok(all.into_iter().collect())
    }

    /// The oldest time that anything is known of.
    fn since(&self, now: Timestamp) -> Timestamp {
        now - KEPT - KEPT
    }
}

/// The metric that a name in PromQL means, and the part of it.
fn metric_of(name: &str) -> Option<(&'static str, &'static str)> {
    let counters = [("request_count", REQUESTS), ("container_completed_probe_count", PROBES)];
    if let Some((_, metric)) = counters.into_iter().find(|(counter, _)| *counter == name) {
        return Some((metric, ""));
    }
    let distributions = [
        ("request_latencies", LATENCIES),
        ("container_cpu_utilizations", CPU),
        ("container_memory_utilizations", MEMORY),
    ];
    distributions.into_iter().find_map(|(base, metric)| match name.strip_prefix(base)? {
        "_bucket" => Some((metric, "bucket")),
        "_count" => Some((metric, "count")),
        "_sum" => Some((metric, "sum")),
        _ => None,
    })
}

/// The parameters, from the query or from a body: a form as Prometheus takes it, or JSON as Google's clients send it.
fn form(request: &Request) -> Request {
    if request.method != Method::POST {
        return request.clone();
    }
    let mut form = match serde_json::from_slice::<BTreeMap<String, String>>(&request.body) {
        Ok(fields) => Request { query: fields.into_iter().collect(), ..request.clone() },
        Err(_) => {
            let body = String::from_utf8_lossy(&request.body);
            Request::new(Method::GET, &format!("/?{body}"), bytes::Bytes::new())
        }
    };
    form.query.extend(request.query.iter().cloned());
    form
}

/// The counters that a value of one minute adds to, with the bound of each bucket.
fn parts(datum: &Datum, part: &str) -> Vec<(Option<String>, f64)> {
    match (datum, part) {
        (Datum::Distribution(latency), "sum") => vec![(None, latency.sum)],
        (Datum::Distribution(latency), "count") => vec![(None, latency.count)],
        (Datum::Distribution(latency), _) => {
            let bound = |bound: f64| if bound.is_finite() { bound.to_string() } else { "+Inf".to_string() };
            latency.cumulative().map(|(le, number)| (Some(bound(le)), number)).collect()
        }
        (other, _) => vec![(None, other.number())],
    }
}

fn sample(at: Timestamp, number: f64) -> Value {
    let text = match number {
        n if n.is_nan() => "NaN".to_string(),
        n if n.is_infinite() => if n > 0.0 { "+Inf" } else { "-Inf" }.to_string(),
        n => n.to_string(),
    };
    json!([at.as_millisecond() as f64 / 1000.0, text])
}

/// Seconds since 1970, or RFC 3339.
fn time(text: &str) -> Result<Timestamp, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Timestamp::from_millisecond((seconds * 1000.0) as i64).map_err(|e| format!("{text}: {e}")),
        Err(_) => text.parse().map_err(|e| format!("{text} is no time: {e}")),
    }
}

/// Seconds, or a duration as PromQL writes it.
fn step(text: &str) -> Result<SignedDuration, String> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => SignedDuration::try_from_secs_f64(seconds).ok(),
        Err(_) => promql_parser::util::parse_duration(text).ok().and_then(|d| SignedDuration::try_from(d).ok()),
    };
    parsed.filter(|step| step.is_positive()).ok_or_else(|| format!("step {text} is no positive duration"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_query_too_deep_to_be_read_is_refused() {
        assert!(parse(&format!("1{}", "+1".repeat(2000))).is_ok());
        for deep in [format!("1{}", "+1".repeat(10_000)), "sum(".repeat(10_000)] {
            assert!(parse(&deep).is_err_and(|why| why.contains("at most")));
        }
    }
}
