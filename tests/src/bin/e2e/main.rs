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
use tokio::sync::watch;

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

/// Whether a signal to stop has come. From now on none ends the program by itself.
fn stop_signal() -> Result<watch::Receiver<bool>, Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (told, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.send_replace(true);
    });
    Ok(stop)
}

/// Does something, but for a signal to stop: then what was made is still cleaned up.
async fn unless_stopped<T>(
    stop: &watch::Receiver<bool>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|told| *told) => Err("interrupted".into()),
        done = work => done,
    }
}

/// Where things are.
struct Place<'a> {
    folder: &'a Path,
    /// The sandbox's own kubeconfig; none: that of KUBECONFIG is meant.
    own: Option<&'a Path>,
    /// Address of the sandbox's Google side.
    google: &'a str,
}

/// Everything between the first object and the last: how many scenarios passed.
async fn rehearse(stage: &mut Stage, place: &Place<'_>, stop: &watch::Receiver<bool>) -> Result<usize, Failure> {
    unless_stopped(stop, stage.install()).await?;
    println!("ok   the shipped manifests are applied");
    let kubeconfig = stage.kubeconfig(place.folder, place.own).await?;
    let (google, log) = (place.google, std::env::current_exe()?.with_file_name("e2e-controller.log"));
    let mut controller = Command::new(program("orchestra-controller")?)
        .env("KUBECONFIG", kubeconfig)
        .env("POD_NAMESPACE", SYSTEM)
        .args(["--google-endpoint", google, "--http-address", "127.0.0.1:0"])
        .args(["--sandbox-clock", &format!("{google}/sandbox/clock")])
        .stderr(std::fs::File::create(&log)?)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let played = unless_stopped(stop, async {
        // What a run that was cut short left has the names of what follows.
        stage.release().await?;
        scenarios::play(stage).await
    })
    .await;
    // The controller lets its objects go.
    let released = stage.release().await;
    controller.kill().await?;
    let told = |why: Failure| format!("{why}; the controller's log is in {}", log.display()).into();
    played.and_then(|passed| released.map(|()| passed)).map_err(told)
}

async fn run() -> Result<(), Failure> {
    let (stop, folder) = (stop_signal()?, tempfile::tempdir()?);
    // A variable that names no file is none: the default cluster of whoever runs this must not be meant by mistake.
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let own = std::env::split_paths(&named).all(|path| path.as_os_str().is_empty());
    let file = folder.path().join("kubeconfig");
    let (_sandbox, google) = unless_stopped(&stop, sandbox(own.then_some(file.as_path()))).await?;
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
    let place = Place { folder: folder.path(), own: own.then_some(file.as_path()), google: &google };
    let played = rehearse(&mut stage, &place, &stop).await;
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
            eprintln!("failed: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
