//! The records of a view item that are read while the item is looked at as of one moment.

use std::collections::{BTreeMap, HashSet};

use crate::rollup::check::elimination::{AtMoment, ReadAt};
use crate::rollup::check::judge::{NotApplied, PendingRecord};
use crate::rollup::check::ledger::MarkerState;
use crate::rollup::model::change::Sums;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;

/// The records of a view item that are read after the moment of a look.
#[derive(Debug)]
pub(super) struct Noted {
    key: ViewKey,
    /// Records whose markers were read at the moment.
    asked: HashSet<RecordId>,
    /// When in the look the records are read that are noted next.
    pub(super) read_at: ReadAt,
    pub(super) open: Vec<PendingRecord>,
    pub(super) unsure: Vec<PendingRecord>,
    /// Records that were known at the moment, and whose markers were not read at the moment.
    pub(super) others: Vec<PendingRecord>,
}

impl Noted {
    /// Begins with the known records that were not applied.
    pub(super) fn new(key: &ViewKey, asked: HashSet<RecordId>, known: Vec<PendingRecord>) -> Self {
        let (open, others) = known.into_iter().partition(|record| asked.contains(&record.id));
        Self { key: key.clone(), asked, read_at: ReadAt::Unordered, open, unsure: Vec::new(), others }
    }

    /// Notes a record with the state of its marker.
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
