//! `kubectl orchestra`: asks a release for something, bound to the revision that it shows now.

use clap::{Parser, Subcommand};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use orchestra_crds::{Rollout, requests};
use serde_json::json;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "kubectl orchestra", version, about = "Asks a release for something")]
struct Cli {
    /// Namespace of the Rollout. Default: that of the kubeconfig.
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Send all requests back to stable and end the release.
    Abort { rollout: String },
    /// Try the failed revision's template again, as a new revision.
    Retry { rollout: String },
    /// End the current step as passed; moves one step.
    Promote { rollout: String },
    /// Hold the release where it is.
    Pause { rollout: String },
    /// Let a held release go on.
    Resume { rollout: String },
}

/// Why nothing was asked.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{}", .0.message)]
    Refused(Box<kube::core::Status>),
    #[error("{0}; does KUBECONFIG name a cluster that answers?")]
    Cluster(kube::Error),
    #[error("Rollout `{0}`: {1}")]
    NothingTo(String, &'static str),
}

impl From<kube::Error> for CliError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused(status),
            other => Self::Cluster(other),
        }
    }
}

/// The annotation to write, and what to say; a value of none takes it off.
struct Request {
    key: &'static str,
    value: Option<String>,
    said: String,
}

fn request(verb: &Verb, rollout: &Rollout) -> Result<Request, CliError> {
    let name = rollout.name_any();
    let status = rollout.status.clone().unwrap_or_default();
    let candidate = status.candidate.as_ref().map(|c| c.revision.clone());
    let of = |key, value: Option<String>, missing, said: &str| match value {
        Some(value) => Ok(Request { key, said: format!("{said} {value}"), value: Some(value) }),
        None => Err(CliError::NothingTo(name.clone(), missing)),
    };
    match verb {
        Verb::Abort { .. } => of(requests::ABORT, candidate, "no release is going on", "aborting"),
        Verb::Pause { .. } => of(requests::PAUSE, candidate, "no release is going on", "pausing"),
        Verb::Retry { .. } => {
            let failed = status.failed.map(|f| f.revision);
            of(requests::RETRY, failed, "no revision has failed", "retrying the template of")
        }
        Verb::Promote { .. } => {
            let token = status.candidate.and_then(|c| c.promote_token);
            of(requests::PROMOTE, token, "no step is in effect", "promoting")
        }
        Verb::Resume { .. } if !rollout.annotations().contains_key(requests::PAUSE) => {
            Err(CliError::NothingTo(name, "the pause annotation is not set"))
        }
        Verb::Resume { .. } => Ok(Request { key: requests::PAUSE, value: None, said: "resuming".into() }),
    }
}

async fn run(cli: Cli) -> Result<String, CliError> {
    let client = Client::try_default().await?;
    let namespace = cli.namespace.unwrap_or_else(|| client.default_namespace().to_string());
    let api: Api<Rollout> = Api::namespaced(client, &namespace);
    let (Verb::Abort { rollout }
    | Verb::Retry { rollout }
    | Verb::Promote { rollout }
    | Verb::Pause { rollout }
    | Verb::Resume { rollout }) = &cli.verb;
    let found = api.get(rollout).await?;
    let request = request(&cli.verb, &found)?;
    let patch = json!({"metadata": {"annotations": {request.key: request.value}}});
    api.patch(rollout, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(format!("rollout/{rollout} {}", request.said))
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
            "spec": {"environmentRef": {"name": "e"}, "serviceName": "api", "template": {"image": "a"},
                     "strategy": {"immediate": {}}},
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn requests_are_bound_to_what_is_shown() {
        let candidate = json!({"revision": "api-x", "image": "a", "startedAt": "2026-01-01T00:00:00Z",
                               "promoteToken": "api-x/us-central1/1"});
        let going_on = rollout(json!({"candidate": candidate}));
        let verb = |make: fn(String) -> Verb| make("api".into());
        let abort = request(&verb(|rollout| Verb::Abort { rollout }), &going_on).unwrap();
        assert_eq!((abort.key, abort.value.as_deref()), (requests::ABORT, Some("api-x")));
        let promote = request(&verb(|rollout| Verb::Promote { rollout }), &going_on).unwrap();
        assert_eq!(promote.value.as_deref(), Some("api-x/us-central1/1"));
        assert!(request(&verb(|rollout| Verb::Retry { rollout }), &going_on).is_err());
    }
}
