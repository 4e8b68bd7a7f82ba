//! Cloud Run v2: services, revisions, operations and IAM policies.

mod calls;
mod document;
mod entry;
pub(super) mod limits;
mod revision;
mod rules;
mod service;

use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::monitoring::{Metrics, Source};
use super::operations::Operations;
use super::users::{Behaviour, ROUND_SECONDS, round};
use entry::Entry;
pub(super) use limits::ingress;
use service::Settled;

/// A project and a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) project: String,
    pub(super) region: String,
}

impl Place {
    fn parent(&self) -> String {
        format!("projects/{}/locations/{}", self.project, self.region)
    }
}

#[derive(Debug)]
pub(super) struct Run {
    seed: u64,
    random: StdRng,
    services: BTreeMap<String, Entry>,
    operations: Operations,
}

impl Run {
    pub(super) fn new(seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed ^ 0x5e11);
        Self { seed, random, services: BTreeMap::new(), operations: Operations::default() }
    }

    /// Lets happen, in order, what was due until now.
    pub(super) fn advance(&mut self, now: Timestamp, metrics: &mut Metrics) {
        let mut gone = vec![];
        for (name, entry) in &mut self.services {
            loop {
                let next_round = entry.users_until + jiff::SignedDuration::from_secs(ROUND_SECONDS);
                let next_event = entry.service().next_event();
                match next_event.filter(|at| *at <= next_round && *at <= now) {
                    Some(at) => {
                        if let Some(settled) = entry.service_mut().happen(at) {
                            end_operations(&mut self.operations, entry, at, &settled);
                            if matches!(settled, Settled::Deleted) {
                                gone.push(name.clone());
                                break;
                            }
                        }
                    }
                    None if next_round <= now => {
                        send_users(self.seed, name, entry, metrics);
                        entry.users_until = next_round;
                    }
                    None => break,
                }
            }
        }
        for name in gone {
            self.services.remove(&name);
        }
        self.operations.advance(now);
    }

    /// Each service's traffic and revisions, for `/sandbox/state`.
    pub(super) fn view(&self) -> Value {
        self.services.values().map(|e| e.document().clone()).collect()
    }
}

fn end_operations(operations: &mut Operations, entry: &mut Entry, now: Timestamp, settled: &Settled) {
    let generation = entry.service().generation;
    let (done, waiting) = std::mem::take(&mut entry.waiting).into_iter().partition(|(_, g)| *g <= generation);
    let done: Vec<(String, i64)> = done;
    entry.waiting = waiting;
    for (name, _) in done {
        let result = match settled {
            Settled::Ready | Settled::Deleted => {
                let mut response = entry.document().clone();
                response["@type"] = json!(document::TYPE);
                Ok(response)
            }
            Settled::Failed { code, message } => Err(json!({"code": code, "message": message})),
        };
        operations.end(&name, now, result);
    }
}

/// One round of requests, by the traffic that is in effect.
fn send_users(seed: u64, name: &str, entry: &Entry, metrics: &mut Metrics) {
    let serving = entry.service().shares();
    let behaviours: Vec<(String, i64, Behaviour)> = serving
        .into_iter()
        .filter_map(|(revision, percent)| {
            let behaviour = entry.service().revisions.get(&revision)?.behaviour.clone();
            Some((revision, percent, behaviour))
        })
        .collect();
    let shares: Vec<(i64, &Behaviour)> = behaviours.iter().map(|(_, percent, b)| (*percent, b)).collect();
    let at = entry.users_until;
    for ((revision, _, behaviour), met) in behaviours.iter().zip(round(seed, name, at.as_second(), &shares)) {
        let source = Source {
            project: entry.place.project.clone(),
            region: entry.place.region.clone(),
            service: entry.service().id.clone(),
            revision: revision.clone(),
        };
        metrics.record(seed, at, source, &met, behaviour);
    }
}
