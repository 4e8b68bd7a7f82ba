//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[derive(Debug, Parser)]
#[command(
    name = "kubectl-orchestra",
    bin_name = "kubectl orchestra",
    version,
    about = "Shows releases, and asks them for something",
    after_help = "Exit codes of status: 0 promoted, 1 rolled back or failed, 2 waits for a person, 3 is still under way (with --watch: at the time-out), 4 could not be asked."
)]
pub struct Cli {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the objects are.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// Namespace of the Rollout. Default: that of the kubeconfig.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// User to act as, where your rights allow it.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// The kubeconfig. Default: $KUBECONFIG, or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// How something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The objects, as JSON.
    Json,
    /// The objects, as YAML.
    Yaml,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// How a release stands; without a name, all of them.
    Status(StatusArgs),
    /// How the last releases ended, and what can be gone back to.
    History(NameArgs),
    /// What was told of a Rollout, oldest first.
    Events(NameArgs),
    /// Releases as a Mermaid flowchart; without a name, all of a namespace.
    Graph {
        /// The Rollout, as NAME or rollout/NAME.
        rollout: Option<Name>,
        /// Those of all namespaces.
        #[arg(short = 'A', long, conflicts_with = "rollout")]
        all_namespaces: bool,
    },
    /// Everything that a bug report needs, with nothing secret in it.
    Report(NameArgs),
    /// What the controller would do to the cloud if files were applied now; writes nothing. Exit code 1: something would change; 2: a
    /// person would be asked.
    Plan(PlanArgs),
    /// What the cluster would refuse in files, found without a cluster. Exit code 1: something is wrong.
    Lint(FileArgs),
    /// What the analysis would have made of a recorded release. Exit code 0 for any verdict; 2: the input can't be read.
    Backtest(BacktestArgs),
    /// End the current step as passed; moves one step.
    Promote(NameArgs),
    /// Hold the release where it is.
    Pause(NameArgs),
    /// Let a held release go on.
    Resume(NameArgs),
    /// Send all requests back to stable and end the release.
    Abort(NameArgs),
    /// Try what failed again, as a new revision.
    Retry(NameArgs),
    /// Go back to a revision that was promoted, at once and in every region, and stay there until the template changes.
    Undo(UndoArgs),
    /// Release the same template again, as a new revision with its steps: instances start anew, and read what they read at the start.
    Restart(NameArgs),
    /// Write an environment and Rollouts that describe what runs, for services that no Rollout owns. Applying them takes the services
    /// over as they are. Read with your own credentials; writes nothing.
    Adopt(AdoptArgs),
    /// A script that completes commands in a shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// What kubectl completes a command line with.
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The words so far.
        #[arg(last = true)]
        words: Vec<String>,
    },
    /// The version of this plugin.
    Version,
}

#[derive(Clone, Debug, Args)]
pub struct NameArgs {
    /// The Rollout, as NAME or rollout/NAME.
    pub rollout: Name,
    /// Print the objects instead.
    #[arg(short, long, value_enum)]
    pub output: Option<Output>,
}

#[derive(Clone, Debug, Args)]
pub struct UndoArgs {
    #[command(flatten)]
    pub of: NameArgs,
    /// The revision; `history` and `status.promoted` list those that can be gone back to. Default: the one before stable.
    #[arg(long, value_name = "REVISION")]
    pub to: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct FileArgs {
    /// Files, or folders of them; `-` is the standard input.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Look into folders of folders, too.
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub of: FileArgs,
    /// How it is printed. JSON and YAML have the calls of Google's APIs whole.
    #[arg(short, long, value_enum)]
    pub output: Option<PlanOutput>,
    /// Read every Google API at this URL, without credentials. For the sandbox.
    #[arg(long, env = "ORCHESTRA_GOOGLE_ENDPOINT", value_name = "URL")]
    pub google_endpoint: Option<String>,
}

#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("record").required(true))]
pub struct BacktestArgs {
    /// What was recorded: CSV with minute,candidate_requests,candidate_errors,stable_requests,stable_errors, and if there are any region,
    /// weight, and latencies as candidate_le_MS and stable_le_MS; `-` is the standard input.
    #[arg(long, value_name = "FILE", group = "record")]
    pub trace: Option<PathBuf>,
    #[command(flatten)]
    pub monitored: MonitoredArgs,
    /// A file with the Rollout by whose analysis it is judged. Default: an analysis with its defaults.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Draw rates, evidence and decision into this file, as SVG.
    #[arg(long, value_name = "FILE", conflicts_with = "service")]
    pub plot: Option<PathBuf>,
    /// Print it for machines.
    #[arg(short, long, value_enum)]
    pub output: Option<Output>,
}

/// Releases that Cloud Monitoring remembers.
#[derive(Clone, Debug, Args)]
pub struct MonitoredArgs {
    /// The Cloud Run service whose releases Cloud Monitoring remembers: each revision that took over from another. Read with your own
    /// credentials.
    #[arg(long = "from-monitoring", value_name = "SERVICE", group = "record", requires_all = ["project", "regions"])]
    pub service: Option<String>,
    /// Its project.
    #[arg(long, requires = "service")]
    pub project: Option<String>,
    /// Its region; for several, name it several times.
    #[arg(long = "region", value_name = "REGION", requires = "service")]
    pub regions: Vec<String>,
    /// How many days back.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=42))]
    pub days: u32,
    /// Read every Google API at this URL, without credentials. For the sandbox.
    #[arg(long, env = "ORCHESTRA_GOOGLE_ENDPOINT", value_name = "URL")]
    pub google_endpoint: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct AdoptArgs {
    /// The Cloud Run services.
    #[arg(required = true, value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Their project.
    #[arg(long)]
    pub project: String,
    /// Their region; for several, name it several times: the revision that serves must have one name in all of them.
    #[arg(long = "region", value_name = "REGION", required = true)]
    pub regions: Vec<String>,
    /// Name of the environment that they are put into.
    #[arg(long, default_value = "production", value_name = "NAME")]
    pub environment: String,
    /// What the environment is for.
    #[arg(long, value_enum, default_value_t = AdoptStage::Production)]
    pub stage: AdoptStage,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    pub output: Output,
    /// Read every Google API at this URL, without credentials. For the sandbox.
    #[arg(long, env = "ORCHESTRA_GOOGLE_ENDPOINT", value_name = "URL")]
    pub google_endpoint: Option<String>,
}

/// What an environment is for, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AdoptStage {
    /// For developers.
    Development,
    /// For tests before production.
    Staging,
    /// For users.
    Production,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanOutput {
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
    /// For a pull request.
    Markdown,
}

#[derive(Clone, Debug, Default, Args)]
pub struct StatusArgs {
    /// The Rollout, as NAME or rollout/NAME.
    pub rollout: Option<Name>,
    /// Go on until the release has ended, or waits for a person. In a terminal the screen is drawn anew each time.
    #[arg(short, long, requires = "rollout")]
    pub watch: bool,
    /// With --watch: the longest to wait, such as 30m.
    #[arg(long, default_value = "2h", value_parser = span, requires = "watch")]
    pub timeout: std::time::Duration,
    /// Those of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "rollout")]
    pub all_namespaces: bool,
    /// Those with these labels.
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "rollout")]
    pub selector: Option<String>,
    /// Print the objects instead.
    #[arg(short, long, value_enum, conflicts_with = "watch")]
    pub output: Option<Output>,
}

/// The name of a Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub String);

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const KINDS: [&str; 4] = ["rollout", "rollouts", "oro", "rollouts.orchestra.cherry-ai.me"];
        let name = match text.split_once('/') {
            None => text,
            Some((kind, name)) if KINDS.contains(&kind.to_lowercase().as_str()) => name,
            Some((kind, _)) => return Err(format!("{kind} has no releases: name a Rollout, as NAME or rollout/NAME")),
        };
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        match !name.is_empty() && name.chars().all(is_name) {
            true => Ok(Self(name.to_string())),
            false => Err("a name has lowercase letters, digits, hyphens and dots".into()),
        }
    }
}

/// `90s`, `30m`, `2h`, or a number of seconds.
fn span(text: &str) -> Result<std::time::Duration, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let seconds: Option<u64> = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
    let longest = 366 * 24 * 3600;
    let span = seconds.filter(|seconds| *seconds <= longest).map(std::time::Duration::from_secs);
    span.ok_or_else(|| "a time is written 90s, 30m or 2h".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_are_read_as_people_write_them() {
        for text in ["api", "rollout/api", "oro/api", "rollouts.orchestra.cherry-ai.me/api"] {
            assert_eq!(text.parse::<Name>().unwrap().0, "api");
        }
        assert!("deployment/api".parse::<Name>().unwrap_err().contains("has no releases"));
        assert_eq!(span("30m").unwrap().as_secs(), 1800);
        assert!(span("soon").is_err() && span("ä").is_err() && span("99999999h").is_err());
    }

    #[test]
    fn the_command_line_is_one() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
