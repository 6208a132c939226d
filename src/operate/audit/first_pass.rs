//! The pass over the tables that separates exact view items from those to examine.

use std::cell::RefCell;
use std::collections::HashSet;

use rayon::slice::ParallelSliceMut;
use tokio::time::Instant;

use super::Audit;
use super::error::AuditError;
use super::examine::Suspect;
use super::item_sizes::ItemSizes;
use super::ledger;
use super::uncountable::UncountableItem;
use crate::operate::clock::now;
use crate::operate::progress::Progress;
use crate::operate::stream_reader::{Reach, ReadToEnd};
use crate::rollup::Item;
use crate::rollup::check::balance::{Balance, Balances, StoredItem};
use crate::rollup::check::judge::{Orphans, StoredCounters};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::poison::Image;
use crate::rollup::model::view::{OnMissingViewItem, TableId, ViewKey};
use crate::rollup::pipeline::contribution::{Contribution, contribution};

impl Audit {
    /// Reads the tables and returns the view items to examine alone.
    pub(in crate::operate) async fn first_pass(&mut self) -> Result<Vec<Suspect>, AuditError> {
        // A shard without a record needs a wait, so the tables are read during it. Records that arrive in the meantime
        // count as written during the pass.
        let mut reading = self.records.read_history(&self.tables).await?;
        if let Some(key) = self.only.clone() {
            if let Some(reading) = &mut reading {
                self.records.read_on(&self.tables, reading).await?;
            }
            self.records.recounts_begin();
            return Ok(vec![Suspect { key, source_items: 0, bytes: 0 }]);
        }
        self.records.recounts_begin();

        Box::pin(self.read_tables(reading)).await?;
        let mut unsettled = std::mem::take(&mut self.records.touched);
        unsettled.extend(self.records.open.items().cloned());
        unsettled.retain(|key| self.wants(key));
        loop {
            let suspects = self.sort_out(&unsettled);
            // An open older record may concern further view items, whose counters equal the recount although they
            // should not.
            let keys: HashSet<ViewKey> = suspects.iter().map(|suspect| suspect.key.clone()).collect();
            let mut more = self.records.look_back(&self.tables, &keys).await?;
            more.retain(|key| self.wants(key));
            if more.is_empty() {
                self.balances.keep(|key| keys.contains(key));
                return Ok(suspects);
            }
            unsettled.extend(more);
        }
    }

    /// Reads all tables while the reading of the stream ends: sums up the source items and adds the view items.
    async fn read_tables(&mut self, mut reading: Option<ReadToEnd>) -> Result<(), AuditError> {
        let balances = RefCell::new(Balances::of_slice(self.slice));
        let (mut unreadable, mut uncountable) = (0, Vec::new());
        let progress = Progress::reading("source items", self.tables.source.items);
        let Self { tables, records, .. } = &mut *self;
        let (definition, source_key) = (tables.definition().clone(), tables.source.key.clone());
        let prepare = move |item| SourceItem::of(&definition, &source_key, &item);
        let sources = tables.sources(Some(&progress), prepare, |item| match item {
            Some(SourceItem { contribution, uncountable: of_item }) => {
                balances.borrow_mut().add_source(&contribution);
                uncountable.extend(of_item);
            }
            None => unreadable += 1,
        });
        let definition = tables.definition().clone();
        let prepare = move |table, item| StoredViewItem::of(&definition, table, &item);
        let views = tables.views(prepare, |item| {
            if let Some(StoredViewItem { key, counters, stored }) = item {
                balances.borrow_mut().add_stored(&key, &counters, stored);
            }
        });
        let ledger = ledger::read(tables, now());
        let stream = async {
            match &mut reading {
                Some(reading) => records.read_on(tables, reading).await,
                None => Ok(()),
            }
        };
        let read = async {
            let ((), (), ledger) = Box::pin(futures_util::future::try_join3(sources, views, ledger)).await?;
            Ok::<_, AuditError>((ledger, Instant::now()))
        };
        let ((ledger, read_at), ()) = Box::pin(futures_util::future::try_join(read, stream)).await?;
        progress.finish();
        self.seen_at = read_at;
        self.ledger = ledger;
        self.take_quarantined();
        self.records.catch_up(&self.tables, Reach::Thorough).await?;
        self.unreadable = unreadable;
        self.uncountable = uncountable;
        self.balances = balances.into_inner();
        Ok(())
    }

    /// Counts as exact the view items that are equal and were not written during the pass; returns the others.
    fn sort_out(&mut self, unsettled: &HashSet<ViewKey>) -> Vec<Suspect> {
        let balances = &self.balances;
        (self.equal, self.sources, self.sizes) = (0, 0, ItemSizes::default());
        (self.orphans, self.others) = (Orphans::default(), Vec::new());
        let definition = self.tables.definition().clone();
        let nothing = Balance::default();
        let mut suspects = Vec::new();
        let mut keys: Vec<&ViewKey> = balances.keys().chain(unsettled).collect();
        keys.par_sort_unstable();
        keys.dedup();
        for key in keys {
            let balance = balances.of(key).unwrap_or(&nothing);
            self.sources += balance.sources;
            let unsettled = unsettled.contains(key);
            let has_version = balance.stored.is_some_and(|stored| stored.has_version);
            let views = self.compared.owners_of(&definition, key, has_version, balance.contributing);
            let is_owned = !views.is_empty();
            match balance.stored {
                None if balance.sources > 0 => self.orphans.without_view_item.push(key.clone()),
                Some(stored) if balance.sources == 0 && stored.has_counters && is_owned => {
                    self.orphans.without_sources.push(key.clone());
                }
                Some(stored) if stored.has_counters && !is_owned && !unsettled => {
                    self.others.push(key.clone());
                    continue;
                }
                _ => {}
            }
            let skip = || definition.on_missing(balance.contributing) == OnMissingViewItem::Skip;
            if balance.stored.is_none() && (balance.sources == 0 && !unsettled || balance.sources > 0 && skip()) {
                continue;
            }
            if balances.differs(balance, views) || unsettled {
                let bytes = balance.stored.map_or(0, |stored| stored.bytes);
                suspects.push(Suspect { key: key.clone(), source_items: balance.sources, bytes });
            } else {
                self.equal += 1;
                let stored = balance.stored.unwrap_or_default();
                self.sizes.note(key, views, stored.bytes, stored.zero_groups);
            }
        }
        suspects
    }
}

/// What a source item adds to the recount.
struct SourceItem {
    contribution: Contribution,
    uncountable: Vec<UncountableItem>,
}

impl SourceItem {
    /// `None` if the item cannot be read.
    fn of(definition: &Definition, source_key: &[String], item: &Item) -> Option<Self> {
        let contribution = contribution(definition, Image::New, item).ok()?;
        let uncountable = contribution.uncountable.iter().map(|(view, reason)| {
            let view = definition[*view].name();
            UncountableItem::new(view, source_key, item, reason)
        });
        Some(Self { uncountable: uncountable.collect(), contribution })
    }
}

/// A view item as it is stored.
struct StoredViewItem {
    key: ViewKey,
    counters: StoredCounters,
    stored: StoredItem,
}

impl StoredViewItem {
    /// `None` if the item is no view item. In a table that is both source and view table, an item without an attribute
    /// of a view is a source item.
    fn of(definition: &Definition, table: TableId, item: &Item) -> Option<Self> {
        let key = definition.own_key(table, item).ok()?;
        let views = definition.fitting(&key);
        let counters = StoredCounters::read(definition, views, Some(item));
        let is_taken = !views.is_empty() && (counters.has_counters || !definition.is_source(table));
        is_taken.then(|| Self { stored: StoredItem::of(definition, views, item), counters, key })
    }
}
