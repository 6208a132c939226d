//! The way of an operator from an alarm, or from an audit's report, to exact counters: by the commands that the runbooks
//! and the reports name, as a shell runs them.

use std::path::Path;
use std::process::Output;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use tokio::process::Command;

use crate::audit::switch_stream;
use crate::command::{Ran, run};
use crate::engine::{Engine, n, s};
use crate::failure_queue::{Queue, pointer};

const RUNBOOKS: &str = include_str!("../../docs/operating/alarms.md");

/// A definition like the default one, which also sums.
const DEFINITION: &str = r#"{ "key": [{ "attribute": "MapId", "type": "S" }],
    "measures": { "TotalPoints": "count", "CategoryCounts": "count by Category", "Stars": "sum Stars" } }"#;

/// Runs a line as an operator does who has the command on the path, and the credentials in the environment.
async fn shell(engine: &Engine, line: &str, environment: &[(&str, &str)]) -> Ran {
    let folder = Path::new(env!("CARGO_BIN_EXE_ddb-rollup")).parent().unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).env_clear().env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    command.envs([("AWS_ACCESS_KEY_ID", engine.access_key.as_str()), ("AWS_SECRET_ACCESS_KEY", "local")]);
    command.env("AWS_REGION", "eu-west-1").envs(environment.iter().copied());
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// The commands of this tool in a text, each on a line of its own.
fn commands(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_start).filter(|line| line.starts_with("ddb-rollup ")).collect()
}

/// Runs the commands of a runbook, in their order, with a queue and a function that are there.
async fn follow(engine: &Engine, alarm: &str, environment: &[(&str, &str)], queue_url: &str) -> Vec<Ran> {
    let (_, section) = RUNBOOKS.split_once(&format!("\n## {alarm}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut ran = Vec::new();
    for command in commands(section) {
        // The embedded engine shows a write in the stream at once: nothing has to settle.
        let settle = if command.contains(" quarantine ") { "" } else { " --settle 0.1" };
        let command = format!("{}{settle}", command.replace("FAILURE_QUEUE_URL", queue_url));
        let one = shell(engine, &command, environment).await;
        assert_ne!(one.code, 2, "{alarm}: {command}: {one:?}");
        ran.push(one);
    }
    assert!(!ran.is_empty(), "{alarm} has no command");
    ran
}

async fn assert_clean(engine: &Engine) {
    let ran = run(engine, &["audit", "--settle", "0"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    engine.assert_exact().await;
}

async fn tamper(engine: &Engine, map: &str, total: i64) {
    let update = engine.db.update_item().table_name("Map").key("MapId", s(map));
    let update = update.update_expression("SET TotalPoints = :v").expression_attribute_values(":v", n(total));
    update.send().await.unwrap();
}

#[tokio::test]
async fn the_runbook_of_a_drifted_counter_ends_exact() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    engine.function().deliver(&engine.stream_records().await).await;
    tamper(&engine, "m", -3).await;
    let environment = [("AWS_ENDPOINT_URL", engine.url.as_str())];
    let ran = follow(&engine, "NegativeCountersAlarm", &environment, "").await;
    assert_eq!(ran.iter().map(|ran| ran.code).collect::<Vec<_>>(), [1, 0], "{ran:?}");
    assert!(ran[0].out.contains("TotalPoints is -3, should be 1"), "{ran:?}");
    assert_clean(&engine).await;
}

#[tokio::test]
async fn the_runbook_of_the_failure_queue_ends_exact() {
    let engine = Engine::start().await;
    for point in 0..4 {
        engine.put_point("m", &format!("p{point}"), Some("Park")).await;
    }
    let records = engine.stream_records().await;
    // One record that is not in the stream any more, and was counted: nothing is left to repair.
    let gone = records[0]["eventSourceARN"].as_str().unwrap().replace("/Point/", "/Dropped/");
    let queue = Queue::default();
    let shard = engine.shard().await;
    queue.put([pointer(&records, &shard, &records[0]["eventSourceARN"]), pointer(&records[..1], &shard, &json!(gone))]);
    let url = queue.serve().await;
    let environment = [("AWS_ENDPOINT_URL", engine.url.as_str()), ("AWS_ENDPOINT_URL_SQS", &url)];
    let ran = follow(&engine, "FailureQueueAlarm", &environment, &format!("{url}/000000000000/failures")).await;
    assert!(ran[0].out.contains("4 applied"), "{ran:?}");
    assert_eq!(ran.last().unwrap().code, 0, "{ran:?}");
    assert!(queue.left().is_empty());
    assert_clean(&engine).await;
}

#[tokio::test]
async fn the_runbook_of_quarantine_ends_exact() {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("broken")), ("TotalPoints", s("many"))]).await;
    engine.put_point("broken", "p", Some("Park")).await;
    engine.put_point("old", "p", Some("Park")).await;
    let mut records = engine.stream_records().await;
    let old = records.iter_mut().find(|record| record["dynamodb"]["Keys"]["MapId"]["S"] == "old").unwrap();
    old["dynamodb"]["ApproximateCreationDateTime"] = json!(1_500_000_000);
    engine.function().deliver(&records).await;
    // "Fix the item."
    engine.put("Map", [("MapId", s("broken"))]).await;
    let environment = [("AWS_ENDPOINT_URL", engine.url.as_str())];
    let ran = follow(&engine, "QuarantinedAlarm", &environment, "").await;
    assert!(ran[0].out.contains("2 records in quarantine") && ran[0].code == 1, "{ran:?}");
    assert_eq!(ran.last().unwrap().code, 0, "{ran:?}");
    assert_clean(&engine).await;
}

/// Counters that are wrong in every way that an audit can tell.
async fn everything_wrong(engine: &Engine) {
    for (map, point, category) in [("drifted", "p", "Park"), ("moved", "p", "Bar"), ("quarantined", "p", "Park")] {
        engine.put_point(map, point, Some(category)).await;
    }
    engine.put("Map", [("MapId", s("quarantined")), ("TotalPoints", s("many"))]).await;
    let function = engine.function();
    for record in engine.stream_records().await {
        function.deliver(&[record]).await;
    }
    engine.put_point("moved", "p", Some("Park")).await;
    for record in engine.stream_records().await {
        function.deliver(&[record]).await;
    }
    tamper(engine, "drifted", 7).await;
}

#[tokio::test]
async fn the_commands_that_a_report_names_end_exact() {
    let engine = Engine::start().await;
    everything_wrong(&engine).await;
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("what it's about.json");
    std::fs::write(
        &definition,
        r#"{ "key": [{ "attribute": "MapId", "type": "S" }],
        "measures": { "TotalPoints": "count", "CategoryCounts": "count by Category" } }"#,
    )
    .unwrap();
    let audit = format!(
        "ddb-rollup audit --endpoint-url {} --definition '{}' --settle 0.1 --any-definition",
        engine.url,
        definition.to_str().unwrap().replace('\'', r"'\''")
    );
    let first = shell(&engine, &audit, &[]).await;
    assert_eq!(first.code, 1, "{first:?}");
    let named = commands(&first.out);
    for part in ["repair ", "quarantine list", "quarantine replay --all", "repair --remove-zero-groups"] {
        assert!(named.iter().any(|command| command.starts_with(&format!("ddb-rollup {part}"))), "{part}: {first:?}");
    }
    let options = audit.strip_prefix("ddb-rollup audit").unwrap().split(" --settle").next().unwrap();
    for command in named {
        assert!(command.contains(options), "{options} is not in {command}");
        let ran = shell(&engine, command, &[]).await;
        assert_ne!(ran.code, 2, "{command}: {ran:?}");
    }
    let last = shell(&engine, &audit, &[]).await;
    assert_eq!((last.code, commands(&last.out)), (0, vec![]), "{last:?}");
    engine.assert_exact().await;
}

#[tokio::test]
async fn what_no_command_of_this_tool_mends_has_one_that_shows_it() {
    let engine = Engine::start().await;
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("stars.json");
    std::fs::write(&definition, DEFINITION).unwrap();
    let hostile = "it's\u{1b}[31m";
    let point = |stars| [("MapId", s(hostile)), ("PointId", s("p")), ("Stars", stars)];
    engine.put("Point", point(AttributeValue::N("1e60".to_owned()))).await;
    switch_stream(&engine, false).await;
    let arguments = ["audit", "--endpoint-url", &engine.url, "--definition", definition.to_str().unwrap()];
    let ran = run(&engine, &arguments).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let aws: Vec<&str> = ran.out.lines().map(str::trim_start).filter(|line| line.starts_with("aws ")).collect();
    let [get, update] = aws[..] else { panic!("{ran:?}") };
    // As a shell reads them, with a program that prints its arguments in the place of the AWS CLI.
    let show =
        async |command: &str| shell(&engine, &format!("aws() {{ printf '%s\\n' \"$@\"; }}; {command}"), &[]).await.out;
    let shown = show(get).await;
    let mut words = shown.lines();
    let before = ["dynamodb", "get-item", "--table-name", "Point", "--key"];
    assert!(before.iter().all(|word| words.next() == Some(word)), "{shown}");
    let key: serde_json::Value = serde_json::from_str(words.next().unwrap()).unwrap();
    assert_eq!(key, json!({ "MapId": { "S": hostile }, "PointId": { "S": "p" } }));
    let shown = show(update).await;
    assert!(shown.contains("StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES\n--endpoint-url"), "{shown}");

    // The source item is corrected; the report has nothing left but the stream.
    engine.put("Point", point(AttributeValue::N("5".to_owned()))).await;
    let repaired = run(&engine, &[&["repair"], &arguments[1..]].concat()).await;
    assert_eq!(repaired.code, 0, "{repaired:?}");
}
