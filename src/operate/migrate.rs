//! `ddb-rollup migrate`: numbered changes of live data, applied in order and once.
//!
//! [`definition`] has the migrations of this build, [`history`] those that were applied. [`mod@decide`] compares them
//! and decides which to apply. A step applies one migration: `counter_maps`, `adoption`. There is no lock, because a
//! step is safe even when two operators run it at once.

use super::CommandOutcome;
use super::agreement::{Agreement, stream_of};
use super::args::{Pace, Shared};
use super::clock::now;
use super::commands::Commands;
use super::operator;
use super::repair::report::Mode;
use super::shell_option::option;
use super::stop::{Stop, until_stopped};

mod adoption;
mod counter_maps;
pub mod decide;
pub mod definition;
pub mod error;
pub mod history;
pub mod report;
pub mod steps;

use decide::decide;
use definition::{Migration, MigrationStep};
use error::MigrateError;
use history::History;
use report::{MigrationOutcome, MigrationReport, MigrationStatus};
use steps::{LiveTables, StepResult};

/// Apply the numbered changes of live data that this version brings, in order and once
///
/// Deploy the function of the same version first. If it is interrupted, run it again: it skips what is already done.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Show what would be changed, without changing it
    #[arg(long)]
    dry_run: bool,

    /// Who applies them, for the record [default: the user's name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    #[command(flatten)]
    pace: Pace,

    #[command(flatten)]
    agreement: Agreement,
}

impl Args {
    /// The same command without `--dry-run`.
    fn command(&self, shared: &Shared) -> String {
        let by = self.by.as_ref().map(|name| option("--by", name)).unwrap_or_default();
        let options = by + &self.pace.options() + self.agreement.options();
        Commands::of(shared).reading(options, String::new()).read("migrate")
    }
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// List migrations: which are applied, pending, edited or missing
    Status,
}

/// Applies migrations to the tables of a definition.
#[derive(Debug)]
pub struct Migrator {
    /// The migrations that were applied.
    pub history: History,
    /// The tables that are changed.
    pub tables: LiveTables,
    /// The migrations of this build.
    pub wanted: Vec<Migration>,
}

impl Migrator {
    /// The migrations of this build, for these tables.
    ///
    /// # Errors
    /// When a file of this build is not a valid migration.
    pub fn new(tables: LiveTables) -> Result<Self, MigrateError> {
        let history = History::new(tables.client.clone(), &tables.config);
        Ok(Self { history, tables, wanted: definition::shipped()? })
    }

    /// The state of every migration.
    ///
    /// # Errors
    /// When the idempotency table cannot be read.
    pub async fn status(&self) -> Result<MigrationStatus, MigrateError> {
        Ok(MigrationStatus::new(&self.history.applied().await?, &self.wanted))
    }

    /// Reports what would be applied, without writing.
    ///
    /// # Errors
    /// When the applied migrations do not match this build, or a table cannot be read.
    pub async fn dry_run(&self, report: &mut MigrationReport) -> Result<(), MigrateError> {
        for migration in decide(&self.history.applied().await?, &self.wanted)? {
            let result = self.step(migration, Mode::DryRun).await?;
            report.add(migration, MigrationOutcome::WouldApply, result);
        }
        Ok(())
    }

    /// Applies the pending migrations, and records each when it is complete. The report lists what was done, even if
    /// this returns an error.
    ///
    /// # Errors
    /// When the applied migrations do not match this build, a table cannot be read or written, or a stop was requested.
    pub async fn apply(&self, report: &mut MigrationReport, stop: &Stop) -> Result<(), MigrateError> {
        for migration in decide(&self.history.applied().await?, &self.wanted)? {
            let result = tokio::select! {
                biased;
                () = stop.wait() => return Err(MigrateError::Stopped { migration: migration.to_string() }),
                result = self.step(migration, Mode::Write) => result?,
            };
            if !result.left.is_empty() {
                report.add(migration, MigrationOutcome::Incomplete, result);
                return Ok(());
            }
            self.history.record(migration, &self.tables.who, now(), &result).await?;
            report.add(migration, MigrationOutcome::Applied, result);
        }
        Ok(())
    }

    /// Runs a step to its end, from where an earlier run stopped. Dropping the future is safe.
    async fn step(&self, migration: &Migration, mode: Mode) -> Result<StepResult, MigrateError> {
        let title = migration.to_string();
        match &migration.step {
            MigrationStep::CounterMapsOfViewItems {} => counter_maps::create(&self.tables, &title, mode).await,
            MigrationStep::CountersOfSourceItems {} => adoption::adopt(&self.tables, &title, mode).await,
        }
    }
}

/// Applies the migrations or shows their status, and writes the report.
///
/// # Errors
/// When the definitions differ, a table cannot be read or written, or a stop was requested.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, MigrateError> {
    let who = args.by.clone().unwrap_or_else(operator::user);
    let (sdk, config) = (shared.sdk().await, shared.config()?);
    if args.command.is_none() {
        let stream = stream_of(&sdk, config.definition.source_table()).await?;
        args.agreement.check(&sdk, &config, stream.as_deref()).await?;
    }
    let migrator = Migrator::new(LiveTables::new(sdk, config, args.pace.clone(), who))?;
    if let Some(Command::Status) = args.command {
        let status = migrator.status().await?;
        shared.write(&status.json(), &status)?;
        return Ok(CommandOutcome::found_unless(status.is_clean()));
    }
    let mut report = MigrationReport::new(args.dry_run, args.command(shared));
    let ended = if args.dry_run {
        migrator.dry_run(&mut report).await
    } else {
        until_stopped(async |stop| migrator.apply(&mut report, stop).await).await
    };
    // Migrations that were applied before an error are reported too. If there are none, the error is enough.
    if ended.is_ok() || !report.is_empty() {
        shared.write(&report.json(), &report)?;
    }
    ended?;
    Ok(CommandOutcome::found_unless(report.is_clean()))
}
