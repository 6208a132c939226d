//! The operator, who replays what was given up and what is in quarantine, and discards what can never be applied.

use std::time::Duration;

use ddb_rollup::rollup::model::marker::{EXPIRES_AT, OUTCOME, RECORD, SEQUENCE_NUMBER, STREAM};
use ddb_rollup::rollup::model::quarantine_index::IN_QUARANTINE;
use ddb_rollup::rollup::{AttributeValue, Item};

use super::World;
use super::mapping::{Given, Job};

/// How long an operator's batch may take.
pub const REPLAY_TIME: Duration = Duration::from_mins(1);

/// The most records that are replayed at once.
const MOST: usize = 20;

impl World {
    /// Replays what a poller gave up.
    pub(super) fn replay_given_up(&mut self) {
        if self.given_up.is_empty() {
            return;
        }
        let place = self.choices.below(self.given_up.len());
        let Given { shard, mut records } = self.given_up.swap_remove(place);
        if self.phase == super::Phase::Storm {
            // Who keeps what was given up in a file may replay it again, days later, or twice at once.
            if self.choices.below(3) == 0 {
                self.given_up.push(Given { shard, records: records.clone() });
            }
            if self.choices.below(6) == 0 {
                records.extend_from_within(..);
            }
        }
        let texts: Vec<String> = records.iter().map(|&record| self.source.records[record].json.clone()).collect();
        self.invoke(Job::GivenUp { shard }, records, &texts, REPLAY_TIME);
    }

    /// Replays a file of records that somebody kept, however old they are.
    pub(super) fn replay_file(&mut self) {
        let shard = self.choices.below(self.streams.shards.len());
        let records = &self.streams.shards[shard].records;
        if !records.is_empty() {
            let first = self.choices.below(records.len());
            let end = records.len().min(first + MOST);
            self.given_up.push(Given { shard, records: records[first..end].to_vec() });
            self.replay_given_up();
        }
    }

    /// The markers of records in quarantine.
    fn in_quarantine(&self) -> Vec<Item> {
        let quarantined = AttributeValue::S("QUARANTINED".to_owned());
        let markers = self.database.tables.markers().filter(|marker| marker.get(OUTCOME) == Some(&quarantined));
        markers.cloned().collect()
    }

    /// Replays some of what is in quarantine, or all.
    pub(super) fn replay_quarantine(&mut self, all: bool) {
        let mut texts = Vec::new();
        for marker in self.in_quarantine() {
            if let Some(AttributeValue::S(record)) = marker.get(RECORD)
                && (all || self.choices.below(2) == 0)
            {
                texts.push(record.clone());
            }
        }
        for texts in texts.chunks(MOST) {
            self.invoke(Job::Quarantine, Vec::new(), texts, REPLAY_TIME);
        }
    }

    /// Discards one record that is in quarantine.
    pub(super) fn discard(&mut self) {
        let markers = self.in_quarantine();
        if markers.is_empty() {
            return;
        }
        let mut marker = self.choices.pick(&markers).clone();
        let expires_at = self.now() + i64::from(self.retention_days) * 86_400;
        marker.insert(OUTCOME.to_owned(), AttributeValue::S("DISCARDED".to_owned()));
        marker.remove(IN_QUARANTINE);
        marker.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.to_string()));
        self.log("discard", format!("{:?}", marker[SEQUENCE_NUMBER]));
        self.auditor.discarded(&marker);
        self.database.tables.put_marker(&key(&marker), marker);
    }

    /// Time to live: deletes some of the markers that have expired.
    pub(super) fn sweep(&mut self) {
        let now = self.now();
        let expired = |marker: &&Item| match marker.get(EXPIRES_AT) {
            Some(AttributeValue::N(text)) => text.parse::<i64>().is_ok_and(|at| at < now),
            _ => false,
        };
        let expired: Vec<Item> = self.database.tables.markers().filter(expired).map(key).collect();
        for gone in expired {
            if self.choices.below(2) == 0 {
                self.log("marker expired", format!("{:?}", gone[SEQUENCE_NUMBER]));
                self.database.tables.remove_marker(&gone);
            }
        }
    }
}

/// A marker's key.
fn key(marker: &Item) -> Item {
    let part = |name: &str| (name.to_owned(), marker[name].clone());
    Item::from(std::collections::HashMap::from([part(SEQUENCE_NUMBER), part(STREAM)]))
}
