//! `plan`: what the controller would do to the cloud if files were applied now. The controller itself says so: it is run
//! on copies of the objects, reads the cloud with the caller's own credentials, and sends no write.

mod print;

use orchestra_cloud::Cloud;
use orchestra_controller::clock::Clock;
use orchestra_controller::rehearsal::{Foreseen, Rehearsal};
use orchestra_crds::{OrchestraEnvironment, Rollout};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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

/// An object of a file, the namespace that it is for, and the object of that name in the cluster.
struct Subject {
    manifest: Manifest,
    namespace: String,
    live: Option<Value>,
}

/// What would be done if files were applied now.
///
/// # Errors
/// When a file can't be read, an object would be refused, or the cluster or Google can't be asked.
pub async fn plan(cluster: &Cluster, args: &PlanArgs) -> Result<Vec<Planned>, CliError> {
    let clock = clock(cluster, args.google_endpoint.as_deref()).await?;
    let offline = Offline::new(clock)?;
    let subjects = subjects(cluster, &args.files).await?;
    if subjects.is_empty() {
        return Err(CliError::NothingToPlan);
    }
    let mut environments = BTreeSet::new();
    for Subject { manifest, namespace, live } in &subjects {
        if let Some(live) = live {
            offline.restore(live);
        }
        if manifest.text("/kind") == "Rollout" {
            environments.insert((namespace.clone(), manifest.text("/spec/environmentRef/name").to_string()));
        }
    }
    for (namespace, name) in environments {
        if let Some(environment) = cluster.stored::<OrchestraEnvironment>(&namespace, &name).await? {
            offline.restore(&environment);
        }
    }
    for Subject { manifest, namespace, live } in &subjects {
        offline.apply(manifest, namespace, live.as_ref())?;
    }
    let cloud = Cloud::connect(args.google_endpoint.as_deref()).await.map_err(|e| CliError::Google(e.to_string()))?;
    let rehearsal = Rehearsal::new(offline.client(), cloud, clock).map_err(|e| CliError::Offline(e.to_string()))?;
    let mut planned = vec![];
    for subject in &subjects {
        planned.push(of_subject(&rehearsal, &offline, subject).await?);
    }
    Ok(planned)
}

/// Our objects of the files, environments first: Rollouts wait for them.
async fn subjects(cluster: &Cluster, files: &[std::path::PathBuf]) -> Result<Vec<Subject>, CliError> {
    let mut subjects = vec![];
    for manifest in read(files)?.into_iter().filter(Manifest::is_ours) {
        let named = manifest.text("/metadata/namespace");
        let namespace = if named.is_empty() { cluster.namespace.clone() } else { named.to_string() };
        let name = manifest.text("/metadata/name");
        let live = match manifest.text("/kind") {
            "Rollout" => cluster.stored::<Rollout>(&namespace, name).await?,
            "OrchestraEnvironment" => cluster.stored::<OrchestraEnvironment>(&namespace, name).await?,
            _ => continue,
        };
        subjects.push(Subject { manifest, namespace, live });
    }
    subjects.sort_by_key(|subject| subject.manifest.text("/kind") == "Rollout");
    Ok(subjects)
}

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
    let Subject { manifest, namespace, live } = subject;
    let name = manifest.text("/metadata/name");
    let foreseen = match manifest.text("/kind") {
        "Rollout" => rehearsal.of::<Rollout>(namespace, name).await,
        _ => rehearsal.of::<OrchestraEnvironment>(namespace, name).await,
    };
    let foreseen: Foreseen = foreseen.map_err(|error| CliError::Offline(error.to_string()))?;
    let after = offline.object(manifest, namespace);
    let uid = after["metadata"]["uid"].as_str().filter(|_| live.is_none()).unwrap_or_default();
    Ok(Planned {
        kind: manifest.text("/kind").into(),
        namespace: namespace.clone(),
        name: name.into(),
        is_new: live.is_none(),
        writes: foreseen.writes.iter().map(|write| unmade(json!(write), uid)).collect(),
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

fn message(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.filter(|c| c["type"] == "Ready").find_map(|c| c["message"].as_str());
    object["status"]["message"].as_str().or(ready).unwrap_or_default().to_string()
}
