//! What a batch costs: every request that is sent for it, and its write units, on view items that are complete and on view
//! items that are touched for the first time.

use std::sync::Mutex;
use std::time::Duration;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use aws_sdk_dynamodb::types::AttributeValue;
use ddb_rollup::commit::{FoundMarkers, LookedUp, Store};
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::handler::{Invocation, InvocationError, Rollup};
use ddb_rollup::randomness::OsRandomness;
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::record::RecordId;
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::Transaction;
use ddb_rollup::rollup::pipeline::verdict::{Failure, RetryCause};
use ddb_rollup::store::DynamoStore;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::engine::{Engine, s};
use crate::limits::{allowed, inserts};

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    pub transactions: usize,
    pub cancelled: usize,
    pub look_ups: usize,
    pub marker_look_ups: usize,
    /// Two an action: every item is below 1 KB. A transaction that is cancelled is billed too.
    pub write_units: usize,
    /// Of what was cancelled.
    pub cancelled_units: usize,
    /// Keys that were asked for, each half a read unit: every item is below 4 KB.
    pub keys: usize,
}

impl Sent {
    fn requests(self) -> usize {
        self.transactions + self.look_ups
    }
}

/// A store that writes down what is sent. Its requests fail when they are told to.
pub struct Recording {
    store: DynamoStore,
    sent: Mutex<Sent>,
    look_ups_fail: Option<Failure>,
    pub marker_look_ups_fail: Mutex<Option<Failure>>,
    pub transactions_fail: Mutex<Option<Failure>>,
}

impl Store for &Recording {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        let fails = self.transactions_fail.lock().unwrap().clone();
        let answer = match fails {
            Some(failure) => Err(failure),
            None => self.store.transact(transaction, token).await,
        };
        let mut sent = self.sent.lock().unwrap();
        // What is sent again on a busy machine is the same transaction.
        if !matches!(answer, Err(Failure::Transient(_))) {
            sent.transactions += 1;
            sent.write_units += 2 * transaction.actions.len();
            if answer.is_err() {
                sent.cancelled += 1;
                sent.cancelled_units += 2 * transaction.actions.len();
            }
        }
        answer
    }

    async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        self.store.view_item(key).await
    }

    async fn look_up(&self, keys: &[ViewKey]) -> Result<LookedUp, Failure> {
        {
            let mut sent = self.sent.lock().unwrap();
            sent.look_ups += 1;
            sent.keys += keys.len();
        }
        match &self.look_ups_fail {
            Some(failure) => Err(failure.clone()),
            None => self.store.look_up(keys).await,
        }
    }

    async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        {
            let mut sent = self.sent.lock().unwrap();
            sent.marker_look_ups += 1;
            sent.keys += ids.len();
        }
        let fails = self.marker_look_ups_fail.lock().unwrap().clone();
        match fails {
            Some(failure) => Err(failure),
            None => self.store.look_up_markers(ids).await,
        }
    }
}

/// How the view items are before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// They are not there.
    Absent,
    /// They have a user's attribute and no counters.
    Bare,
    /// They have their map.
    Complete,
    /// Every tenth is not there; the others are complete.
    Mixed,
}

/// Tables with view items as they are said to be.
pub async fn engine(maps: usize, before: Before) -> Engine {
    let engine = Engine::start().await;
    for map in 0..maps {
        let key = ("MapId", s(&format!("map{map}")));
        let attribute = match before {
            Before::Absent => continue,
            Before::Mixed if map % 10 == 3 => continue,
            Before::Bare => ("City", s("Seattle")),
            Before::Complete | Before::Mixed => ("CategoryCounts", AttributeValue::M([].into())),
        };
        engine.put("Map", [key, attribute]).await;
    }
    engine
}

/// A process of the function.
pub struct Process<'p> {
    recording: &'p Recording,
    rollup: Rollup<&'p Recording, OsRandomness>,
}

impl<'p> Process<'p> {
    pub fn begin(recording: &'p Recording, on_missing: OnMissingViewItem) -> Self {
        let mut config = Config::of(Tables::default()).unwrap();
        config.definition = config.definition.with_missing(on_missing);
        Self { recording, rollup: Rollup::new(config, recording, OsRandomness) }
    }

    /// Delivers a batch and tells what was sent for it.
    pub async fn deliver(&self, records: &[Value]) -> Sent {
        let response = self.handle(records).await.unwrap();
        assert!(response.batch_item_failures.is_empty());
        *self.recording.sent.lock().unwrap()
    }

    /// Delivers a batch.
    pub async fn handle(&self, records: &[Value]) -> Result<DynamoDbEventResponse, InvocationError> {
        *self.recording.sent.lock().unwrap() = Sent::default();
        let event = json!({ "Records": records }).to_string();
        let time_left = Duration::from_mins(2);
        let invocation = Invocation { request_id: "r".into(), now: chrono::Utc::now(), time_left };
        self.rollup.handle(&event, &invocation).await
    }
}

pub fn recording(engine: &Engine) -> Recording {
    let config = Config::of(Tables::default()).unwrap();
    let store = DynamoStore::new(&engine.sdk, config.definition.clone(), &config.idempotency_table);
    Recording {
        store,
        sent: Mutex::default(),
        look_ups_fail: None,
        marker_look_ups_fail: Mutex::default(),
        transactions_fail: Mutex::default(),
    }
}

/// What a new process sends for a batch on such view items, which counts exactly.
async fn cold(records: usize, maps: usize, before: Before) -> Sent {
    let engine = engine(maps, before).await;
    let batch = inserts(&engine, records, maps).await;
    let sent = Process::begin(&recording(&engine), OnMissingViewItem::Create).deliver(&batch).await;
    let counters = engine.all_counters().await;
    assert_eq!(counters.values().map(|counters| counters.total).sum::<i64>(), i64::try_from(records).unwrap());
    assert!(counters.values().all(|counters| counters.total == counters.categories.values().sum::<i64>()));
    sent
}

#[tokio::test]
async fn first_touches_are_not_found_out_by_failing() {
    for (records, maps) in [(1_000, 20), (1_000, 1_000), (100, 20), (200, 200), (40, 7)] {
        let complete = cold(records, maps, Before::Complete).await;
        let bound = (records + maps).div_ceil(100);
        for before in [Before::Absent, Before::Bare] {
            let sent = cold(records, maps, before).await;
            let told = format!("{records} records over {maps} maps, {before:?}: {sent:?}, complete {complete:?}");
            assert!(10 * sent.write_units <= 11 * complete.write_units, "write units: {told}");
            // Where there is only one transaction there is no way to do with fewer than two requests.
            assert!(10 * sent.requests() <= (16 * bound).max(20), "requests: {told}");
        }
    }
}

#[tokio::test]
async fn a_new_process_spends_at_most_one_request_on_asking_whether_view_items_are_complete() {
    for (records, maps, asks) in
        [(1_000, 20, 0), (1_000, 1_000, 1), (500, 100, 0), (100, 1, 0), (100, 20, 1), (200, 200, 1), (1, 1, 1)]
    {
        let sent = cold(records, maps, Before::Complete).await;
        assert_eq!((sent.look_ups, sent.cancelled), (asks, 0), "{records} records over {maps} maps: {sent:?}");
        let bound = allowed(records, maps);
        assert!(sent.transactions <= bound, "{records} records over {maps} maps: {sent:?}, {bound} allowed");
        if (records, maps) == (100, 20) {
            assert_eq!(sent.write_units, 2 * (100 + 20), "no view item is cut: a transaction holds 16 whole ones");
        }
        let small = records + maps <= 200;
        assert!(small || sent.requests() <= bound, "{records} records over {maps} maps: {sent:?}, {bound} allowed");
    }
}

#[tokio::test]
async fn a_process_asks_only_for_view_items_that_it_has_not_seen() {
    let engine = engine(30, Before::Absent).await;
    let records = inserts(&engine, 120, 30).await;
    let recording = recording(&engine);
    let process = Process::begin(&recording, OnMissingViewItem::Create);
    let of = |maps: std::ops::Range<usize>, from: usize| -> Vec<Value> {
        let wanted = |(number, _): &(usize, &Value)| *number >= from && maps.contains(&(number % 30));
        records.iter().enumerate().filter(wanted).map(|(_, record)| record.clone()).take(maps.len()).collect()
    };
    assert_eq!(process.deliver(&of(0..10, 0)).await.look_ups, 1);
    let again = process.deliver(&of(0..10, 30)).await;
    assert_eq!((again.look_ups, again.transactions), (0, 1), "what it has seen");
    let more = process.deliver(&of(0..20, 60)).await;
    assert_eq!((more.look_ups, more.cancelled), (1, 0), "what it has not");
    assert_eq!(process.deliver(&records).await.look_ups, 1, "a third part of it is new to it");

    // An item that was taken away since is found out by failing, and then known to be new.
    engine.db.delete_item().table_name("Map").key("MapId", s("map3")).send().await.unwrap();
    engine.put_point("map3", "another", Some("Park")).await;
    let last = engine.stream_records().await.pop().unwrap();
    let sent = process.deliver(&[last]).await;
    assert_eq!((sent.look_ups, sent.transactions, sent.cancelled), (0, 2, 1));
    assert_eq!(engine.counters("map3").await.unwrap().total, 1);
}

#[tokio::test]
async fn a_few_first_touches_among_many_view_items_cost_a_few_requests() {
    let (sent, complete) = (cold(2_000, 200, Before::Mixed).await, cold(2_000, 200, Before::Complete).await);
    assert_eq!((sent.cancelled, sent.look_ups), (0, 2), "{sent:?}");
    assert_eq!(sent.transactions, complete.transactions);

    // Where the first request was a transaction that met none of them, those that are sent beside the first that does
    // are all that can be lost.
    let sent = cold(1_000, 200, Before::Mixed).await;
    let in_flight = Config::of(Tables::default()).unwrap().max_in_flight;
    assert!(sent.cancelled <= in_flight && sent.look_ups <= 2, "{sent:?}");
}

#[tokio::test]
async fn with_skip_nothing_is_found_out_by_failing_either() {
    for before in [Before::Absent, Before::Mixed, Before::Bare] {
        let engine = engine(20, before).await;
        let records = inserts(&engine, 200, 20).await;
        let recording = recording(&engine);
        let process = Process::begin(&recording, OnMissingViewItem::Skip);
        for (batch, look_ups) in [(&records[..100], 1), (&records[100..], usize::from(before != Before::Bare))] {
            let sent = process.deliver(batch).await;
            assert_eq!((sent.look_ups, sent.transactions, sent.cancelled), (look_ups, 2, 0), "{before:?}");
        }
        let there = engine.all_counters().await.values().map(|counters| counters.total).sum::<i64>();
        assert_eq!(
            there,
            [0, 180, 200][[Before::Absent, Before::Mixed, Before::Bare].iter().position(|one| *one == before).unwrap()]
        );
        assert_eq!(engine.markers().await.len(), 200);
    }
}

#[tokio::test]
async fn what_a_look_up_does_not_tell_is_found_out_by_failing() {
    for failure in [Failure::Transient(RetryCause::Throttled), Failure::Refused("ValidationException".to_owned())] {
        let engine = engine(5, Before::Absent).await;
        let batch = inserts(&engine, 50, 5).await;
        let mut recording = recording(&engine);
        recording.look_ups_fail = Some(failure.clone());
        let sent = Process::begin(&recording, OnMissingViewItem::Create).deliver(&batch).await;
        assert_eq!((sent.look_ups, sent.transactions, sent.cancelled), (1, 2, 1), "{failure:?}");
        assert_eq!(engine.all_counters().await.len(), 5);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_to_be_read_is_done_without() {
    let engine = engine(0, Before::Absent).await;
    // More groups than fit into the answer to one question.
    let groups = (0..4_000).map(|group| (format!("{group:060}"), AttributeValue::N("1".to_owned()))).collect();
    let groups = AttributeValue::M(groups);
    for map in 0..5 {
        engine.put("Map", [("MapId", s(&format!("map{map}"))), ("CategoryCounts", groups.clone())]).await;
    }
    let batch = inserts(&engine, 60, 6).await;
    let sent = Process::begin(&recording(&engine), OnMissingViewItem::Create).deliver(&batch).await;
    assert_eq!((sent.look_ups, sent.transactions, sent.cancelled), (1, 2, 1), "the sixth is new");
}
