//! Whatever an item looked like in between, the deltas of its records add up to what its last image contributes.

use std::collections::BTreeMap;

use chrono::DateTime;
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::change::{self, Sums};
use ddb_rollup::rollup::model::definition::{self, Defaults, Definition};
use ddb_rollup::rollup::model::poison::Image;
use ddb_rollup::rollup::model::record::{Images, RecordHead, StreamRecord};
use ddb_rollup::rollup::model::view::{OnMissingViewItem, ViewKey};
use ddb_rollup::rollup::pipeline::contribution::contribution;
use ddb_rollup::rollup::pipeline::delta::{Effect, Retention, effect};
use proptest::prelude::*;
use serde_json::{Value, json};

const DEFINITIONS: [&str; 5] = [
    r#"{ "key": [{ "attribute": "Id", "type": "S", "value": "{K}" }],
         "measures": { "N": "count", "ByG": "count by G", "Sum": "sum A", "SumByG": "sum A * 2 by G where A > 1" } }"#,
    r#"{ "where": "begins_with(K, 'k') AND G <> 'x'", "key": [{ "attribute": "Id", "type": "S", "value": "K#{K}#{G}" }],
         "measures": { "N": "count", "Tags": "count by each T", "Each": "sum each M" } }"#,
    r#"{ "key": [{ "attribute": "Id", "type": "S", "value": "{each T}" }], "measures": { "N": "count", "Sum": "sum A" } }"#,
    r#"{ "key": [{ "attribute": "Id", "type": "N", "value": "{A}" }], "measures": { "N": "count where attribute_exists(T)" } }"#,
    r#"{ "key": [{ "attribute": "Id", "type": "S", "value": "{K}" }, { "attribute": "Day", "type": "S", "value": "{day(D)}" }],
         "measures": { "N": "count by hour(D)", "R": "sum round(A, 2)" } }"#,
];

/// Values that an attribute may have, good ones and bad ones; `null` for none.
fn values(attribute: &str) -> Vec<Value> {
    let many: Vec<Value> = (0..60).map(|n| json!({ "S": format!("tag-{n}") })).collect();
    match attribute {
        "K" => vec![
            json!({"S": "k1"}),
            json!({"S": "k2"}),
            json!({"S": ""}),
            json!({"S": "k".repeat(2_049)}),
            json!({"N": "7"}),
            json!({"NULL": true}),
            Value::Null,
        ],
        "G" => vec![
            json!({"S": "g"}),
            json!({"S": "x"}),
            json!({"N": "1.0"}),
            json!({"BOOL": false}),
            json!({"L": []}),
            json!({"S": "g".repeat(1_025)}),
            Value::Null,
        ],
        "A" => vec![
            json!({"N": "1"}),
            json!({"N": "2.345"}),
            json!({"N": "-3"}),
            json!({"N": "1e50"}),
            json!({"N": "1e-100"}),
            json!({"N": "1_000"}),
            json!({"S": "1"}),
            Value::Null,
        ],
        "T" => vec![
            json!({"SS": ["a", "b"]}),
            json!({"L": [{"S": "a"}, {"N": "1"}, {"S": "a"}]}),
            json!({"L": many}),
            Value::Null,
        ],
        "M" => vec![json!({"M": {"a": {"N": "1"}, "b": {"S": "x"}}}), json!({"M": {"a": {"N": "1e40"}}}), Value::Null],
        _ => vec![json!({"S": "2026-03-05T10:00:00Z"}), json!({"N": "1772704800"}), json!({"S": "soon"}), Value::Null],
    }
}

fn image() -> impl Strategy<Value = Option<Item>> {
    let attribute = |name: &'static str| proptest::sample::select(values(name)).prop_map(move |value| (name, value));
    let attributes = ["K", "G", "A", "T", "M", "D"].map(attribute);
    let item = Vec::from(attributes).prop_map(|attributes| {
        let there = attributes.into_iter().filter(|(_, value)| !value.is_null());
        let item: serde_json::Map<String, Value> = there.map(|(name, value)| (name.to_owned(), value)).collect();
        serde_json::from_value(Value::Object(item)).unwrap()
    });
    proptest::option::weighted(0.85, item)
}

fn definition(definition: &str) -> Definition {
    let defaults = Defaults { source_table: "Source", view_table: "View", on_missing: OnMissingViewItem::Create };
    definition::read(definition, &defaults).unwrap()
}

fn add(totals: &mut BTreeMap<ViewKey, Sums>, key: &ViewKey, sums: &Sums) {
    let total = totals.entry(key.clone()).or_default();
    for (counter, amount) in sums {
        change::add(total, counter, amount);
    }
}

fn contributed(definition: &Definition, image: Option<&Item>) -> BTreeMap<ViewKey, Sums> {
    let mut totals = BTreeMap::new();
    let Some(image) = image else { return totals };
    let found = contribution(definition, Image::New, image).unwrap();
    for (key, contribution) in found.by_item() {
        add(&mut totals, key, &contribution.amounts);
    }
    totals.retain(|_, sums| !sums.is_empty());
    totals
}

proptest! {
    #[test]
    fn deltas_add_up_to_the_last_image_however_odd_the_images_between_are(
        definition in proptest::sample::select(&DEFINITIONS[..]),
        images in proptest::collection::vec(image(), 1..10),
    ) {
        let definition = self::definition(definition);
        let mut totals = BTreeMap::new();
        let mut before: Option<&Item> = None;
        for after in images.iter().map(Option::as_ref) {
            let images = match (before, after) {
                (None, None) => continue,
                (None, Some(new)) => Images::Inserted(new.clone()),
                (Some(old), None) => Images::Removed(old.clone()),
                (Some(old), Some(new)) => Images::Modified { old: old.clone(), new: new.clone() },
            };
            let record = StreamRecord {
                head: RecordHead::default(),
                created_at: None,
                images,
                unreadable: std::collections::BTreeMap::new(),
                raw: "",
            };
            match effect(&definition, record, &Retention { days: 14, until: DateTime::default() }) {
                Effect::None { .. } => {}
                Effect::Apply(change) => change.sums().iter().for_each(|(key, sums)| add(&mut totals, key, sums)),
                Effect::Quarantine(poison) => panic!("no view asks for quarantine: {poison:?}"),
            }
            before = after;
        }
        totals.retain(|_, sums| !sums.is_empty());
        prop_assert_eq!(totals, contributed(&definition, before));
    }
}
