//! Secret Manager.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::problem::Problem;
use super::{Context, stamp};

/// Begins the value of every secret that the sandbox makes up, for tests to look for where no secret may be.
pub const SECRET_MARKER: &str = "sandbox-secret-value-";

#[derive(Debug, Default)]
pub(super) struct Secrets(BTreeMap<(String, String), Secret>);

#[derive(Debug)]
struct Secret {
    document: Value,
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    state: &'static str,
    created: Timestamp,
    payload: String,
}

/// Google answers with the project's number, whatever it was asked with.
fn number(project: &str) -> u64 {
    let sum = project.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    100_000_000_000 + sum % 900_000_000_000
}

fn secret_name(project: &str, secret: &str) -> String {
    format!("projects/{}/secrets/{secret}", number(project))
}

impl Secrets {
    pub(super) fn seed(&mut self, project: &str, secret: &str, now: Timestamp) {
        use base64::Engine;
        let name = secret_name(project, secret);
        let document = json!({"name": name, "createTime": stamp(now), "replication": {"automatic": {}}});
        let payload = base64::engine::general_purpose::STANDARD.encode(format!("{SECRET_MARKER}{secret}"));
        let versions = vec![Version { state: "ENABLED", created: now, payload }];
        self.0.insert((project.into(), secret.into()), Secret { document, versions });
    }

    /// Whether a version can be read by a new revision.
    pub(super) fn usable(&self, project: &str, secret: &str, version: &str) -> bool {
        let short = secret.rsplit('/').next().unwrap_or(secret);
        let Some(secret) = self.0.get(&(project.to_string(), short.to_string())) else { return false };
        match version {
            "latest" => secret.versions.last().is_some_and(|v| v.state == "ENABLED"),
            number => {
                let index = number.parse::<usize>().unwrap_or(0).checked_sub(1);
                index.and_then(|i| secret.versions.get(i)).is_some_and(|v| v.state == "ENABLED")
            }
        }
    }

    /// Names and versions, no values.
    pub(super) fn view(&self) -> Value {
        let versions = |secret: &Secret| -> Vec<&str> { secret.versions.iter().map(|v| v.state).collect() };
        self.0
            .iter()
            .map(|((project, name), s)| json!({"project": project, "name": name, "versions": versions(s)}))
            .collect()
    }

    pub(super) fn handle(
        &mut self,
        context: Context<'_>,
        project: &str,
        rest: &[&str],
        verb: &str,
    ) -> Result<Value, Problem> {
        let key = |secret: &str| (project.to_string(), secret.to_string());
        let missing = |secret: &str| Problem::not_found(&secret_name(project, secret));
        match (rest, context.request.method.clone(), verb) {
            ([], Method::POST, "") => self.create(context, project),
            ([], Method::GET, "") => {
                let own = self.0.iter().filter(|((p, _), _)| p == project).map(|(_, s)| s.document.clone());
                Ok(json!({"secrets": own.collect::<Vec<_>>()}))
            }
            ([secret], Method::GET, "") => {
                self.0.get(&key(secret)).map(|s| s.document.clone()).ok_or_else(|| missing(secret))
            }
            ([secret], Method::DELETE, "") => {
                self.0.remove(&key(secret)).map(|_| json!({})).ok_or_else(|| missing(secret))
            }
            ([secret], Method::POST, "addVersion") => {
                let payload = context.body()?["payload"]["data"].as_str().unwrap_or_default().to_string();
                let found = self.0.get_mut(&key(secret)).ok_or_else(|| missing(secret))?;
                found.versions.push(Version { state: "ENABLED", created: context.now, payload });
                Ok(found.version_document(found.versions.len()))
            }
            ([secret, "versions"], Method::GET, "") => {
                let found = self.0.get(&key(secret)).ok_or_else(|| missing(secret))?;
                Ok(found.list(context))
            }
            ([secret, "versions", version], method, verb) => {
                let found = self.0.get_mut(&key(secret)).ok_or_else(|| missing(secret))?;
                found.version(&method, version, verb)
            }
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    fn create(&mut self, context: Context<'_>, project: &str) -> Result<Value, Problem> {
        let id = context.request.param("secretId").filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Problem::invalid("The secretId is required."))?;
        let key = (project.to_string(), id.to_string());
        if self.0.contains_key(&key) {
            return Err(Problem::already_exists(format!("Secret [{}] already exists.", secret_name(project, id))));
        }
        let mut document = context.body()?;
        document["name"] = json!(secret_name(project, id));
        document["createTime"] = context.time();
        self.0.insert(key, Secret { document: document.clone(), versions: vec![] });
        Ok(document)
    }
}

impl Secret {
    fn version_document(&self, number: usize) -> Value {
        let Some(version) = number.checked_sub(1).and_then(|i| self.versions.get(i)) else { return Value::Null };
        let name = self.document["name"].as_str().unwrap_or_default();
        json!({
            "name": format!("{name}/versions/{number}"), "createTime": stamp(version.created), "state": version.state,
            "replicationStatus": {"automatic": {}}, "etag": format!("\"{number}{}\"", version.state),
        })
    }

    /// Newest first.
    fn list(&self, context: Context<'_>) -> Value {
        let state = context.request.param("filter").and_then(|f| f.strip_prefix("state:")).map(str::to_uppercase);
        let size = context.request.param("pageSize").and_then(|s| s.parse().ok()).filter(|s| *s > 0).unwrap_or(25_000);
        let all: Vec<Value> = (1..=self.versions.len()).rev().map(|n| self.version_document(n)).collect();
        let fitting: Vec<Value> =
            all.into_iter().filter(|v| state.as_ref().is_none_or(|s| v["state"] == s.as_str())).collect();
        let total = fitting.len();
        json!({"versions": fitting.into_iter().take(size).collect::<Vec<_>>(), "totalSize": total})
    }

    fn version(&mut self, method: &Method, version: &str, verb: &str) -> Result<Value, Problem> {
        let number = if version == "latest" { self.versions.len() } else { version.parse().unwrap_or(0) };
        let name = format!("{}/versions/{version}", self.document["name"].as_str().unwrap_or_default());
        let index = number.checked_sub(1).filter(|i| *i < self.versions.len());
        let Some(index) = index else { return Err(Problem::not_found(&name)) };
        let set = match (method, verb) {
            (&Method::GET, "") => None,
            (&Method::GET, "access") => {
                let version = &self.versions[index];
                if version.state != "ENABLED" {
                    let message = format!("Secret Version [{name}] is in {} state.", version.state);
                    return Err(Problem::precondition(message));
                }
                let crc = crc32c::crc32c(version.payload.as_bytes());
                return Ok(json!({
                    "name": self.version_document(number)["name"],
                    "payload": {"data": version.payload, "dataCrc32c": crc.to_string()},
                }));
            }
            (&Method::POST, "enable") => Some("ENABLED"),
            (&Method::POST, "disable") => Some("DISABLED"),
            (&Method::POST, "destroy") => Some("DESTROYED"),
            _ => return Err(Problem::unimplemented("this call on a secret version")),
        };
        if let Some(state) = set {
            if self.versions[index].state == "DESTROYED" {
                return Err(Problem::precondition(format!("Secret Version [{name}] is destroyed.")));
            }
            self.versions[index].state = state;
        }
        Ok(self.version_document(number))
    }
}
