//! Ordinary kubectl against the sandbox, with a controller at work: no error, no warning.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use orchestra_crds::{OrchestraEnvironment, Rollout};
use orchestra_tests::place::Place;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

struct Kubectl<'a>(&'a Path);

impl Kubectl<'_> {
    fn output(&self, arguments: &str, input: &str) -> Output {
        let mut child = Command::new("kubectl")
            .args(arguments.split_whitespace())
            .current_dir(ROOT)
            .env("KUBECONFIG", self.0.join("kubeconfig"))
            .env("HOME", self.0)
            .env("KUBE_EDITOR", "sed -i s/app:3/app:4/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must succeed without a word on standard error.
    fn run(&self, arguments: &str, input: &str) -> String {
        let output = self.output(arguments, input);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && err.is_empty(), "kubectl {arguments}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }

    /// The same, with something that its output has.
    fn says(&self, arguments: &str, part: &str) {
        let out = self.run(arguments, "");
        assert!(out.contains(part), "kubectl {arguments} does not say {part:?}:\n{out}");
    }

    /// Runs a command that must fail, saying something.
    fn fails(&self, arguments: &str, input: &str, part: &str) {
        let output = self.output(arguments, input);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && err.contains(part), "kubectl {arguments}: {}\n{err}", output.status);
    }
}

fn is_there() -> bool {
    let found = Command::new("kubectl").args(["version", "--client"]).output();
    found.is_ok_and(|output| output.status.success())
}

const ROLLOUT: &str = "
apiVersion: orchestra.cherry-ai.me/v1alpha1
kind: Rollout
metadata: {name: api}
spec:
  environmentRef: {name: quickstart}
  serviceName: api
  template: {containers: [{image: 'app:1'}]}
  strategy: {immediate: {}}
";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_nothing_to_complain_of() {
    if !is_there() {
        orchestra_tests::tell("kubectl is not installed here: nothing was tried");
        return;
    }
    let mut place = Place::new().await;
    let (controller, _log) = place.start();
    let folder = place.folder.path().to_path_buf();
    tokio::task::spawn_blocking(move || everything(&Kubectl(&folder))).await.unwrap();
    controller.stop().await;
}

fn everything(kubectl: &Kubectl<'_>) {
    kubectl.run("apply -f crds/", "");
    kubectl.run("wait --for=condition=Established crd/rollouts.orchestra.cherry-ai.me --timeout=60s", "");
    kubectl.says("api-resources", "rollouts");
    kubectl.says("apply -f crds/", "unchanged");
    // Helm and kubectl read YAML 1.1, in which some words are no words.
    for crd in [Rollout::crd(), OrchestraEnvironment::crd()] {
        let read = kubectl.run(&format!("get crd {} -o json", crd.metadata.name.as_deref().unwrap()), "");
        let read: CustomResourceDefinition = serde_json::from_str(&read).unwrap();
        assert_eq!(read.spec.versions[0].schema, crd.spec.versions[0].schema);
    }
    kubectl.run("apply -f examples/quickstart.yaml", "");
    let again = kubectl.run("apply -f examples/quickstart.yaml", "");
    assert!(again.lines().all(|line| line.ends_with("unchanged")), "{again}");
    kubectl.run("diff -f examples/quickstart.yaml", "");
    kubectl.says("explain rollout.spec.strategy --recursive", "holdSeconds");
    kubectl.run("wait --for=condition=Ready orchestraenvironment/quickstart --timeout=60s", "");
    kubectl.run("wait --for=condition=Ready rollout/hello --timeout=120s", "");
    kubectl.says("get rollouts", "Promoted");
    kubectl.says("get rollouts -o wide", "hello");
    kubectl.says("get rollouts -w --request-timeout=3s", "Promoted");
    kubectl.says("describe rollout hello", "Events:");
    kubectl.says("get events", "rollout/hello");
    kubectl.says("events --for rollout/hello", "Promoted");
    shipped(kubectl);
    server_side(kubectl);
    creations(kubectl);
    edits(kubectl);
    deletions(kubectl);
}

/// D9: what is shipped can be applied in both ways.
fn shipped(kubectl: &Kubectl<'_>) {
    kubectl.run("apply -f deploy/controller.yaml", "");
    kubectl.run("apply --server-side -f deploy/controller.yaml", "");
}

fn server_side(kubectl: &Kubectl<'_>) {
    kubectl.run("apply --server-side --field-manager=one -f -", ROLLOUT);
    let two = ROLLOUT.replace("app:1", "app:2");
    kubectl.fails("apply --server-side --field-manager=two -f -", &two, "conflict with \"one\"");
    kubectl.run("apply --server-side --field-manager=two --force-conflicts -f -", &two);
    kubectl.says("get rollout api -o jsonpath={.spec.template.containers[0].image}", "app:2");
    kubectl.says("get rollout api -o yaml --show-managed-fields", "manager: two");
    kubectl.run("apply --dry-run=server -f -", &ROLLOUT.replace("name: api", "name: dry"));
    kubectl.fails("get rollout dry", "", "NotFound");
}

/// What kubectl makes itself it sends in protobuf.
fn creations(kubectl: &Kubectl<'_>) {
    kubectl.says("create namespace team", "namespace/team created");
    kubectl.says("create configmap made -n team --from-literal=key=value", "created");
    kubectl.says("get configmap made -n team -o jsonpath={.data.key}", "value");
    kubectl.says("create secret generic made -n team --from-literal=key=value", "created");
    kubectl.says("get secret made -n team -o jsonpath={.data.key}", "dmFsdWU=");
    kubectl.says("create serviceaccount made -n team", "created");
    kubectl.says("create role made -n team --verb=get,list --resource=configmaps", "created");
    kubectl.says("create rolebinding made -n team --role=made --serviceaccount=team:made", "created");
    kubectl.says("auth can-i list configmaps -n team", "yes");
    kubectl.says("create token made -n team", "sandbox-");
    kubectl.says("explain rollout.metadata.ownerReferences", "blockOwnerDeletion");
    kubectl.says("delete namespace team --timeout=60s", "deleted");
}

fn edits(kubectl: &Kubectl<'_>) {
    kubectl.run("patch rollout api --type=merge -p {\"spec\":{\"paused\":true}}", "");
    kubectl.run("patch rollout api --type=json -p [{\"op\":\"remove\",\"path\":\"/spec/paused\"}]", "");
    kubectl.run("create -f -", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}");
    kubectl.run("patch configmap c --type=strategic -p {\"data\":{\"c\":\"d\"}}", "");
    kubectl.says("get configmap c -o jsonpath={.data}", "\"c\":\"d\"");
    kubectl.run(
        "patch rollout api --type=merge -p {\"spec\":{\"template\":{\"containers\":[{\"image\":\"app:3\"}]}}}",
        "",
    );
    kubectl.says("edit rollout api", "edited");
    kubectl.says("get rollout api -o jsonpath={.spec.template.containers[0].image}", "app:4");
    // The controller writes the status until then, and a replacement must not meet such a write.
    kubectl.says("wait --for=condition=Ready rollout/api --timeout=60s", "condition met");
    let object = kubectl.run("get rollout api -o yaml", "");
    kubectl.run("replace -f -", &object.replace("app:4", "app:5"));
    kubectl.says("label rollout api team=shop", "labeled");
    kubectl.says("annotate rollout api example.com/note=x", "annotated");
    kubectl.says("get rollouts -l team=shop", "api");
    kubectl.fails("apply -f -", &ROLLOUT.replace("serviceName", "serviceNme"), "unknown field \"spec.serviceNme\"");
}

fn deletions(kubectl: &Kubectl<'_>) {
    kubectl.says("delete rollout api --cascade=foreground --timeout=60s", "deleted");
    kubectl.says("delete rollout hello --wait=false", "deleted");
    kubectl.run("wait --for=delete rollout/hello --timeout=60s", "");
    kubectl.says("delete -f examples/quickstart.yaml --ignore-not-found --timeout=60s", "deleted");
    kubectl.run("delete configmap c --cascade=background", "");
    kubectl.run("create -f -", "apiVersion: v1\nkind: Namespace\nmetadata: {name: gone}");
    kubectl.says("delete namespace gone --timeout=60s", "deleted");
    kubectl.says("delete -f crds/ --timeout=60s", "deleted");
}
