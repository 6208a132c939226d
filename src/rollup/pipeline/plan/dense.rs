//! Entries that touch several view items each, in transactions of few items that have many entries in common.
//!
//! A transaction holds a marker for each of its entries and an update for each of its items. Where each entry touches an
//! item of two views, say one of 20 customers and one of 50 days, the order of either view's items puts 50 updates beside
//! 49 markers. Nine customers and nine days have 81 entries in common, and take 18 updates.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use super::filling::Filling;
use crate::rollup::model::definition::Definition;
use crate::rollup::pipeline::coalesce::{Batch, EntryId, ItemId};

/// How many entries an item makes whole that is added to the items of a transaction, how many are left of it, and which
/// it is: the first ones first.
type Gain = (usize, usize, Reverse<ItemId>);

/// The entries that are not in a transaction yet.
struct Left<'b, 'a> {
    batch: &'b Batch<'a>,
    entries: BTreeSet<EntryId>,
    of_item: HashMap<ItemId, BTreeSet<EntryId>>,
}

/// The items of one transaction while they are chosen.
#[derive(Default)]
struct Growing {
    items: HashSet<ItemId>,
    /// Items that an entry still misses, for those that touch a chosen one.
    missing: HashMap<EntryId, usize>,
    /// How many entries miss nothing but this item.
    gains: HashMap<ItemId, usize>,
    best: BinaryHeap<Gain>,
}

/// Spreads entries over transactions: to the items of each, the one is added that makes most entries whole.
pub(super) fn plan(definition: &Definition, batch: &Batch<'_>, members: &[EntryId]) -> Vec<Vec<EntryId>> {
    let mut left = Left { batch, entries: members.iter().copied().collect(), of_item: HashMap::new() };
    for &member in members {
        for item in batch[member].touches() {
            left.of_item.entry(*item).or_default().insert(member);
        }
    }
    let mut transactions = Vec::new();
    while !left.entries.is_empty() {
        let transaction = left.fill(definition);
        transactions.push(transaction);
    }
    transactions
}

impl Left<'_, '_> {
    /// The entries of the next transaction, which are left no longer. There is always one.
    fn fill(&mut self, definition: &Definition) -> Vec<EntryId> {
        let batch = self.batch;
        let (mut filling, mut growing) = (Filling::default(), Growing::default());
        while let Some(next) = growing.next(self) {
            for entry in growing.add(self, next) {
                if !filling.takes(definition, batch, &batch[entry]) {
                    return filling.members;
                }
                filling.members.push(entry);
                self.remove(entry);
            }
        }
        // What touches no item at all is a record for quarantine, which is planned alone.
        for entry in self.entries.iter().copied().filter(|entry| batch[*entry].touches().is_empty()).collect::<Vec<_>>()
        {
            if !filling.takes(definition, batch, &batch[entry]) {
                break;
            }
            filling.members.push(entry);
            self.remove(entry);
        }
        filling.members
    }

    fn remove(&mut self, entry: EntryId) {
        self.entries.remove(&entry);
        for item in self.batch[entry].touches() {
            if let Some(entries) = self.of_item.get_mut(item) {
                entries.remove(&entry);
            }
        }
    }

    fn count(&self, item: ItemId) -> usize {
        self.of_item.get(&item).map_or(0, BTreeSet::len)
    }

    fn of(&self, item: ItemId) -> Vec<EntryId> {
        self.of_item.get(&item).into_iter().flatten().copied().collect()
    }

    /// The item with most entries.
    fn heaviest(&self) -> Option<ItemId> {
        let with_entries = self.of_item.iter().filter(|(_, entries)| !entries.is_empty());
        with_entries.map(|(item, entries)| (entries.len(), Reverse(*item))).max().map(|(_, Reverse(item))| item)
    }
}

impl Growing {
    /// The item to add next: the one that makes most entries whole, or else the one with most entries.
    fn next(&mut self, left: &Left<'_, '_>) -> Option<ItemId> {
        while let Some((gain, count, Reverse(item))) = self.best.pop() {
            let is_current = self.gains.get(&item) == Some(&gain) && left.count(item) == count;
            if is_current && !self.items.contains(&item) && gain > 0 {
                return Some(item);
            }
        }
        if self.items.is_empty() {
            return left.heaviest();
        }
        // Nothing is whole with one item more: the entry that misses fewest brings the next one.
        let closest = self.missing.iter().filter(|(entry, _)| left.entries.contains(entry));
        let closest = closest.map(|(entry, missing)| (*missing, *entry)).filter(|(missing, _)| *missing > 0).min();
        match closest {
            Some((_, entry)) => left.batch[entry].touches().iter().copied().find(|item| !self.items.contains(item)),
            None => left.heaviest(),
        }
    }

    /// Adds an item; gives the entries that are whole with it.
    fn add(&mut self, left: &Left<'_, '_>, item: ItemId) -> Vec<EntryId> {
        self.items.insert(item);
        let mut whole = Vec::new();
        for entry in left.of(item) {
            let touches = left.batch[entry].touches();
            let missing = self.missing.entry(entry).or_insert(touches.len());
            *missing -= 1;
            match *missing {
                0 => whole.push(entry),
                1 => {
                    if let Some(last) = touches.iter().copied().find(|touched| !self.items.contains(touched)) {
                        let gain = self.gains.entry(last).or_default();
                        *gain += 1;
                        self.best.push((*gain, left.count(last), Reverse(last)));
                    }
                }
                _ => {}
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::rollup::Item;
    use crate::rollup::model::definition::{Defaults, read};
    use crate::rollup::model::record::{Images, RecordHead, RecordId, StreamRecord};
    use crate::rollup::model::view::OnMissingViewItem;
    use crate::rollup::pipeline::coalesce::{Found, coalesce};
    use crate::rollup::pipeline::delta::{Retention, effect};
    use crate::rollup::pipeline::plan;

    /// So many views, each by an attribute of its own.
    fn definition(views: usize) -> Definition {
        let view = |number: usize| {
            format!(
                r#"{{ "name": "V{number}", "table": "T{number}", "measures": {{ "N": "count" }},
                "key": [{{ "attribute": "Id", "type": "S", "value": "{{A{number}}}" }}] }}"#
            )
        };
        let text = format!(r#"{{ "views": [{}] }}"#, (0..views).map(view).collect::<Vec<_>>().join(","));
        let defaults = Defaults { source_table: "S", view_table: "V", on_missing: OnMissingViewItem::Create };
        read(&text, &defaults).unwrap()
    }

    fn batch(definition: &Definition, records: impl Iterator<Item = Vec<usize>>) -> Batch<'static> {
        let retention = Retention { days: 14, until: DateTime::default() };
        coalesce(records.enumerate().map(|(position, values)| {
            let attributes = values.iter().enumerate();
            let image: serde_json::Map<_, _> =
                attributes.map(|(n, value)| (format!("A{n}"), serde_json::json!({ "S": value.to_string() }))).collect();
            let new: Item = serde_json::from_value(image.into()).unwrap();
            let id = RecordId { sequence_number: position.to_string(), stream: "s".to_owned() };
            let head = RecordHead { id, ..RecordHead::default() };
            let record = StreamRecord {
                head,
                created_at: None,
                unreadable: std::collections::BTreeMap::new(),
                images: Images::Inserted(new),
                raw: "",
            };
            Found::Record(effect(definition, record, &retention))
        }))
    }

    /// Transactions and actions of a plan, which has every entry once.
    fn cost(batch: &Batch<'_>, planned: &[Vec<EntryId>]) -> (usize, usize) {
        let mut all: Vec<EntryId> = planned.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, batch.ids().collect::<Vec<_>>());
        let actions = planned.iter().map(|members| {
            let items: HashSet<ItemId> = members.iter().flat_map(|&member| batch[member].touches()).copied().collect();
            let actions = members.len() + items.len();
            assert!(actions <= 100, "{actions} actions");
            actions
        });
        (planned.len(), actions.sum())
    }

    #[test]
    fn records_of_two_views_share_transactions_in_blocks() {
        let definition = definition(2);
        let batch = batch(&definition, (0..1_000).map(|n| vec![n % 20, n / 20]));
        let all: Vec<EntryId> = batch.ids().collect();
        let (transactions, actions) = cost(&batch, &plan::plan(&definition, &batch, &all));
        let by_item = cost(&batch, &plan::by_item::plan(&definition, &batch, &all));
        // The largest block that fits has 81 entries in common.
        assert!(transactions <= 14 && actions <= 1_300, "{transactions} of {actions} actions; by item {by_item:?}");
        assert!(by_item.0 >= 20, "{by_item:?}");
    }

    #[test]
    fn the_better_of_both_plans_is_taken() {
        let mut random = fastrand::Rng::with_seed(3);
        for views in 1..=4 {
            let definition = definition(views);
            for records in [1, 2, 40, 99, 300] {
                for spread in [1, 2, 7, 30, 400] {
                    let values: Vec<Vec<usize>> =
                        (0..records).map(|_| (0..views).map(|_| random.usize(..spread)).collect()).collect();
                    let batch = batch(&definition, values.into_iter());
                    let all: Vec<EntryId> = batch.ids().collect();
                    let taken = cost(&batch, &plan::plan(&definition, &batch, &all));
                    let by_item = cost(&batch, &plan::by_item::plan(&definition, &batch, &all));
                    let dense = cost(&batch, &plan(&definition, &batch, &all));
                    let best = if views == 1 { by_item } else { by_item.min(dense) };
                    assert_eq!(taken, best, "{views} views, {records} records, {spread}: {by_item:?} {dense:?}");
                }
            }
        }
    }
}
