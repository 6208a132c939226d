//! Tables that someone answers for, and one process of the function on them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use ddb_rollup::commit::{FoundMarkers, LookedUp, Store};
use ddb_rollup::config::Config;
use ddb_rollup::handler::{Invocation, InvocationError, Rollup};
use ddb_rollup::metrics::Summary;
use ddb_rollup::rollup::model::marker::{OUTCOME, REASON};
use ddb_rollup::rollup::model::record::RecordId;
use ddb_rollup::rollup::model::view::{TableId, ViewKey};
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::{ActionVerdict, Failure};
use ddb_rollup::rollup::{AttributeValue, Item};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::function::{Answer, Counted, answer, config, now};
use crate::history::STREAM;
use crate::line::Script;
use crate::memory_store::MemoryStore;

/// An answer to the transaction of that number, the first being zero; none when the tables answer.
type Said = Option<Result<(), Failure>>;

/// Who answers for tables.
type Says = dyn Fn(&Transaction<'_>, usize) -> Said + Send + Sync;

/// Tables that someone answers for, and how often they were asked. Clones are the same.
#[derive(Clone)]
pub struct Answering {
    pub tables: MemoryStore<Script>,
    says: Arc<Says>,
    pub asked: Arc<Asked>,
    /// Whether look-ups tell nothing.
    silent: bool,
    /// Why markers cannot be looked up.
    pub denied: Option<String>,
}

/// How often tables were asked.
#[derive(Debug, Default)]
pub struct Asked {
    pub transactions: AtomicUsize,
    pub cancelled: AtomicUsize,
    pub reads: AtomicUsize,
    pub look_ups: AtomicUsize,
    pub marker_look_ups: AtomicUsize,
}

impl Answering {
    pub fn new(says: impl Fn(&Transaction<'_>, usize) -> Said + Send + Sync + 'static) -> Self {
        let tables = MemoryStore::new(config().definition, Script::default());
        Self { tables, says: Arc::new(says), asked: Arc::default(), silent: false, denied: None }
    }

    /// The tables, as they answer by themselves.
    pub fn tables() -> Self {
        Self::new(|_, _| None)
    }

    /// Tables whose look-ups tell nothing.
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// With a view item that is there before.
    pub fn with(self, map: &str, item: &[(&str, AttributeValue)]) -> Self {
        let key = Item::from(HashMap::from([("MapId".to_owned(), AttributeValue::S(map.to_owned()))]));
        let mut whole = key.clone();
        for (name, value) in item {
            whole.insert((*name).to_owned(), value.clone());
        }
        let mut tables = self.tables.tables();
        tables.put_view(TableId(0), &key, whole);
        self.tables.restore(tables);
        self
    }

    pub fn transactions(&self) -> usize {
        self.asked.transactions.load(Ordering::Relaxed)
    }

    pub fn reads(&self) -> usize {
        self.asked.reads.load(Ordering::Relaxed)
    }

    pub fn cancelled(&self) -> usize {
        self.asked.cancelled.load(Ordering::Relaxed)
    }

    pub fn look_ups(&self) -> usize {
        self.asked.look_ups.load(Ordering::Relaxed)
    }

    /// The sum of all totals.
    pub fn total(&self) -> usize {
        let total = |item: &Item| match item.get("TotalPoints") {
            Some(AttributeValue::N(text)) => text.parse().unwrap(),
            _ => 0,
        };
        self.tables.tables().views().map(total).sum()
    }

    /// The reasons of the records in quarantine.
    pub fn reasons(&self) -> Vec<String> {
        let tables = self.tables.tables();
        let quarantined = |marker: &&Item| marker[OUTCOME] == AttributeValue::S("QUARANTINED".to_owned());
        tables.markers().filter(quarantined).map(|marker| format!("{:?}", marker[REASON])).collect()
    }
}

impl Store for Answering {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        let number = self.asked.transactions.fetch_add(1, Ordering::Relaxed);
        let answer = match (self.says)(transaction, number) {
            Some(answer) => answer,
            None => self.tables.transact(transaction, token).await,
        };
        self.asked.cancelled.fetch_add(usize::from(answer.is_err()), Ordering::Relaxed);
        answer
    }

    async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        self.asked.reads.fetch_add(1, Ordering::Relaxed);
        self.tables.view_item(key).await
    }

    async fn look_up(&self, keys: &[ViewKey]) -> Result<LookedUp, Failure> {
        self.asked.look_ups.fetch_add(1, Ordering::Relaxed);
        if self.silent { Ok(LookedUp::new()) } else { self.tables.look_up(keys).await }
    }

    async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        self.asked.marker_look_ups.fetch_add(1, Ordering::Relaxed);
        match &self.denied {
            Some(words) => Err(Failure::Broken(words.clone())),
            None => self.tables.look_up_markers(ids).await,
        }
    }
}

/// A cancellation with a verdict for each action.
pub fn cancelled(transaction: &Transaction<'_>, verdict: impl Fn(&Action<'_>) -> ActionVerdict) -> Result<(), Failure> {
    Err(Failure::Cancelled(transaction.actions.iter().map(verdict).collect()))
}

pub fn record(position: usize, image: &Value) -> Value {
    json!({
        "eventID": format!("event-{position}"), "eventName": "INSERT", "awsRegion": "eu-west-1", "eventSourceARN": STREAM,
        "dynamodb": {
            "Keys": { "PointId": { "S": format!("point-{position}") } }, "NewImage": image,
            "SequenceNumber": format!("{position:021}"), "SizeBytes": 1,
        },
    })
}

/// The record of an insert.
pub fn insert(position: usize, map: &str, category: &str) -> Value {
    record(position, &json!({ "MapId": { "S": map }, "Category": { "S": category } }))
}

/// One process of the function, and the summary of its last invocation.
pub struct Process {
    rollup: Rollup<Answering, Counted>,
    summary: Arc<Mutex<Option<Summary>>>,
}

impl Process {
    pub fn new(config: Config, store: &Answering) -> Self {
        let summary = Arc::<Mutex<Option<Summary>>>::default();
        let seen = Arc::clone(&summary);
        // Another process has other tokens.
        let tokens = Counted::beginning_at(1_000 * store.transactions() as u64);
        let rollup = Rollup::new(config, store.clone(), tokens);
        let rollup = rollup.observed(move |_, summary| *seen.lock().unwrap() = Some(summary.clone()));
        Self { rollup, summary }
    }

    pub async fn deliver(&self, records: &[Value]) -> (Answer, Summary) {
        (answer(self.handle(records).await), self.summary())
    }

    pub async fn handle(&self, records: &[Value]) -> Result<DynamoDbEventResponse, InvocationError> {
        self.handle_in(records, Duration::from_mins(1)).await
    }

    /// With so much time.
    pub async fn handle_in(
        &self,
        records: &[Value],
        time_left: Duration,
    ) -> Result<DynamoDbEventResponse, InvocationError> {
        let invocation = Invocation { request_id: "request".to_owned(), now: now(), time_left };
        self.rollup.handle(&json!({ "Records": records }).to_string(), &invocation).await
    }

    pub fn summary(&self) -> Summary {
        self.summary.lock().unwrap().take().unwrap()
    }
}

/// Delivers records to a new process.
pub async fn deliver(store: &Answering, records: &[Value]) -> (Answer, Summary) {
    Process::new(config(), store).deliver(records).await
}
