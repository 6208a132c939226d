//! Where a pass is: kept in the idempotency table, with the sum of what its slices came to, so that both are always of the
//! same moment.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue as SdkValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::warn;

use super::error::AuditorError;
use crate::operate::clock::now;
use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::{AUDIT, attribute_text, marker_key};
use crate::rollup::Item;
use crate::rollup::model::marker::{RECORDED_AT, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::record::RecordId;
use crate::store::failure;

/// The item of the pass that is going on.
const POSITION: &str = "position";

/// The item of the last whole pass.
const LAST_PASS: &str = "last-pass";

/// What an item tells, as JSON.
const STATE: &str = "State";

/// A number that is one higher each time.
const VERSION: &str = "Version";

/// A pass that is going on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The definition that is audited.
    pub(super) fingerprint: String,
    /// The slice that is next, or being audited.
    pub(super) slice: String,
    /// The slices that the pass began with.
    pub(super) began_with: u32,
    /// Runs that began this slice and did not say how it ended: they were killed.
    pub(super) attempts: u32,
    /// When the pass began.
    pub(super) began: DateTime<Utc>,
    /// Slices that are done.
    pub(super) done: u32,
    /// Their result.
    pub(super) report: Value,
}

/// The last whole pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LastPass {
    /// When it ended.
    pub(super) ended: DateTime<Utc>,
    /// Its result.
    pub(super) summary: Value,
}

/// The items in which both are.
#[derive(Debug)]
pub(super) struct Positions<'a> {
    client: Client,
    table: &'a str,
    /// The version of the position as it was read or written last; `None` if there is none.
    version: Option<u64>,
}

impl<'a> Positions<'a> {
    pub(super) fn new(client: Client, table: &'a str) -> Self {
        Self { client, table, version: None }
    }

    fn error(&self, action: &'static str, cause: impl std::fmt::Display) -> TableError {
        TableError::new(action, self.table, cause)
    }

    async fn read(&self, name: &str) -> Result<Option<Item>, TableError> {
        let get = self.client.get_item().table_name(self.table).consistent_read(true);
        let answer = get.set_key(Some(marker_key(&id(name)).into())).send().await;
        Ok(answer.map_err(|error| self.error("read", failure_text(&error)))?.item.map(Item::from))
    }

    /// The pass that is going on.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(super) async fn position(&mut self) -> Result<Option<Position>, AuditorError> {
        let Some(item) = self.read(POSITION).await? else { return Ok(None) };
        self.version = Some(match item.get(VERSION) {
            Some(crate::rollup::AttributeValue::N(version)) => version.parse().unwrap_or_default(),
            _ => 0,
        });
        Ok(state(&item))
    }

    /// The last whole pass.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(super) async fn last_pass(&self) -> Result<Option<LastPass>, AuditorError> {
        Ok(self.read(LAST_PASS).await?.as_ref().and_then(state))
    }

    /// Stores where the pass is.
    ///
    /// # Errors
    /// When another run wrote it in between, or when the table cannot be written.
    pub(super) async fn save(&mut self, position: &Position) -> Result<(), AuditorError> {
        let next = self.version.map_or(1, |version| version + 1);
        let mut item = item(POSITION, &serde_json::to_string(position).unwrap_or_default());
        item.insert(VERSION.to_owned(), SdkValue::N(next.to_string()));
        let put = self.client.put_item().table_name(self.table).set_item(Some(item));
        let (condition, names, values) = self.condition();
        let put = put.condition_expression(condition).set_expression_attribute_names(Some(names));
        match put.set_expression_attribute_values(values).send().await {
            Ok(_) => {
                self.version = Some(next);
                Ok(())
            }
            Err(error) if failure(&error).is_unmet_condition() => Err(AuditorError::OtherRun),
            Err(error) => Err(self.error("write", failure_text(&error)).into()),
        }
    }

    /// The pass is whole: its summary is kept, and its position is not.
    ///
    /// # Errors
    /// When another run wrote a position in between, or when the table cannot be written.
    pub(super) async fn ended(&mut self, pass: &LastPass) -> Result<(), AuditorError> {
        self.keep(pass).await?;
        let (condition, names, values) = self.condition();
        let delete = self.client.delete_item().table_name(self.table).condition_expression(condition);
        let delete = delete.set_expression_attribute_names(Some(names)).set_expression_attribute_values(values);
        match delete.set_key(Some(marker_key(&id(POSITION)).into())).send().await {
            Ok(_) => {
                self.version = None;
                Ok(())
            }
            Err(error) if failure(&error).is_unmet_condition() => Err(AuditorError::OtherRun),
            Err(error) => Err(self.error("write", failure_text(&error)).into()),
        }
    }

    /// Keeps the summary of a whole pass.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub(super) async fn keep(&self, pass: &LastPass) -> Result<(), AuditorError> {
        let item = item(LAST_PASS, &serde_json::to_string(pass).unwrap_or_default());
        let put = self.client.put_item().table_name(self.table).set_item(Some(item)).send().await;
        Ok(put.map(drop).map_err(|error| self.error("write", failure_text(&error)))?)
    }

    /// That the position is still the one that was read.
    fn condition(&self) -> (&'static str, HashMap<String, String>, Option<HashMap<String, SdkValue>>) {
        let names = |name: &str| HashMap::from([("#name".to_owned(), name.to_owned())]);
        match self.version {
            None => ("attribute_not_exists(#name)", names(SEQUENCE_NUMBER), None),
            Some(version) => {
                let version = SdkValue::N(version.to_string());
                ("#name = :version", names(VERSION), Some(HashMap::from([(":version".to_owned(), version)])))
            }
        }
    }
}

fn id(name: &str) -> RecordId {
    RecordId { sequence_number: AUDIT.to_owned(), stream: name.to_owned() }
}

fn item(name: &str, state: &str) -> HashMap<String, SdkValue> {
    let text = |value: &str| SdkValue::S(value.to_owned());
    HashMap::from([
        (SEQUENCE_NUMBER.to_owned(), text(AUDIT)),
        (STREAM.to_owned(), text(name)),
        (STATE.to_owned(), text(state)),
        (RECORDED_AT.to_owned(), text(&now().to_rfc3339())),
    ])
}

/// One that cannot be read is of another version of the auditor, or was written by hand: the pass begins again.
fn state<T: for<'a> Deserialize<'a>>(item: &Item) -> Option<T> {
    let text = attribute_text(item, STATE).unwrap_or_default();
    serde_json::from_str(text).inspect_err(|error| warn!("what is stored of a pass cannot be read: {error}")).ok()
}
