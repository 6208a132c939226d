//! What is noted of a view item's records while it is looked at in one moment.

use std::collections::{BTreeMap, HashSet};

use crate::rollup::check::elimination::{AtMoment, ReadAt};
use crate::rollup::check::judge::{NotApplied, PendingRecord};
use crate::rollup::check::ledger::MarkerState;
use crate::rollup::model::change::Sums;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;

/// What is noted of a view item's records that are read after the moment of a look.
#[derive(Debug)]
pub(super) struct Noted {
    key: ViewKey,
    /// Records whose markers were read in the moment.
    asked: HashSet<RecordId>,
    /// Where in the look the records are read that are noted now.
    pub(super) read_at: ReadAt,
    pub(super) open: Vec<PendingRecord>,
    pub(super) unsure: Vec<PendingRecord>,
    /// Records that were known, and whose markers were not read in the moment.
    pub(super) others: Vec<PendingRecord>,
}

impl Noted {
    /// Nothing yet, but of the records that were not applied in the moment as far as that is known.
    pub(super) fn new(key: &ViewKey, asked: HashSet<RecordId>, known: Vec<PendingRecord>) -> Self {
        let (open, others) = known.into_iter().partition(|record| asked.contains(&record.id));
        Self { key: key.clone(), asked, read_at: ReadAt::Unordered, open, unsure: Vec::new(), others }
    }

    /// Notes a record as its marker says.
    pub(super) fn note(&mut self, id: &RecordId, state: MarkerState, deltas: &BTreeMap<ViewKey, Sums>) {
        if let Some(sums) = deltas.get(&self.key).filter(|_| !self.asked.contains(id)) {
            self.put(state, PendingRecord { id: id.clone(), waiting: NotApplied::Unmarked, sums: sums.clone() });
        }
    }

    pub(super) fn put(&mut self, state: MarkerState, record: PendingRecord) {
        let (is_closed, waiting) = match state {
            MarkerState::Pending(waiting) => (false, waiting),
            MarkerState::Closed => (true, NotApplied::Unmarked),
        };
        match AtMoment::of(self.read_at, is_closed) {
            AtMoment::Open => self.open.push(PendingRecord { waiting, ..record }),
            AtMoment::Unsure => self.unsure.push(record),
            AtMoment::Closed => {}
        }
    }
}
