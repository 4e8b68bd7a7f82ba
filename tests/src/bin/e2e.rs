//! `make e2e`: the shipped manifests and the shipped controller against the cluster that KUBECONFIG names, or the
//! sandbox's when it is unset; Google's side is always the sandbox. Cleans up after itself, and prints what passed.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Api, Client, ResourceExt};
use orchestra_tests::world::{canary, plain_environment};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const SYSTEM: &str = "orchestra-system";
const ACCOUNT: &str = "orchestra-controller";
/// Longest to wait for something that should happen.
const LIMIT: Duration = Duration::from_secs(180);

/// A cluster with what was put into it.
struct Stage {
    client: Client,
    namespace: String,
    /// What was not there before, oldest first.
    made: Vec<(ApiResource, Option<String>, String)>,
}

fn program(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() { Ok(path) } else { Err(format!("{} is not there: make build", path.display()).into()) }
}

/// The sandbox, and the address of its Google side.
async fn sandbox(kubeconfig: Option<&Path>) -> Result<(Child, String), Failure> {
    let mut command = Command::new(program("orchestra-sandbox")?);
    command.args(["serve", "--speed", "60", "--google-address", "127.0.0.1:0"]);
    match kubeconfig {
        Some(path) => command.args(["--kube-address", "127.0.0.1:0", "--kubeconfig"]).arg(path),
        None => command.arg("--google-only"),
    };
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let mut google = String::new();
    while let Some(line) = lines.next_line().await? {
        if let Some(url) = line.strip_prefix("google: ") {
            google = url.to_string();
        }
        if line == "ready" {
            return Ok((child, google));
        }
    }
    Err("the sandbox ended".into())
}

fn resource(types: &TypeMeta) -> ApiResource {
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind))
}

fn documents(folder: &str) -> Result<Vec<Value>, Failure> {
    let path = Path::new(ROOT).join(folder);
    let mut files: Vec<PathBuf> = match path.is_dir() {
        true => std::fs::read_dir(&path)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?,
        false => vec![path],
    };
    files.sort();
    let mut all = vec![];
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "yaml")) {
        let text = std::fs::read_to_string(file)?;
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            let value: Value = serde::Deserialize::deserialize(document)?;
            if !value.is_null() {
                all.push(value);
            }
        }
    }
    Ok(all)
}

impl Stage {
    fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    fn ours(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("orchestra.cherry-ai.me", "v1alpha1", kind);
        self.api(&ApiResource::from_gvk(&kind), Some(&self.namespace))
    }

    /// Applies a document, and remembers it when it was not there before.
    async fn apply(&mut self, document: Value) -> Result<(), Failure> {
        let object: DynamicObject = serde_json::from_value(document)?;
        let types = object.types.clone().ok_or("a document without kind")?;
        let (resource, name, namespace) = (resource(&types), object.name_any(), object.namespace());
        let api = self.api(&resource, namespace.as_deref());
        if api.get_opt(&name).await?.is_none() {
            self.made.push((resource, namespace, name.clone()));
        }
        api.patch(&name, &PatchParams::apply("orchestra-e2e").force(), &Patch::Apply(&object)).await?;
        Ok(())
    }

    async fn install(&mut self) -> Result<(), Failure> {
        for crd in documents("crds")? {
            self.apply(crd).await?;
        }
        self.until("the CRDs are established", async |stage| {
            let list = stage.ours("Rollout").list(&Default::default()).await;
            list.is_ok() && stage.ours("OrchestraEnvironment").list(&Default::default()).await.is_ok()
        })
        .await?;
        for mut document in documents("deploy/controller.yaml")? {
            if document["kind"] == "Deployment" {
                // The controller runs here, as the shipped program under the shipped service account.
                document["spec"]["replicas"] = json!(0);
            }
            self.apply(document).await?;
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        self.apply(namespace).await
    }

    /// A kubeconfig for the controller's service account.
    async fn kubeconfig(&self, folder: &Path, own: Option<&Path>) -> Result<PathBuf, Failure> {
        let path = format!("/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}/token");
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
        let request =
            http::Request::post(path).header("content-type", "application/json").body(body.to_string().into_bytes())?;
        let answer: Value = self.client.request(request).await?;
        let token = answer["status"]["token"].as_str().ok_or("no token")?.to_string();
        let mut config = own.map_or_else(Kubeconfig::read, Kubeconfig::read_from)?;
        let context = config.current_context.clone().unwrap_or_default();
        for named in config.contexts.iter_mut().filter(|named| named.name == context) {
            if let Some(context) = &mut named.context {
                context.user = Some(ACCOUNT.into());
            }
        }
        let auth_info = Some(AuthInfo { token: Some(token.into()), ..AuthInfo::default() });
        config.auth_infos = vec![kube::config::NamedAuthInfo { name: ACCOUNT.into(), auth_info, ..Default::default() }];
        let file = folder.join("controller.kubeconfig");
        std::fs::write(&file, serde_yaml_ng::to_string(&config)?)?;
        Ok(file)
    }

    async fn until(&self, what: &str, so: impl AsyncFn(&Self) -> bool) -> Result<(), Failure> {
        let began = Instant::now();
        while !so(self).await {
            if began.elapsed() > LIMIT {
                return Err(format!("{what}: not within {} s", LIMIT.as_secs()).into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    async fn create(&self, kind: &str, name: &str, spec: Value) -> Result<(), kube::Error> {
        let object = json!({"apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": kind,
                            "metadata": {"name": name}, "spec": spec});
        let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
        self.ours(kind).create(&PostParams::default(), &object).await.map(|_| ())
    }

    async fn status(&self, kind: &str, name: &str) -> Value {
        let found = self.ours(kind).get_opt(name).await.ok().flatten();
        let data =
            found.map(|object| json!({"status": object.data["status"], "generation": object.metadata.generation}));
        let data = data.unwrap_or_default();
        if data["status"]["observedGeneration"] == data["generation"] { data["status"].clone() } else { Value::Null }
    }

    async fn until_phase(&self, name: &str, phase: &str) -> Result<(), Failure> {
        self.until(&format!("{name} {phase}"), async |stage| stage.status("Rollout", name).await["phase"] == phase)
            .await
    }

    async fn patch(&self, name: &str, patch: Value) -> Result<(), Failure> {
        self.ours("Rollout").patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes the scenarios' objects, and waits until the controller has let them go.
    async fn release(&self) -> Result<(), Failure> {
        for kind in ["Rollout", "OrchestraEnvironment"] {
            self.ours(kind).delete_collection(&DeleteParams::default(), &Default::default()).await?;
            self.until(&format!("no {kind} is left"), async |stage| {
                stage.ours(kind).list(&Default::default()).await.is_ok_and(|list| list.items.is_empty())
            })
            .await?;
        }
        Ok(())
    }

    /// Deletes what was made, newest first; what is gone already is no failure, and none keeps the others.
    async fn clean_up(&mut self) -> Result<(), Failure> {
        let mut failures = vec![];
        while let Some((resource, namespace, name)) = self.made.pop() {
            match self.api(&resource, namespace.as_deref()).delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => failures.push(format!("{} {name}: {error}", resource.kind)),
                Ok(_) => {}
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(format!("left behind: {}", failures.join("; ")).into()) }
    }
}

async fn first_deployment(stage: &Stage) -> Result<(), Failure> {
    stage.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await?;
    stage.create("Rollout", "api", canary("shop", "app:1")).await?;
    stage.until_phase("api", "Promoted").await
}

async fn canary_that_promotes(stage: &Stage) -> Result<(), Failure> {
    stage.patch("api", json!({"spec": {"template": {"image": "app:2"}}})).await?;
    stage.until_phase("api", "Promoted").await
}

async fn canary_that_rolls_back(stage: &Stage) -> Result<(), Failure> {
    let env = json!([{"name": "SANDBOX_ERROR_PERCENT", "value": "20"}]);
    stage.patch("api", json!({"spec": {"template": {"image": "app:3", "env": env}}})).await?;
    stage.until_phase("api", "RolledBack").await
}

async fn status_that_is_emptied(stage: &Stage) -> Result<(), Failure> {
    stage.patch("api", json!({"spec": {"template": {"image": "app:4", "env": null}}})).await?;
    let weight = async |stage: &Stage| stage.status("Rollout", "api").await["weight"] == 10;
    stage.until("10 % of the requests", weight).await?;
    let empty = Patch::Merge(json!({"status": null}));
    stage.ours("Rollout").patch_status("api", &PatchParams::default(), &empty).await?;
    stage.until_phase("api", "Promoted").await
}

async fn refusals(stage: &Stage) -> Result<(), Failure> {
    let mut heavy = canary("shop", "app:1");
    heavy["strategy"]["canary"]["steps"][0]["weight"] = json!(130);
    let mut both = canary("shop", "app:1");
    both["strategy"]["immediate"] = json!({});
    let mut nameless = canary("shop", "app:1");
    nameless["serviceName"] = json!("x".repeat(60));
    for (spec, field) in [(heavy, "weight"), (both, "strategy"), (nameless, "serviceName")] {
        match stage.create("Rollout", "refused", spec).await {
            Err(kube::Error::Api(status)) if status.message.contains(field) => {}
            other => return Err(format!("a bad {field} was not refused as it should be: {other:?}").into()),
        }
    }
    Ok(())
}

async fn environment_that_is_missing(stage: &Stage) -> Result<(), Failure> {
    stage.create("Rollout", "lost", canary("nowhere", "app:1")).await?;
    let told = async |stage: &Stage| stage.status("Rollout", "lost").await.to_string().contains("nowhere");
    stage.until("a condition that names the environment", told).await
}

async fn play(stage: &Stage) -> Result<usize, Failure> {
    let mut passed = 0;
    macro_rules! scenarios {
        ($($scenario:ident),* $(,)?) => {$(
            let began = Instant::now();
            $scenario(stage).await.map_err(|why| format!("{}: {why}", stringify!($scenario)))?;
            println!("ok   {} ({:.1} s)", stringify!($scenario).replace('_', " "), began.elapsed().as_secs_f64());
            passed += 1;
        )*};
    }
    scenarios!(
        first_deployment,
        canary_that_promotes,
        canary_that_rolls_back,
        status_that_is_emptied,
        refusals,
        environment_that_is_missing,
    );
    Ok(passed)
}

/// Everything between the first object and the last: how many scenarios passed.
async fn rehearse(stage: &mut Stage, folder: &Path, own: Option<&Path>, google: &str) -> Result<usize, Failure> {
    stage.install().await?;
    println!("ok   the shipped manifests are applied");
    let kubeconfig = stage.kubeconfig(folder, own).await?;
    let controller = Command::new(program("orchestra-controller")?)
        .env("KUBECONFIG", kubeconfig)
        .env("POD_NAMESPACE", SYSTEM)
        .args(["--google-endpoint", google, "--http-address", "127.0.0.1:0"])
        .args(["--sandbox-clock", &format!("{google}/sandbox/clock")])
        .stderr(std::fs::File::create("target/e2e-controller.log")?)
        .kill_on_drop(true)
        .spawn()?;
    let played = play(stage).await;
    // The controller lets its objects go.
    let released = stage.release().await;
    drop(controller);
    played.and_then(|passed| released.map(|()| passed))
}

async fn run() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let own = std::env::var_os("KUBECONFIG").is_none();
    let file = folder.path().join("kubeconfig");
    let (_sandbox, google) = sandbox(own.then_some(file.as_path())).await?;
    let config = match own {
        true => Kubeconfig::read_from(&file)?,
        false => Kubeconfig::read()?,
    };
    let client = Client::try_from(kube::Config::from_custom_kubeconfig(config, &Default::default()).await?)?;
    println!("cluster: {}", if own { "the sandbox's" } else { "that of KUBECONFIG" });
    let namespace = format!("orchestra-e2e-{}", std::process::id());
    let mut stage = Stage { client, namespace, made: vec![] };
    let played = rehearse(&mut stage, folder.path(), own.then_some(file.as_path()), &google).await;
    let cleaned = stage.clean_up().await;
    let passed = played.and_then(|passed| cleaned.map(|()| passed))?;
    println!("ok   everything is cleaned up\n{passed} scenarios passed");
    Ok(())
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error}; the controller's log is in target/e2e-controller.log");
            std::process::ExitCode::FAILURE
        }
    }
}
