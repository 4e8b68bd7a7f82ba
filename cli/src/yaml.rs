//! YAML that every reader reads alike: kubectl, Helm and Argo CD take words such as `on` and `y` for booleans, and `1_000` for a number,
//! where they are not quoted.

use serde_json::Value;

/// Words that are something else than text to one reader or another.
const WORDS: [&str; 12] = ["y", "yes", "on", "true", "n", "no", "off", "false", "null", "~", "nan", "inf"];

/// A text: bare where it can't be taken for anything else.
fn text(text: &str) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '@');
    let is_word = WORDS.contains(&text.to_lowercase().as_str());
    match starts && text.chars().all(plain) && !is_word {
        true => text.to_string(),
        // What JSON quotes is a text in YAML, too.
        false => Value::from(text).to_string(),
    }
}

fn is_scalar(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(plain) => text(plain),
        other => other.to_string(),
    }
}

fn write(value: &Value, indent: usize, lines: &mut Vec<String>) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                match is_scalar(inner) {
                    true => lines.push(format!("{pad}{}: {}", text(key), scalar(inner))),
                    false => {
                        lines.push(format!("{pad}{}:", text(key)));
                        write(inner, indent + if inner.is_array() { 0 } else { 2 }, lines);
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                match is_scalar(item) {
                    true => lines.push(format!("{pad}- {}", scalar(item))),
                    false => {
                        let first = lines.len();
                        write(item, indent + 2, lines);
                        if let Some(line) = lines.get_mut(first) {
                            line.replace_range(indent..=indent, "-");
                        }
                    }
                }
            }
        }
        other => lines.push(format!("{pad}{}", scalar(other))),
    }
}

/// A document.
pub fn document(value: &Value) -> String {
    let mut lines = vec![];
    write(value, 0, &mut lines);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_and_no_text_is_something_else() {
        let value = json!({
            "y": "yes", "on": {"1": "1_000", "a b": "c: d", "e": "#f", "g": ""}, "list": [["x", "0x1f"], {"k": [], "m": {}}, "- no"],
            "lines": "a\nb\"c\\", "number": 8, "switch": true, "none": null, "image": "us-docker.pkg.dev/x/y:1", "é": "ключ",
        });
        let written = document(&value);
        assert_eq!(serde_yaml_ng::from_str::<Value>(&written).unwrap(), value, "{written}");
        for bare in [" y:", " on:", ": yes\n", ": 1_000", "- no\n"] {
            assert!(!format!(" {written}").contains(bare), "{bare}: {written}");
        }
    }
}
