//! The call log, and faults to order: what `/sandbox/` of the Google port serves.

use jiff::Timestamp;
use orchestra_controller::clock::Clock;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many calls are remembered.
const CALLS: usize = 20_000;

/// Which API a call went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Api {
    /// The cluster's.
    Kubernetes,
    /// Google's.
    Google,
}

/// One call of an API.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// When, in the world's time.
    pub time: Timestamp,
    /// Which API.
    pub api: Api,
    /// HTTP method.
    pub method: String,
    /// Path, with its query.
    pub path: String,
    /// Status code; 0 when the answer was lost.
    pub status: u16,
    /// User agent of the caller.
    pub caller: String,
}

/// A fault to come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Only calls of this API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// Only calls with this HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only calls whose path fits this regular expression.
    #[serde(default)]
    pub path: String,
    /// How many calls it hits. Default: 1.
    #[serde(default = "once")]
    pub count: u32,
    /// Answers with this status, without doing anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Waits so long, in real milliseconds, before doing anything.
    #[serde(default)]
    pub delay_millis: u64,
    /// Does what was asked, and breaks the connection instead of answering.
    #[serde(default)]
    pub lose_response: bool,
}

fn once() -> u32 {
    1
}

/// The call log, and faults to come.
#[derive(Debug)]
pub struct Journal {
    clock: Clock,
    calls: Mutex<VecDeque<Call>>,
    faults: Mutex<Vec<(Regex, Fault)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// An empty log.
    pub fn new(clock: Clock) -> Self {
        Self { clock, calls: Mutex::default(), faults: Mutex::default() }
    }

    /// The world's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Takes note of a call.
    pub fn record(&self, api: Api, method: &str, path: &str, status: u16, caller: &str) {
        let mut calls = lock(&self.calls);
        if calls.len() == CALLS {
            calls.pop_front();
        }
        let (method, path, caller) = (method.to_string(), path.to_string(), caller.to_string());
        calls.push_back(Call { time: self.clock.now(), api, method, path, status, caller });
    }

    /// All calls remembered, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).iter().cloned().collect()
    }

    /// Orders a fault.
    ///
    /// # Errors
    /// When its path is no regular expression.
    pub fn order(&self, fault: Fault) -> Result<(), regex::Error> {
        let path = Regex::new(&fault.path)?;
        lock(&self.faults).push((path, fault));
        Ok(())
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        lock(&self.faults).clear();
    }

    /// The fault that hits this call, if one does; it is used up by that.
    pub fn strike(&self, api: Api, method: &str, path: &str) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let fits = |(pattern, fault): &(Regex, Fault)| {
            fault.api.is_none_or(|a| a == api)
                && fault.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(method))
                && pattern.is_match(path)
        };
        let index = faults.iter().position(fits)?;
        let struck = faults.get(index)?.1.clone();
        if struck.count <= 1 {
            faults.remove(index);
        } else if let Some((_, fault)) = faults.get_mut(index) {
            fault.count -= 1;
        }
        Some(struck)
    }
}
