//! Commits a batch. This module has the only loop that sends, waits, retries, and learns from refusals.
//!
//! A batch is planned into transactions. Each transaction is sent until it is committed, until its records turn out to
//! be resolved already, or until it is refused for a reason that a new plan removes. The new plan leaves the duplicates
//! out, assumes other shapes of the view items, or halves the entries until the record at fault is alone and goes to
//! quarantine. Transactions of the same view item run one after another, because in parallel they could only conflict;
//! others run in parallel.

use std::future::Future;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout_at};

use crate::rollup::pipeline::coalesce::Batch;
use crate::rollup::pipeline::plan::Setting;
use crate::rollup::pipeline::verdict::{Failure, RetryCause};

pub mod complete_items;
mod job;
pub mod pace;
pub mod redelivery;
mod report;
mod run;
mod seams;

pub use report::{Broken, CommitReport};
pub use seams::{FoundMarkers, LookedUp, Randomness, Store};

use complete_items::CompleteItems;
use job::{Answer, Done, Job, JobStep, Prepared};
use pace::Pace;
use redelivery::Redelivery;
use report::RequestCounters;
use run::Run;

/// The upper bound of the random wait before the first retry. It doubles with each retry.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);

/// The upper bound of the random wait before any retry.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How many times a transaction may be planned again without a wait. Each refusal gives new information about its view
/// items, so a higher number can only be caused by other writers.
const PROMPT_REPLANS: u32 = 3;

/// Commits the batches of one invocation.
#[derive(Debug)]
pub struct Committer<'c, S, R> {
    /// The database.
    pub store: &'c S,
    /// The source of tokens and waiting times.
    pub randomness: &'c R,
    /// The settings that determine the actions of a transaction.
    pub setting: &'c Setting<'c>,
    /// View items that are assumed to have their counter maps. Any other item is added once an answer shows that it has
    /// them.
    pub complete_items: &'c CompleteItems,
    /// Whether the batch may have been delivered before.
    pub redelivery: &'c Redelivery,
    /// What earlier throttling showed about the capacity of the tables.
    pub pace: &'c Pace,
    /// Maximum concurrent transactions.
    pub max_in_flight: usize,
    /// When the commit ends, even if entries have no outcome yet.
    pub deadline: Instant,
}

impl<S: Store, R: Randomness> Committer<'_, S, R> {
    /// Commits a batch until every entry has its outcome or the deadline passes.
    ///
    /// Entries that turn out to be poison become
    /// [`Quarantine`](crate::rollup::pipeline::coalesce::Entry::Quarantine) entries of the batch.
    ///
    /// # Errors
    /// When the store's answer shows that the deployment is at fault. What was committed before the error keeps its
    /// markers.
    pub async fn commit(&self, batch: &mut Batch<'_>) -> Result<CommitReport, Broken> {
        let counters = RequestCounters::default();
        let mut run = Run::new(self.setting, batch, self.complete_items, self.redelivery, self.pace);
        let mut in_flight = FuturesUnordered::new();
        loop {
            while in_flight.len() < run.most_in_flight(self.max_in_flight.min(self.pace.most_in_flight()))
                && Instant::now() < self.deadline
                && let Some(job) = run.next()
            {
                let prepared = run.prepare(&job);
                in_flight.push(self.carry_out(&counters, job, prepared));
                self.pace.are_in_flight(in_flight.len());
                // Until none is ready: the new request is polled too, although others may have their answers.
                while let Some(done) = in_flight.next().now_or_never().flatten() {
                    self.pace.are_in_flight(in_flight.len());
                    run.settle(done)?;
                }
                // Connections are tasks of their own. Without this, none of them would write its request before the
                // requests of all the others are prepared.
                yield_now().await;
            }
            match timeout_at(self.deadline, in_flight.next()).await {
                Ok(Some(done)) => {
                    self.pace.are_in_flight(in_flight.len());
                    run.settle(done)?;
                }
                Ok(None) if run.begin_those_behind() => {}
                Ok(None) | Err(_) => return Ok(run.report(&counters)),
            }
        }
    }

    async fn carry_out<'r>(&self, counters: &RequestCounters, job: Job, prepared: Prepared<'r>) -> Done<'r> {
        // A read gives new information at once, so it does not wait; the transaction after it does.
        if job.plans > PROMPT_REPLANS && !matches!(job.step, JobStep::Read(_)) {
            sleep(self.backoff(job.plans - PROMPT_REPLANS, BACKOFF_MAX)).await;
        }
        let answer = match prepared {
            Prepared::Commit(transaction) => {
                let token = self.randomness.token();
                let request = || {
                    counters.sent();
                    self.store.transact(&transaction, token)
                };
                // The transaction of one record cannot be made smaller.
                let throttled = if job.members.len() > 1 { WhenThrottled::GiveUp } else { WhenThrottled::GoOn };
                let result = self.until_settled(counters, throttled, request).await;
                if result.is_ok() {
                    self.pace.committed();
                }
                Answer::Transacted(transaction, result)
            }
            Prepared::Inspect(keys) => {
                let mut items = Vec::with_capacity(keys.len());
                let mut failure = None;
                for (item, key) in keys {
                    match self.until_settled(counters, WhenThrottled::GoOn, || self.store.view_item(&key)).await {
                        Ok(found) => items.push((item, found)),
                        Err(error) => failure = Some(error),
                    }
                }
                Answer::Inspected(failure.map_or(Ok(items), Err))
            }
            // No retry: without an answer the shapes are assumed, and the conditions still protect the counters.
            Prepared::LookUp(keys) => Answer::LookedUp(self.store.look_up(&keys).await),
            Prepared::LookUpMarkers(ids) => Answer::MarkersLookedUp(self.store.look_up_markers(&ids).await),
        };
        Done { job, answer }
    }

    /// The only retry loop. It sends a request until the answer is not transient, or until it was throttled for too
    /// long.
    async fn until_settled<T, F>(
        &self,
        counters: &RequestCounters,
        when_throttled: WhenThrottled,
        mut request: impl FnMut() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut attempt = 0;
        let mut throttled_since = None;
        loop {
            match request().await {
                Err(Failure::Transient(cause)) => {
                    attempt += 1;
                    counters.retried(cause);
                    let mut longest = BACKOFF_MAX;
                    if cause == RetryCause::Throttled {
                        self.pace.throttled();
                        longest = longest.min(self.pace.longest_wait());
                        let since = *throttled_since.get_or_insert_with(Instant::now);
                        if when_throttled == WhenThrottled::GiveUp && self.pace.is_too_long(since, self.deadline) {
                            return Err(Failure::Transient(cause));
                        }
                    }
                    sleep(self.backoff(attempt, longest)).await;
                }
                settled => return settled,
            }
        }
    }

    fn backoff(&self, attempt: u32, longest: Duration) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        self.randomness.up_to(BACKOFF_FIRST.saturating_mul(1 << doublings).min(longest))
    }
}

/// What to do with a request that is throttled for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenThrottled {
    /// Send it until it succeeds.
    GoOn,
    /// Give up, so that its entries are sent in halves.
    GiveUp,
}
