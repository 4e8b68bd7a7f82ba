//! Label and field selectors.

mod labels;

use serde_json::Value;

use super::kinds::Kind;
use super::refusal::Refusal;

/// What a list or watch selects.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Reads selectors, the fields in the kind's own words.
    pub(super) fn parse(kind: &Kind, labels: Option<&str>, fields: Option<&str>) -> Result<Self, Refusal> {
        let mut fields = self::fields(fields.unwrap_or(""))?;
        for field in &mut fields {
            let known = matches!(field.key.as_str(), "metadata.name" | "metadata.namespace");
            if !known && !kind.selectable.contains(&field.key) {
                return Err(Refusal::bad_request(format!("field label not supported: {}", field.key)));
            }
            field.key = stored_field(kind, &field.key);
        }
        let labels = labels::parse(labels.unwrap_or("")).map_err(Refusal::bad_request)?;
        Ok(Self { labels, fields })
    }

    /// Whether it leaves nothing out.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn with_name(mut self, name: Option<&str>) -> Self {
        self.fields.extend(
            name.map(|name| Requirement { key: "metadata.name".into(), test: Test::In(vec![name.to_string()]) }),
        );
        self
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|r| r.test.holds(labels.get(&r.key).and_then(Value::as_str)))
            && self.fields.iter().all(|r| r.test.holds(Some(&field(object, &r.key))))
    }
}

/// Both event APIs show the same objects, stored in the words of the core group.
fn stored_field(kind: &Kind, field: &str) -> String {
    if kind.plural != "events" {
        return field.to_string();
    }
    match field {
        "source" => "source.component".into(),
        "reportingController" => "reportingComponent".into(),
        field => field.replace("regarding.", "involvedObject."),
    }
}

/// A field by its path; absent ones are empty, as field selectors have it.
fn field(object: &Value, path: &str) -> String {
    let pointer = format!("/{}", path.replace('.', "/"));
    match object.pointer(&pointer) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(values) => value.is_none_or(|v| values.iter().all(|w| w != v)),
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Above(bound) => value.and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v > *bound),
            Self::Below(bound) => value.and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v < *bound),
        }
    }
}

/// Splits at commas that no backslash stands before.
fn terms(text: &str) -> Vec<String> {
    let (mut terms, mut term, mut escaped) = (vec![], String::new(), false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                continue;
            }
            ',' => {
                terms.push(std::mem::take(&mut term));
                continue;
            }
            _ => {}
        }
        term.push(c);
    }
    terms.push(term);
    terms.retain(|term| !term.is_empty());
    terms
}

/// Field selectors know equality only.
fn fields(text: &str) -> Result<Vec<Requirement>, Refusal> {
    let requirement = |term: String| {
        let split = |operator: &str| term.split_once(operator).map(|(key, value)| (key.len(), key, value));
        let parts = [("!=", false), ("==", true), ("=", true)].into_iter().filter_map(|(operator, equal)| {
            let (at, key, value) = split(operator)?;
            Some((at, key.to_string(), vec![value.to_string()], equal))
        });
        // The first operator in the text counts.
        let first = parts.min_by_key(|(at, ..)| *at);
        let Some((_, key, values, equal)) = first else {
            let message = format!("invalid selector: '{text}'; can't understand '{term}'");
            return Err(Refusal::bad_request(message));
        };
        Ok(Requirement { key, test: if equal { Test::In(values) } else { Test::NotIn(values) } })
    };
    terms(text).into_iter().map(requirement).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::kinds::Kinds;
    use serde_json::json;

    #[test]
    fn selectors_select() {
        let object = json!({"metadata": {"name": "a", "labels": {"app": "api", "tier": "x"}}});
        for (labels, fields, expected) in [
            ("app=api", "", true),
            ("app!=api", "", false),
            ("app in (ui, api),tier", "", true),
            ("app notin (api)", "", false),
            ("!missing", "metadata.name=a", true),
            ("", "metadata.name!=a", false),
            ("", "status.phase=", true),
            ("", "status.phase=Active", false),
        ] {
            let kind = Kinds::built_in().find("", "v1", "namespaces").unwrap();
            let selector = Selector::parse(&kind, Some(labels), Some(fields)).unwrap();
            assert_eq!(selector.matches(&object), expected, "{labels} {fields}");
        }
    }
}
