//! Entries that touch several view items each, in transactions of few items that have many entries in common.
//!
//! A transaction holds a marker for each of its entries and an update for each of its items. Where each entry touches an
//! item of two views, say one of 20 customers and one of 50 days, the order of either view's items puts 50 updates beside
//! 49 markers. Nine customers and nine days have 81 entries in common, and take 18 updates.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::filling::Filling;
use crate::rollup::model::definition::Definition;
use crate::rollup::pipeline::coalesce::{Batch, EntryId, ItemId};

/// An item by the number that it had when it was ranked, the largest first; of items with equal numbers, the first
/// item.
type Ranked = (usize, Reverse<ItemId>);

/// The entries that are not in a transaction yet.
struct Left<'b, 'a> {
    batch: &'b Batch<'a>,
    /// Whether an entry is left, by its number.
    unplanned: Vec<bool>,
    /// The entries of each item, and some that are not left any more.
    of_item: Vec<Vec<EntryId>>,
    /// How many entries of each item are left.
    counts: Vec<usize>,
    /// The items by how many entries they had when that was last looked at.
    by_count: BinaryHeap<Ranked>,
}

/// The items of one transaction while they are chosen.
struct Growing {
    /// Whether an item is chosen.
    chosen: Vec<bool>,
    /// Items that an entry still misses, for those that touch a chosen one.
    missing: Vec<Option<usize>>,
    /// The entries that missed so many items at some time.
    by_missing: Vec<BinaryHeap<Reverse<EntryId>>>,
    /// How many entries miss nothing but this item.
    gains: Vec<usize>,
    /// The items by what they gained at some time, and by how many entries they had then.
    by_gain: BinaryHeap<(usize, usize, Reverse<ItemId>)>,
}

/// Distributes entries over transactions. To the items of a transaction, it adds the item that completes most entries.
pub(super) fn plan(definition: &Definition, batch: &Batch<'_>, members: &[EntryId]) -> Vec<Vec<EntryId>> {
    let mut left = Left::new(batch, members);
    let mut transactions = Vec::new();
    // What touches no item at all is a record for quarantine, which is planned alone.
    let mut filling = Filling::new(definition, batch);
    for &member in members.iter().filter(|member| batch[**member].touches().is_empty()) {
        if !filling.takes(member) {
            transactions.push(filling.finish());
            filling.takes(member);
        }
    }
    while let Some(heaviest) = left.heaviest() {
        if !filling.is_empty() {
            transactions.push(filling.finish());
        }
        left.fill(&mut filling, heaviest);
    }
    if !filling.is_empty() {
        transactions.push(filling.finish());
    }
    transactions
}

impl<'b, 'a> Left<'b, 'a> {
    fn new(batch: &'b Batch<'a>, members: &[EntryId]) -> Self {
        let (mut unplanned, mut of_item) = (vec![false; batch.entries.len()], vec![Vec::new(); batch.items.len()]);
        for &member in members {
            unplanned[member.0] = true;
            batch[member].touches().iter().for_each(|item| of_item[item.0].push(member));
        }
        let counts: Vec<usize> = of_item.iter().map(Vec::len).collect();
        let by_count = counts.iter().enumerate().map(|(item, count)| (*count, Reverse(ItemId(item)))).collect();
        Self { batch, unplanned, of_item, counts, by_count }
    }

    /// Fills a transaction, which begins with an item. It takes one entry at least, which is left no longer.
    fn fill(&mut self, filling: &mut Filling<'_, '_>, first: ItemId) {
        let mut growing = Growing::new(self);
        let mut next = Some(first);
        while let Some(item) = next {
            for entry in growing.add(self, item) {
                if !filling.takes(entry) {
                    return;
                }
                self.remove(entry);
            }
            next = growing.next(self).or_else(|| self.heaviest());
        }
    }

    fn remove(&mut self, entry: EntryId) {
        self.unplanned[entry.0] = false;
        self.batch[entry].touches().iter().for_each(|item| self.counts[item.0] -= 1);
    }

    /// The item with most entries; `None` if no entry is left.
    fn heaviest(&mut self) -> Option<ItemId> {
        loop {
            let mut heaviest = self.by_count.peek_mut()?;
            let (count, Reverse(item)) = *heaviest;
            match self.counts[item.0] {
                0 => drop(PeekMut::pop(heaviest)),
                left if left == count => return Some(item),
                left => heaviest.0 = left,
            }
        }
    }
}

impl Growing {
    fn new(left: &Left<'_, '_>) -> Self {
        let (entries, items) = (left.unplanned.len(), left.counts.len());
        Self {
            chosen: vec![false; items],
            missing: vec![None; entries],
            by_missing: Vec::new(),
            gains: vec![0; items],
            by_gain: BinaryHeap::new(),
        }
    }

    /// The item to add next: the one that completes most entries, or otherwise an item of the entry that misses fewest;
    /// `None` if no entry with a chosen item is left.
    fn next(&mut self, left: &Left<'_, '_>) -> Option<ItemId> {
        while let Some((gain, count, Reverse(item))) = self.by_gain.pop() {
            if !self.chosen[item.0] && self.gains[item.0] == gain {
                if left.counts[item.0] == count {
                    return Some(item);
                }
                self.by_gain.push((gain, left.counts[item.0], Reverse(item)));
            }
        }
        for (missing, entries) in self.by_missing.iter_mut().enumerate() {
            while let Some(&Reverse(entry)) = entries.peek() {
                if left.unplanned[entry.0] && self.missing[entry.0] == Some(missing) {
                    return left.batch[entry].touches().iter().copied().find(|item| !self.chosen[item.0]);
                }
                entries.pop();
            }
        }
        None
    }

    /// Adds an item; returns the entries that it completes.
    fn add(&mut self, left: &mut Left<'_, '_>, item: ItemId) -> Vec<EntryId> {
        self.chosen[item.0] = true;
        let mut whole = Vec::new();
        left.of_item[item.0].retain(|entry| left.unplanned[entry.0]);
        for &entry in &left.of_item[item.0] {
            let touches = left.batch[entry].touches();
            let missing = self.missing[entry.0].map_or(touches.len(), |missing| missing) - 1;
            self.missing[entry.0] = Some(missing);
            match missing {
                0 => whole.push(entry),
                1 => self.gain(left, touches),
                _ => {
                    if self.by_missing.len() <= missing {
                        self.by_missing.resize(missing + 1, BinaryHeap::new());
                    }
                    self.by_missing[missing].push(Reverse(entry));
                }
            }
        }
        whole
    }

    /// One more item would complete an entry.
    fn gain(&mut self, left: &Left<'_, '_>, touches: &[ItemId]) {
        if let Some(last) = touches.iter().copied().find(|item| !self.chosen[item.0]) {
            self.gains[last.0] += 1;
            self.by_gain.push((self.gains[last.0], left.counts[last.0], Reverse(last)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

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
    fn records_of_many_views_share_transactions_as_far_as_the_views_allow() {
        let item = |view: usize, n: usize| match view {
            0 => n % 20,
            1 => n / 20,
            _ => (n * (2 * view + 1) + n / 20 * 7 * view) % [20, 50][view % 2],
        };
        // What a search of 60 million moves found was 13, 14, 20 and 34 transactions.
        for (views, most) in [(2, (13, 1_270)), (3, (14, 1_340)), (5, (20, 2_000)), (10, (35, 3_440))] {
            let definition = definition(views);
            let batch = batch(&definition, (0..1_000).map(|n| (0..views).map(|view| item(view, n)).collect()));
            let all: Vec<EntryId> = batch.ids().collect();
            let found = cost(&batch, &plan::plan(&definition, &batch, &all));
            assert!(found <= most && found.1 <= most.1, "{views} views: {found:?}");
        }
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
