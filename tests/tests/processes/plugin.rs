//! Each verb of the plugin, against a controller at work.

use orchestra_crds::RolloutPhase;
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
            status.step.as_deref() == Some(step) && status.candidate.is_some_and(|c| c.promote_token.is_some())
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
    step(&place, "2/4").await;

    let plugin = Plugin(&place);
    plugin.says("status api", 2, "✔ 10 % ── ◐ pause ── ○ 50 % ── ○ pause ── ○ 100 %   now  10 %");
    plugin.says("status rollout/api", 2, "next   kubectl orchestra promote api | pause api | abort api");
    plugin.says("status", 0, "NAME");
    plugin.says("status -A", 0, "NAMESPACE");
    plugin.says("status -l none=such", 0, "no Rollouts in default");
    let (_, listed, _) = plugin.run("status -o json");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["items"][0]["metadata"]["name"], "api");
    plugin.says("history api", 0, "Promoted");
    plugin.says("events api", 0, "StepInEffect");
    plugin.says("pause api", 0, "rollout/api pausing shop-api-");
    plugin.says("promote api", 0, "held, and to be promoted as soon as it is resumed");
    plugin.says("resume api", 0, "resuming");
    step(&place, "4/4").await;
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
