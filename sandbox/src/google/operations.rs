//! Long-running operations.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::Context;
use super::enums::Enums;
use super::page::page;
use super::problem::Problem;

/// How long the name of an operation that has ended is known.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

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

/// An operation under way on a resource, and what it ends with: an outcome, or the status of its failure.
#[derive(Debug)]
pub(super) struct UnderWay<T> {
    pub(super) operation: String,
    pub(super) ends: Timestamp,
    pub(super) outcome: Result<T, Value>,
}

impl<T> UnderWay<T> {
    /// One that was just started, and goes as the call has it.
    pub(super) fn new(
        context: Context<'_>,
        operation: &Value,
        takes: SignedDuration,
        outcome: T,
        operations: &mut Operations,
    ) -> Self {
        let mut new = Self { operation: name_of(operation), ends: context.now + takes, outcome: Ok(outcome) };
        match context.mishap {
            Some(Mishap::Fails) => new.outcome = Err(json!({"code": 13, "message": "an internal error has occurred"})),
            Some(Mishap::Never) => new.ends = Timestamp::MAX,
            Some(Mishap::Forgotten) => operations.forget(&new.operation),
            None => {}
        }
        new
    }
}

/// What an operation answers when it leaves nothing.
pub(super) fn empty() -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.Empty"})
}

/// Operations by name.
#[derive(Debug, Default)]
pub(super) struct Operations(BTreeMap<String, Operation>);

#[derive(Debug)]
struct Operation {
    document: Value,
    ended: Option<Timestamp>,
    /// The enums of the API that it is of.
    enums: &'static Enums,
}

/// The name of an operation.
pub(super) fn name_of(operation: &Value) -> String {
    operation["name"].as_str().unwrap_or_default().to_string()
}

impl Operations {
    /// Starts one; gives its document.
    pub(super) fn start(&mut self, context: Context<'_>, parent: &str, metadata: Value, random: &mut StdRng) -> Value {
        let id = uuid::Builder::from_random_bytes(random.random()).into_uuid();
        let name = format!("{parent}/operations/{id}");
        let document = json!({"name": name, "metadata": metadata});
        self.0.insert(name, Operation { document: document.clone(), ended: None, enums: context.enums });
        document
    }

    /// The same, for an API that says explicitly that an operation is not done.
    pub(super) fn start_explicitly(
        &mut self,
        context: Context<'_>,
        parent: &str,
        metadata: Value,
        random: &mut StdRng,
    ) -> Value {
        let name = name_of(&self.start(context, parent, metadata, random));
        let started = self.0.get_mut(&name).map(|operation| {
            operation.document["done"] = json!(false);
            operation.document.clone()
        });
        started.unwrap_or_default()
    }

    /// Ends one, well or with a status.
    pub(super) fn end(&mut self, name: &str, now: Timestamp, result: Result<Value, Value>) {
        let Some(Operation { document, ended, .. }) = self.0.get_mut(name) else { return };
        *ended = Some(now);
        document["done"] = json!(true);
        // Cloud Run tells of the resource, the others of the operation.
        if document["metadata"].get("target").is_some() {
            document["metadata"]["endTime"] = super::stamp(now);
        }
        match result {
            Ok(response) => document["response"] = response,
            Err(error) => document["error"] = error,
        }
    }

    /// Nobody knows it any longer; what it does goes on.
    pub(super) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Forgets those that ended long ago.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.0.retain(|_, operation| operation.ended.is_none_or(|at| now.duration_since(at) < KEPT));
    }

    pub(super) fn get(&self, name: &str) -> Result<Value, Problem> {
        self.0.get(name).map(|o| o.document.clone()).ok_or_else(|| Problem::not_found(name))
    }

    /// Calls about operations; waiting answers at once, with the operation as it is. Each has the enums of its own API.
    pub(super) fn handle(
        &mut self,
        context: Context<'_>,
        parent: &str,
        rest: &[&str],
        verb: &str,
    ) -> Result<Value, Problem> {
        let name = |id: &str| format!("{parent}/operations/{id}");
        let shown = |o: &Operation| o.enums.as_asked(context.request, o.document.clone());
        match (rest, &context.request.method, verb) {
            ([], &Method::GET, "") => {
                let prefix = name("");
                let own = self.0.iter().filter(|(name, _)| name.starts_with(&prefix));
                let all = own.map(|(name, operation)| (name.clone(), shown(operation))).collect();
                page(context.request, "operations", all, 100)
            }
            ([id], &Method::GET, "") | ([id], &Method::POST, "wait") => {
                self.0.get(&name(id)).map(shown).ok_or_else(|| Problem::not_found(&name(id)))
            }
            ([id], &Method::DELETE, "") => {
                self.get(&name(id))?;
                self.forget(&name(id));
                Ok(json!({}))
            }
            ([id], &Method::POST, "cancel") => {
                self.get(&name(id))?;
                Err(Problem::unimplemented("cancelling an operation"))
            }
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }
}
