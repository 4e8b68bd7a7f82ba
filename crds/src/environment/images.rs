//! Which images may be released.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Which container images may be released.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicy {
    /// Repositories that images must come from, for example `us-central1-docker.pkg.dev/my-project/apps`. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 300)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub repositories: Vec<String>,
    /// Whether images must be named by digest (`…@sha256:…`), so that what was tested is what runs.
    #[serde(default)]
    pub digest_required: bool,
}
