//! Committing a batch: the one loop that sends, waits, retries, and learns from refusals.
//!
//! A batch is planned into transactions. Each is sent until it is committed, found to be done already, or refused for a
//! reason that planning it again takes away: without the duplicates, for other shapes of its view items, or in halves
//! until the record at fault stands alone and goes to quarantine. Transactions of the same view item follow each other,
//! because side by side they could only conflict; others run side by side.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use crate::commit::complete_items::Known;
use crate::rollup::Item;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::coalesce::{Batch, ItemId};
use crate::rollup::pipeline::plan::{Setting, Transaction};
use crate::rollup::pipeline::response::Outcome;
use crate::rollup::pipeline::verdict::{Cause, Failure};

pub mod complete_items;
mod run;

use run::{Job, Prepared, Run};

/// What the commit loop needs of a database.
pub trait Store: Sync {
    /// Carries out a transaction at most once for a token.
    fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Reads a view item as it is now; none when it is not there.
    fn view_item(&self, key: &ViewKey) -> impl Future<Output = Result<Option<Item>, Failure>> + Send;

    /// Asks in one request for the key and the counter maps of some view items, [`limits::BATCH_GET_KEYS`] at the most.
    ///
    /// The answer has an entry for each item that it tells of, without an item where there is none. It may leave some
    /// out, and it may be a little old.
    ///
    /// [`limits::BATCH_GET_KEYS`]: crate::rollup::model::limits::BATCH_GET_KEYS
    fn look_up(&self, keys: &[ViewKey]) -> impl Future<Output = Result<LookedUp, Failure>> + Send;
}

/// View items as they were found; none where there is no item.
pub type LookedUp = BTreeMap<ViewKey, Option<Item>>;

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
/// `max_in_flight` transactions are sent side by side. View items that are `known` to be complete are taken to be so; the
/// others are, after a first request showed whether that holds. Entries that turn out to be poison become
/// [`Quarantine`](crate::rollup::pipeline::coalesce::Entry::Quarantine) entries of the batch.
///
/// # Errors
/// When the store says that the deployment is at fault. What was committed until then has its markers.
pub async fn commit(
    store: &impl Store,
    entropy: &impl Entropy,
    setting: &Setting,
    batch: &mut Batch<'_>,
    known: &Known,
    max_in_flight: usize,
    deadline: Instant,
) -> Result<Report, Broken> {
    let sent = Sent::default();
    let mut run = Run::new(setting, batch, known);
    let mut in_flight = FuturesUnordered::new();
    loop {
        while in_flight.len() < max_in_flight
            && Instant::now() < deadline
            && let Some(job) = run.next()
        {
            let prepared = run.prepare(&job);
            in_flight.push(carry_out(store, entropy, &sent, job, prepared));
        }
        match timeout_at(deadline, in_flight.next()).await {
            Ok(Some(done)) => run.settle(done)?,
            Ok(None) | Err(_) => return Ok(run.report(&sent)),
        }
    }
}

/// A job that was carried out, and what came of it.
struct Done<'r> {
    job: Job,
    answer: Answer<'r>,
}

enum Answer<'r> {
    Transacted(Transaction<'r>, Result<(), Failure>),
    Inspected(Result<Vec<(ItemId, Option<Item>)>, Failure>),
    LookedUp(Result<LookedUp, Failure>),
}

/// What was sent so far: counted as it happens, as the deadline ends jobs that will never tell.
#[derive(Debug, Default)]
struct Sent {
    requests: AtomicUsize,
    retries: [AtomicUsize; Cause::ALL.len()],
}

async fn carry_out<'r>(
    store: &impl Store,
    entropy: &impl Entropy,
    sent: &Sent,
    job: Job,
    prepared: Prepared<'r>,
) -> Done<'r> {
    if job.plans > PROMPT_REPLANS {
        sleep(backoff(entropy, job.plans - PROMPT_REPLANS)).await;
    }
    let answer = match prepared {
        Prepared::Commit(transaction) => {
            let token = entropy.token();
            let result = until_settled(entropy, sent, || {
                sent.requests.fetch_add(1, Ordering::Relaxed);
                store.transact(&transaction, token)
            })
            .await;
            Answer::Transacted(transaction, result)
        }
        Prepared::Inspect(keys) => {
            let mut items = Vec::with_capacity(keys.len());
            let mut failure = None;
            for (item, key) in keys {
                match until_settled(entropy, sent, || store.view_item(&key)).await {
                    Ok(found) => items.push((item, found)),
                    Err(error) => failure = Some(error),
                }
            }
            Answer::Inspected(failure.map_or(Ok(items), Err))
        }
        // Once: what is not answered is presumed, and nothing depends on it.
        Prepared::LookUp(keys) => Answer::LookedUp(store.look_up(&keys).await),
    };
    Done { job, answer }
}

/// The only retry loop: sends a request until its answer is one that does not pass by itself.
async fn until_settled<T, F>(entropy: &impl Entropy, sent: &Sent, mut request: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut attempt = 0;
    loop {
        match request().await {
            Err(Failure::Transient(cause)) => {
                attempt += 1;
                sent.retries[cause as usize].fetch_add(1, Ordering::Relaxed);
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
