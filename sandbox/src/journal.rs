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

/// Methods of calls to either API.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Why a fault can't be ordered.
#[derive(Debug, thiserror::Error)]
pub enum BadFault {
    /// Its path is no regular expression.
    #[error("path: {0}")]
    Path(#[from] regex::Error),
    /// Its status is no failure.
    #[error("status: {0} is none of a failure: write 400 to 599")]
    Status(u16),
    /// No call has its method.
    #[error("method: {0:?} is of no call: write one of GET, POST, PUT, PATCH, DELETE")]
    Method(String),
    /// It hits no call.
    #[error("count: 0 hits no call: write 1 or more")]
    Count,
    /// It does nothing to a call.
    #[error("it would do nothing: write a status, delayMillis or loseResponse")]
    NoEffect,
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
    /// When it can't hit any call, or would do nothing to it.
    pub fn order(&self, fault: Fault) -> Result<(), BadFault> {
        let path = Regex::new(&fault.path)?;
        if let Some(status) = fault.status.filter(|status| !(400..600).contains(status)) {
            return Err(BadFault::Status(status));
        }
        let is_used = |method: &&String| METHODS.iter().any(|used| method.eq_ignore_ascii_case(used));
        if let Some(method) = fault.method.as_ref().filter(|method| !is_used(method)) {
            return Err(BadFault::Method(method.clone()));
        }
        if fault.count == 0 {
            return Err(BadFault::Count);
        }
        if fault.status.is_none() && fault.delay_millis == 0 && !fault.lose_response {
            return Err(BadFault::NoEffect);
        }
        lock(&self.faults).push((path, fault));
        Ok(())
    }

    /// The faults that are still to come.
    pub fn faults(&self) -> Vec<Fault> {
        lock(&self.faults).iter().map(|(_, fault)| fault.clone()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn order(journal: &Journal, fault: &str) -> Result<(), String> {
        journal.order(serde_json::from_str(fault).unwrap()).map_err(|bad| bad.to_string())
    }

    #[tokio::test]
    async fn a_fault_hits_as_many_calls_as_were_ordered() {
        let journal = Journal::new(Clock::of_this_machine());
        order(&journal, r#"{"api": "google", "method": "patch", "path": "/services/", "count": 2, "status": 503}"#)
            .unwrap();
        assert!(journal.strike(Api::Kubernetes, "PATCH", "/v2/services/api").is_none());
        assert!(journal.strike(Api::Google, "GET", "/v2/services/api").is_none());
        assert_eq!(journal.strike(Api::Google, "PATCH", "/v2/services/api").unwrap().status, Some(503));
        assert_eq!(journal.faults().len(), 1);
        assert!(journal.strike(Api::Google, "PATCH", "/v2/services/api").is_some());
        assert!(journal.strike(Api::Google, "PATCH", "/v2/services/api").is_none());
    }

    #[tokio::test]
    async fn a_fault_that_can_do_nothing_is_refused() {
        let journal = Journal::new(Clock::of_this_machine());
        for (fault, word) in [
            (r#"{"path": "("}"#, "path"),
            (r#"{"status": 9999}"#, "status"),
            (r#"{"status": 200}"#, "status"),
            (r#"{"status": 503, "method": "FOO"}"#, "method"),
            (r#"{"status": 503, "count": 0}"#, "count"),
            ("{}", "nothing"),
        ] {
            assert!(order(&journal, fault).is_err_and(|why| why.contains(word)), "{fault}");
        }
        assert!(journal.faults().is_empty());
    }
}
