//! `orchestra-sandbox`: a cluster API and a Google Cloud on loopback.

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use orchestra_controller::clock::{Clock, ClockReading};
use orchestra_sandbox::demo::{self, DemoSettings};
use orchestra_sandbox::process::Controller;
use orchestra_sandbox::serve::Servers;
use orchestra_sandbox::{Sandbox, SandboxError};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "orchestra-sandbox", version, about = "A cluster API and a Google Cloud on loopback")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve both APIs until a signal; prints `ready` when they answer.
    Serve(Serve),
    /// Show a good release that promotes and bad ones that roll back; fails unless all of that happened.
    Demo(DemoSettings),
}

#[derive(Args)]
struct Serve {
    /// Where to write a kubeconfig for the cluster; the address of Google's APIs goes into `google-endpoint` beside it.
    #[arg(long, value_name = "FILE", required_unless_present = "google_only")]
    kubeconfig: Option<PathBuf>,
    /// Where to serve the cluster's API.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    kube_address: SocketAddr,
    /// Where to serve Google's APIs, and the control under /sandbox/.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    google_address: SocketAddr,
    /// Serve no cluster API.
    #[arg(long)]
    google_only: bool,
    /// How many of the cloud's seconds pass in one real second.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    speed: u32,
    /// A secret to put into Secret Manager, with one made-up version. May be given several times.
    #[arg(long, value_name = "PROJECT/SECRET")]
    secret: Vec<String>,
    /// Install the CRDs, and run orchestra-controller too, from the same folder as this program; its log goes to
    /// controller.log beside the kubeconfig.
    #[arg(long, conflicts_with = "google_only")]
    with_controller: bool,
    /// A host that the controller may call for metrics of one's own. May be given several times.
    #[arg(long, value_name = "HOST[:PORT][,private][,http]", requires = "with_controller")]
    allowed_host: Vec<String>,
}

async fn serve(settings: Serve) -> Result<(), SandboxError> {
    let clock = Clock::starting_at(ClockReading { now: Timestamp::now(), speed: settings.speed });
    let sandbox = Sandbox::new(Clock::of_this_machine(), clock, u64::from(std::process::id()));
    for secret in &settings.secret {
        let (project, name) = secret.split_once('/').ok_or_else(|| SandboxError::BadSecret(secret.clone()))?;
        sandbox.google.seed_secret(project, name);
    }
    let kube = (!settings.google_only).then_some(settings.kube_address);
    let servers = Servers::listen(kube, settings.google_address).await?;
    let (google_address, kube_address) = (servers.google_address, servers.kube_address);
    if let Some(path) = &settings.kubeconfig {
        servers.write_kubeconfig(path)?;
        let endpoint = path.with_file_name("google-endpoint");
        let written = std::fs::write(&endpoint, format!("http://{google_address}\n"));
        written.map_err(|source| SandboxError::File { path: endpoint, source })?;
    }
    let (mut controller, mut told) = (None, vec![]);
    if let (true, Some(path)) = (settings.with_controller, &settings.kubeconfig) {
        sandbox.install_crds()?;
        let log = path.with_file_name("controller.log");
        let hosts = settings.allowed_host.iter().flat_map(|host| ["--allowed-host", host]);
        controller = Some(Controller::start_with(&hosts.collect::<Vec<_>>(), path, google_address, &log)?);
        told.push(format!("controller: its log is in {}", log.display()));
    }
    told.push(format!("google: http://{google_address}"));
    told.extend(kube_address.map(|address| format!("kubernetes: http://{address}")));
    told.push("ready\n".into());
    // A reader that has gone away does not matter.
    let mut out = std::io::stdout();
    let _ = out.write_all(told.join("\n").as_bytes()).and_then(|()| out.flush());
    // What people have put in stays: another controller may be at work by now.
    let controller_ended = async {
        if let Some(controller) = &mut controller {
            let ended = controller.ended().await;
            eprintln!("orchestra-sandbox: {ended}. Both APIs stay up");
        }
        std::future::pending::<()>().await
    };
    let result = tokio::select! {
        ended = servers.run(sandbox) => ended.map_err(SandboxError::from),
        () = controller_ended => Ok(()),
        () = orchestra_sandbox::process::signalled() => Ok(()),
    };
    if let Some(controller) = controller {
        controller.stop().await;
    }
    result
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = orchestra_controller::init_telemetry() {
        eprintln!("orchestra-sandbox: {error}");
        return ExitCode::from(2);
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is installed already");
    }
    let result = match cli.command {
        Command::Serve(settings) => serve(settings).await,
        Command::Demo(settings) => demo::run(settings).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orchestra-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}
