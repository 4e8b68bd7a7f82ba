//! Each verb of the plugin, against a controller at work.

use orchestra_crds::{RolloutPhase, StepKind};
use orchestra_sandbox::journal::Api;
use orchestra_tests::place::Place;
use orchestra_tests::world::{canary, plain_environment};
use serde_json::{Value, json};
use std::process::Command;

struct Plugin<'a>(&'a Place);

impl Plugin<'_> {
    /// Exit code, output, and what was said beside it.
    fn run(&self, arguments: &str) -> (i32, String, String) {
        let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("kubectl-orchestra");
        let output = Command::new(&program)
            .args(arguments.split_whitespace())
            .env("KUBECONFIG", self.0.folder.path().join("kubeconfig"))
            .output()
            .unwrap_or_else(|e| panic!("{}: {e}; run `cargo build --workspace` first", program.display()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    /// Runs what must end with a code and say something.
    fn says(&self, arguments: &str, code: i32, part: &str) {
        let (ended, out, err) = self.run(arguments);
        assert!(ended == code && format!("{out}{err}").contains(part), "{arguments}: {ended}\n{out}\n{err}");
    }
}

async fn step(place: &Place, step: &str) {
    place
        .until(&format!("step {step}"), async |place| {
            let status = place.rollouts().get("api").await.unwrap().status.unwrap_or_default();
            // A pause is told to be one by the pass after the one that began it.
            let begun = status.regions.first().and_then(|region| region.step.as_ref());
            let is_told =
                status.phase == Some(RolloutPhase::Paused) || begun.is_some_and(|s| s.kind == StepKind::Weight);
            let may_go_on = status.candidate.is_some_and(|c| c.promote_token.is_some());
            status.step.as_deref() == Some(step) && is_told && may_go_on
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verb_does_and_says_what_it_should() {
    let mut place = Place::new().await;
    place.install_crds().await;
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await;
    let mut spec = canary("shop", "app:1");
    let steps =
        json!([{"weight": 10, "holdSeconds": 0}, {"pause": {}}, {"weight": 50, "holdSeconds": 0}, {"pause": {}}]);
    spec["strategy"] = json!({"canary": {"steps": steps}});
    spec["analysis"] = json!({"onNoData": "Promote", "onInconclusive": "Promote"});
    place.create("Rollout", "api", spec).await;
    let (controller, _) = place.start();
    Plugin(&place).says("status api --watch --timeout 60s", 0, "Promoted");
    place.until_promoted("api", "app:1").await;
    Plugin(&place).says("abort api", 4, "no release is going on");
    Plugin(&place).says("resume oro/api", 4, "it is not paused");
    place.release("app:2").await;
    step(&place, "2/5").await;

    let plugin = Plugin(&place);
    plugin.says("status api", 2, "✔ 10 % ── ◐ pause ── ○ 50 % ── ○ pause ── ○ 100 %   now  10 %");
    plugin.says(
        "status rollout/api",
        2,
        "next   kubectl orchestra promote api -n default | pause api -n default | abort api -n default",
    );
    plugin.says("status", 0, "NAME");
    plugin.says("status -A", 0, "NAMESPACE");
    plugin.says("status -l none=such", 0, "no Rollouts in default");
    let (_, listed, _) = plugin.run("status -o json");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["items"][0]["metadata"]["name"], "api");
    plugin.says("history api", 0, "Promoted");
    plugin.says("history api -o json", 0, "\"promoted\": [");
    plugin.says("events api -o json", 0, "\"reason\": \"StepInEffect\"");
    plugin.says("__complete -- pa", 0, "pause\n:4");
    plugin.says("__complete -- pause a", 0, "api\n:4");
    plugin.says("events api", 0, "StepInEffect");
    plugin.says("pause api", 0, "rollout/api pausing shop-api-");
    plugin.says("promote api", 0, "held, and to be promoted as soon as it is resumed");
    plugin.says("resume api", 0, "resuming");
    plugin.says("graph -A", 0, "default/shop");
    step(&place, "4/5").await;
    let plugin = Plugin(&place);
    plugin.says("abort api", 0, "aborting shop-api-");
    plugin.says("status api --watch --timeout 60s", 1, "RolledBack");
    plugin.says("retry api", 0, "retrying shop-api-");
    place
        .until("the retry is under way", async |place| {
            let status = place.rollouts().get("api").await.unwrap().status.unwrap_or_default();
            status.phase != Some(RolloutPhase::RolledBack) && status.candidate.is_some()
        })
        .await;
    let plugin = Plugin(&place);
    plugin.says("version", 0, "kubectl-orchestra 0.");
    plugin.says("completion bash", 0, "_kubectl__orchestra()");
    plugin.says("status none", 4, "not found");
    plugin.says("status deployment/api", 4, "has no releases");
    plugin.says("promote", 4, "required arguments");
    plugin.says("status api --context nowhere", 4, "nowhere");
    controller.stop().await;
}

const ENVIRONMENT: &str = "
apiVersion: orchestra.cherry-ai.me/v1alpha1
kind: OrchestraEnvironment
metadata: {name: shop}
spec: {project: cherry-ai-project, stage: Production, regions: [us-central1]}
---
";

fn rollout(image: &str, token: &str) -> String {
    format!(
        "apiVersion: orchestra.cherry-ai.me/v1alpha1
kind: Rollout
metadata: {{name: api}}
spec:
  environmentRef: {{name: shop}}
  serviceName: shop-api
  template:
    containers:
    - image: {image}
      env: [{{name: TOKEN, value: {token}}}]
  strategy:
    canary:
      steps:
      - weight: 10
      - pause: {{}}
"
    )
}

/// Calls of Google's APIs that the controller made and that change something: method and path, without what the SDK adds to
/// each on the wire.
fn writes(place: &Place) -> Vec<String> {
    let bare = |path: &str| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let told = query.split('&').filter(|part| !part.starts_with("$alt=") && !part.ends_with("=false"));
        let told: Vec<&str> = told.filter(|part| !part.is_empty()).collect();
        if told.is_empty() { path.to_string() } else { format!("{path}?{}", told.join("&")) }
    };
    let calls = place.sandbox.journal.calls();
    let google = calls.iter().filter(|call| call.api == Api::Google && call.method != "GET");
    google.map(|call| format!("{} {}", call.method, bare(&call.path))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_names_the_calls_that_are_then_made_and_what_is_wrong_is_found_before() {
    let mut place = Place::new().await;
    place.install_crds().await;
    let file = |name: &str, text: &str| {
        let path = place.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let first = file("first.yaml", &format!("{ENVIRONMENT}{}", rollout("app:1", "hush-hush")));
    let second = file("second.yaml", &rollout("app:2", "hush-hush"));
    let more = "regions: [us-central1], defaults: {env: [{name: COLOUR, value: blue}]}}";
    let defaults = file("defaults.yaml", &ENVIRONMENT.replace("regions: [us-central1]}", more));
    let bad = file("bad.yaml", &rollout("app:3", "t").replace("weight: 10", "weigth: 10"));
    let google = format!("--google-endpoint http://{}", place.google);

    let plugin = Plugin(&place);
    plugin.says(&format!("lint -f {first}"), 0, "2 objects: nothing is wrong with them");
    plugin.says(&format!("lint -f {first} -f {second}"), 1, "Rollout api: it is in the files before");
    plugin.says(&format!("lint -f {bad}"), 1, "bad.yaml:14: Rollout api: spec.strategy.canary.steps[0].weigth");
    plugin.says(&format!("lint -f {bad}"), 1, "did you mean `weight`?");
    plugin.says(&format!("plan -f {bad} {google}"), 4, "Rollout api would be refused");
    plugin.says(&format!("plan -f {first} {google}"), 1, "Rollout default/api, new: 1 write");

    let (code, planned, err) = plugin.run(&format!("plan -f {first} {google} -o json"));
    assert_eq!(code, 1, "{planned}{err}");
    let foreseen = |planned: &str| -> Vec<String> {
        let planned: Value = serde_json::from_str(planned).unwrap();
        let writes = planned.as_array().unwrap().iter().flat_map(|object| object["writes"].as_array().unwrap());
        writes
            .map(|w| format!("{} {}", w["call"]["method"].as_str().unwrap(), w["call"]["path"].as_str().unwrap()))
            .collect()
    };
    let kubectl = |arguments: &[&str]| {
        let kubeconfig = place.folder.path().join("kubeconfig");
        let status = Command::new("kubectl").args(arguments).env("KUBECONFIG", kubeconfig).output().unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    };
    let has_kubectl = Command::new("kubectl").arg("version").arg("--client").output().is_ok();
    if !has_kubectl {
        orchestra_tests::tell("not tried further: kubectl is not installed");
        return;
    }
    kubectl(&["apply", "-f", &first]);
    assert!(writes(&place).is_empty(), "planning writes nothing");
    let (controller, _) = place.start();
    place.until_promoted("api", "app:1").await;
    assert_eq!(writes(&place)[..1], foreseen(&planned)[..]);

    let plugin = Plugin(&place);
    plugin.says(&format!("plan -f {first} {google}"), 0, "Rollout default/api: nothing to write");
    let made = writes(&place).len();
    let (code, planned, err) = plugin.run(&format!("plan -f {second} {google} -o json"));
    assert_eq!(code, 1, "{planned}{err}");
    plugin.says(&format!("plan -f {second} {google}"), 1, "image: app:1 → app:2");
    plugin.says(&format!("plan -f {defaults} {google}"), 1, "Rollout default/api: 1 write");
    plugin.says(&format!("plan -f {defaults} {google}"), 1, "variables added: COLOUR");
    plugin.says(&format!("plan -f {second} --google-endpoint http://127.0.0.1:1"), 4, "what would happen is not known");
    plugin.says(
        &format!("plan -f {second} {google}"),
        1,
        "us-central1: 10 % for 5 min, a pause until somebody promotes, 100 %, watched for 10 min",
    );
    plugin.says(&format!("plan -f {second} {google} -o markdown"), 1, "### What Orchestra would do");
    let kubeconfig = place.folder.path().join("kubeconfig");
    let status = Command::new("kubectl").args(["apply", "-f", &second]).env("KUBECONFIG", kubeconfig).output().unwrap();
    assert!(status.status.success());
    step(&place, "1/3").await;
    assert_eq!(writes(&place)[made..=made], foreseen(&planned)[..]);

    let plugin = Plugin(&place);
    plugin.says("graph api", 0, "flowchart LR");
    plugin.says("graph", 0, "[\"10 %\"]:::now");
    let (code, report, err) = plugin.run("report api");
    assert!(code == 0 && report.contains("shop-api") && report.contains("(9 characters)"), "{report}{err}");
    assert!(!report.contains("hush-hush"), "{report}");
    controller.stop().await;
}
