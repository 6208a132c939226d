//! `ddb-rollup quarantine`: lists, replays or discards the records that could not be applied.

use std::fmt::{self, Display};
use std::io::{self, Write};

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

mod entries;
pub mod filter;

use entries::Entries;
use filter::Filter;

use super::CommandOutcome;
use super::apply::Applier;
use super::args::Shared;
use super::clock::{days_later, now};
use super::commands::Commands;
use super::error::{TableError, failure_text};
use super::marker_table::{attribute_text, marker_key};
use super::printable::{counted, printable};
use super::record_parts::RecordParts;
use super::repair_starts::{RefusedRecord, RepairStarts};
use super::replay::report::{ReplayReport, ReplayText};
use super::terminal;
use crate::config::{Config, ConfigError};
use crate::handler::InvocationError;
use crate::rollup::Item;
use crate::rollup::model::kept_record::{kept_record, part_count};
use crate::rollup::model::marker::{MarkerOutcome, OUTCOME, REASON, RECORDED_AT};
use crate::rollup::model::poison::{EXPIRED, TAKEN, can_be_applied};
use crate::rollup::model::record::RecordId;

/// List records in quarantine, apply them again, or discard them
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// List records in quarantine
    List(Filter),
    /// Apply records again whose cause is fixed; the others stay in quarantine
    Replay(Choice),
    /// Discard records: they never count; repair their view items afterwards
    Discard(Choice),
}

/// Which records to change. An operator must choose them explicitly.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("choice").required(true).multiple(true)
    .args(["all", "sequence_number", "stream", "reason", "since", "until"]))]
pub struct Choice {
    #[command(flatten)]
    filter: Filter,

    /// Every record in quarantine
    #[arg(long, conflicts_with_all = ["sequence_number", "stream", "reason", "since", "until"])]
    all: bool,
}

/// Why the quarantine could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// A setting is missing or invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The idempotency table cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Records cannot be applied again.
    #[error(transparent)]
    Apply(#[from] InvocationError),
    /// Output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A record in quarantine.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// The record's id.
    pub id: RecordId,
    /// Why it is in quarantine.
    pub reason: String,
    /// When its marker was written, as the marker says.
    pub recorded_at: String,
    /// The record as the stream delivered it; `None` if it is not kept or not readable.
    pub record: Option<String>,
    /// Number of parts in which the record is kept; zero if it is in its marker.
    parts: usize,
}

impl Quarantined {
    fn read(id: RecordId, marker: &Item, parts: &[Item]) -> Self {
        let text = |name| attribute_text(marker, name).unwrap_or_default().to_owned();
        let (reason, recorded_at) = (text(REASON), text(RECORDED_AT));
        Self { id, reason, recorded_at, parts: part_count(marker), record: kept_record(marker, parts) }
    }

    /// Whether a replay may count it: it was never counted, and the marker under its number is its own.
    fn is_countable(&self) -> bool {
        !self.reason.starts_with(EXPIRED) && !self.id.sequence_number.contains(TAKEN)
    }

    fn json(&self) -> Value {
        // A record that is not JSON is shown as text.
        let record = self.record.as_ref().map(|raw| serde_json::from_str(raw).unwrap_or_else(|_| json!(raw)));
        json!({
            "sequence_number": self.id.sequence_number,
            "stream": self.id.stream,
            "reason": self.reason,
            "recorded_at": self.recorded_at,
            "record": record,
        })
    }
}

/// The quarantine of a definition: part of its idempotency table.
#[derive(Debug, Clone)]
pub struct Quarantine {
    client: Client,
    config: Config,
    parts: RecordParts,
}

impl Quarantine {
    /// The quarantine in the idempotency table of these settings.
    #[must_use]
    pub fn new(client: Client, config: Config) -> Self {
        let parts = RecordParts::new(client.clone(), &config.idempotency_table);
        Self { client, config, parts }
    }

    fn error(&self, action: &'static str, cause: String) -> QuarantineError {
        TableError::new(action, &self.config.idempotency_table, cause).into()
    }

    /// The records that a filter lets through, oldest first, in pages.
    async fn pages(&self, filter: &Filter) -> Result<Pages<'_>, QuarantineError> {
        let entries = Entries::begin(&self.client, &self.config.idempotency_table, filter).await?;
        Ok(Pages { quarantine: self, filter: filter.clone(), entries })
    }

    /// Reads a record from the table, because an index may lag behind. `None` if it is no longer in quarantine.
    async fn read(&self, id: RecordId, filter: &Filter) -> Result<Option<Quarantined>, QuarantineError> {
        let get = self.client.get_item().table_name(&self.config.idempotency_table).consistent_read(true);
        let answer = get.set_key(Some(marker_key(&id).into())).send().await;
        let answer = answer.map_err(|error| self.error("read", failure_text(&error)))?;
        let marker = answer.item.map(Item::from).filter(|marker| {
            attribute_text(marker, OUTCOME) == Some(MarkerOutcome::Quarantined.as_str()) && filter.lets_through(marker)
        });
        let Some(marker) = marker else { return Ok(None) };
        let parts = self.parts.of(&marker).await?;
        Ok(Some(Quarantined::read(id, &marker, &parts)))
    }

    /// Discards a record and its parts. Returns whether it was still in quarantine.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn discard(&self, record: &Quarantined, now: DateTime<Utc>) -> Result<bool, QuarantineError> {
        let expires_at = days_later(now, self.config.marker_retention_days);
        Ok(self.parts.discard(&record.id, record.parts, expires_at, None).await?)
    }

    /// Discards these records. Returns how many were still in quarantine.
    async fn discard_all<'a>(
        &self,
        records: impl IntoIterator<Item = &'a Quarantined>,
    ) -> Result<usize, QuarantineError> {
        let mut discarded = 0;
        for record in records {
            discarded += usize::from(self.discard(record, now()).await?);
        }
        Ok(discarded)
    }

    /// Applies records again. Records that still cannot be applied stay in quarantine.
    async fn replay(
        &self,
        records: &[Quarantined],
        starts: &RepairStarts<'_>,
        applier: &mut Applier,
    ) -> Result<Vec<RefusedRecord>, QuarantineError> {
        // A repair counts such a record too: it could not subtract a record that could not be applied at that time.
        let repaired = |record: &Quarantined| {
            let (raw, since) = (record.record.as_deref()?, record.recorded_at.parse().ok());
            starts.repaired_after(raw, since).filter(|_| !can_be_applied(&record.reason))
        };
        let (mut refused, mut countable) = (Vec::new(), Vec::new());
        for record in records.iter().filter(|record| record.is_countable()) {
            match repaired(record) {
                Some(found) => refused.push(found),
                None => countable.push(record),
            }
        }
        let kept: Vec<String> = countable.iter().filter_map(|record| record.record.clone()).collect();
        applier.apply(&kept).await?;
        let stay = records.len() - refused.len() - kept.len();
        applier.counts.read += stay + refused.len();
        applier.counts.quarantined += stay;
        // A record without an effect under the current definition gets no marker, so it would stay in quarantine. It is
        // discarded instead.
        let without_effect = |found: &&Quarantined| found.record.as_ref().is_some_and(|raw| applier.has_no_effect(raw));
        self.discard_all(countable.into_iter().filter(without_effect)).await?;
        Ok(refused)
    }
}

/// The most records in memory at once.
const PAGE_RECORDS: usize = 100;

/// From this number of bytes on, a page is full.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Maximum concurrent reads of records.
const READ_AT_ONCE: usize = 8;

/// The records in quarantine, in pages.
struct Pages<'q> {
    quarantine: &'q Quarantine,
    filter: Filter,
    entries: Entries,
}

impl Pages<'_> {
    /// The next page; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<Quarantined>>, QuarantineError> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        while page.len() < PAGE_RECORDS && bytes < PAGE_BYTES {
            let mut reads = Vec::new();
            while reads.len() < READ_AT_ONCE
                && let Some(entry) = self.entries.next().await?
            {
                reads.push(self.quarantine.read(entry.id, &self.filter));
            }
            if reads.is_empty() {
                break;
            }
            let found = try_join_all(reads).await?.into_iter().flatten();
            page.extend(found.inspect(|found| bytes += found.record.as_ref().map_or(0, String::len)));
        }
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

/// Runs a subcommand.
///
/// # Errors
/// When the tables cannot be read or written.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, QuarantineError> {
    let sdk = shared.sdk().await;
    let config = shared.config()?;
    let quarantine = Quarantine::new(Client::new(&sdk), config.clone());
    let filter = match &args.command {
        Command::List(filter) => filter,
        Command::Replay(choice) | Command::Discard(choice) => &choice.filter,
    };
    let mut pages = quarantine.pages(filter).await?;
    match &args.command {
        Command::List(_) => {
            let listed = if shared.json { list_json(&mut pages).await? } else { list(&mut pages).await? };
            Ok(CommandOutcome::found_unless(listed == 0))
        }
        Command::Replay(_) => {
            let mut applier = Applier::from_quarantine(config.clone(), &sdk);
            let starts = RepairStarts::read(&quarantine.client, &config).await?;
            let mut refused = Vec::new();
            while let Some(page) = pages.next().await? {
                refused.extend(quarantine.replay(&page, &starts, &mut applier).await?);
            }
            let report = ReplayReport { applied: applier.counts, refused, ..ReplayReport::default() };
            shared.write(&report.json(), &ReplayText { report: &report, commands: &Commands::of(shared) })?;
            Ok(CommandOutcome::found_unless(report.is_clean()))
        }
        Command::Discard(_) => {
            let mut discarded = 0;
            while let Some(page) = pages.next().await? {
                discarded += quarantine.discard_all(&page).await?;
            }
            let told = discarded_text(discarded, &Commands::of(shared));
            shared.write(&json!({ "discarded": discarded }), &told)?;
            Ok(CommandOutcome::Clean)
        }
    }
}

fn discarded_text(discarded: usize, commands: &Commands) -> String {
    let told = counted(discarded, "record", "records");
    if discarded == 0 {
        return format!("{told} discarded\n");
    }
    format!(
        "{told} discarded. To set the counters of the view items to what the source says:\n    {}\n",
        commands.run("repair")
    )
}

/// Writes the records as one JSON object, page by page. Returns their number. An error leaves the object incomplete, so
/// that no reader takes a part of the list for the whole.
async fn list_json(pages: &mut Pages<'_>) -> Result<usize, QuarantineError> {
    let mut listed = 0;
    write!(io::stdout(), "{{\"quarantined\":[")?;
    while let Some(page) = pages.next().await? {
        for record in &page {
            let comma = if listed > 0 { "," } else { "" };
            write!(io::stdout(), "{comma}{}", record.json())?;
            listed += 1;
        }
    }
    writeln!(io::stdout(), "]}}")?;
    Ok(listed)
}

/// Writes the records for people, page by page. Returns their number.
async fn list(pages: &mut Pages<'_>) -> Result<usize, QuarantineError> {
    let (mut listed, columns) = (0, terminal::columns(io::stdout()));
    while let Some(page) = pages.next().await? {
        for record in &page {
            write!(io::stdout(), "{}", terminal::wrapped(&record.to_string(), columns))?;
        }
        listed += page.len();
    }
    match listed {
        0 => writeln!(io::stdout(), "nothing is in quarantine")?,
        some => writeln!(io::stdout(), "{} in quarantine", counted(some, "record", "records"))?,
    }
    Ok(listed)
}

/// The record for people.
impl Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, reason, recorded_at, record, .. } = self;
        let [recorded_at, number, stream, reason] =
            [recorded_at, &id.sequence_number, &id.stream, reason].map(printable);
        writeln!(f, "{recorded_at}  {number}  {stream}\n    {reason}")?;
        if record.is_none() {
            writeln!(f, "    the record itself cannot be read here: look for it at the failure destination")?;
        }
        Ok(())
    }
}
