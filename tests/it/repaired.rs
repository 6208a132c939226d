//! What a repair sets stays set: records in quarantine, and records that are replayed from elsewhere.

use std::process::Stdio;

use ddb_rollup::rollup::model::definition::{self, Defaults};
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use serde_json::{Value, json};

use crate::audit::{audit, numbers, points, settled, switch_stream};
use crate::command::{Ran, command, run, run_with};
use crate::engine::{Engine, n, s};
use crate::request_hook::{hang_after, until_hung};

/// An engine with a point on `m0`, whose counters take nothing: its record is in quarantine.
async fn poisoned() -> Engine {
    let (engine, _) = points(6, 6).await;
    engine.put("Map", [("MapId", s("m0")), ("TotalPoints", s("broken"))]).await;
    engine.put_point("m0", "new", Some("Bar")).await;
    let records = engine.stream_records().await;
    engine.function().deliver(&records).await;
    engine
}

async fn add_to_total(engine: &Engine, map: &str, amount: i64) {
    let update = engine.db.update_item().table_name("Map").key("MapId", s(map));
    update.update_expression("ADD TotalPoints :v").expression_attribute_values(":v", n(amount)).send().await.unwrap();
}

pub async fn quarantined(engine: &Engine) -> usize {
    engine.markers().await.into_values().filter(|marker| marker.get("Outcome") == Some(&s("QUARANTINED"))).count()
}

#[tokio::test]
async fn a_repair_that_is_killed_before_it_applies_the_quarantine_is_gone_on_with() {
    let engine = poisoned().await;
    let (url, mut hung) = hang_after(&engine.url, "TransactWriteItems", 1).await;
    let arguments = ["repair", "--settle", "0", "--endpoint-url", &url];
    let mut killed = command(&engine, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until_hung(&mut killed, &mut hung).await;
    killed.kill().await.unwrap();
    assert_eq!(
        (engine.counters("m0").await.unwrap().total, quarantined(&engine).await),
        (2, 1),
        "set, and not applied"
    );
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (1, [3, 2, 1, 0, 0, 1]), "{ran:?}");

    let ran = settled(&engine, "repair", &[]).await;
    let json = ran.json();
    assert_eq!((ran.code, &json["repaired"], &json["applied_from_quarantine"]), (0, &json!(0), &json!(1)), "{ran:?}");
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_counter_that_was_tampered_with_by_as_much_as_is_waiting_is_set() {
    let (engine, records) = points(6, 5).await;
    let map = records[5]["dynamodb"]["Keys"]["MapId"]["S"].as_str().unwrap();
    let mut late = records[5].clone();
    late["dynamodb"]["ApproximateCreationDateTime"] = json!(1_500_000_000);
    engine.function().deliver(&[late]).await;
    add_to_total(&engine, map, 1).await;
    let ran = settled(&engine, "repair", &[]).await;
    assert_eq!((ran.code, ran.json()["closed"].clone()), (0, json!(1)), "{ran:?}");
    engine.function().deliver(&records).await;
    engine.assert_exact().await;
}

/// A file with records as a failure destination in S3 keeps them.
async fn replay_from_file(engine: &Engine, records: &[Value], more: &[&str]) -> Ran {
    let payload = json!({ "payload": json!({ "Records": records }).to_string() });
    let file = std::env::temp_dir().join(format!("repaired-{}-{:p}.json", std::process::id(), engine));
    std::fs::write(&file, payload.to_string()).unwrap();
    let arguments = ["replay", "--json", "--from-file", file.to_str().unwrap()];
    run(engine, &[&arguments, more].concat()).await
}

/// An engine whose last record was never applied and is in no stream any more, and that was repaired since.
async fn repaired_since(scope: &[&str]) -> (Engine, Vec<Value>) {
    let (engine, records) = points(6, 5).await;
    switch_stream(&engine, false).await;
    let ran = settled(&engine, "repair", scope).await;
    assert_eq!((ran.code, ran.json()["repaired"].clone()), (0, json!(1)), "{ran:?}");
    switch_stream(&engine, true).await;
    (engine, records)
}

#[tokio::test]
async fn a_payload_of_before_a_repair_is_refused_and_counts_once() {
    for scope in [&[][..], &["--view", "default"], &["--item", "m2"]] {
        let (engine, records) = repaired_since(scope).await;
        engine.assert_exact().await;
        let ran = replay_from_file(&engine, &records, &[]).await;
        let json = ran.json();
        let told = ["read", "applied", "duplicates", "refused"].map(|name| json[name].as_u64().unwrap());
        assert_eq!((ran.code, told), (1, [6, 0, 5, 1]), "{ran:?}");
        assert_eq!(json["views_to_repair"], json!(["default"]));
        engine.assert_exact().await;
        // One that does not say when it was created may be as old.
        let mut undated = records[5].clone();
        undated["dynamodb"].as_object_mut().unwrap().remove("ApproximateCreationDateTime");
        let ran = replay_from_file(&engine, &[undated], &["--assume-recent"]).await;
        assert_eq!((ran.code, &ran.json()["refused"]), (1, &json!(1)), "{ran:?}");
        engine.assert_exact().await;
    }
}

#[tokio::test]
async fn what_was_written_after_a_repair_or_elsewhere_is_replayed() {
    let (engine, records) = repaired_since(&["--item", "m2"]).await;
    let mut later = records[5].clone();
    later["dynamodb"]["ApproximateCreationDateTime"] = json!(chrono::Utc::now().timestamp() + 60);
    later["dynamodb"]["SequenceNumber"] = json!("999999999999999999999");
    let ran = replay_from_file(&engine, &[later], &[]).await;
    assert_eq!((ran.code, &ran.json()["applied"]), (0, &json!(1)), "{ran:?}");
    let mut elsewhere = records[4].clone();
    elsewhere["dynamodb"]["SequenceNumber"] = json!("999999999999999999998");
    let ran = replay_from_file(&engine, &[elsewhere], &[]).await;
    assert_eq!((ran.code, &ran.json()["applied"]), (0, &json!(1)), "{ran:?}");
}

/// Two views of the points, by map and by category.
fn two_views() -> String {
    json!({ "views": [
        { "name": "maps", "key": [{ "attribute": "MapId", "type": "S" }],
          "measures": { "TotalPoints": "count", "CategoryCounts": "count by Category" } },
        { "name": "kinds", "table": "Kind", "key": [{ "attribute": "Category", "type": "S" }], "measures": { "Points": "count" } },
    ] })
    .to_string()
}

async fn with_two_views(engine: &Engine, arguments: &[&str]) -> Ran {
    let settings = two_views();
    let arguments = [arguments, &["--json"]].concat();
    run_with(engine, &arguments, &[("ROLLUP_VIEW_DEFINITION", &settings)]).await
}

/// Points of two views, counted; then one that is delivered by a record made of it, after `m0` was broken if it is to be.
async fn counted_in_two_views(record: impl Fn(&mut Value), breaks: bool) -> Engine {
    let engine = Engine::start().await;
    engine.create_table("Kind", &["Category"], false).await;
    let defaults = Defaults { source_table: "Point", view_table: "Map", on_missing: OnMissingViewItem::Create };
    let definition = definition::read(&two_views(), &defaults).unwrap();
    let function = engine.function_with(|config| config.definition = definition);
    for point in ["p", "q"] {
        engine.put_point("m0", point, Some("Bar")).await;
    }
    function.deliver(&engine.stream_records().await).await;
    if breaks {
        engine.put("Map", [("MapId", s("m0")), ("TotalPoints", s("broken"))]).await;
    }
    engine.put_point("m0", "r", Some("Bar")).await;
    let mut last = engine.stream_records().await.pop().unwrap();
    record(&mut last);
    function.deliver(&[last]).await;
    assert_eq!(quarantined(&engine).await, 1);
    engine
}

/// The counters of both views.
async fn both(engine: &Engine) -> (i64, i64) {
    let kind = engine.scan("Kind").await.remove(0);
    (engine.counters("m0").await.unwrap().total, kind["Points"].as_n().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_repair_of_one_view_applies_a_record_of_two_to_both() {
    let engine = counted_in_two_views(|_| {}, true).await;
    assert_eq!(engine.scan("Kind").await[0]["Points"], n(2));
    let ran = with_two_views(&engine, &["repair", "--view", "maps", "--settle", "0"]).await;
    assert_eq!((ran.code, &ran.json()["applied_from_quarantine"]), (0, &json!(1)), "{ran:?}");
    assert_eq!(both(&engine).await, (3, 3));
    let ran = with_two_views(&engine, &["quarantine", "replay", "--all"]).await;
    assert_eq!((ran.code, &ran.json()["read"]), (0, &json!(0)), "{ran:?}");
    let ran = with_two_views(&engine, &["audit", "--settle", "0"]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [2, 2, 0, 0, 0, 0]), "{ran:?}");
}

#[tokio::test]
async fn an_expired_record_of_two_views_is_closed_when_both_are_repaired() {
    let expired = |record: &mut Value| record["dynamodb"]["ApproximateCreationDateTime"] = json!(1_500_000_000);
    let engine = counted_in_two_views(expired, false).await;
    let ran = with_two_views(&engine, &["repair", "--view", "maps", "--settle", "0"]).await;
    assert_eq!((ran.code, &ran.json()["closed"]), (1, &json!(0)), "{ran:?}");
    assert_eq!((both(&engine).await, quarantined(&engine).await), ((3, 2), 1));
    with_two_views(&engine, &["quarantine", "replay", "--all"]).await;
    with_two_views(&engine, &["replay", "--from-stream"]).await;
    assert_eq!((both(&engine).await, quarantined(&engine).await), ((3, 2), 1));
    let ran = with_two_views(&engine, &["repair", "--settle", "0"]).await;
    assert_eq!((ran.code, &ran.json()["closed"]), (0, &json!(1)), "{ran:?}");
    assert_eq!((both(&engine).await, quarantined(&engine).await), ((3, 3), 0));
}

#[tokio::test]
async fn a_record_that_could_not_be_read_when_it_was_repaired_over_is_not_replayed_later() {
    let engine =
        counted_in_two_views(|record| record["dynamodb"]["ApproximateCreationDateTime"] = json!(1), false).await;
    // As if a later release could apply it.
    let marker = engine.markers().await.into_values().find(|marker| marker["Outcome"] == s("QUARANTINED")).unwrap();
    let recent = engine.stream_records().await.pop().unwrap().to_string();
    let update = engine.db.update_item().table_name("Idempotency");
    let update = update.key("SequenceNumber", marker["SequenceNumber"].clone()).key("Stream", marker["Stream"].clone());
    let update = update.update_expression("SET #record = :record, Reason = :reason");
    let update =
        update.expression_attribute_names("#record", "Record").expression_attribute_values(":record", s(&recent));
    update.expression_attribute_values(":reason", s("not a stream record: odd")).send().await.unwrap();
    let ran = with_two_views(&engine, &["repair", "--view", "kinds", "--settle", "0"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(both(&engine).await, (2, 3));
    let ran = with_two_views(&engine, &["quarantine", "replay", "--all"]).await;
    assert_eq!((ran.code, &ran.json()["refused"]), (1, &json!(1)), "{ran:?}");
    assert_eq!(both(&engine).await, (2, 3), "it is in one of the two already");
    let ran = with_two_views(&engine, &["repair", "--settle", "0"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!((both(&engine).await, quarantined(&engine).await), ((3, 3), 0));
}
