//! The process: everything it runs, and how it ends.

use http::header::{HeaderValue, USER_AGENT};
use kube::Client;
use orchestra_cloud::{Cloud, Observer};
use orchestra_crds::{GROUP, VERSION};
use orchestra_planner::hosts::AllowedHost;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::cluster::respect_no_proxy;
use crate::health::{Health, cluster_trouble};
use crate::lease::{Elector, Home};
use crate::metrics::Metrics;
use crate::shell::Shell;
use crate::watch as watches;
use crate::web::{self, WebError, WebSettings};

/// How long work under way may go on after the signal to stop.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(25);
/// How often to look for the CRDs: first, and after a while.
const CRD_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// How often to ask the cluster for its time.
const CLOCK_WAIT: Duration = Duration::from_secs(1);
/// Longest to wait for a list of what the cluster knows.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Longest silence of the cluster on a connection; watches are told something more often.
const READ_LIMIT: Duration = Duration::from_secs(300);

/// How to run.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "orchestra-controller", version, about = "Runs Google Cloud environments and Cloud Run rollouts")]
pub struct Settings {
    /// Send every Google API call to this URL, without credentials. For the sandbox.
    #[arg(long, env = "ORCHESTRA_GOOGLE_ENDPOINT", value_name = "URL", value_parser = endpoint)]
    pub google_endpoint: Option<String>,
    #[command(flatten)]
    pub web: WebSettings,
    /// Namespace of the Lease for leader election. Default: orchestra-system, or default where that does not exist.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    pub lease_namespace: Option<String>,
    /// How many objects have metrics of their own, by name; 0: none.
    #[arg(long, default_value_t = crate::metrics::DEFAULT_BOUND, value_name = "NUMBER")]
    pub metrics_objects: usize,
    /// A host that Rollouts may name as a Prometheus: HOST[:PORT], then `,private` where it may be at an address of a private
    /// network, and `,http` where it is called without TLS. May be given many times. Default: none.
    #[arg(long, value_name = "HOST")]
    pub allowed_host: Vec<AllowedHost>,
    /// Run along with the clock of a sandbox: URL of its /sandbox/clock. For development only.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub sandbox_clock: Option<String>,
}

/// An address that requests can be sent to.
fn endpoint(text: &str) -> Result<String, String> {
    let uri: http::Uri = text.parse().map_err(|_| "it is no URL: write http://HOST:PORT".to_string())?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(text.to_string()),
        _ => Err("it has no scheme or host: write http://HOST:PORT".to_string()),
    }
}

/// The name of a namespace.
fn namespace(text: &str) -> Result<String, String> {
    let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let ends = text.starts_with('-') || text.ends_with('-') || text.is_empty() || text.len() > 63;
    if fits && !ends {
        Ok(text.to_string())
    } else {
        Err("a namespace is at most 63 lowercase letters, digits and hyphens, and has a letter or digit at each end"
            .into())
    }
}

/// Why the process ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// No cluster.
    #[error("no cluster: {0}; set KUBECONFIG, or run in a cluster")]
    NoCluster(#[from] kube::config::InferConfigError),
    /// The cluster's client could not be made.
    #[error("the cluster's client could not be made: {0}")]
    Client(Box<kube::Error>),
    /// Google's clients could not be made.
    #[error(transparent)]
    Cloud(#[from] orchestra_cloud::CloudError),
    /// The metrics could not be registered.
    #[error("the metrics could not be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The sandbox's clock could not be read.
    #[error("--sandbox-clock: {0}")]
    Clock(#[from] reqwest::Error),
    /// Metrics and health can't be served.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Signals can't be listened for.
    #[error("signals can't be listened for: {0}")]
    Signals(std::io::Error),
    /// Another process leads now.
    #[error("the lease was lost: another process leads, or the cluster could not be reached")]
    LeaseLost,
    /// Orchestra was installed while this process led, or waited, in its absence.
    #[error(
        "Orchestra is installed in this cluster by now, and another leads from its namespace: start again to wait for it"
    )]
    LeaseMoved,
    /// A task that should never end did.
    #[error("{0} ended: {1}")]
    Ended(&'static str, String),
    /// Work under way took too long to stop.
    #[error("work under way did not end within {} s after the signal to stop", SHUTDOWN_LIMIT.as_secs())]
    ShutdownTooLong,
}

/// The time of the sandbox if there is one, or else of the cluster, as soon as that tells it.
async fn clock(settings: &Settings, client: &Client) -> Result<Clock, AppError> {
    if let Some(url) = &settings.sandbox_clock {
        return Ok(Clock::of_sandbox(url).await?);
    }
    loop {
        match Clock::of_cluster(client).await {
            Ok(clock) => return Ok(clock),
            Err(error) => tracing::warn!(%error, "waiting for the cluster's time"),
        }
        tokio::time::sleep(CLOCK_WAIT).await;
    }
}

impl AppError {
    /// Whether the flags are to blame: the process ends with 2 then, as for flags that can't be read.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Web(_) | Self::Clock(_))
    }
}

/// The cluster's client, and the server's address.
async fn kube_client() -> Result<(Client, String), AppError> {
    let mut config = kube::Config::infer().await?;
    respect_no_proxy(&mut config);
    let agent = concat!("orchestra-controller/", env!("CARGO_PKG_VERSION"));
    config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
    // The shell retries; a retried write would not be the one that was planned.
    config.default_retry = false;
    config.read_timeout = Some(READ_LIMIT);
    let server = config.cluster_url.to_string();
    Ok((Client::try_from(config).map_err(|e| AppError::Client(Box::new(e)))?, server))
}

/// Waits until the cluster knows both kinds, and says what it waits for.
async fn wait_for_crds(client: &Client, server: &str, health: &Health) {
    const WHAT: &str = "the CRDs";
    let mut wait = CRD_WAIT.0;
    loop {
        let version = format!("{GROUP}/{VERSION}");
        let listed = tokio::time::timeout(CALL_LIMIT, client.list_api_group_resources(&version)).await;
        let missing = format!("not installed on {server}: kubectl apply -f crds/");
        let trouble = match listed {
            Ok(Ok(known)) => {
                let has = |name: &&str| known.resources.iter().any(|r| r.name == *name);
                if ["rollouts", "orchestraenvironments"].iter().all(has) {
                    health.note_cluster(WHAT, None);
                    return;
                }
                missing
            }
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() => missing,
            Ok(Err(error)) => cluster_trouble(server, &error),
            Err(_) => format!("{server} has not answered within {} s", CALL_LIMIT.as_secs()),
        };
        health.note_cluster(WHAT, Some(trouble));
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(CRD_WAIT.1);
    }
}

/// Takes the address; what is given serves there until the process ends.
async fn served(
    settings: WebSettings,
    metrics: Metrics,
    health: Health,
) -> Result<impl Future<Output = Result<(), AppError>>, AppError> {
    let (door, _) = web::listen(&settings).await?;
    Ok(async move {
        let ended = web::serve(door, &settings, metrics, health).await;
        Err(AppError::Ended("the HTTP server", ended.err().map_or("no error".into(), |e| e.to_string())))
    })
}

/// Runs until a signal, the loss of the lease, or the end of a task that should not end.
///
/// # Errors
/// Why it could not start, or why it ended other than by a signal.
pub async fn run(settings: Settings) -> Result<(), AppError> {
    let (client, server) = kube_client().await?;
    let (metrics, health) = (Metrics::new(settings.metrics_objects)?, Health::default());
    let observer: Arc<dyn Observer> = Arc::new(metrics.clone());
    let cloud = Cloud::connect(settings.google_endpoint.as_deref()).await?.observed(&observer);
    let mut stop = stop_signal()?;
    let mut tasks: JoinSet<Result<(), AppError>> = JoinSet::new();

    tasks.spawn(served(settings.web.clone(), metrics.clone(), health.clone()).await?);

    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "orchestra-controller".into());
    let me = format!("{host}_{}_{:x}", std::process::id(), jiff::Timestamp::now().as_microsecond());
    let start = async {
        wait_for_crds(&client, &server, &health).await;
        health.started();
        let home = match &settings.lease_namespace {
            Some(asked) => Home::Fixed(asked.clone()),
            None => Home::of_cluster(&client, &health).await,
        };
        tracing::info!(namespace = home.namespace(), "waiting for the lease");
        let clock = clock(&settings, &client).await?;
        let mut elector = Elector::new(client.clone(), home.namespace(), me).with_health(health.clone());
        tokio::select! {
            () = elector.acquire() => Ok((clock, elector, home)),
            () = home.moved(&client) => Err(AppError::LeaseMoved),
        }
    };
    let (clock, mut elector, home) = tokio::select! {
        started = start => started?,
        () = stopped(&mut stop) => return Ok(()),
        ended = tasks.join_next() => return first_end(ended),
    };
    tracing::info!("leading");
    metrics.leader.set(1);

    let shell = Shell::new(client.clone(), cloud, clock, elector.leadership(), metrics);
    let shell = shell.with_health(health).with_hosts(&settings.allowed_host);
    let shell = Arc::new(shell);
    let environments = watches::environments(&client, shell.clone(), stopped_owned(stop.clone()));
    let rollouts = watches::rollouts(&client, shell, stopped_owned(stop.clone()));
    let mut work: JoinSet<()> = JoinSet::new();
    work.spawn(environments);
    work.spawn(rollouts);

    let ended = tokio::select! {
        biased;
        () = stopped(&mut stop) => Ok(()),
        () = elector.keep() => return Err(AppError::LeaseLost),
        () = home.moved(&client) => Err(AppError::LeaseMoved),
        ended = tasks.join_next() => first_end(ended),
        ended = work.join_next() => end_of_work(*stop.borrow(), ended),
    };
    match ended {
        // Whoever leads from there writes already: nothing more is written here.
        Err(AppError::LeaseMoved) => {
            elector.release().await;
            Err(AppError::LeaseMoved)
        }
        Err(error) => Err(error),
        Ok(()) => shut_down(work, elector).await,
    }
}

/// What the end of a controller means. After the signal they end by themselves: that is no failure, also where the signal
/// is seen only after it.
fn end_of_work(stopped: bool, ended: Option<Result<(), tokio::task::JoinError>>) -> Result<(), AppError> {
    if stopped {
        return Ok(());
    }
    let how = ended.map_or("gone".into(), |e| e.map_or_else(|e| e.to_string(), |()| "no error".into()));
    Err(AppError::Ended("a controller", how))
}

/// Lets work under way end, renewing the lease meanwhile, then lets go of it.
async fn shut_down(mut work: JoinSet<()>, mut elector: Elector) -> Result<(), AppError> {
    tracing::info!("stopping");
    let drained = async { while work.join_next().await.is_some() {} };
    let result = tokio::select! {
        () = drained => Ok(()),
        () = elector.keep() => Err(AppError::LeaseLost),
        () = tokio::time::sleep(SHUTDOWN_LIMIT) => Err(AppError::ShutdownTooLong),
    };
    work.abort_all();
    elector.release().await;
    result
}

fn first_end(ended: Option<Result<Result<(), AppError>, tokio::task::JoinError>>) -> Result<(), AppError> {
    match ended {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(AppError::Ended("a task", error.to_string())),
        None => Ok(()),
    }
}

/// True once SIGTERM or SIGINT came. A second one ends the process at once.
fn stop_signal() -> Result<watch::Receiver<bool>, AppError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(AppError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(AppError::Signals)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        for times in 0.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if times > 0 {
                std::process::exit(1);
            }
            sender.send_replace(true);
        }
    });
    Ok(receiver)
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the process.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

async fn stopped_owned(mut stop: watch::Receiver<bool>) {
    stopped(&mut stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_that_end_by_the_signal_are_no_failure() {
        assert!(end_of_work(true, Some(Ok(()))).is_ok());
        assert!(end_of_work(false, Some(Ok(()))).is_err());
        assert!(end_of_work(false, None).is_err());
    }
}
