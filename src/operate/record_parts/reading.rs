//! Reads the parts of a record. Only commands need that, to show and replay what is in quarantine.

use super::RecordParts;
use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::{marker_key, record_id};
use crate::rollup::Item;
use crate::rollup::model::kept_record::{part_count, part_ids};
use crate::rollup::model::record::RecordId;

impl RecordParts {
    /// The parts of a marker's record, in order. Missing parts are left out.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(in crate::operate) async fn of(&self, marker: &Item) -> Result<Vec<Item>, TableError> {
        let Some(id) = record_id(marker) else { return Ok(Vec::new()) };
        let mut parts = Vec::new();
        for part in part_ids(&id, part_count(marker)) {
            parts.extend(self.get(&part).await?);
        }
        Ok(parts)
    }

    async fn get(&self, id: &RecordId) -> Result<Option<Item>, TableError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = get.set_key(Some(marker_key(id).into())).send().await;
        let answer = answer.map_err(|error| self.error("read", failure_text(&error)))?;
        Ok(answer.item.map(Item::from).filter(|item| !item.is_empty()))
    }
}
