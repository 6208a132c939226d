//! By how much the counters of a view item are off, told by several looks of which none needs to be certain.
//!
//! A look reads the item at one moment, together with the markers of the records that are known by then, and reads the
//! stream after that. A record that was not known, and that is applied when its marker is read at last, is unsure: it was
//! applied before the moment or after it. So a look leaves several possibilities of what the counters are off by.
//!
//! What they are off by is the same in all looks: a function adds a record to the counters and to what they should be. The
//! truth is possible in each look, so a possibility that one look excludes is false, and one that is left alone is true.

use std::collections::{BTreeMap, BTreeSet};

use crate::rollup::check::judge::{PendingRecord, StoredCounters, StoredValue, expected};
use crate::rollup::model::change::{self, Sums, of_views};
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::number::Number;

/// The most possibilities of one look; one with more of them tells nothing.
const POSSIBLE: usize = 4_096;

/// Where in a look a record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadAt {
    /// Its marker was read in one transaction with the view item.
    Moment,
    /// It came to be known later, and may have been in the stream at that moment.
    #[default]
    Unordered,
    /// It got into the stream after that moment.
    After,
}

/// How a record stands to the counters of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtMoment {
    /// It is in them, or never will be.
    Closed,
    /// It is not in them.
    Open,
    /// It is in them or not.
    Unsure,
}

impl AtMoment {
    /// Tells it from whether the record's marker was closed when it was read.
    #[must_use]
    pub fn of(read: ReadAt, is_closed: bool) -> Self {
        match (read, is_closed) {
            (ReadAt::Moment, true) => Self::Closed,
            (ReadAt::Unordered, true) => Self::Unsure,
            // Who gets into the stream after a moment is applied after it; and a marker that is not there was not there before.
            (ReadAt::After, _) | (_, false) => Self::Open,
        }
    }
}

/// One look at a view item.
#[derive(Debug)]
pub struct Look<'a> {
    /// Its version; none where it has none.
    pub version: Option<Number>,
    /// Its counters.
    pub stored: &'a StoredCounters,
    /// What its source items come to, with all records that are known.
    pub truth: &'a Sums,
    /// The records that are not in the counters.
    pub open: &'a [PendingRecord],
    /// The records that are in them or not.
    pub unsure: &'a [PendingRecord],
    /// The views that are compared.
    pub views: ViewSet,
}

/// What counters may be off by, each with the places of the unsure records that are in the counters then.
type Possible = BTreeMap<Sums, BTreeSet<usize>>;

impl Look<'_> {
    /// None when there are too many possibilities, or a counter that is no number.
    fn possible(&self) -> Option<Possible> {
        let all = self.open.iter().chain(self.unsure);
        let mut without = Sums::new();
        for difference in self.stored.differences(&of_views(&expected(self.truth, all), self.views)) {
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

/// What the counters are off by, if this record is in them.
fn with(off: &Sums, record: &PendingRecord, views: ViewSet) -> Sums {
    let mut off = off.clone();
    for (counter, amount) in of_views(&record.sums, views) {
        change::add(&mut off, &counter, &-amount);
    }
    off
}

fn inserted(places: &BTreeSet<usize>, place: usize) -> BTreeSet<usize> {
    places.iter().copied().chain([place]).collect()
}

/// What several looks at one view item leave. Whoever else writes its counters between two looks, a repair or a user,
/// changes what they are off by: then no possibility is left, or a wrong one, so that drift must be seen twice.
#[derive(Debug, Default)]
pub struct Elimination {
    version: Option<Number>,
    left: Option<BTreeSet<Sums>>,
}

impl Elimination {
    /// Takes a look; when one possibility is left, gives the unsure records that are not in its counters.
    pub fn take(&mut self, look: &Look<'_>) -> Option<Vec<PendingRecord>> {
        // An item that was put anew begins with a lower version, or with none.
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
