//! A view item together with markers, as of one moment.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
use aws_sdk_dynamodb::types::{Get, ReturnConsumedCapacity, TransactGetItem};

use super::AuditError;
use super::tables::{Projection, Tables, error, projection, record_id};
use crate::operate::cause::cause;
use crate::rollup::Item;
use crate::rollup::model::limits::TRANSACTION_ACTIONS;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;

/// Markers that fit beside a view item.
pub(super) const MARKERS: usize = TRANSACTION_ACTIONS - 1;

/// What was read at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    /// The view item; none when it is not there.
    pub(super) item: Option<Item>,
    /// The markers that are there.
    pub(super) markers: HashMap<RecordId, Item>,
}

impl Tables {
    /// Reads a view item and the markers of up to [`MARKERS`] records in one transaction: a marker is in the answer if and
    /// only if its record is in the counters. None when a write was in the way.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub(super) async fn snapshot(
        &self,
        key: &ViewKey,
        ids: &[RecordId],
        attributes: &[&str],
    ) -> Result<Option<Snapshot>, AuditError> {
        let (view, markers) = (self.view().view_table(), &self.config.idempotency_table);
        let of_item = projection(self.view_attributes());
        let of_marker = projection(attributes.iter().copied());
        let get = |table: &str, key: Item, Projection { expression, names }: &Projection| {
            let get = Get::builder().table_name(table).set_key(Some(key.into()));
            let get = get.projection_expression(expression).set_expression_attribute_names(Some(names.clone()));
            let get = get.build().map_err(|cause| error("read", table, cause))?;
            Ok::<_, AuditError>(TransactGetItem::builder().get(get).build())
        };
        let mut gets = vec![get(view, self.view().key_item(key), &of_item)?];
        for id in ids {
            gets.push(get(markers, super::tables::marker_key(id), &of_marker)?);
        }
        let request = self.client.transact_get_items().set_transact_items(Some(gets));
        let answer = match request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(answer) => answer,
            Err(failed) if met_a_write(&failed) => return Ok(None),
            Err(failed) => return Err(error("read", view, cause(&failed))),
        };
        self.consumed(answer.consumed_capacity.iter().flatten()).await;
        let mut found = answer.responses.unwrap_or_default().into_iter().map(|one| one.item.map(Item::from));
        let item = found.next().flatten().filter(|item| !item.is_empty());
        let markers = found.flatten().filter_map(|marker| Some((record_id(&marker)?, marker)));
        Ok(Some(Snapshot { item, markers: markers.collect() }))
    }
}

/// Whether a transaction of reads was cancelled by what passes by itself.
fn met_a_write(failed: &SdkError<TransactGetItemsError>) -> bool {
    let passing = ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    match failed.as_service_error() {
        Some(TransactGetItemsError::TransactionCanceledException(cancelled)) => {
            let reasons = cancelled.cancellation_reasons();
            !reasons.is_empty() && reasons.iter().all(|reason| reason.code().is_none_or(|code| passing.contains(&code)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_runtime_api::http::StatusCode;

    use super::*;

    fn cancelled(codes: &[&str]) -> SdkError<TransactGetItemsError> {
        let reason = |code: &&str| CancellationReason::builder().code(*code).build();
        let reasons = Some(codes.iter().map(reason).collect());
        let cancelled = TransactionCanceledException::builder().set_cancellation_reasons(reasons).build();
        let answer = HttpResponse::new(StatusCode::try_from(400).unwrap(), "".into());
        SdkError::service_error(TransactGetItemsError::TransactionCanceledException(cancelled), answer)
    }

    #[test]
    fn what_passes_is_tried_again_and_nothing_else() {
        assert!(met_a_write(&cancelled(&["TransactionConflict", "None"])));
        assert!(met_a_write(&cancelled(&["None", "ThrottlingError"])));
        assert!(!met_a_write(&cancelled(&["ValidationError", "TransactionConflict"])));
        assert!(!met_a_write(&cancelled(&[])));
    }
}
