//! Versions of a secret: numbered from 1, and never changed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::secret::Secret;
use super::{Masked, PAGE};
use crate::google::page::page;
use crate::google::problem::Problem;
use crate::google::{Context, stamp};

/// Largest value.
const LARGEST: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Version {
    state: &'static str,
    created: Timestamp,
    destroyed: Option<Timestamp>,
    /// How often it was written; each write has an etag of its own.
    written: u32,
    /// Whether its writer sent a checksum.
    summed: bool,
    /// In base 64.
    payload: Masked,
}

impl Secret {
    pub(super) fn states(&self) -> Vec<&'static str> {
        self.versions.iter().map(|version| version.state).collect()
    }

    pub(super) fn is_usable(&self, version: &str) -> bool {
        self.number(version).is_some_and(|number| self.versions[number - 1].state == "ENABLED")
    }

    /// Adds a version; none is ever found again by its value.
    pub(super) fn add(&mut self, payload: String, now: Timestamp, summed: bool) -> usize {
        let payload = Masked(payload);
        self.versions.push(Version { state: "ENABLED", created: now, destroyed: None, written: 1, summed, payload });
        self.versions.len()
    }

    pub(super) fn add_version(&mut self, context: Context<'_>) -> Result<Value, Problem> {
        let body = context.body()?;
        let data = body["payload"]["data"].as_str().unwrap_or_default();
        let bytes = STANDARD.decode(data).map_err(|_| Problem::field("payload.data", "it is not base 64"))?;
        if bytes.is_empty() || bytes.len() > LARGEST {
            return Err(Problem::field("payload.data", format!("it must have 1 to {LARGEST} bytes")));
        }
        let sent = &body["payload"]["dataCrc32c"];
        let sum = sent.as_i64().or_else(|| sent.as_str()?.parse().ok());
        if sum.is_some_and(|sum| sum != i64::from(crc32c::crc32c(&bytes))) {
            return Err(Problem::field("payload.data_crc32c", "the data does not have this checksum"));
        }
        let number = self.add(data.to_string(), context.now, sum.is_some());
        Ok(self.version_document(number))
    }

    /// The number of a version: of the newest, by its alias, or as it says.
    fn number(&self, version: &str) -> Option<usize> {
        let alias = self.document["versionAliases"].get(version);
        let number = match (version, alias) {
            ("latest", _) => self.versions.len(),
            (_, Some(alias)) => alias.as_str()?.parse().ok()?,
            (number, None) => number.parse().ok()?,
        };
        (1..=self.versions.len()).contains(&number).then_some(number)
    }

    fn version_document(&self, number: usize) -> Value {
        let Some(version) = number.checked_sub(1).and_then(|i| self.versions.get(i)) else { return Value::Null };
        let name = self.document["name"].as_str().unwrap_or_default();
        let mut document = json!({
            "name": format!("{name}/versions/{number}"), "createTime": stamp(version.created), "state": version.state,
            "replicationStatus": {"automatic": {}}, "etag": format!("\"{number:x}{:04x}\"", version.written),
        });
        if version.summed {
            document["clientSpecifiedPayloadChecksum"] = json!(true);
        }
        if let Some(at) = version.destroyed {
            document["destroyTime"] = stamp(at);
        }
        document
    }

    /// Newest first.
    pub(super) fn list(&self, context: Context<'_>) -> Result<Value, Problem> {
        let filter = context.request.param("filter").unwrap_or_default();
        let state = filter.strip_prefix("state:").or(filter.strip_prefix("state=")).map(str::to_uppercase);
        if !filter.is_empty() && !state.as_deref().is_some_and(|s| matches!(s, "ENABLED" | "DISABLED" | "DESTROYED")) {
            return Err(Problem::unimplemented(&format!("the filter {filter}")));
        }
        let all = (1..=self.versions.len()).rev().map(|n| (format!("{n:09}"), self.version_document(n)));
        let fitting: Vec<(String, Value)> =
            all.filter(|(_, v)| state.as_ref().is_none_or(|s| v["state"] == s.as_str())).collect();
        let total = fitting.len();
        let mut listed = page(context.request, "versions", fitting, PAGE)?;
        listed["totalSize"] = json!(total);
        Ok(listed)
    }

    pub(super) fn version(&mut self, context: Context<'_>, version: &str, verb: &str) -> Result<Value, Problem> {
        let name = format!("{}/versions/{version}", self.document["name"].as_str().unwrap_or_default());
        let missing = || Problem::missing(format!("Secret Version [{name}] not found."));
        let number = self.number(version).ok_or_else(missing)?;
        let state = match (&context.request.method, verb) {
            (&Method::GET, "") => return Ok(self.version_document(number)),
            (&Method::GET, "access") => return self.access(number, &name),
            (&Method::POST, "enable") => "ENABLED",
            (&Method::POST, "disable") => "DISABLED",
            (&Method::POST, "destroy") => "DESTROYED",
            _ => return Err(Problem::unimplemented("this call on a secret version")),
        };
        let etag = context.body()?["etag"].as_str().unwrap_or_default().to_string();
        if !etag.is_empty() && self.version_document(number)["etag"] != etag.as_str() {
            return Err(Problem::precondition("The etag does not match the present one of the version."));
        }
        let found = &mut self.versions[number - 1];
        if found.state == "DESTROYED" {
            return Err(Problem::precondition(format!("Secret Version [{name}] is destroyed.")));
        }
        found.state = state;
        found.written += 1;
        if state == "DESTROYED" {
            found.destroyed = Some(context.now);
            found.payload.0.clear();
        }
        Ok(self.version_document(number))
    }

    fn access(&self, number: usize, name: &str) -> Result<Value, Problem> {
        let version = &self.versions[number - 1];
        if version.state != "ENABLED" {
            let message = format!("Secret Version [{name}] is in {} state.", version.state);
            return Err(Problem::precondition(message));
        }
        let bytes = STANDARD.decode(&version.payload.0).unwrap_or_default();
        Ok(json!({
            "name": self.version_document(number)["name"],
            "payload": {"data": version.payload.0, "dataCrc32c": crc32c::crc32c(&bytes).to_string()},
        }))
    }
}
