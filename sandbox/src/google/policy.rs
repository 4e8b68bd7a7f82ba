//! IAM policies of resources.

use http::Method;
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
    /// Calls about a policy. The sandbox has no callers of its own: whoever calls may do everything.
    pub(super) fn handle(&mut self, context: Context<'_>, verb: &str) -> Result<Value, Problem> {
        match (&context.request.method, verb) {
            (&Method::GET | &Method::POST, "getIamPolicy") => Ok(self.document()),
            (&Method::POST, "setIamPolicy") => self.set(context),
            (&Method::POST, "testIamPermissions") => Ok(json!({"permissions": context.body()?["permissions"]})),
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    pub(super) fn etag(&self) -> String {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(format!("BwX{:04}", self.version))
    }

    pub(super) fn document(&self) -> Value {
        // Version 3 is read back as 1 unless a binding has a condition.
        let conditional = self.bindings.iter().any(|binding| !binding["condition"].is_null());
        match self.bindings.is_empty() {
            true => json!({"etag": self.etag()}),
            false => {
                json!({"version": if conditional { 3 } else { 1 }, "etag": self.etag(), "bindings": self.bindings})
            }
        }
    }

    fn set(&mut self, context: Context<'_>) -> Result<Value, Problem> {
        let body = context.body()?;
        self.replace(&body["policy"])?;
        Ok(self.document())
    }

    /// Puts another policy in its place.
    pub(super) fn replace(&mut self, policy: &Value) -> Result<(), Problem> {
        let sent = policy["etag"].as_str().unwrap_or_default();
        if !sent.is_empty() && sent != self.etag() {
            let message = "There were concurrent policy changes. Please retry the whole read-modify-write with \
                           exponential backoff.";
            return Err(Problem::aborted(message));
        }
        let bindings = policy["bindings"].as_array().cloned().unwrap_or_default();
        if let Some(bad) = bindings.iter().find(|b| b["role"].as_str().is_none_or(|role| !role.contains("roles/"))) {
            return Err(Problem::field("policy.bindings.role", format!("{} is no role", bad["role"])));
        }
        let mut members = bindings.iter().flat_map(|b| b["members"].as_array().into_iter().flatten());
        let is_member = |member: &str| matches!(member, "allUsers" | "allAuthenticatedUsers") || member.contains(':');
        if let Some(bad) = members.find(|member| !member.as_str().is_some_and(is_member)) {
            return Err(Problem::field("policy.bindings.members", format!("{bad} is no member")));
        }
        if policy["version"] != 3 && bindings.iter().any(|binding| !binding["condition"].is_null()) {
            return Err(Problem::field("policy.version", "a policy with conditions must have version 3"));
        }
        self.bindings =
            bindings.into_iter().filter(|b| b["members"].as_array().is_some_and(|m| !m.is_empty())).collect();
        self.version += 1;
        Ok(())
    }
}
