//! A revision: what a template became, once and for all.

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, rngs::StdRng};
use serde_json::Value;

use super::super::problem::Problem;
use super::super::users::{Behaviour, Startup};
use super::limits::ingress;
use super::rules::unusable_secret;
use super::service::Failure;

#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) template: Value,
    pub(super) created: Timestamp,
    /// Who made it; empty until that is noted.
    pub(super) creator: String,
    pub(super) behaviour: Behaviour,
    pub(super) outcome: Outcome,
}

/// What becomes of a revision.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Known then.
    Pending(Timestamp, Option<Failure>),
    /// Since then.
    Ready(Timestamp),
    /// Since then.
    Failed(Timestamp, Failure),
}

/// Whether a version of a secret can be read.
pub(super) type Usable<'a> = &'a dyn Fn(&str, &str) -> bool;

impl Revision {
    /// What a template makes of a service; its name is empty when the template gives none.
    pub(super) fn of(
        (service, region): (&str, &str),
        template: &Value,
        now: Timestamp,
        random: &mut StdRng,
        usable: Usable<'_>,
    ) -> Result<Self, Problem> {
        let name = template["revision"].as_str().unwrap_or_default().to_string();
        if !name.is_empty() && (!name.starts_with(&format!("{service}-")) || name.len() > 63) {
            let description = format!("'{name}' must start with '{service}-' and have 63 characters at most");
            return Err(Problem::field("template.revision", description));
        }
        let mut template = template.clone();
        if let Some(fields) = template.as_object_mut() {
            fields.remove("revision");
        }
        let behaviour = Behaviour::of(&template)?;
        let (after, failure) = start(&template, (&behaviour.startup, region), random, usable);
        let outcome = Outcome::Pending(now + SignedDuration::from_secs(after), failure);
        Ok(Self { name, uid: new_uid(random), template, created: now, creator: String::new(), behaviour, outcome })
    }
}

/// After how many seconds it is known whether a container starts, and why not.
fn start(
    template: &Value,
    (startup, region): (&Startup, &str),
    random: &mut StdRng,
    usable: Usable<'_>,
) -> (i64, Option<Failure>) {
    if let Some(missing) = unusable_secret(template, usable) {
        let message = format!("Secret {missing} was not found or has no enabled version.");
        return (2, Some(Failure { code: 9, reason: "SECRETS_ACCESS_CHECK_FAILED", message }));
    }
    let port = ingress(template)["ports"][0]["containerPort"].as_i64().unwrap_or(8080);
    match startup {
        Startup::FailIn(elsewhere) if elsewhere != region => (random.random_range(8..25), None),
        Startup::Ok => (random.random_range(8..25), None),
        Startup::Fail | Startup::FailIn(_) => {
            let message = format!(
                "The user-provided container failed to start and listen on the port defined provided by the \
                 PORT={port} environment variable within the allocated timeout. The container exited with code 1."
            );
            (random.random_range(10..20), Some(Failure { code: 9, reason: "HEALTH_CHECK_CONTAINER_ERROR", message }))
        }
        Startup::Never => {
            let message = format!(
                "The user-provided container failed to start and listen on the port defined provided by the \
                 PORT={port} environment variable within the allocated timeout. This can happen when the container \
                 port is misconfigured or if the timeout is too short."
            );
            (240, Some(Failure { code: 9, reason: "HEALTH_CHECK_CONTAINER_ERROR", message }))
        }
    }
}

pub(super) fn new_uid(random: &mut StdRng) -> String {
    uuid::Builder::from_random_bytes(random.random()).into_uuid().to_string()
}

pub(super) fn letters(random: &mut StdRng) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz";
    (0..3).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}
