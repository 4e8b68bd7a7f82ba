//! Secret Manager.

mod secret;
mod version;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

use super::page::page;
use super::problem::Problem;
use super::{Context, stamp};
use secret::Secret;

/// Begins the value of every secret that the sandbox makes up, for tests to look for where no secret may be.
pub const SECRET_MARKER: &str = "sandbox-secret-value-";
/// Largest page of secrets or versions.
const PAGE: usize = 25_000;

/// A text that is never shown by accident.
pub(super) struct Masked(pub(super) String);

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// By the number of the project and the name of the secret.
#[derive(Debug, Default)]
pub(super) struct Secrets(BTreeMap<(u64, String), Secret>);

/// Google answers with the project's number, whatever it was asked with.
pub(super) fn project_number(project: &str) -> u64 {
    project.parse().unwrap_or_else(|_| {
        let sum = project.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        100_000_000_000 + sum % 900_000_000_000
    })
}

fn secret_name(project: &str, secret: &str) -> String {
    format!("projects/{}/secrets/{secret}", project_number(project))
}

fn missing(project: &str, secret: &str) -> Problem {
    Problem::missing(format!("Secret [{}] not found or has no versions.", secret_name(project, secret)))
}

impl Secrets {
    pub(super) fn seed(&mut self, project: &str, secret: &str, now: Timestamp) {
        let name = secret_name(project, secret);
        let document = json!({"name": name, "createTime": stamp(now), "replication": {"automatic": {}}});
        let mut new = Secret::new(document);
        new.add(STANDARD.encode(format!("{SECRET_MARKER}{secret}")), now, false);
        self.0.insert((project_number(project), secret.into()), new);
    }

    /// Whether a version can be read by a new revision.
    pub(super) fn usable(&self, project: &str, secret: &str, version: &str) -> bool {
        let short = secret.rsplit('/').next().unwrap_or(secret);
        self.0.get(&(project_number(project), short.to_string())).is_some_and(|secret| secret.is_usable(version))
    }

    /// Lets happen what was due: rotations come round, and what has expired is gone.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.0.retain(|_, secret| secret.expires().is_none_or(|at| at > now));
        self.0.values_mut().for_each(|secret| secret.rotate(now));
    }

    /// Names and versions, no values.
    pub(super) fn view(&self) -> Value {
        self.0.values().map(|secret| json!({"name": secret.document["name"], "versions": secret.states()})).collect()
    }

    pub(super) fn handle(
        &mut self,
        context: Context<'_>,
        project: &str,
        rest: &[&str],
        verb: &str,
    ) -> Result<Value, Problem> {
        let number = project_number(project);
        let [secret, rest @ ..] = rest else {
            return match (&context.request.method, verb) {
                (&Method::POST, "") => self.create(context, project),
                (&Method::GET, "") => self.list(context, number),
                _ => Err(Problem::unknown_path(&context.request.path)),
            };
        };
        let key = (number, (*secret).to_string());
        let found = self.0.get_mut(&key).ok_or_else(|| missing(project, secret))?;
        match (rest, &context.request.method, verb) {
            ([], &Method::GET, "") => Ok(found.shown()),
            ([], &Method::PATCH, "") => found.patch(context),
            ([], &Method::DELETE, "") => {
                found.check_etag(context.request.param("etag").unwrap_or_default())?;
                self.0.remove(&key);
                Ok(json!({}))
            }
            ([], &Method::POST, "addVersion") => found.add_version(context),
            ([], _, verb) if !verb.is_empty() => found.policy.handle(context, verb),
            (["versions"], &Method::GET, "") => found.list(context),
            (["versions", version], _, verb) => found.version(context, version, verb),
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    fn list(&self, context: Context<'_>, project: u64) -> Result<Value, Problem> {
        let filter = context.request.param("filter").unwrap_or_default();
        let wanted = filter.strip_prefix("name:").unwrap_or(filter).trim_matches('"');
        if wanted.contains([' ', ':', '=', '(']) {
            return Err(Problem::unimplemented(&format!("the filter {filter}")));
        }
        let own = self.0.iter().filter(|((number, name), _)| *number == project && name.contains(wanted));
        let all: Vec<(String, Value)> = own.map(|((_, name), secret)| (name.clone(), secret.shown())).collect();
        let total = all.len();
        let mut listed = page(context.request, "secrets", all, PAGE)?;
        listed["totalSize"] = json!(total);
        Ok(listed)
    }

    fn create(&mut self, context: Context<'_>, project: &str) -> Result<Value, Problem> {
        let id = context.request.either("secretId", "secret_id");
        let fits = (1..=255).contains(&id.len());
        if !fits || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            let rule = "1 to 255 letters, digits, hyphens and underscores";
            return Err(Problem::field("secret_id", format!("{id:?}: {rule}")));
        }
        let key = (project_number(project), id.to_string());
        if self.0.contains_key(&key) {
            return Err(Problem::already_exists(format!("Secret [{}] already exists.", secret_name(project, id))));
        }
        let secret = Secret::create(&secret_name(project, id), context)?;
        let shown = secret.shown();
        self.0.insert(key, secret);
        Ok(shown)
    }
}
