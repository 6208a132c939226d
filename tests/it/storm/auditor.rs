//! The checks, which know nothing of how the function works: the source is counted again, and the markers are laid
//! beside the records.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use serde_json::{Value, json};

use super::workload::{Expected, MAPS, Record, group};
use crate::engine::{Counters, Engine, Item, s, text};

/// Keys in one `BatchGetItem`.
const KEYS_PER_READ: usize = 100;

/// What checks a storm, on the engine itself and not through a proxy.
pub struct Auditor {
    pub engine: Engine,
    records: Arc<Vec<Record>>,
}

impl Auditor {
    pub fn new(engine: Engine, records: Arc<Vec<Record>>) -> Self {
        Self { engine, records }
    }

    /// XO-3: an acknowledged record has a marker, unless it has no effect.
    pub async fn assert_marked(&self, acknowledged: &HashSet<usize>) {
        let records = acknowledged.iter().map(|place| &self.records[*place]);
        let wanted: Vec<&Record> = records.filter(|record| record.expected != Expected::NoEffect).collect();
        for wanted in wanted.chunks(KEYS_PER_READ) {
            let key = |record: &&Record| {
                Item::from([
                    ("SequenceNumber".to_owned(), s(&record.sequence_number)),
                    ("Stream".to_owned(), s(&record.stream)),
                ])
            };
            let keys = wanted.iter().map(key).collect();
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().unwrap();
            let read = self.engine.db.batch_get_item().request_items("Idempotency", keys).send().await.unwrap();
            assert!(read.unprocessed_keys().is_none_or(HashMap::is_empty));
            let found = read.responses().unwrap()["Idempotency"].len();
            assert_eq!(found, wanted.len(), "records were acknowledged that have no marker");
        }
    }

    /// All that must hold when everything is acknowledged.
    pub async fn audit(&self) {
        let counters = without_zeros(self.engine.all_counters().await);
        let (recount, ungrouped) = self.recount().await;
        assert_eq!(counters, recount, "XO-4: the counters against a recount");
        for (map, counters) in &counters {
            let grouped: i64 = counters.categories.values().sum();
            let ungrouped = ungrouped.get(map).copied().unwrap_or_default();
            assert_eq!(counters.total, grouped + ungrouped, "XO-5: the total of {map}");
        }
        let ledger = self.assert_one_marker_each().await;
        assert_eq!(without_zeros(ledger), recount, "the deltas in the markers against a recount");
        for (map, item) in self.maps().await {
            assert!(item["RollupVersion"].as_n().unwrap().parse::<u64>().unwrap() > 0, "{map}");
            assert_eq!(item.contains_key("City"), MAPS[..3].contains(&map.as_str()), "{map}'s own attributes");
        }
    }

    /// XO-2, XO-6: each record that has an effect or is poison has one marker that says so, and no other has any.
    /// Gives what the markers say they did.
    async fn assert_one_marker_each(&self) -> BTreeMap<String, Counters> {
        let mut wanted: BTreeMap<(String, String), &str> = BTreeMap::new();
        for record in self.records.iter() {
            let outcome = match record.expected {
                Expected::Counted => "APPLIED",
                Expected::Quarantined => "QUARANTINED",
                Expected::NoEffect => continue,
            };
            wanted.insert((record.sequence_number.clone(), record.stream.clone()), outcome);
        }
        let mut ledger: BTreeMap<String, Counters> = BTreeMap::new();
        for marker in self.engine.markers().await.into_values() {
            let id = (text(&marker["SequenceNumber"]), text(&marker["Stream"]));
            let outcome = wanted.remove(&id);
            assert_eq!(outcome, Some(text(&marker["Outcome"]).as_str()), "the marker of {id:?}");
            for delta in marker.get("Deltas").into_iter().flat_map(|deltas| deltas.as_l().unwrap()) {
                add(&mut ledger, delta.as_m().unwrap());
            }
        }
        assert_eq!(wanted, BTreeMap::new(), "records without a marker");
        ledger
    }

    /// The points of each map counted one by one, and how many of them are ungrouped.
    async fn recount(&self) -> (BTreeMap<String, Counters>, BTreeMap<String, i64>) {
        let mut maps: BTreeMap<String, Counters> = BTreeMap::new();
        let mut ungrouped: BTreeMap<String, i64> = BTreeMap::new();
        for point in self.engine.scan("Point").await {
            let map = text(&point["MapId"]);
            let counters = maps.entry(map.clone()).or_default();
            counters.total += 1;
            match group(&stream_json(point.get("Category"))) {
                Some(group) => *counters.categories.entry(group).or_default() += 1,
                None => *ungrouped.entry(map).or_default() += 1,
            }
        }
        (maps, ungrouped)
    }

    async fn maps(&self) -> BTreeMap<String, Item> {
        let maps = self.engine.scan("Map").await.into_iter();
        maps.map(|map| (text(&map["MapId"]), map)).collect()
    }
}

fn stream_json(value: Option<&AttributeValue>) -> Value {
    match value {
        Some(AttributeValue::S(text)) => json!({ "S": text }),
        Some(AttributeValue::N(number)) => json!({ "N": number }),
        _ => Value::Null,
    }
}

/// Adds what one delta of a marker says.
fn add(ledger: &mut BTreeMap<String, Counters>, delta: &Item) {
    let counters = ledger.entry(text(&delta["Item"].as_m().unwrap()["MapId"])).or_default();
    let amount = |value: &AttributeValue| value.as_n().unwrap().parse::<i64>().unwrap();
    let measures = delta["Measures"].as_m().unwrap();
    counters.total += measures.get("TotalPoints").map_or(0, amount);
    for (group, value) in measures.get("CategoryCounts").into_iter().flat_map(|groups| groups.as_m().unwrap()) {
        *counters.categories.entry(group.clone()).or_default() += amount(value);
    }
}

/// A counter of zero is as good as none, and so is a map without any.
fn without_zeros(mut maps: BTreeMap<String, Counters>) -> BTreeMap<String, Counters> {
    maps.retain(|_, counters| {
        counters.categories.retain(|_, count| *count != 0);
        *counters != Counters::default()
    });
    maps
}
