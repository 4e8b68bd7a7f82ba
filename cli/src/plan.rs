//! `plan`: what the controller would do to the cloud if files were applied now. The controller itself says so: it is run
//! on copies of the objects, reads the cloud with the caller's own credentials, and sends no write.

mod print;

use orchestra_cloud::Cloud;
use orchestra_controller::rehearsal::{Foreseen, Rehearsal, Write};
use orchestra_crds::{GROUP, OrchestraEnvironment, Rollout, VERSION};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub use print::{as_markdown, as_text};

use crate::args::PlanArgs;
use crate::cluster::Cluster;
use crate::error::CliError;
use crate::files::{Manifest, read};
use crate::kind::Kind;
use crate::offline::Offline;
use crate::time;

/// What would be done about one object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is not in the cluster yet.
    pub is_new: bool,
    /// Writes to the cloud, up to the first wait.
    pub writes: Vec<Write>,
    /// Whether nothing goes on without a person.
    pub is_stalled: bool,
    /// What the status would say then.
    pub message: String,
    /// What follows after the first wait, as long as nothing fails.
    pub then: Vec<String>,
}

impl Planned {
    /// Whether anything would be written to the cloud.
    pub fn changes(&self) -> bool {
        !self.writes.is_empty()
    }
}

/// An object that is planned: one of a file, or one that a file's environment takes along.
struct Subject {
    kind: Kind,
    namespace: String,
    name: String,
    /// What the file says; none: it is in no file.
    manifest: Option<Manifest>,
    /// The object of that name in the cluster.
    live: Option<Value>,
}

/// What would be done if files were applied now. Rollouts that are in no file, and whose environment is in one, are told
/// where something would be written.
///
/// # Errors
/// When a file can't be read, an object would be refused, or the cluster or Google can't be asked.
pub async fn plan(cluster: &Cluster, args: &PlanArgs) -> Result<Vec<Planned>, CliError> {
    let clock = match time::of_sandbox(args.google_endpoint.as_deref()).await {
        Some(clock) => clock,
        None => cluster.clock().await?,
    };
    let offline = Offline::new(clock)?;
    let subjects = subjects(cluster, &offline, read(&args.of)?).await?;
    for subject in &subjects {
        if let Some(manifest) = &subject.manifest {
            offline.apply(subject.kind, manifest, &subject.namespace, subject.live.as_ref())?;
        }
    }
    let cloud = Cloud::connect(args.google_endpoint.as_deref()).await.map_err(|e| CliError::Google(e.to_string()))?;
    let rehearsal = Rehearsal::new(offline.client(), cloud, clock).map_err(|e| CliError::Offline(e.to_string()))?;
    let mut planned = vec![];
    for subject in &subjects {
        let of_subject = of_subject(&rehearsal, &offline, subject).await?;
        let unread = rehearsal.unread();
        if !unread.is_empty() {
            return Err(CliError::Unread(unread));
        }
        if subject.manifest.is_some() || of_subject.changes() {
            planned.push(of_subject);
        }
    }
    Ok(planned)
}

/// Kind, namespace and name.
type Key = (Kind, String, String);

/// The objects of the files, and the Rollouts whose environment is among them.
async fn subjects(cluster: &Cluster, offline: &Offline, manifests: Vec<Manifest>) -> Result<Vec<Subject>, CliError> {
    let mut of_files = BTreeMap::new();
    for manifest in manifests.into_iter().filter(Manifest::is_ours) {
        if let Some(before) = of_files.insert(key(cluster, &manifest)?, manifest) {
            return Err(CliError::Twice(before.title(), before.file));
        }
    }
    if of_files.is_empty() {
        return Err(CliError::NothingToPlan);
    }
    let mut live = live(cluster, of_files.keys().map(|(_, namespace, _)| namespace.clone()).collect()).await?;
    // The copy gets everything: what is in no file may matter to what is.
    live.values().for_each(|object| offline.restore(object));
    let taken_along = |((kind, namespace, _), object): &(&Key, &Value)| {
        let environment = object["spec"]["environmentRef"]["name"].as_str().unwrap_or_default();
        let home = (Kind::Environment, namespace.clone(), environment.to_string());
        *kind == Kind::Rollout && of_files.contains_key(&home)
    };
    let along = live.iter().filter(taken_along).map(|(key, _)| key.clone());
    let keys: BTreeSet<Key> = along.chain(of_files.keys().cloned()).collect();
    let subject = |key: Key| Subject {
        manifest: of_files.remove(&key),
        live: live.remove(&key),
        kind: key.0,
        namespace: key.1,
        name: key.2,
    };
    Ok(keys.into_iter().map(subject).collect())
}

/// What an object of a file is.
fn key(cluster: &Cluster, manifest: &Manifest) -> Result<Key, CliError> {
    let refused = |why: String| Err(CliError::WouldBeRefused(manifest.title(), why));
    let Some(kind) = Kind::named(manifest.text("/kind")) else { return refused("there is no such kind".into()) };
    if manifest.text("/apiVersion") != format!("{GROUP}/{VERSION}") {
        return refused(format!("apiVersion: write {GROUP}/{VERSION}"));
    }
    let (named, name) = (manifest.text("/metadata/namespace"), manifest.text("/metadata/name"));
    if name.is_empty() {
        return refused("metadata.name: it needs a name".into());
    }
    match cluster.asked_namespace.as_deref() {
        Some(asked) if !named.is_empty() && asked != named => {
            refused(format!("it is for namespace {named}, and -n says {asked}"))
        }
        _ => {
            let namespace = if named.is_empty() { &cluster.namespace } else { named };
            Ok((kind, namespace.to_string(), name.to_string()))
        }
    }
}

/// All objects of namespaces.
async fn live(cluster: &Cluster, namespaces: BTreeSet<String>) -> Result<BTreeMap<Key, Value>, CliError> {
    let mut live = BTreeMap::new();
    for namespace in namespaces {
        for kind in Kind::ALL {
            let objects = match kind {
                Kind::Environment => cluster.all_stored::<OrchestraEnvironment>(&namespace).await?,
                Kind::Rollout => cluster.all_stored::<Rollout>(&namespace).await?,
            };
            let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_string();
            live.extend(objects.into_iter().map(|object| ((kind, namespace.clone(), name(&object)), object)));
        }
    }
    Ok(live)
}

async fn of_subject(rehearsal: &Rehearsal, offline: &Offline, subject: &Subject) -> Result<Planned, CliError> {
    let Subject { kind, namespace, name, live, .. } = subject;
    let foreseen = match kind {
        Kind::Environment => rehearsal.of::<OrchestraEnvironment>(namespace, name).await,
        Kind::Rollout => rehearsal.of::<Rollout>(namespace, name).await,
    };
    let foreseen: Foreseen = foreseen.map_err(|error| CliError::Offline(error.to_string()))?;
    let after = offline.object(*kind, namespace, name);
    let uid = after["metadata"]["uid"].as_str().filter(|_| live.is_none()).unwrap_or_default();
    Ok(Planned {
        kind: kind.name(),
        namespace: namespace.clone(),
        name: name.clone(),
        is_new: live.is_none(),
        writes: foreseen.writes.into_iter().map(|write| unmade(write, uid)).collect(),
        is_stalled: is_stalled(&after),
        message: message(&after),
        then: print::then(&after),
    })
}

/// A write without the identity of an object that is not there yet.
fn unmade(mut write: Write, uid: &str) -> Write {
    if let Some(body) = write.call.body.as_mut().filter(|_| !uid.is_empty()) {
        hide(body, uid);
    }
    write
}

fn hide(value: &mut Value, uid: &str) {
    match value {
        Value::String(text) => *text = text.replace(uid, "UID-TO-COME"),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, uid)),
        Value::Object(fields) => fields.values_mut().for_each(|inner| hide(inner, uid)),
        _ => {}
    }
}

fn is_stalled(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Stalled" && condition["status"] == "True")
}

fn message(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.filter(|c| c["type"] == "Ready").find_map(|c| c["message"].as_str());
    object["status"]["message"].as_str().or(ready).unwrap_or_default().to_string()
}
