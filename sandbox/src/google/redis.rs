//! Memorystore for Redis: one operation at a time, minutes long.

mod instance;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;

use super::Context;
use super::mask::Mask;
use super::operations::{self, Operations, UnderWay};
use super::page::page;
use super::problem::Problem;
use super::secrets::Masked;
use super::storage::Storage;
use instance::typed;

#[derive(Debug)]
pub(super) struct Redis {
    random: StdRng,
    instances: BTreeMap<String, Instance>,
}

#[derive(Debug)]
struct Instance {
    document: Value,
    /// What it holds: other data, another text.
    data: String,
    /// What clients authenticate with, when they must.
    auth: Masked,
    under_way: Option<UnderWay<Outcome>>,
}

/// What an operation ends with.
#[derive(Debug)]
enum Outcome {
    /// The instance is this.
    Becomes(Box<Value>),
    /// The instance is gone.
    Gone,
    /// Its data is written to an object in Cloud Storage.
    Exported { bucket: String, object: String },
    /// Its data is what an object held when this began.
    Imported(String),
}

/// An operation that is to begin.
struct Beginning {
    verb: &'static str,
    /// State until it ends.
    state: &'static str,
    seconds: Range<i64>,
    outcome: Outcome,
}

impl Redis {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed ^ 0x7ed1), instances: BTreeMap::new() }
    }

    pub(super) fn view(&self) -> Value {
        self.instances.values().map(|i| i.document.clone()).collect()
    }

    /// What is due ends. When it fails, an instance is as it was, and was not there before it was created.
    pub(super) fn advance(&mut self, now: Timestamp, known: &mut Operations, storage: &mut Storage) {
        let mut gone = vec![];
        for (name, instance) in &mut self.instances {
            let Some(UnderWay { operation, outcome, ends }) = instance.under_way.take_if(|u| u.ends <= now) else {
                continue;
            };
            let settled = instance.document["state"] != "CREATING";
            instance.document["state"] = json!("READY");
            let result = match outcome {
                Ok(Outcome::Becomes(document)) => {
                    instance.document = *document;
                    Ok(())
                }
                Ok(Outcome::Exported { bucket, object }) => storage.export(&bucket, &object, &instance.data, ends),
                Ok(Outcome::Imported(data)) => {
                    instance.data = data;
                    Ok(())
                }
                Err(error) => {
                    if !settled {
                        gone.push(name.clone());
                    }
                    Err(error)
                }
                Ok(Outcome::Gone) => {
                    gone.push(name.clone());
                    known.end(&operation, now, Ok(operations::empty()));
                    continue;
                }
            };
            known.end(&operation, now, result.map(|()| typed(instance.document.clone())));
        }
        for name in gone {
            self.instances.remove(&name);
        }
    }

    pub(super) fn handle(
        &mut self,
        context: Context<'_>,
        parent: &str,
        rest: &[&str],
        verb: &str,
        (operations, storage): (&mut Operations, &Storage),
    ) -> Result<Value, Problem> {
        let name = |id: &str| format!("{parent}/instances/{id}");
        match (rest, &context.request.method, verb) {
            ([], &Method::GET, "") => self.list(context, parent),
            ([], &Method::POST, "") => self.create(context, parent, operations),
            ([id], &Method::GET, "") => Ok(self.instance(&name(id))?.document.clone()),
            ([id, "authString"], &Method::GET, "") => {
                let found = self.instance(&name(id))?;
                Ok(if found.document["authEnabled"] == true { json!({"authString": found.auth.0}) } else { json!({}) })
            }
            ([id], ..) => {
                let found = self.instance(&name(id))?;
                if found.under_way.is_some() {
                    let message = format!("Another operation is under way on '{}'", name(id));
                    return Err(Problem::precondition(message));
                }
                let beginning = found.next(context, verb, storage)?;
                self.begin(context, parent, &name(id), beginning, operations)
            }
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    fn instance(&self, name: &str) -> Result<&Instance, Problem> {
        self.instances.get(name).ok_or_else(|| Problem::not_found(name))
    }

    /// In a region, or with `-` in all.
    fn list(&self, context: Context<'_>, parent: &str) -> Result<Value, Problem> {
        let prefix = match parent.strip_suffix("/-") {
            Some(everywhere) => format!("{everywhere}/"),
            None => format!("{parent}/instances/"),
        };
        let own = self.instances.iter().filter(|(name, _)| name.starts_with(&prefix));
        page(context.request, "instances", own.map(|(name, i)| (name.clone(), i.document.clone())).collect(), 1000)
    }

    fn create(&mut self, context: Context<'_>, parent: &str, operations: &mut Operations) -> Result<Value, Problem> {
        let id = context.request.either("instanceId", "instance_id");
        let fits = (1..=40).contains(&id.len()) && id.starts_with(|c: char| c.is_ascii_lowercase());
        if !fits || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') || id.ends_with('-')
        {
            let rule = "1 to 40 lowercase letters, digits and hyphens, starting with a letter";
            return Err(Problem::field("instance_id", format!("{id:?}: {rule}")));
        }
        let name = format!("{parent}/instances/{id}");
        if self.instances.contains_key(&name) {
            return Err(Problem::already_exists(format!("Resource '{name}' already exists")));
        }
        let document = instance::create(&name, context, &mut self.random)?;
        let outcome = Outcome::Becomes(Box::new(instance::ready(document.clone())));
        let uuid = |random: &mut StdRng| uuid::Builder::from_random_bytes(random.random()).into_uuid().to_string();
        let (data, auth) = (uuid(&mut self.random), Masked(uuid(&mut self.random)));
        self.instances.insert(name.clone(), Instance { document, data, auth, under_way: None });
        let beginning = Beginning { verb: "create", state: "CREATING", seconds: 240..360, outcome };
        self.begin(context, parent, &name, beginning, operations)
    }

    fn begin(
        &mut self,
        context: Context<'_>,
        parent: &str,
        name: &str,
        beginning: Beginning,
        operations: &mut Operations,
    ) -> Result<Value, Problem> {
        let instance = self.instances.get_mut(name).ok_or_else(|| Problem::not_found(name))?;
        let takes = SignedDuration::from_secs(self.random.random_range(beginning.seconds));
        let metadata = json!({
            "@type": "type.googleapis.com/google.cloud.redis.v1.OperationMetadata", "createTime": context.time(),
            "target": name, "verb": beginning.verb, "cancelRequested": false, "apiVersion": "v1",
        });
        let operation = operations.start_explicitly(context, parent, metadata, &mut self.random);
        instance.document["state"] = json!(beginning.state);
        instance.under_way = Some(UnderWay::new(context, &operation, takes, beginning.outcome, operations));
        Ok(operation)
    }
}

impl Instance {
    /// The operation that a call asks for.
    fn next(&self, context: Context<'_>, verb: &str, storage: &Storage) -> Result<Beginning, Problem> {
        let document = &self.document;
        let becomes = |document: Value| Outcome::Becomes(Box::new(document));
        let body = || context.body();
        Ok(match (&context.request.method, verb) {
            (&Method::DELETE, "") => {
                Beginning { verb: "delete", state: "DELETING", seconds: 60..120, outcome: Outcome::Gone }
            }
            (&Method::PATCH, "") => {
                let sent = context.request.either("updateMask", "update_mask");
                let changed = instance::update(document, &body()?, &Mask::parse(sent))?;
                Beginning { verb: "update", state: "UPDATING", seconds: 120..240, outcome: becomes(changed) }
            }
            (&Method::POST, "upgrade") => {
                let version = body()?["redisVersion"].as_str().unwrap_or_default().to_string();
                let changed = instance::upgrade(document, &version)?;
                Beginning { verb: "upgrade", state: "UPDATING", seconds: 240..480, outcome: becomes(changed) }
            }
            (&Method::POST, "failover") => {
                let changed = instance::failover(document)?;
                Beginning { verb: "failover", state: "FAILING_OVER", seconds: 60..180, outcome: becomes(changed) }
            }
            (&Method::POST, "export") => {
                let uri = body()?["outputConfig"]["gcsDestination"]["uri"].as_str().unwrap_or_default().to_string();
                let (bucket, object) = gcs(&uri, "output_config.gcs_destination.uri")?;
                let outcome = Outcome::Exported { bucket, object };
                Beginning { verb: "export", state: "READY", seconds: 60..120, outcome }
            }
            (&Method::POST, "import") => {
                let uri = body()?["inputConfig"]["gcsSource"]["uri"].as_str().unwrap_or_default().to_string();
                let (bucket, object) = gcs(&uri, "input_config.gcs_source.uri")?;
                let data = storage.text(&bucket, &object).ok_or_else(|| Problem::not_found(&uri))?;
                let outcome = Outcome::Imported(data);
                Beginning { verb: "import", state: "IMPORTING", seconds: 60..120, outcome }
            }
            (_, verb) => return Err(Problem::unimplemented(&format!("instances:{verb}"))),
        })
    }
}

/// Bucket and object of `gs://bucket/object`.
fn gcs(uri: &str, field: &str) -> Result<(String, String), Problem> {
    let parts = uri.strip_prefix("gs://").and_then(|path| path.split_once('/'));
    let parts = parts.filter(|(bucket, object)| !bucket.is_empty() && !object.is_empty());
    let named = parts.map(|(bucket, object)| (bucket.to_string(), object.to_string()));
    named.ok_or_else(|| Problem::field(field, format!("'{uri}' does not name an object: gs://bucket/object")))
}
