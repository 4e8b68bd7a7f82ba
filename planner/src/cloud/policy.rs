//! IAM policies.

use serde::{Deserialize, Serialize};

use crate::names::Etag;

/// Who may do what on a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// For the next write.
    pub etag: Etag,
    /// All bindings; those of others are written back untouched.
    pub bindings: Vec<Binding>,
}

/// One role given to members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The role.
    pub role: String,
    /// Its members.
    pub members: Vec<String>,
    /// When it holds; none: always.
    pub condition: Option<Expr>,
}

/// A condition in Common Expression Language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expr {
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Where it comes from.
    pub location: String,
    /// The expression.
    pub expression: String,
}
