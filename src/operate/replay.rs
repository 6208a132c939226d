//! `ddb-rollup replay`: records that Lambda gave up on, through the ordinary commit path.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use aws_config::SdkConfig;
use chrono::Utc;
use serde_json::{Value, json};

use super::Ending;
use super::args::Shared;
use super::audit::{self, AuditError, Pace, Reading};
use super::stop::{Stop, until_stopped};
use crate::config::{ConfigError, endpoint};
use crate::handler::InvocationError;

pub mod apply;
pub mod document;
pub mod queue;
pub mod stream;

use apply::{Applied, Applier};
use document::Document;
use queue::Queue;

/// Apply records again that Lambda gave up on, or that quarantine holds; nothing counts twice
///
/// A record that was counted before is found by its marker and left alone. One that is in quarantine is counted if it can
/// be by now.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true))]
pub struct Args {
    /// Failure queue: each message points at records, which are read from the stream; a message is deleted once its
    /// records are dealt with
    #[arg(long, value_name = "URL", group = "source", value_parser = queue)]
    pub from_queue: Option<String>,

    /// File with what a failure destination in S3 holds, an event, a list of records, or a line for each of these
    #[arg(long, value_name = "FILE", group = "source")]
    pub from_file: Option<PathBuf>,

    /// Everything that the source table's stream still holds
    #[arg(long, group = "source")]
    pub from_stream: bool,

    /// Seconds within which a write is taken to appear in the stream, when records are gone and a recount must tell whose
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = audit::seconds)]
    pub settle: Duration,
}

fn queue(text: &str) -> Result<String, String> {
    endpoint(text).map_err(|_| "accepted is the queue's URL, as the stack's output FailureQueueUrl has it".to_owned())
}

/// Why a replay could not run to its end. What it had applied by then stays applied; run it again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A setting of the environment.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file.
    #[error("cannot read {file}: {cause}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The queue.
    #[error("cannot {action} the queue {url}: {cause}")]
    Queue {
        /// What was tried.
        action: &'static str,
        /// The queue.
        url: String,
        /// What the service said.
        cause: String,
    },
    /// The stream.
    #[error(transparent)]
    Stream(#[from] super::stream::StreamError),
    /// The source table has no stream, or cannot be seen.
    #[error("cannot find the stream of the table {table}: {cause}")]
    NoStream {
        /// The table.
        table: String,
        /// What is wrong.
        cause: String,
    },
    /// The records cannot be applied at all.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// Looking for the view items that records which are gone belong to.
    #[error("cannot tell the view items to repair: {0}")]
    Audit(#[from] Box<AuditError>),
    /// Output, or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The records.
    pub applied: Applied,
    /// Records that failure messages point at and that no stream holds any more.
    pub gone: Vec<Gone>,
    /// The view items that differ from a recount, when records are gone: those are to be repaired.
    pub to_repair: Vec<Value>,
    /// Messages that are none of a failure destination; they stay in the queue.
    pub foreign: usize,
}

/// Records that a failure message points at and that the stream does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The message's place and range.
    pub document: Document,
    /// How many of its records are gone.
    pub records: usize,
}

impl Report {
    /// Whether there is something left for an operator to do.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.gone.is_empty() && self.foreign == 0 && self.applied.quarantined == 0 && self.applied.unresolved == 0
    }

    /// Writes the report to standard output.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn write(&self, as_json: bool) -> io::Result<()> {
        if as_json { writeln!(io::stdout(), "{}", self.json()) } else { write!(io::stdout(), "{self}") }
    }

    /// The report as an object.
    #[must_use]
    pub fn json(&self) -> Value {
        let Applied { read, applied, duplicates, no_effect, quarantined, unresolved } = self.applied;
        let gone = self.gone.iter().map(|gone| {
            json!({
                "stream": gone.document.stream,
                "shard": gone.document.shard,
                "start_sequence_number": gone.document.first,
                "end_sequence_number": gone.document.last,
                "records": gone.records,
            })
        });
        json!({
            "read": read,
            "applied": applied,
            "duplicates": duplicates,
            "no_effect": no_effect,
            "quarantined": quarantined,
            "unresolved": unresolved,
            "gone": gone.collect::<Vec<_>>(),
            "view_items_to_repair": self.to_repair,
            "foreign_messages": self.foreign,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Applied { read, applied, duplicates, no_effect, quarantined, unresolved } = self.applied;
        writeln!(f, "{read} records read: {applied} applied, {duplicates} duplicates, {no_effect} without an effect")?;
        if quarantined > 0 {
            writeln!(f, "{quarantined} in quarantine: see `ddb-rollup quarantine list`")?;
        }
        if unresolved > 0 {
            writeln!(f, "{unresolved} not dealt with: run the replay again")?;
        }
        for gone in &self.gone {
            let Document { first, last, shard, from, until, .. } = &gone.document;
            writeln!(
                f,
                "{} records are gone from the stream: {first} to {last} of {shard}, written between {from} and {until}",
                gone.records,
            )?;
        }
        if !self.gone.is_empty() {
            let keys = self.to_repair.iter().map(|key| key.as_str().map_or_else(|| key.to_string(), str::to_owned));
            let keys = keys.collect::<Vec<_>>().join(", ");
            if keys.is_empty() {
                writeln!(f, "no view item differs from a recount: nothing is to be repaired")?;
            } else {
                writeln!(f, "to be repaired, by `ddb-rollup repair`: {keys}")?;
            }
        }
        if self.foreign > 0 {
            writeln!(f, "{} messages are none of a failure destination; they were left in the queue", self.foreign)?;
        }
        Ok(())
    }
}

/// Replays, and writes the report.
///
/// # Errors
/// When it could not run to its end.
pub async fn run(shared: &Shared, args: &Args) -> Result<Ending, ReplayError> {
    let sdk = shared.sdk().await;
    let mut applier = Applier::new(shared.config()?, &sdk);
    let mut report = Report::default();
    // What was begun is brought to its end, so that no message is deleted before its records are dealt with.
    let ended = until_stopped(async |stop| {
        read_and_apply(shared, args, &sdk, &mut applier, &mut report, stop).await?;
        if !report.gone.is_empty() {
            // The pointers do not tell the view items; a recount does.
            let reading = Reading { pace: Pace { settle: args.settle, ..Pace::default() }, ..Reading::default() };
            let audit = Box::pin(audit::audit(&sdk, shared.config()?, &reading, stop)).await;
            report.to_repair = audit.map_err(Box::new)?.drifted_keys();
        }
        Ok::<_, ReplayError>(())
    })
    .await;
    report.applied = applier.applied;
    report.write(shared.json)?;
    ended?;
    Ok(Ending::found_unless(report.is_clean()))
}

async fn read_and_apply(
    shared: &Shared,
    args: &Args,
    sdk: &SdkConfig,
    applier: &mut Applier,
    report: &mut Report,
    stop: &Stop,
) -> Result<(), ReplayError> {
    match (&args.from_file, &args.from_queue) {
        (Some(file), _) => from_file(file, applier).await,
        (_, Some(url)) => queue::drain(&Queue::new(sdk, url), &stream::Reader::new(sdk), applier, report, stop).await,
        (None, None) => stream::everything(sdk, &shared.tables().source, applier, stop).await,
    }
}

async fn from_file(file: &PathBuf, applier: &mut Applier) -> Result<(), ReplayError> {
    let refuse = |cause: String| ReplayError::File { file: file.clone(), cause };
    let text = tokio::fs::read_to_string(file).await.map_err(|error| refuse(error.to_string()))?;
    let records = document::records(&text).map_err(refuse)?;
    applier.apply(&records).await
}

/// How long one batch of a replay may take.
pub const BATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// The time of day, for the commands.
pub(super) fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}
