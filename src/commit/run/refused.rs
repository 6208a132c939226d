//! Finds the record at fault when DynamoDB refuses a transaction, and takes it out.

use super::Run;
use crate::commit::job::{Job, JobStep};
use crate::commit::report::Broken;
use crate::rollup::Item;
use crate::rollup::model::change::Change;
use crate::rollup::model::poison::Reason;
use crate::rollup::pipeline::blame::{self, Blame};
use crate::rollup::pipeline::coalesce::{Entry, EntryId, ItemId};
use crate::rollup::pipeline::response::{EntryOutcome, Unresolved};
use crate::rollup::pipeline::view_item;

impl Run<'_, '_> {
    /// Handles a refusal that does not say which action is at fault. If there is one view item, it is inspected; if
    /// there are several, the entries are halved first.
    ///
    /// # Errors
    /// When every other transaction would be refused as well.
    pub(super) fn refused(&mut self, job: Job, words: String) -> Result<(), Broken> {
        if blame::refuses_every_update(self.setting.definition, &words) {
            return Err(Broken(words));
        }
        if job.items.len() == 1 || job.members.len() == 1 {
            self.queue(job.members, JobStep::Inspect { refused: job.items, words }, job.plans);
        } else {
            self.halve(job);
        }
        Ok(())
    }

    /// Sends the entries at fault to quarantine. If none can be identified, the entries are halved until one is alone.
    ///
    /// # Errors
    /// When an entry is alone and not at fault.
    pub(super) fn inspected(&mut self, job: Job, items: &[(ItemId, Option<Item>)]) -> Result<(), Broken> {
        let JobStep::Inspect { refused, words } = &job.step else { return Ok(()) };
        for &member in &job.members {
            if let Some((item, detail)) = self.fault(member, items) {
                self.poison(member, self.view_item_fault(item, detail));
            }
        }
        let rest: Vec<EntryId> = job.members.iter().copied().filter(|&member| self.open(member)).collect();
        if rest.len() < job.members.len() {
            self.queue(rest, JobStep::Commit, job.plans);
        } else if let &[member] = rest.as_slice() {
            let found = items.iter().map(|(_, found)| found.as_ref());
            if blame::blame(self.setting.definition, words, found) == Blame::Deployment {
                return Err(Broken(words.clone()));
            }
            let reason = match refused.as_slice() {
                &[item] => self.view_item_fault(item, words.clone()),
                _ => Reason::Refused(words.clone()),
            };
            self.poison(member, reason);
        } else {
            self.halve(job);
        }
        self.quarantine();
        Ok(())
    }

    fn fault(&self, member: EntryId, items: &[(ItemId, Option<Item>)]) -> Option<(ItemId, String)> {
        let Entry::Apply { change, touches, .. } = &self.batch[member] else { return None };
        touches.iter().zip(change.sums().values()).find_map(|(touched, sums)| {
            let (_, found) = items.iter().find(|(item, _)| item == touched)?;
            let found = found.as_ref()?;
            let definition = self.setting.definition;
            let fault = |counter| view_item::fault(definition, found, counter);
            let too_much = || view_item::out_of_bounds(definition, found, sums);
            let full = || view_item::overflow(definition, found, sums);
            sums.keys().find_map(fault).or_else(too_much).or_else(full).map(|detail| (*touched, detail))
        })
    }

    pub(super) fn view_item_fault(&self, item: ItemId, detail: String) -> Reason {
        let item = self.setting.definition.named(&self.batch[item].key);
        Reason::ViewItem { item, detail }
    }

    /// Sends the entries of a job in two transactions. If they share a view item, the second waits for the first.
    pub(super) fn halve(&mut self, job: Job) {
        let mut first = job.members;
        let second = first.split_off(first.len() / 2);
        self.queue(second, JobStep::Commit, job.plans);
        self.queue(first, JobStep::Commit, job.plans);
    }

    /// Whether the job that has an entry must still resolve it.
    pub(super) fn open(&self, member: EntryId) -> bool {
        self.outcomes[member.0].is_none() && !self.condemned.contains(&member)
    }

    /// Turns an entry that cannot be applied into a quarantine entry. If its marker is refused there too, it is tried
    /// without its source key, the only content that is not checked. If that is refused as well, it cannot be kept.
    pub(super) fn poison(&mut self, member: EntryId, reason: Reason) {
        if !self.open(member) {
            return;
        }
        match &mut self.batch[member] {
            Entry::Apply { change, .. } => {
                self.batch[member] = Entry::Quarantine(Box::new(Change::clone(change).poisoned(reason)));
                self.condemned.push(member);
            }
            Entry::Quarantine(poison) if !poison.head.source_key.is_empty() => {
                poison.head.source_key.clear();
                self.condemned.push(member);
            }
            Entry::Quarantine(_) => self.outcomes[member.0] = Some(EntryOutcome::Unresolved(Unresolved::NotKept)),
        }
    }

    /// Keeps an entry under a key of its own, because another event has its sequence number.
    pub(super) fn number_is_taken(&mut self, member: EntryId) {
        match &self.batch[member] {
            // Its own key is derived from its content, so the existing item is the same record.
            Entry::Quarantine(poison) if matches!(poison.reason, Reason::NumberTaken { .. }) => {
                self.outcomes[member.0] = Some(EntryOutcome::Duplicate);
            }
            entry if self.open(member) => {
                self.batch[member] = entry.clone().of_another_event();
                self.condemned.push(member);
            }
            _ => {}
        }
    }

    pub(super) fn quarantine(&mut self) {
        let condemned = std::mem::take(&mut self.condemned);
        for members in self.plan(&condemned) {
            self.queue(members, JobStep::Commit, 0);
        }
    }
}
