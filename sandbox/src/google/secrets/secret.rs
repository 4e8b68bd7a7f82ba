//! A secret: what is known of it, without its values.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::version::Version;
use crate::google::mask::Mask;
use crate::google::policy::Policy;
use crate::google::problem::Problem;
use crate::google::{Context, stamp};

const MUTABLE: [&str; 7] = ["labels", "annotations", "versionAliases", "rotation", "topics", "expireTime", "ttl"];
const MOST_ALIASES: usize = 50;
/// Soonest that a rotation may be due, and the shortest time between two.
const SOONEST_ROTATION: SignedDuration = SignedDuration::from_mins(5);
const SHORTEST_PERIOD: SignedDuration = SignedDuration::from_hours(1);
/// The longest time between two rotations, and the longest life.
const LONGEST: SignedDuration = SignedDuration::from_hours(100 * 365 * 24);

#[derive(Debug)]
pub(super) struct Secret {
    pub(super) document: Value,
    pub(super) versions: Vec<Version>,
    pub(super) policy: Policy,
    written: u64,
}

/// `3600s` or `3600.5s`.
fn duration(value: &Value) -> Option<SignedDuration> {
    let seconds = value.as_str()?.strip_suffix('s')?.parse::<f64>().ok()?;
    SignedDuration::try_from_secs_f64(seconds).ok()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

impl Secret {
    pub(super) fn new(document: Value) -> Self {
        Self { document, versions: vec![], policy: Policy::default(), written: 1 }
    }

    pub(super) fn create(name: &str, context: Context<'_>) -> Result<Self, Problem> {
        let mut document = context.body()?;
        let replicated = document["replication"].as_object().is_some_and(|r| r.len() == 1);
        if !replicated {
            return Err(Problem::field("secret.replication", "it must be automatic or userManaged"));
        }
        document["name"] = json!(name);
        document["createTime"] = context.time();
        if !document["versionDestroyTtl"].is_null() {
            return Err(Problem::unimplemented("versionDestroyTtl"));
        }
        let mut secret = Self::new(document);
        secret.settle(context.now, &Value::Null)?;
        Ok(secret)
    }

    fn etag(&self) -> String {
        format!("\"{:x}{:x}\"", self.document["name"].as_str().unwrap_or_default().len(), self.written)
    }

    pub(super) fn shown(&self) -> Value {
        let mut document = self.document.clone();
        document["etag"] = json!(self.etag());
        document
    }

    pub(super) fn check_etag(&self, sent: &str) -> Result<(), Problem> {
        match sent.is_empty() || sent == self.etag() {
            true => Ok(()),
            false => Err(Problem::precondition("The etag does not match the present one of the secret.")),
        }
    }

    pub(super) fn patch(&mut self, context: Context<'_>) -> Result<Value, Problem> {
        let wanted = context.body()?;
        let mask = Mask::parse(context.request.either("updateMask", "update_mask"));
        if mask.is_empty() {
            return Err(Problem::field("update_mask", "it is required"));
        }
        if let Some(fixed) = mask.outside(&MUTABLE) {
            return Err(Problem::field("update_mask", format!("field '{fixed}' cannot be updated")));
        }
        self.check_etag(wanted["etag"].as_str().unwrap_or_default())?;
        let before = self.document.clone();
        mask.apply(&wanted, &mut self.document)?;
        if let Err(problem) = self.settle(context.now, &before["rotation"]) {
            self.document = before;
            return Err(problem);
        }
        self.written += 1;
        Ok(self.shown())
    }

    /// Checks what was written, and turns a time to live into the time of the end.
    fn settle(&mut self, now: Timestamp, rotation_before: &Value) -> Result<(), Problem> {
        let document = &mut self.document;
        if let Some(ttl) = document.as_object_mut().and_then(|fields| fields.remove("ttl")) {
            let ttl = duration(&ttl).filter(|ttl| ttl.is_positive() && *ttl <= LONGEST);
            let ttl =
                ttl.ok_or_else(|| Problem::field("secret.ttl", "it must be a positive duration of 100 years at most"))?;
            document["expireTime"] = stamp(now + ttl);
        }
        let rotation = &document["rotation"];
        let has_topics = document["topics"].as_array().is_some_and(|topics| !topics.is_empty());
        if !rotation.is_null() && !has_topics {
            return Err(Problem::field("secret.rotation", "topics are required to be told of a rotation"));
        }
        let next = time(&rotation["nextRotationTime"]);
        if rotation != rotation_before && !rotation.is_null() && next.is_none_or(|next| next < now + SOONEST_ROTATION) {
            return Err(Problem::field("secret.rotation.next_rotation_time", "it must be 5 minutes ahead at least"));
        }
        if !rotation["rotationPeriod"].is_null()
            && duration(&rotation["rotationPeriod"]).is_none_or(|p| !(SHORTEST_PERIOD..=LONGEST).contains(&p))
        {
            return Err(Problem::field("secret.rotation.rotation_period", "it must be between an hour and 100 years"));
        }
        self.check_aliases()
    }

    /// Aliases are numbers as text, or numbers; they are kept as text, as int64 is written.
    fn check_aliases(&mut self) -> Result<(), Problem> {
        let known = self.versions.len();
        let Some(aliases) = self.document.get_mut("versionAliases").and_then(Value::as_object_mut) else {
            return Ok(());
        };
        if aliases.len() > MOST_ALIASES {
            return Err(Problem::field("secret.version_aliases", format!("there may be {MOST_ALIASES} at most")));
        }
        for (alias, version) in aliases.iter_mut() {
            let number = version.as_u64().or_else(|| version.as_str()?.parse().ok());
            let number = number.and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=known).contains(n));
            let named = alias.starts_with(|c: char| c.is_ascii_alphabetic()) && alias != "latest";
            let Some(number) = number.filter(|_| named) else {
                let description = format!("alias '{alias}' must start with a letter and name a version that exists");
                return Err(Problem::field("secret.version_aliases", description));
            };
            *version = json!(number.to_string());
        }
        Ok(())
    }

    pub(super) fn expires(&self) -> Option<Timestamp> {
        time(&self.document["expireTime"])
    }

    /// A rotation that is due only tells; here, the next one is known from then on.
    pub(super) fn rotate(&mut self, now: Timestamp) {
        let Some(rotation) = self.document.get_mut("rotation") else { return };
        let Some(mut next) = time(&rotation["nextRotationTime"]).filter(|next| *next <= now) else { return };
        match duration(&rotation["rotationPeriod"]) {
            Some(period) => {
                while next <= now {
                    next = next.checked_add(period).unwrap_or(Timestamp::MAX);
                }
                rotation["nextRotationTime"] = stamp(next);
            }
            None => *rotation = Value::Null,
        }
    }
}
