//! Whether a configuration that is applied has the types of its schema, told in the words of structured-merge-diff.

use serde_json::Value;
use std::collections::BTreeSet;

use super::super::go;
use super::typed::{UNKNOWN, field, is_open};

/// What is wrong with a configuration; None: nothing.
pub(super) fn check(schema: &Value, config: &Value) -> Option<String> {
    let mut wrong = vec![];
    walk(schema, config, "", &mut wrong);
    match wrong.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        all => Some(format!("errors:\n  {}", all.join("\n  "))),
    }
}

fn tell(path: &str, what: &str) -> String {
    if path.is_empty() { what.to_string() } else { format!("{path}: {what}") }
}

fn walk(schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    if value.is_null() || (is_open(schema) && schema["properties"].is_null()) {
        return;
    }
    let expected = |what: &str| tell(path, &format!("expected {what}, got &{{{}}}", go::plain(value)));
    match (schema["type"].as_str(), value) {
        _ if schema["x-kubernetes-int-or-string"] == true => {}
        (Some("object"), Value::Object(fields)) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                // The real server looks no further then.
                let Some(schema) = field(schema, name) else {
                    return wrong.push(tell(&path, "field not declared in schema"));
                };
                walk(schema, value, &path, wrong);
            }
        }
        (Some("object"), _) => wrong.push(expected("map")),
        (Some("array"), Value::Array(items)) => walk_items(schema, items, path, wrong),
        (Some("array"), _) => wrong.push(expected("list")),
        (Some("integer" | "number"), Value::Number(_))
        | (Some("string"), Value::String(_))
        | (Some("boolean"), Value::Bool(_)) => {}
        (Some("integer" | "number"), other) => {
            wrong.push(tell(path, &format!("expected numeric (int or float), got {}", go::type_name(other))));
        }
        (Some("string"), other) => wrong.extend(wrong_text(schema, other).map(|what| tell(path, &what))),
        (Some("boolean"), _) => wrong.push(expected("boolean")),
        _ => {}
    }
}

/// What is wrong where a text should be. With a format, the real server takes any scalar here.
fn wrong_text(schema: &Value, found: &Value) -> Option<String> {
    if schema["format"].is_string() && schema["format"] != "byte" {
        let is_scalar = !found.is_object() && !found.is_array();
        return (!is_scalar).then(|| format!("expected any scalar, got &{{{}}}", go::plain(found)));
    }
    Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go::source(found)))
}

fn walk_items(schema: &Value, items: &[Value], path: &str, wrong: &mut Vec<String>) {
    let of = schema.get("items").unwrap_or(UNKNOWN);
    let mut known = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let named = match schema["x-kubernetes-list-type"].as_str() {
            Some("map") => by_keys(schema, item),
            Some("set") => by_value(item),
            _ => Ok(format!("[{index}]")),
        };
        match named {
            Ok(named) => {
                if !known.insert(named.clone()) {
                    wrong.push(tell(path, &format!("duplicate entries for key {named}")));
                }
                walk(of, item, &format!("{path}{named}"), wrong);
            }
            // What can't be named can't be looked into either, nor can what follows it.
            Err(why) => return wrong.push(tell(path, &format!("element {index}: {why}"))),
        }
    }
}

fn by_keys(schema: &Value, item: &Value) -> Result<String, String> {
    if item.is_null() {
        return Err("associative list with keys may not have a null element".into());
    }
    if !item.is_object() {
        return Err("associative list with keys may not have non-map elements".into());
    }
    let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut named = vec![];
    for key in keys {
        let value = item.get(key).or_else(|| schema["items"]["properties"][key].get("default"));
        named.extend(value.map(|value| format!("{key}={value}")));
    }
    if named.is_empty() {
        // As Go prints a list of texts: each in quotes, with spaces between.
        let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
        let keys: Vec<String> = keys.map(Value::to_string).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values \
             for any key fields)",
            keys.join(" ")
        ));
    }
    named.sort();
    Ok(format!("[{}]", named.join(",")))
}

fn by_value(item: &Value) -> Result<String, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
        scalar => Ok(format!("[={scalar}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wrong_types_are_told_as_the_real_server_tells_them() {
        let text = json!({"type": "string"});
        let by_name = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                             "items": {"type": "object", "properties": {"name": text, "value": text}}});
        let numbers = json!({"type": "array", "items": {"type": "integer"}});
        let schema = json!({"type": "object", "properties": {"text": text, "env": by_name, "numbers": numbers}});
        for (config, said) in [
            (json!({"text": "a", "env": [{"name": "a"}], "numbers": [1, null]}), None),
            (json!({"other": 1}), Some(".other: field not declared in schema")),
            (
                json!({"text": {"a": "-x"}}),
                Some(
                    ".text: expected string, got &value.valueUnstructured{Value:map[string]interface {}{\"a\":\"-x\"}}",
                ),
            ),
            (json!({"env": "abc def"}), Some(".env: expected list, got &{abc def}")),
            (json!({"numbers": [["10"]]}), Some(".numbers[0]: expected numeric (int or float), got []interface {}")),
            (json!({"env": [{"name": "a"}, {"name": "a"}]}), Some(".env: duplicate entries for key [name=\"a\"]")),
            (json!({"env": ["x"]}), Some(".env: element 0: associative list with keys may not have non-map elements")),
            (
                json!({"env": 10.5, "text": []}),
                Some(
                    "errors:\n  .env: expected list, got &{10.5}\n  .text: expected string, got &value.valueUnstructured{Value:[]interface {}{}}",
                ),
            ),
        ] {
            assert_eq!(check(&schema, &config).as_deref(), said, "{config}");
        }
    }
}
