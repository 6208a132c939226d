//! Ways to count the points of a map: the roll-up, and what people write instead.
//!
//! All of them read the same event, talk to the same engine through the same SDK, and have the same number of requests in
//! flight. What the others lack besides speed: plain updates count a record that is delivered twice twice, and so does the
//! idempotency store where a function dies between the update and the completion.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use chrono::Utc;
use ddb_rollup::commit::{FoundMarkers, LookedUp, Randomness, Store};
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::randomness::OsRandomness;
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::marker::{Guard, Stamp};
use ddb_rollup::rollup::model::record::RecordId;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::coalesce::{Batch, Found, coalesce};
use ddb_rollup::rollup::pipeline::delta::{Retention, effect};
use ddb_rollup::rollup::pipeline::parse::{Parsed, parse};
use ddb_rollup::rollup::pipeline::plan::{self, Setting, Transaction};
use ddb_rollup::rollup::pipeline::verdict::Failure;
use ddb_rollup::rollup::pipeline::view_item::Shape;
use ddb_rollup::store::DynamoStore;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use crate::IN_FLIGHT;
use crate::world::{World, text};

/// One way to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contestant {
    /// The whole handler.
    Rollup,
    /// The transactions that the roll-up planned, sent and nothing else.
    PlannedTransactions,
    /// An update of the total and one of the category, for each record. Not idempotent.
    TwoUpdates,
    /// A marker and both counters in a transaction, for each record.
    TransactionAnEvent,
    /// Put in progress, two updates, complete, for each record.
    IdempotencyStore,
}

impl Contestant {
    pub const ALL: [Self; 5] =
        [Self::Rollup, Self::PlannedTransactions, Self::TwoUpdates, Self::TransactionAnEvent, Self::IdempotencyStore];

    pub fn name(self) -> &'static str {
        match self {
            Self::Rollup => "ddb-rollup",
            Self::PlannedTransactions => "the same transactions, sent and nothing else",
            Self::TwoUpdates => "two plain updates an event",
            Self::TransactionAnEvent => "one transaction an event",
            Self::IdempotencyStore => "idempotency store",
        }
    }
}

/// What a batch took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Took {
    pub time: Duration,
    pub requests: usize,
    /// By arithmetic: one a started KB of an item that is written, two of one in a transaction.
    pub write_units: usize,
    /// Markers that were looked up. Each takes half a read unit: it is below 4 KB, and read eventually consistent.
    pub markers_read: usize,
}

/// Counts the records of two events in one way; returns what the second took. Like nearly all batches, it comes to a process
/// that has counted before: a new process sends its first transaction alone.
pub async fn run(contestant: Contestant, world: &World, events: [&str; 2]) -> Took {
    let process = Process::begin(world, IN_FLIGHT, 1);
    let mut took = Took::default();
    for event in events {
        took = count(contestant, world, &process, event).await;
    }
    took
}

async fn count(contestant: Contestant, world: &World, process: &Process, event: &str) -> Took {
    let client = &world.client;
    match contestant {
        Contestant::Rollup => process.deliver(event).await,
        Contestant::PlannedTransactions => planned(world, event).await,
        Contestant::TwoUpdates => {
            each(event, async |record| {
                add_to_total(client, record).await;
                add_to_category(client, record).await;
                (2, 2)
            })
            .await
        }
        Contestant::TransactionAnEvent => {
            each(event, async |record| {
                transaction(client, record).await;
                (1, 4)
            })
            .await
        }
        Contestant::IdempotencyStore => {
            each(event, async |record| {
                begin(client, record).await;
                add_to_total(client, record).await;
                add_to_category(client, record).await;
                complete(client, record).await;
                (4, 4)
            })
            .await
        }
    }
}

/// A process of the function, and what it sends.
pub struct Process {
    rollup: Rollup<Counting, OsRandomness>,
    sent: std::sync::Arc<Mutex<Took>>,
}

impl Process {
    pub fn begin(world: &World, in_flight: usize, item_kb: usize) -> Self {
        let mut config = config();
        config.max_in_flight = in_flight;
        Self::with(world, config, item_kb)
    }

    /// With settings of its own.
    pub fn with(world: &World, config: Config, item_kb: usize) -> Self {
        let store = DynamoStore::new(&world.sdk, config.definition.clone(), &config.idempotency_table);
        let sent = std::sync::Arc::<Mutex<Took>>::default();
        let store = Counting { store, sent: sent.clone(), item_kb };
        Self { rollup: Rollup::new(config, store, OsRandomness), sent }
    }

    pub async fn deliver(&self, event: &str) -> Took {
        *self.sent.lock().unwrap() = Took::default();
        let began = Instant::now();
        let invocation =
            Invocation { request_id: Uuid::nil().to_string(), now: Utc::now(), time_left: Duration::from_mins(15) };
        let response = self.rollup.handle(event, &invocation).await.unwrap();
        assert!(response.batch_item_failures.is_empty());
        Took { time: began.elapsed(), ..*self.sent.lock().unwrap() }
    }
}

/// A store that counts what is sent through it.
struct Counting {
    store: DynamoStore,
    sent: std::sync::Arc<Mutex<Took>>,
    item_kb: usize,
}

impl Store for Counting {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        {
            let mut sent = self.sent.lock().unwrap();
            sent.requests += 1;
            sent.write_units += units(transaction, self.item_kb);
        }
        self.store.transact(transaction, token).await
    }

    async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        self.sent.lock().unwrap().requests += 1;
        self.store.view_item(key).await
    }

    async fn look_up(&self, keys: &[ViewKey]) -> Result<LookedUp, Failure> {
        self.sent.lock().unwrap().requests += 1;
        self.store.look_up(keys).await
    }

    async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        {
            let mut sent = self.sent.lock().unwrap();
            sent.requests += 1;
            sent.markers_read += ids.len();
        }
        self.store.look_up_markers(ids).await
    }
}

/// Markers are below 1 KB.
fn units(transaction: &Transaction<'_>, item_kb: usize) -> usize {
    let marker = |action: &&plan::Action| matches!(action, plan::Action::PutMarker { .. });
    let markers = transaction.actions.iter().filter(marker).count();
    2 * markers + 2 * item_kb * (transaction.actions.len() - markers)
}

fn config() -> Config {
    Config::of(Tables::default()).unwrap()
}

fn store(world: &World) -> DynamoStore {
    let config = config();
    DynamoStore::new(&world.sdk, config.definition, &config.idempotency_table)
}

/// What stands before planning, as the handler does it.
pub fn batch<'e>(config: &Config, event: &'e str) -> Batch<'e> {
    let retention = Retention { days: config.marker_retention_days, until: Utc::now() };
    coalesce(parse(event).unwrap().map(|parsed| match parsed.unwrap() {
        Parsed::Record(record) => Found::Record(effect(&config.definition, record, &retention)),
        other => panic!("not a record: {other:?}"),
    }))
}

pub fn setting(config: &Config) -> Setting<'_> {
    let stamp = Stamp::new(Utc::now(), &Uuid::nil().to_string(), 14);
    Setting { definition: &config.definition, guard: Guard::Absent, stamp }
}

async fn planned(world: &World, event: &str) -> Took {
    let (config, store) = (config(), &store(world));
    let (batch, setting) = (batch(&config, event), setting(&config));
    let (all, shapes) = (batch.ids().collect::<Vec<_>>(), vec![Shape::Complete; batch.items.len()]);
    let planned = plan::plan(&config.definition, &batch, &all);
    let planned: Vec<_> = planned.iter().map(|members| plan::assemble(&setting, &batch, &shapes, members)).collect();
    let (requests, write_units) = (planned.len(), planned.iter().map(|one| units(one, 1)).sum());
    let began = Instant::now();
    let sent = planned.iter().map(|one| async { store.transact(one, OsRandomness.token()).await.unwrap() });
    stream::iter(sent).buffer_unordered(IN_FLIGHT).collect::<Vec<()>>().await;
    Took { time: began.elapsed(), requests, write_units, markers_read: 0 }
}

/// What the others need of a stream record.
struct Record {
    sequence_number: String,
    stream: String,
    map: String,
    category: String,
}

/// Counts the records of an event one by one.
async fn each(event: &str, count: impl AsyncFn(&Record) -> (usize, usize)) -> Took {
    let began = Instant::now();
    let event: Value = serde_json::from_str(event).unwrap();
    let records = event["Records"].as_array().unwrap().iter().map(|record| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let image = &record["dynamodb"]["NewImage"];
        Record {
            sequence_number: text(&record["dynamodb"]["SequenceNumber"]),
            stream: text(&record["eventSourceARN"]),
            map: text(&image["MapId"]["S"]),
            category: text(&image["Category"]["S"]),
        }
    });
    let count = &count;
    let counted = records.map(|record| async move { count(&record).await });
    let counted: Vec<_> = stream::iter(counted).buffer_unordered(IN_FLIGHT).collect().await;
    let sum = counted.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Took { time: began.elapsed(), requests: sum.0, write_units: sum.1, markers_read: 0 }
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn marker_key(record: &Record) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("SequenceNumber".to_owned(), text(&record.sequence_number)),
        ("Stream".to_owned(), text(&record.stream)),
    ])
}

async fn add_to_total(client: &Client, record: &Record) {
    let update = client.update_item().table_name("Map").key("MapId", text(&record.map));
    let update = update.update_expression("ADD TotalPoints :one").expression_attribute_values(":one", number(1));
    update.send().await.unwrap();
}

async fn add_to_category(client: &Client, record: &Record) {
    let update = client.update_item().table_name("Map").key("MapId", text(&record.map));
    let update = update
        .update_expression("SET CategoryCounts.#c = if_not_exists(CategoryCounts.#c, :zero) + :one")
        .expression_attribute_names("#c", &record.category)
        .expression_attribute_values(":zero", number(0))
        .expression_attribute_values(":one", number(1));
    update.send().await.unwrap();
}

async fn transaction(client: &Client, record: &Record) {
    let marker = Put::builder()
        .table_name("Idempotency")
        .set_item(Some(marker_key(record)))
        .condition_expression("attribute_not_exists(SequenceNumber)");
    let update = Update::builder()
        .table_name("Map")
        .key("MapId", text(&record.map))
        .update_expression(
            "SET CategoryCounts.#c = if_not_exists(CategoryCounts.#c, :zero) + :one ADD TotalPoints :one",
        )
        .expression_attribute_names("#c", &record.category)
        .expression_attribute_values(":zero", number(0))
        .expression_attribute_values(":one", number(1));
    let marker = TransactWriteItem::builder().put(marker.build().unwrap()).build();
    let update = TransactWriteItem::builder().update(update.build().unwrap()).build();
    client.transact_write_items().transact_items(marker).transact_items(update).send().await.unwrap();
}

async fn begin(client: &Client, record: &Record) {
    let put = client.put_item().table_name("Idempotency").set_item(Some(marker_key(record)));
    let put = put.item("Status", text("INPROGRESS")).condition_expression("attribute_not_exists(SequenceNumber)");
    put.send().await.unwrap();
}

async fn complete(client: &Client, record: &Record) {
    let update = client.update_item().table_name("Idempotency").set_key(Some(marker_key(record)));
    let update = update
        .update_expression("SET #s = :s")
        .expression_attribute_names("#s", "Status")
        .expression_attribute_values(":s", text("COMPLETED"));
    update.send().await.unwrap();
}
