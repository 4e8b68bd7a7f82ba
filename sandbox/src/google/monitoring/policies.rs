//! Alert policies with thresholds, and the incidents that they open.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::Metrics;
use super::aggregate::{Aggregation, Series};
use super::filter::Filter;
use super::series::Labels;
use crate::exchange::Request;
use crate::google::page::page;
use crate::google::problem::Problem;
use crate::google::{Context, stamp};

/// Most conditions of a policy.
const MOST: usize = 6;
/// Longest duration of a condition, in seconds: 23.5 hours.
const LONGEST: i64 = 84_600;
/// Largest page.
const PAGE: usize = 1_000;
/// How long after its end a minute is looked at: it may come late.
const LOOKED_AT_AFTER: SignedDuration = SignedDuration::from_secs(180);
/// The first number that a server gives; they are long, and mean nothing.
const FIRST: u64 = 4_611_686_018_427_387_905;

#[derive(Debug, Default)]
pub(super) struct Policies {
    by_name: BTreeMap<String, Policy>,
    given: u64,
}

#[derive(Debug)]
struct Policy {
    project: String,
    document: Value,
    created: Timestamp,
    conditions: Vec<Condition>,
}

/// What is compared with a number, and for how long it must be on the wrong side.
#[derive(Debug)]
struct Condition {
    counted: Measure,
    among: Option<Measure>,
    wrong_above: bool,
    limit: f64,
    duration: SignedDuration,
}

#[derive(Debug)]
struct Measure {
    filter: Filter,
    aggregation: Aggregation,
}

impl Measure {
    fn of(condition: &Value, filter: &str, aggregations: &str) -> Result<Self, Problem> {
        let list = condition[aggregations].as_array();
        if list.is_some_and(|list| list.len() > 1) {
            return Err(Problem::unimplemented("a second aggregation in a condition"));
        }
        let fields = list.and_then(|list| list.first()).and_then(Value::as_object).into_iter().flatten();
        let mut query = vec![];
        for (key, value) in fields {
            let texts = match value {
                Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
                one => one.as_str().into_iter().collect::<Vec<_>>(),
            };
            query.extend(texts.into_iter().map(|text| (format!("aggregation.{key}"), text.to_string())));
        }
        let request = Request { query, ..Request::new(http::Method::GET, "/", bytes::Bytes::new()) };
        let filter = Filter::parse(condition[filter].as_str().unwrap_or_default())?;
        Ok(Self { filter, aggregation: Aggregation::of(&request)? })
    }

    fn series(&self, metrics: &Metrics, project: &str, now: Timestamp, from: Timestamp) -> Result<Series, Problem> {
        let span = self.aggregation.span().as_secs().max(60);
        let end = Timestamp::from_second(now.as_second().div_euclid(span) * span).unwrap_or(now);
        let found = metrics.points(project, &self.filter.metric, now, (from, end), |labels| self.filter.fits(labels));
        self.aggregation.apply(found, end)
    }
}

impl Condition {
    fn of(document: &Value) -> Result<Self, Problem> {
        let threshold = &document["conditionThreshold"];
        if !threshold.is_object() {
            return Err(Problem::unimplemented("a condition other than conditionThreshold"));
        }
        let comparison = threshold["comparison"].as_str().unwrap_or_default();
        let wrong_above = match comparison {
            "COMPARISON_GT" => true,
            "COMPARISON_LT" => false,
            _ => {
                return Err(Problem::field(
                    "alert_policy.conditions.condition_threshold.comparison",
                    "it is COMPARISON_GT or COMPARISON_LT",
                ));
            }
        };
        let seconds = threshold["duration"].as_str().unwrap_or("0s").trim_end_matches('s').parse::<i64>();
        let whole = seconds.ok().filter(|seconds| (0..=LONGEST).contains(seconds) && seconds % 60 == 0);
        let field = "alert_policy.conditions.condition_threshold.duration";
        let seconds = whole.ok_or_else(|| Problem::field(field, "it is a number of whole minutes, in seconds"))?;
        let has_among = threshold["denominatorFilter"].as_str().is_some_and(|filter| !filter.is_empty());
        let among = has_among.then(|| Measure::of(threshold, "denominatorFilter", "denominatorAggregations"));
        Ok(Self {
            counted: Measure::of(threshold, "filter", "aggregations")?,
            among: among.transpose()?,
            wrong_above,
            limit: threshold["thresholdValue"].as_f64().unwrap_or_default(),
            duration: SignedDuration::from_secs(seconds),
        })
    }

    /// When it began to be wrong, and ended, by the labels of what is.
    fn wrong(&self, metrics: &Metrics, project: &str, now: Timestamp, from: Timestamp) -> Result<Vec<Wrong>, Problem> {
        let counted = self.counted.series(metrics, project, now, from)?;
        let among = self.among.as_ref().map(|among| among.series(metrics, project, now, from)).transpose()?;
        let mut all = vec![];
        for (labels, points) in counted {
            let of_labels = among.as_ref().map(|among| among.get(&labels));
            let value = |(at, datum): (&Timestamp, &super::Datum)| match &of_labels {
                None => Some((*at, datum.number())),
                Some(among) => {
                    let among = among.and_then(|points| points.get(at)).map(super::Datum::number)?;
                    (among > 0.0).then_some((*at, datum.number() / among))
                }
            };
            let is_wrong = |value: f64| if self.wrong_above { value > self.limit } else { value < self.limit };
            let mut since: Option<Timestamp> = None;
            for (at, value) in points.iter().filter_map(value) {
                match (is_wrong(value), since) {
                    (true, None) => since = Some(at),
                    (false, Some(began)) => {
                        all.extend(self.incident(&labels, began, Some(at), now));
                        since = None;
                    }
                    _ => {}
                }
            }
            all.extend(since.and_then(|began| self.incident(&labels, began, None, now)));
        }
        Ok(all)
    }

    /// The incident of what was wrong from then to then; none: it wasn't for long enough.
    fn incident(&self, labels: &Labels, began: Timestamp, ended: Option<Timestamp>, now: Timestamp) -> Option<Wrong> {
        let opened = began + self.duration + LOOKED_AT_AFTER;
        let ends = ended.map(|ended| ended + LOOKED_AT_AFTER);
        let is_long = ended.is_none_or(|ended| ended.duration_since(began) >= self.duration) && opened <= now;
        is_long.then(|| Wrong { labels: labels.clone(), opened, closed: ends.filter(|ends| *ends <= now) })
    }
}

struct Wrong {
    labels: Labels,
    opened: Timestamp,
    closed: Option<Timestamp>,
}

impl Metrics {
    /// `projects.alertPolicies.create`.
    pub(super) fn create_policy(&mut self, context: Context<'_>, project: &str) -> Result<Value, Problem> {
        let mut document: Value = serde_json::from_slice(&context.request.body)
            .map_err(|e| Problem::invalid(format!("Invalid JSON payload received. {e}")))?;
        let list = document["conditions"].as_array().cloned().unwrap_or_default();
        if list.is_empty() || list.len() > MOST {
            return Err(Problem::field("alert_policy.conditions", "a policy has between 1 and 6 conditions"));
        }
        match document["combiner"].as_str() {
            None => return Err(Problem::field("alert_policy.combiner", "it is required")),
            Some("OR") => {}
            Some(_) if list.len() == 1 => {}
            Some(_) => return Err(Problem::unimplemented("a combiner other than OR of several conditions")),
        }
        let conditions = list.iter().map(Condition::of).collect::<Result<Vec<_>, _>>()?;
        let mut number = || {
            self.policies.given += 1;
            FIRST + self.policies.given
        };
        let name = format!("projects/{project}/alertPolicies/{}", number());
        for condition in document["conditions"].as_array_mut().into_iter().flatten() {
            condition["name"] = json!(format!("{name}/conditions/{}", number()));
        }
        let record = json!({"mutateTime": stamp(context.now), "mutatedBy": context.request.caller});
        document["name"] = json!(name);
        document["creationRecord"] = record.clone();
        document["mutationRecord"] = record;
        if document["enabled"].is_null() {
            document["enabled"] = json!(true);
        }
        let policy =
            Policy { project: project.to_string(), document: document.clone(), created: context.now, conditions };
        self.policies.by_name.insert(name, policy);
        Ok(document)
    }

    /// `projects.alertPolicies.get`, `list` and `delete`.
    pub(super) fn policies(&mut self, context: Context<'_>, project: &str, rest: &[&str]) -> Result<Value, Problem> {
        let [id] = rest else {
            let filter = context.request.param("filter").unwrap_or_default();
            if !filter.is_empty() {
                return Err(Problem::unimplemented("a filter of alert policies"));
            }
            let of_project = self.policies.by_name.iter().filter(|(_, policy)| policy.project == project);
            let all = of_project.map(|(name, policy)| (name.clone(), policy.document.clone())).collect();
            return page(context.request, "alertPolicies", all, PAGE);
        };
        let name = format!("projects/{project}/alertPolicies/{id}");
        let missing = || Problem::missing(format!("Could not find an AlertPolicy with the name {name}."));
        match context.request.method {
            http::Method::DELETE => self.policies.by_name.remove(&name).map(|_| json!({})).ok_or_else(missing),
            _ => self.policies.by_name.get(&name).map(|policy| policy.document.clone()).ok_or_else(missing),
        }
    }

    /// `projects.alerts.list`.
    pub(super) fn alerts(&self, context: Context<'_>, project: &str) -> Result<Value, Problem> {
        let state = match context.request.param("filter").unwrap_or_default().replace(' ', "").as_str() {
            "" => None,
            "state=\"OPEN\"" => Some("OPEN"),
            "state=\"CLOSED\"" => Some("CLOSED"),
            other => return Err(Problem::unimplemented(&format!("the filter {other}"))),
        };
        let mut all = vec![];
        for policy in self.policies.by_name.values().filter(|policy| policy.project == project) {
            for condition in policy.conditions.iter().filter(|_| policy.document["enabled"] == true) {
                for wrong in condition.wrong(self, project, context.now, policy.created)? {
                    let alert = alert(project, policy, &wrong);
                    if state.is_none_or(|state| alert["state"] == state) {
                        all.push((alert["name"].as_str().unwrap_or_default().to_string(), alert));
                    }
                }
            }
        }
        page(context.request, "alerts", all, PAGE)
    }
}

fn alert(project: &str, policy: &Policy, wrong: &Wrong) -> Value {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (&policy.document["name"].as_str(), &wrong.labels, wrong.opened).hash(&mut hasher);
    let of = |prefix: &str| {
        let short = |(key, value): (&String, &String)| Some((key.strip_prefix(prefix)?.to_string(), json!(value)));
        wrong.labels.iter().filter_map(short).collect::<Map<String, Value>>()
    };
    let mut alert = json!({
        "name": format!("projects/{project}/alerts/{:x}", hasher.finish()),
        "state": if wrong.closed.is_some() { "CLOSED" } else { "OPEN" },
        "openTime": stamp(wrong.opened),
        "resource": {"type": "cloud_run_revision", "labels": of("resource.labels.")},
        "metric": {"labels": of("metric.labels.")},
        "policy": {"name": policy.document["name"], "displayName": policy.document["displayName"]},
    });
    if let Some(closed) = wrong.closed {
        alert["closeTime"] = json!(stamp(closed));
    }
    alert
}
