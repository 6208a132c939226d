//! What goes wrong besides single requests.

use std::time::Duration;

use ddb_rollup::rollup::AttributeValue;

use super::World;
use super::database::FaultRates;
use super::measures::key_of;
use super::rule::Checked;
use super::stream::STREAMS;

impl World {
    /// One thing goes wrong, or is mended.
    pub(super) fn disturb(&mut self) {
        match self.choices.weighted([5, 6, 2, 1, 2, 2, 2, 1, 6, 5, self.pauses, 5, 4, 2, 2, 4].into_iter()) {
            0 => self.lose_checkpoint(),
            1 => self.overlap(),
            2 if self.streams.shards.len() < 12 => {
                let words = self.streams.split(&mut self.choices);
                self.log("split", words);
                self.follow_shards();
            }
            3 if self.streams.count() < STREAMS => {
                let words = self.streams.switch();
                self.log("new stream", words);
                self.follow_shards();
            }
            4 => {
                self.database.restart();
                self.log("restart", "tokens are forgotten");
            }
            5 => self.spoil(),
            6 => self.refuse(),
            7 => {
                self.database.denied = !self.database.denied;
                self.log("rights", format!("denied: {}", self.database.denied));
            }
            8 => self.sweep(),
            9 => self.fault_rates = FaultRates::drawn(&mut self.choices),
            10 => self.pausing = true,
            11 => self.replay_given_up(),
            12 => self.replay_quarantine(false),
            13 => self.discard(),
            14 => self.replace(),
            15 => self.replay_file(),
            _ => {}
        }
    }

    /// A user overwrites an attribute that counters are in, or puts it back.
    fn spoil(&mut self) {
        if self.mend() {
            return;
        }
        let map = *self.choices.pick(self.source.measures.view_items());
        let (total, by) = *self.choices.pick(self.source.measures.pairs());
        let attribute = if self.choices.below(2) == 0 { total } else { by };
        let mut item = self.database.view_item(map).cloned().unwrap_or_else(|| key_of(map).1);
        let was = item.insert(attribute.to_owned(), AttributeValue::S("a user's".to_owned()));
        self.database.put_view_item(map, item);
        self.database.spoilt = Some((map, attribute.to_owned(), was));
        self.auditor.troubled(map);
        self.log("spoilt", format!("{attribute} of {map}"));
    }

    /// Puts back what a user has overwritten; tells whether something was.
    pub(super) fn mend(&mut self) -> bool {
        let Some((map, attribute, was)) = self.database.spoilt.take() else { return false };
        let mut item = self.database.view_item(map).cloned().unwrap_or_else(|| key_of(map).1);
        match was {
            Some(was) => item.insert(attribute.clone(), was),
            None => item.remove(&attribute),
        };
        self.database.put_view_item(map, item);
        self.log("mended", format!("{attribute} of {map}"));
        true
    }

    /// A user deletes a view item, or puts one that has no counters; what was in them is lost until it is repaired.
    fn replace(&mut self) {
        let map = *self.choices.pick(self.source.measures.view_items());
        let spoilt = self.database.spoilt.as_ref().is_some_and(|(spoilt, ..)| *spoilt == map);
        if spoilt {
            return;
        }
        self.auditor.replaced(map, self.database.view_item(map));
        let item = (self.choices.below(2) == 0).then(|| key_of(map).1);
        self.log("replaced", format!("{map}, {}", if item.is_some() { "without counters" } else { "deleted" }));
        match item {
            Some(item) => self.database.put_view_item(map, item),
            None => self.database.remove_view_item(map),
        }
    }

    /// A view item refuses every write, or does no more.
    fn refuse(&mut self) {
        if let Some(map) = self.database.refusing.take() {
            self.log("refuses no more", map);
            return;
        }
        let map = *self.choices.pick(self.source.measures.view_items());
        self.database.refusing = Some(map);
        self.auditor.troubled(map);
        self.log("refuses", map);
    }

    /// Minutes, hours or a day pass in which nothing runs.
    pub(super) async fn long_pause(&mut self) -> Checked {
        self.pausing = false;
        self.flush_requests()?;
        let seconds = match self.choices.weighted([6, 3, self.pauses / 2].into_iter()) {
            0 => self.choices.between(60, 1_200),
            1 => self.choices.between(1_200, 8 * 3_600),
            _ => self.choices.between(8 * 3_600, 30 * 3_600),
        };
        self.pass(Duration::from_secs(seconds as u64)).await;
        self.log("pause", format!("of {seconds} s"));
        self.sweep();
        Ok(())
    }

    /// Time passes, and what goes with it.
    pub(super) async fn pass(&mut self, time: Duration) {
        tokio::time::advance(time).await;
        self.database.forget_old_tokens();
        let unread: Vec<(usize, usize)> = (0..self.streams.shards.len())
            .map(|shard| (self.streams.shards[shard].trimmed, self.checkpoint(shard)))
            .collect();
        let gone = self.streams.trim(self.now(), &self.source.records);
        if gone == 0 {
            return;
        }
        self.log("trimmed", format!("{gone} records"));
        for (shard, (was, checkpoint)) in unread.into_iter().enumerate() {
            for place in was.max(checkpoint)..self.streams.shards[shard].trimmed {
                self.auditor.trimmed(self.streams.shards[shard].records[place]);
            }
        }
    }
}
