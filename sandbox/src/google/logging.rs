//! Cloud Logging: Cloud Run's request logs. An entry has the time at which its request began and arrives when it ended;
//! entries are made when they are asked for, from what the simulated users met.

mod filter;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Context;
use super::monitoring::Source;
use super::problem::Problem;
use super::users::{Met, ROUND_SECONDS};
use filter::Filter;

/// How long rounds are kept: enough for whoever looks back, and not all of a day.
const KEPT: SignedDuration = SignedDuration::from_hours(2);
/// How long after its request's end an entry can be read.
const DELAY: SignedDuration = SignedDuration::from_secs(2);
/// Longest filter, and largest page, by the API.
const LONGEST_FILTER: usize = 20_000;
const PAGE: usize = 1_000;
/// What Cloud Run says of a request that met no free instance.
const NO_INSTANCE: &str = "The request was aborted because there was no available instance.";
/// The page when none is asked for.
const USUAL_PAGE: usize = 50;
/// The token of what was not searched yet.
const START: &str = "c3RhcnQ";
/// Different clients that the simulated users are.
const CLIENTS: u32 = 250;

/// A round of requests to one revision.
#[derive(Debug)]
struct Round {
    at: Timestamp,
    source: Source,
    requests: i64,
    errors: i64,
    /// Those errors that met no free instance.
    unserved: i64,
    /// More requests that met none, and were refused with 429.
    refused: i64,
    latency_ms: f64,
}

/// What is to be different about the logs, as operators and the network make it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Unusual {
    /// How much later than usual entries can be read.
    pub delay_seconds: u32,
    /// Each entry comes twice, on one page or on two.
    pub twice: bool,
    /// Pages hold fewer than are asked for, and the first has only a token: as where much is to be searched.
    pub short_pages: bool,
    /// An exclusion filter of the sink drops entries of successes.
    pub without_successes: bool,
    /// An exclusion filter drops those of one revision.
    pub without_revision: Option<String>,
    /// The sink keeps so many of a hundred entries, by `insertId`.
    pub sample_percent: Option<u32>,
    /// So many failed requests a second more, of a revision, by one client to the address of a tag.
    pub load_test: Option<LoadTest>,
}

/// Requests of one client to the address of a tag.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadTest {
    /// The tag.
    pub tag: String,
    /// The revision that it leads to.
    pub revision: String,
    /// How many each second, all of which fail.
    pub failures_per_second: u32,
}

/// The logs.
#[derive(Debug, Default)]
pub(super) struct Logs {
    rounds: VecDeque<Round>,
    pub(super) unusual: Unusual,
}

impl Logs {
    pub(super) fn record(&mut self, at: Timestamp, source: &Source, met: &Met) {
        if met.requests > 0 {
            let latency_ms = met.latencies.first().map_or(1.0, |(ms, _)| *ms);
            let Met { requests, errors, unserved, refused, .. } = *met;
            self.rounds.push_back(Round {
                at,
                source: source.clone(),
                requests,
                errors,
                unserved,
                refused,
                latency_ms,
            });
        }
        while self.rounds.front().is_some_and(|round| round.at + KEPT < at) {
            self.rounds.pop_front();
        }
    }

    /// `entries.list`.
    pub(super) fn list(&self, context: Context<'_>) -> Result<Value, Problem> {
        let body = context.body()?;
        let projects = projects(&body)?;
        let text = body["filter"].as_str().unwrap_or_default();
        if text.len() > LONGEST_FILTER {
            return Err(Problem::field("filter", format!("it has more than {LONGEST_FILTER} characters")));
        }
        let filter = Filter::parse(text)?;
        let newest_first = match body["orderBy"].as_str().unwrap_or_default() {
            "" | "timestamp asc" | "timestamp" => false,
            "timestamp desc" => true,
            other => return Err(Problem::field("order_by", format!("{other:?} is not supported"))),
        };
        let size = match body["pageSize"].as_i64().unwrap_or(0) {
            0 => USUAL_PAGE,
            size => usize::try_from(size)
                .ok()
                .filter(|size| *size <= PAGE)
                .ok_or_else(|| Problem::field("page_size", format!("it must be from 0 to {PAGE}")))?,
        };
        let (from, to) = filter.span();
        let near = self
            .rounds
            .iter()
            .filter(|round| round.at + SignedDuration::from_secs(ROUND_SECONDS) > from && round.at < to);
        let own = near.filter(|round| projects.contains(&round.source.project));
        let mut found: Vec<(String, Value)> = own
            .flat_map(|round| self.unusual.change(round, round.entries(filter.wants_failed_only())))
            .filter(|(arrives, entry)| *arrives <= context.now && filter.fits(entry))
            .map(|(_, entry)| (key(&entry), entry))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        if newest_first {
            found.reverse();
        }
        match self.unusual.short_pages {
            true if body["pageToken"].as_str().is_none_or(str::is_empty) => Ok(json!({"nextPageToken": START})),
            true => page(&body, found, (size / 2).max(1)),
            false => page(&body, found, size),
        }
    }
}

/// The project whose quota a list takes.
pub(super) fn project(context: Context<'_>) -> Result<String, Problem> {
    Ok(projects(&context.body()?)?.remove(0))
}

fn projects(body: &Value) -> Result<Vec<String>, Problem> {
    let names = body["resourceNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<String> = names.map(|name| name.trim_start_matches("projects/").to_string()).collect();
    match names.len() {
        0 => Err(Problem::field("resource_names", "it must name at least one resource")),
        1..=100 => Ok(names),
        _ => Err(Problem::field("resource_names", "it must name at most 100 resources")),
    }
}

/// What entries are sorted by.
fn key(entry: &Value) -> String {
    format!("{} {}", entry["timestamp"].as_str().unwrap_or_default(), entry["insertId"].as_str().unwrap_or_default())
}

fn page(body: &Value, found: Vec<(String, Value)>, size: usize) -> Result<Value, Problem> {
    let first = match body["pageToken"].as_str().filter(|token| !token.is_empty()) {
        None => 0,
        Some(START) => 0,
        Some(token) => {
            let last = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let last = last.ok_or_else(|| Problem::field("page_token", "it is not valid"))?;
            found.iter().position(|(key, _)| *key == last).map_or(0, |at| at + 1)
        }
    };
    let more = found.len().saturating_sub(first) > size;
    let shown: Vec<(String, Value)> = found.into_iter().skip(first).take(size).collect();
    let next = shown.last().filter(|_| more).map(|(key, _)| URL_SAFE_NO_PAD.encode(key));
    let mut answer = json!({});
    if !shown.is_empty() {
        answer["entries"] = shown.into_iter().map(|(_, entry)| entry).collect();
    }
    if let Some(next) = next {
        answer["nextPageToken"] = json!(next);
    }
    Ok(answer)
}

impl Round {
    /// Its entries, those that failed first, each with when it can be read.
    fn entries(&self, failed_only: bool) -> Vec<(Timestamp, Value)> {
        let mut hasher = DefaultHasher::new();
        (self.at, &self.source.region, &self.source.service, &self.source.revision).hash(&mut hasher);
        let seed = hasher.finish();
        let mut random = StdRng::seed_from_u64(seed);
        let many = if failed_only { self.errors + self.refused } else { self.requests };
        (0..many).map(|number| self.entry(seed, number, &mut random)).collect()
    }

    /// Makes an entry one of a request that met no free instance.
    fn unserved(&self, entry: &mut Value) {
        entry["textPayload"] = json!(NO_INSTANCE);
        entry["labels"] = json!({});
        entry["httpRequest"]["latency"] = json!("0s");
        entry["httpRequest"].as_object_mut().map(|request| request.remove("responseSize"));
    }

    fn entry(&self, seed: u64, number: i64, random: &mut StdRng) -> (Timestamp, Value) {
        let began = self.at + SignedDuration::from_millis(random.random_range(0..ROUND_SECONDS * 1000));
        let took = SignedDuration::from_micros((self.latency_ms * random.random_range(500.0..1500.0)) as i64);
        let client = random.random_range(0..CLIENTS);
        let (failed, ended) = (number < self.errors, began + took);
        let is_refused = !failed && number < self.errors + self.refused;
        let Source { project, region, service, revision } = &self.source;
        let mut entry = json!({
            "insertId": format!("{seed:016x}{number:06}"),
            "logName": format!("projects/{project}/logs/run.googleapis.com%2Frequests"),
            "severity": if failed { "ERROR" } else if is_refused { "WARNING" } else { "INFO" },
            "timestamp": format!("{began:.6}"), "receiveTimestamp": format!("{:.6}", ended + SignedDuration::from_millis(5)),
            "resource": {"type": "cloud_run_revision", "labels": {
                "project_id": project, "location": region, "service_name": service, "configuration_name": service,
                "revision_name": revision,
            }},
            "labels": {"instanceId": format!("{seed:016x}")},
            "httpRequest": {
                "requestMethod": "GET", "requestUrl": format!("https://{service}-{project}.{region}.run.app/"), "requestSize": "754",
                "status": if failed { 500 } else if is_refused { 429 } else { 200 }, "responseSize": "314", "userAgent": "users/1.0",
                "remoteIp": format!("203.0.113.{client}"), "latency": format!("{:.6}s", took.as_secs_f64()),
                "protocol": "HTTP/1.1",
            },
        });
        if number < self.unserved || is_refused {
            self.unserved(&mut entry);
        }
        (ended + DELAY, entry)
    }
}

impl Unusual {
    /// The entries of a round as they are told.
    fn change(&self, round: &Round, mut entries: Vec<(Timestamp, Value)>) -> Vec<(Timestamp, Value)> {
        if let Some(test) = self.load_test.as_ref().filter(|test| test.revision == round.source.revision) {
            entries.extend(test.entries(round));
        }
        let kept = |entry: &Value| {
            let is_success = entry["httpRequest"]["status"].as_i64().is_some_and(|status| status < 400);
            let revision = entry["resource"]["labels"]["revision_name"].as_str();
            let number =
                entry["insertId"].as_str().and_then(|id| id.get(id.len().saturating_sub(6)..)?.parse::<u32>().ok());
            let sampled = self.sample_percent.is_none_or(|percent| number.unwrap_or_default() % 100 < percent);
            sampled
                && !(self.without_successes && is_success)
                && (self.without_revision.is_none() || self.without_revision.as_deref() != revision)
        };
        entries.retain(|(_, entry)| kept(entry));
        entries.iter_mut().for_each(|(arrives, _)| *arrives += SignedDuration::from_secs(self.delay_seconds.into()));
        let again = if self.twice { entries.clone() } else { vec![] };
        entries.into_iter().chain(again).collect()
    }
}

impl LoadTest {
    fn entries(&self, round: &Round) -> Vec<(Timestamp, Value)> {
        let many = i64::from(self.failures_per_second) * ROUND_SECONDS;
        let mut random = StdRng::seed_from_u64(round.at.as_second().unsigned_abs());
        let failing =
            Round { requests: many, errors: many, unserved: 0, refused: 0, source: round.source.clone(), ..*round };
        let entry = |number: i64| {
            let (arrives, mut entry) = failing.entry(u64::MAX, number, &mut random);
            let Source { project, region, service, .. } = &round.source;
            let host = format!("https://{}---{service}-{project}.{region}.run.app/", self.tag);
            entry["httpRequest"]["requestUrl"] = json!(host);
            entry["insertId"] = json!(format!("load{:016x}{number:06}", round.at.as_second()));
            (arrives, entry)
        };
        (0..many).map(entry).collect()
    }
}
