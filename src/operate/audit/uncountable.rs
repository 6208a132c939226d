//! Source items that a view cannot count.

use serde_json::{Value, json};

use crate::rollup::Item;
use crate::rollup::pipeline::contribution::Uncountable;

/// A source item that is in a view, but that contributes nothing because the view cannot count it.
#[derive(Debug, Clone, PartialEq)]
pub struct UncountableItem {
    /// The name of the view.
    pub view: String,
    /// The source item's key.
    pub key: Item,
    /// Why it cannot be counted.
    pub reason: String,
}

impl UncountableItem {
    pub(super) fn new(view: &str, key: &[String], item: &Item, reason: &Uncountable) -> Self {
        let mut of_key = Item::default();
        of_key.extend(key.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone()))));
        Self { view: view.to_owned(), key: of_key, reason: reason.to_string() }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "view": self.view, "key": self.key, "reason": self.reason })
    }

    /// The key in DynamoDB JSON, which has no control characters.
    pub(super) fn key_text(&self) -> String {
        serde_json::to_string(&self.key).unwrap_or_default()
    }
}
