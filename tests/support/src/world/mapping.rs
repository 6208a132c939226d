//! The event source mapping: pollers of shards, with checkpoints, retries, halving, and a failure destination.

use std::time::Duration;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use ddb_rollup::handler::InvocationError;
use tokio::time::Instant;

use super::World;
use super::function::Running;
use super::rule::{Checked, Rule, ensure};
use super::seeded_choices::SeededChoices;

/// How a run's mapping is set.
pub struct Mapping {
    batch_size: usize,
    retries: usize,
    /// Whether a batch that fails is halved.
    bisect: bool,
    time_left: Duration,
}

impl Mapping {
    /// Of a run.
    pub fn new(choices: &mut SeededChoices) -> Self {
        Self {
            batch_size: choices.between(1, 12),
            retries: choices.between(1, 6),
            bisect: choices.below(2) == 0,
            time_left: choices.milliseconds(1_000, 8_000),
        }
    }

    /// How long an invocation may take.
    pub fn time_left(&self) -> Duration {
        self.time_left
    }
}

/// Why a function is invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// A poller has records.
    Poll { poller: usize },
    /// An operator replays what was given up.
    GivenUp { shard: usize },
    /// An operator replays what is in quarantine.
    Quarantine,
}

/// Records that a poller gave up, as the failure destination holds them.
#[derive(Debug)]
pub struct Given {
    pub shard: usize,
    pub records: Vec<usize>,
}

/// One reader of a shard.
pub struct Poller {
    pub shard: usize,
    /// Its checkpoint: the place in the shard of the first record that is not acknowledged.
    pub next: usize,
    /// Where it ends; none for the shard's own poller, which follows it to its end.
    end: Option<usize>,
    size: usize,
    retries: usize,
    busy: bool,
    not_before: Instant,
}

impl World {
    /// Every shard has one poller of its own, in the same place.
    pub(super) fn follow_shards(&mut self) {
        let own = |poller: &&Poller| poller.end.is_none();
        for shard in self.pollers.iter().filter(own).count()..self.streams.shards.len() {
            self.add_poller(shard, 0, None);
        }
    }

    fn add_poller(&mut self, shard: usize, next: usize, end: Option<usize>) {
        let size = self.mapping.batch_size;
        let not_before = Instant::now();
        self.pollers.push(Poller { shard, next, end, size, retries: 0, busy: false, not_before });
    }

    /// The shard's own poller.
    fn own_poller(&self, shard: usize) -> &Poller {
        let own = self.pollers.iter().find(|poller| poller.shard == shard && poller.end.is_none());
        own.unwrap_or_else(|| unreachable!("shard {shard} has a poller"))
    }

    /// The place of the first record of a shard that its own poller has yet to deal with.
    pub(super) fn checkpoint(&self, shard: usize) -> usize {
        self.own_poller(shard).next.max(self.streams.shards[shard].trimmed)
    }

    /// Whether a shard and those before it are dealt with.
    fn is_read(&self, shard: usize) -> bool {
        let of = &self.streams.shards[shard];
        of.closed && self.checkpoint(shard) >= of.records.len() && of.parent.is_none_or(|parent| self.is_read(parent))
    }

    /// The records that a poller would deliver now, by their places in its shard.
    fn deliverable(&self, poller: &Poller) -> std::ops::Range<usize> {
        let shard = &self.streams.shards[poller.shard];
        let begin = poller.next.max(shard.trimmed);
        let end = shard.records.len().min(begin + poller.size);
        begin..poller.end.map_or(end, |last| end.min(last))
    }

    /// The pollers that could invoke a function now.
    pub(super) fn ready_pollers(&self) -> Vec<usize> {
        let ready = |poller: &Poller| {
            let parent = self.streams.shards[poller.shard].parent;
            !poller.busy
                && poller.not_before <= Instant::now()
                && !self.deliverable(poller).is_empty()
                && (poller.end.is_some() || parent.is_none_or(|parent| self.is_read(parent)))
        };
        (0..self.pollers.len()).filter(|&poller| ready(&self.pollers[poller])).collect()
    }

    /// Whether no poller has anything left.
    pub(super) fn all_read(&self) -> bool {
        self.pollers.iter().all(|poller| !poller.busy && self.deliverable(poller).is_empty())
    }

    /// A poller delivers what comes next.
    pub(super) fn poll(&mut self, poller: usize) {
        let range = self.deliverable(&self.pollers[poller]);
        let shard = self.pollers[poller].shard;
        self.pollers[poller].next = range.start;
        self.pollers[poller].busy = true;
        let records = self.streams.shards[shard].records[range].to_vec();
        let texts: Vec<String> = records.iter().map(|&record| self.source.records[record].json.clone()).collect();
        self.invoke(Job::Poll { poller }, records, &texts, self.mapping.time_left());
    }

    /// An invocation was answered.
    pub(super) fn answered(
        &mut self,
        invocation: Running,
        response: Result<DynamoDbEventResponse, InvocationError>,
    ) -> Checked {
        let Running { number, instance, measures, job, batch, .. } = invocation;
        self.traffic.over(number);
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                self.log("failed invocation", format!("{number}: {error}"));
                self.failed(job, &batch);
                return Ok(());
            }
        };
        let numbers: Vec<String> =
            batch.iter().map(|&record| self.source.records[record].sequence_number.clone()).collect();
        let response = match self.instances.iter().find(|known| known.number == instance) {
            Some(instance) => {
                instance.planted_bugs.respond(&numbers.iter().map(String::as_str).collect::<Vec<_>>(), response)
            }
            None => response,
        };
        let failures: Vec<Option<String>> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        let acknowledged = match failures.as_slice() {
            [] => batch.len(),
            [first] => {
                let place = numbers.iter().position(|number| Some(number) == first.as_ref());
                ensure(place.is_some(), Rule::Response, || format!("{first:?} was not delivered"))?;
                place.unwrap_or(0)
            }
            more => {
                let words = || format!("{} failures where one says all", more.len());
                return ensure(false, Rule::Response, words);
            }
        };
        let kind = if acknowledged == batch.len() { "acknowledged" } else { "acknowledged in part" };
        self.log(kind, format!("{acknowledged} of {} by invocation {number}", batch.len()));
        match job {
            // What comes from quarantine is of many streams, so its numbers say nothing; the command does not ask them.
            Job::Quarantine => Ok(()),
            Job::GivenUp { shard } => {
                self.auditor.acknowledged(&batch[..acknowledged], measures)?;
                self.give_back(shard, batch[acknowledged..].to_vec());
                Ok(())
            }
            Job::Poll { poller } => {
                self.auditor.acknowledged(&batch[..acknowledged], measures)?;
                // The answer may be lost on the way to the poller, which then takes it for a failure.
                if self.phase == super::Phase::Storm && self.choices.in_a_thousand(30) {
                    self.log("lost response", format!("of invocation {number}"));
                    self.failed(Job::Poll { poller }, &batch);
                } else {
                    self.move_on(poller, acknowledged, batch.len());
                }
                Ok(())
            }
        }
    }

    fn give_back(&mut self, shard: usize, records: Vec<usize>) {
        if !records.is_empty() {
            self.given_up.push(Given { shard, records });
        }
    }

    /// A checkpoint moves behind what is acknowledged; the rest is another try.
    fn move_on(&mut self, poller: usize, acknowledged: usize, of: usize) {
        let poller_now = &mut self.pollers[poller];
        poller_now.busy = false;
        poller_now.next += acknowledged;
        if acknowledged == of {
            poller_now.retries = 0;
            poller_now.size = self.mapping.batch_size;
        } else if acknowledged > 0 {
            poller_now.retries = 0;
            poller_now.size = of - acknowledged;
        } else {
            self.try_again(poller, of);
        }
    }

    fn try_again(&mut self, poller: usize, of: usize) {
        let pause = self.choices.milliseconds(1, 700);
        let Mapping { batch_size, retries, bisect, .. } = self.mapping;
        let poller_now = &mut self.pollers[poller];
        poller_now.busy = false;
        poller_now.retries += 1;
        poller_now.not_before = Instant::now() + pause;
        poller_now.size = if bisect && of > 1 { of / 2 } else { of };
        if poller_now.retries > retries {
            let (shard, first) = (poller_now.shard, poller_now.next);
            poller_now.next += of;
            poller_now.retries = 0;
            poller_now.size = batch_size;
            let records = self.streams.shards[shard].records[first..first + of].to_vec();
            self.log("gave up", format!("records {records:?} go to the failure destination"));
            self.give_back(shard, records);
        }
    }

    /// An invocation failed, died, or was not heard of again.
    pub(super) fn failed(&mut self, job: Job, batch: &[usize]) {
        match job {
            Job::Poll { poller } => self.try_again(poller, batch.len()),
            Job::GivenUp { shard } => self.give_back(shard, batch.to_vec()),
            Job::Quarantine => {}
        }
    }

    /// A poller begins again at an earlier place.
    pub(super) fn lose_checkpoint(&mut self) {
        let idle = |poller: &Poller| !poller.busy && poller.next > self.streams.shards[poller.shard].trimmed;
        let idle: Vec<usize> = (0..self.pollers.len()).filter(|&poller| idle(&self.pollers[poller])).collect();
        if idle.is_empty() {
            return;
        }
        let poller = *self.choices.pick(&idle);
        let Poller { shard, next, .. } = self.pollers[poller];
        let trimmed = self.streams.shards[shard].trimmed;
        self.pollers[poller].next = self.choices.between(trimmed, next - 1);
        self.log(
            "lost checkpoint",
            format!("poller {poller} of shard {shard} from {next} to {}", self.pollers[poller].next),
        );
    }

    /// A second poller reads a part of a shard beside its own.
    pub(super) fn overlap(&mut self) {
        let shard = self.choices.below(self.streams.shards.len());
        let (trimmed, end) = (self.streams.shards[shard].trimmed, self.streams.shards[shard].records.len());
        if trimmed < end {
            let next = self.choices.between(trimmed, end - 1);
            let end = self.choices.between(next + 1, end);
            self.add_poller(shard, next, Some(end));
            self.log("overlap", format!("another poller of shard {shard}, from {next} to {end}"));
        }
    }
}
