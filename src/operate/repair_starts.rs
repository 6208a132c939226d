//! When repairs began, as stored in the idempotency table, and which records a replay must therefore leave out.

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::clock::now;
use super::error::{TableError, failure_text};
use super::marker_table::{marker_key, sdk_text};
use crate::config::Config;
use crate::rollup::Item;
use crate::rollup::check::judge::NotApplied;
use crate::rollup::check::ledger::{self, MarkerState, audited, marker_state};
use crate::rollup::check::repair_start::{REPAIRED, RepairStart, repaired_later};
use crate::rollup::model::marker::SEQUENCE_NUMBER;
use crate::rollup::pipeline::delta::{Effect, Retention};
use crate::rollup::pipeline::parse::{Parsed, parse_record};

/// The beginnings of repairs in an idempotency table.
#[derive(Debug)]
pub(super) struct RepairStarts<'a> {
    client: &'a Client,
    config: &'a Config,
    starts: Vec<RepairStart>,
}

/// A record that a replay leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its sequence number.
    pub sequence_number: String,
    /// The views that were repaired after it was created.
    pub views: Vec<String>,
}

/// The source of a replay's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordsFrom {
    /// The stream, in which a repair found the records without a marker.
    Stream,
    /// From anywhere else.
    Elsewhere,
}

/// Maximum concurrent reads of markers.
const READS_AT_ONCE: usize = 8;

/// The records of a replay, divided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DividedRecords {
    /// Those that may be applied.
    pub(super) applicable: Vec<String>,
    /// Those that a later repair may have counted.
    pub(super) refused: Vec<RefusedRecord>,
}

impl<'a> RepairStarts<'a> {
    /// Reads the beginnings of repairs.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(super) async fn read(client: &'a Client, config: &'a Config) -> Result<Self, TableError> {
        let table = &config.idempotency_table;
        let query = client.query().table_name(table).consistent_read(true);
        let query = query.key_condition_expression("#number = :repaired");
        let query = query.expression_attribute_names("#number", SEQUENCE_NUMBER);
        let query = query.expression_attribute_values(":repaired", sdk_text(REPAIRED));
        let items: Result<Vec<_>, _> = query.into_paginator().items().send().try_collect().await;
        let items = items.map_err(|error| TableError::new("read", table, failure_text(&error)))?;
        let starts = items.into_iter().filter_map(|item| RepairStart::read(&Item::from(item))).collect();
        Ok(Self { client, config, starts })
    }

    /// The views that were repaired after `since`, of those that a raw record changes. `None` if the record has no
    /// effect or cannot be applied. Without `since`, the record's creation time is used.
    pub(super) fn repaired_after(&self, raw: &str, since: Option<DateTime<Utc>>) -> Option<RefusedRecord> {
        let (definition, days) = (&self.config.definition, self.config.marker_retention_days);
        let audited = audited(definition, raw, &Retention { days, until: now() })?;
        let created_at = since.or(audited.record.created_at);
        let Effect::Apply(change) = audited.effect else { return None };
        let views = repaired_later(&self.starts, definition, &change.sums(), created_at);
        let views: Vec<String> = views.into_iter().map(str::to_owned).collect();
        (!views.is_empty()).then_some(RefusedRecord { sequence_number: audited.record.head.id.sequence_number, views })
    }

    /// Divides raw records into those that may be applied, and those that a later repair may have counted because it
    /// could not see that they were not applied.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(super) async fn divide(&self, records: Vec<String>, from: RecordsFrom) -> Result<DividedRecords, TableError> {
        let covered = records.iter().map(|raw| async move {
            match self.repaired_after(raw, None) {
                Some(found) if self.was_unseen(raw, from).await? => Ok(Some(found)),
                _ => Ok::<_, TableError>(None),
            }
        });
        let covered: Vec<_> = stream::iter(covered).buffered(READS_AT_ONCE).try_collect().await?;
        let mut divided = DividedRecords::default();
        for (raw, found) in records.into_iter().zip(covered) {
            match found {
                Some(found) => divided.refused.push(found),
                None => divided.applicable.push(raw),
            }
        }
        Ok(divided)
    }

    /// Whether a repair could not see that the record was not applied.
    async fn was_unseen(&self, raw: &str, from: RecordsFrom) -> Result<bool, TableError> {
        let Ok(Parsed::Record(record)) = parse_record(raw) else { return Ok(false) };
        let table = &self.config.idempotency_table;
        let get = self.client.get_item().table_name(table).consistent_read(true);
        let answer = get.set_key(Some(marker_key(&record.head.id).into())).send().await;
        let answer = answer.map_err(|error| TableError::new("read", table, failure_text(&error)))?;
        let marker = answer.item.map(Item::from);
        Ok(match marker_state(marker.as_ref()) {
            MarkerState::Closed => false,
            MarkerState::Pending(NotApplied::Unmarked) => from == RecordsFrom::Elsewhere,
            MarkerState::Pending(NotApplied::Quarantined) => {
                !marker.is_some_and(|marker| ledger::can_be_applied(&marker))
            }
        })
    }
}
