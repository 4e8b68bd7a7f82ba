//! Cloud Monitoring: incidents of alert policies.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A question about the incidents of a project that are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentsQuery {
    /// When it is asked, about: all who ask then are told the same.
    pub at: Timestamp,
}

/// An incident that is open: what a policy watches is as it should not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The policy: `projects/PROJECT/alertPolicies/ID`.
    pub policy: String,
    /// What people call the policy.
    pub called: String,
    /// Since when.
    pub opened: Timestamp,
    /// Of what: the labels of its resource and of its metric.
    pub labels: BTreeMap<String, String>,
}
