//! What the controller would do about an object, found out by running it: on a copy of the objects, with reads of the
//! live cloud, and with every write kept instead of sent.

use jiff::SignedDuration;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};
use orchestra_cloud::{Cloud, Unsent};
use orchestra_planner::difference::Difference;
use orchestra_planner::plan::Effect;
use orchestra_planner::resource::ResourceId;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::cluster::kube_call;
use crate::error::PassError;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::shell::{Managed, Shell, Witness};

/// Most passes that an object takes until something is written or waited for; more is a mistake of the planner.
const PASSES: usize = 32;

/// A write that would be made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// What it does, in a word.
    pub verb: &'static str,
    /// What is written.
    pub resource: ResourceId,
    /// What changes.
    pub changes: Vec<Difference>,
    /// The call of Google's API.
    pub call: Unsent,
}

/// What would be done about an object now.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    /// Writes up to the first wait, made together.
    pub writes: Vec<Write>,
    /// When it would be looked at again, if nothing happens before; none: at once, or never.
    pub next: Option<SignedDuration>,
}

/// A write, as it is told before it is made.
type Told = (&'static str, ResourceId, Vec<Difference>);

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<Told>>);

impl Notes {
    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Notes {
    fn writes(&self, effect: &Effect, differences: &[Difference]) {
        self.told().push((effect.verb(), effect.resource(), differences.to_vec()));
    }
}

/// A controller whose writes are not sent.
pub struct Rehearsal {
    shell: Shell,
    unsent: Arc<orchestra_cloud::Rehearsal>,
    notes: Arc<Notes>,
}

impl Rehearsal {
    /// One on a copy of the objects, which it may write to, and a cloud, of which it only reads.
    ///
    /// # Errors
    /// When the metrics can't be registered.
    pub fn new(copy: Client, cloud: Cloud, clock: Clock) -> Result<Self, prometheus::Error> {
        let (unsent, notes) = (Arc::default(), Arc::new(Notes::default()));
        let cloud = cloud.rehearsed(&unsent);
        let shell = Shell::new(copy, cloud, clock, Leadership::alone(), Metrics::new(0)?).witnessed(notes.clone());
        Ok(Self { shell, unsent, notes })
    }

    /// What of Google Cloud could not be read so far: what is foreseen without it may be wrong.
    pub fn unread(&self) -> Vec<String> {
        self.shell.health.google_troubles()
    }

    /// What would be done about an object of the copy, up to the first wait. Its status in the copy is then what it would
    /// be.
    ///
    /// # Errors
    /// When the copy can't be read or written, or no end comes.
    pub async fn of<M: Managed>(&self, namespace: &str, name: &str) -> Result<Foreseen, PassError> {
        let key = (M::KIND, namespace.to_string(), name.to_string());
        for _ in 0..PASSES {
            let before = self.essence::<M>(namespace, name).await?;
            let next = self.shell.pass::<M>(namespace, name, &key).await?;
            let writes = self.written();
            if !self.unread().is_empty() {
                // What is foreseen now may be wrong: whoever asks is told that instead.
                return Ok(Foreseen { writes, next });
            }
            if !writes.is_empty() || self.essence::<M>(namespace, name).await? == before {
                return Ok(Foreseen { writes, next });
            }
        }
        Err(PassError::Endless)
    }

    /// The writes of the last pass. They are sent in the order in which they are told.
    fn written(&self) -> Vec<Write> {
        let told = std::mem::take(&mut *self.notes.told());
        let pairs = told.into_iter().zip(self.unsent.take());
        pairs.map(|((verb, resource, changes), call)| Write { verb, resource, changes, call }).collect()
    }

    /// An object without what changes by the second: messages say how long something still takes.
    async fn essence<M: Managed>(&self, namespace: &str, name: &str) -> Result<Option<Value>, PassError> {
        let resource = ApiResource::erase::<M>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.shell.kube.clone(), namespace, &resource);
        let object = kube_call("read the copy", api.get_opt(name)).await?;
        Ok(object.map(|object| {
            let mut essence = json!({"finalizers": object.metadata.finalizers, "status": object.data["status"]});
            without_messages(&mut essence);
            essence
        }))
    }
}

/// What changes by itself: how long something still takes, and what users meet.
const CHANGING: [&str; 3] = ["message", "evidence", "fast"];

fn without_messages(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            CHANGING.iter().for_each(|field| drop(fields.remove(*field)));
            fields.values_mut().for_each(without_messages);
        }
        Value::Array(items) => items.iter_mut().for_each(without_messages),
        _ => {}
    }
}
