//! Finds the markers in quarantine, oldest first.
//!
//! The index is read at the cost of what is in quarantine. Its 16 partitions are read in parallel, page by page, and
//! merged. Without the index, the whole table is read.

use std::collections::{BTreeSet, HashMap, btree_set};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue as SdkValue;
use futures_util::future::try_join_all;
use tracing::warn;

use super::filter::Filter;
use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::{QUARANTINE_INDEX_USABLE, attribute_text, quarantine_index, record_id, sdk_text};
use crate::rollup::Item;
use crate::rollup::model::marker::{MarkerOutcome, OUTCOME, REASON, RECORDED_AT, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::quarantine_index::{IN_QUARANTINE, INDEX, partitions};
use crate::rollup::model::record::RecordId;

/// The most entries in one answer of a partition. All 16 partitions together hold 16 times as many in memory.
const PAGE_ENTRIES: i32 = 250;

/// A marker in quarantine, in the order of listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// When the marker was written, as it says.
    recorded_at: String,
    /// The record's id.
    pub(super) id: RecordId,
}

impl Entry {
    fn read(marker: &Item) -> Option<Self> {
        let recorded_at = attribute_text(marker, RECORDED_AT).unwrap_or_default().to_owned();
        Some(Self { recorded_at, id: record_id(marker)? })
    }
}

/// The markers in quarantine that a filter lets through.
pub(super) enum Entries {
    /// Read from the index.
    Index(IndexReader),
    /// Read from the whole table; only their keys are kept.
    Table(btree_set::IntoIter<Entry>),
}

impl Entries {
    /// Starts reading: from the index if it can be used, otherwise from the table.
    pub(super) async fn begin(client: &Client, table: &str, filter: &Filter) -> Result<Self, TableError> {
        let described = client.describe_table().table_name(table).send().await;
        let described = described.map_err(|error| TableError::new("describe", table, failure_text(&error)))?;
        let index = described.table.as_ref().map(quarantine_index).unwrap_or_default();
        let reader = Reader { client: client.clone(), table: table.to_owned(), filter: filter.clone() };
        if index == QUARANTINE_INDEX_USABLE {
            let partitions = partitions().map(|value| Partition { value, ..Partition::default() }).collect();
            return Ok(Self::Index(IndexReader { reader, partitions }));
        }
        warn!(
            table,
            index,
            "the table has no usable index {INDEX}, so the whole table is read; `ddb-rollup deploy-check` with the same options shows what is missing"
        );
        Ok(Self::Table(reader.scan().await?.into_iter()))
    }

    /// The next marker; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, TableError> {
        match self {
            Self::Index(index) => index.next().await,
            Self::Table(entries) => Ok(entries.next()),
        }
    }
}

/// An idempotency table, and the filter for its markers.
struct Reader {
    client: Client,
    table: String,
    filter: Filter,
}

impl Reader {
    fn error(&self, cause: String) -> TableError {
        TableError::new("read", &self.table, cause)
    }

    fn wanted(&self, markers: Vec<HashMap<String, SdkValue>>) -> impl Iterator<Item = Entry> {
        let markers = markers.into_iter().map(Item::from).filter(|marker| self.filter.lets_through(marker));
        markers.filter_map(|marker| Entry::read(&marker))
    }

    async fn scan(&self) -> Result<BTreeSet<Entry>, TableError> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .filter_expression("#outcome = :quarantined")
            .projection_expression("#number, #stream, #at, #reason")
            .expression_attribute_names("#outcome", OUTCOME)
            .expression_attribute_names("#number", SEQUENCE_NUMBER)
            .expression_attribute_names("#stream", STREAM)
            .expression_attribute_names("#at", RECORDED_AT)
            .expression_attribute_names("#reason", REASON)
            .expression_attribute_values(":quarantined", sdk_text(MarkerOutcome::Quarantined.as_str()))
            .into_paginator()
            .send();
        let mut entries = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error(failure_text(&error)))?;
            entries.extend(self.wanted(page.items.unwrap_or_default()));
        }
        Ok(entries)
    }
}

/// Reads the index.
pub(super) struct IndexReader {
    reader: Reader,
    partitions: Vec<Partition>,
}

impl IndexReader {
    async fn next(&mut self) -> Result<Option<Entry>, TableError> {
        let Self { reader, partitions } = self;
        try_join_all(partitions.iter_mut().map(|partition| partition.fill(reader))).await?;
        let first = partitions.iter_mut().filter(|partition| !partition.waiting.is_empty());
        let first = first.min_by(|one, other| one.waiting.first().cmp(&other.waiting.first()));
        Ok(first.and_then(|partition| partition.waiting.pop_first()))
    }
}

/// A partition of the index that is being read.
#[derive(Default)]
struct Partition {
    value: String,
    waiting: BTreeSet<Entry>,
    /// The position up to which it was read.
    progress: Progress,
}

#[derive(Default)]
enum Progress {
    #[default]
    Unread,
    /// Up to the marker with this key and this time.
    Until {
        key: HashMap<String, SdkValue>,
        recorded_at: String,
    },
    AtEnd,
}

impl Partition {
    /// Whether its first entry precedes all entries that are not read yet. Entries with the same time are in no
    /// particular order, and all entries of one batch have the same time.
    fn is_ready(&self) -> bool {
        match &self.progress {
            Progress::Unread => false,
            Progress::Until { recorded_at, .. } => {
                self.waiting.first().is_some_and(|first| first.recorded_at < *recorded_at)
            }
            Progress::AtEnd => true,
        }
    }

    async fn fill(&mut self, reader: &Reader) -> Result<(), TableError> {
        while !self.is_ready() {
            let from = match std::mem::take(&mut self.progress) {
                Progress::Until { key, .. } => Some(key),
                Progress::Unread | Progress::AtEnd => None,
            };
            let page = reader
                .client
                .query()
                .table_name(&reader.table)
                .index_name(INDEX)
                .key_condition_expression("#in = :partition")
                .expression_attribute_names("#in", IN_QUARANTINE)
                .expression_attribute_values(":partition", sdk_text(&self.value))
                .set_exclusive_start_key(from)
                .limit(PAGE_ENTRIES)
                .send()
                .await
                .map_err(|error| reader.error(failure_text(&error)))?;
            self.progress = match page.last_evaluated_key {
                Some(key) => {
                    let last = Item::from(key.clone());
                    let recorded_at = attribute_text(&last, RECORDED_AT).unwrap_or_default().to_owned();
                    Progress::Until { key, recorded_at }
                }
                None => Progress::AtEnd,
            };
            self.waiting.extend(reader.wanted(page.items.unwrap_or_default()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_time_wait_until_all_of_them_are_there() {
        let until = |recorded_at: &str| Progress::Until { key: HashMap::new(), recorded_at: recorded_at.to_owned() };
        for (progress, ready) in
            [(Progress::Unread, false), (until("1"), false), (until("2"), true), (Progress::AtEnd, true)]
        {
            let entry = Entry { recorded_at: "1".to_owned(), id: RecordId::default() };
            let partition = Partition { value: String::new(), waiting: [entry].into(), progress };
            assert_eq!(partition.is_ready(), ready);
        }
        let nothing = Partition { progress: until("2"), ..Partition::default() };
        assert!(!nothing.is_ready(), "what a filter leaves of a page may be nothing");
    }
}
