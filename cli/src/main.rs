//! `kubectl orchestra`: asks a release for something, bound to the revision that it shows now.

use clap::Parser;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use orchestra_crds::{Request, Rollout};
use serde_json::json;
use std::process::ExitCode;

/// What the cluster notes as the writer of a request.
const MANAGER: &str = "kubectl-orchestra";

#[derive(Parser)]
#[command(name = "kubectl-orchestra", bin_name = "kubectl orchestra", version, about = "Asks a release for something")]
struct Cli {
    /// Namespace of the Rollout. Default: that of the kubeconfig.
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    /// What to ask for.
    #[arg(value_enum)]
    verb: Verb,
    /// The Rollout.
    rollout: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Verb {
    /// Send all requests back to stable and end the release.
    Abort,
    /// Try what failed again, as a new revision.
    Retry,
    /// End the current step as passed; moves one step.
    Promote,
    /// Hold the release where it is.
    Pause,
    /// Let a held release go on.
    Resume,
}

/// Why nothing was asked.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{} (namespace `{}`: another is asked for with -n)", .0.message, .1)]
    Refused(Box<kube::core::Status>, String),
    #[error("{0}; does KUBECONFIG name a cluster that answers?")]
    Cluster(kube::Error),
    #[error(
        "the answer can't be read: {0}; correct the Rollout with kubectl edit, or use the plugin of the controller's version"
    )]
    Unreadable(kube::Error),
    #[error("Rollout `{0}`: {1}")]
    NothingTo(String, &'static str),
}

impl CliError {
    fn of(error: kube::Error, namespace: &str) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused(status, namespace.to_string()),
            kube::Error::SerdeError(_) => Self::Unreadable(error),
            other => Self::Cluster(other),
        }
    }
}

/// The annotation to write, and what to say about it.
#[derive(Debug)]
struct Annotation {
    request: Request,
    /// What the request is bound to; none takes the annotation off.
    value: Option<String>,
    said: String,
}

fn annotation(verb: Verb, rollout: &Rollout) -> Result<Annotation, CliError> {
    let name = rollout.name_any();
    let status = rollout.status.clone().unwrap_or_default();
    let candidate = status.candidate.as_ref().map(|c| c.release.clone());
    let of = |request, value: Option<String>, missing, said: &str| match value {
        Some(value) => Ok(Annotation { request, said: format!("{said} {value}"), value: Some(value) }),
        None => Err(CliError::NothingTo(name.clone(), missing)),
    };
    let held = match status.stable.is_none() && status.failed.is_none() {
        // A status that was lost comes back from the marks, once each region can be read.
        true => "which release is going on, if any, is not known yet: kubectl get oro -o wide says what it waits for",
        false => "no release is going on: kubectl get oro -o wide says what it waits for",
    };
    let paused_for = rollout.annotations().get(&Request::Pause.key());
    let is_held = rollout.spec.paused || (candidate.is_some() && paused_for == candidate.as_ref());
    match verb {
        Verb::Abort => of(Request::Abort, candidate, held, "aborting"),
        Verb::Pause => of(Request::Pause, candidate, held, "pausing"),
        Verb::Retry => {
            let latched = status.latches.first().map(|latch| latch.release.clone());
            let failed = latched.or(status.failed.map(|failed| failed.release));
            of(Request::Retry, failed, "nothing that is asked for has failed", "retrying")
        }
        Verb::Promote => {
            let token = status.candidate.and_then(|c| c.promote_token);
            let missing = "no step is in effect that could end: kubectl get oro -o wide says what it waits for";
            let said = if is_held { "held, and to be promoted as soon as it is resumed:" } else { "promoting" };
            of(Request::Promote, token, missing, said)
        }
        Verb::Resume if paused_for.is_none() => Err(CliError::NothingTo(
            name,
            match rollout.spec.paused {
                true => "spec.paused is true, in the object itself: set it to false where you keep it",
                false => "it is not paused: kubectl get oro -o wide says what it waits for",
            },
        )),
        Verb::Resume => {
            let said = match (rollout.spec.paused, is_held) {
                (true, _) => "resuming; spec.paused still holds it",
                (false, true) => "resuming",
                (false, false) => "the pause was of another release, and is taken off",
            };
            Ok(Annotation { request: Request::Pause, value: None, said: said.into() })
        }
    }
}

async fn run(cli: Cli) -> Result<String, CliError> {
    let client = Client::try_default().await.map_err(CliError::Cluster)?;
    let namespace = cli.namespace.unwrap_or_else(|| client.default_namespace().to_string());
    let api: Api<Rollout> = Api::namespaced(client, &namespace);
    let rollout = &cli.rollout;
    let failed = |error| CliError::of(error, &namespace);
    let asked = annotation(cli.verb, &api.get(rollout).await.map_err(failed)?)?;
    let patch = json!({"metadata": {"annotations": {asked.request.key(): asked.value}}});
    let writer = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    api.patch(rollout, &writer, &Patch::Merge(patch)).await.map_err(failed)?;
    Ok(format!("rollout/{rollout} {}", asked.said))
}

#[tokio::main]
async fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("kubectl orchestra: a TLS provider is installed already");
    }
    match run(Cli::parse()).await {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("kubectl orchestra: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(status: serde_json::Value) -> Rollout {
        let object = json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "Rollout", "metadata": {"name": "api"},
            "spec": {"environmentRef": {"name": "e"}, "serviceName": "api", "template": {"containers": [{"image": "a"}]},
                     "strategy": {"immediate": {}}},
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn requests_are_bound_to_the_release_that_is_shown() {
        let candidate = json!({
            "release": "api-x.3", "revision": "api-x", "image": "a", "startedAt": "2026-01-01T00:00:00Z",
            "templateHash": "aaaaaaaaaa", "news": "template:aaaaaaaaaa", "promoteToken": "api-x.3/us-central1/1",
        });
        let going_on = rollout(json!({"candidate": candidate}));
        let asked = |verb| annotation(verb, &going_on).map(|asked| (asked.request, asked.value));
        assert_eq!(asked(Verb::Abort).unwrap(), (Request::Abort, Some("api-x.3".into())));
        assert_eq!(asked(Verb::Promote).unwrap(), (Request::Promote, Some("api-x.3/us-central1/1".into())));
        assert!(asked(Verb::Retry).is_err());
        assert!(asked(Verb::Resume).unwrap_err().to_string().contains("not paused"));
    }
}
