//! The format version of markers that were written before they had one.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::MigrateError;
use super::steps::{Change, Did, Live, Mode};
use crate::operate::TableError;
use crate::operate::cause::cause;
use crate::rollup::Item;
use crate::rollup::model::marker::{FORMAT_VERSION, MarkerOutcome, OUTCOME, SEQUENCE_NUMBER, STREAM};

/// How often the table is gone through before it is said that it does not come to rest: once to change the markers, once
/// to see that none is left, and once more for those that a function wrote which was just being replaced.
const PASSES: usize = 3;

/// Gives every marker without a format version this one.
///
/// The table is gone through until a pass finds nothing: a function of a version that does not write the attribute would
/// go on leaving markers without it, and the migration would be recorded as done.
///
/// # Errors
/// When the table cannot be read or written, or such a function still writes.
pub(super) async fn set_format_version(
    live: &Live,
    title: &str,
    version: u32,
    mode: Mode,
) -> Result<Did, MigrateError> {
    let mut total = Did::default();
    for pass in 1..=PASSES {
        let title = if pass == 1 { title.to_owned() } else { format!("{title}, pass {pass}") };
        let did = one_pass(live, &title, version, mode).await?;
        total.looked_at = total.looked_at.max(did.looked_at);
        total.changed += did.changed;
        if did.changed == 0 || mode == Mode::DryRun {
            return Ok(total);
        }
    }
    Err(MigrateError::OlderFunction { table: live.config.idempotency_table.clone() })
}

async fn one_pass(live: &Live, title: &str, version: u32, mode: Mode) -> Result<Did, MigrateError> {
    let table = &live.config.idempotency_table;
    let scan = live
        .client
        .scan()
        .projection_expression("#number, #stream")
        // What else is in the table is no marker of a record: the lease, and what was applied.
        .filter_expression("#outcome IN (:applied, :quarantined, :discarded) AND attribute_not_exists(#version)")
        .expression_attribute_names("#number", SEQUENCE_NUMBER)
        .expression_attribute_names("#stream", STREAM)
        .expression_attribute_names("#outcome", OUTCOME)
        .expression_attribute_names("#version", FORMAT_VERSION)
        .expression_attribute_values(":applied", outcome(MarkerOutcome::Applied))
        .expression_attribute_values(":quarantined", outcome(MarkerOutcome::Quarantined))
        .expression_attribute_values(":discarded", outcome(MarkerOutcome::Discarded));
    live.each((title, table), scan, |key| async move {
        match mode {
            Mode::DryRun => Ok(Change::Made),
            Mode::Apply => set(live, key, version).await,
        }
    })
    .await
}

fn outcome(outcome: MarkerOutcome) -> AttributeValue {
    AttributeValue::S(outcome.as_str().to_owned())
}

/// Conditional, so that a marker whose time has come in between is not made again out of its key alone, and one that a
/// replay has put in the place of a quarantined one keeps what it says.
async fn set(live: &Live, key: Item, version: u32) -> Result<Change, MigrateError> {
    let table = &live.config.idempotency_table;
    let request = live
        .client
        .update_item()
        .table_name(table)
        .set_key(Some(key.into()))
        .update_expression("SET #version = :version")
        .condition_expression("attribute_exists(#number) AND attribute_not_exists(#version)")
        .expression_attribute_names("#number", SEQUENCE_NUMBER)
        .expression_attribute_names("#version", FORMAT_VERSION)
        .expression_attribute_values(":version", AttributeValue::N(version.to_string()));
    match request.send().await {
        Ok(_) => Ok(Change::Made),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(Change::Overtaken),
            _ => Err(TableError::new("write", table, cause(&error)).into()),
        },
    }
}
