//! Stores when a repair began, before its first write, because it determines what a replay may apply.

use aws_sdk_dynamodb::Client;

use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::sdk_text;
use crate::rollup::check::repair_start::{BEGAN_AT, RepairStart};
use crate::store::failure;

/// Stores the beginning of a repair, unless a later one is stored.
///
/// # Errors
/// When the table cannot be written.
pub(super) async fn store(client: &Client, table: &str, start: &RepairStart) -> Result<(), TableError> {
    let put = client.put_item().table_name(table).set_item(Some(start.stored().into()));
    let put = put.condition_expression("attribute_not_exists(#began) OR #began < :began");
    let put = put.expression_attribute_names("#began", BEGAN_AT);
    let put = put.expression_attribute_values(":began", sdk_text(&start.began_at()));
    match put.send().await {
        Err(error) if !failure(&error).is_unmet_condition() => {
            Err(TableError::new("write", table, failure_text(&error)))
        }
        _ => Ok(()),
    }
}
