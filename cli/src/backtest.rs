//! `backtest`: what the analysis would have made of a recorded release. Nothing but files is read.

mod plot;
mod policy;
mod print;
mod trace;

use orchestra_planner::names::{ReleaseId, RevisionName};
use orchestra_planner::verdict::replay::{Recorded, Replay, replay};
use std::path::{Path, PathBuf};

pub use print::{as_text, report};

use crate::args::BacktestArgs;
use crate::error::CliError;
use policy::Policy;

/// What is judged where no revision has a name.
const UNNAMED: &str = "trace";

/// A record judged again.
pub struct Backtest {
    /// By what.
    pub policy: Policy,
    /// What was recorded.
    pub rows: Vec<Recorded>,
    /// What became of it.
    pub replay: Replay,
}

/// Judges a trace again, and draws it if asked.
///
/// # Errors
/// When a file can't be read, says something that can't be, or can't be written.
pub fn backtest(args: &BacktestArgs) -> Result<Backtest, CliError> {
    let rows = match args.trace.to_string_lossy().as_ref() {
        "-" => trace::read("-", std::io::stdin().lock())?,
        name => {
            let file = std::fs::File::open(&args.trace).map_err(|error| failed(&args.trace, &error))?;
            trace::read(name, file)?
        }
    };
    let policy = match &args.policy {
        Some(path) => Policy::read(path)?,
        None => Policy::default(),
    };
    let planned = policy.planned_minutes.unwrap_or_else(|| lasting(&rows));
    let revision = RevisionName::new(UNNAMED).map_err(|error| CliError::Offline(error.to_string()))?;
    let replay = replay(&rows, &policy.analysis, planned, ReleaseId { revision, number: 1 });
    let backtest = Backtest { policy, rows, replay };
    if let Some(path) = &args.plot {
        let drawn = plot::svg(&backtest)?;
        std::fs::write(path, drawn).map_err(|error| failed(path, &error))?;
    }
    Ok(backtest)
}

fn failed(path: &Path, error: &std::io::Error) -> CliError {
    CliError::File(PathBuf::from(path).display().to_string(), error.to_string())
}

/// How many minutes the candidate served.
fn lasting(rows: &[Recorded]) -> u32 {
    let served = || rows.iter().filter(|row| row.candidate.requests.total > 0).map(|row| row.minute);
    let minutes = served().max().zip(served().min()).map_or(0, |(last, first)| last - first + 1);
    u32::try_from(minutes).unwrap_or(u32::MAX)
}
