//! The log: lines of JSON, one summary an invocation, and nothing of what is in an item.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::{AMPLE, STREAM_EVENT, event, landmarks};
use crate::engine::{Engine, s};
use crate::proxy::{Code, Fault, Proxy};
use crate::runtime_api::{Sandbox, Settings};

/// The fields of a summary that tell numbers.
const COUNTS: [&str; 8] =
    ["records", "applied", "duplicates", "no_effect", "quarantined", "unresolved", "transactions", "retries"];

/// Ends the process. Its log lines, without the last, which tells of the end; and the lines of metrics.
async fn written(sandbox: &Sandbox) -> (Vec<Value>, Vec<Value>) {
    sandbox.terminate().await;
    let lines = sandbox.stdout().await;
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (metrics, mut log): (Vec<_>, Vec<_>) = lines.partition(|line| line["_aws"].is_object());
    for line in &log {
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["target"].is_string(), "{line}");
    }
    let last = log.pop().unwrap();
    assert_eq!(last["signal"], "SIGTERM", "{last}");
    (log, metrics)
}

/// The numbers of the summaries, in the order of the invocations.
fn summaries(lines: &[Value]) -> Vec<[u64; 8]> {
    let summaries = lines.iter().filter(|line| line["message"] == "invocation");
    let numbers = |line: &Value| {
        assert_eq!(line["level"], "INFO");
        assert!(line["milliseconds"].is_u64(), "{line}");
        COUNTS.map(|count| line[count].as_u64().unwrap_or_else(|| panic!("no {count} in {line}")))
    };
    summaries.map(numbers).collect()
}

#[tokio::test]
async fn an_invocation_writes_one_summary_with_its_numbers() {
    let (engine, mut records) = landmarks(4).await;
    // The first request asks for the view item: it is not sent again, and what it does not tell is presumed.
    let throttled = Fault::Error(Code::Throttling);
    let proxy = Proxy::first(&engine.url, [throttled, throttled, Fault::AnswerLost]).await;
    let sandbox = Sandbox::ready(&Settings::on(&engine).through(&proxy)).await;
    engine.put("Map", [("MapId", s("Seattle")), ("CategoryCounts", AttributeValue::M(HashMap::new()))]).await;

    sandbox.invoke(&event(&records[..3]), AMPLE).await;
    records.push(records[3].clone());
    let poison = json!({ "dynamodb": { "SequenceNumber": "7" } });
    let mut unchanged = records[3].clone();
    unchanged["dynamodb"]["SequenceNumber"] = json!("8");
    unchanged["dynamodb"]["OldImage"] = unchanged["dynamodb"]["NewImage"].clone();
    records.extend([poison, unchanged]);
    sandbox.invoke(&event(&records), AMPLE).await;
    sandbox.invoke(&event(&[]), AMPLE).await;

    let (log, metrics) = written(&sandbox).await;
    let summaries = summaries(&log);
    // records, applied, duplicates, no_effect, quarantined, unresolved, transactions, retries
    assert_eq!(summaries[0], [3, 3, 0, 0, 0, 0, 3, 2]);
    let [records, applied, duplicates, no_effect, quarantined, unresolved, _, retries] = summaries[1];
    assert_eq!((records, applied, duplicates, no_effect), (7, 1, 4, 1));
    assert_eq!((quarantined, unresolved, retries), (1, 0, 0));
    assert_eq!(summaries[2], [0; 8]);
    assert_eq!(summaries.len(), 3);
    let told = |line: &Value| ["Records", "Applied"].map(|metric| line[metric].as_u64().unwrap());
    assert_eq!(metrics.iter().map(told).collect::<Vec<_>>(), [[3, 3], [7, 1], [0, 0]], "metrics of the same numbers");
}

#[tokio::test]
async fn no_line_shows_what_is_in_an_item() {
    const SECRET: &str = "4c0ffee4";
    let engine = Engine::start().await;
    let (map, point) = (format!("map-{SECRET}"), format!("point-{SECRET}"));
    for place in 0..3 {
        engine.put_point(&map, &format!("{point}-{place}"), Some(&format!("category-{SECRET}"))).await;
    }
    let mut records = engine.stream_records().await;
    records[1]["dynamodb"]["NewImage"]["MapId"] = json!({ "N": SECRET });
    records[2]["dynamodb"]["NewImage"]["Category"] = json!({ "X": SECRET });
    let mut old: Value = serde_json::from_str(STREAM_EVENT).unwrap();
    old["Records"][0]["dynamodb"]["NewImage"]["MapId"] = json!({ "S": SECRET });
    records.push(old["Records"][0].clone());

    // A map whose counters cannot be added to puts a record into quarantine, too.
    engine.put("Map", [("MapId", s(&map)), ("TotalPoints", s(SECRET))]).await;
    let proxy = Proxy::first(&engine.url, [Fault::Conflict(0), Fault::AnswerCut]).await;
    for level in ["INFO", "DEBUG"] {
        let sandbox = Sandbox::ready(&Settings::on(&engine).through(&proxy).with("AWS_LAMBDA_LOG_LEVEL", level)).await;
        sandbox.invoke(&event(&records), AMPLE).await;
        let (log, metrics) = written(&sandbox).await;
        for line in log.iter().chain(&metrics) {
            assert!(!line.to_string().contains(SECRET), "{level}: {line}");
        }
    }
    let quarantined = engine.markers().await;
    assert_eq!(quarantined.len(), 4, "all of them are dealt with: {quarantined:?}");
}

#[tokio::test]
async fn a_quarantined_record_has_a_warning_with_its_number_and_the_kind_of_reason() {
    let engine = Engine::start().await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    sandbox.invoke(STREAM_EVENT, AMPLE).await;
    let (log, _) = written(&sandbox).await;
    let warnings: Vec<_> = log.iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(warnings.len(), 1, "{log:?}");
    assert_eq!(warnings[0]["message"], "record quarantined");
    assert_eq!(warnings[0]["sequence_number"], "100000000000950939886");
    assert_eq!(warnings[0]["reason"], "expired");
}

#[tokio::test]
async fn an_invocation_that_fails_has_an_error_with_its_request() {
    let engine = Engine::start().await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    sandbox.invoke("{}", AMPLE).await;
    let (log, _) = written(&sandbox).await;
    let errors: Vec<_> = log.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{log:?}");
    assert!(errors[0]["request_id"].is_string(), "{log:?}");
    assert!(errors[0]["message"].as_str().unwrap().starts_with("invocation failed: "));
}

#[tokio::test]
async fn the_level_that_lambda_sets_is_kept() {
    let (engine, records) = landmarks(1).await;
    let sandbox = Sandbox::ready(&Settings::on(&engine).with("AWS_LAMBDA_LOG_LEVEL", "WARN")).await;
    sandbox.invoke(&event(&records), AMPLE).await;
    sandbox.terminate().await;
    let lines = sandbox.stdout().await;
    assert!(lines.len() == 1 && lines[0].contains("_aws"), "metrics are no log lines: {lines:?}");
}
