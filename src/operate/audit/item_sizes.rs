//! The sizes of view items, and the groups on them that count nothing.

use std::collections::BTreeMap;

use crate::rollup::check::zero_groups::ZeroGroups;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::view::ViewKey;

/// The largest view item, and those with groups that count nothing.
#[derive(Debug, Clone, Default)]
pub struct ItemSizes {
    /// The largest view item, and its size in bytes: its key, its counters and the other attributes that the views set.
    pub largest: Option<(ViewKey, usize)>,
    /// The groups that count nothing, of all view items.
    pub zero_groups: ZeroGroups,
    /// The view items that have such groups, and the views to which they belong.
    pub with_zero_groups: BTreeMap<ViewKey, ViewSet>,
}

impl ItemSizes {
    /// Adds a view item that belongs to these views.
    pub(super) fn note(&mut self, key: &ViewKey, views: ViewSet, bytes: usize, zero_groups: ZeroGroups) {
        if zero_groups.groups > 0 && self.with_zero_groups.insert(key.clone(), views).is_none() {
            self.zero_groups.add(zero_groups);
        }
        if self.largest.as_ref().is_none_or(|(_, largest)| *largest < bytes) {
            self.largest = Some((key.clone(), bytes));
        }
    }

    /// Subtracts groups that were removed. A view item from which none was removed still has some.
    pub(in crate::operate) fn removed(&mut self, removed: &[(ViewKey, ZeroGroups)]) {
        for (key, of_item) in removed {
            self.zero_groups.groups -= of_item.groups.min(self.zero_groups.groups);
            self.zero_groups.bytes -= of_item.bytes.min(self.zero_groups.bytes);
            if of_item.groups > 0 {
                self.with_zero_groups.remove(key);
            }
        }
    }

    /// Adds the sizes of another report.
    pub(super) fn join(&mut self, other: Self) {
        self.zero_groups.add(other.zero_groups);
        self.with_zero_groups.extend(other.with_zero_groups);
        let larger = other.largest.filter(|(_, bytes)| self.largest.as_ref().is_none_or(|(_, most)| bytes > most));
        self.largest = larger.or_else(|| self.largest.take());
    }
}
