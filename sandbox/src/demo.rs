//! The demo: three environments, a good release, a release that fails requests, and one that never starts. Every claim
//! is checked against what the simulated cloud and its users saw, not against what the controller says.

mod checks;
mod follow;
mod stage;

use orchestra_crds::RolloutPhase;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::SandboxError;
use follow::Ending;
use stage::Stage;

/// How to show it.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoSettings {
    /// How many of the cloud's seconds pass in one real second.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub speed: u32,
    /// Where to put the controller's log and the kubeconfig.
    #[arg(long, default_value = "target/demo", value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Longest that one act may take, in real time.
const ACT_LIMIT: Duration = Duration::from_secs(75);
const API: (&str, &str) = ("production", "api");

/// Shows everything.
///
/// # Errors
/// What did not happen as it should.
pub async fn run(settings: DemoSettings) -> Result<(), SandboxError> {
    let began = Instant::now();
    let stage = Stage::set_up(&settings).await?;
    let result = tokio::select! {
        shown = show(&stage) => shown,
        ended = stage.broken() => Err(ended),
    };
    let log = settings.folder.join("controller.log");
    match result {
        Ok(lines) => {
            summary(&lines, began.elapsed());
            stage.tear_down().await;
            Ok(())
        }
        Err(error) => {
            println!("\nThe controller's log is in {}.", log.display());
            stage.tear_down().await;
            Err(error)
        }
    }
}

async fn show(stage: &Stage) -> Result<Vec<String>, SandboxError> {
    let mut lines = vec![];
    title("1. Three environments of cherry-ai-project");
    stage.apply_examples().await?;
    lines.push(stage.environments_ready(ACT_LIMIT).await?);
    stage.first_deployments(ACT_LIMIT).await?;

    println!(
        "\n  Times are the cloud's own, in minutes and seconds since the release: it runs faster than the clock here."
    );
    title("2. A good release of production's api: 10 → 50 → 100 %, us-central1 first, then us-west4");
    let good = stage.release(API, "good", &[]).await?;
    let told = stage.follow(API, &good, ACT_LIMIT).await?;
    lines.push(checks::promoted(stage, &good, &told)?);

    title("3. A release that fails 5 % of its requests");
    let bad = stage.release(API, "bad", &[("SANDBOX_ERROR_PERCENT", "5")]).await?;
    let told = stage.follow(API, &bad, ACT_LIMIT).await?;
    lines.push(checks::rolled_back(stage, &good, &bad, &told)?);

    title("4. A release whose container never starts");
    let dead = stage.release(API, "dead", &[("SANDBOX_STARTUP", "never")]).await?;
    let told = stage.follow(API, &dead, ACT_LIMIT).await?;
    lines.push(checks::never_started(stage, &good, &dead, &told)?);
    Ok(lines)
}

fn title(text: &str) {
    println!("\n{text}\n{}", "─".repeat(text.chars().count()));
}

fn summary(lines: &[String], took: Duration) {
    title("What happened");
    for line in lines {
        println!("  ✓ {line}");
    }
    println!(
        "\nThat took {} s; the simulated cloud ran faster than the clock. The same controller runs against a real\n\
         cluster and Google Cloud. To look around yourself:\n\n\
         \x20 make sandbox                                      # stays up, with a controller; in another terminal:\n\
         \x20 export KUBECONFIG=target/sandbox/kubeconfig\n\
         \x20 kubectl apply -f examples/quickstart.yaml\n\
         \x20 kubectl get oenv,oro\n\
         \x20 kubectl describe oro hello",
        took.as_secs()
    );
}

fn failed(message: impl Into<String>) -> SandboxError {
    SandboxError::Failed(message.into())
}

/// A container with another image, and with what makes it behave among its variables.
fn changed_container(container: &serde_json::Value, image: &str, env: &[(&str, &str)]) -> serde_json::Value {
    let mut changed = container.clone();
    changed["image"] = json!(image);
    let kept = container["env"].as_array().into_iter().flatten();
    let kept = kept.filter(|variable| !variable["name"].as_str().is_some_and(|name| name.starts_with("SANDBOX_")));
    let new = env.iter().map(|(name, value)| json!({"name": name, "value": value}));
    changed["env"] = kept.cloned().chain(new).collect();
    changed
}

fn ended(phase: Option<RolloutPhase>) -> Option<Ending> {
    match phase? {
        RolloutPhase::Promoted => Some(Ending::Promoted),
        RolloutPhase::RolledBack | RolloutPhase::Failed => Some(Ending::RolledBack),
        _ => None,
    }
}
