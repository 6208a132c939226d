//! The audit: what is exact, behind, drifted, and what the ledger gives away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::command::{Ran, run, run_with};
use crate::engine::{Engine, n, s};
use crate::request_hook::before_each_request;

/// Runs a command with `--json`, and without waiting for a stream that has no delay here.
pub async fn settled(engine: &Engine, command: &str, more: &[&str]) -> Ran {
    let arguments: Vec<&str> = [command, "--json", "--settle", "0.05"].iter().chain(more).copied().collect();
    run(engine, &arguments).await
}

pub async fn audit(engine: &Engine) -> Ran {
    settled(engine, "audit", &[]).await
}

/// The numbers of an audit: view items, exact, behind, unstable, drifted, quarantined.
pub fn numbers(report: &Value) -> [u64; 6] {
    ["view_items", "exact", "behind", "unstable", "drifted", "quarantined"].map(|name| report[name].as_u64().unwrap())
}

/// An engine with points of three maps, that the function has counted up to `counted`.
pub async fn points(count: usize, counted: usize) -> (Engine, Vec<Value>) {
    let engine = Engine::start().await;
    for point in 0..count {
        let category = ["Bar", "Zoo"][point % 2];
        engine.put_point(&format!("m{}", point % 3), &format!("p{point}"), Some(category)).await;
    }
    let records = engine.stream_records().await;
    engine.function().deliver(&records[..counted]).await;
    (engine, records)
}

async fn tamper(engine: &Engine, map: &str, expression: &str, value: i64) {
    engine
        .db
        .update_item()
        .table_name("Map")
        .key("MapId", s(map))
        .update_expression(expression)
        .expression_attribute_values(":v", n(value))
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn counters_that_equal_the_recount_are_exact() {
    let (engine, _) = points(12, 12).await;
    engine.put("Map", [("MapId", s("a map without points"))]).await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [4, 4, 0, 0, 0, 0]), "{ran:?}");
    assert_eq!((ran.json()["drift"].clone(), ran.json()["ledger"].clone()), (json!([]), json!([])));
    let ran = run(&engine, &["audit", "--settle", "0"]).await;
    assert_eq!(ran.out, "4 view items: 4 exact, 0 behind, 0 unstable, 0 drifted\n", "{ran:?}");
}

#[tokio::test]
async fn records_that_are_not_applied_yet_are_lag_and_no_drift() {
    let (engine, _) = points(12, 7).await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [3, 0, 3, 0, 0, 0]), "{ran:?}");
    let behind = &ran.json()["behind_items"];
    assert_eq!(behind[0], json!({"key": "m0", "unmarked": 1, "quarantined": 0}));
    assert_eq!(behind[1], json!({"key": "m1", "unmarked": 2, "quarantined": 0}));
}

#[tokio::test]
async fn drift_is_told_by_measure_and_group_beside_lag() {
    let (engine, _) = points(12, 7).await;
    tamper(&engine, "m1", "SET TotalPoints = :v, CategoryCounts.Gone = :v", 9).await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (1, [3, 0, 2, 0, 1, 0]), "{ran:?}");
    assert_eq!(
        ran.json()["drift"],
        json!([
            {"view": "default", "table": "Map", "key": "m1", "measure": "TotalPoints", "group": null, "stored": 9, "recounted": 2, "pending": 2},
            {"view": "default", "table": "Map", "key": "m1", "measure": "CategoryCounts", "group": "Gone", "stored": 9, "recounted": 0, "pending": 0},
        ])
    );
}

#[tokio::test]
async fn tampering_that_lag_would_hide_is_found() {
    let (engine, records) = points(12, 11).await;
    // The one record that is not applied adds one to m2; somebody did so before it.
    assert_eq!(records[11]["dynamodb"]["Keys"]["MapId"]["S"], "m2");
    tamper(&engine, "m2", "ADD TotalPoints :v", 1).await;
    tamper(&engine, "m2", "SET CategoryCounts.Zoo = CategoryCounts.Zoo + :v", 1).await;
    engine.assert_exact().await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (1, [3, 2, 0, 0, 1, 0]), "{ran:?}");
}

#[tokio::test]
async fn records_that_had_their_time_are_asked_for_their_markers_only_where_a_view_item_differs() {
    let (engine, _) = points(12, 11).await;
    let lookups = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&lookups);
    let url = before_each_request(&engine.url, move |operation| {
        seen.fetch_add(usize::from(operation == "BatchGetItem"), Ordering::SeqCst);
        async {}
    })
    .await;
    // One record of m2 is not applied, and its counters are ahead by as much: they are equal to the recount.
    tamper(&engine, "m2", "ADD TotalPoints :v", 1).await;
    tamper(&engine, "m2", "SET CategoryCounts.Zoo = CategoryCounts.Zoo + :v", 1).await;
    let ran = settled(&engine, "audit", &["--lag", "0", "--endpoint-url", &url]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [3, 3, 0, 0, 0, 0]), "{ran:?}");
    assert_eq!(lookups.load(Ordering::SeqCst), 0, "nobody was asked");
    let ran = settled(&engine, "audit", &["--lag", "0", "--all-markers"]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (1, [3, 2, 0, 0, 1, 0]), "{ran:?}");
    assert_eq!(ran.json()["drift"][0]["key"], "m2");

    // Where counters differ, the older records tell why.
    let (engine, records) = points(12, 7).await;
    let ran = settled(&engine, "audit", &["--lag", "0"]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [3, 0, 3, 0, 0, 0]), "{ran:?}");
    let ran = settled(&engine, "repair", &["--lag", "0"]).await;
    assert_eq!((ran.code, &ran.json()["applied"], &ran.json()["repaired"]), (0, &json!(5), &json!(0)), "{ran:?}");
    assert_eq!(engine.markers().await.len(), records.len());
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_marker_that_was_deleted_is_found_wherever_it_was() {
    for gone in [0, 5, 11] {
        let (engine, records) = points(12, 12).await;
        let change = &records[gone]["dynamodb"];
        engine
            .db
            .delete_item()
            .table_name("Idempotency")
            .key("SequenceNumber", s(change["SequenceNumber"].as_str().unwrap()))
            .key("Stream", s(records[gone]["eventSourceARN"].as_str().unwrap()))
            .send()
            .await
            .unwrap();
        let ran = audit(&engine).await;
        assert_eq!((ran.code, numbers(&ran.json())), (1, [3, 2, 0, 0, 1, 0]), "{ran:?}");
        let drift = &ran.json()["drift"][0];
        assert_eq!(drift["key"], change["Keys"]["MapId"]["S"]);
        let (stored, recounted) = (drift["stored"].as_i64().unwrap(), drift["recounted"].as_i64().unwrap());
        assert_eq!((stored - recounted, drift["pending"].as_i64().unwrap()), (1, 1), "it would count once more");

        let ran = settled(&engine, "repair", &[]).await;
        assert_eq!((ran.code, ran.json()["repaired"].clone()), (0, json!(1)), "{ran:?}");
        engine.function().deliver(&records).await;
        engine.assert_exact().await;
    }
}

#[tokio::test]
async fn records_that_the_stream_has_lost_are_drift() {
    let (engine, records) = points(12, 0).await;
    let function = engine.function();
    function.deliver(&records[..4]).await;
    function.deliver(&records[5..]).await;
    // The stream is switched off and on: its records are gone.
    switch_stream(&engine, false).await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (1, [3, 2, 0, 0, 1, 0]), "{ran:?}");
    let ran = run(&engine, &["audit"]).await;
    assert!(ran.out.contains("has no stream") && ran.out.contains("TotalPoints is 3, should be 4"), "{}", ran.out);
}

pub async fn switch_stream(engine: &Engine, on: bool) {
    use aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType};
    let stream = StreamSpecification::builder().stream_enabled(on);
    let stream = if on { stream.stream_view_type(StreamViewType::NewAndOldImages) } else { stream };
    let update = engine.db.update_table().table_name("Point").stream_specification(stream.build().unwrap());
    update.send().await.unwrap();
}

#[tokio::test]
async fn one_view_item_is_audited_alone() {
    let (engine, _) = points(12, 12).await;
    tamper(&engine, "m1", "SET TotalPoints = :v", 9).await;
    let ran = settled(&engine, "audit", &["--item", "m1"]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (1, [1, 0, 0, 0, 1, 0]), "{ran:?}");
    let ran = settled(&engine, "audit", &["--item", "m0"]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [1, 1, 0, 0, 0, 0]), "{ran:?}");
}

#[tokio::test]
async fn one_view_item_is_audited_without_going_through_a_table() {
    let (engine, _) = points(12, 11).await;
    let scans = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&scans);
    let url = before_each_request(&engine.url, move |operation| {
        seen.fetch_add(usize::from(operation == "Scan"), Ordering::SeqCst);
        async {}
    })
    .await;
    for item in ["m0", "m2", "no such map"] {
        let ran = settled(&engine, "audit", &["--item", item, "--endpoint-url", &url]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(scans.load(Ordering::SeqCst), 0);
    tamper(&engine, "m1", "SET TotalPoints = :v", 9).await;
    settled(&engine, "audit", &["--item", "m1", "--endpoint-url", &url]).await;
    assert!(scans.load(Ordering::SeqCst) > 0, "it may be that what differs is in quarantine");
}

#[tokio::test]
async fn what_else_is_in_the_idempotency_table_is_no_marker() {
    let (engine, _) = points(12, 12).await;
    let ran = run(&engine, &["migrate", "--settle", "0"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    tamper(&engine, "m1", "SET TotalPoints = :v", 9).await;
    assert_eq!(settled(&engine, "repair", &[]).await.code, 0);
    assert_eq!(engine.scan("Idempotency").await.len(), 12 + 2 + 1 + 1);
    for command in ["audit", "repair"] {
        let ran = settled(&engine, command, &[]).await;
        let json = ran.json();
        assert_eq!((ran.code, numbers(&json)), (0, [3, 3, 0, 0, 0, 0]), "{ran:?}");
        assert_eq!(
            (&json["markers"], &json["repairs"], &json["ledger"]),
            (&json!(12), &json!(1), &json!([])),
            "{ran:?}"
        );
    }
    let status = run(&engine, &["migrate", "status"]).await;
    assert_eq!(status.code, 0, "neither are repairs migrations: {status:?}");
}

#[tokio::test]
async fn the_ledger_gives_contradictions_away() {
    let (engine, records) = points(12, 12).await;
    let set = async |record: &Value, expression: &str, value| {
        engine
            .db
            .update_item()
            .table_name("Idempotency")
            .key("SequenceNumber", s(record["dynamodb"]["SequenceNumber"].as_str().unwrap()))
            .key("Stream", s(record["eventSourceARN"].as_str().unwrap()))
            .update_expression(expression)
            .expression_attribute_values(":v", value)
            .send()
            .await
            .unwrap();
    };
    set(&records[0], "SET Deltas = :v", s("nothing")).await;
    set(&records[1], "SET Deltas[0].Measures.TotalPoints = :v", n(7)).await;
    set(&records[2], "SET EventId = :v", s(records[3]["eventID"].as_str().unwrap())).await;
    set(&records[2], "SET Digest = :v", s("another")).await;
    set(&records[4], "SET Outcome = :v", s("MAYBE")).await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (1, [3, 3, 0, 0, 0, 0]), "{ran:?}");
    let json = ran.json();
    let told = |record: &Value, words: &str| {
        let number = record["dynamodb"]["SequenceNumber"].as_str().unwrap();
        json["ledger"].as_array().unwrap().iter().any(|finding| {
            finding["subject"].as_str().unwrap().contains(number) && finding["what"].as_str().unwrap().contains(words)
        })
    };
    assert!(told(&records[0], "not a list"), "{json}");
    assert!(told(&records[1], "not what the record does"), "{json}");
    assert!(told(&records[2], "another event"), "{json}");
    assert!(told(&records[2], "under another sequence number") || told(&records[3], "under another sequence number"));
    assert!(told(&records[4], "no known Outcome"), "{json}");
}

#[tokio::test]
async fn what_cannot_be_audited_ends_with_two() {
    let engine = Engine::start().await;
    for (arguments, words) in [
        (&["audit", "--source-table", "NoSuchTable"][..], "NoSuchTable"),
        (&["audit", "--idempotency-table", "NoMarkers"], "NoMarkers"),
        (&["repair", "--view-table", "NoViews"], "NoViews"),
        (&["audit", "--settle", "soon"], "settle"),
        (&["audit", "--item", ""], "--item"),
        (&["audit", "--max-read-units", "0"], "max-read-units"),
    ] {
        let ran = run(&engine, arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(words), "{}", ran.err);
    }
    let ran = run_with(&engine, &["audit"], &[("ROLLUP_ON_MISSING_VIEW_ITEM", "perhaps")]).await;
    assert_eq!(ran.code, 2);
}
