//! `plan`: what the controller would do to the cloud if files were applied now. The controller itself says so: it is run
//! on copies of the objects, reads the cloud with the caller's own credentials, and sends no write.

mod print;

use orchestra_cloud::Cloud;
use orchestra_controller::clock::Clock;
use orchestra_controller::rehearsal::{Foreseen, Rehearsal};
use orchestra_crds::{GROUP, OrchestraEnvironment, Rollout, VERSION};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub use print::{as_markdown, as_text};

use crate::args::PlanArgs;
use crate::cluster::Cluster;
use crate::error::CliError;
use crate::files::{Manifest, read};
use crate::offline::Offline;

/// What would be done about one object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is not in the cluster yet.
    pub is_new: bool,
    /// Writes to the cloud, up to the first wait.
    pub writes: Vec<Value>,
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
    kind: &'static str,
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
    let clock = clock(cluster, args.google_endpoint.as_deref()).await?;
    let offline = Offline::new(clock)?;
    let subjects = subjects(cluster, &offline, read(&args.files)?).await?;
    for subject in &subjects {
        if let Some(manifest) = &subject.manifest {
            offline.apply(manifest, &subject.namespace, subject.live.as_ref())?;
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

/// Environments first, because Rollouts wait for them. The copy gets everything of the namespaces.
async fn subjects(cluster: &Cluster, offline: &Offline, manifests: Vec<Manifest>) -> Result<Vec<Subject>, CliError> {
    let mut of_files = BTreeMap::new();
    for manifest in manifests.into_iter().filter(Manifest::is_ours) {
        let refused = |why: String| CliError::WouldBeRefused(manifest.title(), why);
        let Some(kind) = KINDS.into_iter().find(|kind| *kind == manifest.text("/kind")) else {
            return Err(refused("there is no such kind".into()));
        };
        if manifest.text("/apiVersion") != format!("{GROUP}/{VERSION}") {
            return Err(refused(format!("apiVersion: write {GROUP}/{VERSION}")));
        }
        if manifest.text("/metadata/name").is_empty() {
            return Err(refused("metadata.name: it needs a name".into()));
        }
        let named = manifest.text("/metadata/namespace");
        if let Some(asked) = cluster.asked_namespace.as_deref().filter(|asked| !named.is_empty() && *asked != named) {
            return Err(refused(format!("it is for namespace {named}, and -n says {asked}")));
        }
        let namespace = if named.is_empty() { cluster.namespace.clone() } else { named.to_string() };
        let key = (kind, namespace, manifest.text("/metadata/name").to_string());
        if let Some(before) = of_files.insert(key, manifest) {
            return Err(CliError::Twice(before.title(), before.file));
        }
    }
    if of_files.is_empty() {
        return Err(CliError::NothingToPlan);
    }
    let namespaces: BTreeSet<String> = of_files.keys().map(|(_, namespace, _)| namespace.clone()).collect();
    let mut live = BTreeMap::new();
    for namespace in namespaces {
        let environments = cluster.all_stored::<OrchestraEnvironment>(&namespace).await?;
        let rollouts = cluster.all_stored::<Rollout>(&namespace).await?;
        for (kind, object) in
            environments.into_iter().map(|o| (KINDS[0], o)).chain(rollouts.into_iter().map(|o| (KINDS[1], o)))
        {
            offline.restore(&object);
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_string();
            live.insert((kind, namespace.clone(), name), object);
        }
    }
    let taken_along = |(kind, namespace, _): &Key, object: &Value| {
        let environment = object["spec"]["environmentRef"]["name"].as_str().unwrap_or_default();
        *kind == KINDS[1] && of_files.contains_key(&(KINDS[0], namespace.clone(), environment.to_string()))
    };
    let keys: BTreeSet<Key> =
        live.iter().filter(|(key, object)| taken_along(key, object)).map(|(key, _)| key.clone()).collect();
    let keys = keys.into_iter().chain(of_files.keys().cloned()).collect::<BTreeSet<_>>();
    let subject = |key: Key| Subject {
        manifest: of_files.remove(&key),
        live: live.remove(&key),
        kind: key.0,
        namespace: key.1,
        name: key.2,
    };
    Ok(keys.into_iter().map(subject).collect())
}

/// Kind, namespace and name.
type Key = (&'static str, String, String);

/// The kinds, in the order in which they are planned, which is also that of their names.
const KINDS: [&str; 2] = ["OrchestraEnvironment", "Rollout"];

/// The world's time: of the sandbox where that is asked, or else of the cluster.
async fn clock(cluster: &Cluster, google_endpoint: Option<&str>) -> Result<Clock, CliError> {
    if let Some(endpoint) = google_endpoint
        && let Ok(clock) = Clock::of_sandbox(&format!("{}/sandbox/clock", endpoint.trim_end_matches('/'))).await
    {
        return Ok(clock);
    }
    cluster.clock().await
}

async fn of_subject(rehearsal: &Rehearsal, offline: &Offline, subject: &Subject) -> Result<Planned, CliError> {
    let Subject { kind, namespace, name, live, .. } = subject;
    let foreseen = match *kind {
        "Rollout" => rehearsal.of::<Rollout>(namespace, name).await,
        _ => rehearsal.of::<OrchestraEnvironment>(namespace, name).await,
    };
    let foreseen: Foreseen = foreseen.map_err(|error| CliError::Offline(error.to_string()))?;
    let after = offline.object(kind, namespace, name);
    let uid = after["metadata"]["uid"].as_str().filter(|_| live.is_none()).unwrap_or_default();
    Ok(Planned {
        kind: (*kind).into(),
        namespace: namespace.clone(),
        name: name.clone(),
        is_new: live.is_none(),
        writes: foreseen.writes.iter().map(|write| unmade(json!(write), uid)).collect(),
        is_stalled: is_stalled(&after),
        message: message(&after),
        then: print::then(&after),
    })
}

/// A write without the identity of an object that is not there yet.
fn unmade(write: Value, uid: &str) -> Value {
    match uid {
        "" => write,
        uid => serde_json::from_str(&write.to_string().replace(uid, "UID-TO-COME")).unwrap_or(write),
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
