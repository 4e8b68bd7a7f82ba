//! `backtest`: what the analysis would have made of recorded releases.

mod monitored;
mod plot;
mod policy;
mod print;
mod trace;

use orchestra_planner::names::{ReleaseId, RevisionName};
use orchestra_planner::verdict::replay::{Recorded, Replay, replay};
use std::path::Path;

pub use print::{as_text, printed};

use crate::args::BacktestArgs;
use crate::error::CliError;
use monitored::Release;
use policy::Policy;

/// What is judged where no revision has a name.
const UNNAMED: &str = "trace";

/// A record judged again.
pub struct Backtest {
    /// Whose it is; none: a trace does not say.
    pub release: Option<Release>,
    /// By what.
    pub policy: Policy,
    /// What was recorded.
    pub rows: Vec<Recorded>,
    /// What became of it.
    pub replay: Replay,
}

/// Judges records again, and draws a trace if asked.
///
/// # Errors
/// When a file can't be read, says something that can't be, or can't be written; when Cloud Monitoring can't be asked.
pub async fn backtest(args: &BacktestArgs) -> Result<Vec<Backtest>, CliError> {
    let policy = match &args.policy {
        Some(path) => Policy::read(path)?,
        None => Policy::default(),
    };
    if let Some(service) = &args.monitored.service {
        let found = monitored::releases(service, &args.monitored).await?;
        return found.into_iter().map(|(release, rows)| judge(Some(release), policy.clone(), rows)).collect();
    }
    let rows = match &args.trace {
        Some(path) if path.as_os_str() != "-" => {
            let file = std::fs::File::open(path).map_err(|error| failed(path, &error))?;
            trace::read(&path.display().to_string(), file)?
        }
        _ => trace::read("-", std::io::stdin().lock())?,
    };
    let judged = judge(None, policy, rows)?;
    if let Some(path) = &args.plot {
        let drawn = plot::svg(&judged)?;
        std::fs::write(path, drawn).map_err(|error| failed(path, &error))?;
    }
    Ok(vec![judged])
}

fn judge(release: Option<Release>, policy: Policy, rows: Vec<Recorded>) -> Result<Backtest, CliError> {
    let planned = policy.planned_minutes.unwrap_or_else(|| lasting(&rows));
    let revision = match &release {
        Some(release) => release.candidate.clone(),
        None => RevisionName::new(UNNAMED).map_err(|error| CliError::Offline(error.to_string()))?,
    };
    let replay = replay(&rows, &policy.analysis, planned, ReleaseId { revision, number: 1 });
    Ok(Backtest { release, policy, rows, replay })
}

fn failed(path: &Path, error: &std::io::Error) -> CliError {
    CliError::File(path.display().to_string(), error.to_string())
}

/// How many minutes the candidate served.
fn lasting(rows: &[Recorded]) -> u32 {
    let served = || rows.iter().filter(|row| row.candidate.requests.total > 0).map(|row| row.minute);
    let minutes = served().max().zip(served().min()).map_or(0, |(last, first)| last - first + 1);
    u32::try_from(minutes).unwrap_or(u32::MAX)
}
