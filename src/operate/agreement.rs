//! Whether the function counts under the same definition as a command.
//!
//! An audit with another definition would report correct counters as drifted, and a repair would overwrite them.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

use super::error::{TableError, failure_text};
use super::marker_table::marker_key;
use crate::config::Config;
use crate::rollup::model::marker::{DEFINITION, FINGERPRINT, FUNCTION, RECORDED_AT};
use crate::rollup::model::record::RecordId;
use crate::rollup::{AttributeValue, Item};

/// How to treat a function that counts under another definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::Args)]
pub struct Agreement {
    /// Run even if the function counts under another definition than the command
    #[arg(long)]
    pub any_definition: bool,
}

/// Why a command does not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgreementError {
    /// The function counts under another definition.
    #[error(
        "the function {function} counts under another definition than this command: its fingerprint is {theirs}, recorded at \
         {at}; the command's is {ours}. Give the command the function's definition with --definition FILE. If the command has \
         the new definition, deploy it and wait until the function has counted its first records. To run the command anyway, \
         add --any-definition"
    )]
    Other {
        /// The function's name.
        function: String,
        /// The fingerprint of its definition.
        theirs: String,
        /// When it was recorded.
        at: String,
        /// The fingerprint of the command's definition.
        ours: String,
    },
    /// The idempotency table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// The definition that a function recorded for its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub fingerprint: String,
    /// The function's name.
    pub function: String,
    /// When it was recorded.
    pub at: String,
}

/// The latest definition that a function recorded for a stream; `None` if none did.
///
/// # Errors
/// When the idempotency table cannot be read.
pub async fn announced(client: &Client, table: &str, stream: &str) -> Result<Option<Announced>, TableError> {
    let id = RecordId { sequence_number: DEFINITION.to_owned(), stream: stream.to_owned() };
    let request = client.get_item().table_name(table).set_key(Some(marker_key(&id).into())).consistent_read(true);
    let answer = request.send().await.map_err(|error| TableError::new("read", table, failure_text(&error)))?;
    let text = |item: &Item, name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        _ => String::new(),
    };
    Ok(answer.item.map(Item::from).map(|item| Announced {
        fingerprint: text(&item, FINGERPRINT),
        function: text(&item, FUNCTION),
        at: text(&item, RECORDED_AT),
    }))
}

impl Agreement {
    /// The option as it is written on a command line, with a space before it; empty if it is off.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn options(self) -> &'static str {
        if self.any_definition { " --any-definition" } else { "" }
    }

    /// Compares the command's definition with the one recorded for the source table's stream.
    ///
    /// # Errors
    /// When the definitions differ, unless `any_definition` allows it, or when a table cannot be read.
    pub async fn check(self, sdk: &SdkConfig, config: &Config, stream: Option<&str>) -> Result<(), AgreementError> {
        let Some(stream) = stream.filter(|_| !self.any_definition) else { return Ok(()) };
        let client = Client::new(sdk);
        let ours = config.definition.fingerprint().as_str();
        match announced(&client, &config.idempotency_table, stream).await? {
            Some(found) if found.fingerprint != ours => Err(AgreementError::Other {
                function: found.function,
                theirs: found.fingerprint,
                at: found.at,
                ours: ours.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// The ARN of a table's stream; `None` if the table has no stream that is switched on.
///
/// # Errors
/// When the table cannot be described.
pub async fn stream_of(sdk: &SdkConfig, table: &str) -> Result<Option<String>, TableError> {
    let described = Client::new(sdk).describe_table().table_name(table).send().await;
    let described = described.map_err(|error| TableError::new("describe", table, failure_text(&error)))?.table;
    let on = |table: &aws_sdk_dynamodb::types::TableDescription| {
        table.stream_specification().is_some_and(|stream| stream.stream_enabled)
    };
    Ok(described.filter(on).and_then(|table| table.latest_stream_arn))
}
