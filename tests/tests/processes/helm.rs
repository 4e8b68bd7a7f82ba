//! Helm itself, with the chart and each of its value sets: install, upgrade, rollback, uninstall.

use orchestra_tests::place::Place;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const CRDS: &str = include_str!("../../../crds/rollouts.yaml");

struct Helm<'a> {
    program: PathBuf,
    folder: &'a Path,
}

impl Helm<'_> {
    fn run(&self, arguments: &str) -> Result<String, String> {
        let output = Command::new(&self.program)
            .args(arguments.split_whitespace())
            .current_dir(ROOT)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("HOME", self.folder)
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(out.into_owned()) } else { Err(err.into_owned()) }
    }

    fn must(&self, arguments: &str) -> String {
        self.run(arguments).unwrap_or_else(|error| panic!("helm {arguments}: {error}"))
    }
}

/// CRDs of others that a value set needs, open to anything.
async fn others_crds(place: &Place) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    for (group, kind, plural) in [
        ("monitoring.coreos.com", "ServiceMonitor", "servicemonitors"),
        ("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
        ("autoscaling.k8s.io", "VerticalPodAutoscaler", "verticalpodautoscalers"),
    ] {
        let open = serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let crd = serde_json::json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {"group": group, "scope": "Namespaced",
                     "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
                     "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": open}}]},
        });
        let crds: kube::Api<CustomResourceDefinition> = kube::Api::all(place.client.clone());
        crds.create(&Default::default(), &serde_json::from_value(crd).unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_upgrades_rolls_back_and_uninstalls_each_value_set() {
    let program = Path::new(ROOT).join("target/tools/helm");
    if !program.exists() {
        println!("Helm is not there (make tools): its test was not run");
        return;
    }
    let place = Place::new().await;
    others_crds(&place).await;
    let helm = Helm { program, folder: place.folder.path() };
    let sets = std::fs::read_dir(Path::new(ROOT).join("charts/orchestra/ci")).unwrap();
    let mut files: Vec<PathBuf> = sets.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 4);
    for (number, file) in files.iter().enumerate() {
        let (name, values) = (format!("o{number}"), file.display());
        let there = format!("{name} -n {name}");
        let chart = format!("charts/orchestra -f {values}");
        // The CRDs that the set before left are taken over.
        helm.must(&format!("install {there} {chart} --create-namespace --take-ownership"));
        let second = helm.run("install second charts/orchestra -n second --create-namespace --set crds.enabled=false");
        let role = helm.must(&format!("get manifest {there}")).contains("kind: ClusterRole");
        assert!(role && second.unwrap_err().contains("exists and cannot be imported"), "one installation a cluster");
        helm.must(&format!("upgrade {there} {chart} --set replicas=3"));
        helm.must(&format!("rollback {there}"));
        let history = helm.must(&format!("history {there} -o json"));
        assert!(history.contains("Rollback to 1"), "{history}");
        helm.must(&format!("uninstall {there}"));
    }
    let kept = place.sandbox.cluster.objects("customresourcedefinitions");
    assert!(
        kept.iter().any(|crd| crd["metadata"]["name"] == "rollouts.orchestra.cherry-ai.me"),
        "objects outlive the chart"
    );
}

/// The chart's CRDs are the CRDs.
#[test]
fn the_chart_has_the_crds_as_they_are() {
    assert_eq!(include_str!("../../../charts/orchestra/files/crds/rollouts.yaml"), CRDS);
}
