//! What the command prints of the data: nothing that a terminal would obey, whoever wrote it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::command::{Ran, run};
use crate::engine::{Engine, n, s};

/// A key that turns the terminal red, begins a line of its own, and turns the direction of the text.
pub const KEY: &str = "m\u{1b}[31m\nexact\u{202e}";

/// A group that clears the screen.
const GROUP: &str = "Park\u{1b}[2J\u{9b}1m\r";

/// Checks that a text shows what a terminal would obey, and that the key or the group is in it.
pub fn assert_shown(text: &str) {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let obeyed: Vec<char> = text.chars().filter(|&c| c != '\n' && (c.is_control() || turns(c))).collect();
    assert!(obeyed.is_empty(), "{obeyed:?} in {text:?}");
    assert!(text.contains("\\u{1b}["), "nothing hostile is in it: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("exact")), "a key made a line of its own: {text:?}");
}

fn shown(ran: &Ran, code: i32) {
    assert_eq!(ran.code, code, "{ran:?}");
    assert_shown(&format!("{}{}", ran.out, ran.err));
}

/// A view item whose group holds this.
async fn put_map(engine: &Engine, group: AttributeValue) {
    let groups = AttributeValue::M(HashMap::from([(GROUP.to_owned(), group)]));
    engine.put("Map", [("MapId", s(KEY)), ("TotalPoints", n(7)), ("CategoryCounts", groups)]).await;
}

#[tokio::test]
async fn audit_and_repair_show_control_characters() {
    let engine = Engine::start().await;
    engine.put_point(KEY, "p", Some(GROUP)).await;
    shown(&run(&engine, &["audit", "--settle", "0"]).await, 0);
    engine.function().deliver(&engine.stream_records().await).await;
    put_map(&engine, n(7)).await;
    shown(&run(&engine, &["audit", "--settle", "0"]).await, 1);
    shown(&run(&engine, &["repair", "--settle", "0", "--dry-run"]).await, 1);
}

#[tokio::test]
async fn quarantine_and_replay_show_control_characters() {
    let engine = Engine::start().await;
    put_map(&engine, s("many")).await;
    engine.put_point(KEY, "p", Some(GROUP)).await;
    engine.function().deliver(&engine.stream_records().await).await;
    shown(&run(&engine, &["quarantine", "list"]).await, 1);
    let listed = run(&engine, &["quarantine", "list", "--json"]).await;
    assert!(listed.json()["quarantined"][0]["reason"].as_str().unwrap().contains(KEY), "a program gets it as it is");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("failure\u{1b}[31m.json");
    std::fs::write(&file, json!({ "payload": "\u{1b}[31m" }).to_string()).unwrap();
    shown(&run(&engine, &["replay", "--from-file", file.to_str().unwrap()]).await, 2);
}

#[tokio::test]
async fn migrate_and_view_show_control_characters() {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s(KEY)), ("CategoryCounts", s("many"))]).await;
    shown(&run(&engine, &["migrate", "--settle", "0"]).await, 1);

    engine.put_point(KEY, "p", Some(GROUP)).await;
    shown(&run(&engine, &["view", "try"]).await, 0);
}
