//! Secrets: each is bound to the number of a version, so that a revision always sees the same value.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{EnvironmentSecret, EnvironmentStatus, OrchestraEnvironment, ResolvedSecret};

use super::super::Observation;
use super::super::part::PartPlan;
use crate::reason::Reason;

/// Which version of which secret to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretQuery {
    /// Name by which Rollouts refer to it.
    pub name: String,
    /// ID of the secret.
    pub secret: String,
    /// The version; none: the newest enabled one.
    pub version: Option<i64>,
}

fn id(secret: &EnvironmentSecret) -> &str {
    secret.secret.as_deref().unwrap_or(&secret.name)
}

/// The secrets of an environment.
pub fn secrets_to_resolve(environment: &OrchestraEnvironment) -> Vec<SecretQuery> {
    let query =
        |s: &EnvironmentSecret| SecretQuery { name: s.name.clone(), secret: id(s).to_string(), version: s.version };
    environment.spec.secrets.iter().map(query).collect()
}

/// Publishes the version of each secret. One that can't be read now keeps the version it had.
pub(in super::super) fn plan(seen: &Observation, status: &mut EnvironmentStatus) -> PartPlan {
    let mut resolved = vec![];
    let (mut missing, mut unread) = (vec![], None);
    for secret in &seen.environment.spec.secrets {
        let same = |known: &&ResolvedSecret| {
            let pinned_to_it = secret.version.is_none_or(|version| version == known.version);
            known.name == secret.name && known.secret == id(secret) && pinned_to_it
        };
        let before = status.secrets.iter().find(same).cloned();
        match seen.secrets.get(&secret.name) {
            Some(Ok(Some(version))) => resolved.push(ResolvedSecret {
                name: secret.name.clone(),
                secret: id(secret).to_string(),
                version: version.number,
                created_at: version.created_at.map(Time),
            }),
            Some(Ok(None)) => missing.push(secret),
            Some(Err(fault)) => {
                resolved.extend(before);
                unread.get_or_insert_with(|| PartPlan::unreadable(&format!("secret `{}`", id(secret)), fault));
            }
            None => {
                resolved.extend(before);
                unread.get_or_insert_with(|| PartPlan::working(Reason::Resolving, "secrets are being looked up"));
            }
        }
    }
    let count = resolved.len();
    status.secrets = resolved;
    if !missing.is_empty() {
        return absent(&missing, &seen.environment.spec.project);
    }
    unread.unwrap_or_else(|| match count {
        0 => PartPlan::ready(Reason::NoSecrets, "the environment has no secrets"),
        1 => PartPlan::ready(Reason::Resolved, "one secret is bound to a version"),
        n => PartPlan::ready(Reason::Resolved, format!("{n} secrets are bound to a version each")),
    })
}

fn absent(missing: &[&EnvironmentSecret], project: &str) -> PartPlan {
    let what = |secret: &&EnvironmentSecret| match secret.version {
        Some(version) => format!("version {version} of secret `{}` is not there or not enabled", id(secret)),
        None => format!("secret `{}` is not there or has no enabled version", id(secret)),
    };
    let all: Vec<String> = missing.iter().map(what).collect();
    let message = format!(
        "spec.secrets: {} in project {project}: add it to Secret Manager, or take it out of the spec",
        all.join("; ")
    );
    PartPlan::stalled(Reason::SecretMissing, message)
}
