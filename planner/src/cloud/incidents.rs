//! Cloud Monitoring: incidents of alert policies.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A question about the incidents of a project that are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentsQuery {
    /// When it is asked, about: all who ask then are told the same.
    pub at: Timestamp,
    /// The policies that count, by the last part of their names.
    pub policies: Vec<String>,
}

/// What policies tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incidents {
    /// Those that are open, of any policy of the project.
    pub open: Vec<Incident>,
    /// The policies that were asked about, by the last part of their names; none: there is none of that name.
    #[serde(default)]
    pub policies: BTreeMap<String, Option<AlertPolicy>>,
}

/// An alert policy, as far as it says whether anything can be heard of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertPolicy {
    /// What people call it.
    pub called: String,
    /// It opens incidents.
    pub enabled: bool,
    /// What Google says is wrong with it.
    pub invalid: Option<String>,
}

/// An incident that is open: what a policy watches is as it should not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The policy, by the last part of its name.
    pub policy: String,
    /// What people call the policy.
    pub called: String,
    /// Since when.
    pub opened: Timestamp,
    /// Of what: the labels of its resource and of its metric.
    pub labels: BTreeMap<String, String>,
}
