//! The controller as processes of their own: killed, doubled, and listened to.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, CustomResourceExt};
use orchestra_crds::{Rollout, RolloutPhase};
use orchestra_sandbox::google::SECRET_MARKER;
use orchestra_sandbox::process::Controller;
use orchestra_tests::place::Place;
use orchestra_tests::world::{canary, plain_environment};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Kills the controller without warning whenever the candidate's weight changes.
#[tokio::test]
async fn kill_9_at_each_step_repeats_nothing() {
    let mut place = Place::new().await;
    place.install_crds().await;
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1", "us-west4"])).await;
    place.create("Rollout", "api", canary("shop", "app:1")).await;
    let (mut controller, _) = place.start();
    place.until_promoted("api", "app:1").await;
    place.release("app:2").await;
    for weights in [[10, 0], [50, 0], [100, 0], [100, 10], [100, 50], [100, 100]] {
        place
            .until(&format!("{weights:?}"), async |place| {
                let status = place.rollouts().get("api").await.unwrap().status.unwrap_or_default();
                let promoted = status.phase == Some(RolloutPhase::Promoted) && weights == [100, 100];
                promoted || status.regions.iter().map(|r| r.weight.unwrap_or(0)).eq(weights)
            })
            .await;
        controller.kill().await;
        controller = place.start().0;
    }
    place.until_promoted("api", "app:2").await;
    controller.stop().await;
    assert_eq!((place.cloud_run_writes("POST"), place.cloud_run_writes("PATCH")), (2, 8));
}

#[tokio::test]
async fn only_the_leader_writes_and_another_takes_over() {
    let mut place = Place::new().await;
    place.install_crds().await;
    let (first, _) = place.start();
    place.until("a leader", async |place| place.leader().await.is_some()).await;
    let (second, log) = place.start();
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await;
    place.create("Rollout", "api", canary("shop", "app:1")).await;
    place.until_promoted("api", "app:1").await;
    let leader = place.leader().await.unwrap();
    assert!(leader.contains(&format!("_{}_", first.id().unwrap())), "{leader}");
    let standby = std::fs::read_to_string(&log).unwrap();
    assert!(standby.contains("waiting for the lease") && !standby.contains("writing to Google"), "{standby}");
    place.release("app:2").await;
    place.until("a candidate", async |place| place.sandbox.google.view().to_string().contains("app:2")).await;
    first.kill().await;
    let killed = Instant::now();
    place.until("another leader", async |place| place.leader().await.is_some_and(|l| l != leader)).await;
    // How long it may take follows from the lease's constants, which the planner's tests hold to 20 s.
    println!("another leader after {:.1} s", killed.elapsed().as_secs_f64());
    place.until_promoted("api", "app:2").await;
    second.stop().await;
    let told = std::fs::read_to_string(&log).unwrap();
    assert_eq!(place.leader().await.as_deref().unwrap_or_default(), "", "the lease is let go of at the end: {told}");
}

fn signal(controller: &Controller, name: &str) {
    let id = controller.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
}

/// Promise 9: a process that was away, as one on a machine that hangs, does not know that another leads by now.
#[tokio::test]
async fn a_leader_that_was_stopped_writes_nothing_when_it_goes_on() {
    let mut place = Place::new().await;
    place.install_crds().await;
    let (mut first, log) = place.start();
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await;
    place.create("Rollout", "api", canary("shop", "app:1")).await;
    place.until_promoted("api", "app:1").await;
    place.release("app:2").await;
    place.until("a candidate", async |place| place.sandbox.google.view().to_string().contains("app:2")).await;
    let leader = place.leader().await.unwrap();
    signal(&first, "STOP");
    let (second, _) = place.start();
    place.until("another leader", async |place| place.leader().await.is_some_and(|l| l != leader)).await;
    place.until_promoted("api", "app:2").await;
    let written = |text: &str| text.matches("writing to Google Cloud").count();
    let before = written(&std::fs::read_to_string(&log).unwrap());
    signal(&first, "CONT");
    first.ended().await;
    let told = std::fs::read_to_string(&log).unwrap();
    assert_eq!(written(&told), before, "{told}");
    assert!(told.contains("the lease was lost"), "{told}");
    second.stop().await;
}

/// The leader ends by the signal, as in each update of its Deployment.
#[tokio::test]
async fn a_leader_that_is_told_to_end_hands_over_at_once() {
    let mut place = Place::new().await;
    place.install_crds().await;
    let (first, _) = place.start();
    place.until("a leader", async |place| place.leader().await.is_some()).await;
    let leader = place.leader().await.unwrap();
    let (second, log) = place.start();
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    place.until("the second waits", async |_| told().contains("waiting for the lease")).await;
    let asked = Instant::now();
    first.stop().await;
    // Not "within the lease": it is let go of, and free.
    let renewed = place.leader().await.unwrap_or_default();
    assert!(renewed != leader, "the lease is let go of before the process ends");
    place.until("the second leads", async |_| told().contains("leading")).await;
    println!("handed over in {:.1} s", asked.elapsed().as_secs_f64());
    second.stop().await;
}

/// Promise 9: the namespace that a kubeconfig is set to is a person's own matter.
#[tokio::test]
async fn kubeconfigs_of_other_namespaces_make_no_second_leader() {
    let mut place = Place::new().await;
    place.install_crds().await;
    let (first, _) = place.start();
    place.until("a leader", async |place| place.leader().await.is_some()).await;
    let config = std::fs::read_to_string(place.folder.path().join("kubeconfig")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["contexts"][0]["context"]["namespace"] = json!("kube-system");
    let (path, log) = (place.folder.path().join("elsewhere"), place.folder.path().join("elsewhere.log"));
    std::fs::write(&path, config.to_string()).unwrap();
    let second = Controller::start(&path, place.google, &log).unwrap();
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    place.until("a second one waits or leads", async |_| told().contains("waiting for the lease")).await;
    first.stop().await;
    place.until("the second leads", async |_| told().contains("leading")).await;
    let leases: Api<Lease> = Api::all(place.client.clone());
    let all = leases.list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 1, "one lease for a cluster");
    second.stop().await;
}

/// An installed controller and one on a workstation, also one that was there first.
#[tokio::test]
async fn the_lease_is_where_orchestra_is_installed() {
    let mut place = Place::new().await;
    place.install_crds().await;
    let (mut first, early) = place.start();
    place.until("a leader", async |place| place.leader().await.is_some()).await;
    let installed = Namespace {
        metadata: ObjectMeta { name: Some("orchestra-system".into()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    Api::all(place.client.clone()).create(&PostParams::default(), &installed).await.unwrap();
    let (controller, log) = place.start();
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    place.until("it leads", async |_| told().contains("leading")).await;
    first.ended().await;
    let why = std::fs::read_to_string(&early).unwrap();
    assert!(why.contains("another leads from its namespace"), "{why}");
    assert_eq!(place.leader().await.as_deref().unwrap_or_default(), "", "it has let go of the lease");
    let leases: Api<Lease> = Api::namespaced(place.client.clone(), "orchestra-system");
    assert!(leases.get_opt("orchestra-controller").await.unwrap().is_some(), "{}", told());
    controller.stop().await;
}

#[tokio::test]
async fn d7_an_object_that_cannot_be_decoded_holds_nothing_up() {
    let mut place = Place::new().await;
    let mut loose = serde_json::to_value(Rollout::crd()).unwrap();
    loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let crds: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        Api::all(place.client.clone());
    crds.create(&PostParams::default(), &serde_json::from_value(loose).unwrap()).await.unwrap();
    place.create("Rollout", "broken", json!({"strategy": "whatever"})).await;
    place.install_crds().await;
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await;
    place.create("Rollout", "api", canary("shop", "app:1")).await;
    let (controller, log) = place.start();
    place.until_promoted("api", "app:1").await;
    controller.stop().await;
    assert!(std::fs::read_to_string(log).unwrap().contains("can't be read"));
}

/// The demo at the most talkative level, with a secret in every environment.
#[tokio::test]
async fn no_secret_is_in_the_output_of_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = std::env::current_exe().unwrap().parent().unwrap().with_file_name("orchestra-sandbox");
    let output = tokio::process::Command::new(&sandbox)
        .args(["demo", "--speed", "240", "--folder"])
        .arg(folder.path())
        .env("RUST_LOG", "trace")
        .output()
        .await
        .unwrap_or_else(|e| panic!("{}: {e}; run `cargo build --workspace` first", sandbox.display()));
    let log = std::fs::read_to_string(folder.path().join("controller.log")).unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    assert!(log.contains("\"severity\":\"DEBUG\""), "the log should be at debug level");
    // As written, and as base64 would have it at each of three offsets.
    use base64::Engine;
    let encode = |skip: usize| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(&SECRET_MARKER.as_bytes()[skip..]);
        encoded[..16].to_string()
    };
    for marker in [SECRET_MARKER.to_string(), encode(0), encode(1), encode(2)] {
        assert!(!told.contains(&marker) && !log.contains(&marker), "{marker} is in the output");
    }
}

/// Everything that a way back does not use hangs, and a pass is waiting for it when the abort comes.
#[tokio::test]
async fn an_abort_reaches_the_other_regions_within_two_seconds() {
    const AT_ONCE: Duration = Duration::from_secs(2);
    const HANGING: [&str; 4] = ["/timeSeries", "/instances/", "/secrets/", "/locations/us-west4/"];
    let mut place = Place::new().await;
    place.install_crds().await;
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1", "us-west4"])).await;
    let mut slow = canary("shop", "app:1");
    slow["strategy"] = json!({"canary": {"steps": [{"weight": 10, "holdSeconds": 86400}]}});
    place.create("Rollout", "api", slow).await;
    let (controller, _) = place.start();
    place.until_promoted("api", "app:1").await;
    place.release("app:2").await;
    let shows = async |place: &Place| place.rollouts().get("api").await.unwrap().status.unwrap_or_default();
    let ten = async |place: &Place| shows(place).await.weight == Some(10);
    place.until("10 %", ten).await;
    for path in HANGING {
        let fault = json!({"api": "google", "path": path, "count": 1000, "delayMillis": 60_000});
        place.sandbox.journal.order(serde_json::from_value(fault).unwrap()).unwrap();
    }
    let left = |place: &Place| place.sandbox.journal.faults().iter().map(|fault| fault.count).sum::<u32>();
    place.until("a read that hangs", async |place| left(place) < 4000).await;
    let writes = |place: &Place| {
        let of = |call: &&orchestra_sandbox::journal::Call| {
            call.method == "PATCH" && call.path.contains("/us-central1/services/shop-api")
        };
        place.sandbox.journal.calls().iter().filter(of).count()
    };
    let (before, release) = (writes(&place), shows(&place).await.candidate.unwrap().release);
    let patch = json!({"metadata": {"annotations": {"orchestra.cherry-ai.me/abort": release}}});
    let asked = Instant::now();
    place.rollouts().patch("api", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    place.until("the first region's write", async |place| writes(place) > before).await;
    let took = asked.elapsed();
    println!("taken back {:.2} s after the abort", took.as_secs_f64());
    assert!(took <= AT_ONCE, "{took:?}");
    controller.stop().await;
}
