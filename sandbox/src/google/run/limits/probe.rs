//! Probes.

use regex::Regex;
use serde_json::Value;
use std::sync::LazyLock;

use super::{Problem, is_set, items, text};

static HEADER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[-A-Za-z0-9]+$").ok());

/// Largest numbers of a probe: delay, time-out and period, in seconds.
type Most = [i64; 3];

pub(super) fn check_startup(field: &str, probe: &Value) -> Result<(), Problem> {
    check(field, probe, [240, 240, 240])
}

pub(super) fn check_liveness(field: &str, probe: &Value) -> Result<(), Problem> {
    if !probe["tcpSocket"].is_null() {
        return Err(Problem::field(field, "Cloud Run currently does not support TCP socket in liveness probe"));
    }
    check(field, probe, [3600, 3600, 3600])
}

pub(super) fn check_readiness(field: &str, probe: &Value) -> Result<(), Problem> {
    if !probe["tcpSocket"].is_null() {
        return Err(Problem::field(field, "Cloud Run currently does not support TCP socket in readiness probe"));
    }
    if is_set(&probe["initialDelaySeconds"]) {
        return Err(Problem::field(field, "Initial delay is not supported for readiness probe"));
    }
    check(field, probe, [0, 300, i32::MAX.into()])
}

fn check(field: &str, probe: &Value, most: Most) -> Result<(), Problem> {
    if probe.is_null() {
        return Ok(());
    }
    let actions = ["httpGet", "tcpSocket", "grpc"].map(|action| &probe[action]);
    if actions.iter().filter(|action| !action.is_null()).count() != 1 {
        return Err(Problem::field(field, "Exactly one probe action must be set"));
    }
    let names = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds"];
    for ((name, words), most) in
        names.iter().zip(["initial_delay_seconds", "timeout_seconds", "period_seconds"]).zip(most)
    {
        if !(0..=most).contains(&probe[*name].as_i64().unwrap_or(0)) {
            return Err(Problem::field(field, format!("{words} must be a number between 0 and {most}.")));
        }
    }
    if probe["failureThreshold"].as_i64().unwrap_or(0) < 0 {
        return Err(Problem::field(field, "failure_threshold: Must be a positive number if set"));
    }
    for action in actions {
        if !(0..=65535).contains(&action["port"].as_i64().unwrap_or(0)) {
            return Err(Problem::field(field, "port: if specified, must be between 1 and 65535"));
        }
        let bad = |header: &&Value| !HEADER.as_ref().is_some_and(|grammar| grammar.is_match(text(header, "name")));
        if items(action, "httpHeaders").iter().any(|header| bad(&header)) {
            let rule = "a valid HTTP header must consist of alphanumeric characters or '-'";
            return Err(Problem::field(field, format!("http_get.http_headers: {rule}")));
        }
    }
    Ok(())
}
