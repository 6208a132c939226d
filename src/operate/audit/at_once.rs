//! A view item as of one moment, with the state of its records, while the item is written all the time.

use std::collections::HashSet;

use super::error::AuditError;
use super::noted::Noted;
use super::snapshot::{MARKERS_BESIDE_AN_ITEM, Snapshot};
use super::stream_records::{MARKER, StreamRecords};
use super::table_reader::TableReader;
use crate::operate::stream_reader::Reach;
use crate::rollup::Item;
use crate::rollup::check::judge::PendingRecord;
use crate::rollup::check::ledger::marker_state;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;

/// A view item as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    /// The item; `None` if it is not there.
    pub(super) item: Option<Item>,
    /// The records that are not in its counters.
    pub(super) open: Vec<PendingRecord>,
    /// The records that may be in its counters or not.
    pub(super) unsure: Vec<PendingRecord>,
}

impl StreamRecords {
    /// Reads a view item as of one moment; `None` if a write interfered. Writers need not pause.
    ///
    /// One transaction reads the item and the markers of its records that are not applied. Every other record in its
    /// counters is in the stream. The stream is read afterwards, to the end that it had after the moment. Some records
    /// are found applied only then: those that this reading brings, and those whose markers did not fit into the
    /// transaction. For these it is unknown whether the item included them.
    ///
    /// There is no other request between the page that is read before the moment and the request for the end of the
    /// stream: the fewer records come in between, the better.
    ///
    /// # Errors
    /// When the tables or the stream cannot be read.
    pub(super) async fn at_once(&mut self, tables: &TableReader, key: &ViewKey) -> Result<Option<Moment>, AuditError> {
        let pages = self.next_pages().await?;
        let expected: HashSet<RecordId> = pages.iter().flat_map(|page| self.expect(tables, page)).collect();
        let ids = self.open.oldest_first(key);
        let (asked, _) = ids.split_at(ids.len().min(MARKERS_BESIDE_AN_ITEM));
        let found = tables.snapshot(key, asked, &MARKER).await?;
        if let Some(found) = &found {
            self.open.update(asked, &found.markers);
            self.noted = Some(Noted::new(key, asked.iter().cloned().collect(), self.open.of(key)));
            self.catch_up(tables, Reach::Quick).await?;
        }
        for page in pages {
            self.take_expected(tables, &page).await?;
        }
        self.ask_others(tables, &expected).await?;
        let noted = self.noted.take();
        let moment = |(found, Noted { open, unsure, .. }): (Snapshot, _)| Moment { item: found.item, open, unsure };
        Ok(found.zip(noted).map(moment))
    }

    /// Reads the markers of known records that did not fit into the transaction.
    async fn ask_others(&mut self, tables: &TableReader, expected: &HashSet<RecordId>) -> Result<(), AuditError> {
        let Some(noted) = &mut self.noted else { return Ok(()) };
        let others = std::mem::take(&mut noted.others);
        let others: Vec<_> = others.into_iter().filter(|record| !expected.contains(&record.id)).collect();
        let ids: Vec<RecordId> = others.iter().map(|record| record.id.clone()).collect();
        let markers = tables.markers_of(&ids, &MARKER).await?;
        for record in others {
            let state = marker_state(markers.get(&record.id));
            noted.put(state, record);
        }
        self.open.update(&ids, &markers);
        Ok(())
    }
}
