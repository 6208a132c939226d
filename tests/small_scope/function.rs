//! The function under test, on tables in memory, and what is seen in the tables.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use chrono::{DateTime, Utc};
use ddb_rollup::commit::Randomness;
use ddb_rollup::config::{Config, Tables as TableNames};
use ddb_rollup::handler::{Invocation, InvocationError, Rollup};
use ddb_rollup::rollup::AttributeValue;
use ddb_rollup::rollup::model::marker::{DIGEST, EVENT_ID, OUTCOME, SEQUENCE_NUMBER, SOURCE_KEY};
use ddb_rollup::rollup::model::view::ROLLUP_VERSION;
use uuid::Uuid;

use crate::history::{AllCounts, Counts, Map};
use crate::line::Line;
use crate::memory_store::MemoryStore;
use crate::tables::Tables;

/// How long an invocation may take.
pub const TIME_LEFT: Duration = Duration::from_secs(6);

/// Randomness that is the same each time: tokens are counted, and every wait is the longest.
#[derive(Debug, Clone, Default)]
pub struct Counted(Arc<AtomicU64>);

impl Counted {
    /// Tokens that no other one gives which began elsewhere.
    pub fn beginning_at(first: u64) -> Self {
        Self(Arc::new(AtomicU64::new(first)))
    }
}

impl Randomness for Counted {
    fn token(&self) -> Uuid {
        Uuid::from_u64_pair(0, self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn up_to(&self, limit: Duration) -> Duration {
        limit
    }
}

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Every record is acknowledged.
    All,
    /// Every record before the one with this sequence number is.
    Before(String),
    /// None is: the function died.
    Crashed,
}

/// The function under test. Each delivery is a process of its own, unless they are all the same one's.
pub struct Function<L> {
    config: Config,
    randomness: Counted,
    process: Option<Rollup<MemoryStore<L>, Counted>>,
    pub store: MemoryStore<L>,
}

/// The default settings.
pub fn config() -> Config {
    Config::of(TableNames::default()).unwrap()
}

impl<L: Line + Send + Clone> Function<L> {
    /// The function on a store.
    pub fn new(store: MemoryStore<L>, config: Config, randomness: Counted) -> Self {
        Self { config, randomness, process: None, store }
    }

    /// The same with one process for all deliveries. What it remembers of view items is wrong as soon as the tables are
    /// replaced.
    pub fn of_one_process(mut self) -> Self {
        self.process = Some(self.begin());
        self
    }

    fn begin(&self) -> Rollup<MemoryStore<L>, Counted> {
        Rollup::new(self.config.clone(), self.store.clone(), self.randomness.clone())
    }

    /// Delivers an event, until it is answered or the line lets the function crash.
    pub async fn deliver(&self, event: &str) -> Answer {
        let mut handling = pin!(self.handle(event));
        poll_fn(|context| match handling.as_mut().poll(context) {
            Poll::Ready(response) => Poll::Ready(answer(response)),
            Poll::Pending if self.store.has_crashed() => Poll::Ready(Answer::Crashed),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Handles an event, as often as it is polled.
    pub async fn handle(&self, event: &str) -> Result<DynamoDbEventResponse, InvocationError> {
        let invocation = Invocation { request_id: "request".to_owned(), now: now(), time_left: TIME_LEFT };
        match &self.process {
            Some(process) => process.handle(event, &invocation).await,
            None => self.begin().handle(event, &invocation).await,
        }
    }
}

/// A moment after the creation of every record.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_001, 0).unwrap()
}

/// What a response acknowledges.
pub fn answer(response: Result<DynamoDbEventResponse, InvocationError>) -> Answer {
    let mut failures = response.unwrap().batch_item_failures.into_iter();
    let first = failures.next().map_or(Answer::All, |failure| Answer::Before(failure.item_identifier.unwrap()));
    assert!(failures.next().is_none(), "one failure at the most is reported");
    first
}

/// What can be seen in the tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seen {
    pub counts: AllCounts,
    pub versions: BTreeMap<Map, i64>,
    /// The outcome in each marker, by sequence number.
    pub markers: BTreeMap<String, String>,
}

impl Seen {
    /// Looks at the tables.
    pub fn of(tables: &Tables) -> Self {
        let mut seen = Self::default();
        for item in tables.views() {
            let map = match text(&item["MapId"]) {
                "M" => Map::M,
                "N" => Map::N,
                other => panic!("a view item that nothing belongs to: {other}"),
            };
            let mut counts = Counts { total: number(item.get("TotalPoints")), ..Counts::default() };
            if let Some(AttributeValue::M(categories)) = item.get("CategoryCounts") {
                let categories = categories.iter().map(|(name, count)| (name.clone(), number(Some(count))));
                counts.categories = categories.filter(|(_, count)| *count != 0).collect();
            }
            if counts != Counts::default() {
                seen.counts.insert(map, counts);
            }
            seen.versions.insert(map, number(item.get(ROLLUP_VERSION)));
        }
        for marker in tables.markers() {
            let outcome = text(&marker[OUTCOME]).to_owned();
            let before = seen.markers.insert(text(&marker[SEQUENCE_NUMBER]).to_owned(), outcome);
            assert_eq!(before, None, "one marker a record");
        }
        seen
    }
}

/// A name of what is in the tables, versions and times apart: two states of the same name cannot be told apart by the
/// function, which never reads a version.
pub fn name_of(tables: &Tables) -> String {
    let mut name = String::new();
    for (table, item) in tables.views_by_table() {
        let _ = write!(name, "{}{{", table.0);
        for (attribute, value) in ordered(item).into_iter().filter(|(attribute, _)| *attribute != ROLLUP_VERSION) {
            let _ = match value {
                AttributeValue::M(groups) => write!(name, "{attribute}={:?};", ordered(groups)),
                value => write!(name, "{attribute}={value:?};"),
            };
        }
        name.push('}');
    }
    for marker in tables.markers() {
        let event = marker.get(EVENT_ID);
        let AttributeValue::M(source_key) = &marker[SOURCE_KEY] else { panic!("no key: {marker:?}") };
        let (number, key, outcome) = (&marker[SEQUENCE_NUMBER], ordered(source_key), &marker[OUTCOME]);
        let _ = write!(name, "{number:?}{event:?}{key:?}{outcome:?}");
        let _ = write!(name, "{:?}", marker.get(DIGEST));
    }
    name
}

fn ordered(attributes: &HashMap<String, AttributeValue>) -> BTreeMap<&str, &AttributeValue> {
    attributes.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

fn text(value: &AttributeValue) -> &str {
    match value {
        AttributeValue::S(text) => text,
        other => panic!("not a text: {other:?}"),
    }
}

fn number(value: Option<&AttributeValue>) -> i64 {
    match value {
        // A text is what a user put in a counter's place.
        None | Some(AttributeValue::S(_)) => 0,
        Some(AttributeValue::N(text)) => text.parse().unwrap(),
        Some(other) => panic!("not a number: {other:?}"),
    }
}
