//! Secret Manager: versions, never values.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One version of a secret of the project. Never its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SecretVersionId {
    /// ID of the secret.
    pub secret: String,
    /// Number of the version.
    pub version: i64,
}

impl fmt::Display for SecretVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/versions/{}", self.secret, self.version)
    }
}

impl From<SecretVersionId> for String {
    fn from(id: SecretVersionId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SecretVersionId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parts = text.split_once("/versions/");
        let id =
            parts.and_then(|(secret, version)| Some(Self { secret: secret.into(), version: version.parse().ok()? }));
        id.ok_or_else(|| format!("`{text}` is not SECRET/versions/NUMBER"))
    }
}

/// One version of a secret. Never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionView {
    /// Its number.
    pub number: i64,
    /// When it was created.
    pub created_at: Option<Timestamp>,
}
