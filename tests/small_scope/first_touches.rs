//! How first touches are found out, counted in requests: by a question, by the smallest transaction, or not at all. What
//! it costs on an engine is in `tests/it/requests.rs`.

use std::collections::HashMap;

use ddb_rollup::rollup::AttributeValue;
use ddb_rollup::rollup::model::definition::{self, Defaults};
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use serde_json::Value;

use crate::answering::{Answering, Process, insert};
use crate::function::config;

/// What was sent: questions, transactions, and how many of these were cancelled.
type Sent = [usize; 3];

/// Delivers inserts on so many maps, of which every so manieth is not there, to a new process. All of them count.
async fn cold(records: usize, maps: usize, absent: Option<usize>) -> Sent {
    let mut store = Answering::tables();
    for map in (0..maps).filter(|map| absent.is_none_or(|every| map % every != every - 1)) {
        store = store.with(&format!("map{map}"), &[("CategoryCounts", AttributeValue::M(HashMap::new()))]);
    }
    let process = Process::new(config(), &store);
    let batch: Vec<Value> = (0..records).map(|n| insert(n, &format!("map{}", n % maps), "x")).collect();
    let (_, summary) = process.deliver(&batch).await;
    assert_eq!(summary.counts.applied, records);
    assert_eq!(summary.first_touches, absent.map_or(0, |every| maps / every));
    [store.look_ups(), store.transactions(), store.cancelled()]
}

#[tokio::test(start_paused = true)]
async fn first_touches_are_asked_for_or_found_out_by_the_smallest_transaction() {
    for (records, maps, absent, expected) in [
        (1, 1, None, [1, 1, 0]),
        (1, 1, Some(1), [1, 1, 0]),
        (100, 20, None, [1, 2, 0]),
        (100, 20, Some(1), [1, 2, 0]),
        (250, 1, None, [1, 3, 0]),
        (250, 1, Some(1), [1, 3, 0]),
        // 100 keys a question; no further one where the first shows that all is there.
        (200, 200, None, [1, 4, 0]),
        (200, 200, Some(1), [2, 4, 0]),
        (200, 200, Some(5), [2, 4, 0]),
        (1_000, 1_000, None, [1, 20, 0]),
        (1_000, 1_000, Some(1), [10, 20, 0]),
        (1_000, 1_000, Some(5), [10, 20, 0]),
        // One request more would be too much, and the last transaction is small: it goes ahead. If it is refused, all
        // are asked for.
        (1_000, 20, None, [0, 11, 0]),
        (1_000, 20, Some(1), [1, 12, 1]),
        (1_000, 20, Some(5), [1, 12, 1]),
        (1_000, 200, None, [0, 13, 0]),
        (1_000, 200, Some(5), [2, 14, 1]),
        // With twenty transactions there is one request to spare.
        (1_900, 19, None, [1, 20, 0]),
        (2_000, 40, Some(1), [1, 21, 0]),
    ] {
        assert_eq!(cold(records, maps, absent).await, expected, "{records} on {maps}, absent: {absent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_without_groups_has_first_touches_only_where_missing_items_are_passed_over() {
    let definition = r#"{"key": [{"attribute": "MapId", "type": "S"}], "measures": {"TotalPoints": "count"}}"#;
    for (on_missing, expected) in [(OnMissingViewItem::Create, [0, 1, 0]), (OnMissingViewItem::Skip, [1, 1, 0])] {
        let store = Answering::tables();
        let mut config = config();
        let defaults = Defaults { source_table: "Point", view_table: "Map", on_missing };
        config.definition = definition::read(definition, &defaults).unwrap();
        let (_, summary) = Process::new(config, &store).deliver(&[insert(1, "a", "x"), insert(2, "b", "x")]).await;
        assert_eq!(summary.counts.applied, 2);
        assert_eq!([store.look_ups(), store.transactions(), store.cancelled()], expected, "{on_missing:?}");
    }
}
