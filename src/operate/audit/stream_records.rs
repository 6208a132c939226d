//! Follows the source table's stream and its markers: which records are not in the counters, and which changes they
//! made since a position in the stream.
//!
//! The stream is read from its oldest record on. Two things are kept: the records that are not applied, and, for the
//! view items that are being looked at, the last state of each source item since the recount began. "Since" means a
//! position in the stream, not a time, because a clock can only say what is certainly older. For records that are old
//! enough to be applied, the markers are looked up only if a view item differs, in a second reading.

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

/// The most findings of one kind that are kept.
pub(super) const FINDINGS: usize = 1_000;

/// The attributes of a marker that determine the state of its record.
pub(super) const MARKER: [&str; 9] =
    [SEQUENCE_NUMBER, STREAM, OUTCOME, REASON, DELTAS, EVENT_ID, SOURCE_KEY, FINGERPRINT, DIGEST];

/// The largest difference between the clocks of the operator and the service. The service refuses signed requests whose
/// time differs by more than five minutes.
const CLOCKS: Duration = Duration::from_mins(5);

/// For which records from before the recount the markers are looked up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum MarkersAsked {
    /// All.
    #[default]
    All,
    /// Records that may not have had time to be applied, because they were written at this time or later.
    Since(DateTime<Utc>),
    /// The records of one view item.
    Of(ViewKey),
}

/// When a record is read.
#[derive(Debug, Clone, Copy)]
enum Pass<'a> {
    /// The first time.
    Ahead,
    /// The first time, after its images were already applied to the recounts.
    Expected,
    /// Again, for these view items.
    Back(&'a HashSet<ViewKey>),
}

/// A view item that is being looked at.
#[derive(Debug, Default)]
struct Watched {
    /// Its source items, once they are recounted.
    recount: Option<Recount>,
    /// Its source items that were written since the look began, while the recount is not complete; `None` if they no
    /// longer contribute.
    later: HashMap<SourceKey, Option<ItemContribution>>,
}

/// The stream as far as it was read.
#[derive(Default)]
pub struct StreamRecords {
    /// `None` if the table has no stream, so that there is nothing to follow.
    reader: Option<StreamReader>,
    pub(super) open: OpenRecords,
    watched: HashMap<ViewKey, Watched>,
    /// View items that a record changed since this was last emptied.
    pub(super) touched: HashSet<ViewKey>,
    /// View items that a record changed since the first recount began.
    written: HashSet<ViewKey>,
    /// The records of a view item that is looked at alone.
    pub(super) noted: Option<Noted>,
    /// Violated invariants.
    pub(super) findings: Vec<Finding>,
    /// Number of records that were read.
    pub(super) count: u64,
    /// Applies records without a marker as they are read, in a repair.
    pub(in crate::operate) applier: Option<Applier>,
    asked: MarkersAsked,
    /// Number of records whose markers were not looked up.
    unasked: u64,
    /// When the first recount began. Records that are certainly older are in every recount already.
    began: Option<DateTime<Utc>>,
    /// How much older than `began` a record must be to be certainly older.
    lag: TimeDelta,
}

impl StreamRecords {
    /// Follows the source table's stream from its oldest record on, if it has one.
    pub(super) fn new(stream: Option<DynamoStream>, pace: &Pace, asked: MarkersAsked) -> Self {
        let reader = stream.map(|stream| StreamReader::new(stream, quiet(pace.settle)));
        let lag = TimeDelta::from_std(pace.lag.max(CLOCKS)).unwrap_or_default();
        Self { reader, asked, lag, ..Self::default() }
    }

    /// Notes that the first recount begins: records that are read from here on may not be in it.
    pub(super) fn recounts_begin(&mut self) {
        self.began = Some(now());
        self.touched.clear();
    }

    /// Number of shards that were assumed to be read to their end without proof.
    pub(super) fn taken_as_read(&self) -> usize {
        self.reader.as_ref().map_or(0, StreamReader::taken_as_read)
    }

    /// Whether the source table has a stream.
    pub(super) fn is_followed(&self) -> bool {
        self.reader.is_some()
    }

    /// Reads the stream to its end, so that every record that had reached the stream before this call is read.
    ///
    /// # Errors
    /// When the stream or the markers cannot be read.
    pub(super) async fn catch_up(&mut self, tables: &TableReader, reach: Reach) -> Result<(), AuditError> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let mut reading = reader.begin(reach).await?;
        self.read_on(tables, &mut reading).await
    }

    /// Reads the stream as far as there are records, and returns the reading. What is left of it is most likely a wait.
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

    /// Continues a reading to its end.
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

    /// Reads the stream again and looks up the markers of the records of these view items. Returns the other view items
    /// that open records among them concern.
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

    /// Whether to look up the marker of a record.
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

    /// Processes the records of one shard, in their order.
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

    /// The markers of the records that have an effect, and the records that had none. In a repair, records without a
    /// marker are applied first.
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

    /// Applies a record's new image to the recounts of the watched view items, unless the recounts are certainly newer
    /// than the record.
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

    /// Starts to apply changes of source items to the recounts of these view items.
    pub(super) fn watch(&mut self, keys: &[ViewKey]) {
        self.watched.extend(keys.iter().map(|key| (key.clone(), Watched::default())));
    }

    /// Ends the watch of these view items after a look.
    pub(super) fn looked_at(&mut self, keys: &[ViewKey]) {
        for key in keys {
            self.watched.remove(key);
        }
    }

    /// Adds the recount of a view item that has been watched since before the recount began.
    pub(super) fn recounted(&mut self, key: &ViewKey, mut recount: Recount) {
        let Some(watched) = self.watched.get_mut(key) else { return };
        for (source, contribution) in watched.later.drain() {
            recount.put(source, contribution);
        }
        watched.recount = Some(recount);
    }

    /// The recount of a watched view item, as of the position up to which the stream was read; `None` for other view
    /// items.
    pub(super) fn truth(&self, key: &ViewKey) -> Option<SourceTotals> {
        let recount = self.watched.get(key)?.recount.as_ref();
        Some(recount.map(Recount::tally).unwrap_or_default())
    }

    /// Whether the stream has no record of a view item since the first recount began, so that its recount is still
    /// right.
    pub(super) fn is_unwritten(&self, key: &ViewKey) -> bool {
        self.began.is_some() && !self.written.contains(key)
    }

    /// Adds a record in quarantine that the scan of the idempotency table found.
    pub(super) fn add_quarantined(&mut self, id: RecordId, effect: OpenEffect) {
        self.open.add(id, OpenRecord { waiting: NotApplied::Quarantined, created_at: None, effect });
    }

    /// Looks up again which records of these view items are not applied.
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

/// The retention with which the function would judge a record now.
fn retention(tables: &TableReader) -> Retention {
    Retention { days: tables.config.marker_retention_days, until: now() }
}
