//! Tables on an engine in this process, and the stream records of writes to them.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use ddb_rollup::operate::event;
use ddb_rollup::operate::local::engine::{self, Engine};
use ddb_rollup::operate::stream::{Cursor, DynamoStream, Stream};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

/// An engine with a view table and an idempotency table.
pub struct World {
    pub sdk: SdkConfig,
    pub client: Client,
    engine: Engine,
    /// The engine's own thread. On the benchmark's thread no request could be prepared while the engine works on another
    /// one; with the service it can.
    of_engine: Runtime,
    /// Where the engine's file is, if it has one; removed in the end.
    _folder: Option<TempDir>,
}

/// What an engine keeps its tables in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    Memory,
    /// A file: a request that writes is answered when the disk has it.
    Disk,
}

/// View items before a batch.
#[derive(Debug, Clone, Copy)]
pub struct Maps {
    pub count: usize,
    /// Bytes of a user's attribute on each.
    pub padding: usize,
}

impl World {
    pub async fn begin(storage: Storage, maps: Maps) -> Self {
        let folder = (storage == Storage::Disk).then(|| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        let file = folder.as_ref().map(|folder| folder.path().join("engine.db"));
        let of_engine = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let engine = Engine::serve(engine::open(file.as_deref()).unwrap(), 0);
        let engine = of_engine.spawn(engine).await.unwrap().unwrap();
        let sdk = engine.sdk(None);
        let world = Self { client: Client::new(&sdk), sdk, engine, of_engine, _folder: folder };
        world.create_table("Map", &["MapId"], false).await;
        world.create_table("Idempotency", &["SequenceNumber", "Stream"], false).await;
        for map in 0..maps.count {
            let item = HashMap::from([
                ("MapId".to_owned(), text(&name(map))),
                ("TotalPoints".to_owned(), AttributeValue::N("0".to_owned())),
                ("CategoryCounts".to_owned(), AttributeValue::M(HashMap::new())),
                ("Description".to_owned(), text(&"x".repeat(maps.padding.max(1)))),
            ]);
            world.client.put_item().table_name("Map").set_item(Some(item)).send().await.unwrap();
        }
        world
    }

    pub async fn end(self) {
        drop(self.client);
        self.engine.stop().await;
        // Until all that the engine still frees is freed: nobody is measured beside the end of another one.
        spawn_blocking(move || self.of_engine.shutdown_timeout(Duration::from_secs(10))).await.unwrap();
    }

    pub async fn create_table(&self, name: &str, key: &[&str], stream: bool) {
        let mut request = self.client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        for (attribute, role) in key.iter().zip([KeyType::Hash, KeyType::Range]) {
            let definition =
                AttributeDefinition::builder().attribute_name(*attribute).attribute_type(ScalarAttributeType::S);
            let element = KeySchemaElement::builder().attribute_name(*attribute).key_type(role);
            request = request.attribute_definitions(definition.build().unwrap()).key_schema(element.build().unwrap());
        }
        if stream {
            let stream = StreamSpecification::builder().stream_enabled(true);
            let stream = stream.stream_view_type(StreamViewType::NewAndOldImages).build().unwrap();
            request = request.stream_specification(stream);
        }
        request.send().await.unwrap();
    }

    /// How many points the counters say that there are: in the totals, and in the categories.
    pub async fn counted(&self) -> (i64, i64) {
        let pages = self.client.scan().table_name("Map").into_paginator().items().send();
        let items = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
        let number = |value: &AttributeValue| value.as_n().unwrap().parse::<i64>().unwrap();
        let categories = |item: &HashMap<_, AttributeValue>| {
            item["CategoryCounts"].as_m().unwrap().values().map(number).sum::<i64>()
        };
        (items.iter().map(|item| number(&item["TotalPoints"])).sum(), items.iter().map(categories).sum())
    }
}

pub fn name(map: usize) -> String {
    format!("map-{map}")
}

pub fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// The stream records of so many points put on so many maps, in turn, of so many categories.
pub async fn inserts(points: usize, maps: usize, categories: usize) -> Vec<Value> {
    let category = |point: usize| format!("category-{}", point / maps % categories);
    records_of((0..points).map(|point| (name(point % maps), vec![("Category".to_owned(), text(&category(point)))])))
        .await
}

/// The stream records of points with these texts as attributes, and a weight.
pub async fn inserts_with(points: Vec<Vec<(String, String)>>) -> Vec<Value> {
    let points = points.into_iter().map(|attributes| {
        let texts = attributes.into_iter().map(|(name, value)| (name, text(&value)));
        let weight = ("Weight".to_owned(), AttributeValue::N("3".to_owned()));
        (name(0), texts.chain([weight]).collect())
    });
    records_of(points).await
}

async fn records_of(points: impl Iterator<Item = (String, Vec<(String, AttributeValue)>)>) -> Vec<Value> {
    let world = World::begin(Storage::Memory, Maps { count: 0, padding: 0 }).await;
    world.create_table("Point", &["MapId", "PointId"], true).await;
    let mut written = 0;
    for (number, (map, attributes)) in points.enumerate() {
        let keys = [("MapId".to_owned(), text(&map)), ("PointId".to_owned(), text(&format!("point-{number}")))];
        let item: HashMap<_, _> = attributes.into_iter().chain(keys).collect();
        world.client.put_item().table_name("Point").set_item(Some(item)).send().await.unwrap();
        written += 1;
    }
    let table = world.client.describe_table().table_name("Point").send().await.unwrap().table.unwrap();
    let streams = aws_sdk_dynamodbstreams::Client::new(&world.sdk);
    let stream = DynamoStream::new(streams, table.latest_stream_arn.unwrap());
    let mut records = Vec::new();
    for shard in stream.shards().await.unwrap() {
        let mut cursor = Cursor::default();
        loop {
            let page = stream.read(&shard.id, &mut cursor).await.unwrap();
            if page.records.is_empty() {
                break;
            }
            records.extend(page.records.iter().map(|record| serde_json::from_str(&record.json).unwrap()));
        }
    }
    world.end().await;
    assert_eq!(records.len(), written);
    records
}

/// The event with these records, as Lambda hands it over.
pub fn event(records: &[Value]) -> String {
    let event = serde_json::json!({ "Records": records }).to_string();
    assert!(event.len() <= event::EVENT_BYTES);
    event
}
