//! `ddb-rollup quarantine`: what is kept because it could not be applied.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::args::Shared;
use super::replay::apply::Applier;
use super::replay::{self, ReplayError};
use super::{Ending, TableError};
use crate::config::{Config, ConfigError};
use crate::operate::cause::cause;
use crate::rollup::Item;
use crate::rollup::model::marker::{
    EXPIRES_AT, MarkerOutcome, OUTCOME, REASON, RECORD, RECORDED_AT, SEQUENCE_NUMBER, STREAM, kept_record,
};

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
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<DateTime<Utc>>,

    /// Only records that came into quarantine before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<DateTime<Utc>>,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "accepted is a day and a time with their zone, as 2026-01-31T12:00:00Z".to_owned())
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
    Replay(#[from] ReplayError),
    /// Output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A record in quarantine.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// Its sequence number.
    pub sequence_number: String,
    /// Its stream.
    pub stream: String,
    /// Why it is there.
    pub reason: String,
    /// Since when, as the marker says.
    pub recorded_at: String,
    /// The record as it came; none when it did not fit.
    pub record: Option<String>,
}

impl Quarantined {
    fn read(item: HashMap<String, AttributeValue>) -> Self {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        Self {
            sequence_number: text(SEQUENCE_NUMBER),
            stream: text(STREAM),
            reason: text(REASON),
            recorded_at: text(RECORDED_AT),
            record: kept_record(&Item::from(item)),
        }
    }

    fn json(&self) -> Value {
        // What does not parse is kept as the text that it is.
        let record = self.record.as_ref().map(|raw| serde_json::from_str(raw).unwrap_or_else(|_| json!(raw)));
        json!({
            "sequence_number": self.sequence_number,
            "stream": self.stream,
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
}

impl Quarantine {
    /// The quarantine in the idempotency table of these settings.
    #[must_use]
    pub fn new(client: Client, config: Config) -> Self {
        Self { client, config }
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
            .expression_attribute_values(":quarantined", text(MarkerOutcome::Quarantined.as_str()));
        if let Some(number) = &filter.sequence_number {
            conditions.push("#number = :number");
            scan = scan.expression_attribute_names("#number", SEQUENCE_NUMBER);
            scan = scan.expression_attribute_values(":number", text(number));
        }
        if let Some(stream) = &filter.stream {
            conditions.push("#stream = :stream");
            scan = scan.expression_attribute_names("#stream", STREAM);
            scan = scan.expression_attribute_values(":stream", text(stream));
        }
        if let Some(reason) = &filter.reason {
            conditions.push("contains(#reason, :reason)");
            scan = scan.expression_attribute_names("#reason", REASON);
            scan = scan.expression_attribute_values(":reason", text(reason));
        }
        let pages = scan.filter_expression(conditions.join(" AND ")).into_paginator().items().send();
        let items: Result<Vec<_>, _> = pages.collect().await;
        let items = items.map_err(|error| self.error("read", cause(&error)))?;
        let mut found: Vec<_> = items.into_iter().map(Quarantined::read).collect();
        found.retain(|record| {
            let at = record.recorded_at.parse::<DateTime<Utc>>().ok();
            let since = filter.since.is_none_or(|since| at.is_none_or(|at| at >= since));
            since && filter.until.is_none_or(|until| at.is_none_or(|at| at < until))
        });
        found.sort_by(|a, b| (&a.recorded_at, &a.sequence_number).cmp(&(&b.recorded_at, &b.sequence_number)));
        Ok(found)
    }

    /// Gives a record up; tells whether it was still in quarantine.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn discard(&self, record: &Quarantined, now: DateTime<Utc>) -> Result<bool, QuarantineError> {
        let expires_at = now + TimeDelta::days(i64::from(self.config.marker_retention_days));
        let request = self
            .client
            .update_item()
            .table_name(&self.config.idempotency_table)
            .key(SEQUENCE_NUMBER, text(&record.sequence_number))
            .key(STREAM, text(&record.stream))
            .update_expression("SET #outcome = :discarded, #expires = :expires")
            .condition_expression("#outcome = :quarantined")
            .expression_attribute_names("#outcome", OUTCOME)
            .expression_attribute_names("#expires", EXPIRES_AT)
            .expression_attribute_values(":discarded", text(MarkerOutcome::Discarded.as_str()))
            .expression_attribute_values(":quarantined", text(MarkerOutcome::Quarantined.as_str()))
            .expression_attribute_values(":expires", AttributeValue::N(expires_at.timestamp().to_string()));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(self.error("write", cause(&error))),
            },
        }
    }
}

/// Runs one of the subcommands.
///
/// # Errors
/// When the tables cannot be read or written.
pub async fn run(shared: &Shared, args: &Args) -> Result<Ending, QuarantineError> {
    let sdk = shared.sdk().await;
    let config = shared.config()?;
    let quarantine = Quarantine::new(Client::new(&sdk), config.clone());
    match &args.command {
        Command::List(filter) => {
            let found = quarantine.list(filter).await?;
            if shared.json {
                let records: Vec<_> = found.iter().map(Quarantined::json).collect();
                writeln!(io::stdout(), "{}", json!({ "quarantined": records }))?;
            } else {
                write!(io::stdout(), "{}", table(&found))?;
            }
            Ok(Ending::found_unless(found.is_empty()))
        }
        Command::Replay(choice) => {
            let found = quarantine.list(&choice.filter).await?;
            let mut applier = Applier::new(config, &sdk);
            let (kept, lost): (Vec<_>, Vec<_>) = found.into_iter().partition(|record| record.record.is_some());
            let records: Vec<String> = kept.iter().filter_map(|record| record.record.clone()).collect();
            applier.apply(&records).await?;
            applier.applied.read += lost.len();
            applier.applied.quarantined += lost.len();
            // A record that has no effect, as the view is now, needs no marker; it would stay in quarantine for ever.
            for record in &kept {
                let raw = record.record.as_deref().unwrap_or_default();
                if applier.has_no_effect(raw) {
                    quarantine.discard(record, replay::now()).await?;
                }
            }
            let report = replay::Report { applied: applier.applied, ..replay::Report::default() };
            report.write(shared.json)?;
            Ok(Ending::found_unless(report.is_clean()))
        }
        Command::Discard(choice) => {
            let found = quarantine.list(&choice.filter).await?;
            let mut discarded = 0;
            for record in &found {
                discarded += usize::from(quarantine.discard(record, replay::now()).await?);
            }
            if shared.json {
                writeln!(io::stdout(), "{}", json!({ "discarded": discarded }))?;
            } else {
                writeln!(io::stdout(), "{discarded} records discarded; repair the view items that they belong to")?;
            }
            Ok(Ending::AsItShouldBe)
        }
    }
}

fn table(found: &[Quarantined]) -> String {
    let mut table = String::new();
    for record in found {
        let Quarantined { sequence_number, stream, reason, recorded_at, record } = record;
        let _ = writeln!(table, "{recorded_at}  {sequence_number}  {stream}\n    {reason}");
        if record.is_none() {
            let _ = writeln!(table, "    the record itself did not fit: {RECORD} is with the failure destination");
        }
    }
    let _ = match found.len() {
        0 => writeln!(table, "nothing is in quarantine"),
        1 => writeln!(table, "1 record in quarantine"),
        many => writeln!(table, "{many} records in quarantine"),
    };
    table
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
