//! The records of a batch as one set of changes, and the sums of any part of it.
//!
//! Deltas commute, so the records of one view item may be added up in any grouping and committed in any order. Two
//! things must be kept: each record's marker, and the update of a view item whose sums are zero.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use hashbrown::hash_table::{self as table, HashTable};

use crate::rollup::model::change::{self, Amounts, Change, Sums};
use crate::rollup::model::definition::views_of;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::poison::{Poison, Reason};
use crate::rollup::model::record::{RecordHead, RecordId, UNKNOWN_STREAM};
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::delta::Effect;
use crate::rollup::pipeline::entry_size::EntrySize;

/// What the sequence number in the marker of a record without one begins with. A digest of the record follows.
pub const UNNUMBERED: &str = "unnumbered-";

/// A batch in which every record is listed once and every view item has a number.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch<'a> {
    /// The records to write, each once.
    pub entries: Vec<Entry<'a>>,
    /// The view items that they touch.
    pub items: Vec<TouchedItem>,
    /// What became of the record at each position of the event.
    pub dispositions: Vec<Disposition>,
    /// Entries whose sequence number an earlier entry has too, for another event. They wait until the others are
    /// resolved; then the marker decides.
    pub behind_others: Vec<EntryId>,
    /// The entries with the same sequence number, for each number that several have.
    pub rivals: Vec<Vec<EntryId>>,
    /// How often a view could not count an image that is in it.
    pub uncountable: usize,
}

/// A view item that records of a batch touch.
#[derive(Debug, Clone, PartialEq)]
pub struct TouchedItem {
    /// Its key.
    pub key: ViewKey,
    /// The views whose counters the records add to. Several views may share an item.
    pub views: ViewSet,
    /// The texts that the last of these records sets there.
    pub texts: SetTexts,
}

/// A view item, by its index in [`Batch::items`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub usize);

/// A record to write, by its index in [`Batch::entries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub usize);

/// A record to write.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// Its deltas are added to the counters.
    Apply {
        /// What the record does.
        change: Arc<Change<'a>>,
        /// The view items of the change's deltas, in their order.
        touches: Vec<ItemId>,
        /// What it takes of a transaction. It is determined when the change was just made: a plan that looked at each
        /// change again would wait for memory.
        size: EntrySize,
    },
    /// It is put into quarantine.
    Quarantine(Box<Poison<'a>>),
}

/// What became of the record at one position of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It changes nothing.
    NoEffect,
    /// It is this entry.
    Entry(EntryId),
    /// It repeats this entry.
    Repeat(EntryId),
    /// It has no sequence number, so it cannot be reported to Lambda and the invocation must fail. This entry keeps the
    /// record in quarantine, so that nothing is lost.
    Unnumbered(EntryId),
}

/// What was found at one position of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'a> {
    /// A record, with what to do about it.
    Record(Effect<'a>),
    /// An entry without a sequence number.
    Unnumbered {
        /// What is wrong with it.
        reason: Reason,
        /// The record as it came.
        raw: &'a str,
    },
}

/// Joins what was found in an event, position by position, into one batch.
pub fn coalesce<'a>(found: impl IntoIterator<Item = Found<'a>>) -> Batch<'a> {
    let Ok(batch) = try_coalesce(found.into_iter().map(Ok::<_, Infallible>));
    batch
}

/// The same, unless a position has an error.
///
/// # Errors
/// The first error.
pub fn try_coalesce<'a, E>(found: impl IntoIterator<Item = Result<Found<'a>, E>>) -> Result<Batch<'a>, E> {
    let mut joining = Joining::default();
    for found in found {
        joining.add(found?);
    }
    Ok(joining.end())
}

/// A batch to which records are added.
#[derive(Default)]
struct Joining<'a> {
    batch: Batch<'a>,
    /// The first entry with a sequence number. The entries themselves have the identifiers: no copy of one is kept.
    first_of: HashTable<EntryId>,
    hasher: RandomState,
    /// The further entries with the sequence number of this one.
    others_of: HashMap<EntryId, Vec<EntryId>>,
    item_of: HashMap<ViewKey, ItemId>,
}

impl<'a> Joining<'a> {
    fn add(&mut self, found: Found<'a>) {
        let disposition = match found {
            Found::Unnumbered { reason, raw } => {
                let entry = self.unnumbered(unnumbered(reason, raw));
                Disposition::Unnumbered(entry)
            }
            Found::Record(Effect::None { uncountable }) => {
                self.batch.uncountable += uncountable;
                Disposition::NoEffect
            }
            Found::Record(Effect::Quarantine(poison)) => self.entry(Entry::Quarantine(poison)),
            Found::Record(Effect::Apply(change)) => {
                self.batch.uncountable += change.uncountable.len();
                let (touches, size) = (self.touch(&change), EntrySize::of_change(&change));
                self.entry(Entry::Apply { change, touches, size })
            }
        };
        self.batch.dispositions.push(disposition);
    }

    /// The entry that keeps a record without a sequence number. The same record again has the same one.
    fn unnumbered(&mut self, poison: Poison<'a>) -> EntryId {
        let entry = Entry::Quarantine(Box::new(poison));
        match self.listed_first(&entry) {
            Some(first) => first,
            None => self.batch.push(entry),
        }
    }

    fn entry(&mut self, entry: Entry<'a>) -> Disposition {
        if let Some(first) = self.listed_first(&entry) {
            let others = self.others_of.entry(first).or_default();
            let mut of_number = std::iter::once(first).chain(others.iter().copied());
            if let Some(same) = of_number.find(|one| self.batch[*one].head().same_event(entry.head())) {
                return Disposition::Repeat(same);
            }
            let next = EntryId(self.batch.entries.len());
            others.push(next);
            self.batch.behind_others.push(next);
        }
        Disposition::Entry(self.batch.push(entry))
    }

    /// The first entry with the sequence number of this one. If there is none yet, this one is listed as the first: it
    /// must be pushed next.
    fn listed_first(&mut self, entry: &Entry<'a>) -> Option<EntryId> {
        let Self { batch, first_of, hasher, .. } = self;
        let (id, next) = (&entry.head().id, EntryId(batch.entries.len()));
        let id_of = |listed: &EntryId| &batch[*listed].head().id;
        // The stream is nearly always the same, so it is only compared.
        let hash = |id: &RecordId| hasher.hash_one(&id.sequence_number);
        match first_of.entry(hash(id), |listed| id_of(listed) == id, |listed| hash(id_of(listed))) {
            table::Entry::Occupied(first) => Some(*first.get()),
            table::Entry::Vacant(vacant) => {
                vacant.insert(next);
                None
            }
        }
    }

    /// The view items that a record touches, in the order of its deltas.
    fn touch(&mut self, change: &Change<'_>) -> Vec<ItemId> {
        let touch = |(key, amounts): (&ViewKey, &Amounts)| {
            let item = self.item_of.get(key).copied().unwrap_or_else(|| {
                let added = self.batch.add_item(key.clone());
                self.item_of.insert(key.clone(), added);
                added
            });
            let touched = &mut self.batch.items[item.0];
            touched.views.extend(views_of(amounts));
            touched.texts.extend(change.texts.get(key).cloned().unwrap_or_default());
            item
        };
        change.deltas.iter().map(touch).collect()
    }

    fn end(self) -> Batch<'a> {
        let Self { mut batch, others_of, .. } = self;
        let rivals = others_of.into_iter().filter(|(_, others)| !others.is_empty());
        batch.rivals = rivals.map(|(first, others)| [vec![first], others].concat()).collect();
        batch.rivals.sort_unstable();
        batch
    }
}

/// The digest of its text identifies a record without a sequence number: the same record again gets the same marker.
fn unnumbered(reason: Reason, raw: &str) -> Poison<'_> {
    let name = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, raw.as_bytes());
    let id = RecordId { sequence_number: format!("{UNNUMBERED}{name}"), stream: UNKNOWN_STREAM.to_owned() };
    Poison { head: RecordHead { id, ..RecordHead::default() }, reason, raw }
}

impl<'a> Batch<'a> {
    fn push(&mut self, entry: Entry<'a>) -> EntryId {
        self.entries.push(entry);
        EntryId(self.entries.len() - 1)
    }

    fn add_item(&mut self, key: ViewKey) -> ItemId {
        self.items.push(TouchedItem { key, views: ViewSet::default(), texts: SetTexts::new() });
        ItemId(self.items.len() - 1)
    }

    /// The other entries with the sequence number of this one.
    pub fn rivals_of(&self, entry: EntryId) -> impl Iterator<Item = EntryId> {
        let of_number = self.rivals.iter().find(|of_number| of_number.contains(&entry));
        of_number.into_iter().flatten().copied().filter(move |rival| *rival != entry)
    }

    /// Every entry with its id, in the order of the event.
    pub fn ids(&self) -> impl Iterator<Item = EntryId> + use<> {
        (0..self.entries.len()).map(EntryId)
    }

    /// The sums of some of the entries, for each view item that they touch. A view item whose sums are all zero stays
    /// in the result, without sums: its version is still raised.
    #[must_use]
    pub fn sums(&self, members: &[EntryId]) -> BTreeMap<ItemId, Sums> {
        let mut items: BTreeMap<ItemId, Sums> = BTreeMap::new();
        for &member in members {
            let Entry::Apply { change, touches, .. } = &self[member] else { continue };
            for (item, deltas) in touches.iter().zip(change.deltas.values()) {
                let sums = items.entry(*item).or_default();
                for (counter, amount) in deltas {
                    change::add(sums, counter, amount);
                }
            }
        }
        items
    }
}

impl<'a> Index<EntryId> for Batch<'a> {
    type Output = Entry<'a>;

    fn index(&self, entry: EntryId) -> &Entry<'a> {
        &self.entries[entry.0]
    }
}

impl IndexMut<EntryId> for Batch<'_> {
    fn index_mut(&mut self, entry: EntryId) -> &mut Self::Output {
        &mut self.entries[entry.0]
    }
}

impl Index<ItemId> for Batch<'_> {
    type Output = TouchedItem;

    fn index(&self, item: ItemId) -> &TouchedItem {
        &self.items[item.0]
    }
}

impl Entry<'_> {
    /// The entry as one whose sequence number another event has: it goes to quarantine, because nothing here can decide
    /// which of the two counts.
    #[must_use]
    pub fn of_another_event(self) -> Self {
        let taken = |head: &RecordHead| Reason::NumberTaken { sequence_number: head.id.sequence_number.clone() };
        Self::Quarantine(Box::new(match self {
            Self::Apply { change, .. } => {
                let reason = taken(&change.head);
                Change::clone(&change).poisoned(reason)
            }
            Self::Quarantine(poison) => Poison { reason: taken(&poison.head), ..*poison },
        }))
    }

    /// The view items that are touched; none for a record in quarantine.
    #[must_use]
    pub fn touches(&self) -> &[ItemId] {
        match self {
            Self::Apply { touches, .. } => touches,
            Self::Quarantine(_) => &[],
        }
    }

    /// What it takes of the room of its transaction.
    #[must_use]
    pub fn size(&self) -> EntrySize {
        match self {
            Self::Apply { size, .. } => *size,
            Self::Quarantine(poison) => EntrySize::of_poison(poison),
        }
    }

    /// The key of its marker.
    #[must_use]
    pub fn marker_id(&self) -> RecordId {
        match self {
            Self::Apply { change, .. } => change.head.id.clone(),
            Self::Quarantine(poison) => poison.marker_id(),
        }
    }

    /// What identifies the record.
    #[must_use]
    pub fn head(&self) -> &RecordHead {
        match self {
            Self::Apply { change, .. } => &change.head,
            Self::Quarantine(poison) => &poison.head,
        }
    }
}

#[cfg(test)]
mod tests;
