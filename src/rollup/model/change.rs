//! What a record changes: amounts for the counters of view items.

use std::collections::BTreeMap;

use crate::rollup::model::number::Number;
use crate::rollup::model::poison::{Poison, Reason};
use crate::rollup::model::record::RecordHead;
use crate::rollup::model::view::ViewKey;

/// One number of a view item: a measure, or one group of it.
///
/// Without a group it is the measure's own attribute; with one it is the entry of that name in the measure's map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter {
    /// The measure's place in [`View::measures`](crate::rollup::model::view::View::measures).
    pub measure: usize,
    /// The group, of a measure that is kept by group.
    pub group: Option<String>,
}

/// What to add to the counters of one view item. Never holds a zero.
pub type Sums = BTreeMap<Counter, Number>;

/// What one record does.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// What identifies the record.
    pub head: RecordHead,
    /// What it adds to which view item; never empty.
    pub deltas: BTreeMap<ViewKey, Sums>,
    /// How many of its images have no usable value for a group that a measure is kept by.
    pub ungrouped: usize,
    /// The record as it came.
    pub raw: &'a str,
}

impl<'a> Change<'a> {
    /// A view item of which the record lowers a counter.
    #[must_use]
    pub fn lowered(&self) -> Option<&ViewKey> {
        let zero = Number::zero();
        self.deltas.iter().find(|(_, sums)| sums.values().any(|amount| *amount < zero)).map(|(key, _)| key)
    }

    /// The record as one that cannot be applied.
    #[must_use]
    pub fn poisoned(self, reason: Reason) -> Poison<'a> {
        Poison { head: self.head, reason, raw: self.raw }
    }
}

/// Adds to one counter; one that comes to zero is taken out.
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
