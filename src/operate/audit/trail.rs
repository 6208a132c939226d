//! The source table's stream, followed beside its markers: which records are not in the counters, and what they changed
//! since a place in the stream.
//!
//! The stream is read once, from its oldest record on. What is kept of it: the records that are not applied, and, of the
//! view items that are being looked at, the last state of each source item since the recount began. "Since" is a place in
//! the stream and no time, so no clock has to be right.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::AuditError;
use super::snapshot;
use super::tables::Tables;
use super::tip::{Tip, order};
use crate::operate::event::EventRecord;
use crate::operate::replay::{self, apply::Applier};
use crate::operate::stream::{Cursor, DynamoStream, Page, Shard, Stream};
use crate::rollup::Item;
use crate::rollup::check::judge::{Open, Waiting};
use crate::rollup::check::ledger::{self, Concern, Finding, Standing};
use crate::rollup::check::recount::{Recount, SourceKey, Tally};
use crate::rollup::model::change::{Counter, Sums};
use crate::rollup::model::marker::{DELTAS, EVENT_ID, OUTCOME, SEQUENCE_NUMBER, SOURCE_KEY, STREAM};
use crate::rollup::model::number::Number;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::delta::{Effect, Retention};

/// Pages without a record after which an open shard is taken to be read to its end: a page may be empty because the
/// stream has not got further.
const EMPTY_PAGES: usize = 3;

/// How often a reading that fails is tried again: an iterator may have expired.
const READ_ATTEMPTS: usize = 3;

/// Findings of one kind that are kept.
const FINDINGS: usize = 1_000;

/// What of a marker tells how its record stands.
const MARKER: [&str; 6] = [SEQUENCE_NUMBER, STREAM, OUTCOME, DELTAS, EVENT_ID, SOURCE_KEY];

/// How thoroughly the end of a stream is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// New shards are looked for, and an empty page is not believed at once.
    Thorough,
    /// An empty page is the end: for the short look at an item that is written all the time.
    Quick,
}

#[derive(Debug)]
struct Waited {
    waiting: Waiting,
    created_at: Option<DateTime<Utc>>,
    concern: Concern,
}

/// A view item that is being looked at.
#[derive(Debug, Default)]
struct Watched {
    /// Its source items, once they are recounted.
    recount: Option<Recount>,
    /// What became of source items that were written in the meantime.
    later: HashMap<SourceKey, Option<BTreeMap<Counter, Number>>>,
}

/// The stream as far as it was read.
pub struct Trail {
    stream: Option<DynamoStream>,
    shards: Vec<Shard>,
    cursors: HashMap<String, Cursor>,
    ended: HashSet<String>,
    open: HashMap<RecordId, Waited>,
    open_of: HashMap<ViewKey, BTreeSet<RecordId>>,
    watched: HashMap<ViewKey, Watched>,
    /// View items with a change since this was last taken.
    pub touched: HashSet<ViewKey>,
    /// View items of records that were applied already when they were met, since this was last taken.
    met_applied: HashSet<ViewKey>,
    /// What contradicts itself.
    pub findings: Vec<Finding>,
    /// Records that were read.
    pub records: u64,
    /// Records without a marker are applied as they are met.
    pub applier: Option<Applier>,
}

impl Trail {
    /// The stream of the source table, from its oldest record on; without a stream there is nothing to follow.
    #[must_use]
    pub fn new(stream: Option<DynamoStream>) -> Self {
        Self {
            stream,
            shards: Vec::new(),
            cursors: HashMap::new(),
            ended: HashSet::new(),
            open: HashMap::new(),
            open_of: HashMap::new(),
            watched: HashMap::new(),
            touched: HashSet::new(),
            met_applied: HashSet::new(),
            findings: Vec::new(),
            records: 0,
            applier: None,
        }
    }

    /// Whether there is a stream.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.stream.is_some()
    }

    /// Reads the stream to its end: what was written before this was called, and has got there, has been read after it.
    ///
    /// # Errors
    /// When the stream or the markers cannot be read.
    pub async fn catch_up(&mut self, tables: &Tables, reach: Reach) -> Result<(), AuditError> {
        let Some(stream) = self.stream.clone() else { return Ok(()) };
        if reach == Reach::Thorough || self.shards.is_empty() {
            self.shards = parents_first(stream.shards().await?);
        }
        let empty_pages = if reach == Reach::Thorough { EMPTY_PAGES } else { 1 };
        for shard in self.shards.clone() {
            let listed = |id: &String| self.shards.iter().any(|shard| shard.id == *id);
            let early = shard.parent.as_ref().is_some_and(|parent| listed(parent) && !self.ended.contains(parent));
            if early || self.ended.contains(&shard.id) {
                continue;
            }
            let (mut empty, mut tip) = (0, Tip::default());
            while empty < empty_pages {
                let page = self.read(&stream, &shard.id).await?;
                empty = if page.records.is_empty() { empty + 1 } else { 0 };
                // Where writers never pause, there is always one more record.
                let at_end = empty == 0 && !page.ended && tip.is_in(&page, &stream, &shard.id).await?;
                let Page { records, ended } = page;
                self.records += u64::try_from(records.len()).unwrap_or_default();
                self.take(tables, records).await?;
                if ended {
                    self.ended.insert(shard.id.clone());
                }
                if ended || at_end {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn read(&mut self, stream: &DynamoStream, shard: &str) -> Result<Page, AuditError> {
        let cursor = self.cursors.entry(shard.to_owned()).or_default();
        let mut attempt = 1;
        loop {
            match stream.read(shard, cursor).await {
                Ok(page) => return Ok(page),
                Err(error) if attempt == READ_ATTEMPTS => return Err(error.into()),
                Err(_) => attempt += 1,
            }
        }
    }

    /// Takes records of one shard, in their order.
    async fn take(&mut self, tables: &Tables, records: Vec<EventRecord>) -> Result<(), AuditError> {
        let view = tables.view();
        let retention = retention(tables);
        let traces: Vec<_> =
            records.iter().filter_map(|record| ledger::trace(view, &record.json, &retention)).collect();
        let has_effect = |trace: &&ledger::Trace<'_>| trace.effect != Effect::None;
        let ids: Vec<RecordId> = traces.iter().filter(has_effect).map(|trace| trace.record.head.id.clone()).collect();
        let mut markers = tables.markers_of(&ids, &MARKER).await?;
        if let Some(applier) = &mut self.applier {
            let unmarked =
                traces.iter().filter(has_effect).filter(|trace| !markers.contains_key(&trace.record.head.id));
            let raw: Vec<String> = unmarked.map(|trace| trace.record.raw.to_owned()).collect();
            if !raw.is_empty() {
                applier.apply(&raw).await?;
                markers = tables.markers_of(&ids, &MARKER).await?;
            }
        }
        for trace in traces {
            let source = SourceKey::of(&tables.source.key, &trace.record.head.source_key);
            let id = trace.record.head.id.clone();
            let items: BTreeSet<ViewKey> =
                trace.old.iter().cloned().chain(trace.new.iter().map(|new| new.item.clone())).collect();
            for item in &items {
                if let Some(watched) = self.watched.get_mut(item) {
                    let new = trace.new.as_ref().filter(|new| new.item == *item);
                    let amounts = new.map(|new| new.amounts.clone());
                    match &mut watched.recount {
                        Some(recount) => recount.put(source.clone(), amounts),
                        None => drop(watched.later.insert(source.clone(), amounts)),
                    }
                }
            }
            let deltas = match &trace.effect {
                Effect::None => continue,
                Effect::Apply(change) => {
                    let found = markers.get(&id).and_then(|marker| ledger::contradiction(view, change, marker));
                    if self.findings.len() < FINDINGS {
                        self.findings.extend(found);
                    }
                    change.deltas.clone()
                }
                Effect::Quarantine(_) => BTreeMap::new(),
            };
            self.touched.extend(items.iter().cloned());
            match ledger::standing(markers.get(&id)) {
                Standing::Open(waiting) => self.wait(id, waiting, trace.record.created_at, Concern { items, deltas }),
                Standing::Closed => self.met_applied.extend(items),
            }
        }
        Ok(())
    }

    /// Notes a record that is not in the counters.
    pub fn wait(&mut self, id: RecordId, waiting: Waiting, created_at: Option<DateTime<Utc>>, concern: Concern) {
        for item in &concern.items {
            self.open_of.entry(item.clone()).or_default().insert(id.clone());
        }
        self.open.insert(id, Waited { waiting, created_at, concern });
    }

    /// From here on, what changes the source items of these view items is laid over their recounts.
    pub fn watch(&mut self, keys: &[ViewKey]) {
        self.watched = keys.iter().map(|key| (key.clone(), Watched::default())).collect();
    }

    /// Takes the recount of a view item that is watched since before it began.
    pub fn recounted(&mut self, key: &ViewKey, mut recount: Recount) {
        let Some(watched) = self.watched.get_mut(key) else { return };
        for (source, amounts) in watched.later.drain() {
            recount.put(source, amounts);
        }
        watched.recount = Some(recount);
    }

    /// What the source items of a watched view item come to, as of the place up to which the stream was read.
    #[must_use]
    pub fn truth(&self, key: &ViewKey) -> Tally {
        let recount = self.watched.get(key).and_then(|watched| watched.recount.as_ref());
        recount.map(Recount::tally).unwrap_or_default()
    }

    /// Asks again which of the records of these view items are not applied.
    ///
    /// # Errors
    /// When the markers cannot be read.
    pub async fn look_again(&mut self, tables: &Tables, keys: &[ViewKey]) -> Result<(), AuditError> {
        let ids: BTreeSet<RecordId> = keys.iter().filter_map(|key| self.open_of.get(key)).flatten().cloned().collect();
        let ids: Vec<RecordId> = ids.into_iter().collect();
        let markers = tables.markers_of(&ids, &MARKER).await?;
        self.update(&ids, &markers);
        Ok(())
    }

    /// A view item as of a moment at which it is known which of its records are in its counters, and its records as of that
    /// moment too; none when that could not be had. Nobody needs to pause for it.
    ///
    /// The item is read together with the markers of its records that are not applied. Whatever else is in its counters is
    /// in the stream, which is read after that: when that brings a record which is applied already, it cannot be told
    /// whether the item had it.
    ///
    /// # Errors
    /// When the tables or the stream cannot be read.
    pub async fn at_once(&mut self, tables: &Tables, key: &ViewKey) -> Result<Option<Option<Item>>, AuditError> {
        self.catch_up(tables, Reach::Quick).await?;
        // The oldest are the next to be applied.
        let mut ids: Vec<RecordId> = self.open_of.get(key).into_iter().flatten().cloned().collect();
        ids.sort_by(|a, b| order(&a.sequence_number).cmp(&order(&b.sequence_number)));
        let (with, later) = ids.split_at(ids.len().min(snapshot::MARKERS));
        self.met_applied.clear();
        let Some(found) = tables.snapshot(key, with, &MARKER).await? else { return Ok(None) };
        self.update(with, &found.markers);
        self.catch_up(tables, Reach::Quick).await?;
        // Those that did not fit: without a marker even now, they were not in the counters.
        let closed = self.update(later, &tables.markers_of(later, &MARKER).await?);
        Ok((closed == 0 && !self.met_applied.contains(key)).then_some(found.item))
    }

    /// Takes what markers say of records that were not applied; tells how many are by now.
    fn update(&mut self, ids: &[RecordId], markers: &HashMap<RecordId, Item>) -> usize {
        let mut closed = 0;
        for id in ids {
            match ledger::standing(markers.get(id)) {
                Standing::Open(waiting) => {
                    if let Some(waited) = self.open.get_mut(id) {
                        waited.waiting = waiting;
                    }
                }
                Standing::Closed => {
                    self.close(id);
                    closed += 1;
                }
            }
        }
        closed
    }

    fn close(&mut self, id: &RecordId) {
        let Some(waited) = self.open.remove(id) else { return };
        for item in &waited.concern.items {
            if let Some(ids) = self.open_of.get_mut(item) {
                ids.remove(id);
                if ids.is_empty() {
                    self.open_of.remove(item);
                }
            }
        }
    }

    /// The records of a view item that are not applied.
    #[must_use]
    pub fn open(&self, key: &ViewKey) -> Vec<Open> {
        let ids = self.open_of.get(key).into_iter().flatten();
        let open = ids.filter_map(|id| {
            let waited = self.open.get(id)?;
            let sums = waited.concern.deltas.get(key).cloned().unwrap_or_else(Sums::new);
            let others = waited.concern.items.iter().filter(|item| *item != key).cloned().collect();
            Some(Open { id: id.clone(), waiting: waited.waiting, sums, others })
        });
        open.collect()
    }

    /// The view items with records that are not applied.
    pub fn waiting_items(&self) -> impl Iterator<Item = &ViewKey> {
        self.open_of.keys()
    }

    /// When the oldest record without a marker was written.
    #[must_use]
    pub fn oldest_unmarked(&self) -> Option<DateTime<Utc>> {
        let unmarked = self.open.values().filter(|waited| waited.waiting == Waiting::Unmarked);
        unmarked.filter_map(|waited| waited.created_at).min()
    }

    /// The records in quarantine, all of them or those of one view item.
    pub fn quarantined(&self, of: Option<&ViewKey>) -> impl Iterator<Item = &RecordId> {
        let wanted = move |waited: &Waited| of.is_none_or(|key| waited.concern.items.contains(key));
        let found =
            self.open.iter().filter(move |(_, waited)| waited.waiting == Waiting::Quarantined && wanted(waited));
        found.map(|(id, _)| id)
    }
}

/// How the function would judge a record now.
pub(super) fn retention(tables: &Tables) -> Retention {
    Retention { days: tables.config.marker_retention_days, until: replay::now() }
}

/// Parents before their children, so that the records of an item are met in their order.
fn parents_first(mut shards: Vec<Shard>) -> Vec<Shard> {
    let mut ordered: Vec<Shard> = Vec::with_capacity(shards.len());
    while !shards.is_empty() {
        let waiting: HashSet<String> = shards.iter().map(|shard| shard.id.clone()).collect();
        let (free, rest): (Vec<_>, Vec<_>) =
            shards.into_iter().partition(|shard| shard.parent.as_ref().is_none_or(|parent| !waiting.contains(parent)));
        if free.is_empty() {
            // No stream has a circle of parents; whatever this is, it is read all the same.
            ordered.extend(rest);
            return ordered;
        }
        ordered.extend(free);
        shards = rest;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_comes_after_its_parent_and_nothing_is_left_out() {
        let shard = |id: &str, parent: Option<&str>| Shard { id: id.into(), parent: parent.map(Into::into) };
        let shards = vec![shard("c", Some("b")), shard("b", Some("a")), shard("d", Some("trimmed")), shard("a", None)];
        let order: Vec<_> = parents_first(shards).into_iter().map(|shard| shard.id).collect();
        assert_eq!(order, ["d", "a", "b", "c"]);
        assert_eq!(parents_first(vec![shard("x", Some("y")), shard("y", Some("x"))]).len(), 2);
    }
}
