//! An event source mapping: reads a stream and calls a function with its records, as Lambda does.
//!
//! One batch of a shard is worked on at a time, in the order of the stream; shards go side by side, a child when its
//! parents are read to the end. In the order in which a record passes the modules:
//!
//! 1. [`stream`]: shards and their records.
//! 2. [`event`]: a record as Lambda writes it, and how many fit into an event.
//! 3. [`batch`]: which records are delivered next, and what an answer means (pure).
//! 4. [`answer`]: the function's answer as Lambda reads it (pure).
//! 5. [`destination`]: where records go that are given up.

pub mod answer;
pub mod batch;
pub mod destination;
pub mod event;
pub mod stream;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};
use tracing::{debug, error, warn};

use self::batch::{Batch, GivenUp, Policy, Verdict};
use self::destination::{Destination, Ending, Failure};
use self::event::EventRecord;
use self::stream::{Cursor, Shard, Stream};
use super::stop::Stop;

/// What is called with the records.
pub trait Function: Send + Sync {
    /// Calls the function with an event, and gives its answer or the message of its error.
    ///
    /// `time_limit` is what Lambda would give it; who calls ends it then.
    fn invoke(&self, event: String, time_limit: Duration) -> impl Future<Output = Result<String, String>> + Send;
}

/// What tells the time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// How a stream and a function are connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The function's name.
    pub function: String,
    /// The time that one call of the function may take.
    pub time_limit: Duration,
    /// Most records in one call.
    pub batch_size: usize,
    /// The longest wait for a batch to fill up.
    pub batching_window: Duration,
    /// What to do about failures.
    pub policy: Policy,
    /// The age at which a record is given up; none is for ever.
    pub maximum_record_age: Option<Duration>,
}

/// How often Lambda looks for new records.
pub const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How often new shards are looked for.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(10);

/// The wait before the first retry of the same records; it doubles with each one.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// The longest wait before a retry.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// An event source mapping at work.
pub struct Poller<S, F> {
    /// Where the records come from.
    pub stream: S,
    /// Where they go.
    pub function: F,
    /// How they are connected.
    pub mapping: Mapping,
    /// Where records go that are given up.
    pub destination: Destination,
    /// What tells the age of records.
    pub clock: Clock,
    /// How long to wait when a shard has nothing new.
    pub interval: Duration,
}

impl<S: fmt::Debug, F: fmt::Debug> fmt::Debug for Poller<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Poller");
        shown.field("stream", &self.stream).field("function", &self.function).field("mapping", &self.mapping);
        shown.finish_non_exhaustive()
    }
}

impl<S: Stream, F: Function> Poller<S, F> {
    /// Delivers the stream's records, from the oldest that it has, until it is asked to stop.
    ///
    /// A call that is under way is waited for. There is no memory of where it stopped: the next start begins at the
    /// oldest record again, which is harmless to a function that counts a record once.
    ///
    /// Unlike Lambda, a record ages here only while this runs: a computer that was off for a day must not give up what
    /// nobody has tried.
    pub async fn run(&self, stop: &Stop) {
        let began = (self.clock)();
        let mut known: HashSet<String> = HashSet::new();
        let mut ended: HashSet<String> = HashSet::new();
        let mut running = FuturesUnordered::new();
        while !stop.requested() {
            let shards = self.stream.shards().await.unwrap_or_else(|error| {
                warn!("{error}; trying again");
                Vec::new()
            });
            let listed: HashSet<_> = shards.iter().map(|shard| shard.id.clone()).collect();
            for shard in shards {
                let waits = shard.parent.as_ref().is_some_and(|id| listed.contains(id) && !ended.contains(id));
                if !waits && known.insert(shard.id.clone()) {
                    running.push(self.follow(shard, began, stop));
                }
            }
            tokio::select! {
                Some(shard) = running.next() => ended.extend(shard),
                () = tokio::time::sleep(if known.is_empty() { self.interval } else { DISCOVERY_INTERVAL }) => {}
                () = stop.wait() => {}
            }
        }
        while running.next().await.is_some() {}
    }

    /// Works off a shard; gives its name when it is read to its end, and nothing when asked to stop.
    async fn follow(&self, shard: Shard, began: DateTime<Utc>, stop: &Stop) -> Option<String> {
        let mut cursor = Cursor::default();
        let mut waiting = VecDeque::new();
        let mut ended = false;
        while !(ended && waiting.is_empty()) {
            ended |= self.gather(&shard, &mut cursor, &mut waiting, stop).await;
            if stop.requested() {
                return None;
            }
            let records: Vec<_> = waiting.drain(..event::fitting(waiting.iter(), self.mapping.batch_size)).collect();
            self.deliver(&shard, &records, began, stop).await;
        }
        Some(shard.id)
    }

    /// Reads until the waiting records make a full batch, or the first of them has waited for the batching window, or
    /// the shard has ended, which is told; or until asked to stop.
    async fn gather(
        &self,
        shard: &Shard,
        cursor: &mut Cursor,
        waiting: &mut VecDeque<EventRecord>,
        stop: &Stop,
    ) -> bool {
        let mut window_ends = None;
        loop {
            let fitting = event::fitting(waiting.iter(), self.mapping.batch_size);
            if fitting == self.mapping.batch_size || fitting < waiting.len() {
                return false;
            }
            let now = Instant::now();
            let left = (!waiting.is_empty())
                .then(|| window_ends.get_or_insert(now + self.mapping.batching_window).saturating_duration_since(now));
            if left == Some(Duration::ZERO) {
                return false;
            }
            match self.stream.read(&shard.id, cursor).await {
                Ok(page) => {
                    let nothing = page.records.is_empty();
                    waiting.extend(page.records);
                    if page.ended {
                        return true;
                    }
                    if !nothing {
                        continue;
                    }
                }
                Err(error) => warn!("{error}; trying again"),
            }
            if stop.within(left.unwrap_or(self.interval).min(self.interval)).await {
                return false;
            }
        }
    }

    /// Delivers a batch until every record of it is dealt with or given up, or until asked to stop.
    async fn deliver(&self, shard: &Shard, records: &[EventRecord], began: DateTime<Utc>, stop: &Stop) {
        let mut batch = Batch::new(records.len(), self.mapping.policy);
        let mut ending = Ending::NotDelivered;
        while let Some(part) = batch.next() {
            let wait = retry_wait(part.deliveries);
            if stop.requested() || (!wait.is_zero() && stop.within(wait).await) {
                return;
            }
            let now = (self.clock)();
            let too_old = |record: &&EventRecord| self.is_too_old(record, began, now);
            let expired = records[part.places.clone()].iter().take_while(too_old).count();
            let given_up = if expired > 0 {
                if part.deliveries == 0 {
                    ending = Ending::NotDelivered;
                }
                batch.expire(expired)
            } else {
                let verdict;
                (verdict, ending) = self.call(shard, &records[part.places.clone()]).await;
                batch.answer(verdict)
            };
            if let Some(given_up) = given_up {
                self.give_up(shard, records, &given_up, ending, stop).await;
            }
        }
    }

    fn is_too_old(&self, record: &EventRecord, began: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let since = record.created_at.map_or(began, |created| created.max(began));
        self.mapping.maximum_record_age.is_some_and(|most| (now - since).to_std().is_ok_and(|age| age > most))
    }

    async fn call(&self, shard: &Shard, records: &[EventRecord]) -> (Verdict, Ending) {
        let limit = self.mapping.time_limit;
        let answer = timeout(limit, self.function.invoke(event::event(records), limit)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("timed out after {:.2} seconds", limit.as_secs_f64())));
        match answer {
            Ok(answer) => {
                let numbers: Vec<_> = records.iter().map(|record| record.sequence_number.as_str()).collect();
                let verdict = answer::verdict(&answer, &numbers);
                debug!(shard = shard.id, records = records.len(), ?verdict, "the function answered");
                if verdict != Verdict::Succeeded {
                    warn!(
                        shard = shard.id,
                        records = records.len(),
                        answer,
                        "the function did not deal with all records"
                    );
                }
                (verdict, Ending::Answered)
            }
            Err(error) => {
                warn!(shard = shard.id, records = records.len(), error, "the function failed");
                (Verdict::Failed, Ending::Failed)
            }
        }
    }

    /// Keeps what is given up; the shard does not go on before that has succeeded.
    async fn give_up(&self, shard: &Shard, records: &[EventRecord], given_up: &GivenUp, ending: Ending, stop: &Stop) {
        let failure = Failure {
            function: &self.mapping.function,
            stream: self.stream.arn(),
            shard: &shard.id,
            given_up,
            records: &records[given_up.part.places.clone()],
            ending,
            at: (self.clock)(),
        };
        loop {
            match self.destination.keep(&failure).await {
                Ok(()) => break,
                Err(cause) => error!("{cause}; trying again"),
            }
            if stop.within(RETRY_MAX).await {
                return;
            }
        }
        error!(
            shard = shard.id,
            records = failure.records.len(),
            condition = given_up.condition.name(),
            "records are given up; they are in {}",
            self.destination.path().display()
        );
    }
}

/// The wait before records are delivered that were delivered as often as this before.
fn retry_wait(deliveries: u32) -> Duration {
    match deliveries.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => RETRY_FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(RETRY_MAX),
    }
}
