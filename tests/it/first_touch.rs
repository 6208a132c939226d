//! View items that are not there, or have no counters yet.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ddb_rollup::rollup::model::view::OnMissingViewItem;

use crate::engine::{Engine, n, s};

#[tokio::test]
async fn a_map_that_is_not_there_is_created() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    engine.put_point("n", "p", None).await;
    engine.function().deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
    let item = &engine.scan("Map").await.into_iter().find(|item| item["MapId"] == s("n")).unwrap();
    assert_eq!(item["CategoryCounts"], AttributeValue::M(HashMap::new()), "readers find the map, empty");
}

#[tokio::test]
async fn a_map_without_counters_keeps_its_attributes() {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("m")), ("City", s("Seattle"))]).await;
    engine.put("Map", [("MapId", s("n")), ("TotalPoints", n(5))]).await;
    engine.put("Map", [("MapId", s("o")), ("CategoryCounts", AttributeValue::M([("Park".into(), n(7))].into()))]).await;
    for map in ["m", "n", "o"] {
        engine.put_point(map, "p", Some("Park")).await;
    }
    engine.function().deliver(&engine.stream_records().await).await;
    let maps = engine.all_counters().await;
    assert_eq!((maps["m"].total, maps["m"].categories["Park"]), (1, 1));
    assert_eq!((maps["n"].total, maps["n"].categories["Park"]), (6, 1));
    assert_eq!((maps["o"].total, maps["o"].categories["Park"]), (1, 8));
    assert!(engine.scan("Map").await.iter().any(|item| item.get("City") == Some(&s("Seattle"))));
}

#[tokio::test]
async fn every_transaction_raises_the_version_of_its_view_items() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    engine.put_point("m", "p", Some("Cafe")).await;
    engine.delete_point("m", "p").await;
    let records = engine.stream_records().await;
    let function = engine.function();
    let version = async || engine.scan("Map").await[0]["RollupVersion"].clone();
    function.deliver(&records[..1]).await;
    assert_eq!(version().await, n(1));
    function.deliver(&records[1..]).await;
    assert_eq!(version().await, n(2));
    function.deliver(&records).await;
    assert_eq!(version().await, n(2), "a replay does not touch it");

    // An insert and a delete in one batch cancel out; the version tells that the item was looked at all the same.
    engine.put_point("m", "q", Some("Park")).await;
    engine.delete_point("m", "q").await;
    function.deliver(&engine.stream_records().await[3..]).await;
    assert_eq!(version().await, n(3));
    assert_eq!(engine.markers().await.len(), 5, "and both records are marked");
    engine.assert_exact().await;
}

#[tokio::test]
async fn two_functions_touch_a_new_map_first_at_the_same_time() {
    let engine = Engine::start().await;
    for point in 0..40 {
        engine.put_point(&format!("m{}", point % 4), &format!("p{point}"), Some("Park")).await;
    }
    let records = engine.stream_records().await;
    let functions: Vec<_> = (0..4).map(|_| engine.function()).collect();
    let deliveries = functions.iter().zip(records.chunks(10)).map(|(function, batch)| function.deliver(batch));
    futures_util::future::join_all(deliveries).await;
    engine.assert_exact().await;
}

#[tokio::test]
async fn with_skip_a_point_on_no_map_is_marked_and_not_counted() {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("there"))]).await;
    engine.put_point("there", "p", Some("Park")).await;
    engine.put_point("missing", "p", Some("Park")).await;
    engine.put_point("there", "q", None).await;
    let function = engine.function_with(|config| {
        config.definition = config.definition.clone().with_missing(OnMissingViewItem::Skip);
    });
    let records = engine.stream_records().await;
    function.deliver(&records).await;
    function.deliver(&records).await;
    assert_eq!(engine.counters("missing").await, None);
    assert_eq!(engine.counters("there").await.unwrap().total, 2);
    let markers = engine.scan("Idempotency").await;
    assert_eq!(markers.len(), 3);
    let skipped: Vec<_> = markers.iter().filter(|marker| marker["Deltas"] == AttributeValue::L(Vec::new())).collect();
    assert_eq!(skipped.len(), 1, "the ledger says that it did nothing");
    assert_eq!(skipped[0]["Outcome"], s("APPLIED"));

    // A map that is created later counts what comes from then on.
    engine.put("Map", [("MapId", s("missing"))]).await;
    engine.put_point("missing", "q", Some("Park")).await;
    function.deliver(&engine.stream_records().await).await;
    assert_eq!(engine.counters("missing").await.unwrap().total, 1);
}
