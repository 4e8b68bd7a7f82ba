//! Manifests in files: objects, and where each of their fields stands.

use saphyr::{LoadableYamlNode, MarkedYamlOwned};
use serde::Deserialize;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::args::FileArgs;
use crate::error::CliError;

/// Deepest nesting of folders that is looked into.
const DEEPEST: usize = 16;

/// One object of a file.
#[derive(Debug)]
pub struct Manifest {
    /// The file; `-` is the standard input.
    pub file: String,
    /// The object.
    pub object: Value,
    marked: MarkedYamlOwned,
}

impl Manifest {
    /// A field of it as text; empty: it has none.
    pub fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// `Rollout api`.
    pub fn title(&self) -> String {
        format!("{} {}", self.text("/kind"), self.text("/metadata/name")).trim_end().to_string()
    }

    /// Whether it is of Orchestra's API, in whatever version.
    pub fn is_ours(&self) -> bool {
        self.text("/apiVersion").split('/').next() == Some(orchestra_crds::GROUP)
    }

    /// The line of a field, written `spec.steps[0].weight`; where there is no such field, that of what it would be in.
    pub fn line(&self, field: &str) -> usize {
        let (mut node, mut line) = (&self.marked, self.marked.span.start.line());
        for part in field.split(['.', '[']).map(|part| part.trim_end_matches(']')).filter(|part| !part.is_empty()) {
            let inner = match part.parse::<usize>() {
                Ok(index) => node.data.as_sequence_get(index).map(|inner| (inner, inner.span.start.line())),
                Err(_) => node.data.as_mapping().and_then(|fields| {
                    let own = fields.iter().find(|(key, _)| key.data.as_str() == Some(part));
                    own.map(|(key, inner)| (inner, key.span.start.line()))
                }),
            };
            let Some(inner) = inner else { return line };
            (node, line) = inner;
        }
        line
    }
}

/// The objects of files, of folders and, if asked, of folders in them, and for `-` of the standard input. Lists are taken
/// apart.
///
/// # Errors
/// When a file can't be read, or is no YAML.
pub fn read(of: &FileArgs) -> Result<Vec<Manifest>, CliError> {
    let (manifests, failed) = read_each(of)?;
    match failed.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(manifests),
    }
}

/// The same, with what is wrong with each file that can't be read.
///
/// # Errors
/// When a folder can't be looked into.
pub fn read_each(of: &FileArgs) -> Result<(Vec<Manifest>, Vec<CliError>), CliError> {
    let (mut manifests, mut failed) = (vec![], vec![]);
    let deepest = if of.recursive { DEEPEST } else { 1 };
    for path in &of.files {
        for file in files_of(path, deepest)? {
            match read_file(&file) {
                Ok(more) => manifests.extend(more),
                Err(error) => failed.push(error),
            }
        }
    }
    Ok((manifests, failed))
}

fn read_file(file: &Path) -> Result<Vec<Manifest>, CliError> {
    let name = file.display().to_string();
    let failed = |error: std::io::Error| CliError::File(name.clone(), error.to_string());
    let text = match name.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(failed)?;
            text
        }
        _ => std::fs::read_to_string(file).map_err(failed)?,
    };
    parse(&name, &text)
}

fn files_of(path: &Path, deepest: usize) -> Result<Vec<PathBuf>, CliError> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let Some(deepest) = deepest.checked_sub(1) else { return Ok(vec![]) };
    let failed = |error: std::io::Error| CliError::File(path.display().to_string(), error.to_string());
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
    let mut inner: Vec<PathBuf> = entries.map_err(failed)?.into_iter().map(|entry| entry.path()).collect();
    inner.sort();
    let is_manifest = |path: &Path| path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
    let mut files = vec![];
    for path in inner.iter().filter(|path| path.is_dir() || is_manifest(path)) {
        files.extend(files_of(path, deepest)?);
    }
    Ok(files)
}

/// kubectl reads YAML 1.1: these words are booleans there, where they stand without quotes.
const BOOLEANS: [(&str, bool); 6] =
    [("yes", true), ("on", true), ("y", true), ("no", false), ("off", false), ("n", false)];

/// A number in a form that only YAML 1.1 knows: octal with a leading 0, or with underscores.
fn number(word: &str) -> Option<i64> {
    let digits: String = word.chars().filter(|c| *c != '_').collect();
    let is_plain = !word.starts_with('_') && digits.chars().all(|c| c.is_ascii_digit()) && digits.len() > 1;
    let octal = digits.strip_prefix('0').filter(|_| is_plain);
    match octal {
        Some(octal) => i64::from_str_radix(octal, 8).ok(),
        None => digits.parse().ok().filter(|_| is_plain && word.contains('_')),
    }
}

/// Makes booleans and numbers of what kubectl takes for such.
fn as_kubectl_reads(value: &mut Value, marked: &MarkedYamlOwned, text: &str) {
    match value {
        Value::String(word) => {
            let meant = BOOLEANS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, meant)| *meant);
            let first = text.chars().nth(marked.span.start.index());
            if matches!(first, Some('"' | '\'' | '|' | '>')) {
                return;
            }
            if let Some(meant) = meant.map(Value::Bool).or_else(|| number(word).map(Value::from)) {
                *value = meant;
            }
        }
        Value::Array(items) => {
            let places = marked.data.as_sequence().into_iter().flatten();
            items.iter_mut().zip(places).for_each(|(item, place)| as_kubectl_reads(item, place, text));
        }
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                if let Some(place) = marked.data.as_mapping_get(name) {
                    as_kubectl_reads(inner, place, text);
                }
            }
        }
        _ => {}
    }
}

pub fn parse(file: &str, text: &str) -> Result<Vec<Manifest>, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::File(file.to_string(), error.to_string());
    let marked = MarkedYamlOwned::load_from_str(text).map_err(|error| failed(&error))?;
    let mut values = vec![];
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let mut document = serde_yaml_ng::Value::deserialize(document).map_err(|error| failed(&error))?;
        document.apply_merge().map_err(|error| failed(&error))?;
        values.push(serde_json::to_value(document).map_err(|error| failed(&error))?);
    }
    for (value, marked) in values.iter_mut().zip(&marked) {
        as_kubectl_reads(value, marked, text);
    }
    let mut manifests = vec![];
    for (object, marked) in values.into_iter().zip(marked) {
        let items = object["items"].as_array().filter(|_| object["kind"].as_str().is_some_and(|k| k.ends_with("List")));
        match (items, marked.data.as_mapping_get("items").and_then(|items| items.data.as_sequence())) {
            (Some(items), Some(places)) => {
                manifests.extend(items.iter().zip(places).map(|(item, place)| Manifest {
                    file: file.to_string(),
                    object: item.clone(),
                    marked: place.clone(),
                }));
            }
            _ if object.is_null() => {}
            _ => manifests.push(Manifest { file: file.to_string(), object, marked }),
        }
    }
    Ok(manifests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_knows_its_line_in_files_of_several_objects() {
        let text = "# one\nkind: Rollout\nmetadata:\n  name: a\n---\nkind: Rollout\nspec:\n  steps:\n  - weight: 1\n  - weight: 2\n";
        let manifests = parse("f", text).unwrap();
        assert_eq!(manifests.len(), 2);
        assert_eq!(manifests[0].line("metadata.name"), 4);
        assert_eq!(manifests[1].line("spec.steps[1].weight"), 10);
        assert_eq!(manifests[1].line("spec.steps[0].holdSeconds"), 9, "where it would be");
    }

    #[test]
    fn words_and_merges_are_read_as_kubectl_reads_them() {
        let text = "base: &base {a: 1}\nkind: X\nenv:\n- {name: A, value: on}\n- {name: B, value: 'on'}\n- {name: C, value: 0755}\n- {name: D, value: 1_000}\nmerged:\n  <<: *base\n  b: 2\n";
        let object = &parse("f", text).unwrap()[0].object;
        assert_eq!(object["env"][0]["value"], true);
        assert_eq!(object["env"][1]["value"], "on");
        assert_eq!((object["env"][2]["value"].as_i64(), object["env"][3]["value"].as_i64()), (Some(493), Some(1000)));
        assert_eq!(object["merged"], serde_json::json!({"a": 1, "b": 2}));
    }

    #[test]
    fn a_list_is_taken_apart_and_an_empty_document_is_none() {
        let text = "---\n---\napiVersion: v1\nkind: List\nitems:\n- kind: Rollout\n  metadata: {name: a}\n- kind: Rollout\n  metadata: {name: b}\n";
        let manifests = parse("f", text).unwrap();
        assert_eq!(manifests.iter().map(|m| m.text("/metadata/name")).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(manifests[1].line("metadata"), 9);
    }
}
