//! The deadline: an engine that does not do its work never costs an invocation its response.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{AMPLE, event, landmarks};
use crate::engine::{s, sequence_number};
use crate::proxy::{Code, Fault, Proxy, Request};
use crate::runtime_api::{Ended, Sandbox, Settings};

const DEADLINES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Whatever the engine does for so long, the response comes before the deadline and asks for the whole batch again,
/// and the next invocation of the same process counts it, when the engine works.
async fn asks_again(fault: Fault) {
    for time in DEADLINES {
        let (engine, records) = landmarks(150).await;
        let works = Arc::new(AtomicBool::new(false));
        let worked = Arc::clone(&works);
        let plan = move |_: &Request| (!worked.load(Ordering::Relaxed)).then_some(fault);
        let proxy = Proxy::start(&engine.url, plan).await;
        let sandbox = Sandbox::ready(&Settings::on(&engine).through(&proxy)).await;
        let ended = sandbox.invoke(&event(&records), time).await;
        assert_eq!(ended, Ended::failed_from(sequence_number(&records[0])), "{fault:?}, {time:?}");
        assert_eq!(engine.everything().await, Default::default());

        works.store(true, Ordering::Relaxed);
        assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed(), "{fault:?}, {time:?}");
        engine.assert_exact().await;
    }
}

#[tokio::test]
async fn an_engine_that_hangs_is_answered_for_before_the_deadline() {
    asks_again(Fault::Hanging).await;
}

#[tokio::test]
async fn an_engine_that_only_fails_is_answered_for_before_the_deadline() {
    asks_again(Fault::Error(Code::InternalServerError)).await;
}

#[tokio::test]
async fn an_engine_that_only_throttles_is_answered_for_before_the_deadline() {
    asks_again(Fault::Error(Code::ProvisionedThroughputExceeded)).await;
}

#[tokio::test]
async fn conflicts_without_end_are_answered_for_before_the_deadline() {
    asks_again(Fault::Conflict(0b1010)).await;
}

#[tokio::test]
async fn an_engine_that_is_down_is_answered_for_before_the_deadline() {
    let (engine, records) = landmarks(10).await;
    let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let down = format!("http://{}", place.local_addr().unwrap());
    drop(place);
    let sandbox = Sandbox::ready(&Settings::at(&down)).await;
    for time in DEADLINES {
        let ended = sandbox.invoke(&event(&records), time).await;
        assert_eq!(ended, Ended::failed_from(sequence_number(&records[0])), "{time:?}");
    }
    assert_eq!(engine.everything().await, Default::default());
}

#[tokio::test]
async fn what_is_committed_before_the_engine_hangs_is_not_asked_for_again() {
    let (engine, records) = landmarks(250).await;
    engine.put("Map", [("MapId", s("Seattle")), ("CategoryCounts", AttributeValue::M(HashMap::new()))]).await;
    let mut requests = 0;
    // One transaction is carried out; then nothing moves any more.
    let proxy = Proxy::start(&engine.url, move |request| {
        requests += usize::from(request.actions() > 0);
        (requests > 1).then_some(Fault::Hanging)
    })
    .await;
    let sandbox = Sandbox::ready(&Settings::on(&engine).through(&proxy)).await;

    let ended = sandbox.invoke(&event(&records), DEADLINES[1]).await;
    let markers = engine.markers().await;
    assert!(!markers.is_empty() && markers.len() < records.len(), "{} markers", markers.len());
    let open = |record: &&Value| !markers.contains_key(sequence_number(record));
    let first_open = records.iter().find(open).unwrap();
    assert_eq!(ended, Ended::failed_from(sequence_number(first_open)));

    let place = records.iter().position(|record| open(&record)).unwrap();
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    assert_eq!(sandbox.invoke(&event(&records[place..]), AMPLE).await, Ended::nothing_failed());
    engine.assert_exact().await;
}

/// Deadlines that are none: past on arrival, later than any invocation of Lambda's may last, in another unit, no number.
fn unusable_deadlines() -> Vec<Option<String>> {
    let now = chrono::Utc::now().timestamp_millis();
    let (minute, day) = (60_000, 86_400_000);
    let numbers = [
        0,
        600_000,
        now - minute,
        now + 16 * minute,
        now + 15 * day,
        now + 40 * 365 * day,
        now * 1_000,
        now * 1_000_000,
    ];
    let texts = ["-1", "18446744073709551615", "99999999999999999999999", "soon", ""];
    let given = numbers.map(|number| number.to_string()).into_iter().chain(texts.map(str::to_owned));
    given.map(Some).chain([None]).collect()
}

#[tokio::test]
async fn an_invocation_whose_deadline_is_none_is_dealt_with_and_the_process_lives_on_and_warns_once() {
    let (engine, records) = landmarks(20).await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    let mut open = records.iter();
    for deadline in unusable_deadlines() {
        let record = open.next().unwrap();
        let ended = sandbox.invoke_with(&event(std::slice::from_ref(record)), deadline.clone(), AMPLE).await;
        assert_eq!(ended, Ended::nothing_failed(), "{deadline:?}");
        let markers = engine.markers().await;
        let marker = &markers[sequence_number(record)];
        assert_eq!(marker["Outcome"].as_s().unwrap(), "APPLIED", "fresh, so not expired: {deadline:?}");
    }
    let rest: Vec<Value> = open.cloned().collect();
    assert_eq!(sandbox.invoke(&event(&rest), AMPLE).await, Ended::nothing_failed());
    engine.assert_exact().await;

    sandbox.terminate().await;
    let log = sandbox.stdout().await;
    let warnings = log.iter().filter(|line| line.contains("without a usable deadline")).count();
    assert_eq!(warnings, 1, "{log:#?}");
    assert_eq!(sandbox.stderr().await, [""; 0], "nothing of it is a panic");
}
