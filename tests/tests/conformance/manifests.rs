//! The manifests that users apply are what they say.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use orchestra_crds::{OrchestraEnvironment, Rollout};
use serde::de::{Deserialize, DeserializeOwned};
use serde_json::Value;

/// Reads a document as a type, and fails on fields that the type does not have.
fn check<T: DeserializeOwned + serde::Serialize>(document: &Value) {
    let read: T = serde_json::from_value(document.clone()).unwrap_or_else(|e| panic!("{e}: {document:#}"));
    let again = serde_json::to_value(read).unwrap();
    assert!(contains(&again, document), "unknown fields in {document:#}");
}

fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|w| contains(w, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(w, p)| contains(w, p))
        }
        // Defaults such as `false` are left out when written.
        (whole, part) => whole == part,
    }
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text).map(|d| Value::deserialize(d).unwrap()).collect()
}

#[test]
fn every_manifest_is_strictly_what_it_says() {
    let files = [
        include_str!("../../../deploy/controller.yaml"),
        include_str!("../../../examples/quickstart.yaml"),
        include_str!("../../../examples/development.yaml"),
        include_str!("../../../examples/staging.yaml"),
        include_str!("../../../examples/production.yaml"),
    ];
    let mut count = 0;
    for document in files.iter().flat_map(|text| documents(text)) {
        match document["kind"].as_str().unwrap() {
            "Namespace" => check::<Namespace>(&document),
            "ServiceAccount" => check::<ServiceAccount>(&document),
            "ClusterRole" => check::<ClusterRole>(&document),
            "ClusterRoleBinding" => check::<ClusterRoleBinding>(&document),
            "Role" => check::<Role>(&document),
            "RoleBinding" => check::<RoleBinding>(&document),
            "Deployment" => check::<Deployment>(&document),
            "NetworkPolicy" => check::<NetworkPolicy>(&document),
            "PodDisruptionBudget" => check::<PodDisruptionBudget>(&document),
            "Service" => check::<Service>(&document),
            "ValidatingAdmissionPolicy" => check::<ValidatingAdmissionPolicy>(&document),
            "ValidatingAdmissionPolicyBinding" => check::<ValidatingAdmissionPolicyBinding>(&document),
            "OrchestraEnvironment" => check::<OrchestraEnvironment>(&document),
            "Rollout" => check::<Rollout>(&document),
            other => panic!("unknown kind {other}"),
        }
        count += 1;
    }
    assert_eq!(count, 16 + 2 + 5 + 4 + 4);
}
