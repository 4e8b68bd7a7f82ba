//! `kubectl orchestra`: shows releases, and asks them for something, bound to the release that is shown.

mod adopt;
mod args;
mod backtest;
mod cluster;
mod complete;
mod error;
mod events;
mod files;
mod graph;
mod kind;
mod lint;
mod offline;
mod outcome;
mod plan;
mod print;
mod report;
mod request;
mod screen;
mod time;
mod watch;
mod yaml;

use clap::{CommandFactory, Parser};
use serde_json::json;
use std::process::ExitCode;

use args::{AdoptArgs, BacktestArgs, Cli, Command, FileArgs, NameArgs, Output, PlanArgs, PlanOutput, StatusArgs};
use cluster::Cluster;
use error::CliError;
use outcome::Outcome;
use request::Verb;

/// Whoever read the output has gone away: as for a process that a shell ends by that signal.
const UNREAD: u8 = 141;
/// Something could not be asked, or was asked in a way that can't be read.
const NOT_ASKED: u8 = 4;
/// A backtest's input can't be read.
const BAD_INPUT: u8 = 2;

async fn ask(cluster: &Cluster, verb: Verb, args: &NameArgs) -> Result<(), CliError> {
    let name = &args.rollout.0;
    let asked = request::annotation(verb, &cluster.rollout(name).await?)?;
    cluster.ask(name, asked.request, asked.value.as_deref()).await?;
    match args.output {
        Some(output) => print::objects(&[cluster.rollout(name).await?], true, output),
        None => print::lines(&[format!("rollout/{name} {}", asked.said)]),
    }
}

async fn restart(cluster: &Cluster, args: &NameArgs) -> Result<(), CliError> {
    let name = &args.rollout.0;
    let rollout = cluster.rollout(name).await?;
    let status = rollout.status.clone().unwrap_or_default();
    let why = if rollout.spec.traffic_only {
        Some("others deploy its revisions (spec.trafficOnly): deploy the same again")
    } else if status.held.is_some() {
        Some("a person went back from the template, and a restart would release it: change the template instead")
    } else if !status.latches.is_empty() {
        Some("what the template says has failed: kubectl orchestra retry tries it again")
    } else {
        None
    };
    if let Some(why) = why {
        return Err(CliError::NothingTo(name.clone(), why));
    }
    cluster.restart(name, cluster.clock().await?.now()).await?;
    match args.output {
        Some(output) => print::objects(&[cluster.rollout(name).await?], true, output),
        None => print::lines(&[format!("rollout/{name} restarting: the same template is released as a new revision")]),
    }
}

async fn status(cluster: &Cluster, args: &StatusArgs) -> Result<ExitCode, CliError> {
    let Some(name) = args.rollout.as_ref().map(|name| name.0.as_str()) else {
        let rollouts = cluster.list(args).await?;
        match args.output {
            Some(output) => print::objects(&rollouts, false, output)?,
            None if rollouts.is_empty() => {
                let place = if args.all_namespaces { "the cluster" } else { &cluster.namespace };
                print::lines(&[format!("no Rollouts in {place}")])?
            }
            None => print::lines(&screen::table(&rollouts, args.all_namespaces))?,
        }
        return Ok(ExitCode::SUCCESS);
    };
    if args.watch {
        return Ok(watch::to_the_end(cluster, name, args.timeout).await?.exit_code());
    }
    let rollout = cluster.rollout(name).await?;
    match args.output {
        Some(output) => print::objects(std::slice::from_ref(&rollout), true, output)?,
        None => print::lines(&watch::shown(cluster, &rollout).await)?,
    }
    Ok(Outcome::of(&rollout).exit_code())
}

/// Nothing would be written, and nothing goes on without a person.
const ASKS: u8 = 2;

/// As of diff: whether there is any.
fn told(is_any: bool) -> ExitCode {
    ExitCode::from(u8::from(is_any))
}

fn lint(args: &FileArgs) -> Result<ExitCode, CliError> {
    let (wrong, looked_at) = lint::lint(args)?;
    print::lines(&wrong)?;
    if wrong.is_empty() {
        let all = if looked_at == 1 {
            "1 object: nothing is wrong with it".into()
        } else {
            format!("{looked_at} objects: nothing is wrong with them")
        };
        print::lines(&[all])?;
    }
    Ok(told(!wrong.is_empty()))
}

async fn plan(cluster: &Cluster, args: &PlanArgs) -> Result<ExitCode, CliError> {
    let planned = plan::plan(cluster, args).await?;
    match args.output {
        None => print::lines(&plan::as_text(&planned))?,
        Some(PlanOutput::Markdown) => print::lines(&plan::as_markdown(&planned))?,
        Some(PlanOutput::Json) => print::object(&planned, Output::Json)?,
        Some(PlanOutput::Yaml) => print::object(&planned, Output::Yaml)?,
    }
    let (changes, asks) = (planned.iter().any(plan::Planned::changes), planned.iter().any(|plan| plan.is_stalled));
    Ok(if !changes && asks { ExitCode::from(ASKS) } else { told(changes) })
}

async fn backtest(args: &BacktestArgs) -> Result<(), CliError> {
    let judged = backtest::backtest(args).await?;
    match args.output {
        Some(output) => print::object(&backtest::printed(&judged), output),
        None => print::lines(&backtest::as_text(&judged)),
    }
}

async fn adopt(args: &AdoptArgs, namespace: Option<&str>) -> Result<(), CliError> {
    let adopted = adopt::adopt(args, namespace).await?;
    match args.output {
        Output::Json => {
            print::object(&json!({"apiVersion": "v1", "kind": "List", "items": adopted.objects}), Output::Json)
        }
        Output::Yaml => print::text(&adopt::as_yaml(&adopted)),
    }
}

async fn graph(cluster: &Cluster, name: Option<&str>, all_namespaces: bool) -> Result<(), CliError> {
    let rollouts = match name {
        Some(name) => vec![cluster.rollout(name).await?],
        None => cluster.list(&StatusArgs { all_namespaces, ..StatusArgs::default() }).await?,
    };
    print::lines(&graph::mermaid(&rollouts))
}

async fn history(cluster: &Cluster, args: &NameArgs) -> Result<(), CliError> {
    let rollout = cluster.rollout(&args.rollout.0).await?;
    let Some(output) = args.output else { return print::lines(&screen::history(&rollout)) };
    let status = rollout.status.unwrap_or_default();
    print::object(&json!({"history": status.history, "promoted": status.promoted}), output)
}

async fn events(cluster: &Cluster, args: &NameArgs) -> Result<(), CliError> {
    let events = cluster.events(&cluster.rollout(&args.rollout.0).await?).await?;
    match args.output {
        Some(output) => print::object(&json!({"apiVersion": "v1", "kind": "List", "items": events}), output),
        None => print::lines(&events::lines(&events)),
    }
}

async fn run(cli: Cli) -> Result<ExitCode, CliError> {
    match &cli.command {
        Command::Lint(args) => return lint(args),
        Command::Backtest(args) => return backtest_code(backtest(args).await),
        Command::Adopt(args) => adopt(args, cli.cluster.namespace.as_deref()).await?,
        Command::Complete { words } => print::lines(&complete::candidates(words).await)?,
        Command::Completion { shell } => {
            let mut script = vec![];
            clap_complete::generate(*shell, &mut Cli::command(), "kubectl-orchestra", &mut script);
            print::text(&String::from_utf8_lossy(&script))?;
        }
        Command::Version => print::lines(&[format!("kubectl-orchestra {}", env!("CARGO_PKG_VERSION"))])?,
        of_cluster => return run_on(&Cluster::connect(&cli.cluster).await?, of_cluster).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Of a backtest: whatever is wrong with it is wrong with its input.
fn backtest_code(done: Result<(), CliError>) -> Result<ExitCode, CliError> {
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.is_unread() => Err(error),
        Err(error) => {
            say(&error);
            Ok(ExitCode::from(BAD_INPUT))
        }
    }
}

fn say(error: &CliError) {
    eprintln!("kubectl orchestra: {}", print::harmless(&error.to_string()));
}

/// What needs a cluster.
async fn run_on(cluster: &Cluster, command: &Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Plan(args) => return plan(cluster, args).await,
        Command::Status(args) => return status(cluster, args).await,
        Command::Graph { rollout, all_namespaces } => {
            graph(cluster, rollout.as_ref().map(|name| name.0.as_str()), *all_namespaces).await?
        }
        Command::Report(args) => {
            let report = report::report(cluster, &args.rollout.0).await?;
            print::object(&report, args.output.unwrap_or(Output::Yaml))?;
        }
        Command::History(args) => history(cluster, args).await?,
        Command::Events(args) => events(cluster, args).await?,
        Command::Promote(args) => ask(cluster, Verb::Promote, args).await?,
        Command::Pause(args) => ask(cluster, Verb::Pause, args).await?,
        Command::Resume(args) => ask(cluster, Verb::Resume, args).await?,
        Command::Abort(args) => ask(cluster, Verb::Abort, args).await?,
        Command::Retry(args) => ask(cluster, Verb::Retry, args).await?,
        Command::Restart(args) => restart(cluster, args).await?,
        Command::Undo(args) => ask(cluster, Verb::Undo { to: args.to.clone() }, &args.of).await?,
        Command::Lint(_)
        | Command::Adopt(_)
        | Command::Backtest(_)
        | Command::Completion { .. }
        | Command::Complete { .. }
        | Command::Version => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// What the process does.
pub async fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("kubectl orchestra: a TLS provider is installed already");
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_backtest = std::env::args().nth(1).is_some_and(|verb| verb == "backtest");
            let wrong = if is_backtest { BAD_INPUT } else { NOT_ASKED };
            let code = if error.use_stderr() { ExitCode::from(wrong) } else { ExitCode::SUCCESS };
            // Where nobody reads it, nothing can be said about it.
            let _ = error.print();
            return code;
        }
    };
    match run(cli).await {
        Ok(code) => code,
        Err(error) if error.is_unread() => ExitCode::from(UNREAD),
        Err(error) => {
            say(&error);
            ExitCode::from(NOT_ASKED)
        }
    }
}
