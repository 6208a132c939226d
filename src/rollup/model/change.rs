//! What a record changes: amounts for the counters of view items.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::rollup::model::measure::{MeasureId, ViewId, ViewSet};
use crate::rollup::model::number::Number;
use crate::rollup::model::poison::{Image, Poison, Reason};
use crate::rollup::model::record::RecordHead;
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::model::sorted_map::SortedMap;
use crate::rollup::model::view::ViewKey;

/// One number of a view item: a measure, or one group of a measure.
///
/// Without a group, it is the measure's attribute; with one, the entry of that name in the measure's map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter {
    pub measure: MeasureId,
    /// The group, if the measure has groups.
    pub group: Option<String>,
}

/// What to add to the counters of one view item. Never holds a zero.
pub type Sums = BTreeMap<Counter, Number>;

/// What one image or one record adds to the counters of one view item: few entries.
pub type Amounts = SortedMap<Counter, Number>;

/// What one record adds to which view items. Never holds a zero.
pub type Deltas = SortedMap<ViewKey, Amounts>;

/// What one record does.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// What identifies the record.
    pub head: RecordHead,
    /// What it adds to which view item; never empty.
    pub deltas: Deltas,
    /// The texts that it sets on view items, if it sets any.
    pub texts: BTreeMap<ViewKey, SetTexts>,
    /// Views that could not count an image of the record.
    pub uncountable: Vec<UncountableImage>,
    /// How many values of its images could not name a group.
    pub ungrouped: usize,
    /// The record as it came.
    pub raw: &'a str,
}

/// A view that could not count an image that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncountableImage {
    pub view: ViewId,
    /// Which image of the record.
    pub image: Image,
    /// Why, in words.
    pub reason: String,
}

impl<'a> Change<'a> {
    /// A view item with a counter that the record lowers.
    #[must_use]
    pub fn lowered(&self) -> Option<&ViewKey> {
        let zero = Number::zero();
        self.deltas.iter().find(|(_, sums)| sums.values().any(|amount| *amount < zero)).map(|(key, _)| key)
    }

    /// The deltas as sums, to which others can be added.
    #[must_use]
    pub fn sums(&self) -> BTreeMap<ViewKey, Sums> {
        sums_of(&self.deltas)
    }

    /// The record as one that cannot be applied.
    #[must_use]
    pub fn poisoned(self, reason: Reason) -> Poison<'a> {
        Poison { head: self.head, reason, raw: self.raw }
    }
}

/// Deltas as sums, to which others can be added.
#[must_use]
pub fn sums_of(deltas: &Deltas) -> BTreeMap<ViewKey, Sums> {
    let sums = |amounts: &Amounts| amounts.iter().map(|(counter, amount)| (counter.clone(), amount.clone())).collect();
    deltas.iter().map(|(key, amounts)| (key.clone(), sums(amounts))).collect()
}

/// The sums that belong to these views.
#[must_use]
pub fn of_views(sums: Cow<'_, Sums>, views: ViewSet) -> Cow<'_, Sums> {
    let is_of_views = |counter: &Counter| views.contains(counter.measure.view);
    if sums.keys().all(is_of_views) {
        return sums;
    }
    let of_views = sums.iter().filter(|(counter, _)| is_of_views(counter));
    Cow::Owned(of_views.map(|(counter, amount)| (counter.clone(), amount.clone())).collect())
}

/// Adds to one counter. A counter whose sum becomes zero is removed.
pub fn add(sums: &mut Sums, counter: &Counter, amount: &Number) {
    match sums.get_mut(counter) {
        None if amount.is_zero() => {}
        None => {
            sums.insert(counter.clone(), amount.clone());
        }
        Some(sum) => {
            *sum += amount;
            if sum.is_zero() {
                sums.remove(counter);
            }
        }
    }
}
