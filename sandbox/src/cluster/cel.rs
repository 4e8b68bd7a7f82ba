//! Rules of CRDs as the real server checks them when a CRD is made: it knows the types, and refuses a rule that names
//! a field the schema does not have.

use regex::Regex;
use serde_json::{Value, json};
use std::sync::LazyLock;

use super::refusal::Cause;

/// Text literals, or `self` and the fields named after it.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\b(?:self|oldSelf)(?:\.[A-Za-z_]\w*)+\(?"#).ok()
});

/// What is wrong with the rules of a schema.
pub(super) fn check_rules(schema: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    walk(schema, "spec.validation.openAPIV3Schema", &mut causes);
    causes
}

fn walk(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (index, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let text = rule["rule"].as_str().unwrap_or_default();
        if let Some((at, field)) = undefined(schema, text) {
            let place = format!("{path}.x-kubernetes-validations[{index}].rule");
            causes.push(Cause::invalid(&place, format!("{}: {}", shown(rule), error(text, at, &field))));
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.properties[{name}]"), causes);
    }
    for below in ["items", "additionalProperties"] {
        if schema[below].is_object() {
            walk(&schema[below], &format!("{path}.{below}"), causes);
        }
    }
}

/// The first field that a rule names and the schema does not have, and where its dot is.
fn undefined(schema: &Value, rule: &str) -> Option<(usize, String)> {
    for found in NAMED.as_ref()?.find_iter(rule).filter(|found| !found.as_str().starts_with(['"', '\''])) {
        let is_call = found.as_str().ends_with('(');
        let mut names: Vec<&str> = found.as_str().trim_end_matches('(').split('.').collect();
        if is_call {
            names.pop();
        }
        let (mut node, mut at) = (schema, found.start() + names.first()?.len());
        for name in names.iter().skip(1) {
            let open = node["x-kubernetes-preserve-unknown-fields"] == true || node["properties"].is_null();
            if open && node["additionalProperties"].is_null() && node["type"] != "string" {
                break;
            }
            let unescaped = name.replace("__dash__", "-").replace("__dot__", ".");
            match node["properties"].get(&unescaped).or_else(|| node.get("additionalProperties")) {
                Some(property) => node = property,
                None if matches!(unescaped.as_str(), "apiVersion" | "kind" | "metadata") => break,
                None => return Some((at, name.to_string())),
            }
            at += 1 + name.len();
        }
    }
    None
}

fn error(rule: &str, at: usize, field: &str) -> String {
    let dots = ".".repeat(at);
    format!("compilation failed: ERROR: <input>:1:{}: undefined field '{field}'\n | {rule}\n | {dots}^", at + 1)
}

/// A rule as the real server prints it.
fn shown(rule: &Value) -> String {
    let text = |field: &str| json!(rule[field].as_str().unwrap_or_default()).to_string();
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        rule["reason"],
        text("fieldPath"),
        rule["optionalOldSelf"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unknown_fields_are_refused() {
        let schema = json!({"type": "object", "properties": {
            "name": {"type": "string"}, "steps": {"type": "array"}, "open": {"x-kubernetes-preserve-unknown-fields": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }});
        for (rule, expected) in [
            ("self.name == 'self.nope'", None),
            ("self.name.startsWith('x') && self.steps.all(s, s.w > 1)", None),
            ("self.open.anything == 1 && self.labels.x == ''", None),
            ("self.name == oldSelf.nme", Some("nme")),
            ("has(self.nope)", Some("nope")),
        ] {
            assert_eq!(undefined(&schema, rule).map(|(_, field)| field).as_deref(), expected, "{rule}");
        }
    }
}
