//! The controller as a process of its own, and signals.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::SandboxError;

/// How long a controller may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running `orchestra-controller`. It is killed when this is dropped.
#[derive(Debug)]
pub struct Controller {
    child: Child,
    log: PathBuf,
}

/// Beside this program, or beside the folder of a test's program.
fn program() -> Result<PathBuf, SandboxError> {
    let name = "orchestra-controller";
    let own = std::env::current_exe().map_err(|_| SandboxError::NoController(PathBuf::from(name)))?;
    let beside = own.with_file_name(name);
    let above = own.parent().map(|folder| folder.with_file_name(name));
    [Some(beside.clone()), above].into_iter().flatten().find(|p| p.exists()).ok_or(SandboxError::NoController(beside))
}

impl Controller {
    /// Starts the one that lies beside this program, against a sandbox; its log goes to a file.
    ///
    /// # Errors
    /// When there is none, it can't be started, or the file can't be written.
    pub fn start(kubeconfig: &Path, google: SocketAddr, log: &Path) -> Result<Self, SandboxError> {
        Self::start_with(&[], kubeconfig, google, log)
    }

    /// The same, with further arguments.
    ///
    /// # Errors
    /// As above.
    pub fn start_with(
        arguments: &[&str],
        kubeconfig: &Path,
        google: SocketAddr,
        log: &Path,
    ) -> Result<Self, SandboxError> {
        let program = program()?;
        let file = std::fs::File::create(log).map_err(|source| SandboxError::File { path: log.into(), source })?;
        let child = Command::new(&program)
            .env("KUBECONFIG", kubeconfig)
            .args(["--google-endpoint", &format!("http://{google}")])
            .args(["--sandbox-clock", &format!("http://{google}/sandbox/clock")])
            .args(["--http-address", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| SandboxError::Start { program, source })?;
        Ok(Self { child, log: log.into() })
    }

    /// Its process ID, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end, which should not come.
    pub async fn ended(&mut self) -> SandboxError {
        let how = self.child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
        SandboxError::ControllerEnded { how, log: self.log.clone() }
    }

    /// Kills it, as a crash would.
    pub async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "the controller could not be killed");
        }
    }

    /// Asks it to stop, and kills it if it does not.
    pub async fn stop(mut self) {
        let asked = match self.child.id() {
            Some(id) => Command::new("kill").arg(id.to_string()).status().await.is_ok(),
            None => false,
        };
        if asked && tokio::time::timeout(STOP_LIMIT, self.child.wait()).await.is_ok() {
            return;
        }
        self.kill().await;
    }
}

/// Waits for SIGINT or SIGTERM.
pub async fn signalled() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
