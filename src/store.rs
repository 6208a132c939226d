//! DynamoDB at the border: builds the SDK's request from a planned transaction, and a verdict from the SDK's answer.

mod answer;
mod at_most;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::builders::{PutBuilder, UpdateBuilder};
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update as SdkUpdate,
};
use aws_sdk_dynamodb::{Client, Config as SdkConfig};
use uuid::Uuid;

use answer::broken;
pub use answer::{Cancellable, failure, transaction_failure};
use at_most::AtMost;

use crate::commit::{FoundMarkers, LookedUp, Store};
use crate::rollup::Item;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::existing_marker::JUDGED_BY;
use crate::rollup::model::limits;
use crate::rollup::model::marker::{
    DIGEST, Guard, MarkerOutcome, OUTCOME, REASON, SEQUENCE_NUMBER, STARTED_AT, STREAM, StoredValue, marker_key,
    record_id,
};
use crate::rollup::model::poison::EXPIRED;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::{TableId, ViewKey};
use crate::rollup::pipeline::plan::{Action, Transaction};
use crate::rollup::pipeline::update::Update;
use crate::rollup::pipeline::verdict::Failure;

/// Timeout of one attempt of a request. An answer that takes longer most likely never comes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// Timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The view tables and the idempotency table in DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    sdk: SdkConfig,
    /// Made by the first request: parsing the SDK's rules for endpoints would delay the start.
    client: OnceLock<Client>,
    definition: Definition,
    idempotency_table: String,
}

impl DynamoStore {
    /// The store of a definition, with the SDK's configuration: endpoint, Region, credentials, HTTP client.
    ///
    /// The SDK's own retries are off, because the commit loop is the only retry loop.
    #[must_use]
    pub fn new(sdk: &aws_config::SdkConfig, definition: Definition, idempotency_table: impl Into<String>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let sdk = aws_sdk_dynamodb::config::Builder::from(sdk)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self { sdk, client: OnceLock::new(), definition, idempotency_table: idempotency_table.into() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::from_conf(self.sdk.clone()))
    }

    fn action(&self, action: &Action<'_>) -> Result<TransactWriteItem, Failure> {
        let returned = ReturnValuesOnConditionCheckFailure::AllOld;
        let item = TransactWriteItem::builder();
        let item = match action {
            Action::PutMarker { guard, marker, .. } => {
                let marker = marker.attributes::<AttributeValue>();
                let digest = marker.get(DIGEST).cloned();
                let put = Put::builder()
                    .table_name(&self.idempotency_table)
                    .set_item(Some(marker))
                    .return_values_on_condition_check_failure(returned);
                item.put(guarded(put, *guard, digest).build().map_err(unbuildable)?)
            }
            Action::UpdateReason { key, reason, .. } => item.update(
                SdkUpdate::builder()
                    .table_name(&self.idempotency_table)
                    .set_key(Some(key.clone().into()))
                    .update_expression(format!("SET {REASON} = :reason"))
                    .condition_expression(format!("{} AND {REASON} <> :reason", countable()))
                    .set_expression_attribute_values(Some(countable_values()))
                    .expression_attribute_values(":reason", AttributeValue::S(reason.clone()))
                    .return_values_on_condition_check_failure(returned)
                    .build()
                    .map_err(unbuildable)?,
            ),
            Action::DeletePart { key, .. } => item.delete(
                Delete::builder()
                    .table_name(&self.idempotency_table)
                    .set_key(Some(key.clone().into()))
                    // Never deletes a marker that has the key of a part.
                    .condition_expression(format!("attribute_not_exists({OUTCOME})"))
                    .build()
                    .map_err(unbuildable)?,
            ),
            Action::PutPart { part, .. } => item.put(
                Put::builder()
                    .table_name(&self.idempotency_table)
                    .set_item(Some(part.clone().into()))
                    // Replaces a part that a deletion left behind, but never a marker.
                    .condition_expression(format!("attribute_not_exists({OUTCOME})"))
                    .build()
                    .map_err(unbuildable)?,
            ),
            Action::UpdateView { table, key, update, .. } => {
                let update = sdk_update(&self.definition[*table].name, key, update.clone());
                item.update(update.return_values_on_condition_check_failure(returned).build().map_err(unbuildable)?)
            }
            Action::CheckAbsent { table, key, check, .. } => item.condition_check(
                ConditionCheck::builder()
                    .table_name(&self.definition[*table].name)
                    .set_key(Some(key.clone().into()))
                    .set_condition_expression(check.condition.clone())
                    .set_expression_attribute_names(Some(check.names.clone()))
                    .return_values_on_condition_check_failure(returned)
                    .build()
                    .map_err(unbuildable)?,
            ),
        };
        Ok(item.build())
    }

    /// The request for the keys and the counter maps of some items of one table.
    fn shapes(&self, table: TableId, keys: &[&ViewKey]) -> Result<KeysAndAttributes, Failure> {
        let definition = &self.definition;
        let attributes = definition[table].key.iter().map(|(attribute, _)| attribute.as_str());
        let maps = definition.grouped(definition.of_table(table)).map(|(_, measure)| measure.attribute.as_str());
        wanted(keys.iter().map(|key| definition.key_item(key)), attributes.chain(maps))
    }
}

impl StoredValue for AttributeValue {
    fn map(attributes: HashMap<String, Self>) -> Self {
        Self::M(attributes)
    }

    fn list(values: Vec<Self>) -> Self {
        Self::L(values)
    }
}

/// The condition that a marker is in quarantine for another reason than its age.
fn countable() -> String {
    format!("{OUTCOME} = :quarantined AND NOT begins_with({REASON}, :expired)")
}

/// The values of `countable`.
fn countable_values() -> HashMap<String, AttributeValue> {
    let values = [(":quarantined", MarkerOutcome::Quarantined.as_str()), (":expired", EXPIRED)];
    values.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned()))).into()
}

/// The put of a marker, with the condition that it replaces only what the guard allows.
fn guarded(put: PutBuilder, guard: Guard, digest: Option<AttributeValue>) -> PutBuilder {
    let absent = format!("attribute_not_exists({SEQUENCE_NUMBER})");
    if guard == Guard::Absent {
        return put.condition_expression(absent);
    }
    let (mut condition, mut values) = (countable(), countable_values());
    if let Some(digest) = digest {
        // Another event with the same number may be in quarantine; its quarantine must not end here.
        condition = format!("{condition} AND (attribute_not_exists({DIGEST}) OR {DIGEST} = :digest)");
        values.insert(":digest".to_owned(), digest);
    }
    if guard == Guard::AbsentOrQuarantined {
        condition = format!("{absent} OR ({condition})");
    }
    put.condition_expression(condition).set_expression_attribute_values(Some(values))
}

/// The request for these attributes of the items with these keys, each key once.
fn wanted<'n>(
    keys: impl Iterator<Item = Item>,
    attributes: impl Iterator<Item = &'n str>,
) -> Result<KeysAndAttributes, Failure> {
    let attributes: BTreeSet<&str> = attributes.collect();
    let names: HashMap<_, _> =
        attributes.into_iter().enumerate().map(|(number, name)| (format!("#{number}"), name.to_owned())).collect();
    KeysAndAttributes::builder()
        .set_keys(Some(keys.map(Item::into).collect()))
        .projection_expression(names.keys().map(String::as_str).collect::<Vec<_>>().join(","))
        .set_expression_attribute_names(Some(names))
        .build()
        .map_err(unbuildable)
}

impl Store for DynamoStore {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        let actions = transaction.actions.iter().map(|action| self.action(action)).collect::<Result<Vec<_>, _>>()?;
        let sent = self
            .client()
            .transact_write_items()
            .set_transact_items(Some(actions))
            .client_request_token(token.to_string())
            .send()
            .await;
        sent.map(drop).map_err(|error| transaction_failure(&error, transaction.actions.len()))
    }

    async fn look_up(&self, keys: &[ViewKey]) -> Result<LookedUp, Failure> {
        let mut request = self.client().batch_get_item();
        for (table, of_table) in self.definition.table_ids() {
            let keys: Vec<&ViewKey> = keys.iter().filter(|key| key.table == table).collect();
            if !keys.is_empty() {
                request = request.request_items(&of_table.name, self.shapes(table, &keys)?);
            }
        }
        let sent = request.customize().interceptor(AtMost(limits::LOOK_UP_BYTES)).send().await;
        let output = sent.map_err(|error| failure(&error))?;
        let key_of = |table: &str, item: &Item| {
            self.definition.table_named(table).and_then(|table| self.definition.own_key(table, item).ok())
        };
        let left = output.unprocessed_keys.into_iter().flatten();
        let left: HashSet<ViewKey> = left
            .flat_map(|(table, wanted)| {
                wanted.keys.into_iter().filter_map(|key| key_of(&table, &Item::from(key))).collect::<Vec<_>>()
            })
            .collect();
        let mut found: LookedUp =
            keys.iter().filter(|key| !left.contains(key)).map(|key| (key.clone(), None)).collect();
        for (table, items) in output.responses.into_iter().flatten() {
            for item in items.into_iter().map(Item::from) {
                if let Some(key) = key_of(&table, &item) {
                    found.insert(key, Some(item));
                }
            }
        }
        Ok(found)
    }

    async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        let attributes = [SEQUENCE_NUMBER, STREAM].into_iter().chain(JUDGED_BY);
        let request = self
            .client()
            .batch_get_item()
            .request_items(&self.idempotency_table, wanted(ids.iter().map(marker_key), attributes)?);
        let sent = request.customize().interceptor(AtMost(limits::LOOK_UP_BYTES)).send().await;
        let markers =
            sent.map_err(|error| failure(&error))?.responses.into_iter().flatten().flat_map(|(_, items)| items);
        Ok(markers.map(Item::from).filter_map(|marker| Some((record_id(&marker)?, marker))).collect())
    }

    async fn put_definition(&self, item: &Item) -> Result<(), Failure> {
        let started = item.get(STARTED_AT).cloned().map(AttributeValue::from);
        let sent = self
            .client()
            .put_item()
            .table_name(&self.idempotency_table)
            .set_item(Some(item.clone().into()))
            .condition_expression(format!("attribute_not_exists({STARTED_AT}) OR {STARTED_AT} < :started"))
            .set_expression_attribute_values(started.map(|value| HashMap::from([(":started".to_owned(), value)])))
            .send()
            .await;
        match sent.map_err(|error| failure(&error)) {
            Err(failure) if !failure.is_unmet_condition() => Err(failure),
            _ => Ok(()),
        }
    }

    async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        let sent = self
            .client()
            .get_item()
            .table_name(&self.definition[key.table].name)
            .set_key(Some(self.definition.key_item(key).into()))
            .consistent_read(true)
            .send()
            .await;
        sent.map(|output| output.item.map(Item::from)).map_err(|error| failure(&error))
    }
}

/// Builds the SDK's update of one item.
#[must_use]
pub fn sdk_update(table: &str, key: &Item, update: Update) -> UpdateBuilder {
    let Update { expression, condition, names, values } = update;
    SdkUpdate::builder()
        .table_name(table)
        .set_key(Some(key.clone().into()))
        .update_expression(expression)
        .set_condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(Item::from(values).into()))
}

fn unbuildable(error: impl Error) -> Failure {
    broken(&error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Tables};

    #[test]
    fn a_store_without_a_request_has_no_client() {
        let config = Config::of(Tables::default()).unwrap();
        let sdk = aws_config::SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        let store = DynamoStore::new(&sdk, config.definition, "Idempotency");
        assert!(store.client.get().is_none());
        store.client();
        assert!(store.client.get().is_some());
    }
}
