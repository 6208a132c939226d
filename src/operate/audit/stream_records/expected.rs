//! Records that are read before the moment of a look at one view item, and whose markers are looked up after it.

use std::collections::BTreeMap;

use super::{Pass, StreamRecords, retention};
use crate::operate::audit::error::AuditError;
use crate::operate::audit::open_records::OpenRecord;
use crate::operate::audit::table_reader::TableReader;
use crate::operate::event::EventRecord;
use crate::operate::stream_reader::Reach;
use crate::rollup::check::elimination::ReadAt;
use crate::rollup::check::judge::NotApplied;
use crate::rollup::check::ledger::{self, OpenEffect};
use crate::rollup::model::record::RecordId;
use crate::rollup::pipeline::delta::Effect;

impl StreamRecords {
    /// Reads the next page of each shard without looking up markers. The pages must be processed later.
    pub(in crate::operate::audit) async fn next_pages(&mut self) -> Result<Vec<Vec<EventRecord>>, AuditError> {
        let mut pages = Vec::new();
        let Some(reader) = &mut self.reader else { return Ok(pages) };
        let mut reading = reader.begin(Reach::Page).await?;
        while let Some(records) = reader.next(&mut reading).await? {
            self.count += u64::try_from(records.len()).unwrap_or_default();
            pages.push(records);
        }
        Ok(pages)
    }

    /// Applies a page to the recounts, and notes its records as not applied until they are processed. Returns their
    /// ids.
    pub(in crate::operate::audit) fn expect(&mut self, tables: &TableReader, page: &[EventRecord]) -> Vec<RecordId> {
        let retention = retention(tables);
        let mut expected = Vec::new();
        for record in page {
            let Some(trace) = ledger::audited(tables.definition(), &record.json, &retention) else { continue };
            let items = trace.items();
            self.lay_over_recounts(tables, &trace, &items);
            let deltas = match trace.effect {
                Effect::None { .. } => continue,
                Effect::Apply(change) => change.sums(),
                Effect::Quarantine(_) => BTreeMap::new(),
            };
            let (id, created_at) = (trace.record.head.id, trace.record.created_at);
            expected.push(id.clone());
            let effect = OpenEffect { items, deltas };
            self.open.add(id, OpenRecord { waiting: NotApplied::Unmarked, created_at, effect });
        }
        expected
    }

    /// Processes a page that was announced with [`Self::expect`].
    pub(in crate::operate::audit) async fn take_expected(
        &mut self,
        tables: &TableReader,
        page: &[EventRecord],
    ) -> Result<(), AuditError> {
        self.note_as(ReadAt::Unordered);
        self.take(tables, page, Pass::Expected).await
    }
}
