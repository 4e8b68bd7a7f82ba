//! Labels, annotations, finalizers and owners: what may be in them.

use regex::Regex;
use serde_json::Value;
use std::sync::LazyLock;

use super::super::refusal::Cause;
use super::super::write::text;
use super::{IS_SUBDOMAIN, SUBDOMAIN};

const NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const EXAMPLES: &str = "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is";
/// Most bytes of all annotations together.
const ANNOTATIONS: usize = 256 * 1024;

static IS_NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("^{NAME}$")).ok());
static IS_VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("^{VALUE}$")).ok());

fn fits(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// What is wrong with a name that may have a prefix: `example.com/name`.
pub(in super::super) fn qualified(name: &str) -> Vec<String> {
    const ALLOWED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let mut wrong = vec![];
    let parts: Vec<&str> = name.split('/').collect();
    let last = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_string());
            } else {
                if prefix.len() > 253 {
                    wrong.push("prefix part must be no more than 253 bytes".into());
                }
                if !fits(&IS_SUBDOMAIN, prefix) {
                    wrong.push(format!(
                        "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
                         '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
                         used for validation is '{SUBDOMAIN}')"
                    ));
                }
            }
            *name
        }
        _ => {
            return vec![format!(
                "a valid label key {ALLOWED} {EXAMPLES} '{NAME}') with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
    };
    if last.is_empty() {
        wrong.push("name part must be non-empty".into());
    } else if last.len() > 63 {
        wrong.push("name part must be no more than 63 bytes".into());
    }
    if !fits(&IS_NAME, last) {
        wrong.push(format!("name part {ALLOWED} {EXAMPLES} '{NAME}')"));
    }
    wrong
}

pub(in super::super) fn label_value(value: &str) -> Vec<String> {
    let mut wrong = vec![];
    if value.len() > 63 {
        wrong.push("must be no more than 63 bytes".to_string());
    }
    if !fits(&IS_VALUE, value) {
        wrong.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
             validation is '{VALUE}')"
        ));
    }
    wrong
}

fn each(path: &str, value: &str, wrong: Vec<String>) -> impl Iterator<Item = Cause> {
    wrong.into_iter().map(move |why| Cause::invalid(path, format!("{value:?}: {why}")))
}

/// What is wrong with labels, annotations and owners.
pub(super) fn check(metadata: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        causes.extend(each("metadata.labels", key, qualified(key)));
        causes.extend(each("metadata.labels", text(value), label_value(text(value))));
    }
    let annotations = metadata["annotations"].as_object();
    for key in annotations.into_iter().flat_map(|all| all.keys()) {
        causes.extend(each("metadata.annotations", key, qualified(&key.to_lowercase())));
    }
    let bytes: usize = annotations.into_iter().flatten().map(|(key, value)| key.len() + text(value).len()).sum();
    if bytes > ANNOTATIONS {
        let message = format!("Too long: may not be more than {ANNOTATIONS} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", field: "metadata.annotations".into(), message });
    }
    causes.extend(owners(&metadata["ownerReferences"]));
    causes
}

fn owners(references: &Value) -> Vec<Cause> {
    const FIELD: &str = "metadata.ownerReferences";
    let mut causes = vec![];
    let mut controller: Option<String> = None;
    for owner in references.as_array().into_iter().flatten() {
        let (version, kind) = (text(&owner["apiVersion"]), text(&owner["kind"]));
        if version.matches('/').count() > 1 || version.rsplit('/').next().is_none_or(str::is_empty) {
            causes.push(Cause::invalid(
                &format!("{FIELD}.apiVersion"),
                format!("{version:?}: version must not be empty"),
            ));
        }
        for field in ["kind", "name", "uid"] {
            if text(&owner[field]).is_empty() {
                causes.push(Cause::invalid(&format!("{FIELD}.{field}"), "\"\": must not be empty"));
            }
        }
        if (version, kind) == ("v1", "Event") {
            causes.push(Cause::invalid(FIELD, format!("{owner}: /v1, Kind=Event is disallowed from being an owner")));
        }
        if owner["controller"] == true {
            let name = format!("{kind}/{}", text(&owner["name"]));
            match &controller {
                None => controller = Some(name),
                Some(first) => causes.push(Cause::invalid(
                    FIELD,
                    format!(
                        "{references}: Only one reference can have Controller set to true. Found \"true\" in references \
                         for {first} and {name}"
                    ),
                )),
            }
        }
    }
    causes
}

/// What is wrong with the finalizers of a new object.
pub(super) fn finalizers(names: &[&str]) -> Vec<Cause> {
    const FIELD: &str = "metadata.finalizers";
    let mut causes: Vec<Cause> = names.iter().flat_map(|name| each(FIELD, name, qualified(name))).collect();
    if names.contains(&"orphan") && names.contains(&"foregroundDeletion") {
        let all = Value::from(names.to_vec());
        causes
            .push(Cause::invalid(FIELD, format!("{all}: finalizer orphan and foregroundDeletion cannot be both set")));
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(metadata: Value) -> Vec<String> {
        check(&metadata).into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn keys_and_values_are_checked_as_the_real_server_does() {
        assert!(
            messages(json!({"labels": {"example.com/a_B": "x.y-z", "b": ""}, "annotations": {"A/B": "any thing"}}))
                .is_empty()
        );
        let told = messages(json!({"labels": {"a": "b c"}}));
        assert!(
            told[0].starts_with("metadata.labels: Invalid value: \"b c\": a valid label must be an empty string or"),
            "{told:?}"
        );
        let told = messages(json!({"annotations": {"a b": "c"}}));
        assert!(
            told[0].starts_with("metadata.annotations: Invalid value: \"a b\": name part must consist of"),
            "{told:?}"
        );
        assert_eq!(
            messages(json!({"labels": {"/a": "b"}})),
            ["metadata.labels: Invalid value: \"/a\": prefix part must be non-empty"]
        );
        assert_eq!(messages(json!({"ownerReferences": [{}]})).len(), 4);
        assert_eq!(finalizers(&["orphan", "foregroundDeletion"]).len(), 1);
    }
}
