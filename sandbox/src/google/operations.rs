//! Long-running operations.

use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::problem::Problem;

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It ends with an error, and what it was about is as before.
    Fails,
    /// It never ends.
    Never,
    /// Its name is forgotten at once; what it does goes on.
    Forgotten,
}

/// What a failed operation says.
pub(super) fn internal_error() -> Value {
    json!({"code": 13, "message": "an internal error has occurred"})
}

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

    /// Nobody knows it any longer; what it does goes on.
    pub(super) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(super) fn get(&self, name: &str) -> Result<Value, Problem> {
        self.0.get(name).cloned().ok_or_else(|| Problem::not_found(name))
    }
}
