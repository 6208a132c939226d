//! The state of a commit, and what each answer does to it.

mod first_touch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;

use super::{Answer, Broken, Done, Report, Sent};
use crate::commit::complete_items::Known;
use crate::rollup::Item;
use crate::rollup::model::change::Change;
use crate::rollup::model::marker::{self, Guard, Met};
use crate::rollup::model::poison::Reason;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::coalesce::{Batch, Entry, ItemId};
use crate::rollup::pipeline::plan::{self, Action, Setting, Transaction};
use crate::rollup::pipeline::response::{Outcome, Unresolved};
use crate::rollup::pipeline::update::{self, Shape};
use crate::rollup::pipeline::verdict::{ActionVerdict, Cause, Failure};

/// Some entries, and what is to be done with them next.
#[derive(Debug)]
pub(super) struct Job {
    members: Vec<usize>,
    items: Vec<ItemId>,
    /// View items that wait for its answer, besides those that it touches.
    held: Vec<ItemId>,
    step: Step,
    /// How often these entries were planned before.
    pub(super) plans: u32,
}

#[derive(Debug)]
enum Step {
    /// Commit them in one transaction.
    Commit,
    /// Look at these of their view items, as a transaction of them was refused in these words.
    Inspect { refused: Vec<ItemId>, words: String },
    /// Ask for the shapes of its view items.
    LookUp,
}

/// What is sent for a job.
pub(super) enum Prepared<'r> {
    Commit(Transaction<'r>),
    Inspect(Vec<(ItemId, ViewKey)>),
    LookUp(Vec<ViewKey>),
}

/// The state of a commit: what is known of each entry and each view item, and what is still to be done.
pub(super) struct Run<'r, 'b> {
    setting: &'r Setting,
    batch: &'r mut Batch<'b>,
    known: &'r Known,
    shapes: Vec<Shape>,
    /// View items whose shape is presumed: nothing told of it yet, in this invocation or before.
    unseen: BTreeSet<ItemId>,
    outcomes: Vec<Option<Outcome>>,
    /// Entries that were found to be poison while an answer is being read.
    condemned: Vec<usize>,
    waiting: VecDeque<Job>,
    /// View items that a job in flight touches.
    busy: Vec<bool>,
    first_touches: usize,
}

impl<'r, 'b> Run<'r, 'b> {
    pub(super) fn new(setting: &'r Setting, batch: &'r mut Batch<'b>, known: &'r Known) -> Self {
        let mut run = Self {
            known,
            shapes: vec![Shape::Complete; batch.items.len()],
            unseen: BTreeSet::new(),
            outcomes: vec![None; batch.entries.len()],
            condemned: Vec::new(),
            waiting: VecDeque::new(),
            busy: vec![false; batch.items.len()],
            first_touches: 0,
            setting,
            batch,
        };
        let all: Vec<usize> = (0..run.batch.entries.len()).collect();
        let (apply, quarantine): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|&member| matches!(run.batch.entries[member], Entry::Apply { .. }));
        let mut planned: Vec<_> = run.plan(&apply).into_iter().chain(run.plan(&quarantine)).collect();
        // The one with the batch's first record goes first: Lambda delivers again from the first on that is open, and an
        // invocation that only ever got to others would leave it open for ever.
        planned.sort_by_key(|members| members.iter().min().copied());
        run.waiting = planned.into_iter().map(|members| run.job(members, Step::Commit, 0)).collect();
        run.probe();
        run
    }

    fn plan(&self, members: &[usize]) -> Vec<Vec<usize>> {
        plan::plan(&self.setting.view, self.batch, members)
    }

    fn job(&self, members: Vec<usize>, step: Step, plans: u32) -> Job {
        let mut items: Vec<ItemId> =
            members.iter().flat_map(|&member| self.batch.entries[member].touches()).copied().collect();
        items.sort_unstable();
        items.dedup();
        Job { members, items, held: Vec::new(), step, plans }
    }

    /// What was begun goes on before anything else is begun: so an invocation that ends too early has finished
    /// something, and the next one does not begin where it did.
    fn queue(&mut self, members: Vec<usize>, step: Step, plans: u32) {
        if !members.is_empty() {
            let job = self.job(members, step, plans);
            self.waiting.push_front(job);
        }
    }

    /// The next job none of whose view items is busy; they are, from now on.
    pub(super) fn next(&mut self) -> Option<Job> {
        let free = |job: &Job| job.items.iter().chain(&job.held).all(|item| !self.busy[item.0]);
        let place = self.waiting.iter().position(free)?;
        let job = self.waiting.remove(place)?;
        for item in job.items.iter().chain(&job.held) {
            self.busy[item.0] = true;
        }
        Some(job)
    }

    /// What is to be sent for a job, as far as is known now.
    pub(super) fn prepare(&self, job: &Job) -> Prepared<'r> {
        match &job.step {
            Step::Commit => Prepared::Commit(plan::assemble(self.setting, self.batch, &self.shapes, &job.members)),
            Step::Inspect { refused, .. } => {
                Prepared::Inspect(refused.iter().map(|item| (*item, self.batch.items[item.0].clone())).collect())
            }
            Step::LookUp => Prepared::LookUp(job.items.iter().map(|item| self.batch.items[item.0].clone()).collect()),
        }
    }

    pub(super) fn settle(&mut self, done: Done<'_>) -> Result<(), Broken> {
        let Done { job, answer } = done;
        for item in job.items.iter().chain(&job.held) {
            self.busy[item.0] = false;
        }
        match answer {
            Answer::Transacted(transaction, Ok(())) => self.committed(&transaction),
            Answer::Transacted(transaction, Err(Failure::Cancelled(verdicts))) => {
                self.cancelled(job, &transaction, verdicts);
            }
            Answer::Transacted(_, Err(Failure::Refused(words))) => self.refused(job, words),
            Answer::Inspected(Ok(items)) => self.inspected(job, &items),
            Answer::Transacted(_, Err(Failure::TokenReused | Failure::Transient(_))) => {
                self.queue(job.members, Step::Commit, job.plans + 1);
            }
            Answer::Inspected(Err(Failure::Broken(words) | Failure::Refused(words)))
            | Answer::LookedUp(Err(Failure::Broken(words)))
            | Answer::Transacted(_, Err(Failure::Broken(words))) => return Err(Broken(words)),
            Answer::LookedUp(Err(_)) => {}
            Answer::LookedUp(Ok(found)) => self.looked_up(&job, &found),
            Answer::Inspected(Err(_)) => self.queue(job.members, job.step, job.plans + 1),
        }
        Ok(())
    }

    fn committed(&mut self, transaction: &Transaction<'_>) {
        for action in &transaction.actions {
            match action {
                Action::PutMarker { entry, marker, .. } => {
                    self.outcomes[*entry] = Some(match &self.batch.entries[*entry] {
                        Entry::Apply { .. } => Outcome::Applied,
                        Entry::Quarantine(_) if marker.item().contains_key(marker::RECORD) => Outcome::Quarantined,
                        Entry::Quarantine(_) => Outcome::Unresolved(Unresolved::NotKept),
                    });
                }
                Action::UpdateView { item, .. } => {
                    self.first_touches += usize::from(self.shapes[item.0] != Shape::Complete);
                    self.see(*item, Shape::Complete);
                }
                Action::CheckAbsent { .. } => {}
            }
        }
    }

    /// Takes what each action says into account, and plans what is left again.
    fn cancelled(&mut self, job: Job, transaction: &Transaction<'_>, verdicts: Vec<ActionVerdict>) {
        let mut refused: BTreeMap<ItemId, String> = BTreeMap::new();
        let mut first_touch = false;
        for (action, verdict) in transaction.actions.iter().zip(verdicts) {
            match (action, verdict) {
                (Action::UpdateView { item, .. }, ActionVerdict::Fine) => {
                    self.see(*item, self.shapes[item.0].clone());
                }
                (_, ActionVerdict::Fine | ActionVerdict::Transient(_) | ActionVerdict::Broken(_)) => {}
                (Action::PutMarker { entry, .. }, ActionVerdict::ConditionFailed(found)) => {
                    let met = marker::meet(found.as_ref(), self.batch.entries[*entry].head());
                    self.outcomes[*entry] = Some(match met {
                        // A replay asks what is still in quarantine; a delivery, what was dealt with before.
                        Met::Quarantined if self.setting.guard == Guard::AbsentOrQuarantined => Outcome::Quarantined,
                        Met::Duplicate | Met::Quarantined => Outcome::Duplicate,
                        Met::NotKept => Outcome::Unresolved(Unresolved::NotKept),
                        Met::Collision => Outcome::Unresolved(Unresolved::Collision),
                    });
                }
                (Action::PutMarker { entry, .. }, ActionVerdict::Refused(words)) => {
                    self.poison(*entry, Reason::Refused(words));
                }
                (
                    Action::UpdateView { item, .. } | Action::CheckAbsent { item, .. },
                    ActionVerdict::ConditionFailed(found),
                ) => match update::shape(&self.setting.view, found.as_ref()) {
                    // It is there, whatever of it came back.
                    Ok(Shape::Absent) if matches!(action, Action::CheckAbsent { .. }) => {
                        self.see(*item, Shape::Complete);
                    }
                    Ok(shape) => first_touch |= self.see(*item, shape),
                    Err(detail) => {
                        for &member in &job.members {
                            if self.batch.entries[member].touches().contains(item) {
                                self.poison(member, self.view_item_fault(*item, detail.clone()));
                            }
                        }
                    }
                },
                (Action::UpdateView { item, .. } | Action::CheckAbsent { item, .. }, ActionVerdict::Refused(words)) => {
                    refused.insert(*item, words);
                }
            }
        }
        let before = job.members.len();
        let rest: Vec<usize> = job.members.into_iter().filter(|&member| self.open(member)).collect();
        let touched =
            |member: &usize| self.batch.entries[*member].touches().iter().any(|item| refused.contains_key(item));
        match refused.values().next() {
            // Whoever was at fault may be gone already: the rest is not suspected before it was refused by itself.
            Some(words) if rest.len() == before => {
                let words = words.clone();
                let (suspect, innocent): (Vec<_>, Vec<_>) = rest.into_iter().partition(touched);
                self.queue(innocent, Step::Commit, job.plans);
                self.queue(suspect, Step::Inspect { refused: refused.into_keys().collect(), words }, job.plans);
            }
            _ => self.queue(rest, Step::Commit, job.plans + 1),
        }
        self.quarantine();
        if first_touch {
            self.look_up();
        }
    }

    /// A transaction was refused without a word about which of its actions is at fault: one view item is looked at,
    /// several are told apart first.
    fn refused(&mut self, job: Job, words: String) {
        if job.items.len() == 1 || job.members.len() == 1 {
            self.queue(job.members, Step::Inspect { refused: job.items, words }, job.plans);
        } else {
            self.halve(job);
        }
    }

    /// What can be seen to be at fault goes to quarantine; if nothing can, the entries are halved until one is alone.
    fn inspected(&mut self, job: Job, items: &[(ItemId, Option<Item>)]) {
        let Step::Inspect { refused, words } = &job.step else { return };
        for &member in &job.members {
            if let Some((item, detail)) = self.fault(member, items) {
                self.poison(member, self.view_item_fault(item, detail));
            }
        }
        let rest: Vec<usize> = job.members.iter().copied().filter(|&member| self.open(member)).collect();
        if rest.len() < job.members.len() {
            self.queue(rest, Step::Commit, job.plans);
        } else if let &[member] = rest.as_slice() {
            let reason = match refused.as_slice() {
                &[item] => self.view_item_fault(item, words.clone()),
                _ => Reason::Refused(words.clone()),
            };
            self.poison(member, reason);
        } else {
            self.halve(job);
        }
        self.quarantine();
    }

    fn fault(&self, member: usize, items: &[(ItemId, Option<Item>)]) -> Option<(ItemId, String)> {
        let Entry::Apply { change, touches } = &self.batch.entries[member] else { return None };
        touches.iter().zip(change.deltas.values()).find_map(|(touched, sums)| {
            let (_, found) = items.iter().find(|(item, _)| item == touched)?;
            let found = found.as_ref()?;
            let fault = |counter| update::fault(&self.setting.view, found, counter);
            let full = || update::overflow(&self.setting.view, found, sums);
            sums.keys().find_map(fault).or_else(full).map(|detail| (*touched, detail))
        })
    }

    fn view_item_fault(&self, item: ItemId, detail: String) -> Reason {
        let item = format!("{} {}", self.setting.view.view_table(), self.batch.items[item.0]);
        Reason::ViewItem { item, detail }
    }

    fn halve(&mut self, job: Job) {
        let mut first = job.members;
        let second = first.split_off(first.len() / 2);
        self.queue(second, Step::Commit, job.plans);
        self.queue(first, Step::Commit, job.plans);
    }

    /// Whether an entry is still to be dealt with by the job that has it.
    fn open(&self, member: usize) -> bool {
        self.outcomes[member].is_none() && !self.condemned.contains(&member)
    }

    /// An entry that cannot be applied is to be kept in quarantine. One whose marker is refused there is tried without its
    /// key, which is all that is in it unchecked; after that it has nowhere to go.
    fn poison(&mut self, member: usize, reason: Reason) {
        if !self.open(member) {
            return;
        }
        match &mut self.batch.entries[member] {
            Entry::Apply { change, .. } => {
                self.batch.entries[member] = Entry::Quarantine(Change::clone(change).poisoned(reason));
                self.condemned.push(member);
            }
            Entry::Quarantine(poison) if !poison.head.source_key.is_empty() => {
                poison.head.source_key.clear();
                self.condemned.push(member);
            }
            Entry::Quarantine(_) => self.outcomes[member] = Some(Outcome::Unresolved(Unresolved::NotKept)),
        }
    }

    fn quarantine(&mut self) {
        let condemned = std::mem::take(&mut self.condemned);
        for members in self.plan(&condemned) {
            self.queue(members, Step::Commit, 0);
        }
    }

    pub(super) fn report(self, sent: &Sent) -> Report {
        let retries = Cause::ALL.into_iter().map(|cause| (cause, sent.retries[cause as usize].load(Ordering::Relaxed)));
        let outcome = |outcome: Option<Outcome>| outcome.unwrap_or(Outcome::Unresolved(Unresolved::OutOfTime));
        Report {
            outcomes: self.outcomes.into_iter().map(outcome).collect(),
            requests: sent.requests.load(Ordering::Relaxed),
            retries: retries.filter(|(_, times)| *times > 0).collect(),
            first_touches: self.first_touches,
        }
    }
}
