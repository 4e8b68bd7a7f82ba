//! Long-running operations.

use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::problem::Problem;

/// Operations by name.
#[derive(Debug, Default)]
pub(super) struct Operations(BTreeMap<String, Value>);

impl Operations {
    /// Starts one; gives its document.
    pub(super) fn start(&mut self, parent: &str, metadata: Value, random: &mut StdRng) -> Value {
        let id = uuid::Builder::from_random_bytes(random.random()).into_uuid();
        let name = format!("{parent}/operations/{id}");
        let operation = json!({"name": name, "metadata": metadata});
        self.0.insert(name, operation.clone());
        operation
    }

    /// Ends one, well or with a status.
    pub(super) fn end(&mut self, name: &str, result: Result<Value, Value>) {
        if let Some(operation) = self.0.get_mut(name) {
            operation["done"] = json!(true);
            match result {
                Ok(response) => operation["response"] = response,
                Err(error) => operation["error"] = error,
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Value, Problem> {
        self.0.get(name).cloned().ok_or_else(|| Problem::not_found(name))
    }
}
