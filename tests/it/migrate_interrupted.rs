//! Migrations that are killed, stopped, or applied by several operators at once.

use std::process::Stdio;

use aws_sdk_dynamodb::types::AttributeValue;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::command::{command, run};
use crate::engine::{Engine, s};
use crate::migrate::history;
use crate::request_hook::{hang_after, until_hung};

const MAPS: usize = 60;

/// Maps that lack their counter map, each with a point that is counted by nobody.
async fn maps_without_counters() -> Engine {
    let engine = Engine::start().await;
    for map in 0..MAPS {
        engine.put("Map", [("MapId", s(&format!("m{map}")))]).await;
        engine.put_point(&format!("m{map}"), "p", Some("Park")).await;
    }
    engine
}

async fn maps_with_counters(engine: &Engine) -> usize {
    let maps = engine.scan("Map").await;
    maps.iter().filter(|map| matches!(map.get("CategoryCounts"), Some(AttributeValue::M(_)))).count()
}

#[tokio::test]
async fn a_run_that_is_killed_is_gone_on_with_by_anybody() {
    let engine = maps_without_counters().await;
    let (url, mut hung) = hang_after(&engine.url, "UpdateItem", 20).await;
    let arguments = ["migrate", "--by", "ann", "--endpoint-url", &url];
    let mut first = command(&engine, &arguments).stderr(Stdio::null()).spawn().unwrap();
    until_hung(&mut first, &mut hung).await;
    first.kill().await.unwrap();
    let done_before = maps_with_counters(&engine).await;
    assert!((1..MAPS).contains(&done_before), "{done_before} of {MAPS} were done when it was killed");
    assert!(history(&engine).await.is_empty(), "what is not complete is not recorded");

    let ran = run(&engine, &["migrate", "--by", "bob", "--settle", "0", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["migrations"][0]["changed"], json!(MAPS - done_before), "what was done is not done again");
    assert_eq!(maps_with_counters(&engine).await, MAPS);
    assert!(history(&engine).await.values().all(|applied| applied["AppliedBy"] == s("bob")));
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_run_that_is_stopped_says_what_is_not_complete() {
    let engine = maps_without_counters().await;
    let (url, mut hung) = hang_after(&engine.url, "UpdateItem", 20).await;
    let mut stopped = command(&engine, &["migrate", "--endpoint-url", &url]);
    let mut stopped = stopped.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_hung(&mut stopped, &mut hung).await;
    let pid = Pid::from_raw(stopped.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = stopped.wait_with_output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{error}");
    assert!(error.contains("stopped before V1__counter_maps_of_view_items was complete"), "{error}");
    assert!(history(&engine).await.is_empty());
    assert_eq!(run(&engine, &["migrate", "--settle", "0"]).await.code, 0);
    engine.assert_exact().await;
}

#[tokio::test]
async fn of_several_operators_at_once_each_succeeds_and_each_migration_is_recorded_once() {
    let engine = maps_without_counters().await;
    let operators = ["ann", "bob", "cy", "dee"].map(|who| {
        let engine = &engine;
        async move { run(engine, &["migrate", "--by", who, "--settle", "0"]).await }
    });
    for ran in futures_util::future::join_all(operators).await {
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let recorded = history(&engine).await;
    assert_eq!(recorded.keys().collect::<Vec<_>>(), ["migration Map#V0001", "migration Map#V0002"]);
    engine.assert_exact().await;
}
