//! The records that are not in the counters and may be added later, by view item.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::operate::sequence::order;
use crate::rollup::Item;
use crate::rollup::check::judge::{NotApplied, PendingRecord};
use crate::rollup::check::ledger::{self, MarkerState, OpenEffect};
use crate::rollup::model::change::Sums;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;

/// A record that is not in the counters.
#[derive(Debug)]
pub(super) struct OpenRecord {
    /// Why it is not in the counters.
    pub(super) waiting: NotApplied,
    /// When it was written, if that is known.
    pub(super) created_at: Option<DateTime<Utc>>,
    /// What it will add, to which view items.
    pub(super) effect: OpenEffect,
}

/// Records in quarantine, by whether they can be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuarantinedKind {
    /// They can be applied once their cause is fixed.
    Applicable,
    /// They can never be applied.
    Inapplicable,
}

/// The records that are not in the counters.
#[derive(Debug, Default)]
pub(super) struct OpenRecords {
    records: HashMap<RecordId, OpenRecord>,
    of_items: HashMap<ViewKey, BTreeSet<RecordId>>,
}

impl OpenRecords {
    /// Adds a record that is not in the counters.
    pub(super) fn add(&mut self, id: RecordId, record: OpenRecord) {
        for item in &record.effect.items {
            self.of_items.entry(item.clone()).or_default().insert(id.clone());
        }
        self.records.insert(id, record);
    }

    /// Updates records from their markers, and returns how many have been applied since.
    pub(super) fn update(&mut self, ids: &[RecordId], markers: &HashMap<RecordId, Item>) -> usize {
        let mut closed = 0;
        for id in ids {
            match ledger::marker_state(markers.get(id)) {
                MarkerState::Pending(waiting) => {
                    if let Some(record) = self.records.get_mut(id) {
                        record.waiting = waiting;
                    }
                }
                MarkerState::Closed => {
                    self.remove(id);
                    closed += 1;
                }
            }
        }
        closed
    }

    /// Removes a record.
    pub(super) fn remove(&mut self, id: &RecordId) {
        let Some(record) = self.records.remove(id) else { return };
        for item in &record.effect.items {
            if let Some(ids) = self.of_items.get_mut(item) {
                ids.remove(id);
                if ids.is_empty() {
                    self.of_items.remove(item);
                }
            }
        }
    }

    /// The open records of these view items, each once.
    pub(super) fn ids_of(&self, keys: &[ViewKey]) -> Vec<RecordId> {
        let ids: BTreeSet<&RecordId> = keys.iter().filter_map(|key| self.of_items.get(key)).flatten().collect();
        ids.into_iter().cloned().collect()
    }

    /// The open records of one view item, oldest first, because those are applied next.
    pub(super) fn oldest_first(&self, key: &ViewKey) -> Vec<RecordId> {
        let mut ids: Vec<RecordId> = self.of_items.get(key).into_iter().flatten().cloned().collect();
        ids.sort_by(|a, b| order(&a.sequence_number).cmp(&order(&b.sequence_number)));
        ids
    }

    /// The open records of one view item, in the form that the verdict needs.
    pub(super) fn of(&self, key: &ViewKey) -> Vec<PendingRecord> {
        let ids = self.of_items.get(key).into_iter().flatten();
        let open = ids.filter_map(|id| {
            let record = self.records.get(id)?;
            let sums = record.effect.deltas.get(key).cloned().unwrap_or_else(Sums::new);
            Some(PendingRecord { id: id.clone(), waiting: record.waiting, sums })
        });
        open.collect()
    }

    /// The records in quarantine of this kind that concern one of these view items, oldest first.
    pub(super) fn in_quarantine(&self, kind: QuarantinedKind, of: impl Fn(&ViewKey) -> bool) -> Vec<RecordId> {
        let wanted = |record: &OpenRecord| {
            let effect = &record.effect;
            record.waiting == NotApplied::Quarantined
                && effect.deltas.is_empty() == (kind == QuarantinedKind::Inapplicable)
                && (effect.items.is_empty() || effect.items.iter().any(&of))
        };
        let wanted = self.records.iter().filter(|(_, record)| wanted(record));
        let mut ids: Vec<RecordId> = wanted.map(|(id, _)| id.clone()).collect();
        ids.sort_by(|a, b| order(&a.sequence_number).cmp(&order(&b.sequence_number)));
        ids
    }

    /// The view items that a record concerns.
    pub(super) fn items_of(&self, id: &RecordId) -> impl Iterator<Item = &ViewKey> {
        self.records.get(id).into_iter().flat_map(|record| &record.effect.items)
    }

    /// The view items that any open record concerns.
    pub(super) fn items(&self) -> impl Iterator<Item = &ViewKey> {
        self.of_items.keys()
    }

    /// When the oldest record without a marker was written.
    pub(super) fn oldest_unmarked(&self) -> Option<DateTime<Utc>> {
        let unmarked = self.records.values().filter(|record| record.waiting == NotApplied::Unmarked);
        unmarked.filter_map(|record| record.created_at).min()
    }

    /// Number of records in quarantine: of one view item, or of those whose first view item, if any, passes the filter.
    pub(super) fn quarantined(&self, of: Option<&ViewKey>, first: impl Fn(Option<&ViewKey>) -> bool) -> usize {
        let is_wanted = |record: &OpenRecord| match of {
            Some(key) => record.effect.items.contains(key),
            None => first(record.effect.items.first()),
        };
        let wanted = |record: &&OpenRecord| record.waiting == NotApplied::Quarantined && is_wanted(record);
        self.records.values().filter(wanted).count()
    }
}
