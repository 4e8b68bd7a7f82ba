//! Lists of objects: those below a prefix, and with a delimiter the folders among them.

use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::{Bucket, with_kind};
use crate::exchange::Request;
use crate::google::page::turn;
use crate::google::problem::Problem;

/// Largest page.
const PAGE: usize = 1000;
/// What a list may be asked for, and is not served.
const UNSERVED: [&str; 4] = ["matchGlob", "versions", "softDeleted", "includeFoldersAsPrefixes"];

/// An object, or what several have in common up to the delimiter.
enum Entry<'a> {
    Object(&'a Value),
    Folder,
}

impl Bucket {
    pub(super) fn list(&self, request: &Request) -> Result<Value, Problem> {
        if let Some(key) = UNSERVED.iter().find(|key| request.param(key).is_some_and(|v| !v.is_empty() && v != "false"))
        {
            return Err(Problem::unimplemented(&format!("{key} in a list of objects")));
        }
        let prefix = request.param("prefix").unwrap_or_default();
        let delimiter = request.param("delimiter").filter(|delimiter| !delimiter.is_empty());
        let (start, end) = (request.param("startOffset").unwrap_or_default(), request.param("endOffset"));
        let end = end.filter(|end| !end.is_empty());
        let folder = |name: &str| -> Option<String> {
            let delimiter = delimiter?;
            let (folder, _) = name.strip_prefix(prefix)?.split_once(delimiter)?;
            Some(format!("{prefix}{folder}{delimiter}"))
        };
        let within = |name: &String| {
            name.starts_with(prefix) && name.as_str() >= start && end.is_none_or(|end| name.as_str() < end)
        };
        let mut entries: BTreeMap<String, Entry<'_>> = BTreeMap::new();
        for (name, object) in self.objects.iter().filter(|(name, _)| within(name)) {
            match folder(name) {
                Some(folder) => entries.insert(folder, Entry::Folder),
                None => entries.insert(name.clone(), Entry::Object(&object.document)),
            };
        }
        let named: Vec<(String, (String, Entry<'_>))> =
            entries.into_iter().map(|(name, entry)| (name.clone(), (name, entry))).collect();
        let (shown, next) = turn(&renamed(request), named, PAGE)?;
        let mut listed = json!({});
        for (name, entry) in shown {
            let (field, value) = match entry {
                Entry::Object(document) => ("items", document.clone()),
                Entry::Folder => ("prefixes", json!(name)),
            };
            match listed[field].as_array_mut() {
                Some(list) => list.push(value),
                None => listed[field] = json!([value]),
            }
        }
        if let Some(next) = next {
            listed["nextPageToken"] = json!(next);
        }
        Ok(with_kind("storage#objects", listed))
    }
}

/// Storage calls the size of a page by another name.
pub(super) fn renamed(request: &Request) -> Request {
    let mut request = request.clone();
    for (key, _) in request.query.iter_mut().filter(|(key, _)| key == "maxResults") {
        *key = "pageSize".into();
    }
    request
}
