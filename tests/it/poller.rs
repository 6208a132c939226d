//! The event source poller against streams and functions that misbehave, on paused time, and once against an engine.

#![allow(clippy::unwrap_used, clippy::panic, clippy::unnecessary_wraps, reason = "all of it is test code")]

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ddb_rollup::operate::event::EventRecord;
use ddb_rollup::operate::local::poller::batch_delivery::FailurePolicy;
use ddb_rollup::operate::local::poller::failure_destination::FailureDestination;
use ddb_rollup::operate::local::poller::{Clock, EventSourceMapping, Function, POLL_INTERVAL, Poller};
use ddb_rollup::operate::stop;
use ddb_rollup::operate::stream::{Cursor, DynamoStream, Page, Shard, Stream, StreamError};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::engine::Engine;

/// A stream in memory. A closed shard ends; of listing and reading, the first `failing` ones fail.
#[derive(Default)]
struct FakeStream {
    shards: Vec<(Shard, Mutex<Vec<EventRecord>>)>,
    read: Mutex<HashMap<String, usize>>,
    page: usize,
    closed: bool,
    failing: AtomicU32,
}

impl FakeStream {
    fn new(shards: &[(&str, Option<&str>, &[&str])]) -> Self {
        let shards = shards.iter().map(|(id, parent, records)| {
            let shard = Shard { id: (*id).to_owned(), parent: parent.map(str::to_owned) };
            (shard, Mutex::new(records.iter().map(|number| record(number)).collect()))
        });
        Self { shards: shards.collect(), page: 1000, closed: true, ..Self::default() }
    }

    fn one(records: &[&str]) -> Self {
        Self::new(&[("shard", None, records)])
    }

    fn fail(&self) -> Result<(), StreamError> {
        let left = self.failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let error = StreamError { action: "read", stream: "arn:fake".into(), cause: "failing".into() };
        left.map_or(Ok(()), |_| Err(error))
    }
}

impl Stream for FakeStream {
    fn arn(&self) -> &'static str {
        "arn:fake"
    }

    async fn shards(&self) -> Result<Vec<Shard>, StreamError> {
        self.fail()?;
        // The youngest first: the order of the list means nothing.
        Ok(self.shards.iter().rev().map(|(shard, _)| shard.clone()).collect())
    }

    async fn read(&self, shard: &str, _: &mut Cursor) -> Result<Page, StreamError> {
        self.fail()?;
        let (_, records) = self.shards.iter().find(|(found, _)| found.id == shard).unwrap();
        let records = records.lock().unwrap();
        let mut read = self.read.lock().unwrap();
        let at = read.entry(shard.to_owned()).or_default();
        let page: Vec<_> = records.iter().skip(*at).take(self.page).cloned().collect();
        *at += page.len();
        Ok(Page { records: page, ended: self.closed && *at == records.len() })
    }
}

fn began() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn record(number: &str) -> EventRecord {
    let json = json!({"dynamodb": {"SequenceNumber": number}}).to_string();
    EventRecord { sequence_number: number.to_owned(), created_at: Some(began()), json }
}

/// What a function makes of the sequence numbers that it is given, and of how often it was called before.
type Behaviour = Box<dyn Fn(&[String], usize) -> Result<Value, &'static str> + Send + Sync>;

struct FakeFunction {
    behaviour: Behaviour,
    takes: Duration,
    calls: Mutex<Vec<(Instant, Vec<String>)>>,
}

impl Function for FakeFunction {
    async fn invoke(&self, event: String, _: Duration) -> Result<String, String> {
        let event: Value = serde_json::from_str(&event).unwrap();
        let records = event["Records"].as_array().unwrap().iter();
        let numbers: Vec<_> =
            records.map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned()).collect();
        let before = {
            let mut calls = self.calls.lock().unwrap();
            calls.push((Instant::now(), numbers.clone()));
            calls.len() - 1
        };
        tokio::time::sleep(self.takes).await;
        (self.behaviour)(&numbers, before).map(|answer| answer.to_string()).map_err(str::to_owned)
    }
}

/// How a poller runs on fakes.
struct PollerSetup {
    mapping: EventSourceMapping,
    takes: Duration,
    lasts: Duration,
    destination: Option<std::path::PathBuf>,
}

/// What a poller did.
struct PollerRun {
    calls: Vec<Call>,
    failures: Vec<Value>,
}

/// A call of the function: when, and with which records.
#[derive(Debug)]
struct Call {
    at: Duration,
    records: String,
}

/// What a failure document tells.
#[derive(Debug, PartialEq, Eq)]
struct GivenUp {
    records: String,
    condition: String,
    invocations: u64,
}

fn given_up(records: &str, condition: &str, invocations: u64) -> GivenUp {
    GivenUp { records: records.to_owned(), condition: condition.to_owned(), invocations }
}

impl PollerRun {
    fn delivered(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.records.as_str()).collect()
    }

    fn given_up(&self) -> Vec<GivenUp> {
        let failures = self.failures.iter().map(|failure| {
            let payload: Value = serde_json::from_str(failure["payload"].as_str().unwrap()).unwrap();
            let records = payload["Records"].as_array().unwrap().iter();
            let numbers: Vec<_> =
                records.map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap()).collect();
            let context = &failure["requestContext"];
            let invocations = context["approximateInvokeCount"].as_u64().unwrap();
            given_up(&numbers.join(" "), context["condition"].as_str().unwrap(), invocations)
        });
        failures.collect()
    }
}

fn run() -> PollerSetup {
    let policy = FailurePolicy { report_item_failures: true, bisect: true, retries: Some(2) };
    let mapping = EventSourceMapping {
        function: "Function".into(),
        time_limit: Duration::from_secs(25),
        batch_size: 100,
        batching_window: Duration::ZERO,
        policy,
        maximum_record_age: None,
    };
    PollerSetup { mapping, takes: Duration::ZERO, lasts: Duration::from_hours(1), destination: None }
}

impl PollerSetup {
    fn policy(mut self, change: impl FnOnce(&mut FailurePolicy)) -> Self {
        change(&mut self.mapping.policy);
        self
    }

    async fn on(
        self,
        stream: FakeStream,
        behaviour: impl Fn(&[String], usize) -> Result<Value, &'static str> + Send + Sync + 'static,
    ) -> PollerRun {
        let folder = tempfile::tempdir().unwrap();
        let file = self.destination.unwrap_or_else(|| folder.path().join("failures.jsonl"));
        let start = Instant::now();
        let clock: Clock = std::sync::Arc::new(move || began() + TimeDelta::from_std(start.elapsed()).unwrap());
        let function = FakeFunction { behaviour: Box::new(behaviour), takes: self.takes, calls: Mutex::default() };
        let poller = Poller {
            stream,
            function,
            mapping: self.mapping,
            destination: FailureDestination::at(&file),
            clock,
            interval: POLL_INTERVAL,
        };
        let (stopper, stop) = stop::stop();
        let run = poller.run(&stop);
        tokio::join!(run, async {
            tokio::time::sleep(self.lasts).await;
            stopper.stop();
        });
        let calls = poller.function.calls.into_inner().unwrap().into_iter();
        let calls = calls.map(|(at, numbers)| Call { at: at - start, records: numbers.join(" ") }).collect();
        let lines = std::fs::read_to_string(&file).unwrap_or_default();
        PollerRun { calls, failures: lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect() }
    }
}

fn ok() -> Result<Value, &'static str> {
    Ok(json!({"batchItemFailures": []}))
}

fn failed_from(number: &str) -> Result<Value, &'static str> {
    Ok(json!({"batchItemFailures": [{"itemIdentifier": number}]}))
}

#[tokio::test(start_paused = true)]
async fn batches_follow_each_other_in_order_and_up_to_their_size() {
    let mut run = run();
    run.mapping.batch_size = 2;
    let ran = run.on(FakeStream::one(&["9", "10", "3", "4", "5"]), |_, _| ok()).await;
    assert_eq!(ran.delivered(), ["9 10", "3 4", "5"]);
    assert!(ran.failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_window_waits_for_a_full_batch_and_no_longer_than_it_says() {
    let mut run = run();
    run.mapping.batching_window = Duration::from_secs(5);
    run.mapping.batch_size = 3;
    let stream = FakeStream { closed: false, page: 1, ..FakeStream::one(&["1", "2", "3", "4"]) };
    let ran = run.on(stream, |_, _| ok()).await;
    assert_eq!(ran.delivered(), ["1 2 3", "4"]);
    assert_eq!(ran.calls[0].at, Duration::ZERO, "a full batch does not wait");
    assert_eq!(ran.calls[1].at, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_child_comes_after_its_parent_and_other_shards_side_by_side() {
    let mut run = run();
    run.takes = Duration::from_secs(1);
    let shards: [(&str, Option<&str>, &[&str]); 4] = [
        ("parent", None, &["1", "2"]),
        ("child", Some("parent"), &["3"]),
        ("orphan", Some("trimmed"), &["7"]),
        ("grandchild", Some("child"), &["4"]),
    ];
    let ran = run.on(FakeStream::new(&shards), |_, _| ok()).await;
    let mut first = ran.delivered()[..2].to_vec();
    first.sort_unstable();
    assert_eq!(first, ["1 2", "7"]);
    assert_eq!(ran.delivered()[2..], ["3", "4"]);
    assert_eq!(ran.calls[1].at, Duration::ZERO, "shards do not wait for each other");
}

#[tokio::test(start_paused = true)]
async fn a_reported_failure_moves_the_checkpoint_to_the_first_by_position() {
    let ran = run()
        .on(FakeStream::one(&["9", "10", "3", "4"]), |_, before| match before {
            0 => Ok(json!({"batchItemFailures": [{"itemIdentifier": "4"}, {"itemIdentifier": "10"}]})),
            _ => ok(),
        })
        .await;
    assert_eq!(ran.delivered(), ["9 10 3 4", "10 3 4"]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_identifier_and_no_json_fail_the_whole_batch() {
    for answer in [json!({"batchItemFailures": [{"itemIdentifier": "77"}]}), json!("done")] {
        let ran = run()
            .policy(|policy| policy.bisect = false)
            .on(FakeStream::one(&["1", "2"]), move |_, before| if before == 0 { Ok(answer.clone()) } else { ok() })
            .await;
        assert_eq!(ran.delivered(), ["1 2", "1 2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_retried_with_growing_pauses_until_the_attempts_are_used_up() {
    let ran = run().policy(|policy| policy.bisect = false).on(FakeStream::one(&["1", "2"]), |_, _| Err("no")).await;
    assert_eq!(ran.delivered(), ["1 2"; 3]);
    let times: Vec<_> = ran.calls.iter().map(|call| call.at.as_millis()).collect();
    assert_eq!(times, [0, 100, 300]);
    assert_eq!(ran.given_up(), [given_up("1 2", "RetryAttemptsExhausted", 3)]);
    let failure = &ran.failures[0];
    assert_eq!(failure["responseContext"]["functionError"], "Unhandled");
    assert_eq!(failure["DDBStreamBatchInfo"]["shardId"], "shard");
    assert_eq!(failure["DDBStreamBatchInfo"]["streamArn"], "arn:fake");
}

#[tokio::test(start_paused = true)]
async fn bisecting_finds_the_bad_record_and_the_shard_goes_on() {
    let bad = |numbers: &[String], _| if numbers.iter().any(|number| number == "3") { Err("no") } else { ok() };
    let mut run = run();
    run.mapping.batch_size = 4;
    let ran = run.on(FakeStream::one(&["1", "2", "3", "4", "5"]), bad).await;
    assert_eq!(ran.delivered(), ["1 2 3 4", "1 2", "3 4", "3", "3", "3", "4", "5"]);
    assert_eq!(ran.given_up(), [given_up("3", "RetryAttemptsExhausted", 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_always_reported_is_given_up_alone() {
    let bad = |numbers: &[String], _| if numbers.iter().any(|n| n == "2") { failed_from("2") } else { ok() };
    let ran = run().on(FakeStream::one(&["1", "2", "3"]), bad).await;
    assert_eq!(ran.delivered(), ["1 2 3", "2 3", "2", "2", "2", "3"]);
    assert_eq!(ran.given_up(), [given_up("2", "RetryAttemptsExhausted", 3)]);
    assert_eq!(ran.failures[0]["responseContext"].get("functionError"), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_a_failure() {
    let mut run = run().policy(|policy| policy.retries = Some(0));
    run.takes = Duration::from_secs(26);
    let ran = run.on(FakeStream::one(&["1"]), |_, _| ok()).await;
    assert_eq!(ran.delivered(), ["1"]);
    assert_eq!(ran.given_up(), [given_up("1", "RetryAttemptsExhausted", 1)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_a_record_is_retried_until_it_is_too_old() {
    let mut run = run().policy(|policy| policy.retries = None);
    run.mapping.maximum_record_age = Some(Duration::from_mins(1));
    let ran = run.on(FakeStream::one(&["1"]), |_, _| Err("no")).await;
    assert!(ran.calls.len() > 8, "{:?}", ran.calls);
    assert!(ran.calls.iter().all(|call| call.at <= Duration::from_mins(1)));
    assert_eq!(ran.given_up(), [given_up("1", "RecordAgeExceeded", ran.calls.len() as u64)]);
}

#[tokio::test(start_paused = true)]
async fn records_older_than_the_poller_are_as_old_as_the_poller() {
    let mut run = run();
    run.mapping.maximum_record_age = Some(Duration::from_mins(1));
    let stream = FakeStream::one(&["1"]);
    stream.shards[0].1.lock().unwrap()[0].created_at = Some(began() - TimeDelta::days(3));
    let ran = run.on(stream, |_, _| ok()).await;
    assert_eq!(ran.delivered(), ["1"]);
    assert!(ran.failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_read_is_tried_again() {
    // One failure of listing, and so many of reading.
    let stream = FakeStream { failing: AtomicU32::new(4), ..FakeStream::one(&["1", "2"]) };
    let ran = run().on(stream, |_, _| ok()).await;
    assert_eq!(ran.delivered(), ["1 2"]);
    assert_eq!(ran.calls[0].at, 4 * POLL_INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn the_shard_waits_while_the_destination_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut run = run().policy(|policy| policy.retries = Some(0));
    run.destination = Some(file.path().join("inside-a-file.jsonl"));
    let ran = run.on(FakeStream::one(&["1", "2"]), |_, _| Err("no")).await;
    assert_eq!(ran.delivered(), ["1 2", "1"], "2 would come after 1 was kept");
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_a_call_end_and_delivers_nothing_more() {
    let mut run = run();
    run.mapping.batch_size = 1;
    run.takes = Duration::from_secs(10);
    run.lasts = Duration::from_secs(15);
    let start = Instant::now();
    let ran = run.on(FakeStream::one(&["1", "2", "3"]), |_, _| ok()).await;
    assert_eq!(ran.delivered(), ["1", "2"]);
    assert_eq!(start.elapsed(), Duration::from_secs(20), "the call that was under way was waited for");
}

#[tokio::test]
async fn records_of_an_engine_arrive_in_order_as_lambda_writes_them() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("A")).await;
    engine.put_point("m", "p", Some("B")).await;
    engine.delete_point("m", "p").await;
    let table = engine.db.describe_table().table_name("Point").send().await.unwrap();
    let arn = table.table().unwrap().latest_stream_arn().unwrap();
    let stream = DynamoStream::new(aws_sdk_dynamodbstreams::Client::new(&engine.sdk), arn);
    let shards = stream.shards().await.unwrap();
    let mut cursor = Cursor::default();
    let first = stream.read(&shards[0].id, &mut cursor).await.unwrap();
    engine.put_point("m", "q", None).await;
    let second = stream.read(&shards[0].id, &mut cursor).await.unwrap();
    assert!(stream.read(&shards[0].id, &mut cursor).await.unwrap().records.is_empty());

    let records: Vec<Value> =
        first.records.iter().chain(&second.records).map(|record| serde_json::from_str(&record.json).unwrap()).collect();
    let names: Vec<_> = records.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "MODIFY", "REMOVE", "INSERT"]);
    assert!(records.iter().all(|record| record["eventSourceARN"] == arn));
    assert_eq!(records[1]["dynamodb"]["OldImage"]["Category"], json!({"S": "A"}));
    assert_eq!(records[1]["dynamodb"]["NewImage"]["Category"], json!({"S": "B"}));
    assert_eq!(records[0]["dynamodb"].get("OldImage"), None);
    assert_eq!(records[2]["dynamodb"].get("NewImage"), None);
}
