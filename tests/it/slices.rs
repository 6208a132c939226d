//! Slices of the view items, each audited and repaired by itself, and what of it is added up.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::audit::{numbers, points, settled};
use crate::command::{command, run};
use crate::engine::{Engine, n, s};
use crate::repaired::quarantined;
use crate::request_hook::{hang_after, until_hung};

/// Maps with a point each, half of them with counters that are off, and one record in quarantine.
async fn maps(count: usize) -> Engine {
    let engine = Engine::start().await;
    for map in 0..count {
        engine.put_point(&format!("m{map}"), "p", Some("Bar")).await;
    }
    let mut records = engine.stream_records().await;
    records[0]["dynamodb"]["ApproximateCreationDateTime"] = json!(1_500_000_000);
    engine.function().deliver(&records).await;
    for map in (0..count).step_by(2) {
        let update = engine.db.update_item().table_name("Map").key("MapId", s(&format!("m{map}")));
        update.update_expression("ADD TotalPoints :v").expression_attribute_values(":v", n(5)).send().await.unwrap();
    }
    engine
}

/// What two reports have in common whatever their slices: numbers, and drift in an order.
fn found(report: &Value) -> ([u64; 6], Vec<String>) {
    let mut drift: Vec<String> = report["drift"].as_array().unwrap().iter().map(Value::to_string).collect();
    drift.sort();
    (numbers(report), drift)
}

/// A run of a command that is killed when so many of four slices are done: it hangs where it stores the next one.
async fn killed_after(done: usize, engine: &Engine, arguments: &[&str]) {
    let (url, mut hung) = hang_after(&engine.url, "PutItem", done).await;
    let arguments = [arguments, &["--settle", "0", "--slices", "4", "--endpoint-url", &url]].concat();
    let mut killed = command(engine, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until_hung(&mut killed, &mut hung).await;
    killed.kill().await.unwrap();
}

#[tokio::test]
async fn slices_add_up_to_the_whole() {
    let engine = maps(20).await;
    let whole = settled(&engine, "audit", &[]).await;
    assert_eq!(numbers(&whole.json()), [20, 10, 0, 0, 10, 1], "{whole:?}");
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for slice in 1..=3 {
        let ran = settled(&engine, "audit", &["--slice", &format!("{slice}/3")]).await;
        assert!(numbers(&ran.json())[0] < 20, "{ran:?}");
        let file = folder.path().join(slice.to_string());
        std::fs::write(&file, &ran.out).unwrap();
        files.push(file.to_str().unwrap().to_owned());
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let merged = run(&engine, &[&["audit", "--json", "--merge"], &files[..]].concat()).await;
    assert_eq!((merged.code, found(&merged.json())), (1, found(&whole.json())));
    let ran = settled(&engine, "audit", &["--slices", "3"]).await;
    assert_eq!((ran.code, found(&ran.json())), (1, found(&whole.json())), "{ran:?}");
    assert!(ran.err.contains("Point is read once per slice"), "{ran:?}");
}

#[tokio::test]
async fn a_slice_is_repaired_alone_and_all_of_them_close_the_quarantine() {
    let engine = maps(20).await;
    let ran = settled(&engine, "repair", &["--slice", "1/3"]).await;
    assert!((1..10).contains(&ran.json()["repaired"].as_u64().unwrap()), "{ran:?}");
    assert_eq!(ran.json()["closed"], json!(0), "the other slices are not repaired");
    let ran = settled(&engine, "repair", &["--slices", "3"]).await;
    assert_eq!(
        (ran.code, &ran.json()["closed"], numbers(&ran.json())),
        (0, &json!(1), [20, 20, 0, 0, 0, 0]),
        "{ran:?}"
    );
    engine.assert_exact().await;
    assert!(!engine.markers().await.contains_key("slices"), "nothing is left of the work that is done");
}

#[tokio::test]
async fn a_run_that_is_killed_goes_on_at_its_slice() {
    let (engine, _) = points(24, 0).await;
    let done =
        async || engine.markers().await.get("slices").map_or(0, |item| item["Done"].as_n().unwrap().parse().unwrap());
    killed_after(1, &engine, &["repair"]).await;
    assert_eq!(done().await, 1);
    let ran = settled(&engine, "repair", &["--slices", "4", "--dry-run", "--from-start"]).await;
    assert!(!ran.err.contains("continuing"), "{ran:?}");
    let ran = settled(&engine, "repair", &["--slices", "4"]).await;
    assert!(ran.code == 0 && ran.err.contains("continuing after slice 1"), "{ran:?}");
    assert_eq!(done().await, 0);
    engine.assert_exact().await;
}

/// Delivers five records that are too old to be applied, of maps without another point, so that they are of several slices.
async fn expired(engine: &Engine, maps: &str) {
    for number in 0..5 {
        engine.put_point(&format!("{maps}{number}"), "p", Some("Bar")).await;
    }
    let mut records = engine.stream_records().await;
    let mut records = records.split_off(records.len() - 5);
    for record in &mut records {
        record["dynamodb"]["ApproximateCreationDateTime"] = json!(1_500_000_000);
    }
    engine.function().deliver(&records).await;
}

#[tokio::test]
async fn a_run_that_goes_on_closes_the_quarantine_as_far_as_its_first_slice_knew_it() {
    let engine = maps(20).await;
    expired(&engine, "before").await;
    killed_after(2, &engine, &["repair"]).await;
    expired(&engine, "later").await;
    assert_eq!(quarantined(&engine).await, 11);
    let ran = settled(&engine, "repair", &["--slices", "4"]).await;
    assert!(ran.err.contains("continuing after slice 1"), "{ran:?}");
    assert_eq!((&ran.json()["closed"], quarantined(&engine).await), (&json!(6), 5), "{ran:?}");
    assert_eq!((ran.code, &ran.json()["quarantined"]), (1, &json!(5)), "{ran:?}");
    let ran = settled(&engine, "repair", &["--slices", "4"]).await;
    assert_eq!((ran.code, &ran.json()["closed"], quarantined(&engine).await), (0, &json!(5), 0), "{ran:?}");
    assert_eq!(ran.json()["quarantined"], json!(0), "{ran:?}");
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_run_that_goes_on_after_slices_that_are_not_exact_closes_nothing() {
    let engine = maps(20).await;
    killed_after(2, &engine, &["repair"]).await;
    let saved = engine.markers().await.remove("slices").unwrap();
    let mut report: Value = serde_json::from_str(saved["Report"].as_s().unwrap()).unwrap();
    report["unstable"] = json!(1);
    let update = engine.db.update_item().table_name("Idempotency").update_expression("SET Report = :v");
    let update = update.key("SequenceNumber", saved["SequenceNumber"].clone()).key("Stream", saved["Stream"].clone());
    update.expression_attribute_values(":v", s(&report.to_string())).send().await.unwrap();
    let ran = settled(&engine, "repair", &["--slices", "4"]).await;
    assert!(ran.err.contains("continuing after slice 1"), "{ran:?}");
    assert_eq!((&ran.json()["closed"], quarantined(&engine).await), (&json!(0), 1), "{ran:?}");
}

#[tokio::test]
async fn a_run_that_goes_on_reports_what_was_found_before_it() {
    let engine = maps(20).await;
    let whole = settled(&engine, "audit", &[]).await;
    killed_after(2, &engine, &["audit"]).await;
    let ran = settled(&engine, "audit", &["--slices", "4"]).await;
    assert!(ran.err.contains("continuing after slice 2"), "{ran:?}");
    assert_eq!((ran.code, found(&ran.json())), (1, found(&whole.json())), "{ran:?}");

    // What is left is exact, and what was done before is not.
    killed_after(2, &engine, &["audit"]).await;
    for slice in ["3/4", "4/4"] {
        settled(&engine, "repair", &["--slice", slice]).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let arguments = ["audit", "--settle", "0", "--slices", "4", "--html", file.to_str().unwrap()];
    let ran = run(&engine, &arguments).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let page = std::fs::read_to_string(&file).unwrap();
    for text in [&ran.out, &page] {
        let earlier = text.split_once("slices 1 to 2 of 4 were done before this run").expect(text).1;
        assert!(!earlier.contains(" 0 drifted") && earlier.contains(" drifted"), "{text}");
    }
    assert!(page.contains("There are findings."), "{page}");
}

#[tokio::test]
async fn what_is_done_of_one_view_says_nothing_of_all() {
    let engine = maps(20).await;
    killed_after(2, &engine, &["audit", "--view", "default"]).await;
    let ran = settled(&engine, "audit", &["--slices", "4"]).await;
    assert!(!ran.err.contains("continuing"), "{ran:?}");
    let ran = settled(&engine, "audit", &["--view", "default", "--slices", "4"]).await;
    assert!(ran.err.contains("continuing after slice 2"), "{ran:?}");
}
