//! The values that the commit loop and its state exchange: a job, and its result.

use super::seams::{FoundMarkers, LookedUp};
use crate::rollup::Item;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::coalesce::{EntryId, ItemId};
use crate::rollup::pipeline::plan::Transaction;
use crate::rollup::pipeline::verdict::Failure;

/// Some entries, and the next step for them.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) members: Vec<EntryId>,
    pub(super) items: Vec<ItemId>,
    /// View items that no other job may touch until this one is answered, in addition to those in `items`.
    pub(super) held: Vec<ItemId>,
    pub(super) step: JobStep,
    /// How many times these entries were planned before.
    pub(super) plans: u32,
}

impl Job {
    /// The number of actions in its transaction, without the further parts of records that are kept in several items.
    pub(super) fn actions(&self) -> usize {
        self.members.len() + self.items.len()
    }
}

/// The next step for the entries of a job.
#[derive(Debug)]
pub(super) enum JobStep {
    /// Commit them in one transaction.
    Commit,
    /// Read these view items, to find the fault that made DynamoDB refuse the transaction with this message.
    Inspect { refused: Vec<ItemId>, words: String },
    /// Read these view items: their conditions failed, and the answer does not contain the items.
    Read(Vec<ItemId>),
    /// Look up the shapes of its view items.
    LookUp,
    /// Look up which entries have a marker.
    LookUpMarkers,
}

/// The request of a job.
pub(super) enum Prepared<'r> {
    Commit(Transaction<'r>),
    Inspect(Vec<(ItemId, ViewKey)>),
    LookUp(Vec<ViewKey>),
    LookUpMarkers(Vec<RecordId>),
}

/// A completed job and its answer.
pub(super) struct Done<'r> {
    pub(super) job: Job,
    pub(super) answer: Answer<'r>,
}

/// DynamoDB's answer to the request of a job.
pub(super) enum Answer<'r> {
    Transacted(Transaction<'r>, Result<(), Failure>),
    Inspected(Result<Vec<(ItemId, Option<Item>)>, Failure>),
    LookedUp(Result<LookedUp, Failure>),
    MarkersLookedUp(Result<FoundMarkers, Failure>),
}
