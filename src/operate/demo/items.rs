//! Reads and writes the items of a table, as any program does that knows nothing of the roll-up.

use std::collections::HashMap;

use crate::operate::cause::chain;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveSpecification};

/// An item as the SDK has it.
pub type Item = HashMap<String, AttributeValue>;

/// A table and what is in it.
#[derive(Debug, Clone)]
pub struct Items {
    client: Client,
    table: String,
}

/// What the engine did not do.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {cause}")]
pub struct ItemsError {
    action: &'static str,
    cause: String,
}

impl Items {
    /// The items of a table.
    #[must_use]
    pub fn new(client: Client, table: &str) -> Self {
        Self { client, table: table.to_owned() }
    }

    /// All of them.
    ///
    /// # Errors
    /// When the engine does not give them.
    pub async fn all(&self) -> Result<Vec<Item>, ItemsError> {
        let pages = self.client.scan().table_name(&self.table).consistent_read(true).into_paginator().items().send();
        pages.collect::<Result<_, _>>().await.map_err(|e| refused("read a table", e))
    }

    /// Writes an item.
    ///
    /// # Errors
    /// When the engine refuses it.
    pub async fn put(&self, item: Item) -> Result<(), ItemsError> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map(|_| ()).map_err(|e| refused("write an item", e))
    }

    /// Sets one attribute of a point.
    ///
    /// # Errors
    /// When the engine refuses it.
    pub async fn set(&self, map: &str, point: &str, name: &str, value: AttributeValue) -> Result<(), ItemsError> {
        let request = self.client.update_item().table_name(&self.table).set_key(Some(key(map, point)));
        let request = request.update_expression("SET #name = :value").expression_attribute_names("#name", name);
        let sent = request.expression_attribute_values(":value", value).send().await;
        sent.map(|_| ()).map_err(|e| refused("change a point", e))
    }

    /// Deletes a point.
    ///
    /// # Errors
    /// When the engine refuses it.
    pub async fn delete(&self, map: &str, point: &str) -> Result<(), ItemsError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(key(map, point)));
        request.send().await.map(|_| ()).map_err(|e| refused("delete a point", e))
    }

    /// Lets items expire by this attribute.
    ///
    /// # Errors
    /// When the engine refuses it.
    pub async fn switch_on_expiry(&self, attribute: &str) -> Result<(), ItemsError> {
        let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build();
        let expiry = expiry.map_err(|e| refused("switch on expiry", e))?;
        let request = self.client.update_time_to_live().table_name(&self.table).time_to_live_specification(expiry);
        request.send().await.map(|_| ()).map_err(|e| refused("switch on expiry", e))
    }
}

/// Items of texts, from JSON.
///
/// # Errors
/// When it is something else.
pub fn items(text: &str) -> Result<Vec<Item>, ItemsError> {
    let items: Vec<HashMap<String, String>> =
        serde_json::from_str(text).map_err(|e| refused("read the tutorial's items", e))?;
    let item = |item: HashMap<_, _>| item.into_iter().map(|(name, value)| (name, AttributeValue::S(value))).collect();
    Ok(items.into_iter().map(item).collect())
}

fn key(map: &str, point: &str) -> Item {
    HashMap::from([("MapId".to_owned(), s(map)), ("PointId".to_owned(), s(point))])
}

/// A text.
#[must_use]
pub fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// The error of something that was tried.
#[must_use]
pub fn refused(action: &'static str, error: impl std::error::Error) -> ItemsError {
    ItemsError { action, cause: chain(&error) }
}
