//! Settings of a Cloud Run service that make no revision.

use orchestra_crds::{BinaryAuthorization, Ingress, Switch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Service-level settings: a change makes no revision. The default of each is Cloud Run's. Annotations stand with the marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceSettings {
    /// For people.
    pub description: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Fewest instances.
    pub min_instances: i32,
    /// Most instances; none: Cloud Run's default.
    pub max_instances: Option<i32>,
    /// So many instances, whatever the requests; none: as many as they need.
    pub manual_instances: Option<i32>,
    /// Networks that may reach it; none: one that we don't know.
    pub ingress: Option<Ingress>,
    /// Whether a caller must have the role of an invoker.
    pub invoker_iam_check: Switch,
    /// Whether it has an address of Cloud Run's.
    pub default_address: Switch,
    /// Whether Identity-Aware Proxy asks who a caller is.
    pub iap: Switch,
    /// What identity tokens may be made out to, beside the address.
    pub custom_audiences: BTreeSet<String>,
    /// What says which images may run.
    pub binary_authorization: Option<BinaryAuthorization>,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            description: String::new(),
            labels: BTreeMap::new(),
            min_instances: 0,
            max_instances: None,
            manual_instances: None,
            ingress: Some(Ingress::All),
            invoker_iam_check: Switch::Enabled,
            default_address: Switch::Enabled,
            iap: Switch::Disabled,
            custom_audiences: BTreeSet::new(),
            binary_authorization: None,
        }
    }
}

/// One setting, as it is to be. A write has those alone that it changes: what others own is never sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// For people.
    Description(String),
    /// All labels.
    Labels(BTreeMap<String, String>),
    /// Fewest instances.
    MinInstances(i32),
    /// Most instances.
    MaxInstances(Option<i32>),
    /// So many instances, whatever the requests.
    ManualInstances(Option<i32>),
    /// Networks that may reach it.
    Ingress(Ingress),
    /// Whether a caller must have the role of an invoker.
    InvokerIamCheck(Switch),
    /// Whether it has an address of Cloud Run's.
    DefaultAddress(Switch),
    /// Whether Identity-Aware Proxy asks who a caller is.
    Iap(Switch),
    /// What identity tokens may be made out to.
    CustomAudiences(BTreeSet<String>),
    /// What says which images may run.
    BinaryAuthorization(Option<BinaryAuthorization>),
}

impl ServiceSettings {
    /// Each of them. An ingress that we don't know can't be asked for.
    pub fn each(&self) -> Vec<Setting> {
        let Self { description, labels, custom_audiences, binary_authorization, .. } = self.clone();
        [
            Some(Setting::Description(description)),
            Some(Setting::Labels(labels)),
            Some(Setting::MinInstances(self.min_instances)),
            Some(Setting::MaxInstances(self.max_instances)),
            Some(Setting::ManualInstances(self.manual_instances)),
            self.ingress.map(Setting::Ingress),
            Some(Setting::InvokerIamCheck(self.invoker_iam_check)),
            Some(Setting::DefaultAddress(self.default_address)),
            Some(Setting::Iap(self.iap)),
            Some(Setting::CustomAudiences(custom_audiences)),
            Some(Setting::BinaryAuthorization(binary_authorization)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What is to change for these to become those.
    pub fn changes_to(&self, wanted: &Self) -> Vec<Setting> {
        let known = self.each();
        wanted.each().into_iter().filter(|setting| !known.contains(setting)).collect()
    }

    /// With one of them changed.
    #[must_use]
    pub fn with(mut self, setting: Setting) -> Self {
        match setting {
            Setting::Description(text) => self.description = text,
            Setting::Labels(labels) => self.labels = labels,
            Setting::MinInstances(least) => self.min_instances = least,
            Setting::MaxInstances(most) => self.max_instances = most,
            Setting::ManualInstances(count) => self.manual_instances = count,
            Setting::Ingress(ingress) => self.ingress = Some(ingress),
            Setting::InvokerIamCheck(switch) => self.invoker_iam_check = switch,
            Setting::DefaultAddress(switch) => self.default_address = switch,
            Setting::Iap(switch) => self.iap = switch,
            Setting::CustomAudiences(audiences) => self.custom_audiences = audiences,
            Setting::BinaryAuthorization(binary) => self.binary_authorization = binary,
        }
        self
    }
}

impl Setting {
    /// What it is and what it is to be, for people. Labels come last, one difference a service.
    pub fn words(&self) -> (&'static str, String) {
        let or = |count: Option<i32>, none: &str| count.map_or(none.to_string(), |count| count.to_string());
        match self {
            Self::Description(text) => ("description", text.clone()),
            Self::Labels(labels) => ("labels", pairs(labels)),
            Self::MinInstances(least) => ("fewest instances", least.to_string()),
            Self::MaxInstances(most) => ("most instances", or(*most, "default")),
            Self::ManualInstances(count) => ("instances by hand", or(*count, "none")),
            Self::Ingress(ingress) => ("ingress", format!("{ingress:?}")),
            Self::InvokerIamCheck(switch) => ("invokers checked", format!("{switch:?}")),
            Self::DefaultAddress(switch) => ("default address", format!("{switch:?}")),
            Self::Iap(switch) => ("Identity-Aware Proxy", format!("{switch:?}")),
            Self::CustomAudiences(audiences) => {
                ("custom audiences", audiences.iter().cloned().collect::<Vec<_>>().join(", "))
            }
            Self::BinaryAuthorization(binary) => ("Binary Authorization", binary_words(binary.as_ref())),
        }
    }
}

fn binary_words(binary: Option<&BinaryAuthorization>) -> String {
    let Some(binary) = binary else { return "none".into() };
    let policy = binary.policy.as_deref().unwrap_or("the project's policy");
    match &binary.breakglass_justification {
        Some(why) => format!("{policy}, passed over: {why}"),
        None => policy.to_string(),
    }
}

/// Labels or annotations, for people.
pub(crate) fn pairs(all: &BTreeMap<String, String>) -> String {
    all.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}
