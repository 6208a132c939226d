//! Records that were counted before: found by looking their markers up, once the first of them was met.
//!
//! A duplicate cancels its whole transaction, which is billed. A batch that has one most likely has many, as whole batches
//! are delivered again: after a crash, a failure, or a lost answer. So when the first is met, the markers of all that
//! waits are asked for. Only a marker that is found tells something. Whatever the answer leaves out is sent as before, and
//! its marker's condition decides.

use super::Run;
use crate::commit::job::{Job, JobStep};
use crate::commit::seams::FoundMarkers;
use crate::rollup::Item;
use crate::rollup::model::existing_marker::{self, ExistingMarker};
use crate::rollup::model::limits;
use crate::rollup::model::marker::{self, Guard};
use crate::rollup::pipeline::coalesce::{Entry, EntryId};
use crate::rollup::pipeline::response::{EntryOutcome, Unresolved};
use crate::rollup::pipeline::verdict::Failure;

/// What is known of a batch's duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// The batch may have been delivered before: the transaction with its first record goes alone, to see.
    Suspected,
    /// None was met yet.
    NoneMet,
    /// One was met, so the markers were looked up if they could be.
    Met,
}

impl Run<'_, '_> {
    /// How many requests may be on their way at once.
    pub(in crate::commit) fn most_in_flight(&self, most: usize) -> usize {
        if self.duplicates == Duplicates::Suspected { 1 } else { most }
    }

    /// A transaction was answered: if it was the one that went alone, the others may follow.
    pub(super) fn first_answered(&mut self, members: &[EntryId]) {
        if self.duplicates == Duplicates::Suspected && members.contains(&EntryId(0)) {
            self.duplicates = Duplicates::NoneMet;
        }
    }

    /// A marker was met, or found: what it means for the entry.
    pub(super) fn met_marker(&mut self, entry: EntryId, found: Option<&Item>) {
        if found.is_some_and(|found| self.is_of_a_rival(entry, found)) {
            return self.number_is_taken(entry);
        }
        let outcome = match existing_marker::existing(found, self.batch[entry].head()) {
            ExistingMarker::Collision => return self.number_is_taken(entry),
            // A replay needs to know what stays in quarantine. To a delivery it is a duplicate.
            ExistingMarker::Quarantined if self.setting.guard != Guard::Absent => EntryOutcome::Quarantined,
            ExistingMarker::Duplicate | ExistingMarker::Quarantined => {
                let definition = self.setting.definition;
                let other = found.is_some_and(|found| marker::is_of_another_definition(found, definition));
                self.other_definition += usize::from(other);
                EntryOutcome::Duplicate
            }
            ExistingMarker::NotKept => EntryOutcome::Unresolved(Unresolved::NotKept),
        };
        self.outcomes[entry.0] = Some(outcome);
    }

    /// Whether a marker is of another entry with the number of this one: in one batch, two records that say different things
    /// are told apart, also when one of them cannot be read.
    fn is_of_a_rival(&self, entry: EntryId, marker: &Item) -> bool {
        let surely_of = |entry: EntryId| existing_marker::is_surely_of(marker, self.batch[entry].head());
        self.batch.rivals_of(entry).any(surely_of) && !surely_of(entry)
    }

    /// Asks for the markers of all that waits, if the batch has just met its first duplicate.
    pub(super) fn look_up_markers(&mut self) {
        if self.duplicates == Duplicates::Met {
            return;
        }
        self.duplicates = Duplicates::Met;
        if !self.redelivery.may_look_up() {
            return;
        }
        let (commit, other): (Vec<Job>, Vec<Job>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|job| matches!(job.step, JobStep::Commit));
        self.waiting = other.into();
        let mut members: Vec<EntryId> = commit.into_iter().flat_map(|job| job.members).collect();
        members.sort_unstable();
        // Lambda delivers again from the first record on that is open: an invocation that ends with questions alone would
        // let the next one ask them again.
        let first: Vec<EntryId> = members.extract_if(.., |member| *member == EntryId(0)).collect();
        for members in members.chunks(limits::BATCH_GET_KEYS).rev() {
            let (members, step) = (members.to_vec(), JobStep::LookUpMarkers);
            self.waiting.push_front(Job { members, items: Vec::new(), held: Vec::new(), step, plans: 0 });
            self.open_look_ups += 1;
        }
        self.queue(first, JobStep::Commit, 0);
    }

    /// Judges by the markers that were found. Once all requests are answered, the others are planned again.
    pub(super) fn markers_looked_up(&mut self, job: Job, found: Result<FoundMarkers, Failure>) {
        self.open_look_ups -= 1;
        match found {
            Ok(found) => self.found_markers(&job.members, &found),
            Err(failure) => self.no_more_look_ups(failure),
        }
        let rest: Vec<EntryId> = job.members.into_iter().filter(|&member| self.open(member)).collect();
        self.on_hold.extend(rest);
        if self.open_look_ups == 0 {
            let on_hold = std::mem::take(&mut self.on_hold);
            self.waiting.extend(self.planned(on_hold));
        }
        self.quarantine();
    }

    fn found_markers(&mut self, members: &[EntryId], found: &FoundMarkers) {
        for &member in members {
            if let Some(marker) = found.get(&self.batch[member].marker_id())
                && !self.may_replace(member, marker)
            {
                self.met_marker(member, Some(marker));
            }
        }
    }

    /// What is not asked yet is not asked any more: nothing depends on the answers but the cost.
    fn no_more_look_ups(&mut self, failure: Failure) {
        let waiting = std::mem::take(&mut self.waiting);
        for job in waiting {
            if matches!(job.step, JobStep::LookUpMarkers) {
                self.open_look_ups -= 1;
                self.on_hold.extend(job.members);
            } else {
                self.waiting.push_back(job);
            }
        }
        if let Failure::Broken(words) = failure {
            self.redelivery.deny_look_ups();
            self.look_ups_denied = Some(words);
        }
    }

    /// Whether the transaction of an entry may put its marker in the place of this one. If so, it has to decide.
    fn may_replace(&self, member: EntryId, marker: &Item) -> bool {
        self.setting.guard != Guard::Absent
            && matches!(self.batch[member], Entry::Apply { .. })
            && marker::is_quarantined(marker)
    }
}
