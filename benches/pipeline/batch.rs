//! Events, and the definitions that count them.

use std::collections::BTreeMap;

use ddb_rollup::config::{Config, ConfigError, VIEW_DEFINITION};
use serde_json::{Map, Value, json};

/// When the records were created, in seconds since the epoch.
pub const CREATED_AT: i64 = 1_795_000_000;

/// View items of the example, which the records are on in turn.
const MAPS: usize = 20;

/// View items of the views that cross each other: those of the first two views are 20 and 50, and so on in turn.
const ITEMS: [usize; 2] = [20, 50];

/// The event with so many points of the example, as Lambda hands it over.
pub fn points(records: usize) -> String {
    event(records, |record| BTreeMap::from([("Category".to_owned(), format!("Category {}", record % 7))]))
}

/// The event with so many points, each with an attribute for each of so many views that cross each other.
pub fn crossing(records: usize, views: usize) -> String {
    event(records, |record| (0..views).map(|view| (format!("Key{view}"), item(view, record).to_string())).collect())
}

/// The item of a view that a record is on: every pair of items of the first two views has records in common, and further
/// views mix the numbers anew.
fn item(view: usize, record: usize) -> usize {
    let turned = match view {
        0 => record,
        1 => record / ITEMS[0],
        _ => record * (2 * view + 1) + record / ITEMS[0] * 7 * view,
    };
    turned % ITEMS[view % ITEMS.len()]
}

/// A definition of these views.
pub fn definition(views: &[usize]) -> Result<Config, ConfigError> {
    let view = |view: &usize| {
        json!({
            "name": format!("View{view}"),
            "key": [{ "attribute": "MapId", "type": "S", "value": format!("{view}#{{Key{view}}}") }],
            "measures": { format!("Count{view}"): "count" },
        })
    };
    let definition = json!({ "views": views.iter().map(view).collect::<Vec<_>>() }).to_string();
    Config::read(|name| (name == VIEW_DEFINITION).then(|| definition.clone()))
}

fn event(records: usize, attributes: impl Fn(usize) -> BTreeMap<String, String>) -> String {
    let records: Vec<Value> = (0..records).map(|number| record(number, attributes(number))).collect();
    json!({ "Records": records }).to_string()
}

fn record(number: usize, attributes: BTreeMap<String, String>) -> Value {
    let keys = json!({"MapId": {"S": format!("map{}", number % MAPS)}, "PointId": {"S": format!("point{number}")}});
    let mut image = keys.as_object().cloned().unwrap_or_default();
    image.extend(attributes.into_iter().map(|(name, text)| (name, json!({ "S": text }))).collect::<Map<_, _>>());
    json!({
        "eventID": format!("{number:032x}"),
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/Point/stream/2026-01-01T00:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": CREATED_AT,
            "Keys": keys,
            "NewImage": image,
            "SequenceNumber": format!("{number:021}"),
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    })
}
