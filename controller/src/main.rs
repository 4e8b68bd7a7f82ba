//! `orchestra-controller`: runs Google Cloud environments and Cloud Run rollouts from a cluster's objects.

use clap::Parser;
use orchestra_controller::app::{Settings, run};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    if let Err(error) = orchestra_controller::init_telemetry() {
        eprintln!("orchestra-controller: {error}");
        return ExitCode::from(2);
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is installed already");
    }
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ending");
            if error.is_usage() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
