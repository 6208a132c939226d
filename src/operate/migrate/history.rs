//! The applied migrations, as items of the idempotency table.
//!
//! Their sequence number is a word, which no stream record has. Their sort key is the view table and the migration's
//! number, so that one query finds all of them, including those that this build does not know.

use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, SecondsFormat, Utc};

use super::decide::AppliedMigration;
use super::definition::Migration;
use super::error::MigrateError;
use super::steps::StepResult;
use crate::config::Config;
use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::{MIGRATION, sdk_text as text};
use crate::rollup::model::arn::table_name;
use crate::rollup::model::marker::{SEQUENCE_NUMBER, STREAM};
use crate::store::failure;

/// Attribute: the migration's number.
pub const NUMBER: &str = "Number";
/// Attribute: the migration's name.
pub const NAME: &str = "Name";
/// Attribute: SHA-256 of the migration's file, in hexadecimal.
pub const CHECKSUM: &str = "Checksum";
/// Attribute: when it was applied, in RFC 3339, UTC, with milliseconds.
pub const APPLIED_AT: &str = "AppliedAt";
/// Attribute: who applied it.
pub const APPLIED_BY: &str = "AppliedBy";
/// Attribute: number of items that were looked at, by the run that completed it.
pub const LOOKED_AT: &str = "LookedAt";
/// Attribute: number of items that this run changed.
pub const CHANGED: &str = "Changed";

/// The applied migrations of one definition.
#[derive(Debug, Clone)]
pub struct History {
    client: Client,
    table: String,
    /// The name of the first view's table, even if the setting is an ARN.
    view: String,
}

impl History {
    /// The migrations in the idempotency table of these settings.
    #[must_use]
    pub fn new(client: Client, config: &Config) -> Self {
        let view = config.definition.tables().first().map_or("", |table| table_name(&table.name)).to_owned();
        Self { client, table: config.idempotency_table.clone(), view }
    }

    fn error(&self, action: &'static str, cause: impl Display) -> MigrateError {
        TableError::new(action, &self.table, cause).into()
    }

    /// Every migration that was applied, by number.
    ///
    /// # Errors
    /// When the table cannot be read, or has an item with such a key that this command did not write.
    pub async fn applied(&self) -> Result<Vec<AppliedMigration>, MigrateError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#number = :migration AND begins_with(#stream, :view)")
            .expression_attribute_names("#number", SEQUENCE_NUMBER)
            .expression_attribute_names("#stream", STREAM)
            .expression_attribute_values(":migration", text(MIGRATION))
            // A table's name has no '#', so the prefix of "Map" does not match items of "Map2".
            .expression_attribute_values(":view", text(&format!("{}#", self.view)));
        let items: Result<Vec<_>, _> = query.into_paginator().items().send().collect().await;
        let items = items.map_err(|error| self.error("read", failure_text(&error)))?;
        items.iter().map(|item| self.read(item)).collect()
    }

    fn read(&self, item: &HashMap<String, AttributeValue>) -> Result<AppliedMigration, MigrateError> {
        let missing = |name: &str| {
            let place = item.get(STREAM).and_then(|value| value.as_s().ok()).map_or("", String::as_str);
            self.error(
                "read",
                format!("the item {MIGRATION:?}, {place:?} has no usable {name}, so this command did not write it; restore its attributes or delete it"),
            )
        };
        let of = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().ok_or_else(|| missing(name));
        let number = item.get(NUMBER).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok());
        Ok(AppliedMigration {
            number: number.ok_or_else(|| missing(NUMBER))?,
            name: of(NAME)?,
            checksum: of(CHECKSUM)?,
            applied_at: of(APPLIED_AT)?,
            applied_by: of(APPLIED_BY)?,
        })
    }

    /// Records that a migration was applied. If another run has recorded it at the same time, its record stays, because
    /// a step is safe to run twice.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn record(
        &self,
        migration: &Migration,
        who: &str,
        at: DateTime<Utc>,
        result: &StepResult,
    ) -> Result<(), MigrateError> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(SEQUENCE_NUMBER, text(MIGRATION))
            .item(STREAM, text(&format!("{}#V{:04}", self.view, migration.number)))
            .item(NUMBER, number(migration.number.into()))
            .item(NAME, text(&migration.name))
            .item(CHECKSUM, text(&migration.checksum))
            .item(APPLIED_AT, text(&at.to_rfc3339_opts(SecondsFormat::Millis, true)))
            .item(APPLIED_BY, text(who))
            .item(LOOKED_AT, number(result.looked_at))
            .item(CHANGED, number(result.changed))
            .condition_expression("attribute_not_exists(#number)")
            .expression_attribute_names("#number", SEQUENCE_NUMBER);
        match request.send().await {
            Err(error) if !failure(&error).is_unmet_condition() => Err(self.error("write", failure_text(&error))),
            _ => Ok(()),
        }
    }
}
