//! The process of the plugin.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    kubectl_orchestra::main().await
}
