//! The source table's stream, followed beside its markers: which records are not in the counters, and what they changed
//! since a place in the stream.
//!
//! The stream is read from its oldest record on. What is kept of it: the records that are not applied, and, of the view items
//! that are being looked at, the last state of each source item since the recount began. "Since" is a place in the stream
//! and no time: a clock only tells what is certainly older. Records that had their time to be applied are asked for their
//! markers by a second reading, of the view items that differ.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::error::AuditError;
use super::noted::Noted;
use super::open_records::{OpenRecord, OpenRecords};
use super::table_reader::TableReader;
use crate::operate::apply::Applier;
use crate::operate::args::Pace;
use crate::operate::clock::now;
use crate::operate::event::EventRecord;
use crate::operate::stream::DynamoStream;
use crate::operate::stream_reader::{Reach, ReadToEnd, ShardRecords, Step, StreamReader, quiet};
use crate::rollup::Item;
use crate::rollup::check::elimination::ReadAt;
use crate::rollup::check::judge::NotApplied;
use crate::rollup::check::ledger::{self, AuditedRecord, Finding, MarkerState, OpenEffect};
use crate::rollup::check::recount::{Recount, SourceKey, SourceTotals};
use crate::rollup::model::marker::{
    DELTAS, DIGEST, EVENT_ID, FINGERPRINT, OUTCOME, REASON, SEQUENCE_NUMBER, SOURCE_KEY, STREAM,
};
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::contribution::ItemContribution;
use crate::rollup::pipeline::delta::{Effect, Retention};

mod expected;

/// Findings of one kind that are kept.
pub(super) const FINDINGS: usize = 1_000;

/// What of a marker tells how its record stands.
pub(super) const MARKER: [&str; 9] =
    [SEQUENCE_NUMBER, STREAM, OUTCOME, REASON, DELTAS, EVENT_ID, SOURCE_KEY, FINGERPRINT, DIGEST];

/// By how much the clocks of operator and service may differ: requests of a clock that is further off are refused.
const CLOCKS: Duration = Duration::from_mins(5);

/// Which records from before the recount are asked for their markers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum MarkersAsked {
    /// All.
    #[default]
    All,
    /// Those that may not have had their time to be applied: written since then.
    Since(DateTime<Utc>),
    /// Those of one view item.
    Of(ViewKey),
}

/// Where in the work a record is read.
#[derive(Debug, Clone, Copy)]
enum Pass<'a> {
    /// In the reading on.
    Ahead,
    /// The same, after it was laid over the recounts.
    Expected,
    /// Once more, of these view items.
    Back(&'a HashSet<ViewKey>),
}

/// A view item that is being looked at.
#[derive(Debug, Default)]
struct Watched {
    /// Its source items, once they are recounted.
    recount: Option<Recount>,
    /// What became of source items that were written in the meantime.
    later: HashMap<SourceKey, Option<ItemContribution>>,
}

/// The stream as far as it was read.
#[derive(Default)]
pub struct StreamRecords {
    /// None where the table has no stream: then there is nothing to follow.
    reader: Option<StreamReader>,
    pub(super) open: OpenRecords,
    watched: HashMap<ViewKey, Watched>,
    /// View items with a change since this was last taken.
    pub(super) touched: HashSet<ViewKey>,
    /// View items with a change since the first recount began.
    written: HashSet<ViewKey>,
    /// What is noted of the records of a view item while it is looked at alone.
    pub(super) noted: Option<Noted>,
    /// What contradicts itself.
    pub(super) findings: Vec<Finding>,
    /// How many records were read.
    pub(super) count: u64,
    /// Records without a marker are applied as they are read.
    pub(in crate::operate) applier: Option<Applier>,
    asked: MarkersAsked,
    /// Records that were not asked for their markers.
    unasked: u64,
    /// When the recounts began, once they have: what is certainly older is not laid over them.
    began: Option<DateTime<Utc>>,
    /// How long before that a record is certainly older.
    lag: TimeDelta,
}

impl StreamRecords {
    /// The stream of the source table, from its oldest record on; without a stream there is nothing to follow.
    pub(super) fn new(stream: Option<DynamoStream>, pace: &Pace, asked: MarkersAsked) -> Self {
        let reader = stream.map(|stream| StreamReader::new(stream, quiet(pace.settle)));
        let lag = TimeDelta::from_std(pace.lag.max(CLOCKS)).unwrap_or_default();
        Self { reader, asked, lag, ..Self::default() }
    }

    /// The first recount begins: what is read from here on may not be in it.
    pub(super) fn recounts_begin(&mut self) {
        self.began = Some(now());
        self.touched.clear();
    }

    /// How many shards are taken to be read to their ends without proof.
    pub(super) fn taken_as_read(&self) -> usize {
        self.reader.as_ref().map_or(0, StreamReader::taken_as_read)
    }

    /// Whether there is a stream.
    pub(super) fn is_followed(&self) -> bool {
        self.reader.is_some()
    }

    /// Reads the stream to its end: what was written before this was called, and has got there, has been read after it.
    ///
    /// # Errors
    /// When the stream or the markers cannot be read.
    pub(super) async fn catch_up(&mut self, tables: &TableReader, reach: Reach) -> Result<(), AuditError> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let mut reading = reader.begin(reach).await?;
        self.read_on(tables, &mut reading).await
    }

    /// Begins to read the stream to its end, as far as there are records; returns the reading, whose rest is most likely a
    /// wait.
    ///
    /// # Errors
    /// When the stream or the markers cannot be read.
    pub(super) async fn read_history(&mut self, tables: &TableReader) -> Result<Option<ReadToEnd>, AuditError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let mut reading = reader.begin(Reach::Thorough).await?;
        while let Some(reader) = &mut self.reader
            && !reader.is_silent(&reading)
            && let Step::Page(page) = reader.step(&mut reading).await?
        {
            self.take_ahead(tables, &page).await?;
        }
        Ok(Some(reading))
    }

    /// Goes on with a reading, to its end.
    ///
    /// # Errors
    /// When the stream or the markers cannot be read.
    pub(super) async fn read_on(&mut self, tables: &TableReader, reading: &mut ReadToEnd) -> Result<(), AuditError> {
        while let Some(reader) = &mut self.reader
            && let Some(page) = reader.next_of_shard(reading).await?
        {
            self.take_ahead(tables, &page).await?;
        }
        Ok(())
    }

    async fn take_ahead(&mut self, tables: &TableReader, page: &ShardRecords) -> Result<(), AuditError> {
        let ShardRecords { records, before } = page;
        self.count += u64::try_from(records.len()).unwrap_or_default();
        let parts = if self.noted.is_some() { records.split_at(*before) } else { (&records[..], &[][..]) };
        for (part, read_at) in [(parts.0, ReadAt::Unordered), (parts.1, ReadAt::After)] {
            self.note_as(read_at);
            if !part.is_empty() {
                self.take(tables, part, Pass::Ahead).await?;
            }
        }
        Ok(())
    }

    fn note_as(&mut self, read_at: ReadAt) {
        if let Some(noted) = &mut self.noted {
            noted.read_at = read_at;
        }
    }

    /// Reads what was read before once more, and asks the records of these view items for their markers; returns the view
    /// items that they are about besides, where a record was not applied.
    ///
    /// # Errors
    /// When the stream or the markers cannot be read.
    pub(super) async fn look_back(
        &mut self,
        tables: &TableReader,
        keys: &HashSet<ViewKey>,
    ) -> Result<HashSet<ViewKey>, AuditError> {
        let Some(reader) = self.reader.as_ref().filter(|_| self.unasked > 0 && !keys.is_empty()) else {
            return Ok(HashSet::new());
        };
        let mut past = reader.past();
        let mut reading = past.begin(Reach::Quick).await?;
        while let Some(records) = past.next(&mut reading).await? {
            self.take(tables, &records, Pass::Back(keys)).await?;
        }
        Ok(std::mem::take(&mut self.touched).into_iter().filter(|key| !keys.contains(key)).collect())
    }

    /// Whether the marker of a record is looked up.
    fn asks(&self, record: &AuditedRecord<'_>, pass: Pass<'_>) -> bool {
        let (items, created_at) = (record.items(), record.record.created_at);
        let of_before = match &self.asked {
            MarkersAsked::All => true,
            MarkersAsked::Since(since) => created_at.is_none_or(|at| at >= *since),
            MarkersAsked::Of(key) => items.contains(key),
        };
        match pass {
            Pass::Ahead | Pass::Expected => self.began.is_some() || of_before,
            Pass::Back(wanted) => !of_before && items.iter().any(|item| wanted.contains(item)),
        }
    }

    /// Takes records of one shard, in their order.
    async fn take(&mut self, tables: &TableReader, records: &[EventRecord], pass: Pass<'_>) -> Result<(), AuditError> {
        let definition = tables.definition();
        let retention = retention(tables);
        let traces = records.iter().filter_map(|record| ledger::audited(definition, &record.json, &retention));
        let traces: Vec<AuditedRecord<'_>> = traces.collect();
        let (asked, unasked): (Vec<_>, Vec<_>) = traces.into_iter().partition(|trace| self.asks(trace, pass));
        if !matches!(pass, Pass::Back(_)) {
            self.unasked += u64::try_from(unasked.len()).unwrap_or_default();
        }
        let (markers, unmarked) = self.markers_of(tables, &asked).await?;
        for trace in asked {
            let items = trace.items();
            if matches!(pass, Pass::Ahead) {
                self.lay_over_recounts(tables, &trace, &items);
            }
            let id = trace.record.head.id;
            let deltas = match &trace.effect {
                Effect::None { .. } => continue,
                Effect::Apply(change) => {
                    let found = markers.get(&id).and_then(|marker| ledger::contradiction(definition, change, marker));
                    if self.findings.len() < FINDINGS {
                        self.findings.extend(found);
                    }
                    change.sums()
                }
                Effect::Quarantine(_) => BTreeMap::new(),
            };
            if !matches!(pass, Pass::Back(_)) || unmarked.contains(&id) {
                self.touched.extend(items.iter().cloned());
            }
            if !matches!(pass, Pass::Back(_)) && self.began.is_some() {
                self.written.extend(items.iter().cloned());
            }
            let state = ledger::marker_state(markers.get(&id));
            if let Some(noted) = &mut self.noted {
                noted.note(&id, state, &deltas);
            }
            match state {
                MarkerState::Pending(waiting) => {
                    let known = markers.get(&id).is_none_or(ledger::can_be_applied);
                    let effect = OpenEffect { items, deltas: if known { deltas } else { BTreeMap::new() } };
                    self.open.add(id, OpenRecord { waiting, created_at: trace.record.created_at, effect });
                }
                MarkerState::Closed => self.open.remove(&id),
            }
        }
        Ok(())
    }

    /// The markers of records with an effect, after those without one were applied, if that is wanted; and which had none.
    async fn markers_of(
        &mut self,
        tables: &TableReader,
        traces: &[AuditedRecord<'_>],
    ) -> Result<(HashMap<RecordId, Item>, HashSet<RecordId>), AuditError> {
        let with_effect = || traces.iter().filter(|trace| !matches!(trace.effect, Effect::None { .. }));
        let ids: Vec<RecordId> = with_effect().map(|trace| trace.record.head.id.clone()).collect();
        let markers = tables.markers_of(&ids, &MARKER).await?;
        let unmarked: HashSet<RecordId> = ids.iter().filter(|id| !markers.contains_key(id)).cloned().collect();
        let Some(applier) = self.applier.as_mut().filter(|_| !unmarked.is_empty()) else {
            return Ok((markers, unmarked));
        };
        let raw = with_effect().filter(|trace| unmarked.contains(&trace.record.head.id));
        let raw: Vec<String> = raw.map(|trace| trace.record.raw.to_owned()).collect();
        applier.apply(&raw).await?;
        Ok((tables.markers_of(&ids, &MARKER).await?, unmarked))
    }

    /// Lays a record's new image over the recounts of the view items that are watched, unless the recounts are certainly
    /// newer.
    fn lay_over_recounts(&mut self, tables: &TableReader, trace: &AuditedRecord<'_>, items: &BTreeSet<ViewKey>) {
        let Some(began) = self.began else { return };
        if trace.record.created_at.is_some_and(|created_at| began.signed_duration_since(created_at) > self.lag) {
            return;
        }
        let source = SourceKey::of(&tables.source.key, &trace.record.head.source_key);
        for item in items {
            let Some(watched) = self.watched.get_mut(item) else { continue };
            let contribution = trace.new.of(item);
            match &mut watched.recount {
                Some(recount) => recount.put(source, contribution),
                None => drop(watched.later.insert(source, contribution)),
            }
        }
    }

    /// From here on, what changes the source items of these view items is laid over their recounts.
    pub(super) fn watch(&mut self, keys: &[ViewKey]) {
        self.watched.extend(keys.iter().map(|key| (key.clone(), Watched::default())));
    }

    /// These view items were looked at.
    pub(super) fn looked_at(&mut self, keys: &[ViewKey]) {
        for key in keys {
            self.watched.remove(key);
        }
    }

    /// Takes the recount of a view item that is watched since before it began.
    pub(super) fn recounted(&mut self, key: &ViewKey, mut recount: Recount) {
        let Some(watched) = self.watched.get_mut(key) else { return };
        for (source, contribution) in watched.later.drain() {
            recount.put(source, contribution);
        }
        watched.recount = Some(recount);
    }

    /// What the source items of a watched view item come to, as of the place up to which the stream was read; none of one
    /// that is not watched.
    pub(super) fn truth(&self, key: &ViewKey) -> Option<SourceTotals> {
        let recount = self.watched.get(key)?.recount.as_ref();
        Some(recount.map(Recount::tally).unwrap_or_default())
    }

    /// Whether the stream has no record of a view item since the first recount began: what its source items came to then,
    /// they still come to.
    pub(super) fn is_unwritten(&self, key: &ViewKey) -> bool {
        self.began.is_some() && !self.written.contains(key)
    }

    /// Notes a record in quarantine that the scan of the table found.
    pub(super) fn add_quarantined(&mut self, id: RecordId, effect: OpenEffect) {
        self.open.add(id, OpenRecord { waiting: NotApplied::Quarantined, created_at: None, effect });
    }

    /// Asks again which of the records of these view items are not applied.
    ///
    /// # Errors
    /// When the markers cannot be read.
    pub(super) async fn look_again(&mut self, tables: &TableReader, keys: &[ViewKey]) -> Result<(), AuditError> {
        let ids = self.open.ids_of(keys);
        let markers = tables.markers_of(&ids, &MARKER).await?;
        self.open.update(&ids, &markers);
        Ok(())
    }
}

/// How the function would judge a record now.
fn retention(tables: &TableReader) -> Retention {
    Retention { days: tables.config.marker_retention_days, until: now() }
}
