//! The source table's stream, followed beside its markers: which records are not in the counters, and what they changed
//! since a place in the stream.
//!
//! The stream is read once, from its oldest record on. What is kept of it: the records that are not applied, and, of the
//! view items that are being looked at, the last state of each source item since the recount began. "Since" is a place in
//! the stream and no time, so no clock has to be right.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::error::AuditError;
use super::open_records::{OpenRecord, OpenRecords};
use super::snapshot::{MARKERS_BESIDE_AN_ITEM, Snapshot};
use super::table_reader::TableReader;
use crate::operate::apply::Applier;
use crate::operate::clock::now;
use crate::operate::event::EventRecord;
use crate::operate::stream::DynamoStream;
use crate::operate::stream_reader::{Reach, StreamReader};
use crate::rollup::Item;
use crate::rollup::check::judge::NotApplied;
use crate::rollup::check::ledger::{self, AuditedRecord, Finding, MarkerState, QuarantinedEffect};
use crate::rollup::check::recount::{Recount, SourceKey, SourceTotals};
use crate::rollup::model::marker::{
    DELTAS, DIGEST, EVENT_ID, FINGERPRINT, OUTCOME, SEQUENCE_NUMBER, SOURCE_KEY, STREAM,
};
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::contribution::ItemContribution;
use crate::rollup::pipeline::delta::{Effect, Retention};

/// Findings of one kind that are kept.
pub(super) const FINDINGS: usize = 1_000;

/// What of a marker tells how its record stands.
const MARKER: [&str; 8] = [SEQUENCE_NUMBER, STREAM, OUTCOME, DELTAS, EVENT_ID, SOURCE_KEY, FINGERPRINT, DIGEST];

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
    /// View items of records that were applied already when they were read, since this was last cleared.
    read_applied: HashSet<ViewKey>,
    /// What contradicts itself.
    pub(super) findings: Vec<Finding>,
    /// How many records were read.
    pub(super) count: u64,
    /// Records without a marker are applied as they are read.
    pub(in crate::operate) applier: Option<Applier>,
}

impl StreamRecords {
    /// The stream of the source table, from its oldest record on; without a stream there is nothing to follow.
    pub(super) fn new(stream: Option<DynamoStream>) -> Self {
        Self { reader: stream.map(StreamReader::new), ..Self::default() }
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
        while let Some(reader) = &mut self.reader
            && let Some(records) = reader.next(&mut reading).await?
        {
            self.count += u64::try_from(records.len()).unwrap_or_default();
            self.take(tables, &records).await?;
        }
        Ok(())
    }

    /// Takes records of one shard, in their order.
    async fn take(&mut self, tables: &TableReader, records: &[EventRecord]) -> Result<(), AuditError> {
        let definition = tables.definition();
        let retention = retention(tables);
        let traces = records.iter().filter_map(|record| ledger::audited(definition, &record.json, &retention));
        let traces: Vec<AuditedRecord<'_>> = traces.collect();
        let markers = self.markers_of(tables, &traces).await?;
        for trace in traces {
            let items = trace.items();
            self.lay_over_recounts(tables, &trace, &items);
            let id = trace.record.head.id;
            let deltas = match &trace.effect {
                Effect::None { .. } => continue,
                Effect::Apply(change) => {
                    let found = markers.get(&id).and_then(|marker| ledger::contradiction(definition, change, marker));
                    if self.findings.len() < FINDINGS {
                        self.findings.extend(found);
                    }
                    change.deltas.clone()
                }
                Effect::Quarantine(_) => BTreeMap::new(),
            };
            self.touched.extend(items.iter().cloned());
            match ledger::marker_state(markers.get(&id)) {
                MarkerState::Pending(waiting) => {
                    let effect = QuarantinedEffect { items, deltas };
                    self.open.add(id, OpenRecord { waiting, created_at: trace.record.created_at, effect });
                }
                MarkerState::Closed => self.read_applied.extend(items),
            }
        }
        Ok(())
    }

    /// The markers of records with an effect, after those without one were applied, if that is wanted.
    async fn markers_of(
        &mut self,
        tables: &TableReader,
        traces: &[AuditedRecord<'_>],
    ) -> Result<HashMap<RecordId, Item>, AuditError> {
        let with_effect = || traces.iter().filter(|trace| !matches!(trace.effect, Effect::None { .. }));
        let ids: Vec<RecordId> = with_effect().map(|trace| trace.record.head.id.clone()).collect();
        let markers = tables.markers_of(&ids, &MARKER).await?;
        let Some(applier) = &mut self.applier else { return Ok(markers) };
        let unmarked = with_effect().filter(|trace| !markers.contains_key(&trace.record.head.id));
        let raw: Vec<String> = unmarked.map(|trace| trace.record.raw.to_owned()).collect();
        if raw.is_empty() {
            return Ok(markers);
        }
        applier.apply(&raw).await?;
        tables.markers_of(&ids, &MARKER).await
    }

    /// Lays a record's new image over the recounts of the view items that are watched.
    fn lay_over_recounts(&mut self, tables: &TableReader, trace: &AuditedRecord<'_>, items: &BTreeSet<ViewKey>) {
        let source = SourceKey::of(&tables.source.key, &trace.record.head.source_key);
        for item in items {
            let Some(watched) = self.watched.get_mut(item) else { continue };
            let contribution = trace.new.of(item);
            match &mut watched.recount {
                Some(recount) => recount.put(source.clone(), contribution),
                None => drop(watched.later.insert(source.clone(), contribution)),
            }
        }
    }

    /// From here on, what changes the source items of these view items is laid over their recounts.
    pub(super) fn watch(&mut self, keys: &[ViewKey]) {
        self.watched = keys.iter().map(|key| (key.clone(), Watched::default())).collect();
    }

    /// Takes the recount of a view item that is watched since before it began.
    pub(super) fn recounted(&mut self, key: &ViewKey, mut recount: Recount) {
        let Some(watched) = self.watched.get_mut(key) else { return };
        for (source, contribution) in watched.later.drain() {
            recount.put(source, contribution);
        }
        watched.recount = Some(recount);
    }

    /// What the source items of a watched view item come to, as of the place up to which the stream was read.
    pub(super) fn truth(&self, key: &ViewKey) -> SourceTotals {
        let recount = self.watched.get(key).and_then(|watched| watched.recount.as_ref());
        recount.map(Recount::tally).unwrap_or_default()
    }

    /// Notes a record in quarantine that the whole table has told of.
    pub(super) fn add_quarantined(&mut self, id: RecordId, effect: QuarantinedEffect) {
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

    /// A view item as of a moment at which it is known which of its records are in its counters, and its records as of that
    /// moment too; none when that could not be had. Nobody needs to pause for it.
    ///
    /// The item is read together with the markers of its records that are not applied. Whatever else is in its counters is
    /// in the stream, which is read after that: when that brings a record which is applied already, it cannot be told
    /// whether the item had it.
    ///
    /// # Errors
    /// When the tables or the stream cannot be read.
    pub(super) async fn at_once(
        &mut self,
        tables: &TableReader,
        key: &ViewKey,
    ) -> Result<Option<Snapshot>, AuditError> {
        self.catch_up(tables, Reach::Quick).await?;
        let ids = self.open.oldest_first(key);
        let (with, later) = ids.split_at(ids.len().min(MARKERS_BESIDE_AN_ITEM));
        self.read_applied.clear();
        let Some(found) = tables.snapshot(key, with, &MARKER).await? else { return Ok(None) };
        self.open.update(with, &found.markers);
        self.catch_up(tables, Reach::Quick).await?;
        // Those that did not fit: without a marker even now, they were not in the counters.
        let closed = self.open.update(later, &tables.markers_of(later, &MARKER).await?);
        Ok((closed == 0 && !self.read_applied.contains(key)).then_some(found))
    }
}

/// How the function would judge a record now.
pub(super) fn retention(tables: &TableReader) -> Retention {
    Retention { days: tables.config.marker_retention_days, until: now() }
}
