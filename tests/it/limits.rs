//! Large batches, and how many requests they take.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use ddb_rollup::commit::{FoundMarkers, LookedUp, Store};
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::randomness::OsRandomness;
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::record::RecordId;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::Transaction;
use ddb_rollup::rollup::pipeline::verdict::Failure;
use ddb_rollup::store::DynamoStore;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::engine::{Engine, s};

/// A store that counts the transactions. One that is sent again, as on a busy machine, has its token and counts once.
struct Counting<'c> {
    store: DynamoStore,
    tokens: &'c Mutex<HashSet<Uuid>>,
}

impl Store for Counting<'_> {
    fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> impl Future<Output = Result<(), Failure>> + Send {
        self.tokens.lock().unwrap().insert(token);
        self.store.transact(transaction, token)
    }

    fn view_item(&self, key: &ViewKey) -> impl Future<Output = Result<Option<Item>, Failure>> + Send {
        self.store.view_item(key)
    }

    fn look_up(&self, keys: &[ViewKey]) -> impl Future<Output = Result<LookedUp, Failure>> + Send {
        self.store.look_up(keys)
    }

    async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        self.store.look_up_markers(ids).await
    }
}

/// `count` inserts over `maps` maps: one real record, over and over, with other keys and numbers.
pub async fn inserts(engine: &Engine, count: usize, maps: usize) -> Vec<Value> {
    engine.put_point("m", "p", Some("Park")).await;
    let record = engine.stream_records().await.remove(0);
    let nth = |number: usize| {
        let (map, point) = (format!("map{}", number % maps), format!("point{number}"));
        let keys = json!({"MapId": {"S": map}, "PointId": {"S": point}});
        let mut record = record.clone();
        record["eventID"] = json!(format!("event{number}"));
        record["dynamodb"]["SequenceNumber"] = json!(format!("{:021}", number + 1_000));
        record["dynamodb"]["Keys"] = keys.clone();
        record["dynamodb"]["NewImage"] = keys;
        record["dynamodb"]["NewImage"]["Category"] = json!({"S": format!("Category {}", number % 7)});
        record
    };
    (0..count).map(nth).collect()
}

/// Delivers a batch and tells how many requests to commit that took.
async fn transactions(engine: &Engine, records: &[Value]) -> usize {
    let tokens = Mutex::default();
    let config = Config::of(Tables::default()).unwrap();
    let store = DynamoStore::new(&engine.sdk, config.definition.clone(), &config.idempotency_table);
    let rollup = Rollup::new(config, Counting { store, tokens: &tokens }, OsRandomness);
    let event = json!({ "Records": records }).to_string();
    let invocation = Invocation { request_id: "r".into(), now: chrono::Utc::now(), time_left: Duration::from_mins(2) };
    let response = rollup.handle(&event, &invocation).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    tokens.into_inner().unwrap().len()
}

/// The requests that so many records over so many view items may take: one in twenty more than can hold the actions.
pub fn allowed(records: usize, maps: usize) -> usize {
    ((records + maps) * 105).div_ceil(100 * 100)
}

#[tokio::test]
async fn ten_thousand_records_of_one_batch_take_few_requests() {
    let engine = Engine::start().await;
    let maps = 20;
    for map in 0..maps {
        let empty = aws_sdk_dynamodb::types::AttributeValue::M([].into());
        engine.put("Map", [("MapId", s(&format!("map{map}"))), ("CategoryCounts", empty)]).await;
    }
    let records = inserts(&engine, 10_000, maps).await;
    let requests = transactions(&engine, &records).await;
    let counters = engine.all_counters().await;
    assert_eq!(counters.values().map(|counters| counters.total).sum::<i64>(), 10_000);
    assert!(counters.values().all(|counters| counters.total == counters.categories.values().sum::<i64>()));
    assert_eq!(engine.markers().await.len(), 10_000);
    let bound = allowed(10_000, maps);
    assert!(requests <= bound, "{requests} requests, {bound} allowed");
}

#[tokio::test]
async fn small_batches_fill_their_transactions_too() {
    for (records, maps) in [(1, 1), (99, 1), (100, 1), (100, 20), (500, 100), (1_000, 20), (200, 200)] {
        let engine = Engine::start().await;
        for map in 0..maps {
            let empty = aws_sdk_dynamodb::types::AttributeValue::M([].into());
            engine.put("Map", [("MapId", s(&format!("map{map}"))), ("CategoryCounts", empty)]).await;
        }
        let batch = inserts(&engine, records, maps).await;
        let requests = transactions(&engine, &batch).await;
        let bound = allowed(records, maps);
        assert!(requests <= bound, "{records} records over {maps} maps: {requests} requests, {bound} allowed");
        let again = transactions(&engine, &batch).await;
        assert!(again <= 2, "a replay meets one duplicate, and looks the others up: {again}");
    }
}

#[tokio::test]
async fn an_invocation_without_time_reports_its_first_record() {
    let engine = Engine::start().await;
    let records = inserts(&engine, 300, 3).await;
    let event = json!({ "Records": records }).to_string();
    let failed = engine.function().invoke(&event, Duration::ZERO).await.unwrap();
    assert_eq!(failed.as_deref(), Some("000000000000000001000"));
    assert_eq!(engine.function().invoke(&event, Duration::from_mins(1)).await.unwrap(), None);
    let total: i64 = engine.all_counters().await.values().map(|counters| counters.total).sum();
    assert_eq!(total, 300);
}

#[tokio::test]
async fn an_engine_that_never_answers_does_not_hold_an_invocation_past_its_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let engine = Engine::start().await;
    let records = inserts(&engine, 3, 1).await;
    let config = Config::of(Tables::default()).unwrap();
    let store =
        DynamoStore::new(&crate::engine::sdk(&silent, "local"), config.definition.clone(), &config.idempotency_table);
    let rollup = Rollup::new(config, store, OsRandomness);
    let event = json!({ "Records": records }).to_string();
    let time_left = Duration::from_secs(1);
    let invocation = Invocation { request_id: "r".into(), now: chrono::Utc::now(), time_left };
    let response = tokio::time::timeout(time_left, rollup.handle(&event, &invocation)).await;
    let failures = response.expect("the response comes before the deadline").unwrap().batch_item_failures;
    assert_eq!(failures[0].item_identifier.as_deref(), Some("000000000000000001000"));
}
