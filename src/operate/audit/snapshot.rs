//! A view item together with markers, as of one moment.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{Get, ReturnConsumedCapacity, TransactGetItem};

use super::error::AuditError;
use super::table_reader::{Projection, TableReader, error, projection};
use crate::operate::error::failure_text;
use crate::operate::marker_table::{marker_key, record_id};
use crate::rollup::Item;
use crate::rollup::model::limits::TRANSACTION_ACTIONS;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::store::transaction_failure;

/// The most markers that fit into one transaction together with a view item.
pub(super) const MARKERS_BESIDE_AN_ITEM: usize = TRANSACTION_ACTIONS - 1;

/// The result of reading at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    /// The view item; `None` if it is not there.
    pub(super) item: Option<Item>,
    /// The markers that exist.
    pub(super) markers: HashMap<RecordId, Item>,
}

impl TableReader {
    /// Reads a view item and the markers of up to [`MARKERS_BESIDE_AN_ITEM`] records in one transaction: a marker is in
    /// the answer if and only if its record is in the counters. `None` if a write interfered.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub(super) async fn snapshot(
        &self,
        key: &ViewKey,
        ids: &[RecordId],
        attributes: &[&str],
    ) -> Result<Option<Snapshot>, AuditError> {
        let definition = self.definition();
        let (view, markers) = (&definition[key.table].name, &self.config.idempotency_table);
        let of_item = projection(definition.item_attributes(key.table));
        let of_marker = projection(attributes.iter().copied());
        let get = |table: &str, key: Item, Projection { expression, names }: &Projection| {
            let get = Get::builder().table_name(table).set_key(Some(key.into()));
            let get = get.projection_expression(expression).set_expression_attribute_names(Some(names.clone()));
            let get = get.build().map_err(|cause| error("read", table, cause))?;
            Ok::<_, AuditError>(TransactGetItem::builder().get(get).build())
        };
        let mut gets = vec![get(view, definition.key_item(key), &of_item)?];
        for id in ids {
            gets.push(get(markers, marker_key(id), &of_marker)?);
        }
        let request = self.client.transact_get_items().set_transact_items(Some(gets));
        let answer = match request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(answer) => answer,
            Err(failed) if transaction_failure(&failed, ids.len() + 1).is_passing() => return Ok(None),
            Err(failed) => return Err(error("read", view, failure_text(&failed))),
        };
        self.meter.consumed(answer.consumed_capacity.iter().flatten()).await;
        let mut found = answer.responses.unwrap_or_default().into_iter().map(|one| one.item.map(Item::from));
        let item = found.next().flatten().filter(|item| !item.is_empty());
        let markers = found.flatten().filter_map(|marker| Some((record_id(&marker)?, marker)));
        Ok(Some(Snapshot { item, markers: markers.collect() }))
    }
}
