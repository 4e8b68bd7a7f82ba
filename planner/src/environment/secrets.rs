//! Secrets: each is bound to the number of a version, so that a revision always sees the same value.

use orchestra_crds::{EnvironmentSecret, EnvironmentStatus, OrchestraEnvironment, ResolvedSecret};

use super::{Observation, Part};

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
pub(super) fn plan(seen: &Observation, status: &mut EnvironmentStatus) -> Part {
    let mut resolved = vec![];
    let mut trouble: Option<Part> = None;
    for secret in &seen.environment.spec.secrets {
        let before = status.secrets.iter().find(|s| s.name == secret.name && s.secret == id(secret)).cloned();
        match seen.secrets.get(&secret.name) {
            Some(Ok(Some(version))) => resolved.push(ResolvedSecret {
                name: secret.name.clone(),
                secret: id(secret).to_string(),
                version: *version,
            }),
            Some(Ok(None)) => trouble = Some(missing(secret, &seen.environment.spec.project)),
            Some(Err(fault)) => {
                resolved.extend(before);
                trouble = trouble.or(Some(Part::unreadable(&format!("secret `{}`", id(secret)), fault)));
            }
            None => {
                resolved.extend(before);
                trouble = trouble.or(Some(Part::working("Resolving", "secrets are being looked up")));
            }
        }
    }
    let count = resolved.len();
    status.secrets = resolved;
    trouble.unwrap_or_else(|| match count {
        0 => Part::ready("NoSecrets", "the environment has no secrets"),
        1 => Part::ready("Resolved", "one secret is bound to a version"),
        n => Part::ready("Resolved", format!("{n} secrets are bound to a version each")),
    })
}

fn missing(secret: &EnvironmentSecret, project: &str) -> Part {
    let id = id(secret);
    let what = match secret.version {
        Some(version) => format!("version {version} of secret `{id}` is not there or not enabled"),
        None => format!("secret `{id}` is not there or has no enabled version"),
    };
    Part::stalled(
        "SecretMissing",
        format!("spec.secrets: {what} in project {project}: add it to Secret Manager, or take `{}` out", secret.name),
    )
}
