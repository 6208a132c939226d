//! The parts of records that are too large for their markers, as the commands read and delete them.

use aws_sdk_dynamodb::Client;
use tracing::warn;

use super::error::{TableError, failure_text};
use super::marker_table::{marker_key, record_id};
use crate::rollup::model::kept_record::{part_count, part_ids};
use crate::rollup::model::limits;
use crate::rollup::model::marker::{MarkerOutcome, OUTCOME};
use crate::rollup::model::record::RecordId;
use crate::rollup::pipeline::parse::{Parsed, parse_record};
use crate::rollup::{AttributeValue, Item};
use crate::store::failure;

/// The idempotency table, as far as parts are concerned.
#[derive(Debug, Clone)]
pub(super) struct RecordParts {
    client: Client,
    table: String,
}

impl RecordParts {
    /// The parts in an idempotency table.
    pub(super) fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    fn error(&self, action: &'static str, cause: String) -> TableError {
        TableError::new(action, &self.table, cause)
    }

    /// The parts of a marker, in their order; one that is missing is left out.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(super) async fn of(&self, marker: &Item) -> Result<Vec<Item>, TableError> {
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

    /// Deletes the parts of a record that is no longer in quarantine. Nothing depends on it: a part that stays only takes
    /// room, so a failure is logged and the command goes on.
    pub(super) async fn delete(&self, id: &RecordId) {
        if let Err(error) = self.try_delete(id).await {
            let RecordId { sequence_number, stream } = id;
            warn!(sequence_number, stream, %error, "the parts of a record that left quarantine are not deleted");
        }
    }

    async fn try_delete(&self, id: &RecordId) -> Result<(), TableError> {
        // All that a record may have: the marker that took the place of the quarantined one does not tell how many.
        for part in part_ids(id, limits::RECORD_PARTS) {
            let delete = self.client.delete_item().table_name(&self.table);
            let delete = delete.set_key(Some(marker_key(&part).into()));
            // A marker that may have the key of a part stays.
            let deleted = delete.condition_expression(format!("attribute_not_exists({OUTCOME})")).send().await;
            match deleted {
                Err(error) if !failure(&error).is_unmet_condition() => {
                    return Err(self.error("delete from", failure_text(&error)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Deletes the parts of a raw record, if it is so large that it may have some and its marker is there and not in
    /// quarantine.
    pub(super) async fn delete_if_ended(&self, raw: &str) {
        if raw.len() <= limits::ITEM_BYTES / 2 {
            return;
        }
        let Ok(Parsed::Record(record)) = parse_record(raw) else { return };
        let outcome = match self.get(&record.head.id).await {
            Ok(marker) => marker.and_then(|mut marker| marker.remove(OUTCOME)),
            Err(error) => {
                let RecordId { sequence_number, stream } = &record.head.id;
                warn!(sequence_number, stream, %error, "cannot tell whether a record has left quarantine");
                return;
            }
        };
        if outcome.is_some_and(|outcome| outcome != AttributeValue::S(MarkerOutcome::Quarantined.as_str().to_owned())) {
            self.delete(&record.head.id).await;
        }
    }
}
