//! What goes wrong: faults that pass are waited out, a broken deployment fails the invocation and nothing else.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{AMPLE, CONSOLE_TEST_EVENT, event, landmarks};
use crate::engine::{Engine, s};
use crate::proxy::{Code, Fault, Proxy};
use crate::runtime_api::{Ended, Sandbox, Settings};

/// The message of an invocation that must fail with this kind of error.
fn failure(ended: Ended, wanted: &str) -> String {
    match ended {
        Ended::Error { kind, message } if kind == wanted => message,
        other => panic!("not an error of kind {wanted}: {other:?}"),
    }
}

#[tokio::test]
async fn an_event_that_is_none_of_a_stream_fails_its_invocation_and_the_process_lives_on() {
    let engine = Engine::start().await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    for other in
        ["{}", "[]", "null", "\"Records\"", "{\"Records\": null}", "{\"Records\": {}}", "{\"key1\": \"value1\"}"]
    {
        let message = failure(sandbox.invoke(other, AMPLE).await, "Rollup.NotAStreamEvent");
        assert!(message.contains("not from a DynamoDB stream"), "{other}: {message}");
    }
    for broken in ["", "{", "{\"Records\": [", "not JSON"] {
        let ended = sandbox.invoke(broken, AMPLE).await;
        assert!(matches!(ended, Ended::Error { .. }), "{broken}: {ended:?}");
    }
    assert_eq!(engine.everything().await, Default::default());
    assert_eq!(sandbox.invoke(CONSOLE_TEST_EVENT, AMPLE).await, Ended::nothing_failed());
}

#[tokio::test]
async fn a_record_without_a_sequence_number_fails_the_invocation_and_is_kept_while_its_neighbours_count() {
    let (engine, mut records) = landmarks(3).await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    records[1]["dynamodb"].as_object_mut().unwrap().remove("SequenceNumber");

    for _ in 0..2 {
        failure(sandbox.invoke(&event(&records), AMPLE).await, "Rollup.Unnumbered");
    }
    assert_eq!(engine.counters("Seattle").await.unwrap().total, 2);
    assert_eq!(engine.markers().await.len(), 3);
}

#[tokio::test]
async fn the_stream_of_another_table_fails_the_invocation_wherever_its_record_stands() {
    let (engine, records) = landmarks(3).await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    for place in 0..records.len() {
        let mut records = records.clone();
        let stream = records[place]["eventSourceARN"].as_str().unwrap().replace("/Point/", "/Other/");
        records[place]["eventSourceARN"] = json!(stream);
        let message = failure(sandbox.invoke(&event(&records), AMPLE).await, "Rollup.OtherTable");
        assert!(message.contains(&stream) && message.contains("the source table is Point"), "{place}: {message}");
    }
    assert_eq!(engine.everything().await, Default::default());
    assert!(sandbox.lives());
}

#[tokio::test]
async fn a_stream_of_the_wrong_view_type_fails_the_invocation_and_nothing_is_quarantined() {
    let (engine, mut records) = landmarks(2).await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    for view_type in ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE"] {
        records[1]["dynamodb"]["StreamViewType"] = json!(view_type);
        let message = failure(sandbox.invoke(&event(&records), AMPLE).await, "Rollup.StreamViewType");
        assert!(message.contains(view_type) && message.contains("NEW_AND_OLD_IMAGES"), "{message}");
    }
    assert_eq!(engine.everything().await, Default::default());
    assert!(sandbox.lives());
}

#[tokio::test]
async fn a_table_that_is_missing_fails_the_invocation_and_the_process_lives_on() {
    for (variable, table) in [("ROLLUP_VIEW_TABLE", "NoMap"), ("ROLLUP_IDEMPOTENCY_TABLE", "NoIdempotency")] {
        let (engine, records) = landmarks(2).await;
        let sandbox = Sandbox::ready(&Settings::on(&engine).with(variable, table)).await;
        let message = failure(sandbox.invoke(&event(&records), AMPLE).await, "Rollup.Deployment");
        assert!(
            message.contains("ResourceNotFoundException") && message.contains("check that they exist"),
            "{message}"
        );
        assert_eq!(engine.everything().await, Default::default());

        engine
            .create_table(table, if table == "NoMap" { &["MapId"] } else { &["SequenceNumber", "Stream"] }, false)
            .await;
        assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed(), "{table}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_or_no_longer_write_fails_the_invocation_until_it_may() {
    let (engine, records) = landmarks(2).await;
    let refusals = [
        (Code::AccessDenied, "AccessDeniedException"),
        (Code::ExpiredToken, "ExpiredTokenException"),
        (Code::ResourceNotFound, "ResourceNotFoundException"),
    ];
    let proxy = Proxy::first(&engine.url, refusals.map(|(code, _)| Fault::Error(code))).await;
    let sandbox = Sandbox::ready(&Settings::on(&engine).through(&proxy)).await;
    for (code, name) in refusals {
        let message = failure(sandbox.invoke(&event(&records), AMPLE).await, "Rollup.Deployment");
        assert!(message.contains(name) && message.contains("no record is at fault"), "{code:?}: {message}");
        assert_eq!(engine.everything().await, Default::default(), "{code:?}");
    }
    assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed());
    engine.assert_exact().await;
}

#[tokio::test]
async fn missing_credentials_fail_the_invocation_and_nothing_is_quarantined() {
    let (engine, records) = landmarks(2).await;
    let settings = Settings::on(&engine)
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY")
        .with("AWS_EC2_METADATA_DISABLED", "true");
    let sandbox = Sandbox::ready(&settings).await;
    let message = failure(sandbox.invoke(&event(&records), AMPLE).await, "Rollup.Deployment");
    assert!(message.contains("credentials"), "{message}");
    assert_eq!(engine.everything().await, Default::default());
}

#[tokio::test]
async fn every_fault_that_passes_is_waited_out_within_one_invocation() {
    let faults = [
        Fault::RequestLost,
        Fault::AnswerLost,
        Fault::AnswerCut,
        Fault::AnswerReplaced,
        Fault::Conflict(0),
        Fault::Conflict(0b110),
        Fault::ConflictBesides,
        Fault::Error(Code::InternalServerError),
        Fault::Error(Code::ServiceUnavailable),
        Fault::Error(Code::Throttling),
        Fault::Error(Code::ProvisionedThroughputExceeded),
        Fault::Error(Code::TransactionInProgress),
    ];
    for fault in faults {
        let (engine, records) = landmarks(5).await;
        let proxy = Proxy::first(&engine.url, [fault, fault]).await;
        let sandbox = Sandbox::ready(&Settings::on(&engine).through(&proxy)).await;
        assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed(), "{fault:?}");
        assert_eq!(proxy.faults(), [(fault.kind(), 2)].into());
        engine.assert_exact().await;
        assert_eq!(engine.markers().await.len(), records.len(), "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_commit_is_asked_for_with_the_same_token() {
    let (engine, records) = landmarks(5).await;
    engine.put("Map", [("MapId", s("Seattle"))]).await;
    let tokens = Arc::new(Mutex::new(Vec::<(Value, Value)>::new()));
    let seen = Arc::clone(&tokens);
    let proxy = Proxy::start(&engine.url, move |request| {
        let mut seen = seen.lock().unwrap();
        seen.push((request.body["ClientRequestToken"].clone(), request.body["TransactItems"].clone()));
        (seen.len() == 2).then_some(Fault::AnswerLost)
    })
    .await;
    let sandbox = Sandbox::ready(&Settings::on(&engine).through(&proxy)).await;

    assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed());
    engine.assert_exact().await;
    let tokens = tokens.lock().unwrap();
    let [first_touch, lost, again, _definition] = tokens.as_slice() else { panic!("{} requests", tokens.len()) };
    assert_eq!(lost, again, "the same transaction is sent again");
    assert_ne!(first_touch.0, lost.0, "another transaction has a token of its own");
}
