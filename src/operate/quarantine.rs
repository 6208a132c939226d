//! `ddb-rollup quarantine`: what is kept because it could not be applied.

use std::fmt::{self, Display};
use std::io;

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::CommandOutcome;
use super::apply::Applier;
use super::args::{self, Shared};
use super::clock::{days_later, now};
use super::error::{TableError, failure_text};
use super::marker_table::{discard, marker_key, sdk_text};
use super::printable::printable;
use super::record_parts::RecordParts;
use super::repair_starts::{RefusedRecord, RepairStarts};
use super::replay::report::ReplayReport;
use crate::config::{Config, ConfigError};
use crate::handler::InvocationError;
use crate::rollup::model::kept_record::{kept_record, part_count};
use crate::rollup::model::marker::{MarkerOutcome, OUTCOME, REASON, RECORDED_AT, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::poison::can_be_applied;
use crate::rollup::model::record::RecordId;
use crate::rollup::pipeline::update::Update;
use crate::rollup::{AttributeValue, Item};
use crate::store::failure;

/// Look at records in quarantine, apply them again, or give them up
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// List records in quarantine
    List(Filter),
    /// Apply records again whose cause is mended; what still cannot be applied stays
    Replay(Choice),
    /// Decide that records shall never count; repair their view items afterwards
    Discard(Choice),
}

/// Which records; all that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Only the record with this sequence number
    #[arg(long, value_name = "NUMBER")]
    pub sequence_number: Option<String>,

    /// Only records of this stream
    #[arg(long, value_name = "ARN")]
    pub stream: Option<String>,

    /// Only records whose reason contains this
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Only records that came into quarantine at this time or later, as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = args::time)]
    pub since: Option<DateTime<Utc>>,

    /// Only records that came into quarantine before this time
    #[arg(long, value_name = "TIME", value_parser = args::time)]
    pub until: Option<DateTime<Utc>>,
}

/// Which records, said on purpose.
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

/// Why the quarantine could not be looked at or changed.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// A setting of the environment.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Applying records again.
    #[error(transparent)]
    Apply(#[from] InvocationError),
    /// Output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A record in quarantine.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// Which one.
    pub id: RecordId,
    /// Why it is there.
    pub reason: String,
    /// Since when, as the marker says.
    pub recorded_at: String,
    /// The record as it came; none when it is not kept, or not readable.
    pub record: Option<String>,
    /// How many parts it is kept in; zero when it is in its marker.
    parts: usize,
}

impl Quarantined {
    fn read(marker: &Item, parts: &[Item]) -> Self {
        let text = |name: &str| match marker.get(name) {
            Some(AttributeValue::S(text)) => text.clone(),
            _ => String::new(),
        };
        let id = RecordId { sequence_number: text(SEQUENCE_NUMBER), stream: text(STREAM) };
        let (reason, recorded_at) = (text(REASON), text(RECORDED_AT));
        Self { id, reason, recorded_at, parts: part_count(marker), record: kept_record(marker, parts) }
    }

    fn json(&self) -> Value {
        // What does not parse is kept as the text that it is.
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

/// The quarantine of a view: a part of its idempotency table.
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

    /// The records that a filter lets through, the oldest first.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Quarantined>, QuarantineError> {
        let mut conditions = vec!["#outcome = :quarantined"];
        let mut scan = self
            .client
            .scan()
            .table_name(&self.config.idempotency_table)
            .consistent_read(true)
            .expression_attribute_names("#outcome", OUTCOME)
            .expression_attribute_values(":quarantined", sdk_text(MarkerOutcome::Quarantined.as_str()));
        if let Some(number) = &filter.sequence_number {
            conditions.push("#number = :number");
            scan = scan.expression_attribute_names("#number", SEQUENCE_NUMBER);
            scan = scan.expression_attribute_values(":number", sdk_text(number));
        }
        if let Some(stream) = &filter.stream {
            conditions.push("#stream = :stream");
            scan = scan.expression_attribute_names("#stream", STREAM);
            scan = scan.expression_attribute_values(":stream", sdk_text(stream));
        }
        if let Some(reason) = &filter.reason {
            conditions.push("contains(#reason, :reason)");
            scan = scan.expression_attribute_names("#reason", REASON);
            scan = scan.expression_attribute_values(":reason", sdk_text(reason));
        }
        let pages = scan.filter_expression(conditions.join(" AND ")).into_paginator().items().send();
        let items: Result<Vec<_>, _> = pages.collect().await;
        let items = items.map_err(|error| self.error("read", failure_text(&error)))?;
        let mut found = Vec::with_capacity(items.len());
        for marker in items.into_iter().map(Item::from) {
            let parts = self.parts.of(&marker).await?;
            found.push(Quarantined::read(&marker, &parts));
        }
        found.retain(|record| {
            let at = record.recorded_at.parse::<DateTime<Utc>>().ok();
            let since = filter.since.is_none_or(|since| at.is_none_or(|at| at >= since));
            since && filter.until.is_none_or(|until| at.is_none_or(|at| at < until))
        });
        found.sort_by(|a, b| (&a.recorded_at, &a.id).cmp(&(&b.recorded_at, &b.id)));
        Ok(found)
    }

    /// Gives a record up; tells whether it was still in quarantine. The parts of a large record are deleted afterwards.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn discard(&self, record: &Quarantined, now: DateTime<Utc>) -> Result<bool, QuarantineError> {
        let expires_at = days_later(now, self.config.marker_retention_days);
        let Update { expression, condition, names, values } = discard(expires_at, None);
        let request = self.client.update_item().table_name(&self.config.idempotency_table);
        let request = request.set_key(Some(marker_key(&record.id).into())).update_expression(expression);
        let request = request.set_condition_expression(condition).set_expression_attribute_names(Some(names));
        match request.set_expression_attribute_values(Some(Item::from(values).into())).send().await {
            Ok(_) => {
                if record.parts > 0 {
                    self.parts.delete(&record.id).await;
                }
                Ok(true)
            }
            Err(error) if failure(&error).is_unmet_condition() => Ok(false),
            Err(error) => Err(self.error("write", failure_text(&error))),
        }
    }

    /// Gives every one of these records up; tells how many were still in quarantine.
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

    /// Applies records again; what still cannot be applied stays.
    async fn replay(&self, records: &[Quarantined], mut applier: Applier) -> Result<ReplayReport, QuarantineError> {
        let starts = RepairStarts::read(&self.client, &self.config).await?;
        // What a repair could not subtract, as it could not be applied then, is in the counters that it set.
        let is_counted = |record: &Quarantined| {
            let (raw, since) = (record.record.as_deref()?, record.recorded_at.parse().ok());
            starts.repaired_after(raw, since).filter(|_| !can_be_applied(&record.reason))
        };
        let (refused, records): (Vec<_>, Vec<_>) = records.iter().partition(|record| is_counted(record).is_some());
        let refused: Vec<RefusedRecord> = refused.into_iter().filter_map(is_counted).collect();
        let kept: Vec<String> = records.iter().filter_map(|record| record.record.clone()).collect();
        applier.apply(&kept).await?;
        let lost = records.len() - kept.len();
        applier.counts.read += lost;
        applier.counts.quarantined += lost;
        // A record that has no effect, as the view is now, needs no marker; it would stay in quarantine for ever.
        let without_effect = |found: &&Quarantined| found.record.as_ref().is_some_and(|raw| applier.has_no_effect(raw));
        self.discard_all(records.into_iter().filter(without_effect)).await?;
        applier.counts.read += refused.len();
        Ok(ReplayReport { applied: applier.counts, refused, ..ReplayReport::default() })
    }
}

/// Runs one of the subcommands.
///
/// # Errors
/// When the tables cannot be read or written.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, QuarantineError> {
    let sdk = shared.sdk().await;
    let config = shared.config()?;
    let quarantine = Quarantine::new(Client::new(&sdk), config.clone());
    match &args.command {
        Command::List(filter) => {
            let found = quarantine.list(filter).await?;
            let records: Vec<_> = found.iter().map(Quarantined::json).collect();
            shared.write(&json!({ "quarantined": records }), &List(&found))?;
            Ok(CommandOutcome::found_unless(found.is_empty()))
        }
        Command::Replay(choice) => {
            let found = quarantine.list(&choice.filter).await?;
            let report = quarantine.replay(&found, Applier::new(config, &sdk)).await?;
            shared.write(&report.json(), &report)?;
            Ok(CommandOutcome::found_unless(report.is_clean()))
        }
        Command::Discard(choice) => {
            let discarded = quarantine.discard_all(&quarantine.list(&choice.filter).await?).await?;
            let told = format!("{discarded} records discarded; repair the view items that they belong to\n");
            shared.write(&json!({ "discarded": discarded }), &told)?;
            Ok(CommandOutcome::Clean)
        }
    }
}

/// Records in quarantine, for people.
struct List<'a>(&'a [Quarantined]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Quarantined { id, reason, recorded_at, record, .. } in self.0 {
            let [recorded_at, number, stream, reason] =
                [recorded_at, &id.sequence_number, &id.stream, reason].map(printable);
            writeln!(f, "{recorded_at}  {number}  {stream}\n    {reason}")?;
            if record.is_none() {
                writeln!(f, "    the record itself cannot be read here: look for it at the failure destination")?;
            }
        }
        match self.0.len() {
            0 => writeln!(f, "nothing is in quarantine"),
            1 => writeln!(f, "1 record in quarantine"),
            many => writeln!(f, "{many} records in quarantine"),
        }
    }
}
