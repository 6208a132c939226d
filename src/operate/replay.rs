//! `ddb-rollup replay`: applies records that Lambda gave up on, by the same path as the function.
//!
//! The records come from the failure [`queue`], from a file of [`document`]s, or from the [`stream`]; [`report`] is the
//! result.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

use super::CommandOutcome;
use super::agreement::{Agreement, stream_of};
use super::apply::Applier;
use super::args::{self, Pace, Shared};
use super::audit::{AuditScope, audit};
use super::commands::Commands;
use super::repair_starts::{RecordsFrom, RepairStarts};
use super::stop::{Stop, until_stopped};

pub mod document;
pub mod error;
pub mod queue;
pub mod range;
pub mod report;
pub mod stream;

use error::ReplayError;
use queue::Queue;
use report::{ReplayReport, ReplayText};

/// Apply records again that Lambda gave up on, or that quarantine holds; nothing counts twice
///
/// A record that was counted before has a marker and is not counted again. A record in quarantine is counted if its
/// cause is fixed.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true))]
pub struct Args {
    /// Failure queue: each message points at records, which are read from the stream; a message is deleted once its
    /// records are processed
    #[arg(long, value_name = "URL", group = "source", value_parser = args::queue)]
    pub from_queue: Option<String>,

    /// With --from-queue: also delete the messages whose records are gone from the stream, if a recount finds no view item to
    /// repair
    #[arg(long, conflicts_with_all = ["from_file", "from_stream"])]
    pub forget_gone: bool,

    /// File with an object of a failure destination in S3, an event, a list of records, or one of these per line
    #[arg(long, value_name = "FILE", group = "source")]
    pub from_file: Option<PathBuf>,

    /// With --from-file: count records that do not say when they were created. Only for records that are newer than the
    /// retention of the markers: an older one may be counted twice
    #[arg(long, conflicts_with_all = ["from_queue", "from_stream"])]
    pub assume_recent: bool,

    /// Everything that the source table's stream still holds
    #[arg(long, group = "source")]
    pub from_stream: bool,

    /// How long to wait for a write to reach the stream, if records are gone and a recount must find their view items
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = args::seconds)]
    pub settle: Duration,

    /// How to treat a function that counts under another definition.
    #[command(flatten)]
    pub agreement: Agreement,
}

/// Runs the replay and writes the report.
///
/// # Errors
/// When the replay could not be completed.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, ReplayError> {
    let sdk = shared.sdk().await;
    let config = shared.config()?;
    // A file that cannot be read is reported before any request is sent.
    let records = args.from_file.as_deref().map(|file| records_of(file, args.assume_recent)).transpose()?;
    let stream = stream_of(&sdk, config.definition.source_table()).await?;
    args.agreement.check(&sdk, &config, stream.as_deref()).await?;
    let source_table = config.definition.source_table().to_owned();
    let client = Client::new(&sdk);
    let starts = RepairStarts::read(&client, &config).await?;
    let (applier, report) = (Applier::new(config.clone(), &sdk), ReplayReport::default());
    let mut replayer = Replayer { starts, applier, report };
    // A stop waits for the current step, so that no message is deleted before its records are processed.
    let ended = until_stopped(async |stop| match (records, &args.from_queue) {
        (Some(records), _) => replayer.apply(records, RecordsFrom::Elsewhere).await,
        (_, Some(url)) => {
            let mut queue = Queue::new(&sdk, url, &source_table);
            let ended = drain(shared, args, &sdk, &mut queue, &mut replayer, stop).await;
            queue.give_back().await;
            ended
        }
        (None, None) => stream::apply_all(&sdk, &shared.tables().source, args.settle, &mut replayer, stop).await,
    })
    .await;
    let Replayer { applier, mut report, .. } = replayer;
    report.applied = applier.counts;
    shared.write(&report.json(), &ReplayText { report: &report, commands: &Commands::of(shared) })?;
    ended?;
    Ok(CommandOutcome::found_unless(report.is_clean()))
}

/// Applies the records that no repair has counted.
pub struct Replayer<'a> {
    starts: RepairStarts<'a>,
    applier: Applier,
    report: ReplayReport,
}

impl Replayer<'_> {
    async fn apply(&mut self, records: Vec<String>, from: RecordsFrom) -> Result<(), ReplayError> {
        let mut divided = self.starts.divide(records, from).await?;
        self.applier.counts.read += divided.refused.len();
        self.report.refused.append(&mut divided.refused);
        Ok(self.applier.apply(&divided.applicable).await?)
    }

    /// Number of records that are not resolved.
    fn left(&self) -> usize {
        self.report.refused.len() + self.applier.counts.unresolved
    }
}

async fn drain(
    shared: &Shared,
    args: &Args,
    sdk: &SdkConfig,
    queue: &mut Queue,
    replayer: &mut Replayer<'_>,
    stop: &Stop,
) -> Result<(), ReplayError> {
    queue.drain(replayer, stop).await?;
    let report = &mut replayer.report;
    if report.gone.is_empty() {
        return Ok(());
    }
    // The messages do not name the view items, so a recount must find those to repair.
    let pace = Pace { settle: args.settle, ..Pace::default() };
    let scope = AuditScope { pace, agreement: args.agreement, ..AuditScope::default() };
    let audit = Box::pin(audit(sdk, shared.config()?, &scope, stop)).await.map_err(Box::new)?;
    report.to_repair = audit.drifted_keys();
    if args.forget_gone && report.to_repair.is_empty() && audit.unstable.is_empty() {
        queue.forget_gone(report).await?;
    }
    Ok(())
}

fn records_of(file: &Path, assume_recent: bool) -> Result<Vec<String>, ReplayError> {
    let refuse = |cause: String| ReplayError::File { file: file.to_owned(), cause };
    let text = std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let records = document::records(&text).map_err(refuse)?;
    let undated = document::undated(&records);
    if undated > 0 && !assume_recent {
        return Err(ReplayError::Undated { file: file.to_owned(), undated, records: records.len() });
    }
    Ok(records)
}
