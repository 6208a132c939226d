//! An engine with the three tables, in the words of the tests: points are put and deleted, stream records are read and
//! delivered, counters are compared with a recount.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use ddb_rollup::commit::Randomness;
use ddb_rollup::randomness::OsRandomness;
use tokio::sync::oneshot;

mod stream;

pub use stream::{Reader, sequence_number};

pub type Item = HashMap<String, AttributeValue>;

/// A running engine, with the default tables.
pub struct Engine {
    pub sdk: SdkConfig,
    pub db: Client,
    pub url: String,
    /// Whoever has another key sees other tables, on an engine that is shared.
    pub access_key: String,
    /// The embedded engine; none when another one is used.
    pub database: Option<dynoxide::Database>,
    streams: aws_sdk_dynamodbstreams::Client,
    _stop: oneshot::Sender<()>,
}

/// The counters of one map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    pub total: i64,
    pub categories: BTreeMap<String, i64>,
}

impl Engine {
    /// An engine in memory, with tables.
    pub async fn start() -> Self {
        let engine = match endpoint() {
            Some(url) => Self::client(&url, None, oneshot::channel().0),
            None => Self::serve(dynoxide::Database::memory().unwrap()).await,
        };
        engine.create_tables().await;
        engine
    }

    /// An engine on a file, whose tables are made if it has none.
    pub async fn start_on(file: &Path) -> Self {
        let engine = Self::serve(dynoxide::Database::new(file.to_str().unwrap()).unwrap()).await;
        if engine.db.list_tables().send().await.unwrap().table_names().is_empty() {
            engine.create_tables().await;
        }
        engine
    }

    /// An engine that runs elsewhere on this machine; whether it has tables is up to the test.
    pub fn at(url: &str) -> Self {
        Self::client(url, None, oneshot::channel().0)
    }

    fn client(url: &str, database: Option<dynoxide::Database>, stop: oneshot::Sender<()>) -> Self {
        let access_key = OsRandomness.token().simple().to_string();
        let sdk = sdk(url, &access_key);
        Self {
            db: Client::new(&sdk),
            streams: aws_sdk_dynamodbstreams::Client::new(&sdk),
            sdk,
            url: url.to_owned(),
            access_key,
            database,
            _stop: stop,
        }
    }

    async fn serve(database: dynoxide::Database) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let served = database.clone();
        tokio::spawn(async move {
            dynoxide::server::serve_with_shutdown(listener, served, async {
                stopped.await.ok();
            })
            .await
            .unwrap();
        });
        Self::client(&url, Some(database), stop)
    }

    pub async fn create_tables(&self) {
        self.create_table("Point", &["MapId", "PointId"], true).await;
        self.create_table("Map", &["MapId"], false).await;
        self.create_idempotency_table().await;
    }

    /// The table of the markers, with its index of what is in quarantine, as the template has it.
    async fn create_idempotency_table(&self) {
        let attribute = |name: &str| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
        };
        let part = |name: &str, role| KeySchemaElement::builder().attribute_name(name).key_type(role).build().unwrap();
        let included = Projection::builder().projection_type(ProjectionType::Include).non_key_attributes("Reason");
        let index = GlobalSecondaryIndex::builder()
            .index_name("Quarantine")
            .key_schema(part("InQuarantine", KeyType::Hash))
            .key_schema(part("RecordedAt", KeyType::Range))
            .projection(included.build());
        let request = self
            .db
            .create_table()
            .table_name("Idempotency")
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(part("SequenceNumber", KeyType::Hash))
            .key_schema(part("Stream", KeyType::Range))
            .global_secondary_indexes(index.build().unwrap());
        let attributes = ["SequenceNumber", "Stream", "InQuarantine", "RecordedAt"].map(attribute).to_vec();
        request.set_attribute_definitions(Some(attributes)).send().await.unwrap();
    }

    /// Puts a table of the markers without the index in the place of the one that is there.
    pub async fn without_quarantine_index(&self) {
        self.db.delete_table().table_name("Idempotency").send().await.unwrap();
        self.create_table("Idempotency", &["SequenceNumber", "Stream"], false).await;
    }

    pub async fn create_table(&self, name: &str, key: &[&str], stream: bool) {
        let mut request = self.db.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        for (attribute, role) in key.iter().zip([KeyType::Hash, KeyType::Range]) {
            request = request
                .attribute_definitions(
                    AttributeDefinition::builder()
                        .attribute_name(*attribute)
                        .attribute_type(ScalarAttributeType::S)
                        .build()
                        .unwrap(),
                )
                .key_schema(KeySchemaElement::builder().attribute_name(*attribute).key_type(role).build().unwrap());
        }
        if stream {
            let view = StreamViewType::NewAndOldImages;
            request = request.stream_specification(
                StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build().unwrap(),
            );
        }
        request.send().await.unwrap();
    }

    /// Writes a point; without a category when there is none.
    pub async fn put_point(&self, map: &str, point: &str, category: Option<&str>) {
        let category = category.map(|category| ("Category", AttributeValue::S(category.to_owned())));
        self.put("Point", [("MapId", s(map)), ("PointId", s(point))].into_iter().chain(category)).await;
    }

    pub async fn delete_point(&self, map: &str, point: &str) {
        self.db.delete_item().table_name("Point").key("MapId", s(map)).key("PointId", s(point)).send().await.unwrap();
    }

    pub async fn put<'a>(&self, table: &str, attributes: impl IntoIterator<Item = (&'a str, AttributeValue)>) {
        let item = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.db.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
    }

    pub async fn scan(&self, table: &str) -> Vec<Item> {
        let pages = self.db.scan().table_name(table).consistent_read(true).into_paginator().items().send();
        pages.collect::<Result<_, _>>().await.unwrap()
    }

    /// The counters that a map has; none when there is no such item.
    pub async fn counters(&self, map: &str) -> Option<Counters> {
        let read = self.db.get_item().table_name("Map").key("MapId", s(map)).consistent_read(true).send();
        read.await.unwrap().item.map(|item| counters(&item))
    }

    /// The counters of every map, by its id.
    pub async fn all_counters(&self) -> BTreeMap<String, Counters> {
        self.scan("Map").await.iter().map(|item| (text(&item["MapId"]), counters(item))).collect()
    }

    /// What the counters should be: the points counted one by one.
    pub async fn recount(&self, table: &str) -> BTreeMap<String, Counters> {
        let mut maps: BTreeMap<String, Counters> = BTreeMap::new();
        for point in self.scan(table).await {
            let map = maps.entry(text(&point["MapId"])).or_default();
            map.total += 1;
            if let Some(AttributeValue::S(category)) = point.get("Category").filter(|value| **value != s("")) {
                *map.categories.entry(category.clone()).or_default() += 1;
            }
        }
        maps
    }

    /// Every counter equals a recount; a counter of zero is as good as none.
    pub async fn assert_exact(&self) {
        self.assert_exact_of("Point").await;
    }

    /// Every counter equals a recount of the points of this table.
    pub async fn assert_exact_of(&self, table: &str) {
        let mut counted = self.all_counters().await;
        counted.retain(|_, counters| {
            counters.categories.retain(|_, count| *count != 0);
            *counters != Counters::default()
        });
        assert_eq!(counted, self.recount(table).await, "counters against a recount");
    }

    /// The markers, by sequence number.
    pub async fn markers(&self) -> BTreeMap<String, Item> {
        let items = self.scan("Idempotency").await.into_iter().map(|item| (text(&item["SequenceNumber"]), item));
        // What the function says of its definition, and a repair of its beginning, are no markers.
        items.filter(|(number, _)| number != "definition" && number != "repaired").collect()
    }

    /// Every item of these tables, in an order of its own.
    pub async fn everything_of(&self, tables: &[&str]) -> Vec<String> {
        let mut all = Vec::new();
        for table in tables {
            let items = self.scan(table).await.into_iter();
            // The attributes of an item come in any order.
            let sorted = |item: Item| serde_json::to_value(serde_dynamo::Item::from(item)).unwrap();
            all.extend(items.map(|item| format!("{table} {}", sorted(item))));
        }
        all.sort();
        all
    }

    /// Everything that the function writes: for showing that a delivery moved nothing.
    pub async fn everything(&self) -> (BTreeMap<String, Item>, BTreeMap<String, Item>) {
        let views = self.scan("Map").await.into_iter().map(|item| (text(&item["MapId"]), item)).collect();
        (views, self.markers().await)
    }
}

/// The engine that all tests share instead of one embedded engine each, by its URL. It must keep the tables of different
/// access keys apart, as DynamoDB Local does without `-sharedDb`.
fn endpoint() -> Option<String> {
    std::env::var("DDB_ROLLUP_TEST_ENDPOINT").ok()
}

/// Whether a test that is about the embedded engine itself is to be skipped, as the tests run on another one. The
/// reason is written past the test harness, which would swallow it.
pub fn without_embedded_engine(reason: &str) -> bool {
    if endpoint().is_some() {
        let thread = std::thread::current();
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: {}: {reason}", thread.name().unwrap_or("a test")).unwrap();
    }
    endpoint().is_some()
}

pub fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub fn text(value: &AttributeValue) -> String {
    value.as_s().unwrap().clone()
}

fn counters(item: &Item) -> Counters {
    let number = |value: &AttributeValue| value.as_n().unwrap().parse().unwrap();
    let categories = item.get("CategoryCounts").map(|map| map.as_m().unwrap());
    Counters {
        total: item.get("TotalPoints").map_or(0, number),
        categories: categories.into_iter().flatten().map(|(name, count)| (name.clone(), number(count))).collect(),
    }
}

/// An SDK configuration for an engine on this machine.
pub fn sdk(url: &str, access_key: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            access_key, "local", None, None, "tests",
        )))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .sleep_impl(aws_sdk_dynamodb::config::SharedAsyncSleep::new(aws_smithy_async::rt::sleep::TokioSleep::new()))
        .build()
}

/// Text that gzip makes a quarter shorter and no more.
pub fn incompressible(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + u8::try_from(state % 90).unwrap() + 4)
    };
    std::iter::repeat_with(letter).filter(|c| !"\"\\".contains(*c)).take(bytes).collect()
}
