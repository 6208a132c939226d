//! An event source mapping: reads a stream and calls a function with its records, as Lambda does.
//!
//! One batch of a shard is processed at a time, in stream order. Shards are processed in parallel; a shard begins when
//! its parent is read to the end. In the order in which a record passes through the modules:
//!
//! 1. [`batch_delivery`]: which records of a batch are delivered next, and what a response means (pure).
//! 2. `function_response`: the function's response as Lambda reads it (pure).
//! 3. [`failure_destination`]: where records go when the poller gives up on them.

pub mod batch_delivery;
pub mod failure_destination;
mod function_response;

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};
use tracing::{debug, error, warn};

use self::batch_delivery::{BatchDelivery, DeliveryResult, FailurePolicy, GivenUp};
use self::failure_destination::{FailureDestination, InvocationRecord, LastInvocation};
use self::function_response::delivery_result;
use crate::operate::event::{self, EventRecord};
use crate::operate::stop::Stop;
use crate::operate::stream::{Cursor, Shard, Stream};

/// The function that is called with the records.
pub trait Function: Send + Sync {
    /// Calls the function with an event. Returns its response, or the message of its error.
    ///
    /// `time_limit` is how long Lambda would let it run. The caller ends the call after that time.
    fn invoke(&self, event: String, time_limit: Duration) -> impl Future<Output = Result<String, String>> + Send;
}

/// A source of the time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The settings that connect a stream to a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSourceMapping {
    /// The function's name.
    pub function: String,
    /// The timeout of one call of the function.
    pub time_limit: Duration,
    /// The most records in one call.
    pub batch_size: usize,
    /// The longest wait for a batch to fill up.
    pub batching_window: Duration,
    /// How failures are handled.
    pub policy: FailurePolicy,
    /// The age at which the poller gives up on a record; `None` for no limit.
    pub maximum_record_age: Option<Duration>,
}

/// How often Lambda polls a shard: four times per second (Lambda Developer Guide, "Using AWS Lambda with Amazon
/// DynamoDB").
pub const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How often to look for new shards.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(10);

/// The wait before the first retry of the same records; it doubles with each one.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// The longest wait before a retry.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// A running event source mapping.
pub struct Poller<S, F> {
    /// The stream that is read.
    pub stream: S,
    /// The function that is called.
    pub function: F,
    /// The settings of the connection.
    pub mapping: EventSourceMapping,
    /// Where records go when the poller gives up on them.
    pub destination: FailureDestination,
    /// The time by which the age of records is computed.
    pub clock: Clock,
    /// How long to wait if a shard has no new record.
    pub interval: Duration,
}

impl<S: Stream, F: Function> Poller<S, F> {
    /// Delivers the stream's records, from the oldest one, until a stop is requested.
    ///
    /// It waits for a call that is in progress. The position is not stored: the next start begins at the oldest record
    /// again, which is harmless for a function that counts each record once.
    ///
    /// Unlike in Lambda, a record ages only while the poller runs: after a computer was off for a day, records that
    /// nobody has tried must not be given up.
    pub async fn run(&self, stop: &Stop) {
        let began = (self.clock)();
        let mut started: HashSet<String> = HashSet::new();
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
                if !waits && started.insert(shard.id.clone()) {
                    running.push(ShardWorker::new(self, shard, began, stop).run());
                }
            }
            tokio::select! {
                Some(shard) = running.next() => ended.extend(shard),
                () = tokio::time::sleep(if started.is_empty() { self.interval } else { DISCOVERY_INTERVAL }) => {}
                () = stop.wait() => {}
            }
        }
        while running.next().await.is_some() {}
    }
}

/// A running poller of one shard.
struct ShardWorker<'a, S, F> {
    poller: &'a Poller<S, F>,
    stop: &'a Stop,
    /// When the poller started.
    began: DateTime<Utc>,
    shard: Shard,
    cursor: Cursor,
    /// Records that were read and are not in a batch yet.
    waiting: VecDeque<EventRecord>,
    /// Whether the shard is closed and read to its end.
    read_to_end: bool,
}

impl<'a, S: Stream, F: Function> ShardWorker<'a, S, F> {
    fn new(poller: &'a Poller<S, F>, shard: Shard, began: DateTime<Utc>, stop: &'a Stop) -> Self {
        Self { poller, stop, began, shard, cursor: Cursor::default(), waiting: VecDeque::new(), read_to_end: false }
    }

    /// Processes the shard. Returns its id when it is read to its end, and `None` when a stop is requested.
    async fn run(mut self) -> Option<String> {
        while !(self.read_to_end && self.waiting.is_empty()) {
            self.gather().await;
            if self.stop.requested() {
                return None;
            }
            let fitting = self.fitting();
            let batch: Vec<_> = self.waiting.drain(..fitting).collect();
            self.deliver(&batch).await;
        }
        Some(self.shard.id)
    }

    /// How many of the waiting records the next batch takes.
    fn fitting(&self) -> usize {
        event::fitting(self.waiting.iter(), self.poller.mapping.batch_size)
    }

    /// Reads until the waiting records make a full batch, the first of them has waited for the batching window, the
    /// shard has ended, or a stop is requested.
    async fn gather(&mut self) {
        let Poller { stream, mapping, interval, .. } = self.poller;
        let mut window_ends = None;
        loop {
            let fitting = self.fitting();
            if fitting == mapping.batch_size || fitting < self.waiting.len() {
                return;
            }
            let now = Instant::now();
            let left = (!self.waiting.is_empty())
                .then(|| window_ends.get_or_insert(now + mapping.batching_window).saturating_duration_since(now));
            if left == Some(Duration::ZERO) {
                return;
            }
            match stream.read(&self.shard.id, &mut self.cursor).await {
                Ok(page) => {
                    let is_empty = page.records.is_empty();
                    self.waiting.extend(page.records);
                    self.read_to_end |= page.ended;
                    if page.ended {
                        return;
                    }
                    if !is_empty {
                        continue;
                    }
                }
                Err(error) => warn!("{error}; trying again"),
            }
            if self.stop.within(left.unwrap_or(*interval).min(*interval)).await {
                return;
            }
        }
    }

    /// Delivers a batch until each of its records is resolved or given up, or a stop is requested.
    async fn deliver(&self, records: &[EventRecord]) {
        let mut batch = BatchDelivery::new(records.len(), self.poller.mapping.policy);
        let mut last_invocation = LastInvocation::None;
        while let Some(part) = batch.next() {
            let wait = retry_wait(part.deliveries);
            if self.stop.requested() || (!wait.is_zero() && self.stop.within(wait).await) {
                return;
            }
            let part_records = &records[part.places.clone()];
            let given_up = match self.too_old(part_records) {
                0 => {
                    let response = self.invoke(part_records).await;
                    last_invocation = LastInvocation::of(&response);
                    batch.take(self.read_response(response, part_records))
                }
                too_old => {
                    if part.deliveries == 0 {
                        last_invocation = LastInvocation::None;
                    }
                    batch.expire(too_old)
                }
            };
            if let Some(given_up) = given_up {
                self.give_up(records, &given_up, last_invocation).await;
            }
        }
    }

    /// How many of the first records are older than the mapping allows.
    fn too_old(&self, records: &[EventRecord]) -> usize {
        let now = (self.poller.clock)();
        let is_too_old = |record: &&EventRecord| {
            let since = record.created_at.map_or(self.began, |created| created.max(self.began));
            let most = self.poller.mapping.maximum_record_age;
            most.is_some_and(|most| (now - since).to_std().is_ok_and(|age| age > most))
        };
        records.iter().take_while(is_too_old).count()
    }

    /// Calls the function, with the timeout that Lambda would apply.
    async fn invoke(&self, records: &[EventRecord]) -> Result<String, String> {
        let limit = self.poller.mapping.time_limit;
        let response = timeout(limit, self.poller.function.invoke(event::event(records), limit)).await;
        response.unwrap_or_else(|_| Err(format!("timed out after {:.2} seconds", limit.as_secs_f64())))
    }

    /// Interprets a response for the records that were delivered.
    fn read_response(&self, response: Result<String, String>, records: &[EventRecord]) -> DeliveryResult {
        let shard = &self.shard.id;
        match response {
            Ok(answer) => {
                let numbers: Vec<_> = records.iter().map(|record| record.sequence_number.as_str()).collect();
                let result = delivery_result(&answer, &numbers);
                debug!(shard, records = records.len(), verdict = ?result, "the function answered");
                if result != DeliveryResult::Succeeded {
                    warn!(shard, records = records.len(), answer, "the function did not deal with all records");
                }
                result
            }
            Err(error) => {
                warn!(shard, records = records.len(), error, "the function failed");
                DeliveryResult::Failed
            }
        }
    }

    /// Writes records to the failure destination. The shard does not continue until that succeeds.
    async fn give_up(&self, records: &[EventRecord], given_up: &GivenUp, last_invocation: LastInvocation) {
        let Poller { stream, mapping, destination, clock, .. } = self.poller;
        let record = InvocationRecord {
            function: &mapping.function,
            stream: stream.arn(),
            shard: &self.shard.id,
            given_up,
            records: &records[given_up.part.places.clone()],
            last_invocation,
            at: clock(),
        };
        while let Err(cause) = destination.keep(&record).await {
            error!("{cause}; trying again");
            if self.stop.within(RETRY_MAX).await {
                return;
            }
        }
        error!(
            shard = self.shard.id,
            records = record.records.len(),
            condition = given_up.condition.name(),
            "records are given up; they are in {}",
            destination.path().display()
        );
    }
}

/// The wait before records are delivered again. `deliveries` is how many times they were delivered.
fn retry_wait(deliveries: u32) -> Duration {
    match deliveries.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => RETRY_FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(RETRY_MAX),
    }
}
