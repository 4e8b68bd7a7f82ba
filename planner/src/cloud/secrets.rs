//! Secret Manager: versions, never values.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One version of a secret. Never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionView {
    /// Its number.
    pub number: i64,
    /// When it was created.
    pub created_at: Option<Timestamp>,
}
