//! Manifests in files: objects, and where each of their fields stands.

use saphyr::{LoadableYamlNode, MarkedYamlOwned};
use serde::Deserialize;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

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
        format!("{} {}", self.text("/kind"), self.text("/metadata/name"))
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

/// The objects of files, folders and, for `-`, of the standard input. Lists are taken apart.
///
/// # Errors
/// When a file can't be read, or is no YAML.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Manifest>, CliError> {
    let mut manifests = vec![];
    for path in paths {
        for file in files_of(path, 0)? {
            let name = file.display().to_string();
            let failed = |why: String| CliError::File(name.clone(), why);
            let text = match name.as_str() {
                "-" => {
                    let mut text = String::new();
                    std::io::stdin().read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
                    text
                }
                _ => std::fs::read_to_string(&file).map_err(|error| failed(error.to_string()))?,
            };
            manifests.extend(parse(&name, &text)?);
        }
    }
    Ok(manifests)
}

fn files_of(path: &Path, depth: usize) -> Result<Vec<PathBuf>, CliError> {
    if !path.is_dir() || depth > DEEPEST {
        return Ok(vec![path.to_path_buf()]);
    }
    let failed = |error: std::io::Error| CliError::File(path.display().to_string(), error.to_string());
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
    let mut inner: Vec<PathBuf> = entries.map_err(failed)?.into_iter().map(|entry| entry.path()).collect();
    inner.sort();
    let is_manifest = |path: &Path| path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
    let mut files = vec![];
    for path in inner.iter().filter(|path| path.is_dir() || is_manifest(path)) {
        files.extend(files_of(path, depth + 1)?);
    }
    Ok(files)
}

fn parse(file: &str, text: &str) -> Result<Vec<Manifest>, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::File(file.to_string(), error.to_string());
    let marked = MarkedYamlOwned::load_from_str(text).map_err(|error| failed(&error))?;
    let values = serde_yaml_ng::Deserializer::from_str(text).map(Value::deserialize);
    let values: Vec<Value> = values.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
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
    fn a_list_is_taken_apart_and_an_empty_document_is_none() {
        let text = "---\n---\napiVersion: v1\nkind: List\nitems:\n- kind: Rollout\n  metadata: {name: a}\n- kind: Rollout\n  metadata: {name: b}\n";
        let manifests = parse("f", text).unwrap();
        assert_eq!(manifests.iter().map(|m| m.text("/metadata/name")).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(manifests[1].line("metadata"), 9);
    }
}
