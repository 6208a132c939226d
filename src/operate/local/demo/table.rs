//! Reads and writes the items of a table, like any program that knows nothing of the roll-up.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveSpecification};

use crate::operate::error::error_chain;

/// An item in the form of the SDK.
pub(super) type SdkItem = HashMap<String, AttributeValue>;

/// A table of the demo.
#[derive(Debug, Clone)]
pub(super) struct DemoTable {
    client: Client,
    table: String,
}

/// A request that the engine refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {cause}")]
pub struct DemoTableError {
    action: &'static str,
    cause: String,
}

impl DemoTable {
    /// The table of this name.
    pub(super) fn new(client: Client, table: &str) -> Self {
        Self { client, table: table.to_owned() }
    }

    /// Reads all items.
    pub(super) async fn all(&self) -> Result<Vec<SdkItem>, DemoTableError> {
        let pages = self.client.scan().table_name(&self.table).consistent_read(true).into_paginator().items().send();
        pages.collect::<Result<_, _>>().await.map_err(|e| refused("read a table", e))
    }

    /// Writes an item.
    pub(super) async fn put(&self, item: SdkItem) -> Result<(), DemoTableError> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map(|_| ()).map_err(|e| refused("write an item", e))
    }

    /// Sets one attribute of a point.
    pub(super) async fn set(
        &self,
        map: &str,
        point: &str,
        name: &str,
        value: AttributeValue,
    ) -> Result<(), DemoTableError> {
        let request = self.client.update_item().table_name(&self.table).set_key(Some(point_key(map, point)));
        let request = request.update_expression("SET #name = :value").expression_attribute_names("#name", name);
        let sent = request.expression_attribute_values(":value", value).send().await;
        sent.map(|_| ()).map_err(|e| refused("change a point", e))
    }

    /// Sets one attribute of a map.
    pub(super) async fn set_of_map(&self, map: &str, name: &str, value: AttributeValue) -> Result<(), DemoTableError> {
        let request = self.client.update_item().table_name(&self.table).key("MapId", text(map));
        let request = request.update_expression("SET #name = :value").expression_attribute_names("#name", name);
        let sent = request.expression_attribute_values(":value", value).send().await;
        sent.map(|_| ()).map_err(|e| refused("change a map", e))
    }

    /// Deletes a point.
    pub(super) async fn delete(&self, map: &str, point: &str) -> Result<(), DemoTableError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(point_key(map, point)));
        request.send().await.map(|_| ()).map_err(|e| refused("delete a point", e))
    }

    /// Switches on expiry by this attribute.
    pub(super) async fn switch_on_expiry(&self, attribute: &str) -> Result<(), DemoTableError> {
        let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build();
        let expiry = expiry.map_err(|e| refused("switch on expiry", e))?;
        let request = self.client.update_time_to_live().table_name(&self.table).time_to_live_specification(expiry);
        request.send().await.map(|_| ()).map_err(|e| refused("switch on expiry", e))
    }
}

/// Reads items of string attributes from JSON.
pub(super) fn items_of(json: &str) -> Result<Vec<SdkItem>, DemoTableError> {
    let items: Vec<HashMap<String, String>> =
        serde_json::from_str(json).map_err(|e| refused("read the tutorial's items", e))?;
    let item = |item: HashMap<_, _>| item.into_iter().map(|(name, value)| (name, AttributeValue::S(value))).collect();
    Ok(items.into_iter().map(item).collect())
}

fn point_key(map: &str, point: &str) -> SdkItem {
    HashMap::from([("MapId".to_owned(), text(map)), ("PointId".to_owned(), text(point))])
}

/// A text as an attribute.
pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// The error of an action.
pub(super) fn refused(action: &'static str, error: impl std::error::Error) -> DemoTableError {
    DemoTableError { action, cause: error_chain(&error) }
}
