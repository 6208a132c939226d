//! Distributes changes over transactions, and turns a transaction into its actions.
//!
//! A planned transaction is a list of entries: all their markers, and one update for each view item that they touch.
//! The list and the shapes of the view items determine its actions. So to plan again after an answer means to plan with
//! a shorter list or with other shapes.

mod by_item;
mod dense;
mod filling;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::rollup::Item;
use crate::rollup::model::change::Change;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::kept_record::{QuarantinedMarker, possible_parts, quarantined};
use crate::rollup::model::limits;
use crate::rollup::model::marker::{Guard, Marker, Stamp, marker_key};
use crate::rollup::model::poison::Poison;
use crate::rollup::model::view::{OnMissingViewItem, TableId};
use crate::rollup::pipeline::coalesce::{Batch, Entry, EntryId, ItemId};
use crate::rollup::pipeline::update::{self, Update};
use crate::rollup::pipeline::view_item::Shape;

/// The actions of one `TransactWriteItems`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transaction<'a> {
    /// In the order in which they are sent, and in which their verdicts come back.
    pub actions: Vec<Action<'a>>,
}

/// One action of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<'a> {
    /// Put the marker of an entry. It may replace an existing marker only as the guard allows.
    PutMarker {
        /// The entry.
        entry: EntryId,
        /// Which existing marker it may replace.
        guard: Guard,
        /// The marker.
        marker: Marker<'a>,
    },
    /// Put a part of a record that is kept in quarantine. The condition of the marker in the same transaction decides
    /// whether it is written. Its own condition only prevents it from replacing a marker that has this key.
    PutPart {
        /// The entry.
        entry: EntryId,
        /// The part.
        part: Item,
    },
    /// Update why a record stays in quarantine, if its replay failed for another reason than the one in its marker.
    UpdateReason {
        /// The entry.
        entry: EntryId,
        /// The marker's key.
        key: Item,
        /// Why it cannot be applied now.
        reason: String,
    },
    /// Delete a part of a record whose quarantine ends with this transaction. There may be no item with this key.
    DeletePart {
        /// The entry.
        entry: EntryId,
        /// The part's key.
        key: Item,
    },
    /// Update a view item.
    UpdateView {
        /// The view item.
        item: ItemId,
        /// Its table.
        table: TableId,
        /// Its key, as attributes.
        key: Item,
        /// The update.
        update: Update,
    },
    /// Check that a view item does not exist.
    CheckAbsent {
        /// The view item.
        item: ItemId,
        /// Its table.
        table: TableId,
        /// Its key, as attributes.
        key: Item,
        /// The condition.
        check: Update,
    },
}

/// What the actions of a transaction depend on in addition to its entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting<'d> {
    /// The definition.
    pub definition: &'d Definition,
    /// Which markers the marker of an applied record may replace.
    pub guard: Guard,
    /// What all markers have in common.
    pub stamp: Stamp,
}

/// Distributes entries over as few transactions as the limits allow.
///
/// If no entry touches several view items, only the order of the items matters. Otherwise there are two plans, and the
/// one with fewer transactions is taken; with as many transactions, the one with fewer updates.
#[must_use]
pub fn plan(definition: &Definition, batch: &Batch<'_>, members: &[EntryId]) -> Vec<Vec<EntryId>> {
    let by_item = by_item::plan(definition, batch, members);
    if by_item.len() < 2 || members.iter().all(|&member| batch[member].touches().len() < 2) {
        return by_item;
    }
    let dense = dense::plan(definition, batch, members);
    if cost(batch, &dense) < cost(batch, &by_item) { dense } else { by_item }
}

/// The number of transactions of a plan, and of updates.
fn cost(batch: &Batch<'_>, planned: &[Vec<EntryId>]) -> (usize, usize) {
    let items = |members: &Vec<EntryId>| {
        let mut items: Vec<ItemId> = members.iter().flat_map(|&member| batch[member].touches()).copied().collect();
        items.sort_unstable();
        items.dedup();
        items.len()
    };
    (planned.len(), planned.iter().map(items).sum())
}

/// The actions of a transaction: the markers of its entries, each with the parts of its record, then its view items.
#[must_use]
pub fn assemble<'s>(
    setting: &'s Setting<'_>,
    batch: &Batch<'s>,
    shapes: &[Shape],
    members: &[EntryId],
) -> Transaction<'s> {
    let Setting { definition, guard, stamp } = setting;
    let sums = batch.sums(members);
    let skip = |item: &ItemId| {
        shapes[item.0] == Shape::Absent && definition.on_missing(batch[*item].views) == OnMissingViewItem::Skip
    };
    let skipped = sums.keys().filter(|item| skip(item)).map(|item| batch[*item].key.clone());
    let left_alone = Arc::new(skipped.collect::<BTreeSet<_>>());
    // A record with nearly as many view items as a transaction has actions leaves no room for all of them. What stays of
    // it only takes room in the table.
    let mut deletes = limits::TRANSACTION_ACTIONS.saturating_sub(members.len() + sums.len());
    let mut actions = Vec::with_capacity(members.len() + sums.len());
    for &entry in members {
        match &batch[entry] {
            Entry::Apply { change, .. } => {
                let (change, left_alone) = (Arc::clone(change), Arc::clone(&left_alone));
                let ended = ended_parts(*guard, entry, &change).into_iter().take(deletes);
                let marker = Marker::Applied { change, left_alone, definition, stamp };
                actions.push(Action::PutMarker { entry, guard: *guard, marker });
                deletes -= ended.len();
                actions.extend(ended);
            }
            Entry::Quarantine(poison) => actions.extend(quarantine(setting, entry, poison)),
        }
    }
    let views = sums.into_iter().map(|(item, sums)| {
        let touched = &batch[item];
        let (table, key) = (touched.key.table, definition.key_item(&touched.key));
        if left_alone.contains(&touched.key) {
            Action::CheckAbsent { item, table, key, check: update::still_absent(&definition[table]) }
        } else {
            Action::UpdateView { item, table, key, update: update::update(definition, touched, &sums, &shapes[item.0]) }
        }
    });
    actions.extend(views);
    Transaction { actions }
}

/// Deletes the parts in which a record may have been kept, if its quarantine may end with its marker.
fn ended_parts<'a>(guard: Guard, entry: EntryId, change: &Change<'_>) -> Vec<Action<'a>> {
    if guard == Guard::Absent {
        return Vec::new();
    }
    possible_parts(&change.head.id, change.raw).into_iter().map(|key| Action::DeletePart { entry, key }).collect()
}

/// The actions that put a record into quarantine, or that say why it stays there.
fn quarantine<'a>(setting: &Setting<'_>, entry: EntryId, poison: &Poison<'_>) -> Vec<Action<'a>> {
    if setting.guard == Guard::Quarantined {
        let (key, reason) = (marker_key(&poison.marker_id()), poison.reason.to_string());
        return vec![Action::UpdateReason { entry, key, reason }];
    }
    let QuarantinedMarker { marker, parts } = quarantined(setting.definition, poison, &setting.stamp);
    let marker = Action::PutMarker { entry, guard: Guard::Absent, marker: Marker::Item(marker) };
    std::iter::once(marker).chain(parts.into_iter().map(|part| Action::PutPart { entry, part })).collect()
}
