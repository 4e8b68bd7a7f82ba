//! What a controller says when it can't work: which address, which right, which flag, and what to do.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::DeleteParams;
use orchestra_tests::place::Place;
use orchestra_tests::world::{canary, plain_environment};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// The controller with these flags and variables; its log is in the file.
fn start(kubeconfig: &Path, flags: &[&str], variables: &[(&str, &str)], log: &Path) -> Child {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().with_file_name("orchestra-controller");
    let any = (!flags.contains(&"--http-address")).then_some(["--http-address", "127.0.0.1:0"]);
    Command::new(program)
        .env("KUBECONFIG", kubeconfig)
        .args(flags)
        .args(any.into_iter().flatten())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(log).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn text(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

/// A kubeconfig like the place's, changed.
fn kubeconfig(place: &Place, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut config: Value = serde_json::from_str(&text(&place.folder.path().join("kubeconfig"))).unwrap();
    change(&mut config);
    let path = place.folder.path().join(name);
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Where a controller serves, by its log. A port chosen before it starts could be another's by then.
async fn http_address(place: &Place, log: &Path) -> String {
    let served = |text: &str| {
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| Some(line["address"].as_str()?.to_string())).next()
    };
    place.until("an address in the log", async |_| served(&text(log)).is_some()).await;
    served(&text(log)).unwrap()
}

/// Flags and variables of a controller, and what it says of them.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);

#[tokio::test]
async fn b19_a_bad_flag_is_named_with_the_fix_and_ends_with_code_2() {
    let place = Place::new().await;
    let config = place.folder.path().join("kubeconfig");
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).unwrap();
    let google = format!("http://{}", place.google);
    let cases: [Case; 4] = [
        (&["--google-endpoint", "nonsense"], &[], &["--google-endpoint", "http://HOST:PORT"]),
        (&["--lease-namespace", "No_Name"], &[], &["--lease-namespace", "lowercase"]),
        (&["--google-endpoint", &google], &[("RUST_LOG", "a=b=c")], &["RUST_LOG"]),
        (&["--google-endpoint", &google, "--http-address", &taken.1], &[], &[&taken.1, "--http-address"]),
    ];
    for (number, (flags, variables, said)) in cases.into_iter().enumerate() {
        let log = place.folder.path().join(format!("flags-{number}.log"));
        let flags: Vec<&str> = flags.to_vec();
        let ended = start(&config, &flags, variables, &log).wait().await.unwrap();
        let told = text(&log);
        assert_eq!(ended.code(), Some(2), "{flags:?} {variables:?}: {told}");
        assert!(said.iter().all(|part| told.contains(part)), "{flags:?} {variables:?}: {told}");
    }
}

#[tokio::test]
async fn b13_d4_no_cluster_and_a_bad_token_are_told_apart() {
    let place = Place::new().await;
    let google = format!("http://{}", place.google);
    let address = nobody().await;
    let away = kubeconfig(&place, "away", |config| {
        config["clusters"][0]["cluster"]["server"] = json!(format!("http://{address}"));
    });
    let refused = kubeconfig(&place, "refused", |config| config["users"][0]["user"]["token"] = json!("wrong"));
    for (config, said) in [(away, address.as_str()), (refused, "refuses our credentials (401)")] {
        let log = config.with_extension("log");
        let flags = ["--google-endpoint", &google, "--sandbox-clock", &format!("{google}/sandbox/clock")];
        let _controller = start(&config, &flags, &[], &log);
        place.until(said, async |_| text(&log).contains(said)).await;
        assert!(!text(&log).contains("not installed"), "{}", text(&log));
    }
}

/// A kubeconfig of a service account that may do these things.
async fn as_service_account(place: &Place, name: &str, rules: Value) -> PathBuf {
    let labelled = json!({"name": name});
    let subject = json!([{"kind": "ServiceAccount", "name": name, "namespace": "default"}]);
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let api = "rbac.authorization.k8s.io/v1";
    let objects = [
        (
            "/api/v1/namespaces/default/serviceaccounts".to_string(),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": labelled}),
        ),
        (
            format!("{rbac}/clusterroles"),
            json!({"apiVersion": api, "kind": "ClusterRole", "metadata": labelled, "rules": rules}),
        ),
        (
            format!("{rbac}/clusterrolebindings"),
            json!({"apiVersion": api, "kind": "ClusterRoleBinding", "metadata": labelled, "roleRef": role, "subjects": subject}),
        ),
        (
            format!("/api/v1/namespaces/default/serviceaccounts/{name}/token"),
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}),
        ),
    ];
    let mut token = String::new();
    for (path, body) in objects {
        let request = http::Request::post(path).header("content-type", "application/json");
        let answer: Value = place.client.request(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap();
        token = answer["status"]["token"].as_str().unwrap_or_default().to_string();
    }
    kubeconfig(place, name, |config| config["users"][0]["user"] = json!({"token": token}))
}

#[tokio::test]
async fn b14_a_right_that_is_missing_is_named_and_the_controller_is_not_ready() {
    let place = Place::new().await;
    place.install_crds().await;
    let google = format!("http://{}", place.google);
    let ours = |verbs: Value| {
        json!({"apiGroups": ["orchestra.cherry-ai.me"], "verbs": verbs,
               "resources": ["rollouts", "orchestraenvironments"]})
    };
    let leases = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                        "verbs": ["get", "create", "update", "patch"]});
    let cases = [
        ("no-lease", json!([ours(json!(["get", "list", "watch"]))]), "cannot get resource \\\"leases\\\""),
        ("no-watch", json!([ours(json!(["get", "list"])), leases]), "cannot watch resource \\\"rollouts\\\""),
    ];
    for (name, rules, said) in cases {
        let config = as_service_account(&place, name, rules).await;
        let (log, clock) = (config.with_extension("log"), format!("{google}/sandbox/clock"));
        let flags = ["--google-endpoint", &google, "--sandbox-clock", &clock, "--lease-namespace", "default"];
        let _controller = start(&config, &flags, &[], &log);
        let http = http_address(&place, &log).await;
        place.until(said, async |_| text(&log).contains(said)).await;
        assert!(text(&log).contains("give the controller's service account that right"), "{}", text(&log));
        let answer = reqwest::get(format!("http://{http}/readyz")).await.unwrap();
        assert_eq!(answer.status().as_u16(), 503);
        let told = answer.text().await.unwrap();
        assert!(told.contains(&said.replace('\\', "")), "{told}");
    }
}

#[tokio::test]
async fn b12_d3_google_that_can_not_be_reached_is_told_in_the_log_and_on_the_object() {
    let place = Place::new().await;
    place.install_crds().await;
    let (log, google) = (place.folder.path().join("google.log"), format!("http://{}", nobody().await));
    let clock = format!("http://{}/sandbox/clock", place.google);
    let flags = ["--google-endpoint", google.as_str(), "--sandbox-clock", &clock];
    let _controller = start(&place.folder.path().join("kubeconfig"), &flags, &[], &log);
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await;
    place.until("a word in the log", async |_| text(&log).contains("Google Cloud can't be read")).await;
    let told = |place: &Place| {
        let environment = place.sandbox.cluster.object("orchestraenvironments", "default", "shop").unwrap_or_default();
        let conditions = environment["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|c| c["type"] == "Ready" && c["status"] != "True")
    };
    place.until("a condition", async |place| told(place)).await;
}

#[tokio::test]
async fn d6_crds_that_go_away_and_come_back_are_told_of_and_watched_again() {
    let mut place = Place::new().await;
    place.install_crds().await;
    let (controller, log) = place.start();
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await;
    place.create("Rollout", "api", canary("shop", "app:1")).await;
    place.until_promoted("api", "app:1").await;
    let crds: Api<CustomResourceDefinition> = Api::all(place.client.clone());
    let names = ["rollouts.orchestra.cherry-ai.me", "orchestraenvironments.orchestra.cherry-ai.me"];
    for name in names {
        crds.delete(name, &DeleteParams::default()).await.unwrap();
    }
    for name in names {
        place.until("the CRD is gone", async |_| crds.get_opt(name).await.unwrap().is_none()).await;
    }
    place.until("a word in the log", async |_| text(&log).contains("watching Rollouts")).await;
    place.install_crds().await;
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await;
    place.create("Rollout", "api", canary("shop", "app:2")).await;
    place.until_promoted("api", "app:2").await;
    controller.stop().await;
}

/// What /readyz answers after a release of a Rollout in two regions, under this version's CRDs or older ones.
async fn readiness_under(older: bool) -> (u16, String) {
    let mut place = Place::new().await;
    place.install_crds().await;
    if older {
        let crds: Api<CustomResourceDefinition> = Api::all(place.client.clone());
        let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
        let cut = json!([{"op": "remove", "path": format!("{status}/regions/items/properties/untouchedBy")}]);
        let cut = kube::api::Patch::<()>::Json(serde_json::from_value(cut).unwrap());
        crds.patch("rollouts.orchestra.cherry-ai.me", &kube::api::PatchParams::default(), &cut).await.unwrap();
    }
    let (controller, log) = place.start();
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1", "us-west4"])).await;
    place.create("Rollout", "api", canary("shop", "app:1")).await;
    place.until_promoted("api", "app:1").await;
    let http = http_address(&place, &log).await;
    let answer = reqwest::get(format!("http://{http}/readyz")).await.unwrap();
    let told = (answer.status().as_u16(), answer.text().await.unwrap());
    controller.stop().await;
    told
}

#[tokio::test]
async fn a_crd_that_is_older_than_the_controller_is_told() {
    let (code, told) = readiness_under(true).await;
    assert_eq!(code, 503, "{told}");
    assert!(told.contains("the status of Rollouts") && told.contains("kubectl apply -f crds/"), "{told}");
    let (code, told) = readiness_under(false).await;
    assert_eq!((code, told.as_str()), (200, "ok\n"));
}
