//! Monitoring filters: comparisons of labels, joined by AND.

use regex::Regex;
use std::sync::LazyLock;

use super::series::{ALL, Labels};
use crate::google::problem::Problem;

/// A comparison, after the AND before it: a field, and a value or a function of values.
static TERM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"^\s*(?:AND\s+)?(NOT\s+|-)?([\w."]+)\s*(!?=)\s*(?:"((?:[^"\\]|\\.)*)"|([\w.-]+)\(([^)]*)\)|([^\s"()]+))"#,
    )
    .ok()
});

#[derive(Debug)]
enum Test {
    OneOf(Vec<String>),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    Matches(Regex),
}

impl Test {
    fn of(function: &str, values: Vec<String>) -> Result<Self, Problem> {
        let one = values.first().cloned().unwrap_or_default();
        Ok(match function {
            "one_of" => Self::OneOf(values),
            "starts_with" => Self::StartsWith(one),
            "ends_with" => Self::EndsWith(one),
            "has_substring" => Self::Contains(one),
            "monitoring.regex.full_match" => {
                let bad = |e| Problem::field("filter", format!("{one:?} is no regular expression: {e}"));
                Self::Matches(Regex::new(&format!("^(?:{one})$")).map_err(bad)?)
            }
            other => return Err(Problem::unimplemented(&format!("the function {other} in a filter"))),
        })
    }

    fn holds(&self, value: &str) -> bool {
        match self {
            Self::OneOf(values) => values.iter().any(|v| v == value),
            Self::StartsWith(prefix) => value.starts_with(prefix),
            Self::EndsWith(suffix) => value.ends_with(suffix),
            Self::Contains(part) => value.contains(part),
            Self::Matches(regex) => regex.is_match(value),
        }
    }
}

#[derive(Debug)]
struct Term {
    label: String,
    test: Test,
    wanted: bool,
}

/// Which series are meant.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) metric: String,
    terms: Vec<Term>,
}

/// `resource.label.x`, `resource.labels.x` and `resource.labels."x"` are the same label.
pub(super) fn label(field: &str) -> String {
    let field = field.replace('"', "");
    let singular =
        |kind: &str| field.strip_prefix(&format!("{kind}.label.")).map(|name| format!("{kind}.labels.{name}"));
    singular("metric").or_else(|| singular("resource")).unwrap_or(field)
}

/// Which types of metrics are meant.
#[derive(Debug)]
pub(super) struct Types(Vec<Term>);

impl Types {
    /// None: all.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, Problem> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let terms = terms(text)?;
        match terms.iter().all(|term| term.label == "metric.type") {
            true => Ok(Some(Self(terms))),
            false => Err(Problem::unimplemented(&format!("the filter {text}"))),
        }
    }

    pub(super) fn fits(&self, metric: &str) -> bool {
        self.0.iter().all(|term| term.test.holds(metric) == term.wanted)
    }
}

/// The comparisons of a filter.
fn terms(text: &str) -> Result<Vec<Term>, Problem> {
    let bad = |what: &str| Problem::field("filter", format!("it is not understood: {what}"));
    let term = TERM.as_ref().ok_or_else(|| bad(text))?;
    let (mut terms, mut rest) = (vec![], text.trim());
    while !rest.is_empty() {
        if rest.starts_with("OR ") || rest.starts_with('(') {
            return Err(Problem::unimplemented("OR and parentheses in a filter"));
        }
        let found = term.captures(rest).ok_or_else(|| bad(rest))?;
        let part = |index: usize| found.get(index).map(|m| m.as_str());
        let (function, values) = match (part(4).or(part(7)), part(5), part(6)) {
            (Some(one), ..) => ("one_of", vec![one.replace("\\\"", "\"")]),
            (None, Some(name), list) => {
                let values = list.unwrap_or_default().split(',');
                (name, values.map(|v| v.trim().trim_matches('"').to_string()).collect())
            }
            _ => return Err(bad(rest)),
        };
        let wanted = part(1).is_some() == (part(3) == Some("!="));
        terms.push(Term { label: label(part(2).unwrap_or_default()), test: Test::of(function, values)?, wanted });
        rest = rest.get(found.get(0).map_or(rest.len(), |m| m.end())..).unwrap_or_default().trim_start();
    }
    Ok(terms)
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let bad = |what: &str| Problem::field("filter", format!("it is not understood: {what}"));
        let mut filter = Self { metric: String::new(), terms: vec![] };
        for term in terms(text)? {
            match (term.label.as_str(), &term.test) {
                ("metric.type", Test::OneOf(values)) if term.wanted => filter.metric = values.concat(),
                ("resource.type", Test::OneOf(values)) if term.wanted && *values == ["cloud_run_revision"] => {}
                ("project", _) if term.wanted => {}
                (l, _) if l.starts_with("resource.labels.") || l.starts_with("metric.labels.") => {
                    filter.terms.push(term);
                }
                (other, _) => return Err(bad(other)),
            }
        }
        match filter.metric.as_str() {
            known if ALL.contains(&known) => Ok(filter),
            "" => Err(Problem::field("filter", "it must name one metric: metric.type = \"…\"")),
            other => Err(Problem::missing(format!("Cannot find metric(s) that match type = \"{other}\"."))),
        }
    }

    pub(super) fn fits(&self, labels: &Labels) -> bool {
        self.terms.iter().all(|term| labels.get(&term.label).is_some_and(|v| term.test.holds(v)) == term.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_joined_by_and() {
        let text = r#"metric.type = "run.googleapis.com/request_count" AND resource.label.service_name="api"
            metric.labels.response_code_class != "5xx" AND resource.labels.revision_name = one_of("a", "b")
            AND NOT resource.labels.location = starts_with("us-")"#;
        let filter = Filter::parse(text).unwrap();
        let labels = |revision: &str, class: &str, location: &str| {
            Labels::from([
                ("resource.labels.service_name".into(), "api".into()),
                ("resource.labels.revision_name".into(), revision.into()),
                ("resource.labels.location".into(), location.into()),
                ("metric.labels.response_code_class".into(), class.into()),
            ])
        };
        assert!(filter.fits(&labels("a", "2xx", "europe-west1")));
        assert!(!filter.fits(&labels("c", "2xx", "europe-west1")));
        assert!(!filter.fits(&labels("a", "5xx", "europe-west1")));
        assert!(!filter.fits(&labels("a", "2xx", "us-west4")));
        assert!(Filter::parse("resource.type = \"cloud_run_revision\"").is_err(), "no metric");
    }
}
