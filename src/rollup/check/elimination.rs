//! Finds by how much the counters of a view item are off, from several looks that need not be certain.
//!
//! A look reads the item at one moment, together with the markers of the records that are known by then, and reads the
//! stream afterwards. A record that was not known at the moment, and whose marker is found when it is finally read, is
//! unsure: it was applied before the moment or after it. So a look leaves several possible amounts by which the
//! counters are off.
//!
//! The true amount is the same in all looks: when the function adds a record to the counters, the recount includes that
//! record too. The true amount is possible in each look. So an amount that one look excludes is wrong, and the only
//! amount that is left is right.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::rollup::check::judge::{PendingRecord, StoredCounters, StoredValue, expected};
use crate::rollup::model::change::{self, Sums, of_views};
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::number::Number;

/// The most possibilities of one look. A look with more of them is not used, so that memory stays bounded.
const POSSIBLE: usize = 4_096;

/// When in a look the marker of a record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadAt {
    /// In one transaction with the view item.
    Moment,
    /// Later, and the record may have been in the stream at that moment.
    #[default]
    Unordered,
    /// Later, and the record reached the stream after that moment.
    After,
}

/// Whether a record is in the counters of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtMoment {
    /// It is in them, or will never be.
    Closed,
    /// It is not in them.
    Open,
    /// Unknown.
    Unsure,
}

impl AtMoment {
    /// Derives it from when the marker was read, and whether the record was closed by then.
    #[must_use]
    pub fn of(read: ReadAt, is_closed: bool) -> Self {
        match (read, is_closed) {
            (ReadAt::Moment, true) => Self::Closed,
            (ReadAt::Unordered, true) => Self::Unsure,
            // A record that reaches the stream after the moment is applied after it. A marker that is missing later was
            // missing at the moment.
            (ReadAt::After, _) | (_, false) => Self::Open,
        }
    }
}

/// One look at a view item.
#[derive(Debug)]
pub struct Look<'a> {
    /// The item's version; `None` if it has none.
    pub version: Option<Number>,
    /// The item's counters.
    pub stored: &'a StoredCounters,
    /// The recount of its source items, with all known records.
    pub truth: &'a Sums,
    /// The records that are not in the counters.
    pub open: &'a [PendingRecord],
    /// The records that may be in the counters or not.
    pub unsure: &'a [PendingRecord],
    /// The views that are compared.
    pub views: ViewSet,
}

/// The possible amounts by which the counters are off, each with the indexes of the unsure records that are in the
/// counters in that case.
type Possible = BTreeMap<Sums, BTreeSet<usize>>;

impl Look<'_> {
    /// The possible amounts; `None` if there are too many, or if a counter is not a number.
    fn possible(&self) -> Option<Possible> {
        let all = self.open.iter().chain(self.unsure);
        let mut without = Sums::new();
        for difference in self.stored.differences(&of_views(expected(self.truth, all), self.views)) {
            let StoredValue::Number(stored) = &difference.stored else { return None };
            change::add(&mut without, &difference.counter, stored);
            change::add(&mut without, &difference.counter, &-difference.expected);
        }
        let mut possible = Possible::from([(without, BTreeSet::new())]);
        for (place, record) in self.unsure.iter().enumerate() {
            let with: Vec<_> = possible.iter().map(|(off, applied)| (with(off, record, self.views), applied)).collect();
            let with: Vec<_> = with.into_iter().map(|(off, applied)| (off, inserted(applied, place))).collect();
            for (off, applied) in with {
                possible.entry(off).or_insert(applied);
            }
            if possible.len() > POSSIBLE {
                return None;
            }
        }
        Some(possible)
    }
}

/// By how much the counters are off, if this record is in them.
fn with(off: &Sums, record: &PendingRecord, views: ViewSet) -> Sums {
    let mut off = off.clone();
    for (counter, amount) in of_views(Cow::Borrowed(&record.sums), views).iter() {
        change::add(&mut off, counter, &-amount.clone());
    }
    off
}

fn inserted(places: &BTreeSet<usize>, place: usize) -> BTreeSet<usize> {
    places.iter().copied().chain([place]).collect()
}

/// The possibilities that several looks at one view item leave. If a repair or a user writes the counters between two
/// looks, the true amount changes. Then no possibility is left, or a wrong one; so drift must be seen twice.
#[derive(Debug, Clone, Default)]
pub struct Elimination {
    version: Option<Number>,
    left: Option<BTreeSet<Sums>>,
}

impl Elimination {
    /// Adds a look. If one possibility is left, returns the unsure records that are not in the counters of this look.
    pub fn take(&mut self, look: &Look<'_>) -> Option<Vec<PendingRecord>> {
        // An item that was deleted and created again begins with a lower version, or with none.
        if look.version < self.version {
            self.left = None;
        }
        self.version.clone_from(&look.version);
        let possible = look.possible()?;
        let mut left: BTreeSet<Sums> = possible.keys().cloned().collect();
        if let Some(before) = &self.left
            && left.iter().any(|off| before.contains(off))
        {
            left.retain(|off| before.contains(off));
        }
        let only = left.first().filter(|_| left.len() == 1).and_then(|only| possible.get(only));
        let open = only.map(|applied| {
            let open = look.unsure.iter().enumerate().filter(|(place, _)| !applied.contains(place));
            open.map(|(_, record)| record.clone()).collect()
        });
        self.left = Some(left);
        open
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rollup::check::judge::NotApplied;
    use crate::rollup::model::change::Counter;
    use crate::rollup::model::definition::Definition;
    use crate::rollup::model::measure::MeasureId;
    use crate::rollup::model::record::RecordId;

    fn total(amount: i64) -> Sums {
        [(Counter { measure: MeasureId::first_view(0), group: None }, Number::from(amount))].into()
    }

    fn inserted(number: usize, many: i64) -> PendingRecord {
        let id = RecordId { sequence_number: number.to_string(), stream: "s".to_owned() };
        PendingRecord { id, waiting: NotApplied::Unmarked, sums: total(many) }
    }

    /// A look at a total, while the recount is ten. Returns how many unsure records are not in it, if that is known.
    fn look(
        elimination: &mut Elimination,
        version: i64,
        stored: StoredValue,
        unsure: &[PendingRecord],
    ) -> Option<usize> {
        let counter = Counter { measure: MeasureId::first_view(0), group: None };
        let stored = StoredCounters { counters: BTreeMap::from([(counter, stored)]), ..StoredCounters::default() };
        let views = Definition::points_of_maps("Point", "Map").unwrap().all();
        let version = Some(Number::from(version));
        let look = Look { version, stored: &stored, truth: &total(10), open: &[], unsure, views };
        elimination.take(&look).map(|open| open.len())
    }

    fn stored(total: i64) -> StoredValue {
        StoredValue::Number(Number::from(total))
    }

    #[test]
    fn what_is_possible_in_both_looks_is_true() {
        let mut elimination = Elimination::default();
        assert_eq!(look(&mut elimination, 7, stored(10), &[inserted(1, 1)]), None, "off by 0 or 1");
        assert_eq!(look(&mut elimination, 8, stored(9), &[inserted(2, 1)]), Some(1), "off by -1 or 0");
        assert_eq!(
            look(&mut elimination, 9, stored(12), &[inserted(3, 1)]),
            None,
            "off by 2 or 3: somebody else wrote"
        );
    }

    #[test]
    fn an_item_that_was_put_anew_has_another_history() {
        let mut elimination = Elimination::default();
        assert_eq!(look(&mut elimination, 7, stored(10), &[inserted(1, 1)]), None);
        assert_eq!(look(&mut elimination, 1, stored(9), &[inserted(2, 1)]), None);
    }

    #[test]
    fn what_is_no_number_or_has_too_many_possibilities_tells_nothing() {
        let mut elimination = Elimination::default();
        assert_eq!(look(&mut elimination, 7, StoredValue::Other("S"), &[inserted(1, 1)]), None);
        let many: Vec<_> = (0..13).map(|number| inserted(number, 1 << number)).collect();
        assert_eq!(look(&mut elimination, 7, stored(10), &many), None);
        assert_eq!(look(&mut elimination, 7, stored(10), &[inserted(1, 0)]), Some(1), "neither of them was kept");
    }
}
