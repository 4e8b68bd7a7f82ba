//! The kinds that files may hold and that are planned.

use orchestra_crds::{OrchestraEnvironment, Rollout};

/// A kind, in the order in which they are planned: Rollouts wait for their environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// OrchestraEnvironment.
    Environment,
    /// Rollout.
    Rollout,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Environment, Self::Rollout];

    /// The one of a name; none: there is none.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "OrchestraEnvironment",
            Self::Rollout => "Rollout",
        }
    }

    /// Its objects, as the cluster's paths have them.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Environment => "orchestraenvironments",
            Self::Rollout => "rollouts",
        }
    }

    /// Its CRD.
    pub fn crd(self) -> k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition {
        use kube::CustomResourceExt;
        match self {
            Self::Environment => OrchestraEnvironment::crd(),
            Self::Rollout => Rollout::crd(),
        }
    }
}
