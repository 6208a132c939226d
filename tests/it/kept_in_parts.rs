//! A record in quarantine that is too large for one item: kept in parts, and one record to every command.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::audit::{audit, switch_stream};
use crate::command::{command, run};
use crate::engine::{Engine, Item, incompressible, n, s, sequence_number, text};
use crate::proxy::{Fault, Proxy};
use crate::runtime_api::in_time;

/// Bytes of text in each image: an item that is nearly full, and does not compress into another one.
const IMAGE_BYTES: usize = 380_000;

/// A point that moves between categories, both times with a large text of its own, and a view item that refuses it.
async fn refused() -> (Engine, Vec<Value>) {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("m")), ("CategoryCounts", s("broken"))]).await;
    let text = incompressible(2 * IMAGE_BYTES);
    let (old, new) = text.split_at(IMAGE_BYTES);
    for (category, text) in [("Park", old), ("Bar", new)] {
        let point = [("MapId", "m"), ("PointId", "p"), ("Category", category), ("Text", text)];
        engine.put("Point", point.map(|(name, value)| (name, s(value)))).await;
    }
    engine.put_point("other", "q", Some("Park")).await;
    let records = engine.stream_records().await;
    assert_eq!(records[1]["eventName"], json!("MODIFY"));
    (engine, records)
}

fn is_part(item: &Item) -> bool {
    text(&item["SequenceNumber"]).contains("#part-")
}

async fn parts(engine: &Engine) -> Vec<Item> {
    engine.scan("Idempotency").await.into_iter().filter(is_part).collect()
}

#[tokio::test]
async fn a_record_that_fits_into_no_item_is_kept_whole_and_replayed_as_one() {
    let (engine, records) = refused().await;
    let number = sequence_number(&records[1]);
    engine.function().deliver(&records).await;
    assert_eq!(engine.counters("other").await.unwrap().total, 1, "its neighbour is counted");

    let marker = &engine.markers().await[number];
    assert_eq!((&marker["Outcome"], &marker["Parts"]), (&s("QUARANTINED"), &n(2)));
    assert!(!marker.contains_key("Record") && !marker.contains_key("ExpiresAt"));
    let kept = parts(&engine).await;
    assert_eq!(kept.len(), 2);
    for part in &kept {
        assert!(matches!(part["Record"], AttributeValue::B(_)) && part.len() == 3, "{:?}", part.keys());
        assert_eq!(part["Stream"], marker["Stream"]);
    }

    // A delivery again is a duplicate and writes nothing.
    let before = engine.everything().await;
    let function = engine.function();
    function.deliver(&records).await;
    let counts = function.summary().counts;
    assert_eq!((counts.duplicates, counts.unresolved), (3, 0), "{counts:?}");
    assert_eq!(engine.everything().await, before);

    let list = run(&engine, &["quarantine", "list", "--json"]).await.json()["quarantined"].clone();
    let listed: Vec<_> = list.as_array().unwrap().iter().map(|one| &one["record"]).collect();
    assert_eq!(listed, [&records[0], &records[1]], "both whole");

    // As long as the view item refuses it, it stays as it is.
    let ran = run(&engine, &["quarantine", "replay", "--all", "--json"]).await;
    assert_eq!((ran.code, ran.json()["quarantined"].clone()), (1, json!(2)), "{ran:?}");
    assert_eq!(engine.everything().await, before);

    // What it would add is told by its parts, where the stream has it no more.
    engine.put("Map", [("MapId", s("m"))]).await;
    switch_stream(&engine, false).await;
    let told = audit(&engine).await.json();
    let expected = json!([{ "key": "m", "unmarked": 0, "quarantined": 2 }]);
    assert_eq!(
        [&told["behind_items"], &told["ledger"], &told["markers"]],
        [&expected, &json!([]), &json!(3)],
        "{told}"
    );
    let ran = run(&engine, &["quarantine", "replay", "--all", "--json"]).await;
    assert_eq!(
        (ran.code, ran.json()["read"].clone(), ran.json()["applied"].clone()),
        (0, json!(2), json!(2)),
        "{ran:?}"
    );
    engine.assert_exact().await;
    assert_eq!(parts(&engine).await.len(), 0, "they are gone with the quarantine");
    assert_eq!(engine.markers().await[number]["Outcome"], s("APPLIED"));
    engine.function().deliver(&records).await;
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_replay_from_the_stream_a_discard_and_a_repair_delete_the_parts() {
    for command in [&["replay", "--from-stream"][..], &["quarantine", "discard", "--all"], &["repair", "--settle", "0"]]
    {
        let (engine, records) = refused().await;
        engine.function().deliver(&records).await;
        assert_eq!(parts(&engine).await.len(), 2);
        engine.put("Map", [("MapId", s("m"))]).await;
        let ran = run(&engine, command).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(parts(&engine).await.len(), 0, "{command:?}");
        let marker = &engine.markers().await[sequence_number(&records[1])];
        let outcome = if command[0] == "quarantine" { "DISCARDED" } else { "APPLIED" };
        assert_eq!(marker["Outcome"], s(outcome), "{command:?}");
        assert_eq!(run(&engine, &["quarantine", "list"]).await.code, 0, "{command:?}");
    }
}

#[tokio::test]
async fn a_part_that_was_left_behind_is_replaced_and_a_marker_with_its_key_is_not() {
    let (engine, records) = refused().await;
    let number = sequence_number(&records[1]);
    let stream = records[1]["eventSourceARN"].as_str().unwrap();
    let key = [("SequenceNumber", s(&format!("{number}#part-1"))), ("Stream", s(stream))];
    engine.put("Idempotency", key.clone().into_iter().chain([("Outcome", s("APPLIED"))])).await;
    let failed = engine.function().try_deliver(&records).await.unwrap();
    assert_eq!(failed.as_deref(), Some(number), "it has no place, and the failure destination gets it");
    assert!(!engine.markers().await.contains_key(number));

    engine.put("Idempotency", key).await;
    engine.function().deliver(&records).await;
    let list = run(&engine, &["quarantine", "list", "--sequence-number", number, "--json"]).await;
    assert_eq!(list.json()["quarantined"][0]["record"], records[1]);
}

#[tokio::test]
async fn a_command_that_is_killed_leaves_no_parts_behind() {
    for arguments in [
        &["replay", "--from-stream"][..],
        &["quarantine", "replay", "--all"],
        &["quarantine", "discard", "--all"],
        &["repair", "--settle", "0"],
    ] {
        let (engine, records) = refused().await;
        engine.function().deliver(&records).await;
        engine.put("Map", [("MapId", s("m"))]).await;
        // Once a transaction is about the large record, no request about one of its parts alone reaches the engine.
        let number = sequence_number(&records[1]).to_owned();
        let mut ended = false;
        let proxy = Proxy::start(&engine.url, move |request| {
            ended |= request.actions() > 0 && request.body.to_string().contains(&number);
            let part = request.body["Key"]["SequenceNumber"]["S"].as_str().is_some_and(|key| key.contains("#part-"));
            (ended && part).then_some(Fault::Hanging)
        })
        .await;
        let mut running = command(&engine, arguments).env("AWS_ENDPOINT_URL", &proxy.url).spawn().unwrap();
        let left = async {
            while engine.markers().await[sequence_number(&records[1])]["Outcome"] == s("QUARANTINED") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        in_time("the end of the quarantine", left).await;
        running.kill().await.unwrap();
        assert_eq!(parts(&engine).await.len(), 0, "{arguments:?}");
    }
}
