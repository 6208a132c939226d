//! What Lambda gave up on, and what quarantine holds, comes back: once.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::command::{run, run_with};
use crate::engine::{Engine, n, s, sequence_number};
use crate::failure_queue::{Queue, pointer};

/// An engine with points that no function has seen.
async fn points(count: usize) -> (Engine, Vec<Value>) {
    let engine = Engine::start().await;
    for point in 0..count {
        engine.put_point(&format!("m{}", point % 2), &format!("p{point}"), Some("Park")).await;
    }
    let records = engine.stream_records().await;
    (engine, records)
}

#[tokio::test]
async fn everything_in_the_stream_is_applied_once() {
    let (engine, _) = points(5).await;
    for (applied, duplicates) in [(5, 0), (0, 5)] {
        let ran = run(&engine, &["replay", "--from-stream", "--json"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let expected = json!({
            "read": 5, "applied": applied, "duplicates": duplicates, "no_effect": 0, "quarantined": 0, "unresolved": 0,
            "gone": [], "view_items_to_repair": [], "foreign_messages": 0, "refused": 0, "views_to_repair": [],
        });
        assert_eq!(ran.json(), expected);
        engine.assert_exact().await;
    }
}

#[tokio::test]
async fn a_file_of_a_failure_destination_is_applied_once() {
    let (engine, records) = points(4).await;
    engine.function().deliver(&records[..1]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("failure.json");
    let document = json!({ "version": "1.0", "payload": json!({ "Records": records }).to_string() });
    std::fs::write(&file, document.to_string()).unwrap();
    for (applied, duplicates) in [(3, 1), (0, 4)] {
        let ran = run(&engine, &["replay", "--from-file", file.to_str().unwrap(), "--json"]).await;
        assert_eq!(
            (ran.code, ran.json()["applied"].clone(), ran.json()["duplicates"].clone()),
            (0, json!(applied), json!(duplicates))
        );
        engine.assert_exact().await;
    }
    let ran = run(&engine, &["replay", "--from-file", "no such file"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("no such file"), "{}", ran.err);
}

#[tokio::test]
async fn a_file_of_records_without_creation_times_is_refused_until_they_are_said_to_be_recent() {
    let (engine, mut records) = points(4).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("failure.json");
    records[1]["dynamodb"].as_object_mut().unwrap().remove("ApproximateCreationDateTime");
    records[3]["dynamodb"]["ApproximateCreationDateTime"] = json!("yesterday");
    std::fs::write(&file, json!({ "Records": records }).to_string()).unwrap();
    let replay = ["replay", "--json", "--from-file", file.to_str().unwrap()];
    let ran = run(&engine, &replay).await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("2 of the 4 records") && ran.err.contains("--assume-recent"), "{}", ran.err);
    assert_eq!(engine.everything().await, Default::default(), "nothing is applied before");

    let ran = run(&engine, &[&replay[..], &["--assume-recent"]].concat()).await;
    assert_eq!((ran.code, ran.json()["applied"].clone()), (0, json!(4)), "{ran:?}");
    engine.assert_exact().await;
    assert_eq!(
        run(&engine, &["replay", "--from-stream", "--assume-recent"]).await.code,
        2,
        "only a file has such records"
    );
}

#[tokio::test]
async fn quarantine_is_listed_replayed_and_left_for_good() {
    let (engine, records) = points(6).await;
    engine.put("Map", [("MapId", s("m0")), ("TotalPoints", s("broken"))]).await;
    engine.function().deliver(&records).await;
    let ran = run(&engine, &["quarantine", "list", "--json"]).await;
    assert_eq!(ran.code, 1, "something was found");
    let list = ran.json()["quarantined"].clone();
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!(list[0]["record"], records[0]);
    assert_eq!(list[0]["sequence_number"], json!(sequence_number(&records[0])));
    assert_eq!(list[0]["stream"], records[0]["eventSourceARN"]);
    assert!(list[0]["reason"].as_str().unwrap().contains("TotalPoints"));
    assert!(list[0]["recorded_at"].as_str().unwrap().ends_with('Z'));

    // The cause is still there: nothing is applied, nothing is lost.
    let ran = run(&engine, &["quarantine", "replay", "--all", "--json"]).await;
    assert_eq!((ran.code, ran.json()["quarantined"].clone()), (1, json!(3)), "{ran:?}");
    assert_eq!(run(&engine, &["quarantine", "list", "--json"]).await.json()["quarantined"], list);

    // The cause is mended: one record by its number, then the rest.
    engine.put("Map", [("MapId", s("m0"))]).await;
    let number = sequence_number(&records[2]);
    let ran = run(&engine, &["quarantine", "replay", "--sequence-number", number, "--json"]).await;
    assert_eq!((ran.code, ran.json()["applied"].clone(), ran.json()["read"].clone()), (0, json!(1), json!(1)));
    let ran = run(&engine, &["quarantine", "replay", "--all"]).await;
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("2 records read: 2 applied"), "{}", ran.out);
    engine.assert_exact().await;
    assert_eq!(run(&engine, &["quarantine", "list"]).await.code, 0);
    let markers = engine.markers().await;
    assert!(markers.values().all(|marker| marker["Outcome"] == s("APPLIED") && marker.contains_key("ExpiresAt")));

    // Lambda's delivery, late, and the replay again: nothing moves.
    let before = engine.everything().await;
    engine.function().deliver(&records).await;
    run(&engine, &["quarantine", "replay", "--all"]).await;
    run(&engine, &["replay", "--from-stream"]).await;
    assert_eq!(engine.everything().await, before);
}

#[tokio::test]
async fn a_replay_from_the_stream_ends_a_quarantine_whose_cause_is_mended() {
    let (engine, records) = points(4).await;
    engine.put("Map", [("MapId", s("m0")), ("CategoryCounts", n(1))]).await;
    engine.function().deliver(&records).await;
    let ran = run(&engine, &["replay", "--from-stream", "--json"]).await;
    assert_eq!(
        (ran.code, ran.json()["quarantined"].clone(), ran.json()["duplicates"].clone()),
        (1, json!(2), json!(2))
    );
    engine.put("Map", [("MapId", s("m0"))]).await;
    let ran = run(&engine, &["replay", "--from-stream", "--json"]).await;
    assert_eq!((ran.code, ran.json()["applied"].clone()), (0, json!(2)));
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_discarded_record_never_counts() {
    let (engine, records) = points(4).await;
    engine.put("Map", [("MapId", s("m0")), ("TotalPoints", s("broken"))]).await;
    engine.function().deliver(&records).await;
    let ran = run(&engine, &["quarantine", "discard", "--reason", "no such reason", "--json"]).await;
    assert_eq!((ran.code, ran.json()), (0, json!({ "discarded": 0 })));
    let ran = run(&engine, &["quarantine", "discard", "--reason", "TotalPoints", "--json"]).await;
    assert_eq!((ran.code, ran.json()), (0, json!({ "discarded": 2 })));
    engine.put("Map", [("MapId", s("m0"))]).await;
    engine.function().deliver(&records).await;
    run(&engine, &["replay", "--from-stream"]).await;
    assert_eq!(engine.counters("m0").await.unwrap().total, 0);
    let mut markers: Vec<_> = engine.markers().await.into_values().collect();
    markers.retain(|marker| marker["Outcome"] == s("DISCARDED"));
    assert_eq!(markers.len(), 2);
    assert!(markers.iter().all(|marker| matches!(marker["ExpiresAt"], AttributeValue::N(_))));
}

#[tokio::test]
async fn what_to_replay_or_discard_is_said_on_purpose() {
    let engine = Engine::start().await;
    for arguments in [
        &["replay"][..],
        &["replay", "--from-stream", "--from-file", "x"],
        &["quarantine"],
        &["quarantine", "replay"],
        &["quarantine", "discard"],
        &["quarantine", "discard", "--all", "--reason", "x"],
        &["quarantine", "list", "--since", "yesterday"],
        &["replay", "--from-steam"],
    ] {
        let ran = run(&engine, arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {ran:?}");
        assert!(!ran.err.is_empty());
    }
}

#[tokio::test]
async fn pointers_of_the_failure_queue_are_followed_and_deleted_once_their_records_are_dealt_with() {
    let (engine, records) = points(9).await;
    let shard = engine.shard().await;
    let stream = &records[0]["eventSourceARN"];
    let queue = Queue::default();
    let gone = pointer(&records[5..7], &shard, &json!(stream.as_str().unwrap().replace("/Point/", "/Dropped/")));
    let foreign = "{\"hello\":\"world\"}".to_owned();
    queue.put([
        pointer(&records[..3], &shard, stream),
        gone.clone(),
        foreign.clone(),
        pointer(&records[2..5], &shard, stream),
    ]);
    let url = queue.serve().await;
    let queue_url = format!("{url}/000000000000/failures");
    let replay = async || {
        run_with(
            &engine,
            &["replay", "--from-queue", &queue_url, "--settle", "0.1", "--json"],
            &[("AWS_ENDPOINT_URL_SQS", url.as_str())],
        )
        .await
    };
    let ran = replay().await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let report = ran.json();
    assert_eq!((&report["read"], &report["applied"], &report["duplicates"]), (&json!(6), &json!(5), &json!(1)));
    assert_eq!((report["gone"][0]["records"].clone(), report["foreign_messages"].clone()), (json!(2), json!(1)));
    assert_eq!(queue.left(), [gone, foreign], "what is not dealt with stays");
    assert_eq!(engine.markers().await.len(), 5);

    queue.clear();
    queue.put([pointer(&records, &shard, stream)]);
    let ran = replay().await;
    assert_eq!((ran.code, ran.json()["applied"].clone(), ran.json()["duplicates"].clone()), (0, json!(4), json!(5)));
    assert!(queue.left().is_empty());
    engine.assert_exact().await;
}

#[tokio::test]
async fn records_that_are_gone_from_the_stream_name_the_view_items_to_repair() {
    let (engine, records) = points(4).await;
    engine.function().deliver(&records).await;
    // As if a record of this map had been trimmed before it was applied.
    let lowered = engine.db.update_item().table_name("Map").key("MapId", s("m1"));
    lowered
        .update_expression("SET TotalPoints = TotalPoints - :one")
        .expression_attribute_values(":one", n(1))
        .send()
        .await
        .unwrap();
    let shard = engine.shard().await;
    let queue = Queue::default();
    let dropped = json!(records[0]["eventSourceARN"].as_str().unwrap().replace("/Point/", "/Dropped/"));
    queue.put([pointer(&records[..1], &shard, &dropped)]);
    let url = queue.serve().await;
    let queue_url = format!("{url}/000000000000/failures");
    for (flags, expected) in [
        (&["--json"][..], "\"view_items_to_repair\":[\"m1\"]"),
        (&[], "from a recount: m1. To set their counters:\n    ddb-rollup repair\n"),
    ] {
        let arguments = [&["replay", "--from-queue", queue_url.as_str(), "--settle", "0.1"], flags].concat();
        let ran = run_with(&engine, &arguments, &[("AWS_ENDPOINT_URL_SQS", url.as_str())]).await;
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.out.contains(expected), "{ran:?}");
    }
}
