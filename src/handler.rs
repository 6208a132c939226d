//! One invocation, from the event to the response.

mod log;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tracing::warn;

use crate::commit::complete_items::CompleteItems;
use crate::commit::pace::Pace;
use crate::commit::redelivery::Redelivery;
use crate::commit::{Broken, CommitReport, Committer, Randomness, Store};
use crate::config::Config;
use crate::metrics::Summary;
use crate::rollup::model::item_size;
use crate::rollup::model::marker::{Environment, Guard, Stamp, definition_item};
use crate::rollup::model::record::UNKNOWN_STREAM;
use crate::rollup::pipeline::coalesce::{Batch, Disposition, Entry, EntryId, Found, try_coalesce};
use crate::rollup::pipeline::delta::{Effect, Retention, effect};
use crate::rollup::pipeline::parse::{EventError, Parsed, is_of_another_table, parse, parse_record};
use crate::rollup::pipeline::plan::Setting;
use crate::rollup::pipeline::response::{EntryOutcome, response};
use crate::rollup::pipeline::view_item::negative_counters;

use log::log;

/// The work ends at most this long before the deadline, so that the response still arrives in time.
const MARGIN_MAX: Duration = Duration::from_secs(1);

/// The longest time that Lambda lets an invocation take. A deadline that is further away is ignored.
pub const INVOCATION_MAX: Duration = Duration::from_mins(15);

/// The longest time for the read that finds negative counters. Nothing depends on its result.
const GLANCE: Duration = Duration::from_millis(250);

/// What sees each invocation's summary.
type Observer = Box<dyn Fn(&Invocation, &Summary) + Send + Sync>;

/// The roll-up of a definition, ready for events.
pub struct Rollup<S, E> {
    config: Config,
    store: S,
    randomness: E,
    complete_items: CompleteItems,
    redelivery: Redelivery,
    pace: Pace,
    environment: Option<Environment>,
    /// The streams for which the definition was recorded.
    announced: Mutex<HashSet<String>>,
    observe: Option<Observer>,
}

/// What an invocation comes with, in addition to its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Its request id.
    pub request_id: String,
    /// When it began.
    pub now: DateTime<Utc>,
    /// How long it may take.
    pub time_left: Duration,
}

/// An invocation that fails as a whole: Lambda delivers the batch again, or hands it to the failure destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvocationError {
    /// The event is not from a usable DynamoDB stream.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The event is from the stream of another table.
    #[error(
        "the event comes from the stream {found}, but the source table is {source_table}; connect the function to the source \
         table's stream, or set ROLLUP_SOURCE_TABLE to the other table"
    )]
    OtherTable {
        /// The stream's ARN.
        found: String,
        /// The source table.
        source_table: String,
    },
    /// The deployment is at fault.
    #[error(
        "the tables cannot be written, and no record is at fault: {0}; check that they exist and that the function's role can write to them"
    )]
    Broken(#[from] Broken),
    /// Records that can be neither marked nor reported. The other records of the batch are processed as far as
    /// possible.
    #[error(
        "{count} of the event's {records} records {have} no sequence number and cannot be reported to Lambda; {kept} in \
         quarantine, the first as {marker}. To read them, run `ddb-rollup quarantine list --idempotency-table {table}`",
        have = if *count == 1 { "has" } else { "have" }
    )]
    Unnumbered {
        /// How many.
        count: usize,
        /// Records in the event.
        records: usize,
        /// How many of these have a copy in quarantine.
        kept: usize,
        /// The sequence number of the first one's copy.
        marker: String,
        /// The idempotency table.
        table: String,
    },
}

impl InvocationError {
    /// The kind of failure, as it is reported to Lambda.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Event(
                EventError::NotText { .. } | EventError::NotAStreamEvent { .. } | EventError::Source { .. },
            ) => "Rollup.NotAStreamEvent",
            Self::Event(EventError::StreamViewType { .. }) => "Rollup.StreamViewType",
            Self::OtherTable { .. } => "Rollup.OtherTable",
            Self::Broken(_) => "Rollup.Deployment",
            Self::Unnumbered { .. } => "Rollup.Unnumbered",
        }
    }
}

impl<S: Store, E: Randomness> Rollup<S, E> {
    /// A roll-up with this configuration, on this store.
    pub fn new(config: Config, store: S, randomness: E) -> Self {
        Self {
            config,
            store,
            randomness,
            complete_items: CompleteItems::default(),
            redelivery: Redelivery::default(),
            pace: Pace::default(),
            environment: None,
            announced: Mutex::default(),
            observe: None,
        }
    }

    /// Gives it the execution environment that it runs in. It then records under which definition it counts.
    #[must_use]
    pub fn running_in(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Calls `observe` with the summary of each invocation.
    #[must_use]
    pub fn observed(mut self, observe: impl Fn(&Invocation, &Summary) + Send + Sync + 'static) -> Self {
        self.observe = Some(Box::new(observe));
        self
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Processes one event.
    ///
    /// # Errors
    /// When the event cannot be processed, or a record can be neither marked nor reported.
    pub async fn handle(&self, event: &str, invocation: &Invocation) -> Result<DynamoDbEventResponse, InvocationError> {
        let began = Instant::now();
        let deadline = began + working_time(invocation.time_left);
        let retention = self.retention(invocation);
        let setting = self.setting(invocation);

        let mut accepted = String::new();
        let found = parse(event)?.map(|record| Ok(self.judge(self.of_source(record?, &mut accepted)?, &retention)));
        let mut batch = try_coalesce::<InvocationError>(found)?;
        let commit_began = Instant::now();
        let committer = Committer {
            store: &self.store,
            randomness: &self.randomness,
            setting: &setting,
            complete_items: &self.complete_items,
            redelivery: &self.redelivery,
            pace: &self.pace,
            max_in_flight: self.config.max_in_flight,
            deadline,
        };
        let report = committer.commit(&mut batch).await?;
        self.announce(&batch, &setting, deadline).await;
        let (response, counts) = response(&batch, &report.outcomes);

        let commit = commit_began.elapsed();
        let LoweredItem { negative_counters, bytes } = self.lowered_item(&batch, &report, deadline).await;
        let summary = Summary {
            counts,
            ungrouped: ungrouped(&batch, &report),
            uncountable: batch.uncountable,
            other_definition: report.other_definition,
            transactions: report.requests,
            retries: report.retries.clone(),
            first_touches: report.first_touches,
            negative_counters,
            view_item_bytes: bytes,
            commit,
            took: began.elapsed(),
        };
        log(&batch, &report, &summary);
        if let Some(observe) = &self.observe {
            observe(invocation, &summary);
        }
        if let Some(error) = unnumbered(&batch, &report, &self.config.idempotency_table) {
            return Err(error);
        }
        if response.batch_item_failures.is_empty() {
            self.redelivery.resolved();
        }
        Ok(response)
    }

    /// Records, once for each process and stream, under which definition the stream's records are counted. Nothing that
    /// is counted depends on it, so after a failure the next invocation tries again.
    async fn announce(&self, batch: &Batch<'_>, setting: &Setting<'_>, deadline: Instant) {
        let Some(environment) = &self.environment else { return };
        let streams: BTreeSet<&str> = batch.entries.iter().map(|entry| entry.head().id.stream.as_str()).collect();
        for stream in streams.into_iter().filter(|stream| *stream != UNKNOWN_STREAM) {
            let known = |announced: &Mutex<HashSet<String>>| {
                announced.lock().unwrap_or_else(PoisonError::into_inner).contains(stream)
            };
            if known(&self.announced) {
                continue;
            }
            let item = definition_item(setting.definition, stream, environment, &setting.stamp);
            match tokio::time::timeout_at(deadline, self.store.put_definition(&item)).await {
                Ok(Ok(())) => {
                    self.announced.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.to_owned());
                }
                failed => warn!("cannot record the definition in the idempotency table: {failed:?}"),
            }
        }
    }

    /// Whether a raw record changes no view item.
    #[must_use]
    pub fn has_no_effect(&self, raw: &str, now: DateTime<Utc>) -> bool {
        let retention = Retention { days: self.config.marker_retention_days, until: now };
        let judged = parse_record(raw).map(|record| self.judge(record, &retention));
        matches!(judged, Ok(Found::Record(Effect::None { .. })))
    }

    /// Reads one of the view items that this batch lowered.
    ///
    /// A transaction does not return the new values, and reading every item would double the cost of a delete. A
    /// counter that is below zero stays so until it is repaired, and an item grows slowly. So one item for each
    /// invocation is enough to find both in time.
    async fn lowered_item(&self, batch: &Batch<'_>, report: &CommitReport, deadline: Instant) -> LoweredItem {
        let lowered =
            batch.entries.iter().zip(&report.outcomes).rev().find_map(|(entry, outcome)| match (entry, outcome) {
                (Entry::Apply { change, .. }, EntryOutcome::Applied) => change.lowered(),
                _ => None,
            });
        let Some(key) = lowered else { return LoweredItem::default() };
        let until = deadline.min(Instant::now() + GLANCE);
        let read = tokio::time::timeout_at(until, self.store.view_item(key)).await;
        match read {
            Ok(Ok(Some(item))) => LoweredItem {
                negative_counters: negative_counters(&self.config.definition, key.table, &item),
                bytes: item_size::bytes(item.inner()),
            },
            _ => LoweredItem::default(),
        }
    }

    /// Fails if the record is from the stream of another table than the source. `accepted` is the last stream that
    /// passed, so that the records of one stream are checked once.
    fn of_source<'a>(&self, record: Parsed<'a>, accepted: &mut String) -> Result<Parsed<'a>, InvocationError> {
        let source_table = self.config.definition.source_table();
        let stream = match &record {
            Parsed::Record(record) => &record.head.id.stream,
            Parsed::Poison(poison) => &poison.head.id.stream,
            Parsed::Unnumbered { .. } => return Ok(record),
        };
        if stream != accepted {
            if is_of_another_table(stream, source_table) {
                return Err(InvocationError::OtherTable {
                    found: stream.clone(),
                    source_table: source_table.to_owned(),
                });
            }
            accepted.clone_from(stream);
        }
        Ok(record)
    }

    fn judge<'a>(&self, record: Parsed<'a>, retention: &Retention) -> Found<'a> {
        match record {
            Parsed::Record(record) => Found::Record(effect(&self.config.definition, record, retention)),
            Parsed::Poison(poison) => Found::Record(Effect::Quarantine(Box::new(poison))),
            Parsed::Unnumbered { reason, raw } => Found::Unnumbered { reason, raw },
        }
    }

    fn retention(&self, invocation: &Invocation) -> Retention {
        if self.config.guard == Guard::Quarantined {
            return Retention::KNOWN_MARKERS;
        }
        let until = TimeDelta::from_std(invocation.time_left.min(INVOCATION_MAX)).unwrap_or(TimeDelta::zero());
        Retention { days: self.config.marker_retention_days, until: invocation.now + until }
    }

    fn setting(&self, invocation: &Invocation) -> Setting<'_> {
        Setting {
            definition: &self.config.definition,
            guard: self.config.guard,
            stamp: Stamp::new(invocation.now, &invocation.request_id, self.config.marker_retention_days)
                .with_quarantine(invocation.now, self.config.quarantine_retention_days),
        }
    }
}

/// What a read of a lowered view item shows; zeros if none was read.
#[derive(Default)]
struct LoweredItem {
    negative_counters: usize,
    bytes: usize,
}

/// The time of an invocation that may be spent on committing; the rest is for the response.
fn working_time(time_left: Duration) -> Duration {
    let time_left = time_left.min(INVOCATION_MAX);
    time_left.saturating_sub((time_left / 4).min(MARGIN_MAX))
}

fn ungrouped(batch: &Batch<'_>, report: &CommitReport) -> usize {
    let entries = batch.entries.iter().zip(&report.outcomes);
    let applied = entries.filter_map(|(entry, outcome)| match (entry, outcome) {
        (Entry::Apply { change, .. }, EntryOutcome::Applied) => Some(change.ungrouped),
        _ => None,
    });
    applied.sum()
}

fn unnumbered(batch: &Batch<'_>, report: &CommitReport, table: &str) -> Option<InvocationError> {
    let entry = |disposition: &Disposition| match disposition {
        Disposition::Unnumbered(entry) => Some(*entry),
        _ => None,
    };
    let entries: Vec<EntryId> = batch.dispositions.iter().filter_map(entry).collect();
    let kept =
        |entry: &&EntryId| matches!(report.outcomes[entry.0], EntryOutcome::Quarantined | EntryOutcome::Duplicate);
    Some(InvocationError::Unnumbered {
        count: entries.len(),
        records: batch.dispositions.len(),
        kept: entries.iter().filter(kept).count(),
        marker: batch[*entries.first()?].head().id.sequence_number.clone(),
        table: table.to_owned(),
    })
}
