//! The parts of records that are too large for their markers. Commands read and delete them.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use chrono::{DateTime, Utc};

use super::error::{TableError, failure_text};
use super::marker_table::{discard, marker_key};
use crate::rollup::model::kept_record::part_ids;
use crate::rollup::model::marker::OUTCOME;
use crate::rollup::model::record::RecordId;
use crate::store::{sdk_update, transaction_failure};

#[cfg(feature = "cli")]
mod reading;

/// The parts of records in an idempotency table.
#[derive(Debug, Clone)]
pub(super) struct RecordParts {
    client: Client,
    table: String,
}

impl RecordParts {
    /// The parts in this table.
    pub(super) fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    fn error(&self, action: &'static str, cause: String) -> TableError {
        TableError::new(action, &self.table, cause)
    }

    /// Discards a record and its parts, for an operator or for a repair that counted it. Returns whether it was still
    /// in quarantine.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub(super) async fn discard(
        &self,
        id: &RecordId,
        parts: usize,
        expires_at: DateTime<Utc>,
        repaired_by: Option<&str>,
    ) -> Result<bool, TableError> {
        let wrong = |error: BuildError| self.error("write", error.to_string());
        let update =
            sdk_update(&self.table, &marker_key(id), discard(expires_at, repaired_by)).build().map_err(wrong)?;
        let mut actions = vec![TransactWriteItem::builder().update(update).build()];
        actions.extend(self.deletes(id, parts).map_err(wrong)?);
        let count = actions.len();
        match self.client.transact_write_items().set_transact_items(Some(actions)).send().await {
            Ok(_) => Ok(true),
            Err(error) if transaction_failure(&error, count).is_unmet_condition() => Ok(false),
            Err(error) => Err(self.error("write", failure_text(&error))),
        }
    }

    /// The deletes of the first `count` parts of a record, for the transaction that ends its quarantine.
    ///
    /// # Errors
    /// When a delete is incomplete.
    fn deletes(&self, id: &RecordId, count: usize) -> Result<Vec<TransactWriteItem>, BuildError> {
        let delete = |part| {
            // Never deletes a marker that has the key of a part.
            let delete = Delete::builder().table_name(&self.table).set_key(Some(marker_key(&part).into()));
            let delete = delete.condition_expression(format!("attribute_not_exists({OUTCOME})")).build()?;
            Ok(TransactWriteItem::builder().delete(delete).build())
        };
        part_ids(id, count).map(delete).collect()
    }
}
