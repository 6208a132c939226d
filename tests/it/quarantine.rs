//! What is in quarantine, found by the index and without it, in a ledger of any size.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use serde_json::{Value, json};

use crate::command::{Ran, run, run_with};
use crate::engine::{Engine, Item, s, text};
use crate::request_hook::before_each_request;

/// An engine with three records in quarantine, whose view item refuses them.
async fn refused(index: bool) -> (Engine, Vec<Value>) {
    let engine = Engine::start().await;
    if !index {
        engine.without_quarantine_index().await;
    }
    engine.put("Map", [("MapId", s("m")), ("TotalPoints", s("broken"))]).await;
    for point in ["p", "q", "r"] {
        engine.put_point("m", point, Some("Park")).await;
    }
    let records = engine.stream_records().await;
    engine.function().deliver(&records).await;
    (engine, records)
}

async fn put_markers(engine: &Engine, markers: Vec<Item>) {
    let put = |item: Item| {
        let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    };
    let requests: Vec<_> = markers.into_iter().map(put).collect();
    for batch in requests.chunks(25) {
        let answer = engine.db.batch_write_item().request_items("Idempotency", batch.to_vec()).send().await.unwrap();
        assert_eq!(answer.unprocessed_items().map_or(0, std::collections::HashMap::len), 0);
    }
}

/// Copies of a marker under so many other numbers.
fn copies(marker: &Item, numbers: impl Iterator<Item = u64>) -> Vec<Item> {
    let copy = |number| {
        let mut marker = marker.clone();
        marker.insert("SequenceNumber".to_owned(), s(&format!("{number:024}")));
        marker
    };
    numbers.map(copy).collect()
}

/// Runs the command, and counts its requests by their operations.
async fn counted(engine: &Engine, arguments: &[&str]) -> (Ran, BTreeMap<String, usize>) {
    let requests = Arc::<Mutex<BTreeMap<String, usize>>>::default();
    let counting = Arc::clone(&requests);
    let url = before_each_request(&engine.url, move |operation| {
        *counting.lock().unwrap().entry(operation).or_default() += 1;
        std::future::ready(())
    })
    .await;
    let ran = run_with(engine, arguments, &[("AWS_ENDPOINT_URL", &url)]).await;
    let requests = requests.lock().unwrap().clone();
    (ran, requests)
}

#[tokio::test]
async fn a_list_costs_what_is_in_quarantine_however_long_the_ledger_is() {
    let (engine, _) = refused(true).await;
    let expected = [("DescribeTable", 1), ("GetItem", 3), ("Query", 16)];
    let expected: BTreeMap<String, usize> = expected.map(|(name, count)| (name.to_owned(), count)).into();
    let (few, requests) = counted(&engine, &["quarantine", "list", "--json"]).await;
    assert_eq!(requests, expected, "{few:?}");

    engine.put_point("other", "p", Some("Park")).await;
    let records = engine.stream_records().await;
    engine.function().deliver(&records[3..]).await;
    let markers = engine.markers().await;
    let applied = markers.values().find(|marker| marker["Outcome"] == s("APPLIED")).unwrap();
    assert!(!applied.contains_key("InQuarantine"));
    put_markers(&engine, copies(applied, 0..2_000)).await;
    let (many, requests) = counted(&engine, &["quarantine", "list", "--json"]).await;
    assert_eq!(requests, expected, "{many:?}");
    assert_eq!((few.code, few.json(), few.err.as_str()), (many.code, many.json(), ""));
    assert_eq!(few.json()["quarantined"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn without_the_index_the_answers_are_the_same_and_the_command_says_what_they_cost() {
    let mut answers = Vec::new();
    for index in [true, false] {
        let (engine, records) = refused(index).await;
        let list = run(&engine, &["quarantine", "list", "--json"]).await;
        assert_eq!(list.code, 1);
        let listed = list.json()["quarantined"].as_array().unwrap().clone();
        assert_eq!(listed.iter().map(|one| one["record"].clone()).collect::<Vec<_>>(), records);
        assert_eq!(list.err.contains("no usable index Quarantine"), !index, "{}", list.err);
        assert!(index || list.err.contains("deploy-check") && list.err.contains("absent"), "{}", list.err);

        let number = records[1]["dynamodb"]["SequenceNumber"].as_str().unwrap();
        let one = run(&engine, &["quarantine", "list", "--sequence-number", number]).await;
        assert!(one.out.contains(number) && one.out.ends_with("1 record in quarantine\n"), "{one:?}");
        let discard = run(&engine, &["quarantine", "discard", "--sequence-number", number]).await;
        engine.put("Map", [("MapId", s("m"))]).await;
        let replay = run(&engine, &["quarantine", "replay", "--all", "--json"]).await;
        assert_eq!((replay.code, replay.json()["applied"].clone()), (0, json!(2)), "{replay:?}");
        assert_eq!(engine.counters("m").await.unwrap().total, 2);
        let empty = run(&engine, &["quarantine", "list"]).await;
        let markers = engine.markers().await;
        assert!(markers.values().all(|marker| !marker.contains_key("InQuarantine")), "{markers:?}");
        answers.push([discard.out, replay.out, empty.out]);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        answers[0][0],
        "1 record discarded. To set the counters of the view items to what the source says:\n    ddb-rollup repair\n"
    );
}

#[tokio::test]
async fn more_than_a_page_of_a_partition_is_listed_in_the_order_of_time_and_number() {
    let (engine, _) = refused(true).await;
    let marker = engine.markers().await.into_values().next().unwrap();
    let at = |marker: &Item, at: &str| {
        let mut marker = marker.clone();
        marker.insert("RecordedAt".to_owned(), s(at));
        marker
    };
    // As of batches that are larger than a page of the index, each with one time for all.
    let [early, late] = ["2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"].map(|time| at(&marker, time));
    put_markers(&engine, copies(&early, 0..600)).await;
    put_markers(&engine, copies(&late, 600..700)).await;
    let numbers = |ran: &Ran| -> Vec<String> {
        let list = ran.json()["quarantined"].as_array().unwrap().clone();
        list.iter().map(|one| one["sequence_number"].as_str().unwrap().to_owned()).collect()
    };
    let listed = run(&engine, &["quarantine", "list", "--json", "--until", "2026-01-03T00:00:00Z"]).await;
    let expected: Vec<String> = (0..700).map(|number| format!("{number:024}")).collect();
    assert_eq!(numbers(&listed), expected);

    let all = run(&engine, &["quarantine", "list", "--json"]).await;
    let markers = engine.scan("Idempotency").await;
    engine.without_quarantine_index().await;
    put_markers(&engine, markers.into_iter().filter(|item| text(&item["SequenceNumber"]) != "definition").collect())
        .await;
    let scanned = run(&engine, &["quarantine", "list", "--json"]).await;
    assert_eq!((numbers(&all).len(), all.out), (703, scanned.out));
}

#[tokio::test]
async fn the_reason_is_the_one_of_the_last_replay_and_all_else_stays() {
    let (engine, records) = refused(true).await;
    let number = records[0]["dynamodb"]["SequenceNumber"].as_str().unwrap();
    let before = engine.markers().await[number].clone();
    engine.put("Map", [("MapId", s("m")), ("CategoryCounts", s("broken"))]).await;
    for replay in [&["replay", "--from-stream"][..], &["quarantine", "replay", "--all"]] {
        assert_eq!(replayed(&engine, replay, "14").await, [json!(0), json!(3)], "{replay:?}");
    }
    let mut after = engine.markers().await[number].clone();
    let list = run(&engine, &["quarantine", "list", "--reason", "CategoryCounts"]).await;
    assert!(list.out.ends_with("3 records in quarantine\n"), "{list:?}");
    assert!(text(&after["Reason"]).contains("CategoryCounts") && text(&before["Reason"]).contains("TotalPoints"));
    after.insert("Reason".to_owned(), before["Reason"].clone());
    assert_eq!(after, before);
    let list = run(&engine, &["quarantine", "list", "--reason", "TotalPoints"]).await;
    assert_eq!(list.out, "nothing is in quarantine\n", "the index follows");
}

/// A record that is twenty days old, delivered to a function that keeps markers for so many days.
async fn old(retention_days: u32) -> (Engine, Value) {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("m")), ("TotalPoints", s("broken"))]).await;
    engine.put_point("m", "p", Some("Park")).await;
    let mut record = engine.stream_records().await.remove(0);
    let created_at = record["dynamodb"]["ApproximateCreationDateTime"].as_i64().unwrap();
    record["dynamodb"]["ApproximateCreationDateTime"] = json!(created_at - 20 * 86_400);
    let function = engine.function_with(|config| config.marker_retention_days = retention_days);
    function.deliver(std::slice::from_ref(&record)).await;
    engine.put("Map", [("MapId", s("m"))]).await;
    (engine, record)
}

/// How many records a replay applied, and how many it left in quarantine.
async fn replayed(engine: &Engine, arguments: &[&str], retention_days: &str) -> [Value; 2] {
    let arguments = [arguments, &["--json"]].concat();
    let ran = run_with(engine, &arguments, &[("ROLLUP_MARKER_RETENTION_DAYS", retention_days)]).await;
    ["applied", "quarantined"].map(|field| ran.json()[field].clone())
}

#[tokio::test]
async fn a_record_waits_in_quarantine_for_longer_than_markers_are_kept_and_is_counted_once() {
    let (engine, record) = old(30).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("record.json");
    std::fs::write(&file, record.to_string()).unwrap();
    // A file does not prove that it was never counted.
    let from_file = ["replay", "--from-file", file.to_str().unwrap()];
    assert_eq!(replayed(&engine, &from_file, "14").await, [json!(0), json!(1)]);
    let from_quarantine = ["quarantine", "replay", "--all"];
    assert_eq!(replayed(&engine, &from_quarantine, "14").await, [json!(1), json!(0)]);
    engine.assert_exact().await;
    assert_eq!(replayed(&engine, &from_quarantine, "14").await, [json!(0), json!(0)]);
    assert_eq!(replayed(&engine, &from_file, "30").await, [json!(0), json!(0)]);
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_record_that_was_quarantined_as_expired_is_counted_by_no_replay() {
    let (engine, record) = old(14).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("record.json");
    std::fs::write(&file, record.to_string()).unwrap();
    let before = engine.everything().await;
    // Even where it would not be expired any more.
    for replay in [&["quarantine", "replay", "--all"][..], &["replay", "--from-file", file.to_str().unwrap()]] {
        assert_eq!(replayed(&engine, replay, "30").await, [json!(0), json!(1)], "{replay:?}");
    }
    assert_eq!(engine.everything().await, before);
    let discarded = run(&engine, &["quarantine", "discard", "--all", "--json"]).await;
    assert_eq!(discarded.json(), json!({ "discarded": 1 }));
}

#[tokio::test]
async fn a_record_in_quarantine_expires_where_that_is_wanted_and_is_one_of_quarantine_until_then() {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("m")), ("TotalPoints", s("broken"))]).await;
    engine.put_point("m", "p", Some("Park")).await;
    let records = engine.stream_records().await;
    engine.function_with(|config| config.quarantine_retention_days = Some(30)).deliver(&records).await;
    let marker = engine.markers().await.into_values().next().unwrap();
    let recorded_at = chrono::DateTime::parse_from_rfc3339(marker["RecordedAt"].as_s().unwrap()).unwrap();
    assert_eq!(marker["ExpiresAt"].as_n().unwrap(), &(recorded_at.timestamp() + 30 * 86_400).to_string());

    engine.put("Map", [("MapId", s("m"))]).await;
    let told = run(&engine, &["audit", "--settle", "0", "--json"]).await.json();
    let expected = json!([{ "key": "m", "unmarked": 0, "quarantined": 1 }]);
    assert_eq!([&told["behind_items"], &told["ledger"]], [&expected, &json!([])], "{told}");
    let list = run(&engine, &["quarantine", "list"]).await;
    assert_eq!((list.code, list.out.contains("cannot be updated")), (1, true), "{list:?}");
    assert_eq!(replayed(&engine, &["quarantine", "replay", "--all"], "14").await, [json!(1), json!(0)]);
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_retention_of_quarantine_below_that_of_markers_stops_the_command() {
    let engine = Engine::start().await;
    let ran = run_with(&engine, &["quarantine", "list"], &[("ROLLUP_QUARANTINE_RETENTION_DAYS", "13")]).await;
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("ROLLUP_QUARANTINE_RETENTION_DAYS is \"13\"") && ran.err.contains("from 14"),
        "{}",
        ran.err
    );
}
