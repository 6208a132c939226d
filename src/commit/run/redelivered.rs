//! Records that were counted before. Their markers are looked up once the first duplicate was found.
//!
//! A duplicate cancels its whole transaction, and the cancelled transaction is billed. A batch with one duplicate most
//! likely has many, because whole batches are delivered again: after a crash, a failure, or a lost answer. So when the
//! first one is found, the markers of all waiting records are looked up. Only a found marker is used. Records without
//! one in the answer are sent as before, and the condition on the marker decides.

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

/// What is known about the duplicates of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// The batch may have been delivered before: the transaction with its first record is sent alone, to find out.
    Suspected,
    /// No duplicate was found yet.
    NoneMet,
    /// A duplicate was found, so the markers were looked up where possible.
    Met,
}

impl Run<'_, '_> {
    /// Maximum concurrent requests.
    pub(in crate::commit) fn most_in_flight(&self, most: usize) -> usize {
        if self.duplicates == Duplicates::Suspected { 1 } else { most }
    }

    /// Ends the suspicion once the transaction that was sent alone is answered.
    pub(super) fn first_answered(&mut self, members: &[EntryId]) {
        if self.duplicates == Duplicates::Suspected && members.contains(&EntryId(0)) {
            self.duplicates = Duplicates::NoneMet;
        }
    }

    /// Sets the outcome of an entry whose marker exists.
    pub(super) fn met_marker(&mut self, entry: EntryId, found: Option<&Item>) {
        if found.is_some_and(|found| self.is_of_a_rival(entry, found)) {
            return self.number_is_taken(entry);
        }
        let outcome = match existing_marker::existing(found, self.batch[entry].head()) {
            ExistingMarker::Collision => return self.number_is_taken(entry),
            // A replay reports what stays in quarantine. For a delivery such a record is a duplicate.
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

    /// Whether a marker belongs to another entry with the same sequence number. Two records of one batch with different
    /// content are distinguished, even if one of them cannot be parsed.
    fn is_of_a_rival(&self, entry: EntryId, marker: &Item) -> bool {
        let surely_of = |entry: EntryId| existing_marker::is_surely_of(marker, self.batch[entry].head());
        self.batch.rivals_of(entry).any(surely_of) && !surely_of(entry)
    }

    /// Looks up the markers of all waiting records, if the batch has just met its first duplicate.
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
        // The transaction with the first record goes first. Lambda delivers again from the first open record; an
        // invocation that ends with look-ups alone would make the next one repeat them.
        let first: Vec<EntryId> = members.extract_if(.., |member| *member == EntryId(0)).collect();
        for members in members.chunks(limits::BATCH_GET_KEYS).rev() {
            let (members, step) = (members.to_vec(), JobStep::LookUpMarkers);
            self.waiting.push_front(Job { members, items: Vec::new(), held: Vec::new(), step, plans: 0 });
            self.open_look_ups += 1;
        }
        self.queue(first, JobStep::Commit, 0);
    }

    /// Sets the outcomes of the entries whose markers were found. Once all look-ups are answered, the others are
    /// planned again.
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

    /// Cancels the remaining look-ups: only the cost depends on them.
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

    /// Whether the transaction of an entry may replace this marker. Then only the transaction can decide.
    fn may_replace(&self, member: EntryId, marker: &Item) -> bool {
        self.setting.guard != Guard::Absent
            && matches!(self.batch[member], Entry::Apply { .. })
            && marker::is_quarantined(marker)
    }
}
