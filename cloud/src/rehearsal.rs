//! Writes that are not sent: each is turned into the very request that the SDK would send, and kept.

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use crate::in_process::{Answer, Transport};

/// A write that was not sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unsent {
    /// HTTP method.
    pub method: String,
    /// Path, with its query.
    pub path: String,
    /// JSON body.
    pub body: Option<Value>,
}

/// Takes writes in, and answers that they have begun.
#[derive(Debug, Default)]
pub struct Rehearsal {
    unsent: Mutex<Vec<Unsent>>,
}

impl Rehearsal {
    /// The writes since this was asked last, in their order.
    pub fn take(&self) -> Vec<Unsent> {
        std::mem::take(&mut self.unsent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Transport for Rehearsal {
    fn call<'a>(
        &'a self,
        method: Method,
        path: String,
        body: Option<Value>,
    ) -> Pin<Box<dyn Future<Output = Option<Answer>> + Send + 'a>> {
        // A policy is answered with itself, all else with an operation that goes on.
        let answer = match path.ends_with(":setIamPolicy") {
            true => body.as_ref().map(|body| body["policy"].clone()).unwrap_or_default(),
            false => json!({"name": "operations/not-sent", "done": false}),
        };
        let unsent = Unsent { method: method.to_string(), path, body };
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).push(unsent);
        Box::pin(std::future::ready(Some(Answer { status: 200, body: answer })))
    }
}
