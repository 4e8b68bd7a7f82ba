//! The API of Orchestra, group `orchestra.cherry-ai.me`, version `v1alpha1`.
//!
//! These types are the single source of the CRDs: `make crds` writes `crds/*.yaml` from them, and each
//! doc comment on a field is what `kubectl explain` shows.

// A printer column is an attribute of the same name as the one before it.
#![allow(clippy::duplicated_attributes)]

mod common;
mod environment;
mod known;
mod labels;
mod lenient;
pub mod requests;
mod rollout;

pub use common::*;
pub use environment::*;
pub use lenient::{Lenient, Unread};
pub use requests::Request;
pub use rollout::*;

/// API group of both kinds, and the prefix of every annotation and label that Orchestra owns.
pub const GROUP: &str = "orchestra.cherry-ai.me";
/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";
/// Annotation of an environment that confirms a smaller Redis, though data may be lost. Value: its size in GiB.
pub const CONFIRM_SHRINK: &str = "orchestra.cherry-ai.me/confirm-redis-memory-size-gb";
/// Annotation of a Rollout that takes over what another one has marked, of a lost cluster or of another name: the UID in that mark.
pub const ADOPT_UID: &str = "orchestra.cherry-ai.me/adopt-uid";
/// Finalizer on both kinds: it goes when what the object owns in Google Cloud is gone or released.
pub const FINALIZER: &str = "orchestra.cherry-ai.me/cloud-resources";

#[cfg(test)]
mod tests {
    use super::*;
    use kube::CustomResourceExt;
    use serde_json::Value;

    /// What kubectl, Helm and Argo CD read as true or false where it is not quoted, as people write it.
    const BOOLEANS: [&str; 10] = ["y", "yes", "on", "true", "t", "n", "no", "off", "false", "f"];

    fn is_boolean(word: &str) -> bool {
        BOOLEANS.contains(&word.to_lowercase().as_str())
    }

    /// Names of fields, and values that are words, which are something else in YAML 1.1.
    fn ambiguous(schema: &Value, at: &str, found: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{at}.{name}");
            if is_boolean(name) {
                found.push(path.clone());
            }
            ambiguous(field, &path, found);
        }
        let values = schema["enum"].as_array().into_iter().flatten().chain(schema.get("default"));
        found.extend(values.filter_map(Value::as_str).filter(|word| is_boolean(word)).map(|w| format!("{at}: {w}")));
        ["items", "additionalProperties"].iter().for_each(|inner| {
            if schema[inner].is_object() {
                ambiguous(&schema[inner], at, found);
            }
        });
    }

    #[test]
    fn no_field_or_value_is_a_boolean_to_kubectl() {
        for crd in [Rollout::crd(), OrchestraEnvironment::crd()] {
            let schema = serde_json::to_value(&crd.spec.versions[0].schema).expect("it is JSON");
            let mut found = vec![];
            ambiguous(&schema["openAPIV3Schema"], &crd.spec.names.kind, &mut found);
            assert!(found.is_empty(), "{found:?}");
        }
    }
}
