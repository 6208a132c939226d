//! The operator's command: parses, dispatches, and ends with the exit code.
//!
//! 0 is that everything is as it should be, 1 that something was found, 2 that the command could not run.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ddb_rollup::operate::args::Shared;
use ddb_rollup::operate::printable::printable_lines;
use ddb_rollup::operate::{
    CommandOutcome, audit, deploy_check, local, migrate, quarantine, repair, replay, terminal, view,
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Exactly-once roll-ups for DynamoDB: run, audit and repair them
#[derive(Debug, Parser)]
#[command(name = "ddb-rollup", version)]
struct Cli {
    #[command(flatten)]
    shared: Shared,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Local(local::Args),
    Audit(audit::Args),
    Repair(repair::Args),
    Migrate(migrate::Args),
    Replay(replay::Args),
    Quarantine(quarantine::Args),
    DeployCheck(deploy_check::Args),
    View(view::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            // When standard error is closed too, the exit code is all that is left.
            let text = format!("error: {}", printable_lines(format_args!("{error:#}")));
            let _ = writeln!(io::stderr(), "{}", terminal::wrapped(&text, terminal::columns(io::stderr())));
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let ending = match &cli.command {
            Command::Local(args) => Box::pin(local::run(&cli.shared, args)).await?,
            Command::Audit(args) => Box::pin(audit::run(&cli.shared, args)).await?,
            Command::Repair(args) => Box::pin(repair::run(&cli.shared, args)).await?,
            Command::Migrate(args) => Box::pin(migrate::run(&cli.shared, args)).await?,
            Command::Replay(args) => Box::pin(replay::run(&cli.shared, args)).await?,
            Command::Quarantine(args) => quarantine::run(&cli.shared, args).await?,
            Command::View(args) => view::run(&cli.shared, args).await?,
            Command::DeployCheck(args) => Box::pin(deploy_check::run(&cli.shared, args)).await?,
        };
        Ok(match ending {
            CommandOutcome::Clean => ExitCode::SUCCESS,
            CommandOutcome::Found => ExitCode::from(1),
        })
    })
}

/// Lines for people on standard error; `RUST_LOG` says which, as `LEVEL` or `TARGET=LEVEL,...`. The engine warns of every
/// refused request, and to be refused is how a duplicate is found.
fn log_to_stderr() {
    let wanted = env::var("RUST_LOG").ok().and_then(|targets| targets.parse::<Targets>().ok());
    let targets = wanted
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN).with_target("dynoxide", LevelFilter::ERROR));
    let colours = terminal::has_colours(&io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colours).with_target(false);
    tracing_subscriber::registry().with(targets).with(lines).init();
}
