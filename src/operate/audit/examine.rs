//! Examines the view items that the first pass does not explain, until their counters and their records are known as of
//! one moment.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::at_once::Moment;
use super::compared::Compared;
use super::error::AuditError;
use super::stream_records::StreamRecords;
use super::table_reader::TableReader;
use crate::operate::clock::pause;
use crate::operate::stop::Stop;
use crate::operate::stream_reader::Reach;
use crate::rollup::check::balance::Balances;
use crate::rollup::check::elimination::{Elimination, Look};
use crate::rollup::check::judge::{ItemVerdict, PendingRecord, StoredCounters, expected, judge};
use crate::rollup::check::recount::SourceTotals;
use crate::rollup::model::change::{Sums, of_views};
use crate::rollup::model::definition::views_of;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{OnMissingViewItem, ROLLUP_VERSION, ViewKey};
use crate::rollup::{AttributeValue, Item};

/// Estimated bytes of the view items that are examined together. The next chunk, which is read at the same time, takes
/// as much again.
const CHUNK_BYTES: usize = 128 * 1024 * 1024;

/// Estimated bytes of a source item in memory, without the contribution, which equal source items share.
const SOURCE_ITEM_BYTES: usize = 256;

/// Estimated bytes of a view item in memory, without its counters and its source items.
const VIEW_ITEM_BYTES: usize = 2 * 1024;

/// Estimated ratio of the memory for a view item's counters to their size in DynamoDB: several copies, each larger than
/// the stored form.
const COUNTERS_SHARE: usize = 16;

/// Joint looks at many view items. An item that changes in all of them is looked at alone, which works while it is
/// written.
const JOINT_LOOKS: usize = 2;

/// Looks at one view item alone before it is reported as unstable.
const LOOKS: usize = 160;

/// A view item that must be examined.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suspect {
    /// The view item's key.
    pub key: ViewKey,
    /// Estimated number of its source items.
    pub source_items: u64,
    /// Estimated size in bytes.
    pub bytes: usize,
}

impl Suspect {
    /// Estimated memory in bytes, without its source items.
    fn at_rest(&self) -> usize {
        self.bytes.saturating_mul(COUNTERS_SHARE).saturating_add(VIEW_ITEM_BYTES)
    }

    /// Estimated memory in bytes, with its source items.
    fn recounted(&self) -> usize {
        let sources = usize::try_from(self.source_items).unwrap_or(usize::MAX).saturating_mul(SOURCE_ITEM_BYTES);
        sources.saturating_add(self.at_rest())
    }
}

/// Divides view items into chunks that fit into memory together with their source items.
#[must_use]
pub fn chunks(suspects: &[Suspect]) -> Vec<&[Suspect]> {
    divided(suspects, Suspect::recounted)
}

/// The same, for view items whose source items are not read again.
#[must_use]
pub(super) fn chunks_at_rest(suspects: &[Suspect]) -> Vec<&[Suspect]> {
    divided(suspects, Suspect::at_rest)
}

fn divided(suspects: &[Suspect], of: fn(&Suspect) -> usize) -> Vec<&[Suspect]> {
    let mut chunks = Vec::new();
    let mut rest = suspects;
    while !rest.is_empty() {
        let mut memory = 0_usize;
        let fits = |suspect: &&Suspect| {
            memory = memory.saturating_add(of(suspect));
            memory <= CHUNK_BYTES
        };
        let many = rest.iter().take_while(fits).count().max(1);
        let (chunk, later) = rest.split_at(many);
        chunks.push(chunk);
        rest = later;
    }
    chunks
}

/// What a command does after each look at a chunk of view items. An audit does nothing; a repair sets counters.
pub trait AfterLook {
    /// Called with view items that have not changed since they were read, as far as is known. Returns those that
    /// another writer has changed, so that they are recounted. Items that were set or changed are removed from `seen`.
    fn at_rest(
        &mut self,
        examiner: &mut Examiner<'_>,
        seen: &mut HashMap<ViewKey, Examined>,
    ) -> impl Future<Output = Result<HashSet<ViewKey>, AuditError>>;

    /// Called with view items that were recounted. Items that were set are looked at again, and `seen` is updated.
    fn after(
        &mut self,
        examiner: &mut Examiner<'_>,
        seen: &mut HashMap<ViewKey, Examined>,
    ) -> impl Future<Output = Result<(), AuditError>>;
}

/// An audit: nothing is done after a look.
pub(in crate::operate) struct OnlyLook;

impl AfterLook for OnlyLook {
    async fn at_rest(
        &mut self,
        _: &mut Examiner<'_>,
        _: &mut HashMap<ViewKey, Examined>,
    ) -> Result<HashSet<ViewKey>, AuditError> {
        Ok(HashSet::new())
    }

    async fn after(&mut self, _: &mut Examiner<'_>, _: &mut HashMap<ViewKey, Examined>) -> Result<(), AuditError> {
        Ok(())
    }
}

/// View items to examine, whose source items were recounted.
pub struct RecountedItems {
    pub(super) keys: Vec<ViewKey>,
    /// When the recount began.
    pub(super) at: Instant,
}

/// A view item as it was at one moment, with everything that explains its counters.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The item; `None` if it is not there.
    pub item: Option<Item>,
    /// The recount of its source items.
    pub truth: SourceTotals,
    /// The records that are not applied.
    pub open: Vec<PendingRecord>,
    /// Of the compared views, those to which it belongs.
    pub views: ViewSet,
    /// The conclusion.
    pub verdict: ItemVerdict,
}

impl Examined {
    fn unstable() -> Self {
        let (truth, open, views) = (SourceTotals::default(), Vec::new(), ViewSet::default());
        Self { item: None, truth, open, views, verdict: ItemVerdict::Unstable }
    }

    /// Whether its counters differ from what the recount and the open records explain.
    #[must_use]
    pub fn is_drifted(&self) -> bool {
        matches!(self.verdict, ItemVerdict::Drifted(_))
    }

    /// The counters that a repair sets: the recount, less the deltas of records that are not applied yet.
    #[must_use]
    pub fn wanted(&self) -> Cow<'_, Sums> {
        of_views(expected(&self.truth.sums, &self.open), self.views)
    }
}

/// What is needed to look at view items.
pub struct Examiner<'a> {
    /// The tables.
    pub(in crate::operate) tables: &'a TableReader,
    /// Which counters are compared.
    pub(super) scope: Compared,
    /// The stream's records.
    pub(super) records: &'a mut StreamRecords,
    /// The sums of the first pass.
    pub(in crate::operate) balances: &'a mut Balances,
    /// How long a write may take to reach the stream.
    pub(super) settle: Duration,
    /// Whether the operator asked to stop, which cuts waits short.
    pub(in crate::operate) stop: &'a Stop,
}

impl Examiner<'_> {
    /// Examines view items that were recounted.
    ///
    /// # Errors
    /// When a table or the stream cannot be read.
    pub(super) async fn examine(
        &mut self,
        recounted: &RecountedItems,
    ) -> Result<HashMap<ViewKey, Examined>, AuditError> {
        let keys = &recounted.keys;
        self.settle(recounted.at).await?;
        let mut examined = self.looks(keys).await?;
        // A difference counts only when it is seen twice: a record may have taken longer than the settling time.
        let drifted = |key: &&ViewKey| examined.get(*key).is_some_and(Examined::is_drifted);
        let suspects: Vec<ViewKey> = keys.iter().filter(drifted).cloned().collect();
        if !suspects.is_empty() && self.records.is_followed() {
            self.settle(Instant::now()).await?;
            examined.extend(self.looks(&suspects).await?);
        }
        Ok(examined)
    }

    /// Waits until the records that were written before `since` have reached the stream, and reads them.
    async fn settle(&mut self, since: Instant) -> Result<(), AuditError> {
        self.wait_for_stream(since).await;
        self.records.catch_up(self.tables, Reach::Thorough).await
    }

    /// Waits until the records that were written before `since` have reached the stream.
    pub(super) async fn wait_for_stream(&self, since: Instant) {
        if self.records.is_followed() {
            self.stop.within(self.settle.saturating_sub(since.elapsed())).await;
        }
    }

    /// Looks until each item was seen unchanged, or often enough to call it unstable.
    async fn looks(&mut self, keys: &[ViewKey]) -> Result<HashMap<ViewKey, Examined>, AuditError> {
        let mut examined = HashMap::new();
        let mut left = keys.to_vec();
        for _ in 0..JOINT_LOOKS {
            if left.is_empty() {
                return Ok(examined);
            }
            examined.extend(self.look(&left).await?);
            left.retain(|key| !examined.contains_key(key));
        }
        for key in left {
            let found = self.look_until_seen(&key).await?;
            examined.insert(key, found.unwrap_or_else(Examined::unstable));
        }
        Ok(examined)
    }

    /// Looks at a view item that may be written all the time, until it is known by how much its counters are off;
    /// `None` if that is still unknown after `LOOKS` looks.
    ///
    /// # Errors
    /// When a table or the stream cannot be read.
    pub async fn look_until_seen(&mut self, key: &ViewKey) -> Result<Option<Examined>, AuditError> {
        let mut elimination = Elimination::default();
        for _ in 0..LOOKS {
            if let Some(found) = self.look_at_once(key, &mut elimination).await? {
                return Ok(Some(found));
            }
            pause().await;
        }
        Ok(None)
    }

    /// One look at view items. Returns those that did not change during the look.
    ///
    /// The order of the reads proves the result. The counters are read first. Every record in them was in the stream
    /// before, so the stream, read next, contains it. Its marker was written with it, so the markers, read after that,
    /// show it. If the item is still the same at the end, nothing was applied in between, and the markers belong to
    /// these counters.
    async fn look(&mut self, keys: &[ViewKey]) -> Result<HashMap<ViewKey, Examined>, AuditError> {
        let before = self.tables.view_items(keys).await?;
        self.records.catch_up(self.tables, Reach::Thorough).await?;
        self.records.look_again(self.tables, keys).await?;
        let after = self.tables.view_items(keys).await?;
        let at_rest = keys.iter().filter(|key| before.get(key) == after.get(key));
        let judged = at_rest.map(|key| {
            let truth = self.records.truth(key).unwrap_or_default();
            (key.clone(), self.judge(key, after.get(key).cloned(), truth, self.records.open.of(key)))
        });
        Ok(judged.collect())
    }

    /// One look at a view item that may be written all the time. The item is known once one possibility is left.
    async fn look_at_once(
        &mut self,
        key: &ViewKey,
        elimination: &mut Elimination,
    ) -> Result<Option<Examined>, AuditError> {
        let Some(Moment { item, open, unsure }) = self.records.at_once(self.tables, key).await? else {
            return Ok(None);
        };
        let truth = self.records.truth(key).unwrap_or_default();
        if unsure.is_empty() {
            return Ok(Some(self.judge(key, item, truth, open)));
        }
        let views = self.views(key, item.as_ref(), &truth, open.iter().chain(&unsure));
        let stored = StoredCounters::read(self.tables.definition(), views, item.as_ref());
        let version = version(item.as_ref());
        let look = Look { version, stored: &stored, truth: &truth.sums, open: &open, unsure: &unsure, views };
        let found = elimination.take(&look);
        Ok(found.map(|more| self.judge(key, item, truth, [open, more].concat())))
    }

    /// The views to which a view item belongs.
    fn views<'r>(
        &self,
        key: &ViewKey,
        item: Option<&Item>,
        truth: &SourceTotals,
        records: impl IntoIterator<Item = &'r PendingRecord>,
    ) -> ViewSet {
        let mut contributing = truth.views;
        for record in records {
            contributing.extend(views_of(&record.sums));
        }
        self.scope.owners(self.tables.definition(), key, item, contributing)
    }

    /// Compares a view item with its recount and its open records.
    pub(super) fn judge(
        &self,
        key: &ViewKey,
        item: Option<Item>,
        truth: SourceTotals,
        open: Vec<PendingRecord>,
    ) -> Examined {
        let views = self.views(key, item.as_ref(), &truth, &open);
        let definition = self.tables.definition();
        let skipped = item.is_none() && definition.on_missing(views) == OnMissingViewItem::Skip;
        let stored = StoredCounters::read(definition, views, item.as_ref());
        let verdict = if skipped { ItemVerdict::Exact } else { judge(&stored, &truth.sums, &open, views) };
        Examined { item, truth, open, views, verdict }
    }
}

fn version(item: Option<&Item>) -> Option<Number> {
    match item?.get(ROLLUP_VERSION)? {
        AttributeValue::N(version) => version.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::rollup::AttributeValue;
    use crate::rollup::model::definition::Definition;
    use crate::rollup::model::view::TableId;

    #[test]
    fn what_does_not_fit_into_memory_together_is_looked_at_apart() {
        const ALL: u64 = (CHUNK_BYTES / SOURCE_ITEM_BYTES) as u64;
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let suspect = |source_items: u64| {
            let key = AttributeValue::S(source_items.to_string());
            let key = definition.own_key(TableId(0), &Item::from(HashMap::from([("MapId".to_owned(), key)]))).unwrap();
            Suspect { key, source_items, bytes: 0 }
        };
        let suspects = [ALL / 2, ALL / 2 - 100, 100, ALL * 4, 0, 3].map(suspect);
        let sizes: Vec<_> = chunks(&suspects).into_iter().map(<[Suspect]>::len).collect();
        assert_eq!(sizes, [2, 1, 1, 2]);
        assert!(chunks(&[]).is_empty());
    }
}
