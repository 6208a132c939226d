//! The state of a commit, and how each answer changes it.

mod cancelled;
mod first_touch;
mod redelivered;
mod refused;

use std::collections::{BTreeSet, VecDeque};

use crate::commit::complete_items::CompleteItems;
use crate::commit::job::{Answer, Done, Job, JobStep, Prepared};
use crate::commit::pace::Pace;
use crate::commit::redelivery::Redelivery;
use crate::commit::report::{Broken, CommitReport, RequestCounters};
use crate::rollup::model::marker;
use crate::rollup::pipeline::coalesce::{Batch, Entry, EntryId, ItemId};
use crate::rollup::pipeline::plan::{self, Action, Setting, Transaction};
use crate::rollup::pipeline::response::{EntryOutcome, Unresolved};
use crate::rollup::pipeline::verdict::{Failure, RetryCause};
use crate::rollup::pipeline::view_item::Shape;
use redelivered::Duplicates;

/// What is known about each entry and each view item, and which jobs are left.
pub(super) struct Run<'r, 'b> {
    setting: &'r Setting<'r>,
    batch: &'r mut Batch<'b>,
    complete_items: &'r CompleteItems,
    shapes: Vec<Shape>,
    /// View items whose shape is assumed, because no answer has shown it yet, in this invocation or an earlier one.
    unseen: BTreeSet<ItemId>,
    /// View items whose shape was assumed a second time, after a condition failed and the answer did not contain the
    /// item.
    presumed: BTreeSet<ItemId>,
    outcomes: Vec<Option<EntryOutcome>>,
    /// Entries that were found to be poison while an answer is being processed.
    condemned: Vec<EntryId>,
    waiting: VecDeque<Job>,
    /// View items that a job in flight touches.
    busy: Vec<bool>,
    redelivery: &'r Redelivery,
    duplicates: Duplicates,
    /// Entries without a marker according to a look-up. They are planned when all look-ups are answered.
    on_hold: Vec<EntryId>,
    /// Number of marker look-ups that are waiting or not answered yet.
    open_look_ups: usize,
    pace: &'r Pace,
    first_touches: usize,
    other_definition: usize,
    /// Why markers cannot be looked up, if so.
    look_ups_denied: Option<String>,
}

impl<'r, 'b> Run<'r, 'b> {
    pub(super) fn new(
        setting: &'r Setting<'r>,
        batch: &'r mut Batch<'b>,
        complete_items: &'r CompleteItems,
        redelivery: &'r Redelivery,
        pace: &'r Pace,
    ) -> Self {
        let mut run = Self {
            complete_items,
            shapes: vec![Shape::Complete; batch.items.len()],
            unseen: BTreeSet::new(),
            presumed: BTreeSet::new(),
            outcomes: vec![None; batch.entries.len()],
            condemned: Vec::new(),
            waiting: VecDeque::new(),
            busy: vec![false; batch.items.len()],
            redelivery,
            duplicates: if redelivery.begin() { Duplicates::Suspected } else { Duplicates::NoneMet },
            on_hold: Vec::new(),
            open_look_ups: 0,
            pace,
            first_touches: 0,
            other_definition: 0,
            look_ups_denied: None,
            setting,
            batch,
        };
        let all: Vec<EntryId> = run.batch.ids().filter(|member| !run.batch.behind_others.contains(member)).collect();
        run.waiting = run.planned(all).into();
        run.probe();
        run
    }

    /// Queues the entries that had to wait until all others have an outcome, one by one. Returns false if there are
    /// none.
    pub(super) fn begin_those_behind(&mut self) -> bool {
        let behind = std::mem::take(&mut self.batch.behind_others);
        for &member in behind.iter().rev() {
            self.queue(vec![member], JobStep::Commit, 0);
        }
        !behind.is_empty()
    }

    /// The transactions of some entries, the one with the first entry first. Lambda delivers again from the first open
    /// record, so an invocation that resolved only later records would never make progress.
    fn planned(&self, members: Vec<EntryId>) -> Vec<Job> {
        let (apply, quarantine): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|&member| matches!(self.batch[member], Entry::Apply { .. }));
        let mut planned: Vec<_> = self.plan(&apply).into_iter().chain(self.plan(&quarantine)).collect();
        planned.sort_by_key(|members| members.iter().min().copied());
        planned.into_iter().map(|members| self.job(members, JobStep::Commit, 0)).collect()
    }

    fn plan(&self, members: &[EntryId]) -> Vec<Vec<EntryId>> {
        plan::plan(self.setting.definition, self.batch, members)
    }

    fn job(&self, members: Vec<EntryId>, step: JobStep, plans: u32) -> Job {
        let mut items: Vec<ItemId> = members.iter().flat_map(|&member| self.batch[member].touches()).copied().collect();
        items.sort_unstable();
        items.dedup();
        Job { members, items, held: Vec::new(), step, plans }
    }

    /// Queues entries in front: what was started is finished before anything else starts. Then an invocation that ends
    /// too early has finished something, and the next one makes progress.
    fn queue(&mut self, members: Vec<EntryId>, step: JobStep, plans: u32) {
        if !members.is_empty() {
            let job = self.job(members, step, plans);
            self.waiting.push_front(job);
        }
    }

    /// Takes the next job whose view items are all free, and marks them as busy. A transaction that is too large for
    /// the known capacity is halved first.
    pub(super) fn next(&mut self) -> Option<Job> {
        let free = |job: &Job| job.items.iter().chain(&job.held).all(|item| !self.busy[item.0]);
        let place = self.waiting.iter().position(free)?;
        let mut job = self.waiting.remove(place)?;
        while matches!(job.step, JobStep::Commit) && job.members.len() > 1 && job.actions() > self.pace.most_actions() {
            self.halve(job);
            job = self.waiting.pop_front()?;
        }
        for item in job.items.iter().chain(&job.held) {
            self.busy[item.0] = true;
        }
        Some(job)
    }

    /// The request for a job, based on what is known now.
    pub(super) fn prepare(&self, job: &Job) -> Prepared<'r> {
        match &job.step {
            JobStep::Commit => Prepared::Commit(plan::assemble(self.setting, self.batch, &self.shapes, &job.members)),
            JobStep::Inspect { refused: items, .. } | JobStep::Read(items) => {
                Prepared::Inspect(items.iter().map(|item| (*item, self.batch[*item].key.clone())).collect())
            }
            JobStep::LookUp => Prepared::LookUp(job.items.iter().map(|item| self.batch[*item].key.clone()).collect()),
            JobStep::LookUpMarkers => {
                let ids = job.members.iter().map(|member| self.batch[*member].marker_id());
                Prepared::LookUpMarkers(ids.collect::<BTreeSet<_>>().into_iter().collect())
            }
        }
    }

    pub(super) fn settle(&mut self, done: Done<'_>) -> Result<(), Broken> {
        let Done { job, answer } = done;
        for item in job.items.iter().chain(&job.held) {
            self.busy[item.0] = false;
        }
        if matches!(answer, Answer::Transacted(..)) {
            self.first_answered(&job.members);
        }
        match answer {
            Answer::Transacted(transaction, Ok(())) => self.committed(&transaction),
            Answer::Transacted(transaction, Err(Failure::Cancelled(verdicts))) => {
                self.cancelled(job, &transaction, verdicts)?;
            }
            Answer::Transacted(_, Err(Failure::Refused(words))) => self.refused(job, words)?,
            Answer::Inspected(Ok(items)) if matches!(job.step, JobStep::Read(_)) => self.read(job, &items),
            Answer::Inspected(Ok(items)) => self.inspected(job, &items)?,
            Answer::Transacted(_, Err(Failure::Transient(RetryCause::Throttled))) => {
                self.pace.split(job.actions());
                self.halve(job);
            }
            Answer::Transacted(_, Err(Failure::TokenReused | Failure::Transient(_))) => {
                self.queue(job.members, JobStep::Commit, job.plans + 1);
            }
            Answer::Inspected(Err(Failure::Broken(words) | Failure::Refused(words)))
            | Answer::LookedUp(Err(Failure::Broken(words)))
            | Answer::Transacted(_, Err(Failure::Broken(words))) => return Err(Broken(words)),
            Answer::LookedUp(Err(_)) => {}
            Answer::LookedUp(Ok(found)) => self.looked_up(&job, &found),
            Answer::MarkersLookedUp(found) => self.markers_looked_up(job, found),
            Answer::Inspected(Err(_)) => self.queue(job.members, job.step, job.plans + 1),
        }
        Ok(())
    }

    fn committed(&mut self, transaction: &Transaction<'_>) {
        for action in &transaction.actions {
            match action {
                Action::PutMarker { entry, marker, .. } => {
                    self.outcomes[entry.0] = Some(match &self.batch[*entry] {
                        Entry::Apply { .. } => EntryOutcome::Applied,
                        Entry::Quarantine(_) if marker::holds_record(&marker.item()) => EntryOutcome::Quarantined,
                        Entry::Quarantine(_) => EntryOutcome::Unresolved(Unresolved::NotKept),
                    });
                }
                Action::UpdateReason { entry, .. } => self.outcomes[entry.0] = Some(EntryOutcome::Quarantined),
                Action::UpdateView { item, .. } => {
                    self.first_touches += usize::from(self.shapes[item.0] != Shape::Complete);
                    self.see(*item, Shape::Complete);
                }
                Action::PutPart { .. } | Action::DeletePart { .. } | Action::CheckAbsent { .. } => {}
            }
        }
    }

    pub(super) fn report(self, counters: &RequestCounters) -> CommitReport {
        let out_of_time = EntryOutcome::Unresolved(Unresolved::OutOfTime);
        CommitReport {
            outcomes: self.outcomes.into_iter().map(|outcome| outcome.unwrap_or(out_of_time.clone())).collect(),
            requests: counters.requests(),
            retries: counters.retries(),
            first_touches: self.first_touches,
            other_definition: self.other_definition,
            look_ups_denied: self.look_ups_denied,
        }
    }
}
