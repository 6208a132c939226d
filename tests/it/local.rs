//! `ddb-rollup local`, as an operator starts it.

#![allow(clippy::unwrap_used, reason = "all of it is test code")]

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::engine::{n, s, sdk, text, without_embedded_engine};
use crate::terminal;

/// Why nothing here runs on another engine.
pub const OWN_ENGINE: &str = "`local` starts an embedded engine of its own";

/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_mins(1);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb-rollup"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // A setting for AWS must not take the requests elsewhere.
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("AWS_PROFILE", "no-such-profile");
    command
}

pub async fn run(arguments: &[&str]) -> Output {
    timeout(PATIENCE, command(arguments).output()).await.unwrap().unwrap()
}

/// The command at work.
pub struct Local {
    child: Child,
    url: String,
    greeting: String,
    lines: Lines<BufReader<ChildStdout>>,
    /// Kept: to close it would end the command at its next message.
    stderr: BufReader<ChildStderr>,
}

impl Local {
    pub async fn start(arguments: &[&str]) -> Self {
        let mut child = command(&[&["local", "--port", "0"], arguments].concat()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C stops.") {
            let read = timeout(PATIENCE, stderr.read_line(&mut greeting)).await.unwrap().unwrap();
            assert!(read > 0, "it ended: {greeting}");
        }
        let url = greeting.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { child, url, greeting, lines, stderr }
    }

    /// What it said on standard error before it began.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    pub fn db(&self) -> Client {
        Client::new(&sdk(&self.url, "local"))
    }

    async fn put_point(&self, map: &str, point: &str, category: &str) {
        let request = self.db().put_item().table_name("Point").item("MapId", s(map)).item("PointId", s(point));
        request.item("Category", s(category)).send().await.unwrap();
    }

    pub async fn line(&mut self) -> String {
        timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap().unwrap()
    }

    /// Sends a signal; gives the lines that were left, and the exit code.
    pub async fn end(mut self, signal: &str) -> (Vec<String>, Option<i32>) {
        // The shell's own: not every machine has the program.
        let kill = format!("kill {signal} {}", self.child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
        let mut left = Vec::new();
        while let Some(line) = timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap() {
            left.push(line);
        }
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).await.unwrap();
        (left, self.child.wait().await.unwrap().code())
    }
}

#[tokio::test]
async fn the_demo_tells_its_story_and_ends_well() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let output = run(&["local", "--demo"]).await;
    let story = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{story}");
    for line in [
        "1  Load the tutorial's 4 maps and 7 points",
        "OlympiaMapId     -       1: Landmark 1",
        "SeattleMapId     -       2: Landmark 1, Restaurant 1",
        "SydneyMapId      -       1: Landmark 1",
        "TownsvilleMapId  -       3: Landmark 2, Restaurant 1",
        "SeattleMapId  2: Landmark 1, Restaurant 1  2: Bar 1, Landmark 1, Restaurant 0",
        "TownsvilleMapId  3: Landmark 2, Restaurant 1  2: Landmark 1, Restaurant 1",
        "TownsvilleMapId  2: Landmark 1, Restaurant 1  3: Landmark 2, Restaurant 1",
        "1 REMOVE by dynamodb.amazonaws.com",
        "6  Every one of the 12 stream records is delivered again, three times",
        "33 duplicates found",
        "8  Somebody writes to a counter of Seattle, past the function",
        "SeattleMapId TotalPoints was 5, and a recount says 2: it is set to 2",
        "Exact: every counter equals the recount, and nothing was counted twice.",
    ] {
        assert!(story.contains(line), "{line:?} is missing in:\n{story}");
    }
    assert!(!story.contains('\u{1b}'), "colours are for a terminal");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[tokio::test]
async fn the_demo_as_json_is_one_object() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let output = run(&["--json", "local", "--demo", "--source-table", "Place"]).await;
    assert_eq!(output.status.code(), Some(0));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["exact"], true);
    assert_eq!(summary["drift"], json!([]));
    assert_eq!(summary["moved_by_redelivery"], false);
    assert_eq!(
        (&summary["records"], &summary["delivered"], &summary["duplicates"]),
        (&json!(12), &json!(48), &json!(33))
    );
    let steps = summary["steps"].as_array().unwrap();
    assert_eq!((steps.len(), &summary["tampering_mended"]), (9, &json!(true)));
    assert_eq!(
        steps[0]["counters"],
        json!({
            "SeattleMapId": {"TotalPoints": 2, "CategoryCounts": {"Landmark": 1, "Restaurant": 1}},
            "OlympiaMapId": {"TotalPoints": 1, "CategoryCounts": {"Landmark": 1}},
            "SydneyMapId": {"TotalPoints": 1, "CategoryCounts": {"Landmark": 1}},
            "TownsvilleMapId": {"TotalPoints": 3, "CategoryCounts": {"Landmark": 2, "Restaurant": 1}},
        })
    );
}

#[tokio::test]
async fn the_demo_ends_with_1_when_somebody_else_moves_a_counter() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port().to_string();
    // The story is short: a client that waits before it tries again could miss it.
    let prompt = aws_sdk_dynamodb::config::Builder::from(&sdk(&format!("http://127.0.0.1:{port}"), "local"));
    let db = Client::from_conf(prompt.retry_config(RetryConfig::disabled()).build());
    let demo = tokio::spawn(async move { run(&["local", "--demo", "--json", "--port", &port]).await });
    while !demo.is_finished() {
        let update = db.update_item().table_name("Map").key("MapId", s("SydneyMapId"));
        let update = update.update_expression("ADD TotalPoints :one").expression_attribute_values(":one", n(1));
        // Before the tables are there, and after the end, it fails.
        let _ = update.send().await;
        sleep(Duration::from_millis(1)).await;
    }
    let output = demo.await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["exact"], false);
    let drift = &summary["drift"][0];
    assert_eq!((&drift["key"], &drift["measure"]), (&json!("SydneyMapId"), &json!("TotalPoints")));
    assert!(drift["stored"].as_i64() > drift["recounted"].as_i64());
}

#[tokio::test]
async fn a_point_is_a_line_and_a_restart_counts_nothing_twice() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tables.db");
    let arguments = ["--data", file.to_str().unwrap(), "--parameter", "MaximumBatchingWindowInSeconds=0"];
    let mut local = Local::start(&arguments).await;
    local.put_point("Seattle", "SpaceNeedle", "Landmark").await;
    assert_eq!(local.line().await, "Seattle  TotalPoints 1  CategoryCounts Landmark 1");
    local.put_point("Seattle", "PalaceKitchen", "Restaurant").await;
    assert_eq!(local.line().await, "Seattle  TotalPoints 2  CategoryCounts Landmark 1, Restaurant 1");
    local.put_point(terminal::KEY, "SpaceNeedle", "Land\u{1b}[2Jmark").await;
    terminal::assert_shown(&local.line().await);
    assert_eq!(local.end("-TERM").await, (vec![], Some(0)));

    let mut local = Local::start(&[&arguments[..], &["--json"]].concat()).await;
    local.put_point("Olympia", "Capitol", "Landmark").await;
    let change: Value = serde_json::from_str(&local.line().await).unwrap();
    let counters = json!({"TotalPoints": 1, "CategoryCounts": {"Landmark": 1}});
    assert_eq!(change, json!({"key": "Olympia", "counters": counters}), "what was counted before is no change");
    let maps = local.db().scan().table_name("Map").send().await.unwrap();
    let mut totals: Vec<_> = maps.items().iter().map(|map| (text(&map["MapId"]), map["TotalPoints"].clone())).collect();
    totals.sort_by(|left, right| left.0.cmp(&right.0));
    let expected = [("Olympia", 1), ("Seattle", 2), (terminal::KEY, 1)];
    assert_eq!(totals, expected.map(|(map, total)| (map.to_owned(), n(total))));
    assert_eq!(local.end("-INT").await, (vec![], Some(0)));
}

#[tokio::test]
async fn an_item_that_expires_leaves_the_counters() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let mut local = Local::start(&["--parameter", "MaximumBatchingWindowInSeconds=0"]).await;
    let expiry = aws_sdk_dynamodb::types::TimeToLiveSpecification::builder().enabled(true).attribute_name("Until");
    let expiry = expiry.build().unwrap();
    local.db().update_time_to_live().table_name("Point").time_to_live_specification(expiry).send().await.unwrap();
    let yesterday = chrono::Utc::now().timestamp() - 86_400;
    let request = local.db().put_item().table_name("Point").item("MapId", s("m")).item("PointId", s("p"));
    request.item("Until", n(yesterday)).send().await.unwrap();
    assert_eq!(local.line().await, "m  TotalPoints 1");
    assert_eq!(local.line().await, "m  TotalPoints 0");
    assert_eq!(local.end("-TERM").await, (vec![], Some(0)));
}

#[tokio::test]
async fn what_keeps_it_from_running_is_said_with_what_to_do() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("text"), "this is no database, and much longer than the header of one would be".repeat(9))
        .unwrap();
    other_table(Path::new(&file("other.db")));

    for (arguments, problem) in [
        (&["--port", &port][..], format!("port {port} is taken, perhaps by another `ddb-rollup local`; choose another one with --port")),
        (&["--data", &file("text")], "cannot keep the tables in".into()),
        (&["--port", "0", "--data", &file("other.db")], "the table Point is there, but has the key HASH Id (S), where the template declares the key HASH MapId (S), RANGE PointId (S)".into()),
        (&["--parameter", "Batch=1"], "the template has no parameter Batch".into()),
        (&["--parameter", "BatchSize=0"], "A whole number from 1 to 10000.".into()),
        (&["--parameter", "BatchSize"], "it must be NAME=VALUE".into()),
        (&["--view-table", "Point"], "ROLLUP_VIEW_TABLE".into()),
        (&["--endpoint-url", "http://127.0.0.1:8000"], "leave out --endpoint-url".into()),
        (&["--demo", "--data", "x"], "cannot be used with".into()),
    ] {
        let output = run(&[&["local"], arguments].concat()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&problem), "{problem:?} is missing in: {said}");
        assert!(output.stdout.is_empty());
    }
}

/// A file with a table Point of another key.
fn other_table(file: &Path) {
    let database = dynoxide::Database::new(file.to_str().unwrap()).unwrap();
    let request = json!({
        "TableName": "Point",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "Id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "Id", "KeyType": "HASH"}],
    });
    database.create_table(serde_json::from_value(request).unwrap()).unwrap();
}

#[tokio::test]
async fn a_counter_that_is_tampered_with_is_found_and_mended_by_the_next_audits() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let mut local = Local::start(&["--audit-every", "1s", "--repair"]).await;
    local.put_point("Seattle", "p", "Bar").await;
    while local.line().await != "Seattle  TotalPoints 1  CategoryCounts Bar 1" {}
    let tampered = local.db().update_item().table_name("Map").key("MapId", s("Seattle"));
    let tampered = tampered.update_expression("SET TotalPoints = :v").expression_attribute_values(":v", n(9));
    tampered.send().await.unwrap();
    let mut told = String::new();
    let set = "audit: set Seattle: TotalPoints from 9 to 1\n";
    // Between the two lines it may say that it applied the record: a repair may be quicker than the function.
    while told.split_once(set).is_none_or(|(_, rest)| !rest.contains("1 view item repaired\n1 view item: 1 exact")) {
        told += &(local.line().await + "\n");
    }
    local.end("-INT").await;
}

#[tokio::test]
async fn without_a_repair_each_finding_is_told_once_with_the_command_that_mends_it() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let mut local = Local::start(&["--audit-every", "1s"]).await;
    let map = local.db().put_item().table_name("Map").item("MapId", s("Seattle")).item("TotalPoints", n(3));
    map.item("RollupVersion", n(1)).send().await.unwrap();
    let mut told = String::new();
    while !told.contains("ddb-rollup repair") {
        told += &(local.line().await + "\n");
    }
    assert!(told.contains("drifted   Seattle\n    TotalPoints is 3, should be 0\n"), "{told}");
    let repair = format!("--endpoint-url {}", local.url);
    assert!(told.lines().any(|line| line.contains("ddb-rollup repair") && line.contains(&repair)), "{told}");
    sleep(Duration::from_secs(4)).await;
    let (left, code) = local.end("-INT").await;
    assert_eq!((left.iter().filter(|line| line.starts_with("drifted")).count(), code), (0, Some(0)), "{left:?}");
}
