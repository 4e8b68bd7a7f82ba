//! How a revision reaches the VPC.

use orchestra_crds::{Egress, Network};
use serde::{Deserialize, Serialize};

/// How a revision reaches the VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAccess {
    /// Through what.
    pub route: Route,
    /// Which traffic.
    pub egress: Egress,
}

/// Through what a revision reaches the VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    /// A connector, by its short name: the region is added where it is written.
    Connector(String),
    /// Addresses of a subnetwork.
    Direct {
        /// The network; empty: the subnetwork's.
        network: String,
        /// The subnetwork; empty: the one of the network's name.
        subnetwork: String,
        /// Tags of the instances.
        tags: Vec<String>,
    },
}

impl NetworkAccess {
    /// What a spec asks for. None: it names no route, which the schema refuses.
    pub(super) fn of(spec: &Network) -> Option<Self> {
        let direct = spec.direct_egress.as_ref().map(|direct| Route::Direct {
            network: direct.network.clone().unwrap_or_default(),
            subnetwork: direct.subnetwork.clone().unwrap_or_default(),
            tags: direct.tags.clone(),
        });
        let route = spec.connector.clone().map(Route::Connector).or(direct)?;
        Some(Self { route, egress: spec.egress })
    }

    /// Whether what was read is this: of a network and its subnetwork, Cloud Run finds the one that was not named.
    pub(super) fn is_met_by(&self, read: &Self) -> bool {
        let named = |wanted: &str, read: &str| wanted.is_empty() || short(wanted) == short(read);
        let same = match (&self.route, &read.route) {
            (
                Route::Direct { network, subnetwork, tags },
                Route::Direct { network: net, subnetwork: sub, tags: read },
            ) => named(network, net) && named(subnetwork, sub) && tags == read,
            (wanted, read) => wanted == read,
        };
        same && self.egress == read.egress
    }

    /// In a line of the form that is hashed.
    pub(super) fn line(&self) -> String {
        let egress = egress_word(self.egress);
        match &self.route {
            Route::Connector(connector) => format!("{connector} {egress}"),
            Route::Direct { network, subnetwork, tags } => {
                format!("direct {network:?} {subnetwork:?} {} {egress}", tags.join(","))
            }
        }
    }
}

fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Written by hand: the name of a variant may change, the form may not.
fn egress_word(egress: Egress) -> &'static str {
    match egress {
        Egress::PrivateRangesOnly => "PrivateRangesOnly",
        Egress::AllTraffic => "AllTraffic",
    }
}
