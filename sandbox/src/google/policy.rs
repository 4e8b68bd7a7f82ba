//! IAM policies of resources.

use serde_json::{Value, json};

use super::Context;
use super::problem::Problem;

/// Who may do what.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    version: u64,
    bindings: Vec<Value>,
}

impl Policy {
    fn etag(&self) -> String {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(format!("BwX{:04}", self.version))
    }

    pub(super) fn document(&self) -> Value {
        match self.bindings.is_empty() {
            true => json!({"etag": self.etag()}),
            false => json!({"version": 1, "etag": self.etag(), "bindings": self.bindings}),
        }
    }

    pub(super) fn set(&mut self, context: Context<'_>) -> Result<Value, Problem> {
        let body = context.body()?;
        let policy = &body["policy"];
        let sent = policy["etag"].as_str().unwrap_or_default();
        if !sent.is_empty() && sent != self.etag() {
            let message = "There were concurrent policy changes. Please retry the whole read-modify-write with \
                           exponential backoff.";
            return Err(Problem::aborted(message));
        }
        let bindings = policy["bindings"].as_array().cloned().unwrap_or_default();
        self.bindings =
            bindings.into_iter().filter(|b| b["members"].as_array().is_some_and(|m| !m.is_empty())).collect();
        self.version += 1;
        Ok(self.document())
    }
}
