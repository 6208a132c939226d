//! Changes into transactions, and a transaction into its actions.
//!
//! A planned transaction is a list of entries: all their markers, and one update for each view item that they touch.
//! Its actions follow from that list and from the shapes of the view items, so that planning again, after an answer, is
//! planning with a shorter list or with other shapes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::coalesce::{Batch, Entry, ItemId};
use super::delta::{Change, Counter};
use super::marker::{self, Guard, Stamp};
use super::update::{self, OnMissingViewItem, Shape, Update};
use super::view::{View, ViewKey};
use super::{Item, limits};

/// The actions of one `TransactWriteItems`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transaction {
    /// In the order in which they are sent, and in which their verdicts come back.
    pub actions: Vec<Action>,
}

/// One action of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Put the marker of an entry, unless there is one with its key that it may not replace.
    PutMarker {
        /// The entry.
        entry: usize,
        /// Which one it may replace.
        guard: Guard,
        /// The marker.
        marker: Item,
    },
    /// Update a view item.
    UpdateView {
        /// The view item.
        item: ItemId,
        /// Its key, as attributes.
        key: Item,
        /// The update.
        update: Update,
    },
    /// Check that a view item is not there.
    CheckAbsent {
        /// The view item.
        item: ItemId,
        /// Its key, as attributes.
        key: Item,
        /// The condition.
        check: Update,
    },
}

/// What the actions of a transaction depend on besides its entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The definition.
    pub view: View,
    /// What is done about a view item that is not there.
    pub on_missing: OnMissingViewItem,
    /// Which markers the marker of an applied record may replace.
    pub guard: Guard,
    /// What all markers have in common.
    pub stamp: Stamp,
}

/// Spreads entries over as few transactions as fit into the limits.
///
/// The entries of one view item follow each other, the items with most entries first, so that an item is in two
/// transactions only where one is full.
#[must_use]
pub fn plan(view: &View, batch: &Batch<'_>, members: &[usize]) -> Vec<Vec<usize>> {
    let mut weight: HashMap<ItemId, usize> = HashMap::new();
    for &member in members {
        for item in batch.entries[member].touches() {
            *weight.entry(*item).or_default() += 1;
        }
    }
    let mut ordered = members.to_vec();
    ordered.sort_by_cached_key(|&member| {
        let touches = batch.entries[member].touches().iter();
        touches.map(|item| (Reverse(weight[item]), *item)).collect::<Vec<_>>()
    });

    let mut transactions = Vec::new();
    let mut filling = Filling::default();
    for member in ordered {
        let entry = &batch.entries[member];
        if !filling.takes(view, entry) {
            transactions.push(std::mem::take(&mut filling).members);
            filling.takes(view, entry);
        }
        filling.members.push(member);
    }
    if !filling.members.is_empty() {
        transactions.push(filling.members);
    }
    transactions
}

/// A transaction that is being filled.
#[derive(Default)]
struct Filling<'b> {
    members: Vec<usize>,
    items: HashMap<ItemId, HashSet<&'b Counter>>,
    actions: usize,
    bytes: usize,
}

impl<'b> Filling<'b> {
    /// Makes room for an entry; without an effect when it does not fit. Alone, every entry fits: there is no other place
    /// for it.
    fn takes<'a: 'b>(&mut self, view: &View, entry: &'b Entry<'a>) -> bool {
        let new_items = entry.touches().iter().filter(|item| !self.items.contains_key(item)).count();
        let (actions, bytes) = (self.actions + 1 + new_items, self.bytes + weight(entry));
        let room = match entry {
            Entry::Apply { .. } => limits::TRANSACTION_BYTES,
            Entry::Quarantine(_) => limits::QUARANTINE_TRANSACTION_BYTES,
        };
        let mut fits = self.members.is_empty() || actions <= limits::TRANSACTION_ACTIONS && bytes <= room;
        if let Entry::Apply { change, touches } = entry {
            fits = self.members.is_empty()
                || fits
                    && touches.iter().zip(change.deltas.values()).all(|(item, sums)| {
                        let counters = self.items.get(item);
                        let new =
                            sums.keys().filter(|counter| counters.is_none_or(|known| !known.contains(counter))).count();
                        update::fits(view, counters.map_or(0, HashSet::len) + new)
                    });
            if fits {
                for (item, sums) in touches.iter().zip(change.deltas.values()) {
                    self.items.entry(*item).or_default().extend(sums.keys());
                }
            }
        }
        if fits {
            (self.actions, self.bytes) = (actions, bytes);
        }
        fits
    }
}

/// What an entry weighs in its transaction, in bytes, at the most: its marker, and its part of the updates.
fn weight(entry: &Entry<'_>) -> usize {
    let key_bytes = |key: &ViewKey| key.to_string().len();
    match entry {
        Entry::Apply { change, .. } => {
            let Change { id, event_id, event_name, source_key, deltas, .. } = change;
            let deltas = deltas.iter().map(|(key, sums)| {
                let groups = sums.keys().filter_map(|counter| counter.group.as_ref());
                2 * key_bytes(key) + groups.map(|group| 2 * group.len() + 64).sum::<usize>() + 64 * sums.len()
            });
            let texts = id.sequence_number.len() + id.stream.len() + event_id.len() + event_name.len();
            texts + marker::bytes(source_key) + deltas.sum::<usize>() + limits::ITEM_MARGIN_BYTES
        }
        Entry::Quarantine(poison) => {
            marker::bytes(&poison.source_key) + poison.raw.len().min(limits::ITEM_BYTES) + limits::ITEM_MARGIN_BYTES
        }
    }
}

/// The actions of a transaction: the markers of its entries, then its view items.
#[must_use]
pub fn assemble(setting: &Setting, batch: &Batch<'_>, shapes: &[Shape], members: &[usize]) -> Transaction {
    let Setting { view, on_missing, guard, stamp } = setting;
    let sums = batch.sums(members);
    let skip = |item: &ItemId| *on_missing == OnMissingViewItem::Skip && shapes[item.0] == Shape::Absent;
    let skipped: BTreeSet<&ViewKey> = sums.keys().filter(|item| skip(item)).map(|item| &batch.items[item.0]).collect();
    let markers = members.iter().map(|&entry| match &batch.entries[entry] {
        Entry::Apply { change, .. } => {
            let marker = marker::applied(view, change, |key| !skipped.contains(key), stamp);
            Action::PutMarker { entry, guard: *guard, marker }
        }
        Entry::Quarantine(poison) => {
            Action::PutMarker { entry, guard: Guard::Absent, marker: marker::quarantined(poison, stamp) }
        }
    });
    let views = sums.into_iter().map(|(item, sums)| {
        let key = &batch.items[item.0];
        if skipped.contains(key) {
            Action::CheckAbsent { item, key: view.key_item(key), check: update::still_absent(view) }
        } else {
            let update = update::update(view, &sums, &shapes[item.0], *on_missing);
            Action::UpdateView { item, key: view.key_item(key), update }
        }
    });
    Transaction { actions: markers.chain(views).collect() }
}
