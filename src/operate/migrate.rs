//! `ddb-rollup migrate`: numbered changes of live data, applied in order and once.
//!
//! [`definition`] has what this build carries, [`history`] what was applied. [`mod@decide`] says from both what is to be
//! done, and a step does it: `counter_maps`, `adoption`. A step is safe when two operators do it at once, so nobody
//! keeps anybody out.

use super::CommandOutcome;
use super::agreement::{Agreement, stream_of};
use super::args::{Pace, Shared};
use super::clock::now;
use super::operator;
use super::repair::report::Mode;
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
/// Deploy the function of the same version first. If it is interrupted, run it again: it skips what is done.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Show what would be changed, and change nothing
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

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// List migrations: which are applied, pending, edited or missing
    Status,
}

/// Applies migrations to the tables of one view.
#[derive(Debug)]
pub struct Migrator {
    /// What was applied.
    pub history: History,
    /// What is changed.
    pub tables: LiveTables,
    /// What there is to apply.
    pub wanted: Vec<Migration>,
}

impl Migrator {
    /// What this build carries, for these tables.
    ///
    /// # Errors
    /// When a file of the build is not what the code knows.
    pub fn new(tables: LiveTables) -> Result<Self, MigrateError> {
        let history = History::new(tables.client.clone(), &tables.config);
        Ok(Self { history, tables, wanted: definition::shipped()? })
    }

    /// How every migration stands.
    ///
    /// # Errors
    /// When the idempotency table cannot be read.
    pub async fn status(&self) -> Result<MigrationStatus, MigrateError> {
        Ok(MigrationStatus::new(&self.history.applied().await?, &self.wanted))
    }

    /// Goes through what would be applied, and writes nothing.
    ///
    /// # Errors
    /// When something is wrong with what was applied, or a table cannot be read.
    pub async fn dry_run(&self, report: &mut MigrationReport) -> Result<(), MigrateError> {
        for migration in decide(&self.history.applied().await?, &self.wanted)? {
            let result = self.step(migration, Mode::DryRun).await?;
            report.add(migration, MigrationOutcome::WouldApply, result);
        }
        Ok(())
    }

    /// Applies what is pending, and records each migration when it is complete. The report has what was done also when it
    /// ends with an error.
    ///
    /// # Errors
    /// When something is wrong with what was applied, when a table cannot be read or written, or when it was asked to stop.
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

    /// Brings a step to its end, beginning where an earlier run broke off. Dropping it in the middle is safe.
    async fn step(&self, migration: &Migration, mode: Mode) -> Result<StepResult, MigrateError> {
        let title = migration.to_string();
        match &migration.step {
            MigrationStep::CounterMapsOfViewItems {} => counter_maps::create(&self.tables, &title, mode).await,
            MigrationStep::CountersOfSourceItems {} => adoption::adopt(&self.tables, &title, mode).await,
        }
    }
}

/// Applies, or tells how things stand, and writes the report.
///
/// # Errors
/// When it could not run to its end.
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
    let mut report = if args.dry_run { MigrationReport::of_dry_run() } else { MigrationReport::default() };
    let ended = if args.dry_run {
        migrator.dry_run(&mut report).await
    } else {
        until_stopped(async |stop| migrator.apply(&mut report, stop).await).await
    };
    // What was applied before an error is told too; where nothing was, the error says all.
    if ended.is_ok() || !report.is_empty() {
        shared.write(&report.json(), &report)?;
    }
    ended?;
    Ok(CommandOutcome::found_unless(report.is_clean()))
}
