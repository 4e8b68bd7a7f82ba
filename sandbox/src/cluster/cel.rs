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

/// Text literals, or a call of what the library here has as functions, and Kubernetes as methods of lists only.
static CALLED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?:^|[^.\w])((?:max|min)\()"#).ok());

/// What is wrong with the rules of a schema.
pub(super) fn check_rules(schema: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    walk(schema, "spec.validation.openAPIV3Schema", &mut causes);
    causes
}

fn walk(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (index, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let text = rule["rule"].as_str().unwrap_or_default();
        let field = undefined(schema, text).map(|(at, field)| (at, format!("undefined field '{field}'")));
        let call =
            || undeclared(text).map(|(at, name)| (at, format!("undeclared reference to '{name}' (in container '')")));
        if let Some((at, what)) = field.or_else(call) {
            let place = format!("{path}.x-kubernetes-validations[{index}].rule");
            causes.push(Cause::invalid(&place, format!("{}: {}", shown(rule), error(text, at, &what))));
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
            let unescaped = name.replace("__dash__", "-").replace("__dot__", ".").replace("__slash__", "/");
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

/// The first function that a rule calls and Kubernetes does not have, and where its parenthesis is.
fn undeclared(rule: &str) -> Option<(usize, String)> {
    let call = CALLED.as_ref()?.captures_iter(rule).find_map(|found| found.get(1))?;
    let name = call.as_str().trim_end_matches('(');
    Some((call.start() + name.len(), name.to_string()))
}

fn error(rule: &str, at: usize, what: &str) -> String {
    let dots = ".".repeat(at);
    format!("compilation failed: ERROR: <input>:1:{}: {what}\n | {rule}\n | {dots}^", at + 1)
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
    fn what_kubernetes_has_as_methods_only_is_no_function() {
        let called = |rule: &str| undeclared(rule).map(|(_, name)| name);
        assert_eq!(called("max([1, 2]) > 1").as_deref(), Some("max"));
        assert_eq!(called("1 < min([self.a, 2])").as_deref(), Some("min"));
        for fine in ["[1, 2].max() > 1", "self.max == 1", "climax(1)", "'max(1)' == self"] {
            assert_eq!(called(fine), None, "{fine}");
        }
    }

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
