//! A shard whose first record stands behind many empty pages, as the service answers them for a part without a record.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::audit::{numbers, points};
use crate::command::{Ran, run};
use crate::engine::Engine;
use crate::late_stream::hiding;

/// Empty pages before the first record.
const EMPTY_PAGES: usize = 50;

/// Runs a command on an engine whose shard begins with empty pages.
async fn behind_empty_pages(engine: &Engine, arguments: &[&str]) -> Ran {
    let pages = AtomicUsize::new(0);
    let is_empty = move |request: &str| {
        request.contains("DynamoDBStreams_20120810.GetRecords") && pages.fetch_add(1, Ordering::SeqCst) < EMPTY_PAGES
    };
    let url = hiding(&engine.url, is_empty).await;
    let common = ["--json", "--settle", "0.05", "--endpoint-url", &url];
    run(engine, &[arguments, &common].concat()).await
}

#[tokio::test]
async fn an_audit_finds_the_records_behind_them() {
    let (engine, _) = points(12, 7).await;
    let ran = behind_empty_pages(&engine, &["audit"]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [3, 0, 3, 0, 0, 0]), "{ran:?}");
}

#[tokio::test]
async fn a_repair_applies_the_records_behind_them() {
    let (engine, records) = points(12, 7).await;
    let ran = behind_empty_pages(&engine, &["repair"]).await;
    assert_eq!((ran.code, &ran.json()["applied"], &ran.json()["repaired"]), (0, &json!(5), &json!(0)), "{ran:?}");
    assert_eq!(engine.markers().await.len(), records.len());
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_replay_of_the_stream_applies_the_records_behind_them() {
    let (engine, _) = points(12, 7).await;
    let ran = behind_empty_pages(&engine, &["replay", "--from-stream"]).await;
    assert_eq!((ran.code, &ran.json()["read"], &ran.json()["applied"]), (0, &json!(12), &json!(5)), "{ran:?}");
    engine.assert_exact().await;
}
