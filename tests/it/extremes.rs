//! The limits as users hit them, with the real process: the largest event that Lambda delivers, on one view item, on as
//! many as it has records, with more groups than an item can hold; and the memory that it takes.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::engine::{Engine, n, s, text};
use crate::limits::inserts;
use crate::runtime_api::{Ended, Sandbox, Settings};

/// The largest event of an invocation ("Lambda quotas", invocation payload).
const EVENT_BYTES: usize = 6 * 1024 * 1024;

/// The most records of one batch ("Lambda quotas", event source mappings of a stream).
const RECORDS: usize = 10_000;

/// The least memory of a function ("Lambda quotas", memory).
const MEMORY_BYTES: usize = 128 * 1024 * 1024;

/// Time for an invocation on a machine that does other things besides.
const AMPLE: Duration = Duration::from_mins(5);

/// The event of these records, each made longer by what does not count until the event is as long as it may be.
fn filled(mut records: Vec<Value>) -> String {
    let bytes = json!({ "Records": records }).to_string().len();
    let spare = (EVENT_BYTES - bytes) / records.len() - r#","Address":{"S":""}"#.len();
    for record in &mut records {
        record["dynamodb"]["NewImage"]["Address"] = json!({ "S": "x".repeat(spare) });
    }
    let event = json!({ "Records": records }).to_string();
    assert!((EVENT_BYTES - RECORDS..=EVENT_BYTES).contains(&event.len()), "{} bytes", event.len());
    event
}

/// Delivers the largest event over so many maps, twice, and holds the process against the smallest function there is.
async fn largest_event(maps: usize) {
    let engine = Engine::start().await;
    let event = filled(inserts(&engine, RECORDS, maps).await);
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    let began = sandbox.peak_memory();
    for _ in 0..2 {
        assert_eq!(sandbox.invoke(&event, AMPLE).await, Ended::nothing_failed());
    }
    let peak = sandbox.peak_memory();
    let counters = engine.all_counters().await;
    assert_eq!(counters.len(), maps);
    assert_eq!(counters.values().map(|counters| counters.total).sum::<i64>(), i64::try_from(RECORDS).unwrap());
    assert!(counters.values().all(|counters| counters.total == counters.categories.values().sum::<i64>()));
    assert_eq!(engine.markers().await.len(), RECORDS);
    tell(&format!("{maps} maps: {began} bytes at the start, {peak} at the most"));
    assert!(peak < MEMORY_BYTES, "{peak} bytes of memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_event_on_one_view_item_is_counted_in_the_smallest_memory() {
    largest_event(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_event_on_as_many_view_items_as_records_is_counted_in_the_smallest_memory() {
    largest_event(RECORDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_fill_the_view_item_and_those_that_do_not_fit_are_kept() {
    const GROUP_BYTES: usize = 1_000;
    let engine = Engine::start().await;
    let mut records = inserts(&engine, 600, 1).await;
    for (number, record) in records.iter_mut().enumerate() {
        record["dynamodb"]["NewImage"]["Category"] = json!({ "S": format!("{number:0>GROUP_BYTES$}") });
    }
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    let event = json!({ "Records": records }).to_string();
    for _ in 0..2 {
        assert_eq!(sandbox.invoke(&event, AMPLE).await, Ended::nothing_failed());
    }
    let counters = engine.counters("map0").await.unwrap();
    let fit = counters.categories.len();
    assert!((390..=410).contains(&fit), "{fit} groups of {GROUP_BYTES} bytes are in 400 KB");
    assert_eq!(
        counters.total,
        i64::try_from(fit).unwrap(),
        "a record counts in its group and the total, or in neither"
    );
    let markers: Vec<_> = engine.markers().await.into_values().collect();
    let quarantined: Vec<_> = markers.iter().filter(|marker| marker["Outcome"] == s("QUARANTINED")).collect();
    assert_eq!((markers.len(), quarantined.len()), (600, 600 - fit));
    for marker in quarantined {
        assert!(text(&marker["Reason"]).contains("Map map0"), "{marker:?}");
        assert!(marker.contains_key("Record"), "it is kept whole");
    }

    // A group that is there already still counts.
    let mut again = records[0].clone();
    again["eventID"] = json!("again");
    again["dynamodb"]["SequenceNumber"] = json!("999999999999999999999");
    assert_eq!(sandbox.invoke(&json!({ "Records": [again] }).to_string(), AMPLE).await, Ended::nothing_failed());
    assert_eq!(engine.counters("map0").await.unwrap().total, counters.total + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_groups_than_an_expression_holds_are_all_counted() {
    let engine = Engine::start().await;
    let empty = AttributeValue::M(HashMap::new());
    engine.put("Map", [("MapId", s("map0")), ("TotalPoints", n(0)), ("CategoryCounts", empty)]).await;
    let mut records = inserts(&engine, 1_000, 1).await;
    for (number, record) in records.iter_mut().enumerate() {
        record["dynamodb"]["NewImage"]["Category"] = json!({ "S": format!("Category {number}") });
    }
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    let event = json!({ "Records": records }).to_string();
    assert_eq!(sandbox.invoke(&event, AMPLE).await, Ended::nothing_failed());
    let counters = engine.counters("map0").await.unwrap();
    assert_eq!((counters.total, counters.categories.len()), (1_000, 1_000));
    assert!(counters.categories.values().all(|count| *count == 1));
}

#[allow(clippy::print_stderr, reason = "a figure that is worth a line")]
fn tell(line: &str) {
    eprintln!("largest event: {line}");
}
