//! `ddb-rollup migrate`: numbered changes of live data, applied in order and once.
//!
//! [`definition`] has what this build carries, [`history`] what was applied. [`mod@decide`] says from both what is to be
//! done, and [`steps`] do it, under a [`lease`] that one operator holds.

use std::io;
use std::time::Duration;

use aws_config::SdkConfig;
use serde_json::json;

use super::args::Shared;
use super::audit::{AuditError, Pace};
use super::replay::now;
use super::stop::{Stop, until_stopped};
use super::{Ending, TableError};
use crate::commit::Randomness;
use crate::config::ConfigError;
use crate::randomness::OsRandomness;

mod adoption;
pub mod client;
pub mod decide;
pub mod definition;
pub mod history;
pub mod lease;
mod markers;
pub mod progress;
pub mod report;
pub mod steps;
mod views;

use decide::{Refusal, decide};
use definition::{FileError, Migration};
use history::History;
use lease::{Held, Lease};
use report::{Outcome, Report, Status};
use steps::{Live, Mode, Steps};

/// Apply the numbered changes of live data that this version brings, in order and once
///
/// Deploy the function of the same version first. The work can be interrupted and run again: what is done is found done.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Tell what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Who applies them, for the record [default: the user's name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    #[command(flatten)]
    pace: Pace,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// List migrations: which are applied, pending, edited or missing
    Status,
}

/// Why migrations could not be applied. What was changed by then stays changed, and is found done by the next run.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A setting of the environment.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A migration of this build.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was applied does not fit to what this build has.
    #[error("nothing can be applied: {0}")]
    Refused(#[from] Refusal),
    /// Another operator is at it.
    #[error(
        "{} is applying migrations and holds the lease until {}, longer while the work goes on. Wait for the end of it. If \
         that run is dead, the lease runs out by itself: run this again after {}",
        .0.holder, .0.ends_at, .0.free_at()
    )]
    Held(Held),
    /// Another operator was at it until this moment.
    #[error("another run gave the migration lease back at this moment; run this again")]
    JustReleased,
    /// Another operator has the lease now.
    #[error(
        "the migration lease was lost to another run, so the migration was not recorded as applied by this one; look at \
         `ddb-rollup migrate status`, and run this again"
    )]
    Lost,
    /// The operator asked for it.
    #[error("stopped before {migration} was complete; run this again to go on: what is done is found done")]
    Stopped {
        /// What was being applied.
        migration: String,
    },
    /// Markers without a format version keep coming.
    #[error(
        "markers without a format version keep coming into the table {table}: a function of an earlier version still writes \
         them. Deploy this version's function, then run this again"
    )]
    OlderFunction {
        /// The idempotency table.
        table: String,
    },
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Counting source items.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Output, or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Applies migrations to the tables of one view.
#[derive(Debug)]
pub struct Migrator<S, E> {
    /// What was applied.
    pub history: History,
    /// What does the work.
    pub steps: S,
    /// What there is to apply.
    pub wanted: Vec<Migration>,
    /// Where the lease's tokens come from.
    pub randomness: E,
    /// Who applies them.
    pub who: String,
    /// How long the lease lasts when it is not renewed.
    pub term: Duration,
}

impl<S: Steps, E: Randomness> Migrator<S, E> {
    /// How every migration stands.
    ///
    /// # Errors
    /// When the idempotency table cannot be read.
    pub async fn status(&self) -> Result<Status, MigrateError> {
        let applied = self.history.applied().await?;
        let held = lease::holder(&self.history, now()).await?;
        Ok(Status::new(&applied, &self.wanted, held))
    }

    /// Goes through what would be applied, and writes nothing.
    ///
    /// # Errors
    /// When something is wrong with what was applied, or a table cannot be read.
    pub async fn dry_run(&self, report: &mut Report) -> Result<(), MigrateError> {
        let applied = self.history.applied().await?;
        for migration in decide(&applied, &self.wanted)? {
            let did = self.steps.run(migration, Mode::DryRun).await?;
            report.add(migration, Outcome::WouldApply, did);
        }
        Ok(())
    }

    /// Applies what is pending, under the lease, and records each migration when it is complete. The report has what was
    /// done also when it ends with an error.
    ///
    /// # Errors
    /// When something is wrong with what was applied, when another operator holds the lease, when a table cannot be read
    /// or written, or when it was asked to stop.
    pub async fn apply(&self, report: &mut Report, stop: &Stop) -> Result<(), MigrateError> {
        // Most runs find nothing to do, and need no right to write.
        if decide(&self.history.applied().await?, &self.wanted)?.is_empty() {
            return Ok(());
        }
        let mut lease = Lease::take(&self.history, &self.who, self.term, &self.randomness, now()).await?;
        let ended = self.under(&mut lease, report, stop).await;
        lease.release().await;
        ended
    }

    async fn under(&self, lease: &mut Lease<'_>, report: &mut Report, stop: &Stop) -> Result<(), MigrateError> {
        // Read again: whoever held the lease until now has applied something.
        let applied = self.history.applied().await?;
        for migration in decide(&applied, &self.wanted)? {
            let did = tokio::select! {
                biased;
                () = stop.wait() => return Err(MigrateError::Stopped { migration: migration.to_string() }),
                error = lease.keep() => return Err(error),
                did = self.steps.run(migration, Mode::Apply) => did?,
            };
            if !did.left.is_empty() {
                report.add(migration, Outcome::Incomplete, did);
                return Ok(());
            }
            self.history.record(lease, migration, (&self.who, now()), &did).await?;
            report.add(migration, Outcome::Applied, did);
        }
        Ok(())
    }
}

/// Applies, or tells how things stand, and writes the report.
///
/// # Errors
/// When it could not run to its end.
pub async fn run(shared: &Shared, args: &Args) -> Result<Ending, MigrateError> {
    let sdk: SdkConfig = shared.sdk().await;
    let config = shared.config()?;
    let client = client::patient(&sdk);
    let who = args.by.clone().unwrap_or_else(user);
    let migrator = Migrator {
        history: History::new(client.clone(), &config),
        steps: Live { client, sdk, config, pace: args.pace.clone(), who: who.clone() },
        wanted: definition::shipped()?,
        randomness: OsRandomness,
        who,
        term: lease::TERM,
    };
    if let Some(Command::Status) = args.command {
        let status = migrator.status().await?;
        report::write(shared.json, &status.json(), &status)?;
        return Ok(Ending::found_unless(status.is_clean()));
    }
    let mut report = Report::default();
    let ended = if args.dry_run {
        migrator.dry_run(&mut report).await
    } else {
        // Told to stop, it gives the lease back.
        until_stopped(async |stop| migrator.apply(&mut report, stop).await).await
    };
    match ended {
        Ok(()) => {
            report::write(shared.json, &json!({ "dry_run": args.dry_run, "migrations": report.json() }), &report)?;
            Ok(Ending::found_unless(report.is_clean()))
        }
        Err(error) => {
            // What was applied before the error is told too; where nothing was, the error says all.
            if !report.is_empty() {
                report::write(shared.json, &json!({ "dry_run": args.dry_run, "migrations": report.json() }), &report)?;
            }
            Err(error)
        }
    }
}

/// The user's name as the system's shell has it.
fn user() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}
