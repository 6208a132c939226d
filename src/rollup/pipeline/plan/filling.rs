//! One transaction while it is being filled.

use std::collections::HashSet;

use crate::rollup::model::change::{Amounts, Counter};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::expression_size::{WrittenAttributes, update_fits};
use crate::rollup::model::limits;
use crate::rollup::model::sorted_map::SortedMap;
use crate::rollup::pipeline::coalesce::{Batch, Entry, EntryId, ItemId};
use crate::rollup::pipeline::update;

/// A transaction that is being filled.
pub(super) struct Filling<'p, 'a> {
    definition: &'p Definition,
    batch: &'p Batch<'a>,
    members: Vec<EntryId>,
    items: SortedMap<ItemId, UpdateSize>,
    actions: usize,
    bytes: usize,
}

/// How much of an update is taken.
#[derive(Debug, Clone, Copy)]
struct UpdateSize {
    written: WrittenAttributes,
    /// Its counters, or more than that: entries that add to the same one are only told apart where it matters.
    counters_at_most: usize,
}

impl<'p, 'a> Filling<'p, 'a> {
    /// An empty one.
    pub(super) fn new(definition: &'p Definition, batch: &'p Batch<'a>) -> Self {
        Self { definition, batch, members: Vec::new(), items: SortedMap::new(), actions: 0, bytes: 0 }
    }

    /// Its entries so far. It is empty again.
    pub(super) fn finish(&mut self) -> Vec<EntryId> {
        std::mem::replace(self, Self::new(self.definition, self.batch)).members
    }

    /// Whether it has no entry yet.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Actions that it can still take; all of them as long as it is empty.
    pub(super) fn room(&self) -> usize {
        limits::TRANSACTION_ACTIONS.saturating_sub(self.actions)
    }

    /// The actions that entries on these view items are here, which put so many items of the idempotency table.
    pub(super) fn needed(&self, touches: &[ItemId], puts: usize) -> usize {
        puts + touches.iter().filter(|item| !self.items.contains_key(*item)).count()
    }

    /// Takes an entry; without an effect when it does not fit. Alone, every entry fits: there is no other place for it.
    pub(super) fn takes(&mut self, member: EntryId) -> bool {
        let entry = &self.batch[member];
        let size = entry.size();
        let actions = self.actions + self.needed(entry.touches(), size.actions);
        let bytes = self.bytes + size.bytes;
        let room = match entry {
            Entry::Apply { .. } => limits::TRANSACTION_BYTES,
            Entry::Quarantine(_) => limits::QUARANTINE_TRANSACTION_BYTES,
        };
        let fits =
            self.is_empty() || actions <= limits::TRANSACTION_ACTIONS && bytes <= room && self.updates_have_room(entry);
        if fits {
            (self.actions, self.bytes) = (actions, bytes);
            self.members.push(member);
            for (item, amounts) in added(entry) {
                self.update_size(item).counters_at_most += amounts.len();
            }
        }
        fits
    }

    /// Whether the update of each view item of an entry takes the counters that it adds.
    fn updates_have_room(&mut self, entry: &Entry<'_>) -> bool {
        added(entry).all(|(item, amounts)| {
            let Some(&UpdateSize { written, counters_at_most }) = self.items.get(&item) else { return true };
            if update_fits(written, counters_at_most + amounts.len()) {
                return true;
            }
            let counters = self.counters(item);
            let new = amounts.keys().filter(|counter| !counters.contains(counter)).count();
            let counters = counters.len();
            self.update_size(item).counters_at_most = counters;
            update_fits(written, counters + new)
        })
    }

    /// The counters of a view item that its entries add to.
    fn counters(&self, item: ItemId) -> HashSet<&'p Counter> {
        let of_member = |member: &EntryId| added(&self.batch[*member]).filter(|(touched, _)| *touched == item);
        self.members.iter().flat_map(of_member).flat_map(|(_, amounts)| amounts.keys()).collect()
    }

    fn update_size(&mut self, item: ItemId) -> &mut UpdateSize {
        let (definition, batch) = (self.definition, self.batch);
        let empty = || UpdateSize { written: update::written(definition, batch[item].views), counters_at_most: 0 };
        self.items.or_insert_with(item, empty)
    }
}

/// What an entry adds to which view item.
fn added<'e>(entry: &'e Entry<'_>) -> impl Iterator<Item = (ItemId, &'e Amounts)> {
    let added = match entry {
        Entry::Apply { change, touches, .. } => Some(touches.iter().copied().zip(change.deltas.values())),
        Entry::Quarantine(_) => None,
    };
    added.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chrono::DateTime;

    use super::*;
    use crate::rollup::model::item_size;
    use crate::rollup::model::marker::{Guard, Stamp};
    use crate::rollup::model::poison::{Poison, Reason};
    use crate::rollup::model::record::{Images, RecordHead, RecordId, StreamRecord};
    use crate::rollup::model::view::{KeyPart, KeyType, Measure, View};
    use crate::rollup::pipeline::coalesce::{Found, coalesce};
    use crate::rollup::pipeline::delta::{Effect, Retention, effect};
    use crate::rollup::pipeline::plan::{Action, Setting, assemble};
    use crate::rollup::pipeline::view_item::Shape;
    use crate::rollup::{AttributeValue, Item};

    fn item(attributes: impl IntoIterator<Item = (String, String)>) -> Item {
        let attributes = attributes.into_iter().map(|(name, text)| (name, AttributeValue::S(text)));
        Item::from(attributes.collect::<HashMap<_, _>>())
    }

    /// A view of so many measures by an attribute of their own each, and so many without one.
    fn definition(grouped: usize, plain: usize) -> Definition {
        let key = KeyPart::attribute("MapId", KeyType::S);
        let measure = |n| {
            let words = if n < grouped { format!("count by By{n}") } else { "count".to_owned() };
            Measure::parse(format!("Measure{n}"), &words).unwrap()
        };
        let view = View::new("Point", "Map", None, vec![key], (0..grouped + plain).map(measure).collect());
        Definition::new(vec![view.unwrap()]).unwrap()
    }

    fn id(bytes: usize) -> RecordId {
        RecordId { sequence_number: "1".repeat(bytes), stream: "s".repeat(bytes) }
    }

    /// The weight of a move between two view items, and what it really has: keys and groups of so many bytes.
    fn moved(definition: &Definition, [map, group, id_bytes]: [usize; 3]) -> (usize, usize) {
        let groups = definition.grouped(definition.all()).count();
        let image = |letter: &str| {
            let groups = (0..groups).map(|n| (format!("By{n}"), format!("{n:02}{}", letter.repeat(group))));
            item(groups.chain([("MapId".to_owned(), letter.repeat(map))]))
        };
        let record = StreamRecord {
            head: RecordHead {
                id: id(id_bytes),
                event_id: "e".repeat(id_bytes),
                event_name: "n".repeat(id_bytes),
                source_key: item([("Id".to_owned(), "k".repeat(id_bytes))]),
                digest: None,
            },
            created_at: None,
            unreadable: std::collections::BTreeMap::new(),
            images: Images::Modified { old: image("a"), new: image("b") },
            raw: "",
        };
        let retention = Retention { days: 14, until: DateTime::default() };
        let batch = coalesce([Found::Record(effect(definition, record, &retention))]);
        let stamp = Stamp::new(DateTime::default(), "request", 14);
        let setting = Setting { definition, guard: Guard::Absent, stamp };
        let shapes = vec![Shape::Complete; batch.items.len()];
        let action_bytes = |action: &Action<'_>| match action {
            Action::PutMarker { marker, .. } => item_size::bytes(&marker.item()),
            Action::UpdateView { key, update, .. } => {
                let names = update.names.values().map(String::len).sum::<usize>();
                item_size::bytes(key) + names + item_size::bytes(&update.values)
            }
            Action::PutPart { .. }
            | Action::UpdateReason { .. }
            | Action::DeletePart { .. }
            | Action::CheckAbsent { .. } => {
                unreachable!("nothing is kept or ends, and view items are created")
            }
        };
        let real = assemble(&setting, &batch, &shapes, &[EntryId(0)]).actions.iter().map(action_bytes).sum();
        (batch.entries[0].size().bytes, real)
    }

    #[test]
    fn an_entry_weighs_what_it_has_and_little_more() {
        for (grouped, plain, [map, group, id]) in [
            (1, 1, [1, 1, 1]),
            (1, 0, [2_000, 1, 1]),
            (30, 0, [1, 1_000, 1]),
            (30, 0, [2_000, 1_000, 1_000]),
            (1, 0, [1, 1, 1_000]),
            (10, 15, [1, 1, 1]),
        ] {
            let (weight, real) = moved(&definition(grouped, plain), [map, group, id]);
            let sums = 2 * (grouped + plain);
            let most = real + limits::ITEM_MARGIN_BYTES + 128 * sums;
            assert!((real..=most).contains(&weight), "{weight}, not {real} to {most}");
        }
    }

    #[test]
    fn a_record_for_quarantine_weighs_what_it_has_at_the_most() {
        for (raw, id_bytes) in [(10, 1), (300_000, 1_000), (500_000, 1)] {
            let raw = "x".repeat(raw);
            let source_key = item([("Id".to_owned(), "k".repeat(id_bytes))]);
            let head = RecordHead { id: id(id_bytes), source_key, ..RecordHead::default() };
            let poison = Poison { head, reason: Reason::NoImage, raw: &raw };
            let kept = raw.len() + id_bytes;
            let batch = coalesce([Found::Record(Effect::Quarantine(Box::new(poison)))]);
            let weight = batch.entries[0].size().bytes;
            assert!((kept..=kept + 2 * limits::ITEM_MARGIN_BYTES).contains(&weight), "{weight} of {kept}");
        }
    }

    #[test]
    fn a_record_for_quarantine_has_room_for_the_parts_it_may_need() {
        let definition = definition(1, 1);
        let stamp = Stamp::new(DateTime::default(), "request", 14);
        let setting = Setting { definition: &definition, guard: Guard::Absent, stamp };
        let mut random = fastrand::Rng::with_seed(1);
        let text: String = (0..1_600_000).map(|_| char::from(b'0' + random.u8(..64))).collect();
        for (raw_bytes, in_parts) in [(300_000, false), (540_000, true), (1_600_000, true)] {
            let head = RecordHead { id: id(30), event_id: "e".repeat(150_000), ..RecordHead::default() };
            let poison = Poison { head, reason: Reason::NoImage, raw: &text[..raw_bytes] };
            let batch = coalesce([Found::Record(Effect::Quarantine(Box::new(poison)))]);
            let actions = assemble(&setting, &batch, &[], &[EntryId(0)]).actions.len();
            assert_eq!(actions > 1, in_parts, "{raw_bytes}");
            assert!((actions..=actions + 2).contains(&batch.entries[0].size().actions), "{actions} for {raw_bytes}");
        }
    }
}
