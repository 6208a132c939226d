//! What the first pass keeps of each view item: how far its counters differ from the recount of its source items. It is
//! one number for each counter that differs so far, in few bytes, because there may be millions of view items. Together
//! with the counters as they were read, these numbers also give the recount.

use std::collections::HashMap;
use std::sync::Arc;

use crate::rollup::Item;
use crate::rollup::check::judge::{StoredCounters, StoredValue};
use crate::rollup::check::recount::SourceTotals;
use crate::rollup::check::repair::version;
use crate::rollup::check::slice::Slice;
use crate::rollup::check::zero_groups::ZeroGroups;
use crate::rollup::model::change::Counter;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::digest::ContentDigest;
use crate::rollup::model::item_size;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::number::Number;
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::model::view::{ROLLUP_VERSION, ViewKey};
use crate::rollup::pipeline::contribution::Contribution;

/// The view items of a first pass.
#[derive(Debug, Default)]
pub struct Balances {
    /// The slice that is kept; `None` for all view items.
    slice: Option<Slice>,
    items: HashMap<ViewKey, Balance>,
    /// The index of each counter in `counters`. A counter's name is stored once for all view items.
    places: HashMap<Arc<Counter>, u32>,
    counters: Vec<Arc<Counter>>,
}

/// What is kept of one view item.
#[derive(Debug, Default)]
pub struct Balance {
    /// Number of source items that contribute to it.
    pub sources: u64,
    /// The views to which they contribute.
    pub contributing: ViewSet,
    /// What is stored; `None` if the item was not read.
    pub stored: Option<StoredItem>,
    /// The meaning of `amounts`.
    of: AmountsOf,
    /// The amount of each counter, by the counter's index. Zeros are left out.
    amounts: Vec<(u32, Amount)>,
    /// The texts that its source items set, if any.
    texts: Option<Box<SetTexts>>,
}

/// The meaning of the amounts of a view item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum AmountsOf {
    /// The recount less the stored counters, as the item was read.
    #[default]
    Difference,
    /// The recount.
    Sources,
    /// The recount, for an item that a repair has set to this version.
    SourcesOfSet(i64),
}

/// What must hold for a view item to count as unchanged since it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBefore {
    /// It is as the pass read it: absent, or with this content.
    InThePass(Option<ContentDigest>),
    /// Nothing: its recount is known, whatever it had stored.
    AnyTime,
    /// It has the version to which a repair set it.
    Set(i64),
}

/// What the pass keeps of a stored view item, in addition to its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredItem {
    /// Whether it has an attribute of a view.
    pub has_counters: bool,
    /// Whether it has a version.
    pub has_version: bool,
    /// Size in bytes of its key and of the attributes of the views.
    pub bytes: usize,
    /// The views with a counter that is not a number, or with an attribute that should be a map and is not.
    pub unusable: ViewSet,
    /// The groups that count nothing.
    pub zero_groups: ZeroGroups,
    /// A digest of the attributes of the views.
    pub content: Option<ContentDigest>,
}

/// A number, in few bytes where it is small.
#[derive(Debug, Clone)]
enum Amount {
    Whole(i64),
    Exact(Box<Number>),
}

impl Amount {
    fn of(number: &Number) -> Self {
        number.to_i64().map_or_else(|| Self::Exact(Box::new(number.clone())), Self::Whole)
    }

    fn add(&mut self, other: &Self) {
        if let (Self::Whole(sum), Self::Whole(other)) = (&*self, other)
            && let Some(sum) = sum.checked_add(*other)
        {
            *self = Self::Whole(sum);
            return;
        }
        let mut sum = self.to_number();
        sum += &other.to_number();
        *self = Self::of(&sum);
    }

    fn to_number(&self) -> Number {
        match self {
            Self::Whole(number) => Number::from(*number),
            Self::Exact(number) => (**number).clone(),
        }
    }

    fn equals(&self, number: &Number) -> bool {
        match self {
            Self::Whole(amount) => number.to_i64() == Some(*amount),
            Self::Exact(amount) => **amount == *number,
        }
    }

    fn is_zero(&self) -> bool {
        matches!(self, Self::Whole(0))
    }
}

impl Balance {
    fn set_texts(&mut self, texts: &SetTexts) {
        if !texts.is_empty() && self.texts.as_deref().is_none_or(|known| known.len() < texts.len()) {
            let known = self.texts.get_or_insert_default();
            known.extend(texts.iter().map(|(attribute, text)| (attribute.clone(), text.clone())));
        }
    }

    fn add(&mut self, amounts: &[(u32, Amount)]) {
        for (place, amount) in amounts {
            self.add_one(*place, amount);
        }
    }

    fn add_one(&mut self, place: u32, amount: &Amount) {
        let amounts = &mut self.amounts;
        match amounts.binary_search_by_key(&place, |(place, _)| *place) {
            Err(at) => {
                // Grows by the exact size: most items have few counters, and there may be millions of items.
                if amounts.len() == amounts.capacity() {
                    amounts.reserve_exact(1 + amounts.len() / 2);
                }
                amounts.insert(at, (place, amount.clone()));
            }
            Ok(at) => {
                amounts[at].1.add(amount);
                if amounts[at].1.is_zero() {
                    amounts.remove(at);
                }
                if amounts.is_empty() {
                    *amounts = Vec::new();
                }
            }
        }
    }
}

impl StoredItem {
    /// What is kept of a stored view item, for these views.
    #[must_use]
    pub fn of(definition: &Definition, views: ViewSet, item: &Item) -> Self {
        Self {
            has_counters: false,
            has_version: item.contains_key(ROLLUP_VERSION),
            bytes: item_size::bytes(item),
            unusable: ViewSet::default(),
            zero_groups: ZeroGroups::of(definition, views, item),
            content: Some(ContentDigest::of(None, Some(item))),
        }
    }
}

impl Balances {
    /// An empty set for one slice of the view items, or for all.
    #[must_use]
    pub fn of_slice(slice: Option<Slice>) -> Self {
        Self { slice, ..Self::default() }
    }

    fn wants(&self, key: &ViewKey) -> bool {
        self.slice.is_none_or(|slice| slice.contains(key))
    }

    /// Counts one more source item.
    pub fn add_source(&mut self, source: &Contribution) {
        for (number, part) in source.parts.iter().enumerate() {
            let amounts: Vec<_> =
                part.amounts.iter().filter_map(|(counter, amount)| self.amount(counter, amount)).collect();
            for (item, texts) in &part.items {
                if !self.wants(item) {
                    continue;
                }
                let mut before = source.parts[..number].iter().flat_map(|part| &part.items);
                let counts_already = before.any(|(other, _)| other == item);
                self.change(item, |balance| {
                    balance.sources += u64::from(!counts_already);
                    balance.contributing.insert(part.view);
                    balance.set_texts(texts);
                    balance.add(&amounts);
                });
            }
        }
    }

    /// Adds a view item as it is stored.
    pub fn add_stored(&mut self, key: &ViewKey, counters: &StoredCounters, mut stored: StoredItem) {
        if !self.wants(key) {
            return;
        }
        stored.has_counters = counters.has_counters;
        let mut amounts = Vec::new();
        for (counter, value) in &counters.counters {
            match value {
                StoredValue::Number(number) => amounts.extend(self.amount(counter, &-number.clone())),
                StoredValue::Other(_) => stored.unusable.insert(counter.measure.view),
            }
        }
        counters.no_maps.keys().for_each(|measure| stored.unusable.insert(measure.view));
        self.change(key, |balance| {
            balance.add(&amounts);
            balance.stored = Some(stored);
        });
    }

    /// Changes what is kept of a view item. The key is copied only when it is new.
    fn change(&mut self, key: &ViewKey, change: impl FnOnce(&mut Balance)) {
        if let Some(balance) = self.items.get_mut(key) {
            change(balance);
        } else {
            let mut balance = Balance::default();
            change(&mut balance);
            self.items.insert(key.clone(), balance);
        }
    }

    /// An amount of a counter, to be added; `None` if it is zero.
    fn amount(&mut self, counter: &Counter, amount: &Number) -> Option<(u32, Amount)> {
        let amount = Amount::of(amount);
        (!amount.is_zero()).then(|| (self.place(counter), amount))
    }

    fn place(&mut self, counter: &Counter) -> u32 {
        if let Some(place) = self.places.get(counter) {
            return *place;
        }
        let place = u32::try_from(self.counters.len()).unwrap_or(u32::MAX);
        let counter = Arc::new(counter.clone());
        self.counters.push(Arc::clone(&counter));
        self.places.insert(counter, place);
        place
    }

    fn counter(&self, place: u32) -> Option<&Counter> {
        usize::try_from(place).ok().and_then(|place| self.counters.get(place)).map(Arc::as_ref)
    }

    /// Removes the other view items.
    pub fn keep(&mut self, wanted: impl Fn(&ViewKey) -> bool) {
        self.items.retain(|key, _| wanted(key));
        self.items.shrink_to_fit();
    }

    /// What the next reading of a view item must find, to prove that the item did not change since it was read before;
    /// `None` if no earlier reading is known.
    #[must_use]
    pub fn read_before(&self, key: &ViewKey) -> Option<ReadBefore> {
        let balance = self.items.get(key)?;
        Some(match balance.of {
            AmountsOf::Difference => ReadBefore::InThePass(balance.stored.and_then(|stored| stored.content)),
            AmountsOf::Sources => ReadBefore::AnyTime,
            AmountsOf::SourcesOfSet(version) => ReadBefore::Set(version),
        })
    }

    /// Notes that a repair has set a view item, whose recount is known, from the version in `seen`.
    pub fn set(&mut self, key: &ViewKey, seen: Option<&Item>) {
        let Some(balance) = self.items.get_mut(key).filter(|balance| balance.of != AmountsOf::Difference) else {
            return;
        };
        let before = version(seen);
        balance.of =
            before.to_i64().map_or(AmountsOf::Sources, |before| AmountsOf::SourcesOfSet(before.saturating_add(1)));
    }

    /// Adds the stored counters of a view item that is as the pass read it. The result is its recount, which stays
    /// known even if the item changes later.
    pub fn add_back(&mut self, key: &ViewKey, counters: &StoredCounters) {
        if self.items.get(key).is_none_or(|balance| balance.of != AmountsOf::Difference) {
            return;
        }
        let mut amounts = Vec::new();
        for (counter, value) in &counters.counters {
            if let StoredValue::Number(number) = value {
                amounts.extend(self.amount(counter, number));
            }
        }
        self.change(key, |balance| {
            balance.add(&amounts);
            balance.of = AmountsOf::Sources;
        });
    }

    /// The recount of a view item; `None` before [`Balances::add_back`].
    #[must_use]
    pub fn truth(&self, key: &ViewKey) -> Option<SourceTotals> {
        let balance = self.items.get(key).filter(|balance| balance.of != AmountsOf::Difference)?;
        let sums = balance
            .amounts
            .iter()
            .filter_map(|(place, amount)| Some((self.counter(*place)?.clone(), amount.to_number())));
        let texts = balance.texts.as_deref().cloned().unwrap_or_default();
        Some(SourceTotals { sums: sums.collect(), sources: balance.sources, views: balance.contributing, texts })
    }

    /// Whether these counters of a view item equal its recount, in these views. False before [`Balances::add_back`].
    ///
    /// The result is that of a comparison with [`Balances::truth`], without its copies.
    #[must_use]
    pub fn is_recount(&self, key: &ViewKey, stored: &StoredCounters, views: ViewSet) -> bool {
        let Some(balance) = self.items.get(key).filter(|balance| balance.of != AmountsOf::Difference) else {
            return false;
        };
        let amount = |counter: &Counter| {
            let place = self.places.get(counter)?;
            let at = balance.amounts.binary_search_by_key(place, |(place, _)| *place).ok()?;
            Some(&balance.amounts[at].1)
        };
        let is_equal = |(counter, value): (&Counter, &StoredValue)| match (value, amount(counter)) {
            (StoredValue::Number(stored), Some(amount)) => amount.equals(stored),
            _ => false,
        };
        let stored_of_views = || stored.counters.iter().filter(|(counter, _)| views.contains(counter.measure.view));
        let recounted = balance.amounts.iter().filter(|(place, _)| self.is_of(*place, views)).count();
        stored.no_maps.keys().all(|measure| !views.contains(measure.view))
            && stored_of_views().count() == recounted
            && stored_of_views().all(is_equal)
    }

    /// What is kept of a view item; `None` if it is not stored and no source item contributes to it.
    #[must_use]
    pub fn of(&self, key: &ViewKey) -> Option<&Balance> {
        self.items.get(key)
    }

    /// The view items, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = &ViewKey> {
        self.items.keys()
    }

    /// Whether a counter of these views differs from the recount.
    #[must_use]
    pub fn differs(&self, balance: &Balance, views: ViewSet) -> bool {
        let unusable = balance.stored.is_some_and(|stored| !stored.unusable.and(views).is_empty());
        unusable || balance.amounts.iter().any(|(place, _)| self.is_of(*place, views))
    }

    /// Whether a counter, by its index, is one of these views.
    fn is_of(&self, place: u32, views: ViewSet) -> bool {
        self.counter(place).is_some_and(|counter| views.contains(counter.measure.view))
    }
}

#[cfg(test)]
mod tests;
