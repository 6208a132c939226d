//! The definition and the items that the tests of this folder use.

use serde_json::{Value, json};

use crate::rollup::Item;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::view::{TableId, ViewKey};

/// Points per map, in total and by category.
pub(super) fn definition() -> Definition {
    Definition::points_of_maps("Point", "Map").unwrap()
}

/// An item in DynamoDB JSON.
pub(super) fn item(value: Value) -> Item {
    serde_json::from_value(value).unwrap()
}

/// A point of the map `m`, in DynamoDB JSON.
pub(super) fn point(point: &str, category: &str) -> Value {
    json!({"MapId": {"S": "m"}, "PointId": {"S": point}, "Category": {"S": category}})
}

/// The key of the map `m`.
pub(super) fn map_key() -> ViewKey {
    definition().own_key(TableId(0), &item(json!({"MapId": {"S": "m"}}))).unwrap()
}
