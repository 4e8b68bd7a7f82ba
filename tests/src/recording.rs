//! Exchanges recorded with a real kube-apiserver, and whether an answer equals a recorded one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orchestra_sandbox::exchange::{Content, Reply};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A name that the recorded server made up.
const GENERATED: &str = "gen-t6hkg";
/// What `<time>` was in requests.
const TIME: &str = "2026-01-01T00:00:00.000000Z";

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"<(?:uid|rv)-\d+>|gen-t6hkg|eyJ2[\w-]+").unwrap());
static VERSION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(current: |in record \(|resource version: 1 \()\d+").unwrap());

#[derive(Debug, Deserialize)]
pub struct Recording {
    pub exchanges: Vec<Exchange>,
}

#[derive(Debug, Deserialize)]
pub struct Exchange {
    pub name: String,
    pub request: Asked,
    pub response: Answered,
}

#[derive(Debug, Deserialize)]
pub struct Asked {
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub accept: String,
    #[serde(default, rename = "contentType")]
    pub content_type: String,
    #[serde(default)]
    pub body: Value,
}

#[derive(Debug, Deserialize)]
pub struct Answered {
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Value,
    pub events: Option<Vec<Value>>,
    pub text: Option<String>,
    /// One entry of an index of paths.
    pub entry: Option<Map<String, Value>>,
    /// One item of a list.
    pub item: Option<Vec<Value>>,
}

/// What the placeholders of the recordings stand for in this run.
#[derive(Debug)]
pub struct Placeholders(BTreeMap<String, String>);

impl Default for Placeholders {
    fn default() -> Self {
        let known = [("<rv-11>", "999999999"), ("<rv-18>", "1"), ("<uid-12>", "00000000-0000-0000-0000-000000000012")];
        Self(known.into_iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }
}

impl Placeholders {
    /// A recorded text with what its placeholders stand for here.
    pub fn filled(&self, text: &str) -> String {
        let known =
            |found: &regex::Captures<'_>| self.0.get(&found[0]).cloned().unwrap_or_else(|| found[0].to_string());
        PLACEHOLDER.replace_all(&text.replace("<time>", TIME), known).into_owned()
    }

    /// Differences between an answer and a recorded one.
    pub async fn differences(&mut self, recorded: &Answered, reply: Reply) -> Vec<String> {
        let mut found = vec![];
        self.compare("status", &json!(recorded.status), &json!(reply.status), &mut found);
        let headers: BTreeMap<&str, &str> = reply.headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        for name in ["warning", "retry-after"] {
            let (theirs, ours) = (recorded.headers.get(name).map(String::as_str), headers.get(name).copied());
            self.compare(name, &json!(theirs), &json!(ours), &mut found);
        }
        match reply.content {
            Content::Json(body) => self.compare_document(recorded, &body, &mut found),
            Content::JsonText(text) => {
                let body = serde_json::from_str(&text).unwrap();
                self.compare_document(recorded, &body, &mut found);
            }
            Content::Text(text) => self.compare("text", &json!(recorded.text), &json!(text), &mut found),
            Content::Bytes { .. } => found.push("bytes".into()),
            Content::Stream(mut stream) => {
                let mut events = vec![];
                while let Some(event) = stream.recv().await {
                    events.push(event);
                }
                let alone = if recorded.body.is_null() { vec![] } else { vec![recorded.body.clone()] };
                let theirs = recorded.events.clone().unwrap_or(alone);
                self.compare("events", &Value::Array(theirs), &Value::Array(events), &mut found);
            }
        }
        found
    }

    fn compare_document(&mut self, recorded: &Answered, body: &Value, found: &mut Vec<String>) {
        if let Some(entry) = &recorded.entry {
            for (path, theirs) in entry {
                self.compare(path, theirs, &body["paths"][path], found);
            }
        } else if let Some(items) = &recorded.item {
            for theirs in items {
                let all = body["items"].as_array().cloned().unwrap_or_default();
                let ours = all.into_iter().find(|i| i["metadata"] == theirs["metadata"]).unwrap_or(Value::Null);
                self.compare("item", theirs, &ours, found);
            }
        } else {
            self.compare("body", &recorded.body, body, found);
        }
    }

    fn compare(&mut self, path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
        match (theirs, ours) {
            (Value::Object(a), Value::Object(b)) => {
                let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for name in names {
                    match (a.get(name), b.get(name)) {
                        (Some(a), Some(b)) => self.compare(&format!("{path}.{name}"), a, b, found),
                        (Some(a), None) => found.push(format!("{path}.{name}: missing {a}")),
                        (None, Some(b)) => found.push(format!("{path}.{name}: too much {b}")),
                        (None, None) => {}
                    }
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (index, (a, b)) in a.iter().zip(b).enumerate() {
                    self.compare(&format!("{path}[{index}]"), a, b, found);
                }
            }
            (Value::String(a), Value::String(b)) if self.same(a, b) => {}
            (a, b) if a == b => {}
            (a, b) => found.push(format!("{path}: recorded {a}, here {b}")),
        }
    }

    /// Whether a text is what was recorded; the same placeholder always stands for the same.
    fn same(&mut self, theirs: &str, ours: &str) -> bool {
        match theirs {
            "<time>" => return ours.parse::<jiff::Timestamp>().is_ok(),
            "<token>" | "<description>" => return true,
            _ => {}
        }
        let whole = PLACEHOLDER.find(theirs).is_some_and(|found| found.as_str() == theirs);
        if !whole {
            let without_versions = |text: &str| VERSION.replace_all(text, "${1}N").into_owned();
            return without_versions(&self.filled(theirs)) == without_versions(ours);
        }
        if theirs.starts_with("eyJ2") && !self.same_page(theirs, ours) {
            return false;
        }
        let known = self.0.entry(theirs.to_string()).or_insert_with(|| ours.to_string()).clone();
        known == ours
    }

    fn same_page(&self, theirs: &str, ours: &str) -> bool {
        let start = |token: &str| -> Option<String> {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
            let page: Value = serde_json::from_slice(&bytes).ok()?;
            Some(format!("{} {}", page["v"], page["start"]))
        };
        let generated = self.0.get(GENERATED).cloned().unwrap_or_default();
        start(theirs).map(|start| start.replace(GENERATED, &generated)) == start(ours)
    }

    /// What a placeholder stands for.
    pub fn get(&self, placeholder: &str) -> Option<&str> {
        self.0.get(placeholder).map(String::as_str)
    }
}
