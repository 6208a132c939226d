//! Migrations of live data, beside a function that goes on.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::operate::args::Pace;
use ddb_rollup::operate::migrate::Migrator;
use ddb_rollup::operate::migrate::report::MigrationReport;
use ddb_rollup::operate::migrate::steps::LiveTables;
use ddb_rollup::operate::stop;
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::view::{Measure, View};
use serde_json::{Value, json};

use crate::command::run;
use crate::engine::{Engine, Item, n, s, text};

/// Applied, quarantined and discarded markers, and maps without counters and with them.
async fn mixed_data() -> Engine {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("broken")), ("TotalPoints", s("broken"))]).await;
    for (map, category) in [("m", Some("Park")), ("broken", Some("Zoo")), ("m", None), ("broken", None)] {
        engine.put_point(map, &format!("{category:?}"), category).await;
    }
    engine.function().deliver(&engine.stream_records().await).await;
    let number = text(&quarantined(&engine).await[0]["SequenceNumber"]);
    assert_eq!(run(&engine, &["quarantine", "discard", "--sequence-number", &number]).await.code, 0);
    engine.put("Map", [("MapId", s("broken"))]).await;
    engine.put("Map", [("MapId", s("untouched")), ("City", s("Seattle"))]).await;
    engine
}

async fn quarantined(engine: &Engine) -> Vec<Item> {
    let mut markers = engine.scan("Idempotency").await;
    markers.retain(|marker| marker["Outcome"] == s("QUARANTINED"));
    markers
}

/// What is in the idempotency table besides markers.
pub async fn history(engine: &Engine) -> BTreeMap<String, Item> {
    let items = engine.scan("Idempotency").await.into_iter().filter(|item| item["SequenceNumber"] == s("migration"));
    items.map(|item| (format!("{} {}", text(&item["SequenceNumber"]), text(&item["Stream"])), item)).collect()
}

pub async fn markers(engine: &Engine) -> Vec<Item> {
    engine.scan("Idempotency").await.into_iter().filter(|item| item.contains_key("Outcome")).collect()
}

/// What this build carries, without waiting for a stream that has no delay here.
pub fn migrator(engine: &Engine, config: Config) -> Migrator {
    let pace = Pace { settle: Duration::ZERO, ..Pace::default() };
    Migrator::new(LiveTables::new(engine.sdk.clone(), config, pace, "ann".to_owned())).unwrap()
}

#[tokio::test]
async fn what_view_items_lack_is_made_once() {
    let engine = mixed_data().await;
    let before = markers(&engine).await;
    let closed = text(&quarantined(&engine).await[0]["SequenceNumber"]);
    let ran = run(&engine, &["migrate", "--by", "ann", "--json", "--settle", "0"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let outcome = |place: usize| {
        let one = ran.json()["migrations"][place].clone();
        (one["name"].clone(), one["outcome"].clone(), one["looked_at"].clone(), one["changed"].clone())
    };
    assert_eq!(outcome(0), (json!("counter_maps_of_view_items"), json!("applied"), json!(3), json!(2)));
    assert!(ran.err.contains("V1__counter_maps_of_view_items: 3 items examined, 2 to change"), "{}", ran.err);

    let mut after = markers(&engine).await;
    after.retain(|marker| marker["Outcome"] != s("REPAIRED"));
    let by_number = |items: Vec<Item>| -> BTreeMap<_, _> {
        items.into_iter().map(|item| (text(&item["SequenceNumber"]), item)).collect()
    };
    let (mut after, mut before) = (by_number(after), by_number(before));
    let (repaired, _) = (after.remove(&closed).unwrap(), before.remove(&closed).unwrap());
    assert_eq!(repaired["Outcome"], s("APPLIED"), "what was in quarantine is in the counters now");
    assert_eq!(after, before, "nothing else of a marker changed");
    engine.assert_exact().await;

    let maps: BTreeMap<_, _> = engine.scan("Map").await.into_iter().map(|map| (text(&map["MapId"]), map)).collect();
    assert_eq!(maps["m"]["RollupVersion"], n(1), "what has its maps is not touched");
    let empty = AttributeValue::M(HashMap::new());
    let untouched =
        [("MapId", s("untouched")), ("City", s("Seattle")), ("CategoryCounts", empty), ("RollupVersion", n(1))];
    assert_eq!(maps["untouched"], untouched.map(|(name, value)| (name.to_owned(), value)).into());

    let applied = history(&engine).await;
    assert_eq!(applied.keys().collect::<Vec<_>>(), ["migration Map#V0001", "migration Map#V0002"]);
    let first = &applied["migration Map#V0001"];
    assert_eq!((&first["AppliedBy"], &first["Name"]), (&s("ann"), &s("counter_maps_of_view_items")));
    assert!(text(&first["AppliedAt"]).parse::<DateTime<Utc>>().is_ok());
    assert!(!first.contains_key("ExpiresAt"), "what was applied is kept for good");

    let before = engine.everything().await;
    let again = run(&engine, &["migrate"]).await;
    assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (0, "nothing to apply\n", ""));
    assert_eq!(engine.everything().await, before);

    // Nothing is in quarantine that a replay could count once more.
    let ran = run(&engine, &["quarantine", "replay", "--all", "--json"]).await;
    assert_eq!((ran.code, ran.json()["read"].clone()), (0, json!(0)), "{ran:?}");
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_view_item_gets_exactly_the_maps_that_it_lacks() {
    let engine = Engine::start().await;
    let default = View::points_of_maps("Point", "Map").unwrap();
    let by = |attribute: &str| Measure::parse(attribute, "count by Category").unwrap();
    let view = View::new("Point", "Map", None, default.key().to_vec(), vec![by("A"), by("B")]).unwrap();
    let map = |group: &str| AttributeValue::M(HashMap::from([(group.to_owned(), n(7))]));
    let empty = || AttributeValue::M(HashMap::new());
    engine.put("Map", [("MapId", s("neither"))]).await;
    engine.put("Map", [("MapId", s("only a")), ("A", map("Park")), ("RollupVersion", n(4))]).await;
    engine.put("Map", [("MapId", s("only b")), ("B", map("Park"))]).await;
    engine.put("Map", [("MapId", s("both")), ("A", map("Park")), ("B", map("Zoo")), ("RollupVersion", n(9))]).await;
    let definition = Definition::new(vec![view]).unwrap();
    let config = Config { definition, ..Config::of(Tables::default()).unwrap() };
    let mut migrator = migrator(&engine, config);
    // What the maps hold is not what the points come to, and is to be found again.
    migrator.wanted.truncate(1);
    let (_stopper, stop) = stop::stop();
    migrator.apply(&mut MigrationReport::new(false, String::new()), &stop).await.unwrap();
    let maps: BTreeMap<_, _> = engine.scan("Map").await.into_iter().map(|map| (text(&map["MapId"]), map)).collect();
    let shape = |id: &str| (maps[id]["A"].clone(), maps[id]["B"].clone(), maps[id]["RollupVersion"].clone());
    assert_eq!(shape("neither"), (empty(), empty(), n(1)));
    assert_eq!(shape("only a"), (map("Park"), empty(), n(5)));
    assert_eq!(shape("only b"), (empty(), map("Park"), n(1)));
    assert_eq!(shape("both"), (map("Park"), map("Zoo"), n(9)));
}

#[tokio::test]
async fn beside_a_live_function_counters_stay_exact_and_no_marker_is_lost() {
    let engine = Engine::start().await;
    for map in 0..40 {
        engine.put("Map", [("MapId", s(&format!("m{map}"))), ("City", s("Seattle"))]).await;
    }
    for point in 0..240 {
        engine.put_point(&format!("m{}", point % 30), &format!("p{point}"), Some(["Park", "Zoo"][point % 2])).await;
    }
    let records = engine.stream_records().await;
    let function = engine.function();
    function.deliver(&records[..60]).await;
    let live = async {
        for batch in records[60..].chunks(12) {
            function.deliver(batch).await;
            function.deliver(batch).await;
        }
    };
    let (ran, ()) = tokio::join!(run(&engine, &["migrate", "--json", "--settle", "0.05"]), live);
    assert_eq!(ran.code, 0, "{ran:?}");
    engine.assert_exact().await;
    let markers = markers(&engine).await;
    assert_eq!(markers.len(), records.len());
    assert!(engine.scan("Map").await.iter().all(|map| matches!(map["CategoryCounts"], AttributeValue::M(_))));

    // A late delivery finds its markers.
    let before = engine.everything().await;
    function.deliver(&records).await;
    assert_eq!(engine.everything().await, before);
}

#[tokio::test]
async fn an_edited_and_a_missing_migration_are_refused_by_name() {
    let engine = Engine::start().await;
    assert_eq!(run(&engine, &["migrate", "--by", "ann"]).await.code, 0);
    let applied = history(&engine).await;
    let attributes = |item: &Item| item.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>();
    let change = async |key: &str, changes: &[(&str, AttributeValue)]| {
        let attributes = attributes(&applied[key]);
        let kept = attributes.iter().map(|(name, value)| (name.as_str(), value.clone()));
        engine.put("Idempotency", kept.chain(changes.iter().cloned()).collect::<HashMap<_, _>>()).await;
    };
    let refused = async |state: &str, number: u32, parts: &[&str]| {
        let status = run(&engine, &["migrate", "status", "--json"]).await;
        assert_eq!(status.code, 1);
        let rows = status.json()["migrations"].as_array().unwrap().clone();
        let row = rows.iter().find(|row| row["number"] == json!(number)).unwrap();
        assert_eq!(row["state"], json!(state), "{status:?}");
        let before = engine.everything().await;
        for arguments in [&["migrate"][..], &["migrate", "--dry-run"]] {
            let ran = run(&engine, arguments).await;
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
            assert!(parts.iter().all(|part| ran.err.contains(part)), "{}", ran.err);
        }
        assert_eq!(engine.everything().await, before);
    };
    change("migration Map#V0001", &[("Checksum", s("another"))]).await;
    refused("edited", 1, &["V1__counter_maps_of_view_items was edited", "by ann", "another", "V2__counters_of"]).await;
    change("migration Map#V0001", &[]).await;
    assert_eq!(run(&engine, &["migrate", "status"]).await.code, 0);
    change("migration Map#V0002", &[("Stream", s("Map#V0042")), ("Number", n(42)), ("Name", s("of_the_future"))]).await;
    refused("missing", 42, &["V42__of_the_future was applied", "this build does not have it", "by ann"]).await;
}

#[tokio::test]
async fn migrations_of_one_view_are_none_of_another_with_a_similar_name() {
    let engine = Engine::start().await;
    engine.create_table("Map2", &["MapId"], false).await;
    assert_eq!(run(&engine, &["migrate", "--view-table", "Map2"]).await.code, 0);
    let status = run(&engine, &["migrate", "status", "--json"]).await.json();
    assert!(status["migrations"].as_array().unwrap().iter().all(|row| row["state"] == json!("pending")), "{status}");
    let arn = "arn:aws:dynamodb:eu-west-1:000000000000:table/Map2";
    assert_eq!(run(&engine, &["migrate", "status", "--view-table", arn]).await.code, 0, "a table is its ARN");
}

#[tokio::test]
async fn a_dry_run_tells_what_would_change_and_writes_nothing() {
    let engine = mixed_data().await;
    let before = engine.everything().await;
    let ran = run(&engine, &["migrate", "--dry-run", "--json", "--settle", "0"]).await;
    assert_eq!(ran.code, 1, "something is pending: {ran:?}");
    let changed: Vec<Value> =
        ran.json()["migrations"].as_array().unwrap().iter().map(|one| one["changed"].clone()).collect();
    assert_eq!((ran.json()["dry_run"].clone(), changed), (json!(true), vec![json!(2), json!(1)]));
    let ran = run(&engine, &["migrate", "--dry-run", "--settle", "0"]).await;
    assert!(ran.out.contains("V1__counter_maps_of_view_items: would be applied; 2 of 3 items would be"), "{}", ran.out);
    assert_eq!(engine.everything().await, before);
    assert_eq!(run(&engine, &["migrate", "--settle", "0"]).await.code, 0);
    let ran = run(&engine, &["migrate", "--dry-run"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "nothing to apply\n"));
}

#[tokio::test]
async fn status_tells_how_every_migration_stands() {
    let engine = Engine::start().await;
    let ran = run(&engine, &["migrate", "status"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("V1    counter_maps_of_view_items  pending\n"), "{}", ran.out);
    assert!(history(&engine).await.is_empty(), "to look is not to write");
    run(&engine, &["migrate", "--by", "ann"]).await;
    let ran = run(&engine, &["--json", "migrate", "status"]).await;
    let first = &ran.json()["migrations"][0];
    assert_eq!((ran.code, &first["state"], &first["applied_by"]), (0, &json!("applied"), &json!("ann")));
    assert_eq!(first["checksum"], first["applied_checksum"]);
    assert_eq!(&ran.json()["refusal"], &Value::Null);
}

#[tokio::test]
async fn a_view_item_that_cannot_be_changed_is_named_and_the_migration_not_recorded() {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("bad")), ("CategoryCounts", n(7))]).await;
    engine.put("Map", [("MapId", s("worse")), ("RollupVersion", s("seven"))]).await;
    engine.put("Map", [("MapId", s("good"))]).await;
    let ran = run(&engine, &["migrate", "--by", "a b", "--concurrency", "3", "--any-definition"]).await;
    let told = "Then, to continue:\n    ddb-rollup migrate --by 'a b' --concurrency 3 --any-definition\n";
    assert!(ran.code == 1 && ran.out.contains("not complete; 1 of 3 items changed\n"), "{ran:?}");
    assert!(ran.out.ends_with(told), "{}", ran.out);
    engine.put("Map", [("MapId", s("good"))]).await;
    let ran = run(&engine, &["migrate", "--json"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let first = ran.json()["migrations"][0].clone();
    assert_eq!((&first["outcome"], &first["changed"]), (&json!("incomplete"), &json!(1)));
    let mut left = first["left"].as_array().unwrap().clone();
    left.sort_by_key(ToString::to_string);
    assert_eq!(left[0], json!({ "key": "bad", "reason": "its CategoryCounts is of type N, not a map" }));
    assert_eq!(left[1], json!({ "key": "worse", "reason": "its RollupVersion is of type S, not a number" }));
    assert_eq!(ran.json()["migrations"].as_array().unwrap().len(), 1, "later ones wait for it");
    assert!(history(&engine).await.is_empty());

    engine.put("Map", [("MapId", s("bad"))]).await;
    engine.put("Map", [("MapId", s("worse"))]).await;
    let ran = run(&engine, &["migrate"]).await;
    assert_eq!((ran.code, ran.out.contains("V1__counter_maps_of_view_items: applied; 2 of 3")), (0, true), "{ran:?}");
}

#[tokio::test]
async fn without_a_table_it_is_said_which_and_nothing_is_recorded() {
    let engine = Engine::start().await;
    let ran = run(&engine, &["migrate", "--idempotency-table", "Elsewhere"]).await;
    assert_eq!((ran.code, ran.err.contains("Elsewhere")), (2, true), "{ran:?}");
    let ran = run(&engine, &["migrate", "--view-table", "Nowhere"]).await;
    assert_eq!((ran.code, ran.err.contains("Nowhere")), (2, true), "{ran:?}");
    assert!(history(&engine).await.is_empty());
    let ran = run(&engine, &["migrate", "--source-table", "Elsewhere"]).await;
    assert_eq!((ran.code, ran.err.contains("Elsewhere")), (2, true), "{ran:?}");
    assert!(history(&engine).await.is_empty());
}
