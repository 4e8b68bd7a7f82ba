//! `make e2e`: the shipped manifests and the shipped controller against the cluster that KUBECONFIG names, or the
//! sandbox's when it is unset; Google's side is always the sandbox. Cleans up after itself, and prints what passed.

mod clean_up;
mod guard;
mod scenarios;
mod stage;

use kube::Client;
use kube::config::Kubeconfig;
use stage::{NAMESPACE, SYSTEM, Stage};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

type Failure = Box<dyn std::error::Error + Send + Sync>;

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
    let mut child = command.stdout(Stdio::piped()).process_group(0).kill_on_drop(true).spawn()?;
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

/// Does something, but for a signal to stop: then what was made is still cleaned up.
async fn unless_stopped<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        _ = terminate.recv() => Err("told to stop".into()),
    }
}

/// Everything between the first object and the last: how many scenarios passed.
async fn rehearse(stage: &mut Stage, folder: &Path, own: Option<&Path>, google: &str) -> Result<usize, Failure> {
    unless_stopped(stage.install()).await?;
    println!("ok   the shipped manifests are applied");
    let kubeconfig = stage.kubeconfig(folder, own).await?;
    let mut controller = Command::new(program("orchestra-controller")?)
        .env("KUBECONFIG", kubeconfig)
        .env("POD_NAMESPACE", SYSTEM)
        .args(["--google-endpoint", google, "--http-address", "127.0.0.1:0"])
        .args(["--sandbox-clock", &format!("{google}/sandbox/clock")])
        .stderr(std::fs::File::create("target/e2e-controller.log")?)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let played = unless_stopped(async {
        // What a run that was cut short left has the names of what follows.
        stage.release().await?;
        scenarios::play(stage).await
    })
    .await;
    // The controller lets its objects go.
    let released = stage.release().await;
    controller.kill().await?;
    played.and_then(|passed| released.map(|()| passed))
}

async fn run() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    // A variable that names no file is none: the default cluster of whoever runs this must not be meant by mistake.
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let own = std::env::split_paths(&named).all(|path| path.as_os_str().is_empty());
    let file = folder.path().join("kubeconfig");
    let (_sandbox, google) = sandbox(own.then_some(file.as_path())).await?;
    let config = match own {
        true => Kubeconfig::read_from(&file)?,
        false => Kubeconfig::read()?,
    };
    let context = config.current_context.clone().unwrap_or_default();
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await?;
    println!(
        "cluster: {} (context {context} of {})",
        config.cluster_url,
        if own { "the sandbox" } else { "KUBECONFIG" }
    );
    let client = Client::try_from(config)?;
    let namespace = format!("{NAMESPACE}{}", std::process::id());
    let mut stage = Stage::new(client, namespace);
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
