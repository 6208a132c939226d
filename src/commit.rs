//! Committing a batch: the one loop that sends, waits, retries, and learns from refusals.
//!
//! A batch is planned into transactions. Each is sent until it is committed, found to be done already, or refused for a
//! reason that planning it again takes away: without the duplicates, for other shapes of its view items, or in halves
//! until the record at fault stands alone and goes to quarantine. Transactions of the same view item follow each other,
//! because side by side they could only conflict; others run side by side.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use crate::rollup::Item;
use crate::rollup::coalesce::{Batch, Entry, ItemId};
use crate::rollup::marker::{self, Kept, Met};
use crate::rollup::plan::{self, Action, Setting, Transaction};
use crate::rollup::poison::Reason;
use crate::rollup::response::{Outcome, Unresolved};
use crate::rollup::update::{self, Shape};
use crate::rollup::verdict::{ActionVerdict, Cause, Failure};
use crate::rollup::view::ViewKey;

/// What the commit loop needs of a database.
pub trait Store: Sync {
    /// Carries out a transaction at most once for a token.
    fn transact(&self, transaction: &Transaction, token: Uuid) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Reads a view item as it is now; none when it is not there.
    fn view_item(&self, key: &ViewKey) -> impl Future<Output = Result<Option<Item>, Failure>> + Send;
}

/// Where randomness comes from.
pub trait Entropy: Sync {
    /// A token that no other transaction ever had.
    fn token(&self) -> Uuid;

    /// A time between zero and `limit`, every one as likely as the others.
    fn up_to(&self, limit: Duration) -> Duration;
}

/// The longest wait before the first retry; it doubles with each one.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);

/// The longest wait before any retry.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How often a transaction may be planned again before it waits like a retry: each time tells something new about its
/// view items, so more can only be another writer's doing.
const PROMPT_REPLANS: u32 = 3;

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// What became of each entry of the batch.
    pub outcomes: Vec<Outcome>,
    /// Requests to commit that were sent, retries and refused ones included.
    pub requests: usize,
    /// Requests that were sent again, by cause.
    pub retries: BTreeMap<Cause, usize>,
    /// View items whose maps were created.
    pub first_touches: usize,
}

/// The deployment is at fault, so no record can be dealt with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Commits a batch, until all of it is dealt with or `deadline` comes.
///
/// `max_in_flight` transactions are sent side by side. Entries that turn out to be poison become
/// [`Entry::Quarantine`]s of the batch.
///
/// # Errors
/// When the store says that the deployment is at fault. What was committed until then has its markers.
pub async fn commit(
    store: &impl Store,
    entropy: &impl Entropy,
    setting: &Setting,
    batch: &mut Batch<'_>,
    max_in_flight: usize,
    deadline: Instant,
) -> Result<Report, Broken> {
    let mut run = Run::new(setting, batch);
    let mut in_flight = FuturesUnordered::new();
    loop {
        while in_flight.len() < max_in_flight
            && let Some(job) = run.next()
        {
            let step = match job.step {
                Step::Commit => Prepared::Commit(plan::assemble(setting, run.batch, &run.shapes, &job.members)),
                Step::Inspect { .. } => Prepared::Inspect(run.keys(&job)),
            };
            in_flight.push(carry_out(store, entropy, job, step));
        }
        match timeout_at(deadline, in_flight.next()).await {
            Ok(Some(done)) => run.settle(done)?,
            Ok(None) | Err(_) => return Ok(run.report()),
        }
    }
}

/// Some entries, and what is to be done with them next.
#[derive(Debug)]
struct Job {
    members: Vec<usize>,
    items: Vec<ItemId>,
    step: Step,
    /// How often these entries were planned before.
    plans: u32,
}

#[derive(Debug)]
enum Step {
    /// Commit them in one transaction.
    Commit,
    /// Look at their view items, as a transaction of them was refused in these words.
    Inspect { words: String },
}

enum Prepared {
    Commit(Transaction),
    Inspect(Vec<(ItemId, ViewKey)>),
}

/// A job that was carried out, and what came of it.
struct Done {
    job: Job,
    answer: Answer,
    retries: BTreeMap<Cause, usize>,
    requests: usize,
}

enum Answer {
    Transacted(Transaction, Result<(), Failure>),
    Inspected(Result<Vec<(ItemId, Option<Item>)>, Failure>),
}

async fn carry_out(store: &impl Store, entropy: &impl Entropy, job: Job, step: Prepared) -> Done {
    let mut retries = BTreeMap::new();
    let mut requests = 0;
    if job.plans > PROMPT_REPLANS {
        sleep(backoff(entropy, job.plans - PROMPT_REPLANS)).await;
    }
    let answer = match step {
        Prepared::Commit(transaction) => {
            let token = entropy.token();
            let result = until_settled(entropy, &mut retries, || {
                requests += 1;
                store.transact(&transaction, token)
            })
            .await;
            Answer::Transacted(transaction, result)
        }
        Prepared::Inspect(keys) => {
            let mut items = Vec::with_capacity(keys.len());
            let mut failure = None;
            for (item, key) in keys {
                match until_settled(entropy, &mut retries, || store.view_item(&key)).await {
                    Ok(found) => items.push((item, found)),
                    Err(error) => failure = Some(error),
                }
            }
            Answer::Inspected(failure.map_or(Ok(items), Err))
        }
    };
    Done { job, answer, retries, requests }
}

/// The only retry loop: sends a request until its answer is one that does not pass by itself.
async fn until_settled<T, F>(
    entropy: &impl Entropy,
    retries: &mut BTreeMap<Cause, usize>,
    mut send: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut attempt = 0;
    loop {
        match send().await {
            Err(Failure::Transient(cause)) => {
                attempt += 1;
                *retries.entry(cause).or_default() += 1;
                sleep(backoff(entropy, attempt)).await;
            }
            settled => return settled,
        }
    }
}

fn backoff(entropy: &impl Entropy, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    entropy.up_to(BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX))
}

/// The state of a commit: what is known of each entry and each view item, and what is still to be done.
struct Run<'r, 'b> {
    setting: &'r Setting,
    batch: &'r mut Batch<'b>,
    shapes: Vec<Shape>,
    outcomes: Vec<Option<Outcome>>,
    /// Entries that were found to be poison while an answer is being read.
    condemned: Vec<usize>,
    waiting: VecDeque<Job>,
    /// View items that a job in flight touches.
    busy: Vec<bool>,
    requests: usize,
    retries: BTreeMap<Cause, usize>,
    first_touches: usize,
}

impl<'r, 'b> Run<'r, 'b> {
    fn new(setting: &'r Setting, batch: &'r mut Batch<'b>) -> Self {
        let mut run = Self {
            shapes: vec![Shape::Complete; batch.items.len()],
            outcomes: vec![None; batch.entries.len()],
            condemned: Vec::new(),
            waiting: VecDeque::new(),
            busy: vec![false; batch.items.len()],
            requests: 0,
            retries: BTreeMap::new(),
            first_touches: 0,
            setting,
            batch,
        };
        let all: Vec<usize> = (0..run.batch.entries.len()).collect();
        let (apply, quarantine): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|&member| matches!(run.batch.entries[member], Entry::Apply { .. }));
        run.plan(&apply);
        run.plan(&quarantine);
        run
    }

    fn plan(&mut self, members: &[usize]) {
        for members in plan::plan(&self.setting.view, self.batch, members) {
            self.queue(members, Step::Commit, 0);
        }
    }

    fn queue(&mut self, members: Vec<usize>, step: Step, plans: u32) {
        if members.is_empty() {
            return;
        }
        let mut items: Vec<ItemId> =
            members.iter().flat_map(|&member| self.batch.entries[member].touches()).copied().collect();
        items.sort_unstable();
        items.dedup();
        self.waiting.push_back(Job { members, items, step, plans });
    }

    /// The next job none of whose view items is busy; they are, from now on.
    fn next(&mut self) -> Option<Job> {
        let free = |job: &Job| job.items.iter().all(|item| !self.busy[item.0]);
        let place = self.waiting.iter().position(free)?;
        let job = self.waiting.remove(place)?;
        for item in &job.items {
            self.busy[item.0] = true;
        }
        Some(job)
    }

    fn keys(&self, job: &Job) -> Vec<(ItemId, ViewKey)> {
        job.items.iter().map(|item| (*item, self.batch.items[item.0].clone())).collect()
    }

    fn settle(&mut self, done: Done) -> Result<(), Broken> {
        let Done { job, answer, retries, requests } = done;
        self.requests += requests;
        for (cause, times) in retries {
            *self.retries.entry(cause).or_default() += times;
        }
        for item in &job.items {
            self.busy[item.0] = false;
        }
        match answer {
            Answer::Transacted(transaction, Ok(())) => self.committed(&job, &transaction),
            Answer::Transacted(transaction, Err(Failure::Cancelled(verdicts))) => {
                self.cancelled(job, &transaction, verdicts);
            }
            Answer::Transacted(_, Err(Failure::Refused(words))) => self.refused(job, words),
            Answer::Inspected(Ok(items)) => self.inspected(job, &items),
            Answer::Transacted(_, Err(Failure::TokenReused | Failure::Transient(_))) => {
                self.queue(job.members, Step::Commit, job.plans + 1);
            }
            Answer::Inspected(Err(Failure::Broken(words) | Failure::Refused(words)))
            | Answer::Transacted(_, Err(Failure::Broken(words))) => return Err(Broken(words)),
            Answer::Inspected(Err(_)) => self.queue(job.members, job.step, job.plans + 1),
        }
        Ok(())
    }

    fn committed(&mut self, job: &Job, transaction: &Transaction) {
        for &member in &job.members {
            let entry = &self.batch.entries[member];
            self.outcomes[member] = Some(match (entry, plan::kept(self.setting, entry)) {
                (Entry::Apply { .. }, _) => Outcome::Applied,
                (Entry::Quarantine(_), Kept::Whole) => Outcome::Quarantined,
                (Entry::Quarantine(_), Kept::KeysOnly) => Outcome::Unresolved(Unresolved::NotKept),
            });
        }
        for action in &transaction.actions {
            if let Action::UpdateView { item, .. } = action {
                let before = std::mem::replace(&mut self.shapes[item.0], Shape::Complete);
                self.first_touches += usize::from(before != Shape::Complete);
            }
        }
    }

    /// Takes what each action says into account, and plans what is left again.
    fn cancelled(&mut self, job: Job, transaction: &Transaction, verdicts: Vec<ActionVerdict>) {
        let mut refused: BTreeMap<ItemId, String> = BTreeMap::new();
        for (action, verdict) in transaction.actions.iter().zip(verdicts) {
            match (action, verdict) {
                (_, ActionVerdict::Fine | ActionVerdict::Transient(_)) => {}
                (Action::PutMarker { entry, .. }, ActionVerdict::ConditionFailed(found)) => {
                    self.outcomes[*entry] =
                        Some(match marker::meet(found.as_ref(), self.batch.entries[*entry].identity()) {
                            Met::Duplicate => Outcome::Duplicate,
                            Met::NotKept => Outcome::Unresolved(Unresolved::NotKept),
                            Met::Collision { .. } => Outcome::Unresolved(Unresolved::Collision),
                        });
                }
                (Action::PutMarker { entry, .. }, ActionVerdict::Refused(words)) => {
                    self.poison(*entry, Reason::Refused(words));
                }
                (
                    Action::UpdateView { item, .. } | Action::CheckAbsent { item, .. },
                    ActionVerdict::ConditionFailed(found),
                ) => match update::shape(&self.setting.view, found.as_ref()) {
                    Ok(Shape::Absent) if matches!(action, Action::CheckAbsent { .. }) => {
                        self.shapes[item.0] = Shape::Complete;
                    }
                    Ok(shape) => self.shapes[item.0] = shape,
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
        let rest: Vec<usize> = job.members.into_iter().filter(|&member| self.open(member)).collect();
        let touched =
            |member: &usize| self.batch.entries[*member].touches().iter().any(|item| refused.contains_key(item));
        let (suspect, innocent): (Vec<_>, Vec<_>) = rest.into_iter().partition(touched);
        self.queue(innocent, Step::Commit, job.plans + 1);
        if let Some(words) = refused.into_values().next() {
            self.queue(suspect, Step::Inspect { words }, job.plans + 1);
        }
        self.quarantine();
    }

    /// A transaction was refused without a word about which of its actions is at fault: one view item is looked at,
    /// several are told apart first.
    fn refused(&mut self, job: Job, words: String) {
        match (job.items.len(), job.members.as_slice()) {
            (0, &[member]) => self.outcomes[member] = Some(Outcome::Unresolved(Unresolved::NotKept)),
            (1, _) | (_, &[_]) => self.queue(job.members, Step::Inspect { words }, job.plans),
            _ => self.halve(job),
        }
    }

    /// What can be seen to be at fault goes to quarantine; if nothing can, the entries are halved until one is alone.
    fn inspected(&mut self, job: Job, items: &[(ItemId, Option<Item>)]) {
        let Step::Inspect { words } = &job.step else { return };
        for &member in &job.members {
            if let Some((item, detail)) = self.fault(member, items) {
                self.poison(member, self.view_item_fault(item, detail));
            }
        }
        let rest: Vec<usize> = job.members.iter().copied().filter(|&member| self.open(member)).collect();
        if rest.len() < job.members.len() {
            self.queue(rest, Step::Commit, job.plans);
        } else if let &[member] = rest.as_slice() {
            let reason = match job.items.as_slice() {
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
            sums.keys().find_map(fault).map(|detail| (*touched, detail))
        })
    }

    fn view_item_fault(&self, item: ItemId, detail: String) -> Reason {
        let item = format!("{} {}", self.setting.view.view_table(), self.batch.items[item.0]);
        Reason::ViewItem { item, detail }
    }

    fn halve(&mut self, job: Job) {
        let mut first = job.members;
        let second = first.split_off(first.len() / 2);
        self.queue(first, Step::Commit, job.plans);
        self.queue(second, Step::Commit, job.plans);
    }

    /// Whether an entry is still to be dealt with by the job that has it.
    fn open(&self, member: usize) -> bool {
        self.outcomes[member].is_none() && !self.condemned.contains(&member)
    }

    /// An entry that cannot be applied is to be kept in quarantine; one that cannot be kept there has nowhere to go.
    fn poison(&mut self, member: usize, reason: Reason) {
        match &self.batch.entries[member] {
            Entry::Quarantine(_) => self.outcomes[member] = Some(Outcome::Unresolved(Unresolved::NotKept)),
            Entry::Apply { change, .. } if self.open(member) => {
                self.batch.entries[member] = Entry::Quarantine(change.clone().poisoned(reason));
                self.condemned.push(member);
            }
            Entry::Apply { .. } => {}
        }
    }

    fn quarantine(&mut self) {
        let condemned = std::mem::take(&mut self.condemned);
        self.plan(&condemned);
    }

    fn report(self) -> Report {
        let outcome = |outcome: Option<Outcome>| outcome.unwrap_or(Outcome::Unresolved(Unresolved::OutOfTime));
        Report {
            outcomes: self.outcomes.into_iter().map(outcome).collect(),
            requests: self.requests,
            retries: self.retries,
            first_touches: self.first_touches,
        }
    }
}
