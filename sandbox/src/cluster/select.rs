//! Label and field selectors.

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
}

impl Selector {
    /// Reads selectors, the fields in the kind's own words.
    pub(super) fn parse(kind: &Kind, labels: Option<&str>, fields: Option<&str>) -> Result<Self, Refusal> {
        let mut fields = requirements(fields.unwrap_or(""))?;
        for field in &mut fields {
            let known = matches!(field.key.as_str(), "metadata.name" | "metadata.namespace");
            if !known && !kind.selectable.contains(&field.key) {
                return Err(Refusal::bad_request(format!("field label not supported: {}", field.key)));
            }
            field.key = stored_field(kind, &field.key);
        }
        Ok(Self { labels: requirements(labels.unwrap_or(""))?, fields })
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
        }
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (vec![], 0, 0);
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|p| !p.is_empty()).collect()
}

fn requirements(text: &str) -> Result<Vec<Requirement>, Refusal> {
    split(text).into_iter().map(requirement).collect()
}

fn requirement(text: &str) -> Result<Requirement, Refusal> {
    let is = |key: &str, test| Requirement { key: key.trim().to_string(), test };
    let one = |value: &str| vec![value.trim().to_string()];
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(is(key, Test::NotIn(one(value))));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        if value.starts_with('=') {
            return Err(Refusal::bad_request("unable to parse requirement: found '=', expected: identifier"));
        }
        return Ok(is(key, Test::In(one(value))));
    }
    let words: Vec<&str> = text.splitn(3, ' ').collect();
    let set = |list: &str| {
        let inner = list.trim().trim_start_matches('(').trim_end_matches(')');
        inner.split(',').map(|v| v.trim().to_string()).collect()
    };
    match words.as_slice() {
        [key, "in", list] => Ok(is(key, Test::In(set(list)))),
        [key, "notin", list] => Ok(is(key, Test::NotIn(set(list)))),
        [key] => Ok(match key.strip_prefix('!') {
            Some(key) => is(key, Test::Absent),
            None => is(key, Test::Exists),
        }),
        _ => Err(Refusal::bad_request(format!("unable to parse requirement: {text}"))),
    }
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
