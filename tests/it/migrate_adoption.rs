//! The migration that gives items their first counters: source items that nobody counted, or that somebody miscounted.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::audit::{audit, points, settled, switch_stream};
use crate::command::{command, run};
use crate::engine::{Engine, n, s};
use crate::migrate::history;
use crate::request_hook::{hang_after, until_hung};
use crate::under_fire::Fire;

/// Maps with two points each, from before there was a stream.
async fn uncounted(maps: usize) -> Engine {
    let engine = Engine::start().await;
    switch_stream(&engine, false).await;
    for map in 0..maps {
        for (point, category) in [("p", Some("Park")), ("q", None)] {
            engine.put_point(&format!("m{map}"), point, category).await;
        }
    }
    switch_stream(&engine, true).await;
    engine
}

fn of_the_adoption(report: &Value) -> Value {
    report["migrations"].as_array().unwrap().iter().find(|one| one["number"] == 2).unwrap().clone()
}

#[tokio::test]
async fn points_that_nobody_counted_are_counted_by_the_migration_and_stay_so() {
    let engine = uncounted(5).await;
    engine.put("Map", [("MapId", s("m0")), ("TotalPoints", n(99)), ("City", s("Bern"))]).await;
    let ran = settled(&engine, "migrate", &["--by", "ann"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let adoption = of_the_adoption(&ran.json());
    assert_eq!(
        (&adoption["outcome"], &adoption["looked_at"], &adoption["changed"], &adoption["left"]),
        (&json!("applied"), &json!(5), &json!(5), &json!([]))
    );
    engine.assert_exact().await;
    assert_eq!(engine.everything().await.0["m0"]["City"], s("Bern"));
    let repairs: Vec<_> = engine.markers().await.into_values().filter(|item| item.contains_key("Who")).collect();
    let set = repairs.iter().map(|repair| repair["Items"].as_l().unwrap().len());
    assert_eq!(set.sum::<usize>(), 5);
    assert!(repairs.iter().all(|repair| repair["Who"] == s("ann")), "the ledger says in whose name");

    engine.put_point("m1", "later", Some("Zoo")).await;
    engine.function().deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
    assert_eq!(audit(&engine).await.code, 0);
    let status = run(&engine, &["migrate", "status", "--json"]).await;
    let row = status.json()["migrations"][1].clone();
    assert_eq!(
        (status.code, &row["name"], &row["state"], &row["applied_by"]),
        (0, &json!("counters_of_source_items"), &json!("applied"), &json!("ann"))
    );
}

#[tokio::test]
async fn records_without_a_marker_are_applied_with_one() {
    let (engine, records) = points(12, 5).await;
    let ran = run(&engine, &["migrate", "--settle", "0"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("  7 records without a marker applied\n"), "{}", ran.out);
    engine.assert_exact().await;
    let before = engine.everything().await;
    engine.function().deliver(&records).await;
    assert_eq!(engine.everything().await, before);
}

#[tokio::test]
async fn a_dry_run_shows_each_write_and_makes_none() {
    let engine = uncounted(2).await;
    engine.put_point("m7", "p", Some("Park")).await;
    let before = engine.everything().await;
    let ran = run(&engine, &["migrate", "--dry-run", "--settle", "0"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for line in [
        "V2__counters_of_source_items: would be applied; 3 of 3 items would be changed\n",
        "  would set m0: TotalPoints from 0 to 2, CategoryCounts.Park from 0 to 1\n",
        "  would set m1: TotalPoints from 0 to 2, CategoryCounts.Park from 0 to 1\n",
        "  would apply records without a marker to 1 view item\n",
        "To apply:\n    ddb-rollup migrate --settle 0\n",
    ] {
        assert!(ran.out.contains(line), "{line} is not in {}", ran.out);
    }
    assert_eq!(engine.everything().await, before);
}

#[tokio::test]
async fn a_run_that_is_killed_in_the_middle_is_gone_on_with() {
    const MAPS: usize = 3 * MAPS_IN_A_TRANSACTION;
    const BEFORE_IT_HANGS: usize = 1;
    const MAPS_IN_A_TRANSACTION: usize = 99;
    let engine = uncounted(MAPS).await;
    let (url, mut hung) = hang_after(&engine.url, "TransactWriteItems", BEFORE_IT_HANGS).await;
    let arguments = ["migrate", "--by", "ann", "--settle", "0", "--endpoint-url", &url];
    let mut first = command(&engine, &arguments).stderr(Stdio::null()).spawn().unwrap();
    until_hung(&mut first, &mut hung).await;
    let status = run(&engine, &["migrate", "status", "--json"]).await.json();
    assert_eq!(status["migrations"][1]["state"], json!("pending"));
    first.kill().await.unwrap();
    let set = engine.scan("Map").await.len();
    assert_eq!(set, BEFORE_IT_HANGS * MAPS_IN_A_TRANSACTION);

    let ran = settled(&engine, "migrate", &["--by", "bob"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(of_the_adoption(&ran.json())["changed"], json!(MAPS - set), "what was set is not set again");
    let line = format!("V2__counters_of_source_items: {MAPS} items examined, {} to change\n", MAPS - set);
    assert!(ran.err.contains(&line), "{}", ran.err);
    engine.assert_exact().await;
    assert!(history(&engine).await.contains_key("migration Map#V0002"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_exact_beside_writers_and_a_function() {
    let engine = Arc::new(uncounted(6).await);
    for point in 0..20 {
        engine.put_point(&format!("busy{}", point % 3), &format!("p{point}"), Some("Zoo")).await;
    }
    let fire = Fire::light(&engine);
    let mut ran = settled(&engine, "migrate", &[]).await;
    // What never rested is named, and the next run finds the rest done.
    for _ in 0..3 {
        if ran.code == 0 {
            break;
        }
        let left = of_the_adoption(&ran.json())["left"].clone();
        assert!(
            left.as_array().unwrap().iter().all(|left| left["reason"].as_str().unwrap().contains("rested")),
            "{left}"
        );
        ran = settled(&engine, "migrate", &[]).await;
    }
    fire.put_out(&engine).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    engine.assert_exact().await;
    assert_eq!(audit(&engine).await.code, 0);
}

#[tokio::test]
async fn a_view_item_that_takes_no_counters_is_named_and_the_migration_not_recorded() {
    let engine = uncounted(2).await;
    let full = "x".repeat(409_550);
    let empty = AttributeValue::M(HashMap::new());
    engine.put("Map", [("MapId", s("m0")), ("CategoryCounts", empty), ("Notes", s(&full))]).await;
    let ran = settled(&engine, "migrate", &[]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let adoption = of_the_adoption(&ran.json());
    assert_eq!((&adoption["outcome"], &adoption["changed"]), (&json!("incomplete"), &json!(1)));
    assert_eq!(adoption["left"][0]["key"], "m0");
    assert!(!history(&engine).await.contains_key("migration Map#V0002"));
    engine.put("Map", [("MapId", s("m0"))]).await;
    assert_eq!(settled(&engine, "migrate", &[]).await.code, 0);
    engine.assert_exact().await;
}
