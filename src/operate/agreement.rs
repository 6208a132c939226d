//! Whether the function works under the definition that a command was given.
//!
//! A command with another one would call right counters wrong, and a repair would make them so.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

use super::error::{TableError, failure_text};
use super::marker_table::marker_key;
use crate::config::Config;
use crate::rollup::model::marker::{DEFINITION, FINGERPRINT, FUNCTION, RECORDED_AT};
use crate::rollup::model::record::RecordId;
use crate::rollup::{AttributeValue, Item};

/// What is done where the function works under another definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::Args)]
pub struct Agreement {
    /// Run even if the function counts under another definition than the command
    #[arg(long)]
    pub any_definition: bool,
}

/// Why a command does not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgreementError {
    /// The function works under another definition.
    #[error(
        "the function {function} counts under another definition than this command was given: its fingerprint is {theirs}, \
         written down at {at}, and not {ours}. Give the command the function's definition (--definition FILE), or deploy the \
         new one and wait for its first records; --any-definition runs the command all the same"
    )]
    Other {
        /// The function's name.
        function: String,
        /// The fingerprint of its definition.
        theirs: String,
        /// When it was written down.
        at: String,
        /// The fingerprint of the command's definition.
        ours: String,
    },
    /// The idempotency table.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// What a function wrote down about its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub fingerprint: String,
    /// The function's name.
    pub function: String,
    /// When.
    pub at: String,
}

/// What is written down for a stream; none where no function did.
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
    /// Compares the definition with what is written down for the source table's stream.
    ///
    /// # Errors
    /// When it is another one, unless that is allowed, or when a table cannot be read.
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

/// The ARN of a table's stream, if it has one that is switched on.
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
