//! What the commit loop and its state hand to each other: a job, and what came of it.

use super::seams::{FoundMarkers, LookedUp};
use crate::rollup::Item;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::coalesce::{EntryId, ItemId};
use crate::rollup::pipeline::plan::Transaction;
use crate::rollup::pipeline::verdict::Failure;

/// Some entries, and what to do with them next.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) members: Vec<EntryId>,
    pub(super) items: Vec<ItemId>,
    /// View items that wait for its answer, in addition to those that it touches.
    pub(super) held: Vec<ItemId>,
    pub(super) step: JobStep,
    /// How often these entries were planned before.
    pub(super) plans: u32,
}

impl Job {
    /// The actions of its transaction, without the further parts of records that are kept in several.
    pub(super) fn actions(&self) -> usize {
        self.members.len() + self.items.len()
    }
}

/// What to do with the entries of a job.
#[derive(Debug)]
pub(super) enum JobStep {
    /// Commit them in one transaction.
    Commit,
    /// Look at these of their view items, as a transaction of them was refused in these words.
    Inspect { refused: Vec<ItemId>, words: String },
    /// Read these of their view items: their conditions were not met, and the answer does not show what is there.
    Read(Vec<ItemId>),
    /// Ask for the shapes of its view items.
    LookUp,
    /// Ask which have a marker.
    LookUpMarkers,
}

/// What is sent for a job.
pub(super) enum Prepared<'r> {
    Commit(Transaction<'r>),
    Inspect(Vec<(ItemId, ViewKey)>),
    LookUp(Vec<ViewKey>),
    LookUpMarkers(Vec<RecordId>),
}

/// A job that was carried out, and what came of it.
pub(super) struct Done<'r> {
    pub(super) job: Job,
    pub(super) answer: Answer<'r>,
}

/// What DynamoDB answered to what was sent for a job.
pub(super) enum Answer<'r> {
    Transacted(Transaction<'r>, Result<(), Failure>),
    Inspected(Result<Vec<(ItemId, Option<Item>)>, Failure>),
    LookedUp(Result<LookedUp, Failure>),
    MarkersLookedUp(Result<FoundMarkers, Failure>),
}
