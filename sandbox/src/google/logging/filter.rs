//! The part of the Logging query language that request logs are asked for with: comparisons joined by AND, those in parentheses
//! by OR, and values joined by OR.

use jiff::Timestamp;
use regex::Regex;
use serde_json::Value;
use std::sync::LazyLock;

use crate::google::problem::Problem;

/// A comparison, after the AND before it.
static TERM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"^\s*(?:AND\s+)?(NOT\s+|-)?([\w."]+)\s*(>=|<=|!=|=~|=|<|>|:)\s*(?:"((?:[^"\\]|\\.)*)"|\(([^()]*)\)|([^\s"()]+))"#).ok()
});

#[derive(Debug)]
struct Term {
    path: Vec<String>,
    compare: String,
    values: Vec<String>,
    wanted: bool,
}

/// Which entries are meant: those that fit one of each.
#[derive(Debug)]
pub(super) struct Filter(Vec<Vec<Term>>);

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let bad = |what: &str| Problem::field("filter", format!("Unparseable filter: {what}"));
        let (mut all, mut rest) = (vec![], text.trim());
        while !rest.is_empty() {
            if rest.starts_with("OR ") || rest.starts_with("sample(") {
                return Err(Problem::unimplemented("OR outside parentheses, and sample(), in a filter"));
            }
            let inside = rest.strip_prefix("AND ").unwrap_or(rest).trim_start().strip_prefix('(');
            let Some(mut inside) = inside else {
                let (term, after) = Term::first(rest).ok_or_else(|| bad(rest))?;
                all.push(vec![term]);
                rest = after;
                continue;
            };
            let mut any = vec![];
            loop {
                let (term, after) = Term::first(inside).ok_or_else(|| bad(inside))?;
                any.push(term);
                if let Some(after) = after.strip_prefix(')') {
                    rest = after.trim_start();
                    break;
                }
                inside = after
                    .strip_prefix("OR ")
                    .ok_or_else(|| Problem::unimplemented("AND and parentheses inside parentheses, in a filter"))?;
            }
            all.push(any);
        }
        Ok(Self(all))
    }

    /// From when to when entries may be meant.
    pub(super) fn span(&self) -> (Timestamp, Timestamp) {
        let (mut from, mut to) = (Timestamp::MIN, Timestamp::MAX);
        let alone = self.0.iter().filter_map(|any| if let [term] = any.as_slice() { Some(term) } else { None });
        for term in alone.filter(|term| term.path == ["timestamp"] && term.wanted) {
            let Some(at) = term.values.first().and_then(|value| value.parse::<Timestamp>().ok()) else { continue };
            match term.compare.as_str() {
                ">" | ">=" => from = from.max(at),
                "<" | "<=" => to = to.min(at),
                _ => {}
            }
        }
        (from, to)
    }

    /// Whether only failed requests are meant.
    pub(super) fn wants_failed_only(&self) -> bool {
        self.0.iter().flatten().any(|term| {
            let status: Option<i64> = term.values.first().and_then(|value| value.parse().ok());
            term.path == ["httpRequest", "status"] && term.compare == ">=" && term.wanted && status >= Some(400)
        })
    }

    pub(super) fn fits(&self, entry: &Value) -> bool {
        self.0.iter().all(|any| any.iter().any(|term| term.holds(entry) == term.wanted))
    }
}

impl Term {
    /// The first comparison of a text, and what follows.
    fn first(text: &str) -> Option<(Self, &str)> {
        let found = TERM.as_ref()?.captures(text)?;
        let part = |index: usize| found.get(index).map(|m| m.as_str());
        let values = match (part(4).or(part(6)), part(5)) {
            (Some(one), _) => vec![one.replace("\\\"", "\"")],
            (None, list) => list?.split(" OR ").map(|v| v.trim().trim_matches('"').to_string()).collect(),
        };
        let path = part(2)?.replace('"', "").split('.').map(ToString::to_string).collect();
        let compare = part(3)?.to_string();
        let after = text.get(found.get(0)?.end()..)?.trim_start();
        Some((Self { path, compare, values, wanted: part(1).is_none() }, after))
    }

    fn holds(&self, entry: &Value) -> bool {
        let found = self.path.iter().try_fold(entry, |value, part| value.get(part));
        // A field that is not there fits nothing.
        let Some(found) = found else { return false };
        self.values.iter().any(|value| self.fits(found, value))
    }

    fn fits(&self, found: &Value, value: &str) -> bool {
        let order = match found {
            Value::Number(number) => number.as_f64().zip(value.parse().ok()).and_then(|(a, b)| a.partial_cmp(&b)),
            Value::String(text) if self.path.last().is_some_and(|last| last.to_lowercase().ends_with("timestamp")) => {
                text.parse::<Timestamp>().ok().zip(value.parse().ok()).map(|(a, b): (Timestamp, Timestamp)| a.cmp(&b))
            }
            Value::String(text) => Some(text.as_str().cmp(value)),
            _ => None,
        };
        match (self.compare.as_str(), order) {
            (":", _) => found.as_str().is_some_and(|text| text.contains(value)),
            ("=~", _) => Regex::new(value).ok().zip(found.as_str()).is_some_and(|(regex, text)| regex.is_match(text)),
            ("=", Some(order)) => order.is_eq(),
            ("!=", Some(order)) => order.is_ne(),
            (">=", Some(order)) => order.is_ge(),
            ("<=", Some(order)) => order.is_le(),
            (">", Some(order)) => order.is_gt(),
            ("<", Some(order)) => order.is_lt(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comparisons_are_joined_and_what_is_not_there_fits_nothing() {
        let entry = json!({
            "timestamp": "2026-01-01T00:00:05Z", "httpRequest": {"status": 503},
            "resource": {"labels": {"service_name": "api"}},
        });
        let fits = |text: &str| Filter::parse(text).unwrap().fits(&entry);
        assert!(fits("httpRequest.status>=500 AND timestamp>=\"2026-01-01T00:00:05.000Z\""));
        assert!(fits("resource.labels.service_name=(\"web\" OR \"api\") timestamp<\"2026-01-01T00:00:06Z\""));
        assert!(!fits("httpRequest.status>=504"));
        assert!(!fits("httpRequest.latency>\"1s\""));
        assert!(fits("NOT resource.labels.service_name=\"web\""));
        assert!(fits("(httpRequest.status>=504 OR resource.labels.service_name:\"ap\") AND httpRequest.status<504"));
        assert!(!fits("(httpRequest.status>=504 OR resource.labels.service_name=\"web\")"));
        assert!(Filter::parse("(a=1 AND b=2)").is_err() && Filter::parse("(a=1").is_err());
        assert!(Filter::parse("sample(insertId, 0.1)").is_err());
        assert!(Filter::parse("?").is_err());
    }
}
