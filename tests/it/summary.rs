//! What an invocation says of itself.

use ddb_rollup::rollup::pipeline::response::RecordCounts;
use serde_json::json;

use crate::engine::{Engine, n, s};

#[tokio::test]
async fn every_record_is_in_the_tally_once() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    engine.put_point("m", "q", None).await;
    engine.put("Point", [("MapId", s("m")), ("PointId", s("p")), ("Category", s("Park")), ("Address", s("x"))]).await;
    engine.put_point("n", "p", Some("Park")).await;
    let mut records = engine.stream_records().await;
    let function = engine.function();
    function.deliver(&records[..1]).await;
    assert_eq!(function.summary().first_touches, 1);

    let mut bad = records[0].clone();
    bad["dynamodb"]["SequenceNumber"] = json!("999");
    bad["dynamodb"]["NewImage"]["MapId"] = json!({"N": "1"});
    records.push(bad);
    records.push(records[1].clone());
    function.deliver(&records).await;
    let summary = function.summary();
    let expected = RecordCounts { records: 6, applied: 2, duplicates: 2, no_effect: 1, quarantined: 1, unresolved: 0 };
    assert_eq!(summary.counts, expected);
    assert_eq!((summary.ungrouped, summary.first_touches), (1, 1));
    assert!(summary.transactions >= 3, "a duplicate, then a first touch, then the rest: {summary:?}");
    assert!(summary.retries.is_empty());
}

#[tokio::test]
async fn counters_below_zero_are_seen_when_they_are_lowered() {
    let engine = Engine::start().await;
    let function = engine.function();
    engine.put_point("m", "p", Some("Park")).await;
    engine.delete_point("m", "p").await;
    let records = engine.stream_records().await;
    function.deliver(&records[1..]).await;
    assert_eq!(function.summary().negative_counters, 2, "the total and the category");
    // The names and values as DynamoDB counts them: MapId, TotalPoints, CategoryCounts with Park, RollupVersion.
    assert_eq!(function.summary().view_item_bytes, 65);
    let counters = engine.counters("m").await.unwrap();
    assert_eq!((counters.total, counters.categories["Park"]), (-1, -1), "they are not clamped");
    function.deliver(&records).await;
    let summary = function.summary();
    assert_eq!(
        (summary.negative_counters, summary.view_item_bytes),
        (0, 0),
        "a batch that lowers nothing looks at nothing"
    );
    engine.assert_exact().await;
    assert_eq!(engine.scan("Map").await[0]["TotalPoints"], n(0));
}
